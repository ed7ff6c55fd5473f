//! The description of one machine, as PID 1 reads it from the image.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::storage::FileSystem;

/// Where the description lies in an image.
pub const PATH: &str = "/etc/solum/description";

/// The user that programs run as unless the user of Solum asks for root.
pub const DEFAULT_USER_ID: u32 = 1000;

/// Everything PID 1 has to know about its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The machine's name on the network (RFC 1123 label).
    pub host_name: String,
    /// Kernel modules in the image, as absolute paths, in the order in which they are loaded.
    pub modules: Vec<String>,
    /// Host directories to mount, in order.
    pub shares: Vec<Mount>,
    /// File systems to mount, in order.
    pub file_systems: Vec<FileSystem>,
    /// How the machine gets its addresses.
    pub network: Network,
    /// NTP servers (RFC 5905), names or addresses; those a DHCP server offers come first.
    pub time_servers: Vec<String>,
    /// What follows when the program ended by itself.
    pub when_ended: WhenEnded,
    /// The memory that it was described with, in bytes. PID 1 takes what is there; whoever boots an image may want to know.
    pub memory_bytes: Option<u64>,
    /// The processors that it was described with.
    pub cpus: Option<u16>,
    /// The program and how it is run. Left aside if the image has a [`plan`](crate::plan) too.
    pub unit: Unit,
}

/// A 9p share as the machine mounts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The 9p mount tag, at most 31 bytes (the limit of QEMU's virtio-9p device).
    pub tag: String,
    /// The absolute path in the machine.
    pub target: String,
    /// Mounted read-only.
    pub read_only: bool,
}

/// How a machine gets its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// Loopback alone.
    None,
    /// DHCPv4 (RFC 2131) and SLAAC (RFC 4862) on every Ethernet interface.
    #[default]
    Automatic,
    /// Fixed addresses on the first Ethernet interface.
    Static(StaticNetwork),
}

/// Fixed addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticNetwork {
    /// The interface's own address.
    pub address: Ipv4Addr,
    /// Length of the network prefix in bits, 0 to 32.
    pub prefix: u8,
    /// The default router.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers, in order of preference.
    pub dns: Vec<IpAddr>,
}

/// The program of a machine and how it is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The unit's name in messages.
    pub name: String,
    /// Absolute path of the executable in the image.
    pub path: String,
    /// Arguments, without the program's own name (`argv[0]` is the whole of `path`).
    pub arguments: Vec<String>,
    /// Environment, in addition to what PID 1 sets (PATH, HOME, USER, TMPDIR, TERM, SOLUM_MACHINE), and instead of it where
    /// the name is the same.
    pub environment: Vec<(String, String)>,
    /// User and group the program runs as; 0 is root.
    pub user_id: u32,
    /// The program starts only when these have happened.
    pub wait: Vec<Wait>,
    /// How long the program may take to stop, in milliseconds, before it is killed.
    pub grace_ms: u32,
}

/// Something a program can be made to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "system", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// An interface has an IPv4 address, or an IPv6 address of global scope. Met from the start without a network.
    Network,
    /// The clock was set from a time server.
    Clock,
}

/// When a unit that ended is started again. Never after exit status
/// [`DO_NOT_RESTART`](crate::handover::DO_NOT_RESTART), never after it was stopped on request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "system",
    derive(schemars::JsonSchema),
    schemars(inline, description = "When a unit that ended is started again.")
)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// However it ended.
    Always,
    /// When it failed: it ended with another status than 0 or by a signal, could not be started, was not ready in time
    /// or not healthy any more.
    #[default]
    OnFailure,
    /// Not at all.
    Never,
}

/// When a unit counts as ready, so that those that need it may start. One that ends with status 0 and is not started
/// again has done its work, which counts as ready too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "system",
    derive(schemars::JsonSchema),
    schemars(inline, description = "When a unit counts as ready, so that those that need it may start.")
)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// As soon as it is started.
    Start,
    /// When it says so.
    Told,
}

/// What a machine does about a unit that failed too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "system", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "kebab-case")]
pub enum GiveUp {
    /// It does without: the other units go on.
    #[default]
    Degrade,
    /// All units are stopped in good order, and the machine starts anew.
    #[serde(rename = "restart")]
    RestartMachine,
}

/// What a machine does when its program ended by itself, well or badly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "system", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "kebab-case")]
pub enum WhenEnded {
    /// It switches itself off.
    #[default]
    #[serde(rename = "poweroff")]
    PowerOff,
    /// It starts anew, from its firmware on.
    Reboot,
    /// The program is started again, after a pause that grows while it keeps failing.
    Restart,
    /// It stands still, with everything written and unmounted, and its last words on the screen.
    Halt,
}

impl Description {
    /// The bytes that go into the image.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising plain structures into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] for bytes of another version of Solum, for fewer bytes and for more.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DescriptionError> {
        match postcard::take_from_bytes(bytes) {
            Ok((description, [])) => Ok(description),
            _ => Err(DescriptionError),
        }
    }
}

/// The bytes are not a description that this version of Solum wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptionError;

impl std::fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the machine's description cannot be read; image and init are not of the same version")
    }
}

impl std::error::Error for DescriptionError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Description {
        Description {
            host_name: "hello".into(),
            modules: vec!["/lib/modules/virtio.ko".into()],
            shares: vec![Mount { tag: "share0".into(), target: "/data".into(), read_only: true }],
            file_systems: vec!["LABEL=solum-data:/perm:grow".parse().unwrap()],
            network: Network::Static(StaticNetwork {
                address: Ipv4Addr::new(10, 0, 0, 2),
                prefix: 24,
                gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
                dns: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            }),
            time_servers: vec![],
            when_ended: WhenEnded::Reboot,
            memory_bytes: Some(128 << 20),
            cpus: Some(1),
            unit: Unit {
                name: "hello".into(),
                path: "/bin/hello".into(),
                arguments: vec!["--loud".into()],
                environment: vec![("A".into(), "b".into())],
                user_id: DEFAULT_USER_ID,
                wait: vec![Wait::Network],
                grace_ms: 10_000,
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Description::from_bytes(&example().to_bytes()), Ok(example()));
    }

    #[test]
    fn truncated_or_longer_bytes_are_refused() {
        let bytes = example().to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(Description::from_bytes(&bytes[..end]), Err(DescriptionError), "{end} bytes");
        }
        assert_eq!(Description::from_bytes(&[&bytes[..], &[0]].concat()), Err(DescriptionError));
    }
}
