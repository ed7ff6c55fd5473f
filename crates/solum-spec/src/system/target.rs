//! What can be plugged into a port, as it is written.

use std::fmt;

/// Where a port's plug leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `disk.NAME`: a disk of this machine.
    Disk(String),
    /// `screen.NAME`: a screen of this machine.
    Screen(String),
    /// `keys`: the keyboard of this machine.
    Keys,
    /// `tcp.NUMBER`: a TCP port of this machine.
    Tcp(u16),
    /// `[MACHINE/]UNIT.PORT`: what a unit serves.
    Unit {
        /// Another machine, or else this one.
        machine: Option<MachineTarget>,
        /// The unit.
        unit: String,
        /// The port.
        port: String,
    },
}

/// A machine, as the beginning of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MachineTarget {
    /// The name in the description.
    pub name: String,
    /// Which of several.
    pub which: Which,
}

/// Which of several machines that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// Nothing is said.
    Only,
    /// The one with this number.
    Number(u32),
    /// Each of them, in order.
    All,
}

/// Words that begin a target, and so cannot be names of units.
pub const WORDS: [&str; 5] = ["disk", "screen", "keys", "tcp", "udp"];

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It has not the form of any.
    Form,
    /// A port of TCP that is not a number from 1 to 65535.
    TcpPort(String),
    /// UDP, for which there is no port type.
    Udp,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("is nothing that can be plugged in"),
            Self::TcpPort(port) => write!(f, "has the port `{port}`, which is not a number from 1 to 65535"),
            Self::Udp => f.write_str("is a UDP port, and no port of a program takes one"),
        }
    }
}

/// What can be written, for a hint.
pub const FORMS: &str =
    "write `disk.NAME`, `screen.NAME`, `keys`, `tcp.NUMBER`, `UNIT.PORT` or `MACHINE/UNIT.PORT`";

impl std::str::FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text == "keys" {
            return Ok(Self::Keys);
        }
        let (machine, rest) = match text.split_once('/') {
            Some((machine, rest)) => (Some(machine_target(machine)?), rest),
            None => (None, text),
        };
        let (first, second) = rest.split_once('.').ok_or(TargetError::Form)?;
        if first.is_empty() || second.is_empty() || rest.contains('/') || second.contains('.') {
            return Err(TargetError::Form);
        }
        match (machine, first) {
            (Some(_), "disk" | "screen" | "keys" | "tcp" | "udp") => Err(TargetError::Form),
            (None, "disk") => Ok(Self::Disk(second.to_owned())),
            (None, "screen") => Ok(Self::Screen(second.to_owned())),
            (None, "tcp") => match second.parse() {
                Ok(port @ 1..) => Ok(Self::Tcp(port)),
                _ => Err(TargetError::TcpPort(second.to_owned())),
            },
            (None, "udp") => Err(TargetError::Udp),
            (machine, unit) => Ok(Self::Unit { machine, unit: unit.to_owned(), port: second.to_owned() }),
        }
    }
}

fn machine_target(text: &str) -> Result<MachineTarget, TargetError> {
    let (name, which) = match text.split_once('.') {
        None => (text, Which::Only),
        Some((name, "*")) => (name, Which::All),
        Some((name, number)) => (name, Which::Number(number.parse().map_err(|_| TargetError::Form)?)),
    };
    if name.is_empty() { Err(TargetError::Form) } else { Ok(MachineTarget { name: name.to_owned(), which }) }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(name) => write!(f, "disk.{name}"),
            Self::Screen(name) => write!(f, "screen.{name}"),
            Self::Keys => f.write_str("keys"),
            Self::Tcp(port) => write!(f, "tcp.{port}"),
            Self::Unit { machine: None, unit, port } => write!(f, "{unit}.{port}"),
            Self::Unit { machine: Some(MachineTarget { name, which }), unit, port } => match which {
                Which::Only => write!(f, "{name}/{unit}.{port}"),
                Which::Number(number) => write!(f, "{name}.{number}/{unit}.{port}"),
                Which::All => write!(f, "{name}.*/{unit}.{port}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_alike() {
        for text in [
            "disk.a",
            "screen.main",
            "keys",
            "tcp.8080",
            "mirror.volume",
            "store/fs.files",
            "web.2/cache.calls",
            "web.*/cache.calls",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        for text in
            ["", "disk", "a.b.c", ".b", "a.", "/a.b", "m/a", "m.x/a.b", "m/n/a.b", "m/disk.a", "m.-1/a.b"]
        {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Form), "{text}");
        }
        for port in ["0", "65536", "http", "-1"] {
            assert_eq!(format!("tcp.{port}").parse::<Target>(), Err(TargetError::TcpPort(port.into())));
        }
        assert_eq!("udp.53".parse::<Target>(), Err(TargetError::Udp));
    }
}
