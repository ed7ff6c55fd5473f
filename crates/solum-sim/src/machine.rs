//! Machines: power, the supervisor, and the units that it starts and ends. Every decision about a unit is that of the
//! supervisor which ships.

use std::rc::Rc;

use solum_spec::control::{SIGKILL, SIGTERM, Status};
use solum_spec::description::Wait;
use solum_spec::handover::UnitPhase;
use solum_spec::plan::Plan;
use solum_supervisor::{Command, Effect, Event as Told, MachineTerms, Supervisor, UnitTerms};

use crate::clock::MachineClock;
use crate::event::Event;
use crate::faults::Fault;
use crate::kernel::TaskId;
use crate::sim::{MachineNote, Sim, Terms};
use crate::task::{Ended, Task};
use crate::trace::Record;
use crate::world::UnitWorld;

/// How long a machine takes from power to its first unit, in nanoseconds.
const BOOT_NS: u64 = 300_000_000;
/// How long a unit takes from its start to its first instruction, in nanoseconds.
const START_NS: u64 = 2_000_000;
/// How long a machine that restarts itself is away, in nanoseconds.
const RESTART_NS: u64 = 500_000_000;
const MILLISECOND_NS: u64 = 1_000_000;
/// How many lines of each unit are kept for whoever judges the run.
const LINES_KEPT: usize = 10_000;
/// What the shell calls the end by a panic, and Rust's standard library uses.
const PANICKED: u8 = 101;

/// A machine.
pub struct Machine {
    /// Its units, by their places in the plan, in the order of the supervisor.
    pub units: Vec<usize>,
    /// How many times power came.
    pub life: u32,
    /// Whether it has power.
    pub is_on: bool,
    /// Its clocks.
    pub clock: MachineClock,
    terms: (Vec<UnitTerms>, MachineTerms),
    /// None until it is up.
    supervisor: Option<Supervisor>,
    /// When the supervisor is looked at next, in nanoseconds of the run.
    due_ns: Option<u64>,
}

impl Machine {
    /// All machines of a plan, without power.
    pub fn all(terms: &Terms) -> Vec<Self> {
        let plan = &terms.plan;
        let of = |note: &MachineNote| {
            let units: Vec<usize> =
                (0..plan.units.len()).filter(|unit| plan.units[*unit].machine == note.name).collect();
            Self {
                life: 0,
                is_on: false,
                clock: MachineClock::from_power_on(0),
                terms: (
                    units.iter().map(|unit| unit_terms(plan, &units, *unit)).collect(),
                    MachineTerms { give_up: note.give_up },
                ),
                units,
                supervisor: None,
                due_ns: None,
            }
        };
        terms.machines.iter().map(of).collect()
    }

    /// Whether its units may run.
    pub fn is_up(&self) -> bool {
        self.is_on && self.supervisor.is_some()
    }
}

fn unit_terms(plan: &Plan, machine: &[usize], unit: usize) -> UnitTerms {
    let described = &plan.units[unit];
    let here = |need: &usize| machine.iter().position(|unit| unit == need);
    UnitTerms {
        name: described.name.clone(),
        needs: described.needs.iter().filter_map(here).collect(),
        restart: described.restart,
        ready: described.ready,
        ready_within_ms: described.ready_within_ms,
        grace_ms: described.grace_ms,
        wait: described.wait.clone(),
        autostart: true,
    }
}

/// A unit, as the world knows it.
pub struct UnitState {
    /// Its full name.
    pub name: String,
    /// Its machine.
    pub machine: usize,
    /// Its place in its machine's supervisor.
    pub place: usize,
    /// The program it runs from its next start on.
    pub program: usize,
    /// What runs it.
    pub task: Option<TaskId>,
    /// Which start of it.
    pub epoch: u32,
    /// How many times it was started, in all lives of its machine.
    pub starts: u32,
    /// What it printed.
    pub lines: Vec<String>,
    /// Whether it said that it is ready.
    pub is_ready: bool,
}

