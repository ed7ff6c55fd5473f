//! What is simulated: a description, the code of its programs, whoever uses it, and what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use solum::port::{Ports, World};
use solum_spec::handover::DO_NOT_RESTART;
use solum_spec::plan::Plan;
use solum_spec::ports::{Declaration, Interface, StaticPort};
use solum_spec::system::Draft;

use crate::choices::Choice;
use crate::client::Client;
use crate::end::End;
use crate::faults::{Envelope, Fault};
use crate::misfortune::gap_ns;
use crate::network::Latency;
use crate::pulse::Pulse;
use crate::recipe::Recipe;
use crate::sim::{MachineNote, Sim, Terms};
use crate::task::Exit;

/// What runs as a client.
pub type Task = Box<dyn FnOnce(&mut Client) -> Result<(), String>>;
type Check = Box<dyn FnOnce(&End<'_>) -> Result<(), String>>;
type Main = Rc<dyn Fn(&mut dyn World) -> Result<(), Exit>>;

/// The code of a program.
#[derive(Clone)]
pub struct Program {
    name: String,
    /// The crate that it is of.
    krate: &'static str,
    ports: Vec<Declaration>,
    pub(crate) main: Main,
}

/// What one run is made of. A scenario makes it anew for each.
#[derive(Default)]
pub struct Setup {
    programs: Vec<Program>,
    clients: Vec<(String, Task)>,
    afterwards: Vec<(String, Task)>,
    checks: Vec<(String, Check)>,
}

impl Setup {
    /// The code of a program of the description: the function that its executable runs.
    pub fn program<P: Ports, E: Display>(
        &mut self,
        name: &str,
        program: impl Fn(P) -> Result<(), E> + 'static,
    ) {
        let main = move |world: &mut dyn World| {
            let ports = P::plug(world).map_err(|error| {
                let status = if error.may_pass { 1 } else { DO_NOT_RESTART };
                Exit { status, text: error.to_string() }
            })?;
            program(ports).map_err(|error| Exit { status: 1, text: error.to_string() })
        };
        let ports = P::PORTS.iter().map(declaration).collect();
        let krate = std::any::type_name::<P>().split("::").next().unwrap_or_default();
        self.programs.push(Program { name: name.to_owned(), krate, ports, main: Rc::new(main) });
    }

    /// Somebody outside of the system, from its beginning on. If it returns an error, the run has failed.
    pub fn client(&mut self, name: &str, body: impl FnOnce(&mut Client) -> Result<(), String> + 'static) {
        self.clients.push((name.to_owned(), Box::new(body)));
    }

    /// As [`client`](Self::client), from the time on when all faults have stopped: the system must converge.
    pub fn afterwards(&mut self, name: &str, body: impl FnOnce(&mut Client) -> Result<(), String> + 'static) {
        self.afterwards.push((name.to_owned(), Box::new(body)));
    }

    /// What must hold at the end.
    pub fn check(&mut self, name: &str, check: impl FnOnce(&End<'_>) -> Result<(), String> + 'static) {
        self.checks.push((name.to_owned(), Box::new(check)));
    }
}

fn declaration(port: &StaticPort) -> Declaration {
    Declaration {
        name: port.name.to_owned(),
        interface: Interface {
            name: port.interface.name.to_owned(),
            version: port.interface.version,
            fingerprint: port.interface.fingerprint,
        },
        direction: port.direction,
        count: port.count,
    }
}

/// A system, whoever uses it, and what must hold.
#[derive(Clone)]
pub struct Scenario {
    description: Arc<str>,
    setup: Arc<dyn Fn(&mut Setup) + Send + Sync>,
    wired: Arc<OnceLock<Result<Wired, String>>>,
    envelope: Envelope,
    until: Duration,
    settle: Duration,
    latency: Latency,
    may_give_up: bool,
}

#[derive(Clone)]
struct Wired {
    plan: Arc<Plan>,
    machines: Vec<MachineNote>,
    /// Clients, and behind them those who come afterwards.
    clients: Vec<String>,
    /// The crates that programs are of.
    crates: BTreeSet<&'static str>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// A digest of all that happened.
    pub digest: u64,
    /// How much happened.
    pub events: u64,
    /// How many times somebody ran.
    pub steps: u64,
    /// How long it took in the time of the run.
    pub took: Duration,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// What was not ordinary.
    pub choices: Vec<Choice>,
    /// How many operations each machine had at which it could lose its power.
    pub operations: Vec<u32>,
    /// What was new to whoever compares it with other runs.
    pub states: BTreeSet<u64>,
    /// All records, if they were to be kept and were not too many.
    pub trace: Option<Vec<u8>>,
}

impl Scenario {
    /// The system of a description (the text of a `solum.toml`), with what `setup` adds for each run.
    pub fn new(description: &str, setup: impl Fn(&mut Setup) + Send + Sync + 'static) -> Self {
        Self {
            description: description.into(),
            setup: Arc::new(setup),
            wired: Arc::default(),
            envelope: Envelope::default(),
            until: Duration::from_secs(10),
            settle: Duration::from_secs(120),
            latency: Latency::default(),
            may_give_up: false,
        }
    }

    /// What the system claims to survive.
    #[must_use]
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// How long faults happen; ten seconds, if not said.
    #[must_use]
    pub fn until(mut self, until: Duration) -> Self {
        self.until = until;
        self
    }

    /// How long everybody may take to end after that; two minutes, if not said.
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// How long messages take.
    #[must_use]
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// A unit that fails too often does not make the run fail.
    #[must_use]
    pub fn may_give_up(mut self) -> Self {
        self.may_give_up = true;
        self
    }

    /// What the system claims to survive.
    pub fn claims(&self) -> &Envelope {
        &self.envelope
    }

    /// The system's plan.
    ///
    /// # Errors
    ///
    /// All that is wrong with the description, as a text.
    pub fn plan(&self) -> Result<Arc<Plan>, String> {
        self.cast().map(|wired| wired.plan)
    }

    /// The crates that its programs are of.
    pub(crate) fn crates(&self) -> BTreeSet<&'static str> {
        self.cast().map(|wired| wired.crates).unwrap_or_default()
    }

    /// The names of all clients, in the order in which they are added.
    pub(crate) fn client_names(&self) -> Vec<String> {
        self.cast().map(|wired| wired.clients).unwrap_or_default()
    }

    /// How long events gather in a run until somebody runs, in nanoseconds.
    pub fn window_ns(&self, recipe: &Recipe) -> u64 {
        recipe.window_ns.unwrap_or_else(|| recipe.weather(&recipe.envelope(&self.envelope)).window_ns())
    }

    /// The names of the machines, in order.
    pub(crate) fn machines(&self) -> Vec<String> {
        let cast = self.cast();
        cast.map(|wired| wired.machines.into_iter().map(|machine| machine.name).collect()).unwrap_or_default()
    }

    /// When faults stop, in nanoseconds.
    pub(crate) fn until_ns(&self) -> u64 {
        nanoseconds(self.until)
    }

    /// What is the same in every run, without making one.
    fn cast(&self) -> Result<Wired, String> {
        match self.wired.get() {
            Some(wired) => wired.clone(),
            None => {
                let mut setup = Setup::default();
                (self.setup)(&mut setup);
                self.wired(&setup)
            }
        }
    }

    fn wired(&self, setup: &Setup) -> Result<Wired, String> {
        self.wired.get_or_init(|| wire(&self.description, setup)).clone()
    }

    /// Runs it once, in a thread of its own: what is kept for each thread, as the seeds of hash maps are, is then the same for
    /// every run.
    pub fn run(&self, recipe: &Recipe, keep_trace: bool) -> Outcome {
        std::thread::scope(|scope| {
            let running = std::thread::Builder::new()
                .name("simulation".to_owned())
                .spawn_scoped(scope, || self.run_here(recipe, keep_trace));
            match running.map(|running| running.join()) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Outcome::failed("the simulation itself panicked".to_owned()),
                Err(error) => Outcome::failed(format!("there is no thread for the run: {error}")),
            }
        })
    }

    fn run_here(&self, recipe: &Recipe, keep_trace: bool) -> Outcome {
        let mut setup = Setup::default();
        (self.setup)(&mut setup);
        let wired = match self.wired(&setup) {
            Ok(wired) => wired,
            Err(error) => return Outcome::failed(error),
        };
        let Setup { programs, clients, afterwards, checks } = setup;
        // In the order of the plan, which names them by their places.
        let programs = wired
            .plan
            .programs
            .iter()
            .filter_map(|planned| programs.iter().find(|program| program.name == planned.name).cloned())
            .collect();
        let envelope = recipe.envelope(&self.envelope);
        let weather = recipe.weather(&envelope);
        let window_ns = recipe.window_ns.unwrap_or(weather.window_ns());
        let terms = Terms {
            plan: Arc::clone(&wired.plan),
            machines: wired.machines,
            seed: recipe.seed,
            envelope,
            weather,
            latency: self.latency,
            until_ns: recipe.until_ns.unwrap_or(nanoseconds(self.until)),
            gap_ns: gap_ns(nanoseconds(self.until)),
            settle_ns: nanoseconds(self.settle),
            may_give_up: self.may_give_up,
            pulse: Pulse::new(recipe, &wired.plan),
        };
        let sim = Sim::new(terms, recipe.choices(), window_ns, programs, keep_trace);
        sim.run(clients, afterwards);
        // Whoever watches knows of nobody who computes from here on.
        sim.terms.pulse.rest();
        for (name, check) in checks {
            if sim.kernel.has_failed() {
                break;
            }
            if let Err(why) = check(&End::new(&sim)) {
                sim.kernel.fail(format!("{name}: {why}"));
            }
        }
        finish(sim)
    }
}

