//! One unit: what it is doing, and what is remembered of it.

use solum_spec::control::Outcome;
use solum_spec::handover::UnitPhase;

use crate::backoff::Backoff;
use crate::terms::{ILLNESS_MS, PAUSE_MS, UnitTerms};

/// What a unit is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody wanted it yet.
    Unwanted,
    /// It starts as soon as what it needs is ready.
    Waiting,
    /// Its start was asked for.
    Starting {
        /// It has a process.
        started: bool,
        /// When it must have said that it is ready.
        ready_by: Option<u64>,
    },
    /// It is ready.
    Running {
        /// Since when.
        since: u64,
        /// Since when it says that it is not healthy, and why.
        ill: Option<(u64, String)>,
    },
    /// It was asked to stop, or is to be as soon as it has a process.
    Stopping(Stopping),
    /// It ended, and is started again then.
    Pausing {
        /// When.
        until: u64,
    },
    /// It was stopped on request, or with everything.
    Stopped,
    /// It ended, and is not started again.
    Ended {
        /// It did what it was for, so that those that need it may start.
        well: bool,
    },
    /// It failed too often.
    Failed,
}

/// The stop of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// It has a process, which was signalled.
    pub started: bool,
    /// It was killed.
    pub killed: bool,
    /// When it is killed; or, if it was, when it is left behind.
    pub next_at: Option<u64>,
    /// What comes then.
    pub after: After,
}

/// What comes after a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Rest,
    /// Another start.
    Again,
    /// What comes after a failure, which this text names.
    Failure(String),
}

/// How a unit ended last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEnd {
    /// Its place among the ends of all units.
    pub rank: u64,
    pub outcome: Outcome,
    pub is_failure: bool,
}

#[derive(Clone, Debug)]
pub struct Unit {
    pub terms: UnitTerms,
    /// Who needs it, directly or through others.
    pub needed_by: Vec<usize>,
    pub epoch: u32,
    pub state: State,
    /// The reason that was given with the last change.
    pub reason: String,
    pub last_end: Option<LastEnd>,
    /// Failures since the last good run.
    pub failures: u32,
    backoff: Backoff,
}

impl Unit {
    pub fn new(terms: UnitTerms) -> Self {
        Self {
            terms,
            needed_by: Vec::new(),
            epoch: 0,
            state: State::Unwanted,
            reason: "nobody started it".into(),
            last_end: None,
            failures: 0,
            backoff: Backoff::new(PAUSE_MS),
        }
    }

    /// Whether it has a process, or one was asked for.
    pub const fn has_process(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running { .. } | State::Stopping(_))
    }

    /// Whether there is a process that a signal would reach.
    pub const fn is_started(&self) -> bool {
        match &self.state {
            State::Starting { started, .. } | State::Stopping(Stopping { started, .. }) => *started,
            State::Running { .. } => true,
            _ => false,
        }
    }

    /// Whether those that need it may start.
    pub const fn is_met(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Ended { well: true })
    }

    /// When something is due; `is_ending` says that everything stops, and nobody becomes impatient any more.
    pub fn due(&self, is_ending: bool) -> Option<u64> {
        match &self.state {
            State::Starting { ready_by, .. } if !is_ending => *ready_by,
            State::Running { ill: Some((since, _)), .. } if !is_ending => {
                Some(since.saturating_add(ILLNESS_MS))
            }
            State::Stopping(stopping) => stopping.next_at,
            State::Pausing { until } => Some(*until),
            _ => None,
        }
    }

    /// Failures count from the last good run. To be called when a unit is about to leave [`State::Running`].
    pub fn judge_run(&mut self, now: u64) {
        if let State::Running { since, ill } = &self.state {
            let well_until = ill.as_ref().map_or(now, |(since, _)| *since);
            if self.backoff.ran_for(well_until.saturating_sub(*since)) {
                self.failures = 0;
            }
        }
    }

    pub const fn forget_failures(&mut self) {
        self.failures = 0;
        self.backoff.forget();
    }

    /// How long to wait before the next start: longer each time.
    pub fn next_pause_ms(&mut self) -> u64 {
        self.backoff.next_pause_ms()
    }

    pub const fn phase(&self) -> UnitPhase {
        match self.state {
            State::Unwanted | State::Waiting => UnitPhase::Waiting,
            State::Starting { .. } => UnitPhase::Starting,
            State::Running { .. } => UnitPhase::Running,
            State::Stopping(_) => UnitPhase::Stopping,
            State::Pausing { .. } => UnitPhase::Pausing,
            State::Stopped | State::Ended { well: true } => UnitPhase::Ended,
            State::Ended { well: false } | State::Failed => UnitPhase::Failed,
        }
    }
}

/// A duration in milliseconds as a person writes it.
pub fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}
