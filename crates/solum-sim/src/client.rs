//! Whoever uses the system from outside: what a test does to it while it runs.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;
use std::time::Duration;

use solum::clock::{self, Moment, Source};
use solum::keys::Key;
use solum::tcp::{Converse, Stream};
use solum::{Error, Result};
use solum_spec::control::SIGKILL;

use crate::random::Random;
use crate::scenario::Task;
use crate::sim::Sim;
use crate::task::{self, Ended, Exit};
use crate::tcp::SimStream;
use crate::trace::Record;
use crate::world::select;

/// What a client's randomness is drawn from, among the streams of a seed.
const RANDOM: u64 = 0xC11E;
/// How long a request may take unless the client says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client, as the world knows it.
pub struct ClientState {
    /// Its name.
    pub name: String,
    /// Whether it has done all it wanted.
    pub has_ended: bool,
}

/// Somebody outside of the system. Everything waits in the time of the run.
pub struct Client {
    sim: Rc<Sim>,
    actor: u32,
    random: Random,
}

impl Sim {
    /// Somebody begins.
    pub(crate) fn add_client(self: &Rc<Self>, name: String, body: Task) {
        let place = self.clients.borrow().len();
        let actor = (self.terms.plan.units.len() + place) as u32;
        self.clients.borrow_mut().push(ClientState { name: name.clone(), has_ended: false });
        self.clients_under_way.set(self.clients_under_way.get() + 1);
        let (weak, weak_too) = (Rc::downgrade(self), Rc::downgrade(self));
        let random = Random::at(self.terms.seed, RANDOM, place as u64);
        let body = move || match weak.upgrade() {
            Some(sim) => body(&mut Client { sim, actor, random }).map_err(|text| Exit { status: 1, text }),
            None => Ok(()),
        };
        let ended = move |how| {
            let Some(sim) = weak_too.upgrade() else { return };
            match how {
                Ended::Returned(Ok(())) => {}
                Ended::Returned(Err(exit)) => sim.kernel.fail(format!("{name}: {}", exit.text)),
                Ended::Panicked(reason) => sim.kernel.fail(format!("{name} panicked: {reason}")),
            }
            sim.clients.borrow_mut()[place].has_ended = true;
            sim.clients_under_way.set(sim.clients_under_way.get() - 1);
        };
        match crate::task::Task::new(body, ended) {
            Ok(task) => {
                self.kernel.spawn(actor, task);
            }
            Err(error) => self.kernel.fail(format!("a client has no stack: {error}")),
        }
    }
}

impl Client {
    /// How long the run has been going.
    pub fn now(&self) -> Duration {
        self.sim.kernel.give_way();
        Duration::from_nanos(self.sim.kernel.now_ns())
    }

    /// Waits.
    pub fn sleep(&self, duration: Duration) {
        self.sim.kernel.pass(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The clock of the run, for what is written against the SDK.
    pub fn clock(&self) -> solum::Clock {
        solum::Clock::new(self.driver())
    }

    fn driver(&self) -> Rc<dyn clock::Driver> {
        Rc::new(TrueClock(Rc::clone(&self.sim)))
    }

    /// A number below `bound`, the same in every run of a seed. 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.below(bound) }
    }

    /// Whether all faults have stopped.
    pub fn is_calm(&self) -> bool {
        self.sim.kernel.give_way();
        self.sim.is_calm.get()
    }

    /// Says something, for the timeline.
    pub fn say(&self, text: impl Display) {
        self.sim.kernel.record(&Record::Line(self.actor, text.to_string().into()));
    }

    /// Somebody who asks this machine by HTTP, at the port that the description says.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if no unit of the machine listens there; then the run has failed, too.
    pub fn http(&self, machine: &str, port: u16) -> Result<HttpClient> {
        let listener = self.sim.connections.borrow().listener(machine, port);
        let listener = listener.ok_or_else(|| {
            let why = format!("no unit of the machine {machine} listens at port {port}");
            self.sim.kernel.fail(format!("the scenario is wrong: {why}"));
            Error::Refused(why)
        })?;
        let clock = self.driver();
        Ok(HttpClient {
            sim: Rc::clone(&self.sim),
            clock,
            actor: self.actor,
            name: format!("{machine}:{port}"),
            listener,
            stream: None,
            input: Vec::new(),
            patience: PATIENCE,
        })
    }

    /// What a unit wrote to its console so far, by its full name.
    pub fn lines(&self, unit: &str) -> Vec<String> {
        self.sim.kernel.give_way();
        let units = self.sim.units.borrow();
        units.iter().find(|known| known.name == unit).map(|known| known.lines.clone()).unwrap_or_default()
    }

    /// Kills a unit, by its full name; whether it ran. One that there is not makes the run fail.
    pub fn kill(&self, unit: &str) -> bool {
        let place = self.sim.units.borrow().iter().position(|known| known.name == unit);
        if place.is_none() {
            self.misspelt("unit", unit, self.sim.units.borrow().iter().map(|known| known.name.as_str()));
        }
        let Some(place) = place.filter(|place| self.sim.units.borrow()[*place].task.is_some()) else {
            return false;
        };
        self.sim.fault(crate::Fault::UnitCrash, place, 0);
        self.sim.end_unit(place, SIGKILL);
        self.sim.kernel.give_way();
        true
    }

    /// Takes the power from a machine for a while; whether it had any. All that no flush followed is lost.
    /// A machine that there is not makes the run fail.
    pub fn cut_power(&self, machine: &str) -> bool {
        let place = self.sim.terms.machines.iter().position(|known| known.name == machine);
        if place.is_none() {
            self.misspelt(
                "machine",
                machine,
                self.sim.terms.machines.iter().map(|known| known.name.as_str()),
            );
        }
        let Some(place) = place.filter(|place| self.sim.machines.borrow()[*place].is_on) else {
            return false;
        };
        self.sim.cut_power(place, true);
        self.sim.kernel.give_way();
        true
    }

    /// The scenario names something that the description does not have: the system is not to blame.
    fn misspelt<'a>(&self, what: &str, name: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let known = known.join(", ");
        self.sim
            .kernel
            .fail(format!("the scenario names a {what} `{name}`, and the description has {known}"));
    }

