//! The supervisor of one machine: its state, and what follows from each event.

use solum_spec::control::{Outcome, Status};
use solum_spec::description::{GiveUp, Readiness, Restart, Wait};
use solum_spec::handover::{DO_NOT_RESTART, UnitPhase};

use crate::event::{Command, Effect, Event};
use crate::needs;
use crate::stopping::Ending;
use crate::terms::{FAILURES_MAX, ILLNESS_MS, MachineTerms, UnitTerms};
use crate::unit::{After, LastEnd, State, Unit, duration};

/// Decides when each unit starts, stops and starts again.
#[derive(Clone, Debug)]
pub struct Supervisor {
    pub(crate) units: Vec<Unit>,
    /// Units in the order in which they may start.
    pub(crate) order: Vec<usize>,
    machine: MachineTerms,
    up: bool,
    met: Vec<Wait>,
    pub(crate) ending: Option<Ending>,
    pub(crate) is_over: bool,
    /// How many ends there were.
    ends: u64,
    /// What the step under way has decided.
    pub(crate) effects: Vec<Effect>,
}

impl Supervisor {
    /// Units that are just described; nothing starts before [`Event::Up`].
    pub fn new(units: Vec<UnitTerms>, machine: MachineTerms) -> Self {
        let mut needs: Vec<Vec<usize>> = units.iter().map(|terms| terms.needs.clone()).collect();
        let order = needs::put_in_order(&mut needs);
        let needed_by = needs::needed_by(&needs, &order);
        let mut units: Vec<Unit> = units.into_iter().map(Unit::new).collect();
        for (unit, (needs, needed_by)) in units.iter_mut().zip(needs.into_iter().zip(needed_by)) {
            unit.terms.needs = needs;
            unit.needed_by = needed_by;
        }
        let mut supervisor = Self {
            units,
            order,
            machine,
            up: false,
            met: Vec::new(),
            ending: None,
            is_over: false,
            ends: 0,
            effects: Vec::new(),
        };
        for unit in 0..supervisor.units.len() {
            if supervisor.units[unit].terms.autostart {
                supervisor.want(unit);
            }
        }
        supervisor
    }