/// As many as fit.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Ends everything, and looks whether anything is left.
fn finish(sim: Rc<Sim>) -> Outcome {
    sim.kernel.end_all();
    let left: Vec<String> = {
        let units = sim.units.borrow();
        let open = (0..units.len()).filter(|unit| sim.open_ends(*unit) > 0);
        open.map(|unit| units[unit].name.clone()).collect()
    };
    if !left.is_empty() {
        sim.kernel.fail(format!("these ended and did not give their links back: {}", left.join(", ")));
    }
    if let Some(escaped) = sim.escaped() {
        sim.kernel.fail(escaped);
    }
    let failure = sim.kernel.failure();
    let (events, steps) = sim.kernel.counts();
    let took = Duration::from_nanos(sim.kernel.now_ns());
    let faults = sim.kernel.faults();
    let operations = sim.operations.take();
    let Ok(sim) = Rc::try_unwrap(sim) else {
        let why = "a unit ended and kept a device, which is never given back".to_owned();
        return Outcome {
            failure: failure.or(Some(why)),
            events,
            steps,
            took,
            faults,
            ..Outcome::failed(String::new())
        };
    };
    let (choices, trace) = sim.kernel.finish();
    let states = trace.states().clone();
    let (digest, trace) = trace.finish();
    Outcome {
        failure,
        digest,
        events,
        steps,
        took,
        faults,
        choices: choices.into_taken(),
        operations,
        states,
        trace,
    }
}

