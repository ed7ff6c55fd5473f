//! Whether a machine that ended is started again, and when. Decisions only: no I/O, and the time is given.

use std::ops::RangeInclusive;

use solum_spec::control::Outcome;
use solum_supervisor::Backoff;

use crate::error::VmError;
use crate::report::{End, Report};

/// Pause before a machine that vanished is started again, in milliseconds: at first, and at most.
const PAUSE_MS: RangeInclusive<u64> = 1_000..=30_000;

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It runs, or is being started.
    On,
    /// It vanished, and is started again then.
    Away { until: u64 },
    /// It is over.
    Off,
}

/// The lives of one machine.
#[derive(Clone, Debug)]
pub struct Lives {
    presence: Presence,
    /// When the whole run is over.
    timeout: Option<u64>,
    /// Since when its units run in this life.
    up_since: Option<u64>,
    /// Its units ran in one of its lives.
    was_up: bool,
    backoff: Backoff,
}

/// What follows from an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The machine is over.
    Off,
    /// It is started again after this pause.
    Again {
        /// In milliseconds.
        pause_ms: u64,
    },
}

/// What is due for a machine that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// To start it.
    Start,
    /// To end it: the run had so much time and no more.
    TimedOut {
        /// So much, in milliseconds.
        limit_ms: u64,
    },
}

impl Lives {
    /// A machine that is being started, in a run that is over then, in milliseconds since its beginning.
    pub const fn new(timeout: Option<u64>) -> Self {
        let backoff = Backoff::new(PAUSE_MS);
        Self { presence: Presence::On, timeout, up_since: None, was_up: false, backoff }
    }

    /// Whether it runs, or is being started.
    pub fn is_on(&self) -> bool {
        self.presence == Presence::On
    }

    /// Whether it is over.
    pub fn is_off(&self) -> bool {
        self.presence == Presence::Off
    }

    /// Its units were started.
    pub const fn came_up(&mut self, now: u64) {
        self.up_since = Some(now);
        self.was_up = true;
    }

    /// It ended. One that never came up is not tried again: what is wrong with it will be wrong the next time. `is_unwanted`:
    /// everything shall stop.
    pub fn ended(&mut self, now: u64, end: &Result<Report, VmError>, is_unwanted: bool) -> Verdict {
        if let Some(since) = self.up_since.take() {
            self.backoff.ran_for(now.saturating_sub(since));
        }
        if is_unwanted || !self.was_up || !is_unasked(end) {
            self.presence = Presence::Off;
            return Verdict::Off;
        }
        let pause_ms = self.backoff.next_pause_ms();
        self.presence = Presence::Away { until: now.saturating_add(pause_ms) };
        Verdict::Again { pause_ms }
    }

    /// Everything shall stop; whether it was away, and is over therefore.
    pub fn stop(&mut self) -> bool {
        let is_away = matches!(self.presence, Presence::Away { .. });
        if is_away {
            self.presence = Presence::Off;
        }
        is_away
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<u64> {
        match self.presence {
            Presence::Away { until } => Some(self.timeout.map_or(until, |timeout| timeout.min(until))),
            Presence::On | Presence::Off => None,
        }
    }

    /// What is due now, if anything; it counts as done.
    pub fn due(&mut self, now: u64) -> Option<Due> {
        self.deadline().filter(|at| *at <= now)?;
        if let Some(limit_ms) = self.timeout.filter(|timeout| *timeout <= now) {
            self.presence = Presence::Off;
            return Some(Due::TimedOut { limit_ms });
        }
        self.presence = Presence::On;
        Some(Due::Start)
    }
}

/// Whether an end is one that nobody asked for, and that another life may not have.
fn is_unasked(end: &Result<Report, VmError>) -> bool {
    match end {
        Ok(report) if report.reboots => true,
        Ok(report) => match &report.end {
            End::Program(Outcome::MachineFailed(_))
            | End::KernelPanic(_)
            | End::MemoryTooSmall(_)
            | End::NotBootable
            | End::Vanished
            | End::PowerCut(_)
            | End::NoProgress(..)
            | End::Garbled => true,
            // Its units are through with what they were for, or somebody wanted the end.
            End::Program(_)
            | End::OutOfMemory(_)
            | End::Stopped
            | End::Killed
            | End::TimedOut(_)
            | End::OtherProtocol(_) => false,
        },
        // What a host refuses to a machine that ran on it before, it may grant a moment later.
        Err(_) => true,
    }
}

/// What happened to a machine that is started again, as a verb.
pub const fn verb(end: &Result<Report, VmError>) -> &'static str {
    match end {
        Ok(Report { end: End::Program(_), .. }) => "ended",
        Ok(_) => "vanished",
        Err(_) => "could not be run",
    }
}

