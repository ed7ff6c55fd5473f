//! Whole systems: their units as processes of this host, or in a virtual machine each; and how a running one is asked.

mod ask;
mod desk;
mod disks;
pub mod host;
mod picture;
mod png;
pub mod vm;

pub use ask::{Answers, ask};
pub use disks::Disks;
pub use host::{HostPlace, Published};
pub use picture::Onlooker;

use std::io;
use std::path::Path;
use std::time::Duration;

use solum_spec::handover::UnitPhase;

/// How long a system that is over waits for those who read its logs.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(2);

/// What happens while a system runs, for people. Units are named by their places in the description.
#[derive(Clone, Debug)]
pub enum Notice<'a> {
    /// A unit does something else now, and why: the rest of a sentence that begins with its name and a colon.
    Changed(usize, UnitPhase, &'a str),
    /// Something about what units run on.
    Said(&'a str),
}

/// Why this host cannot be the place of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprepared {
    /// A sentence: a disk that is shorter than its description says, or what the system says.
    pub why: String,
    /// What to do about it, where something can be done.
    pub hint: Option<String>,
}

impl Unprepared {
    /// What the system says of a file.
    fn file(path: &Path, error: &io::Error) -> Self {
        Self { why: format!("{}: {}", path.display(), solum_spec::reason(error)), hint: None }
    }
}
