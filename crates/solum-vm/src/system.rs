//! Whole systems: their units as processes of this host, or in a virtual machine each; and how a running one is asked.

mod desk;
pub mod host;
mod picture;
mod png;
mod ticket;
pub mod vm;

pub use host::{HostPlace, Published, Unprepared};
pub use picture::Onlooker;
pub use ticket::{Answers, ask};

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
