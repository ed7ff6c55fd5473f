//! The simulated world: machines with their disks and units, the links between them, and whoever is outside.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use solum_spec::control::Status;
use solum_spec::description::GiveUp;
use solum_spec::plan::Plan;

use crate::choices::{About, Choices};
use crate::client::ClientState;
use crate::escape;
use crate::event::Event;
use crate::faults::{Envelope, Fault};
use crate::kernel::{Kernel, Step, Watched};
use crate::link::Links;
use crate::machine::{Machine, UnitState};
use crate::misfortune::Misfortune;
use crate::network::{Latency, Network};
use crate::pulse::Pulse;
use crate::scenario::{Program, Task};
use crate::screen::Pictures;
use crate::storage::Storage;
use crate::tcp::Connections;
use crate::trace::Record;
use crate::weather::Weather;

/// What travels between nodes.
pub enum Cargo {
    /// On a link.
    Link(crate::link::Parcel),
    /// On a TCP connection.
    Tcp(crate::tcp::Segment),
}

/// What is the same for all runs of a scenario, and what this one is about.
pub struct Terms {
    /// What is wired to what.
    pub plan: Arc<Plan>,
    /// The machines, in order.
    pub machines: Vec<MachineNote>,
    /// Where the randomness of units comes from.
    pub seed: u64,
    /// What may go wrong.
    pub envelope: Envelope,
    /// How often it does.
    pub weather: Weather,
    /// How long messages take.
    pub latency: Latency,
    /// How long faults last, in nanoseconds.
    pub until_ns: u64,
    /// How much time there is between two misfortunes, in nanoseconds: the same however long faults last in this run.
    pub gap_ns: u64,
    /// How long everything may take to end after that, in nanoseconds.
    pub settle_ns: u64,
    /// Whether a unit that is given up does not make the run fail.
    pub may_give_up: bool,
    /// Where it is told how far the run is.
    pub pulse: Arc<Pulse>,
}

/// What the plan of a whole system does not say of a machine.
#[derive(Clone, Debug)]
pub struct MachineNote {
    /// Its name.
    pub name: String,
    /// What it does about a unit that failed too often.
    pub give_up: GiveUp,
}

/// A world. Its parts are borrowed for a moment each, and never while a task waits.
pub struct Sim {
    /// Time, tasks and choices.
    pub kernel: Kernel,
    /// What it is about.
    pub terms: Terms,
    /// What units run.
    pub programs: Vec<Program>,
    pub(crate) machines: RefCell<Vec<Machine>>,
    pub(crate) units: RefCell<Vec<UnitState>>,
    pub(crate) storage: RefCell<Storage>,
    pub(crate) network: RefCell<Network<Cargo>>,
    pub(crate) links: RefCell<Links>,
    pub(crate) connections: RefCell<Connections>,
    pub(crate) pictures: RefCell<Pictures>,
    pub(crate) clients: RefCell<Vec<ClientState>>,
    pub(crate) clients_under_way: Cell<usize>,
    pub(crate) misfortune: RefCell<Misfortune>,
    /// Units that ended: which, which start of it, and how.
    pub(crate) ended: RefCell<Vec<(usize, u32, Status)>>,
    /// Units that panicked, each with its reason.
    pub(crate) panics: RefCell<Vec<String>>,
    pub(crate) is_calm: Cell<bool>,
    /// How many operations each machine had before all faults stopped.
    pub(crate) operations: RefCell<Vec<u32>>,
    /// Where the clocks of links count from. Only differences of it are ever looked at.
    pub(crate) base: Instant,
}

impl Sim {
    /// A world in which nothing has happened.
    pub fn new(
        terms: Terms,
        choices: Choices,
        window_ns: u64,
        programs: Vec<Program>,
        keep: bool,
    ) -> Rc<Self> {
        let plan = Arc::clone(&terms.plan);
        let watched = Watched { units: plan.units.len() as u32, pulse: Arc::clone(&terms.pulse) };
        let kernel = Kernel::new(choices, &terms.weather, window_ns, watched, keep);
        let machines = Machine::all(&terms);
        let units = UnitState::all(&plan, &terms.machines);
        let links = Links::new(&kernel, &plan, &terms.machines);
        let connections = Connections::new(&kernel, &plan, &terms.machines);
        let pictures = Pictures::new(&kernel, &plan);
        let misfortune = Misfortune::new(&terms);
        let network = Network::new(terms.machines.len(), terms.latency, &terms.envelope);
        Rc::new(Self {
            kernel,
            programs,
            machines: RefCell::new(machines),
            units: RefCell::new(units),
            storage: RefCell::new(Storage::new(&plan, &terms)),
            network: RefCell::new(network),
            links: RefCell::new(links),
            connections: RefCell::new(connections),
            pictures: RefCell::new(pictures),
            clients: RefCell::new(Vec::new()),
            clients_under_way: Cell::new(0),
            misfortune: RefCell::new(misfortune),
            ended: RefCell::new(Vec::new()),
            panics: RefCell::new(Vec::new()),
            is_calm: Cell::new(false),
            operations: RefCell::new(Vec::new()),
            base: Instant::now(),
            terms,
        })
    }

