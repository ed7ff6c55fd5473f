//! What a unit is handed when it starts: inherited descriptors, and one description of them.
//!
//! Whoever starts a unit opens the real resources; a ported program opens nothing by name. The description lies in a
//! sealed memfd with the number [`DESCRIPTOR`]; the variable [`VARIABLE`] says that it is there.

use serde::{Deserialize, Serialize};

/// The number of the descriptor that holds the [`Handover`]: the first after the standard streams.
pub const DESCRIPTOR: i32 = 3;

/// The environment variable that holds [`DESCRIPTOR`] in decimal, where a unit was started with a handover.
pub const VARIABLE: &str = "SOLUM_HANDOVER";

/// Version of these structures. Program and supervisor may come from different releases, so it is checked.
pub const VERSION: u16 = 1;

/// The exit status of a unit that must not be started again.
pub const DO_NOT_RESTART: u8 = 125;

/// Everything a unit has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// [`VERSION`] of whoever wrote it. Always the first field.
    pub version: u16,
    /// The unit's own name: `machine.unit`.
    pub unit: String,
    /// How many times it was started before, plus one.
    pub epoch: u32,
    /// A Unix stream socket to the supervisor, which takes frames of [`FromUnit`].
    pub control: i32,
    /// What is plugged into each port.
    pub plugs: Vec<Plug>,
}

/// What is plugged into one port, in the order of the description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plug {
    /// The port's name.
    pub port: String,
    /// The devices: one, none or many, as the port's count allows. For a port that serves: a link for each client.
    pub resources: Vec<Resource>,
}

/// A device, and the descriptors through which it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// A block device or a file.
    Disk {
        /// Open for reading, and for writing if `writable`.
        descriptor: i32,
        /// Its capacity.
        bytes: u64,
        /// Offsets and lengths of requests are multiples of this.
        block_bytes: u32,
        /// Whether it may be written.
        writable: bool,
    },
    /// One end of a link to another unit (`solum-link`).
    Link(LinkEnd),
    /// A TCP socket that listens.
    Listener {
        /// The socket.
        descriptor: i32,
    },
    /// A picture in shared memory, and who shows it.
    Screen {
        /// Memory of `2 * width * height * 4` bytes: two frames of 32-bit pixels, blue in the lowest byte.
        memory: i32,
        /// A stream socket: the unit writes the number of the frame to show, a byte, and reads it back when it is shown.
        shown: i32,
        /// Pixels in a line.
        width: u32,
        /// Lines.
        height: u32,
    },
    /// A keyboard: a stream of `struct input_event` (Documentation/input/input.rst).
    Keys {
        /// The stream.
        descriptor: i32,
    },
    /// The power over other units.
    Units {
        /// A stream socket with frames of [`ToSupervisor`] and [`FromSupervisor`].
        descriptor: i32,
    },
}

/// The descriptors of one end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEnd {
    /// Who is at the other end, for messages: `machine.unit`.
    pub peer: String,
    /// The memory that both ends share.
    pub memory: i32,
    /// The eventfd that wakes this end.
    pub own_bell: i32,
    /// The eventfd that wakes the other.
    pub peer_bell: i32,
}

/// What a unit tells its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromUnit {
    /// It does what it is for; units that need it may start.
    Ready,
    /// It is healthy (or not any more, with the reason).
    Health(Result<(), String>),
}

/// What a unit with a port `Units` asks of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// Name and state of every unit it may control.
    List,
    /// Start a unit.
    Start(String),
    /// Stop a unit, with its grace.
    Stop(String),
    /// From the next start, run this program of the description in the unit.
    Replace {
        /// The unit.
        unit: String,
        /// The program's name in the description.
        program: String,
    },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromSupervisor {
    /// The units.
    Units(Vec<UnitState>),
    /// It was done, or will be.
    Done,
    /// It was not done; the text says why.
    Refused(String),
}

/// What a controller sees of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// Its name.
    pub unit: String,
    /// How many times it was started.
    pub epoch: u32,
    /// What it is doing.
    pub phase: UnitPhase,
}

/// What a unit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnitPhase {
    /// Not started: it waits for what it needs, or nobody wants it.
    Waiting,
    /// Started, and has not said that it is ready.
    Starting,
    /// Ready.
    Running,
    /// Asked to stop.
    Stopping,
    /// Ended, and is started again after a pause.
    Pausing,
    /// Ended as it should, or stopped on request; it is not started again.
    Ended,
    /// Ended as it should not, and is not started again; or given up, because it failed too often.
    Failed,
}

impl UnitPhase {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Pausing => "pausing",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for UnitPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Handover {
    /// The bytes for the memfd.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising plain structures into memory has no way to fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`HandoverError`] for another version and for bytes that are no handover.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandoverError> {
        match postcard::take_from_bytes::<u16>(bytes) {
            Ok((VERSION, _)) => {}
            Ok((other, _)) => return Err(HandoverError::Version(other)),
            Err(_) => return Err(HandoverError::Malformed),
        }
        match postcard::take_from_bytes(bytes) {
            Ok((handover, [])) => Ok(handover),
            _ => Err(HandoverError::Malformed),
        }
    }
}

/// Why a handover is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoverError {
    /// Written by another version of Solum.
    Version(u16),
    /// Cut off, or no handover at all.
    Malformed,
}

impl std::fmt::Display for HandoverError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(found) => write!(
                f,
                "the supervisor hands over in version {found}, and this program was built for version {VERSION}"
            ),
            Self::Malformed => f.write_str("what the supervisor handed over is damaged"),
        }
    }
}

impl std::error::Error for HandoverError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Handover {
        Handover {
            version: VERSION,
            unit: "store.mirror".into(),
            epoch: 3,
            control: 4,
            plugs: vec![
                Plug {
                    port: "members".into(),
                    resources: vec![Resource::Disk {
                        descriptor: 5,
                        bytes: 1 << 26,
                        block_bytes: 512,
                        writable: true,
                    }],
                },
                Plug {
                    port: "volume".into(),
                    resources: vec![Resource::Link(LinkEnd {
                        peer: "store.files".into(),
                        memory: 6,
                        own_bell: 7,
                        peer_bell: 8,
                    })],
                },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Handover::from_bytes(&example().to_bytes()), Ok(example()));
    }

    #[test]
    fn damage_and_other_versions_are_told_apart() {
        let bytes = example().to_bytes();
        for end in 1..bytes.len() {
            assert_eq!(Handover::from_bytes(&bytes[..end]), Err(HandoverError::Malformed), "{end} bytes");
        }
        let other = Handover { version: 9, ..example() };
        assert_eq!(Handover::from_bytes(&other.to_bytes()), Err(HandoverError::Version(9)));
    }
}
