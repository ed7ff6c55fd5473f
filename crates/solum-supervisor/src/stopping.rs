//! How units stop: one alone, and all of them.

use solum_spec::control::{EXITED_BY_SIGTERM, Outcome, SIGKILL, SIGTERM};
use solum_spec::handover::DO_NOT_RESTART;

use crate::Supervisor;
use crate::event::Effect;
use crate::terms::KILL_PATIENCE_MS;
use crate::unit::{After, State, Stopping, Unit, duration};

/// Why everything stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Somebody wants it.
    Stop,
    /// A unit was given up, and the machine starts anew.
    Restart {
        /// Which, and why.
        why: String,
    },
}

/// Why a unit does not run that somebody stopped.
const ON_REQUEST: &str = "it was stopped on request";

/// Whether a unit that was asked to stop did so.
const fn stopped_well(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Exited(0 | DO_NOT_RESTART | EXITED_BY_SIGTERM)
            | Outcome::Signaled { signal: SIGTERM, after_grace: false }
    )
}

impl Supervisor {
    /// A unit is not to run, whatever it is doing.
    pub(crate) fn stop(&mut self, now: u64, unit: usize) {
        let reason = ON_REQUEST;
        match &mut self.units[unit].state {
            State::Starting { .. } | State::Running { .. } => self.begin_stop(now, unit, After::Rest, reason),
            State::Stopping(stopping) => stopping.after = After::Rest,
            State::Waiting | State::Pausing { .. } => self.rest(unit, State::Stopped, None, reason.into()),
            State::Unwanted | State::Stopped | State::Ended { .. } | State::Failed => {}
        }
    }

    /// Asks a unit to stop, now or as soon as it has a process.
    pub(crate) fn begin_stop(&mut self, now: u64, unit: usize, after: After, reason: &str) {
        let is_started = self.units[unit].is_started();
        self.units[unit].judge_run(now);
        let stopping = Stopping { started: false, killed: false, next_at: None, after };
        self.change(unit, State::Stopping(stopping), reason.to_owned());
        if is_started {
            self.signal_stop(now, unit);
        }
    }

    pub(crate) fn signal_stop(&mut self, now: u64, unit: usize) {
        // A deadline is never now, or the caller would come back at once.
        let grace_ms = u64::from(self.units[unit].terms.grace_ms.max(1));
        if let State::Stopping(stopping) = &mut self.units[unit].state {
            stopping.started = true;
            stopping.next_at = Some(now.saturating_add(grace_ms));
            self.effects.push(Effect::Signal { unit, number: SIGTERM });
        }
    }

    /// A stop whose grace is over.
    pub(crate) fn kill(&mut self, unit: usize) {
        let limit = duration(u64::from(self.units[unit].terms.grace_ms));
        if let State::Stopping(stopping) = &mut self.units[unit].state {
            stopping.killed = true;
            stopping.next_at = None;
            self.effects.push(Effect::Signal { unit, number: SIGKILL });
            self.tell(unit, format!("it did not stop within {limit} and is killed"));
        }
    }

    /// A process in uninterruptible sleep does not even die of SIGKILL. The others are stopped all the same.
    pub(crate) fn leave_behind(&mut self, unit: usize) {
        let outcome = Outcome::Signaled { signal: SIGKILL, after_grace: true };
        let reason = "it does not even end when it is killed, and is left behind".to_owned();
        self.rest(unit, State::Ended { well: false }, Some((outcome, true)), reason);
    }

    /// A unit that was asked to stop has no process any more. `is_last` says that it does not want another.
    pub(crate) fn stopped(
        &mut self,
        now: u64,
        unit: usize,
        after: After,
        outcome: Outcome,
        it_ended: String,
        is_last: bool,
    ) {
        let is_failure = !stopped_well(&outcome);
        match after {
            After::Failure(why) => {
                let outcome = Outcome::GivenUp(format!("the unit {}: {why}", self.units[unit].terms.name));
                if is_last {
                    self.rest(unit, State::Ended { well: false }, Some((outcome, true)), why);
                } else {
                    self.failed(now, unit, outcome, why);
                }
            }
            After::Again => {
                self.record(unit, outcome, is_failure);
                self.let_wait(unit);
            }
            After::Rest => {
                let reason = match (&self.ending, is_failure) {
                    (Some(_), _) => it_ended,
                    (None, false) => ON_REQUEST.to_owned(),
                    (None, true) => format!("{ON_REQUEST}: {it_ended}"),
                };
                self.rest(unit, State::Stopped, Some((outcome, is_failure)), reason);
            }
        }
    }

    /// Stops whatever nobody needs any more.
    pub(crate) fn go_on_ending(&mut self, now: u64) {
        let reason = match self.ending {
            Some(Ending::Restart { .. }) => "the machine starts anew",
            Some(Ending::Stop) | None => "everything stops",
        };
        for unit in 0..self.units.len() {
            let is_needed = self.units[unit].needed_by.iter().any(|&other| self.units[other].has_process());
            match &mut self.units[unit].state {
                State::Waiting | State::Pausing { .. } => {
                    self.rest(unit, State::Stopped, None, reason.to_owned());
                }
                State::Starting { .. } | State::Running { .. } if !is_needed => {
                    self.begin_stop(now, unit, After::Rest, reason);
                }
                // It was killed, and there is no time to wait for it any longer than that.
                State::Stopping(Stopping { killed: true, next_at: next_at @ None, .. }) => {
                    *next_at = Some(now.saturating_add(KILL_PATIENCE_MS));
                }
                _ => {}
            }
        }
    }

    /// Says so when no unit runs and none will. Before the first was started, somebody may still come.
    pub(crate) fn end_if_over(&mut self) {
        let is_over = if self.ending.is_some() {
            !self.units.iter().any(Unit::has_process)
        } else {
            self.units.iter().any(|unit| unit.last_end.is_some()) && !self.will_go_on()
        };
        if is_over {
            self.is_over = true;
            self.effects.push(match self.ending.take() {
                Some(Ending::Restart { why }) => Effect::RestartMachine { why },
                Some(Ending::Stop) | None => Effect::Over(self.outcome()),
            });
        }
    }

    /// Whether a unit runs, or one will start. Whoever stopped one may start it again: a machine that switches itself off
    /// while its user exchanges a unit would be a nuisance.
    fn will_go_on(&self) -> bool {
        let mut will_run = vec![false; self.units.len()];
        for &unit in &self.order {
            let known = &self.units[unit];
            will_run[unit] = match known.state {
                State::Stopped
                | State::Starting { .. }
                | State::Running { .. }
                | State::Stopping(_)
                | State::Pausing { .. } => true,
                State::Waiting => {
                    known.terms.needs.iter().all(|&need| self.units[need].is_met() || will_run[need])
                }
                State::Unwanted | State::Ended { .. } | State::Failed => false,
            };
        }
        will_run.contains(&true)
    }

    /// The first failure; where there is none, the last end.
    fn outcome(&self) -> Outcome {
        let ends = || self.units.iter().filter_map(|unit| unit.last_end.as_ref());
        let failure = ends().filter(|end| end.is_failure).min_by_key(|end| end.rank);
        failure.or_else(|| ends().max_by_key(|end| end.rank)).map_or_else(
            || Outcome::NotStarted("everything was asked to stop before any unit was started".into()),
            |end| end.outcome.clone(),
        )
    }
}
