//! The web cluster, simulated: its four programs as they ship, a client at each front, everything going wrong that the
//! README says it survives, and a judge who knows what a single map in a single memory would have answered.

mod history;
mod planted;

use std::time::Duration;

use solum_sim::{Client, Envelope, Fault, HttpClient, Scenario, Setup, Shared, shared};

pub use planted::Planted;

use history::{History, Operation, Outcome};

const DESCRIPTION: &str = include_str!("../../solum.toml");
/// As many as `solum.toml` has machines named `web`.
const FRONTS: usize = 4;
/// Few, so that clients meet.
const KEYS: [&str; 3] = ["apples", "pears", "cherries"];
/// The longest pause between two requests of a client, in milliseconds: with four of them ten requests come in a second.
const PAUSE_MS: u64 = 800;
/// A client waits longer than a front waits for the sequencer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How soon somebody asks again who got no answer.
const AGAIN: Duration = Duration::from_millis(500);

/// The system as it ships.
pub fn scenario() -> Scenario {
    with(None)
}

/// The same with a cache that serves stale data.
pub fn broken() -> Scenario {
    planted(Planted::DroppedRecalls)
}

/// The same with this bug in it.
pub fn planted(bug: Planted) -> Scenario {
    with(Some(bug))
}

/// What the README says that the system survives. The file system notices damage and does not mend it, so no disk is damaged
/// but by what a loss of power does to it.
fn envelope() -> Envelope {
    let kinds = Fault::ALL.into_iter().filter(|kind| !kind.is_damage() || *kind == Fault::TornWrites);
    Envelope::of(kinds)
}

/// The programs as they ship.
pub fn programs(setup: &mut Setup) {
    setup.program("files", files::files);
    setup.program("sequencer", sequencer::sequencer);
    setup.program("cache", cache::cache);
    setup.program("front", front::front);
}

/// The programs with a bug in one of them.
fn programs_with(bug: Planted, setup: &mut Setup) {
    match bug {
        Planted::IgnoredFlushes => setup.program("files", planted::files),
        _ => setup.program("files", files::files),
    }
    setup.program("sequencer", sequencer::sequencer);
    setup.program("cache", move |ports| planted::cache(ports, bug));
    setup.program("front", front::front);
}

fn with(bug: Option<Planted>) -> Scenario {
    let scenario = Scenario::new(DESCRIPTION, move |setup: &mut Setup| {
        match bug {
            Some(bug) => programs_with(bug, setup),
            None => programs(setup),
        }
        let history = shared(History::default());
        for number in 0..FRONTS {
            let history = history.clone();
            setup.client(&format!("client-{number}"), move |client| {
                Visitor::new(client, number, history)?.visit_until_calm()
            });
        }
        let after = history.clone();
        setup.afterwards("visitor", move |client| {
            (0..FRONTS).try_for_each(|number| Visitor::new(client, number, after.clone())?.visit_everything())
        });
        setup.check("every front shows what was acknowledged", move |_| history.borrow().check());
    });
    scenario.envelope(envelope())
}

/// Somebody who uses one front.
struct Visitor<'c> {
    client: &'c mut Client,
    number: usize,
    http: HttpClient,
    history: Shared<History>,
}

impl<'c> Visitor<'c> {
    fn new(client: &'c mut Client, number: usize, history: Shared<History>) -> Result<Self, String> {
        let mut http = client.http(&format!("web.{number}"), 8080).map_err(|error| error.to_string())?;
        http.set_patience(PATIENCE);
        Ok(Self { client, number, http, history })
    }

    fn visit_until_calm(&mut self) -> Result<(), String> {
        while !self.client.is_calm() {
            let key = KEYS[self.client.below(KEYS.len() as u64) as usize];
            match self.client.below(10) {
                0..4 => self.put(key)?,
                4 => self.delete(key)?,
                _ => self.get(key)?,
            };
            let pause_ms = self.client.below(PAUSE_MS);
            self.client.sleep(Duration::from_millis(pause_ms));
        }
        Ok(())
    }

    /// Nothing goes wrong any more: every front has to answer again, and to do so well.
    fn visit_everything(&mut self) -> Result<(), String> {
        for key in KEYS {
            while !self.get(key)? {
                self.client.sleep(AGAIN);
            }
            while !self.put(key)? {
                self.client.sleep(AGAIN);
            }
        }
        Ok(())
    }

    fn began(&mut self, key: &'static str, operation: Operation) -> usize {
        let now = self.client.now();
        self.history.borrow_mut().began(self.number, key, operation, now)
    }

    fn ended(&mut self, call: usize, outcome: Outcome) -> bool {
        let now = self.client.now();
        self.history.borrow_mut().ended(call, outcome, now);
        true
    }

    /// Whether it was read.
    fn get(&mut self, key: &'static str) -> Result<bool, String> {
        let call = self.began(key, Operation::Read);
        match self.http.request("GET", &format!("/{key}"), b"") {
            Ok(answer) if answer.status == 200 => {
                let value = history::value_of(&answer.body)?;
                Ok(self.ended(call, Outcome::Value(Some(value))))
            }
            Ok(answer) if answer.status == 404 => Ok(self.ended(call, Outcome::Value(None))),
            // What was not answered was not read.
            Ok(answer) if answer.status == 503 => Ok(false),
            Ok(answer) => Err(nonsense("GET", key, &answer)),
            Err(_) => Ok(false),
        }
    }

    /// Whether it was written.
    fn put(&mut self, key: &'static str) -> Result<bool, String> {
        let value = self.history.borrow_mut().fresh_value();
        self.write("PUT", key, &value.to_string(), Operation::Write(value))
    }

    fn delete(&mut self, key: &'static str) -> Result<bool, String> {
        self.write("DELETE", key, "", Operation::Delete)
    }

    fn write(
        &mut self,
        method: &str,
        key: &'static str,
        body: &str,
        operation: Operation,
    ) -> Result<bool, String> {
        let call = self.began(key, operation);
        match self.http.request(method, &format!("/{key}"), body.as_bytes()) {
            Ok(answer) if answer.status == 204 => Ok(self.ended(call, Outcome::Done)),
            Ok(answer) if answer.status == 503 => {
                self.history.borrow_mut().not_done(call);
                Ok(false)
            }
            // Nobody knows whether it was done.
            Ok(answer) if answer.status == 504 => Ok(false),
            Ok(answer) => Err(nonsense(method, key, &answer)),
            Err(_) => Ok(false),
        }
    }
}

/// A front that says this has a defect.
fn nonsense(method: &str, key: &str, answer: &solum_sim::Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    format!("{method} /{key} was answered with {}: {}", answer.status, text.trim_end())
}
