//! What distinguishes one unit from another, and the numbers that are the same for all.

use solum_spec::description::{GiveUp, Readiness, Restart, Wait};

/// Pause before a unit that ended is started again, in milliseconds: at first, and at most. It doubles each time.
pub const PAUSE_MS: std::ops::RangeInclusive<u64> = 100..=30_000;

/// How long a unit has to be ready and healthy for its earlier failures to be forgotten, in milliseconds.
pub const GOOD_RUN_MS: u64 = 60_000;

/// The failure with this number, without a good run since the first, is the last: the unit is given up. With the pauses
/// between them, a unit that crashes at once is given up after 51 seconds.
pub const FAILURES_MAX: u32 = 10;

/// How long a unit may say that it is not healthy before it is stopped, which counts as a failure, in milliseconds.
pub const ILLNESS_MS: u64 = 10_000;

/// When everything stops: how long a killed process may take to be gone before it is left behind, in milliseconds. Only
/// one in uninterruptible sleep takes any time.
pub const KILL_PATIENCE_MS: u64 = 5_000;

/// What is asked of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitTerms {
    /// Its name, for reasons.
    pub name: String,
    /// Units, by their place in the list, that have to be ready before this one starts.
    pub needs: Vec<usize>,
    /// When it is started again.
    pub restart: Restart,
    /// When it counts as ready.
    pub ready: Readiness,
    /// How long it may take to say that it is ready, in milliseconds.
    pub ready_within_ms: u32,
    /// How long it may take to stop before it is killed, in milliseconds.
    pub grace_ms: u32,
    /// What has to have happened before it starts.
    pub wait: Vec<Wait>,
    /// It starts by itself, and not only when it is asked for or needed.
    pub autostart: bool,
}

impl UnitTerms {
    /// The only program of a machine: it runs once, and its end is the end.
    pub fn alone(name: String, wait: Vec<Wait>, grace_ms: u32) -> Self {
        Self {
            name,
            needs: Vec::new(),
            restart: Restart::Never,
            ready: Readiness::Start,
            ready_within_ms: 0,
            grace_ms,
            wait,
            autostart: true,
        }
    }
}

/// What is asked of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineTerms {
    /// What happens when a unit failed too often.
    pub give_up: GiveUp,
}