impl UnitState {
    /// All units of a plan.
    pub fn all(plan: &Plan, machines: &[MachineNote]) -> Vec<Self> {
        let mut counts = vec![0; machines.len()];
        let of = |unit: &solum_spec::plan::Unit| {
            let machine = machines.iter().position(|machine| machine.name == unit.machine).unwrap_or(0);
            let place = counts[machine];
            counts[machine] += 1;
            Self {
                name: unit.full_name(),
                machine,
                place,
                program: unit.program,
                task: None,
                epoch: 0,
                starts: 0,
                lines: Vec::new(),
                is_ready: false,
            }
        };
        plan.units.iter().map(of).collect()
    }
}

impl Sim {
    /// Power comes: the machine will be up in a while.
    pub(crate) fn power_on(&self, machine: usize) {
        let now_ns = self.kernel.now_ns();
        let life = {
            let known = &mut self.machines.borrow_mut()[machine];
            if known.is_on {
                return;
            }
            known.is_on = true;
            known.life += 1;
            known.clock = MachineClock::from_power_on(now_ns);
            known.life
        };
        self.kernel.record(&Record::Power(machine as u32, true));
        self.disks_power_on(machine);
        self.kernel.after(BOOT_NS, Event::Up { machine, life });
    }

    pub(crate) fn machine_is_up(self: &Rc<Self>, machine: usize, life: u32) {
        {
            let known = &mut self.machines.borrow_mut()[machine];
            if !known.is_on || known.life != life {
                return;
            }
            let (units, terms) = known.terms.clone();
            known.supervisor = Some(Supervisor::new(units, terms));
            known.due_ns = None;
        }
        self.tell(machine, Told::ConditionMet(Wait::Network));
        self.tell(machine, Told::ConditionMet(Wait::Clock));
        self.tell(machine, Told::Up);
        self.connections_of_earlier_lives_end(machine);
        self.ways_changed(machine);
    }

    /// Power is gone, and everything that was not on a disk with it.
    pub(crate) fn cut_power(&self, machine: usize, is_taken: bool) {
        if !self.machines.borrow()[machine].is_on {
            return;
        }
        self.fault(Fault::PowerCut, machine, 0);
        self.switch_off(machine);
        self.disks_lose_power(machine, is_taken);
        let off_ns = self.misfortune.borrow_mut().power_is_off(self, machine);
        self.kernel.after(off_ns, Event::PowerOn { machine });
    }

    fn switch_off(&self, machine: usize) {
        let units = {
            let known = &mut self.machines.borrow_mut()[machine];
            known.is_on = false;
            known.supervisor = None;
            known.units.clone()
        };
        self.kernel.record(&Record::Power(machine as u32, false));
        for unit in units {
            let task = {
                let known = &mut self.units.borrow_mut()[unit];
                known.is_ready = false;
                // Which program it runs was remembered in memory alone.
                known.program = self.terms.plan.units[unit].program;
                known.task.take()
            };
            if let Some(task) = task {
                self.kernel.record(&Record::Ended(unit as u32, "without power".into()));
                self.kernel.condemn(task);
            }
        }
        self.ways_changed(machine);
        self.forget_keys(machine);
    }

    /// Tells the supervisor of a machine something, and does what it decides.
    pub(crate) fn tell(&self, machine: usize, event: Told) {
        let effects = {
            let known = &mut self.machines.borrow_mut()[machine];
            let now_ms = known.clock.local_ns(self.kernel.now_ns()) / MILLISECOND_NS;
            match &mut known.supervisor {
                Some(supervisor) => supervisor.step(now_ms, event),
                None => return,
            }
        };
        for effect in effects {
            self.apply(machine, effect);
        }
        self.watch_deadline(machine);
    }