    /// When [`Event::DeadlineReached`] is due, in milliseconds of the caller's monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        let is_ending = self.ending.is_some();
        self.units.iter().filter_map(|unit| unit.due(is_ending)).min()
    }

    /// Whether everything stops, so that commands have no effect any more.
    pub const fn is_stopping(&self) -> bool {
        self.ending.is_some() || self.is_over
    }

    /// Whether a unit that ends now does so because somebody wants it, and not by itself nor for its own failure.
    pub fn is_asked_to_stop(&self, unit: usize) -> bool {
        let state = self.units.get(unit).map(|unit| &unit.state);
        let is_asked = match state {
            Some(State::Stopping(stopping)) => !matches!(stopping.after, After::Failure(_)),
            _ => false,
        };
        is_asked || self.is_stopping()
    }

    /// How a unit ended last, if that is a failure.
    pub fn failure(&self, unit: usize) -> Option<&Outcome> {
        let end = self.units.get(unit)?.last_end.as_ref()?;
        end.is_failure.then_some(&end.outcome)
    }

    /// What a unit is doing, and why. The reason is the rest of a sentence that begins with its name and a colon.
    pub fn phase(&self, unit: usize) -> Option<(UnitPhase, &str)> {
        self.units.get(unit).map(|unit| (unit.phase(), unit.reason.as_str()))
    }

    /// How many times a unit was started.
    pub fn epoch(&self, unit: usize) -> Option<u32> {
        self.units.get(unit).map(|unit| unit.epoch)
    }

    /// Decides what follows from `event`. `now` is in milliseconds of a monotonic clock.
    pub fn step(&mut self, now: u64, event: Event) -> Vec<Effect> {
        if self.is_over {
            return Vec::new();
        }
        match event {
            Event::Up => self.up = true,
            Event::ConditionMet(condition) => {
                if !self.met.contains(&condition) {
                    self.met.push(condition);
                }
            }
            Event::Started { unit, epoch } if self.is_current(unit, epoch) => self.started(now, unit),
            Event::StartFailed { unit, epoch, why } if self.is_current(unit, epoch) => {
                self.start_failed(now, unit, &why);
            }
            Event::Ready { unit, epoch } if self.is_current(unit, epoch) => self.ready(now, unit),
            Event::Health { unit, epoch, health } if self.is_current(unit, epoch) => {
                self.health(now, unit, health);
            }
            Event::Ended { unit, epoch, status } if self.is_current(unit, epoch) => {
                self.ended(now, unit, status)
            }
            Event::Command { unit, command } if unit < self.units.len() => self.command(now, unit, command),
            Event::StopAll => self.ending = Some(Ending::Stop),
            Event::DeadlineReached => self.deadline_reached(now),
            // Of a process that was replaced since, or of no unit at all.
            Event::Started { .. }
            | Event::StartFailed { .. }
            | Event::Ready { .. }
            | Event::Health { .. }
            | Event::Ended { .. }
            | Event::Command { .. } => {}
        }
        if self.ending.is_some() {
            self.go_on_ending(now);
        } else if self.up {
            self.start_what_may_start();
        }
        self.tell_who_waits();
        self.end_if_over();
        std::mem::take(&mut self.effects)
    }

    /// Whether this is the process that the unit has now.
    fn is_current(&self, unit: usize, epoch: u32) -> bool {
        self.units.get(unit).is_some_and(|unit| unit.epoch == epoch && unit.has_process())
    }

    fn started(&mut self, now: u64, unit: usize) {
        let terms = &self.units[unit].terms;
        let ready = terms.ready;
        let by = now.saturating_add(u64::from(terms.ready_within_ms));
        match &mut self.units[unit].state {
            State::Starting { started: false, .. } if ready == Readiness::Start => self.ready(now, unit),
            State::Starting { started: started @ false, ready_by } => {
                *started = true;
                *ready_by = Some(by);
            }
            State::Stopping(stopping) if !stopping.started => self.signal_stop(now, unit),
            _ => {}
        }
    }

    fn ready(&mut self, now: u64, unit: usize) {
        if matches!(self.units[unit].state, State::Starting { .. }) {
            self.change(unit, State::Running { since: now, ill: None }, "it is ready".into());
        }
    }

    /// Health counts from readiness on: what is said before, being ready answers.
    fn health(&mut self, now: u64, unit: usize, health: Result<(), String>) {
        let State::Running { since, ill } = &self.units[unit].state else { return };
        let since = *since;
        match (health, ill) {
            (Ok(()), Some(_)) => {
                // A run that was interrupted by illness is not a long one.
                self.units[unit].judge_run(now);
                self.change(unit, State::Running { since: now, ill: None }, "it is healthy again".into());
            }
            (Err(why), None) => {
                let ill = Some((now, why.clone()));
                self.change(unit, State::Running { since, ill }, format!("it is not healthy: {why}"));
            }
            (Ok(()), None) | (Err(_), Some(_)) => {}
        }
    }

    fn start_failed(&mut self, now: u64, unit: usize, why: &str) {
        let outcome = Outcome::NotStarted(why.to_owned());
        match self.units[unit].state.clone() {
            State::Stopping(stopping) => {
                self.stopped(now, unit, stopping.after, outcome, why.to_owned(), false)
            }
            _ => self.failed(now, unit, outcome, why.to_owned()),
        }
    }

    fn ended(&mut self, now: u64, unit: usize, status: Status) {
        let it_ended = format!("it {status}");
        match self.units[unit].state.clone() {
            State::Stopping(stopping) => {
                let is_last = status == Status::Exited(DO_NOT_RESTART);
                let outcome = status.outcome(stopping.killed);
                self.stopped(now, unit, stopping.after, outcome, it_ended, is_last);
            }
            _ if self.ending.is_some() => {
                self.stopped(now, unit, After::Rest, status.outcome(false), it_ended, false);
            }
            state => {
                self.units[unit].judge_run(now);
                let was_ready = matches!(state, State::Running { .. });
                self.ended_by_itself(now, unit, status, it_ended, was_ready);
            }
        }
    }

    fn ended_by_itself(&mut self, now: u64, unit: usize, status: Status, it_ended: String, was_ready: bool) {
        let outcome = status.outcome(false);
        match (status, self.units[unit].terms.restart) {
            (Status::Exited(DO_NOT_RESTART), _) => {
                let reason = format!("{it_ended}, so it is not started again");
                self.rest(unit, State::Ended { well: true }, Some((outcome, false)), reason);
            }
            (Status::Exited(0), Restart::Always) if was_ready => {
                self.record(unit, outcome, false);
                self.pause(now, unit, &it_ended);
            }
            // Whoever shall always be there and does not even get ready is not doing well, whatever its status says.
            (Status::Exited(0), Restart::Always) => {
                self.failed(now, unit, outcome, format!("{it_ended} before it was ready"));
            }
            (Status::Exited(0), Restart::OnFailure | Restart::Never) => {
                self.rest(unit, State::Ended { well: true }, Some((outcome, false)), it_ended);
            }
            (Status::Exited(_) | Status::Signaled(_) | Status::OutOfMemory, _) => {
                self.failed(now, unit, outcome, it_ended);
            }
        }
    }

    /// A unit has no process any more, by a failure that counts.
    pub(crate) fn failed(&mut self, now: u64, unit: usize, outcome: Outcome, why: String) {
        let is_ending = self.ending.is_some();
        let known = &mut self.units[unit];
        known.failures = known.failures.saturating_add(1);
        if is_ending || known.terms.restart == Restart::Never {
            self.rest(unit, State::Ended { well: false }, Some((outcome, true)), why);
        } else if known.failures >= FAILURES_MAX {
            let name = known.terms.name.clone();
            self.rest(unit, State::Failed, Some((outcome, true)), format!("given up: {why}"));
            self.effects.push(Effect::GaveUp { unit });
            if self.machine.give_up == GiveUp::RestartMachine {
                let why = format!("the unit {name} failed {FAILURES_MAX} times, last: {why}");
                self.ending = Some(Ending::Restart { why });
            }
        } else {
            self.record(unit, outcome, true);
            self.pause(now, unit, &why);
        }
    }

    fn pause(&mut self, now: u64, unit: usize, why: &str) {
        let pause_ms = self.units[unit].next_pause_ms();
        let reason = format!("{why}; it is started again in {}", duration(pause_ms));
        self.change(unit, State::Pausing { until: now.saturating_add(pause_ms) }, reason);
    }

    /// From now on nothing happens to this unit by itself. `end` is how its process ended, and whether that is a failure.
    pub(crate) fn rest(&mut self, unit: usize, state: State, end: Option<(Outcome, bool)>, reason: String) {
        if let Some((outcome, is_failure)) = end {
            self.record(unit, outcome, is_failure);
        }
        self.change(unit, state, reason);
    }

    pub(crate) fn record(&mut self, unit: usize, outcome: Outcome, is_failure: bool) {
        self.ends += 1;
        self.units[unit].last_end = Some(LastEnd { rank: self.ends, outcome, is_failure });
    }

    pub(crate) fn change(&mut self, unit: usize, state: State, reason: String) {
        self.units[unit].state = state;
        self.tell(unit, reason);
    }

    pub(crate) fn tell(&mut self, unit: usize, reason: String) {
        let phase = self.units[unit].phase();
        self.units[unit].reason.clone_from(&reason);
        self.effects.push(Effect::Changed { unit, phase, reason });
    }

    /// Lets a unit wait for its start. Those who wait are told of at the end of the step, if they still wait then.
    pub(crate) fn let_wait(&mut self, unit: usize) {
        self.units[unit].state = State::Waiting;
        self.units[unit].reason = "it waits for its turn".into();
    }

    fn command(&mut self, now: u64, unit: usize, command: Command) {
        match command {
            _ if self.ending.is_some() => {}
            Command::Start => {
                self.units[unit].forget_failures();
                self.want(unit);
            }
            Command::Stop => self.stop(now, unit),
            Command::Restart => {
                self.units[unit].forget_failures();
                match self.units[unit].state {
                    State::Starting { .. } | State::Running { .. } => {
                        self.begin_stop(now, unit, After::Again, "it is restarted on request");
                    }
                    _ => self.want(unit),
                }
            }
            Command::Replace => self.units[unit].forget_failures(),
        }
    }

    /// Makes a unit start, and those it needs that do not run and would not come by themselves.
    fn want(&mut self, wanted: usize) {
        let mut is_seen = vec![false; self.units.len()];
        let mut open = vec![wanted];
        while let Some(unit) = open.pop() {
            if std::mem::replace(&mut is_seen[unit], true) {
                continue;
            }
            match &mut self.units[unit].state {
                State::Starting { .. } | State::Running { .. } => continue,
                // What has done its work is not done again for others, and a pause is not cut short for them.
                State::Ended { well: true } | State::Pausing { .. } if unit != wanted => continue,
                State::Stopping(stopping) => stopping.after = After::Again,
                State::Waiting => {}
                State::Unwanted
                | State::Stopped
                | State::Ended { .. }
                | State::Pausing { .. }
                | State::Failed => {
                    self.units[unit].forget_failures();
                    self.let_wait(unit);
                }
            }
            open.extend_from_slice(&self.units[unit].terms.needs);
        }
    }

    fn start_what_may_start(&mut self) {
        for place in 0..self.order.len() {
            let unit = self.order[place];
            let known = &self.units[unit];
            let may_start = known.state == State::Waiting
                && known.terms.wait.iter().all(|condition| self.met.contains(condition))
                && known.terms.needs.iter().all(|&need| self.units[need].is_met());
            if may_start {
                let known = &mut self.units[unit];
                known.epoch = known.epoch.wrapping_add(1);
                let epoch = known.epoch;
                self.change(unit, State::Starting { started: false, ready_by: None }, "it is started".into());
                self.effects.push(Effect::Start { unit, epoch });
            }
        }
    }

    fn tell_who_waits(&mut self) {
        for unit in 0..self.units.len() {
            if self.units[unit].state == State::Waiting && self.up {
                let reason = self.why_waiting(unit);
                if reason != self.units[unit].reason {
                    self.tell(unit, reason);
                }
            }
        }
    }

    fn why_waiting(&self, unit: usize) -> String {
        let terms = &self.units[unit].terms;
        let conditions = terms.wait.iter().filter(|condition| !self.met.contains(condition));
        let conditions = conditions.map(|condition| match condition {
            Wait::Network => "the network".to_owned(),
            Wait::Clock => "the clock".to_owned(),
        });
        let needs = terms.needs.iter().map(|&need| &self.units[need]).filter(|need| !need.is_met());
        let needs = needs.map(|need| {
            let name = &need.terms.name;
            match need.state {
                State::Failed => format!("{name}, which was given up"),
                State::Stopped => format!("{name}, which was stopped"),
                State::Ended { .. } => format!("{name}, which has ended"),
                State::Unwanted => format!("{name}, which nobody started"),
                _ => name.clone(),
            }
        });
        format!("it waits for {}", conditions.chain(needs).collect::<Vec<_>>().join(" and "))
    }

    fn deadline_reached(&mut self, now: u64) {
        let is_ending = self.ending.is_some();
        for unit in 0..self.units.len() {
            if self.units[unit].due(is_ending).is_some_and(|at| at <= now) {
                self.unit_is_due(now, unit);
            }
        }
    }

    fn unit_is_due(&mut self, now: u64, unit: usize) {
        let known = &self.units[unit];
        match &known.state {
            State::Starting { .. } => {
                let limit = duration(u64::from(known.terms.ready_within_ms));
                let why = format!("it was not ready within {limit}");
                self.begin_stop(now, unit, After::Failure(why.clone()), &why);
            }
            State::Running { ill: Some((_, why)), .. } => {
                let limit = duration(ILLNESS_MS);
                let why = format!("it was not healthy for {limit}: {why}");
                self.begin_stop(now, unit, After::Failure(why.clone()), &why);
            }
            State::Stopping(stopping) => {
                let killed = stopping.killed;
                if killed { self.leave_behind(unit) } else { self.kill(unit) }
            }
            State::Pausing { .. } => self.let_wait(unit),
            _ => {}
        }
    }
}