    /// Presses a key of a machine, or lets it go; whether the machine has a keyboard.
    pub fn press(&self, machine: &str, key: Key) -> bool {
        self.sim.press(machine, key)
    }
}

/// The true time of the run.
struct TrueClock(Rc<Sim>);

fn run_ns(moment: Moment) -> u64 {
    u64::try_from(moment.since_beginning().as_nanos()).unwrap_or(u64::MAX)
}

impl clock::Driver for TrueClock {
    fn now(&self) -> Moment {
        self.0.kernel.give_way();
        Moment::from_beginning(Duration::from_nanos(self.0.kernel.now_ns()))
    }

    fn wall(&self) -> Result<Duration> {
        Ok(Duration::from_nanos(crate::clock::EPOCH_NS + self.0.kernel.now_ns()))
    }

    fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<Option<usize>> {
        select(&self.0, sources, deadline, run_ns)
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status (RFC 9110, section 15).
    pub status: u16,
    /// The header fields: names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Somebody who asks by HTTP, over one connection after the other.
pub struct HttpClient {
    sim: Rc<Sim>,
    clock: Rc<dyn clock::Driver>,
    actor: u32,
    name: String,
    listener: usize,
    stream: Option<Stream>,
    input: Vec<u8>,
    patience: Duration,
}

impl HttpClient {
    /// How long each request may take from now on; ten seconds at first.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`]; [`Error::Device`] if the connection broke. Whether the request took effect is then not known.
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        self.sim
            .kernel
            .record(&Record::Asked(self.actor, format!("{method} {path} of {}", self.name).into()));
        let outcome = self.exchange(method, path, body);
        if outcome.is_err() {
            self.stream = None;
            self.input.clear();
        }
        let text = match &outcome {
            Ok(answer) => format!("{method} {path}: {}", answer.status),
            Err(error) => format!("{method} {path}: {error}"),
        };
        if task::may_wait() {
            self.sim.kernel.record(&Record::Answered(self.actor, text.into()));
        }
        outcome
    }

    fn exchange(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let deadline = Some(self.clock.now().after(self.patience));
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.name);
        request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let place = self.sim.dial(self.actor, self.listener);
                let end: Box<dyn Converse> = Box::new(SimStream::outside(&self.sim, place));
                Stream::new(end, Rc::clone(&self.clock))
            }
        };
        stream.write_all(&bytes, deadline)?;
        let mut buffer = vec![0; 16 << 10];
        loop {
            if let Some((answer, length, keeps)) = parse(&self.input, method == "HEAD")? {
                self.input.drain(..length);
                self.stream = keeps.then_some(stream);
                return Ok(answer);
            }
            match stream.read(&mut buffer, deadline)? {
                0 => return Err(Error::Closed),
                length => self.input.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

/// An answer at the beginning of `input`, its length, and whether the connection goes on.
fn parse(input: &[u8], is_head: bool) -> Result<Option<(Answer, usize, bool)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let nonsense = || Error::Device("what came is no HTTP".to_owned());
    let head_length = match head.parse(input).map_err(|_| nonsense())? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = head.code.ok_or_else(nonsense)?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let fields: Vec<(String, String)> =
        head.headers.iter().map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect();
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let has_body = !is_head && status >= 200 && status != 204 && status != 304;
    let length = if has_body {
        field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    } else {
        0
    };
    let Some(body) = input.get(head_length..head_length + length) else { return Ok(None) };
    let keeps = field("connection") != Some("close");
    Ok(Some((Answer { status, body: body.to_vec(), fields }, head_length + length, keeps)))
}

/// A place that a client and a judge share within one run.
pub type Shared<T> = Rc<RefCell<T>>;

/// A place that a client and a judge share within one run.
pub fn shared<T>(value: T) -> Shared<T> {
    Rc::new(RefCell::new(value))
}