    fn watch_deadline(&self, machine: usize) {
        let known = &mut self.machines.borrow_mut()[machine];
        let Some(deadline_ms) = known.supervisor.as_ref().and_then(Supervisor::deadline) else { return };
        let at_ns = known.clock.run_ns(deadline_ms.saturating_mul(MILLISECOND_NS));
        if known.due_ns.is_none_or(|due_ns| due_ns > at_ns) {
            known.due_ns = Some(at_ns);
            self.kernel.at(at_ns, Event::Supervise { machine, life: known.life });
        }
    }

    pub(crate) fn supervisor_is_due(&self, machine: usize, life: u32) {
        let is_over = {
            let known = &mut self.machines.borrow_mut()[machine];
            if known.life != life {
                return;
            }
            known.due_ns = None;
            let now_ms = known.clock.local_ns(self.kernel.now_ns()) / MILLISECOND_NS;
            known.supervisor.as_ref().and_then(Supervisor::deadline).is_some_and(|at_ms| at_ms <= now_ms)
        };
        match is_over {
            true => self.tell(machine, Told::DeadlineReached),
            false => self.watch_deadline(machine),
        }
    }

    fn apply(&self, machine: usize, effect: Effect) {
        let (life, unit_at) = {
            let known = &self.machines.borrow()[machine];
            (known.life, known.units.clone())
        };
        match effect {
            Effect::Start { unit, epoch } => {
                self.kernel.after(START_NS, Event::Start { unit: unit_at[unit], epoch, life });
            }
            Effect::Signal { unit, number } => self.end_unit(unit_at[unit], number),
            Effect::Changed { unit, phase, reason } => {
                let text = format!("{phase}: {reason}");
                self.kernel.record(&Record::Supervised(unit_at[unit] as u32, text.into()));
            }
            Effect::GaveUp { unit } => {
                if !self.terms.may_give_up {
                    let name = self.units.borrow()[unit_at[unit]].name.clone();
                    self.kernel.fail(format!("{name} failed too often and was given up"));
                }
            }
            Effect::RestartMachine { .. } => {
                self.switch_off(machine);
                self.kernel.after(RESTART_NS, Event::PowerOn { machine });
            }
            Effect::Over(_) => self.switch_off(machine),
        }
    }

    /// The process of a unit begins.
    pub(crate) fn start_unit(self: &Rc<Self>, unit: usize, epoch: u32, life: u32) {
        let (machine, place, program) = {
            let known = &self.units.borrow()[unit];
            (known.machine, known.place, known.program)
        };
        let is_current = {
            let known = &self.machines.borrow()[machine];
            let starts = known.supervisor.as_ref().and_then(|supervisor| supervisor.epoch(place));
            known.life == life && starts == Some(epoch)
        };
        if !is_current {
            return;
        }
        let sim = Rc::downgrade(self);
        let starts = {
            let known = &mut self.units.borrow_mut()[unit];
            known.epoch = epoch;
            known.starts += 1;
            known.is_ready = false;
            known.starts
        };
        let main = Rc::clone(&self.programs[program].main);
        let body = {
            let sim = sim.clone();
            move || match sim.upgrade() {
                Some(sim) => main(&mut UnitWorld::new(&sim, unit, starts)),
                None => Ok(()),
            }
        };
        let ended = move |how| {
            if let Some(sim) = sim.upgrade() {
                sim.unit_ended_by_itself(unit, epoch, how);
            }
        };
        match Task::new(body, ended) {
            Ok(task) => {
                self.kernel.record(&Record::Began(unit as u32, starts));
                let id = self.kernel.spawn(unit as u32, task);
                self.units.borrow_mut()[unit].task = Some(id);
                self.tell(machine, Told::Started { unit: place, epoch });
            }
            Err(error) => self.kernel.fail(format!("a unit has no stack: {error}")),
        }
    }

