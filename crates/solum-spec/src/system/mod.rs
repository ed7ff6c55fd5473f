//! A whole system from one description: `solum.toml`, read and checked.
//!
//! Programs are built between the two steps, because a program's ports are known only when it is compiled:
//!
//! 1. [`Draft::read`] takes the text and finds all that is wrong with the text alone;
//! 2. [`Draft::wire`] takes each program's ports and yields a [`System`], in which every plug fits.
//!
//! Both tell everything that is wrong, as [`Diagnostic`]s that point into the text.

mod blocking;
mod diagnostic;
mod draft;
mod duration;
mod fitting;
pub mod graph;
mod machines;
mod names;
mod planning;
mod plugs;
mod programs;
mod raw;
mod schema;
mod shape;
mod simulation;
mod suggest;
mod target;
mod units;
mod wire;

pub use diagnostic::{Colours, Diagnostic};
pub use draft::Draft;
pub use duration::{DurationError, milliseconds};
pub use schema::{schema, schema_text};
pub use wire::Ports;

use serde::Serialize;

use crate::ByteSize;
use crate::description::{GiveUp, Readiness, Restart, Wait, WhenEnded};
use crate::ports::{Declaration, Direction, Interface};
use crate::storage::{DataKind, FileSystem};

/// The name of the file that describes a system.
pub const FILE_NAME: &str = "solum.toml";

/// A system that fits together. Only [`Draft::wire`] makes one, and whoever holds one need not check it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Its name.
    pub name: String,
    /// What units can run, in the order of the description.
    pub programs: Vec<Program>,
    /// Its machines, in the order of the description; a machine with a count is there as often as it says.
    pub machines: Vec<Machine>,
    /// Its links: what units say to each other.
    pub links: Vec<Link>,
    /// What simulates it. Nothing that runs depends on it.
    pub simulation: Option<Simulation>,
}

impl System {
    /// The program with this name.
    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// The machine with this name, like `store` or `web.2`.
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.name == name)
    }
}

/// Something a unit can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in the description.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Its ports, as its executable declares them; `None` for a plain program.
    pub ports: Option<Vec<Declaration>>,
}

/// Where a program comes from. Paths are as they were written: seen from the description's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Cargo builds it.
    Package {
        /// The package's directory.
        directory: String,
        /// Which binary.
        binary: Option<String>,
        /// Which example, instead of a binary.
        example: Option<String>,
        /// With which features.
        features: Vec<String>,
        /// In which profile.
        profile: Option<String>,
    },
    /// It is there.
    File {
        /// The static executable.
        path: String,
    },
    /// A command builds it.
    Build {
        /// The command and its arguments; there is at least one word.
        command: Vec<String>,
        /// The static executable that it makes.
        output: String,
    },
}

/// The package that simulates a system. Its path is as it was written: seen from the description's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Simulation {
    /// The package's directory.
    pub package: String,
    /// Which binary.
    pub binary: Option<String>,
    /// In which profile.
    pub profile: Option<String>,
}

/// One computer of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name: `store`; with a count `web.0`, `web.1` and so on.
    pub name: String,
    /// Its name in the description.
    pub group: String,
    /// Which of several it is.
    pub number: Option<u32>,
    /// Its name on the network (RFC 1123 label): `store`, `web-0`. No two are the same.
    pub host_name: String,
    /// Its memory.
    pub memory: ByteSize,
    /// How many processors it has.
    pub cores: u16,
    /// What it does about a unit that failed too often.
    pub give_up: GiveUp,
    /// Its disks, in the order of the description.
    pub disks: Vec<Disk>,
    /// Its screens, in the order of the description.
    pub screens: Vec<Screen>,
    /// Whether it has a keyboard.
    pub keys: bool,
    /// File systems that it mounts, in the order of the description.
    pub file_systems: Vec<FileSystem>,
    /// What it does when its units have ended by themselves.
    pub when_ended: WhenEnded,
    /// Modules of the kernel that its images load; those for common hardware, if there is none.
    pub modules: Vec<String>,
    /// What an ISO of it holds beside the system: a directory, seen from the description's.
    pub iso_content: Option<String>,
    /// The data volume of a disk image of it.
    pub data: Data,
    /// Its units, in the order of the description.
    pub units: Vec<Unit>,
}