impl Outcome {
    pub(crate) fn failed(why: String) -> Self {
        Self {
            failure: Some(why),
            digest: 0,
            events: 0,
            steps: 0,
            took: Duration::ZERO,
            faults: BTreeMap::new(),
            choices: Vec::new(),
            operations: Vec::new(),
            states: BTreeSet::new(),
            trace: None,
        }
    }
}

/// Every program of the description has code in the scenario, and every code a program.
fn with_code(draft: &Draft, programs: &[Program]) -> Result<(), String> {
    let described: BTreeSet<&str> = draft.programs().map(|(name, ..)| name).collect();
    let given: BTreeSet<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    let list =
        |names: Vec<&&str>| names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (missing, unknown) = (described.difference(&given).collect(), given.difference(&described).collect());
    match (list(missing).as_str(), list(unknown).as_str()) {
        ("", "") => Ok(()),
        ("", unknown) => Err(format!(
            "the scenario has code for {unknown}, which the description does not have\nhint: it has {}",
            list(described.iter().collect())
        )),
        (missing, unknown) => Err(format!(
            "the scenario has no code for the program {missing}\n\
             hint: add setup.program(NAME, FUNCTION) for it{}",
            if unknown.is_empty() {
                String::new()
            } else {
                format!("; what it has for {unknown} belongs to none")
            }
        )),
    }
}

fn wire(description: &str, setup: &Setup) -> Result<Wired, String> {
    let programs = &setup.programs;
    let told = |all: Vec<solum_spec::system::Diagnostic>| {
        let colours = solum_spec::system::Colours::None;
        let texts: Vec<String> =
            all.iter().map(|one| one.render(solum_spec::system::FILE_NAME, description, colours)).collect();
        texts.join("\n")
    };
    let draft = Draft::read(description).map_err(told)?;
    with_code(&draft, programs)?;
    let ports = programs.iter().map(|program| (program.name.clone(), Some(program.ports.clone()))).collect();
    let system = draft.wire(&ports).map_err(told)?;
    let machines: Vec<&solum_spec::system::Machine> = system.machines.iter().collect();
    let plan = system.plan(&machines, &BTreeMap::new());
    let machines = machines
        .iter()
        .map(|machine| MachineNote { name: machine.name.clone(), give_up: machine.give_up })
        .collect();
    let clients = setup.clients.iter().chain(&setup.afterwards).map(|(name, _)| name.clone()).collect();
    let crates = programs.iter().map(|program| program.krate).collect();
    Ok(Wired { plan: Arc::new(plan), machines, clients, crates })
}
