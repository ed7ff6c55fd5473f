//! One machine, as its user asked for it.

use std::collections::HashSet;
use std::fmt;

use crate::description::{Network, Wait};
use crate::{ByteSize, Publish, Share};

/// The largest host name (RFC 1035, section 2.3.4: a label).
const HOST_NAME_MAX: usize = 63;

/// Memory of a machine, if nobody asks for another amount.
pub const DEFAULT_MEMORY: ByteSize = ByteSize::mebibytes(128);

/// What a user asks for, each part well-formed, but not yet checked against the others.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Becomes host name and the name in messages.
    pub name: String,
    /// Memory of the machine.
    pub memory: ByteSize,
    /// Number of processors.
    pub cpus: u16,
    /// How the machine gets its addresses.
    pub network: Network,
    /// Ports reachable from the host.
    pub publish: Vec<Publish>,
    /// Host directories the machine sees.
    pub shares: Vec<Share>,
    /// Arguments of the program, without its name.
    pub arguments: Vec<String>,
    /// Environment of the program.
    pub environment: Vec<(String, String)>,
    /// The program runs as root.
    pub root: bool,
    /// What the program waits for before it starts.
    pub wait: Vec<Wait>,
    /// How long the program may take to stop, in milliseconds.
    pub grace_ms: u32,
}

/// A machine whose parts fit together. Only [`Draft::validate`] makes one.
#[derive(Clone, Debug)]
pub struct Machine(Draft);

impl std::ops::Deref for Machine {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.0
    }
}

/// Why parts do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineError {
    /// A machine has at least one processor.
    NoCpu,
    /// Two published ports want the same port of the host.
    PublishedTwice(Publish),
    /// Two shares want the same place in the machine.
    SharedTwice(String),
    /// A published port of a machine that has no network.
    PublishedWithoutNetwork(Publish),
    /// The program would wait for ever.
    WaitWithoutNetwork,
    /// An environment variable with an impossible name.
    BadVariable(String),
}

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCpu => f.write_str("a machine needs at least one CPU"),
            Self::PublishedTwice(publish) => {
                write!(f, "port {} of the host is published twice", publish.host_port)
            }
            Self::SharedTwice(target) => write!(f, "two shares have the same place in the machine: {target}"),
            Self::PublishedWithoutNetwork(publish) => {
                write!(f, "port {} is published, but the machine has no network", publish.machine_port)
            }
            Self::WaitWithoutNetwork => {
                f.write_str("the program is to wait for the network, but the machine has none")
            }
            Self::BadVariable(name) => write!(f, "`{name}` cannot be the name of an environment variable"),
        }
    }
}

impl std::error::Error for MachineError {}

impl MachineError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::NoCpu => "try --cpus 1",
            Self::PublishedTwice(_) => "give one of them another port of the host",
            Self::SharedTwice(_) => "give one of them another path",
            Self::PublishedWithoutNetwork(_) => "leave out --publish, or --network none",
            Self::WaitWithoutNetwork => "leave out --wait, or --network none",
            Self::BadVariable(_) => "write --env NAME=VALUE",
        };
        hint.to_owned()
    }
}

impl Draft {
    /// Checks the parts against each other.
    ///
    /// # Errors
    ///
    /// [`MachineError`] names the first contradiction that is found.
    pub fn validate(mut self) -> Result<Machine, MachineError> {
        if self.cpus == 0 {
            return Err(MachineError::NoCpu);
        }
        for (position, publish) in self.publish.iter().enumerate() {
            if self.network == Network::None {
                return Err(MachineError::PublishedWithoutNetwork(*publish));
            }
            if self.publish[..position].iter().any(|other| publish.collides_with(other)) {
                return Err(MachineError::PublishedTwice(*publish));
            }
        }
        let mut targets = HashSet::new();
        for share in &self.shares {
            if !targets.insert(share.target.trim_end_matches('/')) {
                return Err(MachineError::SharedTwice(share.target.clone()));
            }
        }
        if self.network == Network::None && self.wait.iter().any(|w| matches!(w, Wait::Network | Wait::Clock))
        {
            return Err(MachineError::WaitWithoutNetwork);
        }
        for (name, value) in &self.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(MachineError::BadVariable(name.clone()));
            }
        }
        self.name = host_name(&self.name);
        Ok(Machine(self))
    }
}

/// Makes a host name of any text: RFC 1123 allows letters, digits and hyphens.
fn host_name(text: &str) -> String {
    let allowed: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(HOST_NAME_MAX)
        .collect();
    let trimmed = allowed.trim_matches('-');
    if trimmed.is_empty() { "machine".into() } else { trimmed.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            name: "hello".into(),
            memory: ByteSize::mebibytes(64),
            cpus: 1,
            network: Network::Automatic,
            publish: vec![],
            shares: vec![],
            arguments: vec![],
            environment: vec![],
            root: false,
            wait: vec![],
            grace_ms: 10_000,
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let port: Publish = "8000:80".parse().unwrap();
        let share: Share = "a:/data".parse().unwrap();
        let cases = [
            (Draft { cpus: 0, ..draft() }, MachineError::NoCpu),
            (
                Draft { publish: vec![port, "8000:81".parse().unwrap()], ..draft() },
                MachineError::PublishedTwice("8000:81".parse().unwrap()),
            ),
            (
                Draft { publish: vec![port, "0.0.0.0:8000:81".parse().unwrap()], ..draft() },
                MachineError::PublishedTwice("0.0.0.0:8000:81".parse().unwrap()),
            ),
            (
                Draft { publish: vec![port], network: Network::None, ..draft() },
                MachineError::PublishedWithoutNetwork(port),
            ),
            (
                Draft { shares: vec![share, "b:/data/".parse().unwrap()], ..draft() },
                MachineError::SharedTwice("/data/".into()),
            ),
            (
                Draft { wait: vec![Wait::Network], network: Network::None, ..draft() },
                MachineError::WaitWithoutNetwork,
            ),
            (
                Draft { environment: vec![("A=B".into(), String::new())], ..draft() },
                MachineError::BadVariable("A=B".into()),
            ),
        ];
        for (draft, error) in cases {
            assert_eq!(draft.validate().unwrap_err(), error);
        }
    }

    #[test]
    fn one_port_may_be_published_for_both_protocols() {
        let publish = vec!["53:53".parse().unwrap(), "53:53/udp".parse().unwrap()];
        assert!(Draft { publish, ..draft() }.validate().is_ok());
    }

    #[test]
    fn host_names_are_made_of_any_text() {
        for (text, name) in [("hello", "hello"), ("My_Program.x", "my-program-x"), ("--", "machine")] {
            assert_eq!(Draft { name: text.into(), ..draft() }.validate().unwrap().name, name);
        }
    }
}