impl Machine {
    /// The unit with this name.
    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == name)
    }

    /// Every TCP port of the machine on which a unit listens: the unit, its port, the number. No number is there twice.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Unit, &Plug, u16)> {
        self.units.iter().flat_map(|unit| {
            unit.plugs.iter().flat_map(move |plug| {
                plug.devices.iter().filter_map(move |device| match device {
                    Device::Tcp(port) => Some((unit, plug, *port)),
                    _ => None,
                })
            })
        })
    }
}

/// The data volume of a disk image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// How large it is in the image.
    pub size: Option<ByteSize>,
    /// Its file system.
    pub kind: DataKind,
    /// The directory whose content it starts with, seen from the description's.
    pub content: Option<String>,
}

/// A disk of a machine. Its size is a multiple of its block size, and not 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Disk {
    /// Its name.
    pub name: String,
    /// How many bytes it holds.
    pub bytes: u64,
    /// What it reads and writes at once: 512 or 4096.
    pub block_bytes: u32,
}

/// A screen of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Screen {
    /// Its name.
    pub name: String,
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

/// A program occupying one processing unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name, unique in its machine.
    pub name: String,
    /// The name of its program, one of [`System::programs`].
    pub program: String,
    /// Arguments of the program, without its own name.
    pub arguments: Vec<String>,
    /// Environment of the program.
    pub environment: Vec<(String, String)>,
    /// Files and directories it finds in its machine; only for a plain program.
    pub assets: Vec<Asset>,
    /// The most memory it may use, if less than the machine's.
    pub memory: Option<ByteSize>,
    /// How many processors it has for itself; if none, it shares them.
    pub cores: Option<u16>,
    /// When it is started again.
    pub restart: Restart,
    /// Units of this machine that have to be ready before it starts. There is no circle.
    pub needs: Vec<String>,
    /// When it counts as ready.
    pub ready: Readiness,
    /// How long it may take to become ready, in milliseconds.
    pub ready_within_ms: u32,
    /// How long it may take to stop, in milliseconds.
    pub grace_ms: u32,
    /// How much of what it prints is kept.
    pub log: ByteSize,
    /// What has to have happened before it starts.
    pub wait: Vec<Wait>,
    /// Whether it runs as root; only a plain program can.
    pub root: bool,
    /// What is plugged into its ports: one for each port that its program declares, in the program's order. None for a
    /// plain program.
    pub plugs: Vec<Plug>,
}

/// A file or directory that a plain program finds in its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asset {
    /// Its absolute path in the machine.
    pub target: String,
    /// Where it is taken from, seen from the description's directory.
    pub source: String,
}

/// A port of a unit, and what is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// The port's name.
    pub port: String,
    /// What is spoken.
    pub interface: Interface<String>,
    /// Who asks.
    pub direction: Direction,
    /// What is plugged in, in order: as many as the port's count allows. For a port that serves: a link for each
    /// client. For `clock`, `entropy` and `console`: nothing, they come by themselves.
    pub devices: Vec<Device>,
}

/// What is plugged into a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The disk of this machine with this name.
    Disk(String),
    /// The screen of this machine with this name.
    Screen(String),
    /// The keyboard of this machine.
    Keys,
    /// This TCP port of this machine.
    Tcp(u16),
    /// The supervisor of this machine.
    Units,
    /// A link to another unit: an index of [`System::links`].
    Link(usize),
}

/// What two units say to each other: one asks, the other answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who asks.
    pub client: End,
    /// Who answers.
    pub server: End,
    /// What is spoken, the same at both ends.
    pub interface: Interface<String>,
}

impl Link {
    /// Whether both ends are on one machine.
    pub fn is_local(&self) -> bool {
        self.client.machine == self.server.machine
    }
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct End {
    /// The machine's name.
    pub machine: String,
    /// The unit's name.
    pub unit: String,
    /// The port's name.
    pub port: String,
    /// Which of the plugs of this port it is, from 0.
    pub index: usize,
}

impl std::fmt::Display for End {
    /// `machine.unit`, as messages and logs name a unit.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.machine, self.unit)
    }
}