#[cfg(test)]
mod tests {
    use solum_spec::ByteSize;
    use solum_supervisor::GOOD_RUN_MS;

    use super::*;
    use crate::report::Durations;

    fn end(end: End) -> Result<Report, VmError> {
        Ok(Report { end, reboots: false, kernel_log: Vec::new(), durations: Durations::default() })
    }

    fn killed() -> Result<Report, VmError> {
        end(End::PowerCut(9))
    }

    fn again(pause_ms: u64) -> Verdict {
        Verdict::Again { pause_ms }
    }

    #[test]
    fn a_machine_that_vanished_is_started_again_and_later_each_time() {
        let mut lives = Lives::new(None);
        let mut now = 0;
        for pause_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            lives.came_up(now);
            assert_eq!(lives.ended(now + 5, &killed(), false), again(pause_ms));
            now += 5 + pause_ms;
            assert!(!lives.is_on() && !lives.is_off());
            assert_eq!((lives.deadline(), lives.due(now - 1)), (Some(now), None));
            assert_eq!(lives.due(now), Some(Due::Start));
            assert!(lives.is_on());
            assert_eq!((lives.deadline(), lives.due(now)), (None, None));
        }
        lives.came_up(now);
        assert_eq!(lives.ended(now + GOOD_RUN_MS, &killed(), false), again(1_000));
    }

    #[test]
    fn only_a_machine_that_was_up_is_tried_again() {
        let mut lives = Lives::new(None);
        assert_eq!(lives.ended(1, &killed(), false), Verdict::Off);
        assert!(lives.is_off());
        let mut lives = Lives::new(None);
        lives.came_up(1);
        assert_eq!(lives.ended(2, &killed(), false), again(1_000));
        assert_eq!(lives.due(1_002), Some(Due::Start));
        // The second life did not come up, but the first did.
        assert_eq!(lives.ended(1_003, &Err(VmError::Refused("busy".into())), false), again(2_000));
    }

    #[test]
    fn an_end_that_somebody_wanted_or_that_units_came_to_is_the_last() {
        let failed = || "the unit a failed 10 times".to_owned();
        for (is_last, ended) in [
            (false, End::Program(Outcome::MachineFailed(failed()))),
            (false, End::KernelPanic("sysrq".into())),
            (false, End::MemoryTooSmall("no".into())),
            (false, End::Vanished),
            (false, End::NoProgress(std::time::Duration::from_secs(1), crate::Accelerator::Tcg)),
            (false, End::Garbled),
            (true, End::Program(Outcome::Exited(0))),
            (true, End::Program(Outcome::Exited(1))),
            (true, End::Program(Outcome::GivenUp(failed()))),
            (true, End::OutOfMemory(ByteSize::mebibytes(1))),
            (true, End::Stopped),
            (true, End::Killed),
            (true, End::TimedOut(std::time::Duration::from_secs(1))),
            (true, End::OtherProtocol(9)),
        ] {
            let mut lives = Lives::new(None);
            lives.came_up(0);
            let ended = end(ended);
            assert_eq!(lives.ended(1, &ended, false) == Verdict::Off, is_last, "{ended:?}");
        }
    }

    #[test]
    fn a_machine_that_reboots_has_another_life() {
        let mut lives = Lives::new(None);
        lives.came_up(0);
        let ended = end(End::Program(Outcome::Exited(0))).map(|report| Report { reboots: true, ..report });
        assert_eq!(lives.ended(1, &ended, false), again(1_000));
    }

    #[test]
    fn nothing_is_started_once_everything_shall_stop() {
        let mut lives = Lives::new(None);
        lives.came_up(0);
        assert!(!lives.stop(), "it has to end first");
        assert_eq!(lives.ended(1, &killed(), true), Verdict::Off);
        let mut lives = Lives::new(None);
        lives.came_up(0);
        lives.ended(1, &killed(), false);
        assert!(lives.stop());
        assert!(lives.is_off());
        assert_eq!(lives.due(u64::MAX), None);
    }

    #[test]
    fn a_pause_does_not_outlast_the_run() {
        let mut lives = Lives::new(Some(500));
        lives.came_up(0);
        lives.ended(1, &killed(), false);
        assert_eq!(lives.deadline(), Some(500));
        assert_eq!(lives.due(500), Some(Due::TimedOut { limit_ms: 500 }));
        assert!(lives.is_off());
    }
}