    fn unit_ended_by_itself(&self, unit: usize, epoch: u32, how: Ended) {
        let name = self.units.borrow()[unit].name.clone();
        let (status, text) = match how {
            Ended::Returned(Ok(())) => (0, "well".to_owned()),
            Ended::Returned(Err(exit)) => {
                self.keep_line(unit, &format!("error: {}", exit.text));
                (exit.status, exit.text)
            }
            Ended::Panicked(reason) => {
                self.panics.borrow_mut().push(format!("{name} panicked: {reason}"));
                (PANICKED, format!("it panicked: {reason}"))
            }
        };
        self.kernel.record(&Record::Ended(unit as u32, text.into()));
        self.units.borrow_mut()[unit].task = None;
        self.ended.borrow_mut().push((unit, epoch, Status::Exited(status)));
    }

    /// Sends a signal to a unit. No ported program handles any, so it dies.
    pub(crate) fn end_unit(&self, unit: usize, signal: u8) {
        let (task, epoch) = {
            let known = &mut self.units.borrow_mut()[unit];
            known.is_ready = false;
            (known.task.take(), known.epoch)
        };
        let Some(task) = task else { return };
        let text = match signal {
            SIGTERM => "asked to stop",
            SIGKILL => "killed",
            _ => "by a signal",
        };
        self.kernel.record(&Record::Ended(unit as u32, text.into()));
        self.kernel.condemn(task);
        self.ended.borrow_mut().push((unit, epoch, Status::Signaled(signal)));
    }

    /// Tells supervisors of units that ended, now that nothing is left of them.
    pub(crate) fn tell_ends(&self) {
        if self.ended.borrow().is_empty() {
            return;
        }
        for panicked in self.panics.take() {
            // A call past its ports that was refused is a reason to panic. Where it was is looked up in the executable, which
            // a unit may not: so it is done here.
            if let Some(escaped) = self.escaped() {
                self.kernel.fail(escaped);
            }
            self.kernel.fail(panicked);
        }
        while !self.ended.borrow().is_empty() {
            let ended = std::mem::take(&mut *self.ended.borrow_mut());
            for (unit, epoch, status) in ended {
                let (machine, place) = {
                    let known = &self.units.borrow()[unit];
                    (known.machine, known.place)
                };
                self.tell(machine, Told::Ended { unit: place, epoch, status });
            }
            self.kernel.end_condemned();
        }
    }

    /// A unit says that it is ready, or how it is.
    pub(crate) fn unit_says(&self, unit: usize, health: Option<Result<(), String>>) {
        let (machine, place, epoch) = {
            let known = &mut self.units.borrow_mut()[unit];
            known.is_ready |= health.is_none();
            (known.machine, known.place, known.epoch)
        };
        let event = match health {
            None => Told::Ready { unit: place, epoch },
            Some(health) => Told::Health { unit: place, epoch, health },
        };
        self.tell(machine, event);
    }

    /// A unit or a person wants something of a unit.
    pub(crate) fn command(&self, unit: usize, command: Command) {
        let (machine, place) = {
            let known = &self.units.borrow()[unit];
            (known.machine, known.place)
        };
        self.tell(machine, Told::Command { unit: place, command });
    }

    /// What a unit is doing; none if its machine is not up.
    pub(crate) fn phase(&self, unit: usize) -> Option<UnitPhase> {
        let (machine, place) = {
            let known = &self.units.borrow()[unit];
            (known.machine, known.place)
        };
        let machines = self.machines.borrow();
        machines[machine].supervisor.as_ref()?.phase(place).map(|(phase, _)| phase)
    }

    pub(crate) fn keep_line(&self, unit: usize, text: &str) {
        self.kernel.record(&Record::Line(unit as u32, text.into()));
        let lines = &mut self.units.borrow_mut()[unit].lines;
        if lines.len() < LINES_KEPT {
            lines.push(text.to_owned());
        }
    }

    /// How many machines have no power.
    pub(crate) fn machines_down(&self) -> u32 {
        self.machines.borrow().iter().filter(|machine| !machine.is_on).count() as u32
    }
}