    /// Runs until everything that shall end has ended, or the run failed.
    pub fn run(self: &Rc<Self>, clients: Vec<(String, Task)>, afterwards: Vec<(String, Task)>) {
        for machine in 0..self.terms.machines.len() {
            self.kernel.after(0, Event::PowerOn { machine });
        }
        self.kernel.at(self.terms.until_ns, Event::Calm);
        self.misfortune.borrow().begin(self);
        for (name, body) in clients {
            self.add_client(name, body);
        }
        let mut afterwards = Some(afterwards);
        let limit_ns = self.terms.until_ns.saturating_add(self.terms.settle_ns);
        while !self.kernel.has_failed() {
            match self.kernel.step(limit_ns) {
                Step::Ran => {}
                Step::Event(Event::Calm) => {
                    self.calm_down();
                    for (name, body) in afterwards.take().into_iter().flatten() {
                        self.add_client(name, body);
                    }
                }
                Step::Event(event) => self.handle(event),
                Step::Over { is_idle } => {
                    self.out_of_time(limit_ns, is_idle);
                    break;
                }
            }
            self.kernel.end_condemned();
            self.tell_ends();
            if self.is_calm.get() && self.clients_under_way.get() == 0 {
                break;
            }
        }
    }

    fn handle(self: &Rc<Self>, event: Event) {
        match event {
            Event::PowerOn { machine } => self.power_on(machine),
            Event::Up { machine, life } => self.machine_is_up(machine, life),
            Event::Supervise { machine, life } => self.supervisor_is_due(machine, life),
            Event::Start { unit, epoch, life } => self.start_unit(unit, epoch, life),
            Event::Arrive(slot) => {
                let arrived = self.network.borrow_mut().arrived(&self.kernel, slot);
                match arrived {
                    Some(Cargo::Link(parcel)) => self.parcel_arrived(parcel),
                    Some(Cargo::Tcp(segment)) => self.segment_arrived(segment),
                    None => {}
                }
            }
            Event::Dial(connection) => self.dial_again(connection),
            Event::Connection { pair } => self.look_at_connection(pair),
            Event::Misfortune => self.misfortune_comes(),
            Event::Heal(number) => self.heal(number),
            Event::Calm | Event::Timer(_) => {}
        }
    }

    /// From now on nothing goes wrong.
    fn calm_down(self: &Rc<Self>) {
        self.is_calm.set(true);
        self.kernel.record(&Record::Calm);
        self.network.borrow_mut().is_calm = true;
        *self.operations.borrow_mut() = self.kernel.made(About::PowerCut, self.terms.machines.len());
        self.heal_everything();
    }

    fn out_of_time(&self, limit_ns: u64, is_idle: bool) {
        let clients = self.clients.borrow();
        let waiting: Vec<&str> =
            clients.iter().filter(|client| !client.has_ended).map(|client| client.name.as_str()).collect();
        if waiting.is_empty() {
            return;
        }
        let settle = std::time::Duration::from_nanos(limit_ns - self.terms.until_ns);
        self.kernel.fail(clients_text(&waiting, settle, is_idle));
    }

    /// A fault happens: `index` says at what, `detail` more.
    pub(crate) fn fault(&self, fault: Fault, index: usize, detail: u64) {
        self.kernel.fault(fault, index as u32, detail);
    }

    /// Whether faults of this kind happen at the moment.
    pub(crate) fn may(&self, fault: Fault) -> bool {
        !self.is_calm.get() && self.terms.envelope.has(fault)
    }

    /// A unit that reached past its ports since this was last asked, in words.
    pub(crate) fn escaped(&self) -> Option<String> {
        let escapes = escape::taken();
        let escape = escapes.first()?;
        let units = self.units.borrow();
        let name = units.get(escape.unit as usize).map_or("a unit", |unit| unit.name.as_str());
        let place = escape.place().map(|place| format!(" in {place}")).unwrap_or_default();
        Some(format!("{name} reached past its ports: it {escape}{place}\nhint: {}", escape.what.hint()))
    }

    /// The node of whoever is outside of the system.
    pub(crate) fn outside(&self) -> usize {
        self.terms.machines.len()
    }
}

fn clients_text(waiting: &[&str], settle: std::time::Duration, nothing_left: bool) -> String {
    let who = waiting.join(", ");
    if nothing_left {
        return format!("nothing can happen any more, and this has not ended: {who}");
    }
    format!("{settle:?} after the last fault this has not ended: {who}")
}
