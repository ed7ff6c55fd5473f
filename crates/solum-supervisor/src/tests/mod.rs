//! Each rule of supervision, as a sentence; and what holds whatever happens.

mod commands;
mod ending;
mod properties;
mod readiness;
mod restarting;
mod starting;

use solum_spec::control::{SIGKILL, SIGTERM, Status};
use solum_spec::description::{GiveUp, Readiness, Restart};
use solum_spec::handover::UnitPhase;

use crate::{
    Command, Effect, Event, FAILURES_MAX, GOOD_RUN_MS, ILLNESS_MS, KILL_PATIENCE_MS, MachineTerms,
    Supervisor, UnitTerms,
};

const GRACE_MS: u64 = 10_000;
const READY_WITHIN_MS: u64 = 30_000;

/// Units with these names and needs, which tell when they are ready and are restarted on failure.
fn units(needs: &[(&str, &[usize])]) -> Vec<UnitTerms> {
    let unit = |(name, needs): &(&str, &[usize])| UnitTerms {
        name: (*name).to_owned(),
        needs: needs.to_vec(),
        restart: Restart::OnFailure,
        ready: Readiness::Told,
        ready_within_ms: READY_WITHIN_MS as u32,
        grace_ms: GRACE_MS as u32,
        wait: vec![],
        autostart: true,
    };
    needs.iter().map(unit).collect()
}

fn single(change: impl FnOnce(&mut UnitTerms)) -> Bench {
    let mut units = units(&[("a", &[])]);
    change(&mut units[0]);
    Bench::new(units)
}

/// A supervisor whose units are started as they should be.
#[derive(Clone)]
struct Bench {
    supervisor: Supervisor,
    now: u64,
    epochs: Vec<u32>,
    reasons: Vec<String>,
}

impl Bench {
    fn new(units: Vec<UnitTerms>) -> Self {
        Self::on(units, GiveUp::Degrade)
    }

    fn on(units: Vec<UnitTerms>, give_up: GiveUp) -> Self {
        let count = units.len();
        let supervisor = Supervisor::new(units, MachineTerms { give_up });
        Self { supervisor, now: 0, epochs: vec![0; count], reasons: vec![String::new(); count] }
    }

    /// What the supervisor wants done; what it tells is remembered.
    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = self.supervisor.step(self.now, event);
        for effect in &effects {
            match effect {
                Effect::Changed { unit, reason, .. } => self.reasons[*unit].clone_from(reason),
                Effect::Start { unit, epoch } => self.epochs[*unit] = *epoch,
                _ => {}
            }
        }
        effects.retain(|effect| !matches!(effect, Effect::Changed { .. }));
        effects
    }

    fn started(&mut self, unit: usize) -> Vec<Effect> {
        self.step(Event::Started { unit, epoch: self.epochs[unit] })
    }

    fn ready(&mut self, unit: usize) -> Vec<Effect> {
        let mut effects = self.started(unit);
        effects.extend(self.step(Event::Ready { unit, epoch: self.epochs[unit] }));
        effects
    }

    fn ended(&mut self, unit: usize, status: Status) -> Vec<Effect> {
        self.step(Event::Ended { unit, epoch: self.epochs[unit], status })
    }

    fn health(&mut self, unit: usize, health: Result<(), &str>) -> Vec<Effect> {
        let health = health.map_err(str::to_owned);
        self.step(Event::Health { unit, epoch: self.epochs[unit], health })
    }

    fn command(&mut self, unit: usize, command: Command) -> Vec<Effect> {
        self.step(Event::Command { unit, command })
    }

    /// Lets the time pass until something is due.
    fn due(&mut self) -> Vec<Effect> {
        self.now = self.supervisor.deadline().expect("something is due");
        self.step(Event::DeadlineReached)
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.now += ms;
        self
    }

    fn phase(&self, unit: usize) -> UnitPhase {
        self.supervisor.phase(unit).unwrap().0
    }

    /// Starts everything and says that it is ready, in order.
    fn all_ready(mut self) -> Self {
        self.step(Event::Up);
        for unit in 0..self.epochs.len() {
            self.ready(unit);
        }
        self
    }
}

fn start(unit: usize, epoch: u32) -> Effect {
    Effect::Start { unit, epoch }
}

fn signal(unit: usize, number: u8) -> Effect {
    Effect::Signal { unit, number }
}

const CRASH: Status = Status::Signaled(11);
