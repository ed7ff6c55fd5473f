//! One machine, as its user asked for it.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use crate::description::{Network, Wait};
use crate::storage::FileSystem;
use crate::{ByteSize, Publish, Share, outer_first};

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
    /// File systems that the machine mounts, after its shares. In a [`Machine`] each comes before those below it.
    pub file_systems: Vec<FileSystem>,
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
    /// Two shares or file systems want the same place in the machine.
    MountedTwice(String),
    /// A file system would be mounted over a share.
    Hidden {
        /// Where the share is.
        share: String,
        /// Where the file system is.
        file_system: String,
    },
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
            Self::MountedTwice(target) => {
                write!(f, "two shares or file systems have the same place in the machine: {target}")
            }
            Self::Hidden { share, file_system } => {
                write!(f, "the file system at {file_system} would hide the share at {share}")
            }
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
            Self::MountedTwice(_) | Self::Hidden { .. } => "give one of them another path",
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
        self.check_places()?;
        outer_first(&mut self.file_systems, |one| &one.target);
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

    /// What is mounted hides nothing else that is. A file system below a share is fine, since shares are mounted first.
    fn check_places(&self) -> Result<(), MachineError> {
        let shares = self.shares.iter().map(|share| &share.target);
        let mut known = HashSet::new();
        for target in shares.clone().chain(self.file_systems.iter().map(|one| &one.target)) {
            if !known.insert(target) {
                return Err(MachineError::MountedTwice(target.clone()));
            }
        }
        for share in shares {
            if let Some(over) = self.file_systems.iter().find(|one| Path::new(share).starts_with(&one.target))
            {
                let file_system = over.target.clone();
                return Err(MachineError::Hidden { share: share.clone(), file_system });
            }
        }
        Ok(())
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
            file_systems: vec![],
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
                Draft { shares: vec![share.clone(), "b:/data/".parse().unwrap()], ..draft() },
                MachineError::MountedTwice("/data".into()),
            ),
            (
                Draft { file_systems: file_systems(&["LABEL=a:/perm", "LABEL=b://perm/."]), ..draft() },
                MachineError::MountedTwice("/perm".into()),
            ),
            (
                Draft { shares: vec![share], file_systems: file_systems(&["LABEL=a:/data"]), ..draft() },
                MachineError::MountedTwice("/data".into()),
            ),
            (
                Draft {
                    shares: vec!["a:/data/sub".parse().unwrap()],
                    file_systems: file_systems(&["LABEL=a:/data"]),
                    ..draft()
                },
                MachineError::Hidden { share: "/data/sub".into(), file_system: "/data".into() },
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

    fn file_systems(texts: &[&str]) -> Vec<FileSystem> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_file_system_is_mounted_before_those_below_it() {
        let file_systems = file_systems(&["LABEL=c:/b/c/d", "LABEL=b:/data", "LABEL=d:/b/c", "LABEL=a:/b"]);
        let shares = vec!["a:/dat".parse().unwrap(), "b:/x".parse().unwrap()];
        let machine = Draft { file_systems, shares, ..draft() }.validate().unwrap();
        let targets: Vec<&str> = machine.file_systems.iter().map(|one| one.target.as_str()).collect();
        assert_eq!(targets, ["/data", "/b", "/b/c", "/b/c/d"]);
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
