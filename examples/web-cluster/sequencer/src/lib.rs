//! The unit `sequencer`: puts all writes into one order, lets the caches know, and makes them last.

mod storage;

use std::fmt;
use std::time::Duration;

use cluster::calls::{Reading, Recalls, RecallsCalls, Refusal, Requests, RequestsService};
use cluster::page::Page;
use cluster::sequencer::{Answer, Effect, Event, Request, Sequencer};
use cluster::{Key, Number, Presence, Unreached};
use files_api::{Client, Files};
use solum::{Clock, Console, Link, Serve};
use storage::Storage;

pub use storage::Broken;

/// How long a cache may take before it is asked again, or its lease is waited for.
const CACHE_PATIENCE: Duration = Duration::from_millis(250);

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// What fronts want.
    pub requests: Serve<Requests>,
    /// Every cache that may have something lent.
    pub caches: Vec<Link<Recalls>>,
    /// Where everything lasts.
    pub files: Link<Files>,
    /// When leases end.
    pub clock: Clock,
    /// Where the beginning is told.
    pub console: Console,
}

/// Why it ends. It is started again, and begins with what the storage has.
#[derive(Debug)]
pub enum Failure {
    /// The storage is not what it was thought to be.
    Storage(Broken),
    /// A port failed.
    Device(solum::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => error.fmt(f),
            Self::Device(error) => error.fmt(f),
        }
    }
}

impl From<solum::Error> for Failure {
    fn from(error: solum::Error) -> Self {
        Self::Device(error)
    }
}

struct Unit {
    sequencer: Sequencer,
    storage: Storage,
    caches: Vec<Link<Recalls>>,
    clock: Clock,
    /// The storage is not what it was thought to be.
    broken: Option<Broken>,
}

impl Unit {
    fn run(&mut self, request: Request) -> Answer {
        let mut event = Event::Asked(request);
        loop {
            let now_ms = self.clock.now().since_beginning().as_millis() as u64;
            event = match self.sequencer.step(now_ms, event) {
                Effect::Load(key) => Event::Loaded(self.storage.load(&key)),
                Effect::Recall { cache, term, key } => {
                    Event::Reached(self.caches[cache].recall(term, key).map_err(|_| Unreached))
                }
                Effect::Identify { cache } => {
                    Event::Reached(self.caches[cache].identify().map_err(|_| Unreached))
                }
                Effect::Wait { until_ms } => {
                    // To wait shorter is to ask a cache once more.
                    let _ = self.clock.sleep(Duration::from_millis(until_ms.saturating_sub(now_ms)));
                    Event::Waited
                }
                Effect::Save { key, record } => match self.storage.save(&key, &record) {
                    Ok(saved) => Event::Saved(saved),
                    Err(broken) => {
                        let why = broken.to_string();
                        self.broken = Some(broken);
                        Event::Saved(Err(Refusal::Unsure(why)))
                    }
                },
                Effect::Answer(answer) => return answer,
            };
        }
    }

    fn refuse<T>(answer: Answer) -> Result<T, Refusal> {
        match answer {
            Answer::Refused(refusal) => Err(refusal),
            other => Err(Refusal::Unsure(format!("the sequencer answered {other:?}"))),
        }
    }
}

impl RequestsService for Unit {
    fn reserve(&mut self) -> Number {
        match self.run(Request::Reserve) {
            Answer::Reserved(number) => number,
            // It never is: there is nothing to be refused. The least number is too old for every write.
            _ => Number::default(),
        }
    }

    fn write(&mut self, number: Number, key: Key, value: Option<Vec<u8>>) -> Result<(), Refusal> {
        match self.run(Request::Write { number, key, value }) {
            Answer::Written => Ok(()),
            answer => Self::refuse(answer),
        }
    }

    fn read(&mut self, key: Key, presence: Option<Presence>) -> Result<Reading, Refusal> {
        match self.run(Request::Read { key, presence }) {
            Answer::Read(reading) => Ok(reading),
            answer => Self::refuse(answer),
        }
    }

    fn list(&mut self, prefix: String, after: Option<Key>) -> Result<Page, Refusal> {
        self.storage.list(&prefix, after.as_ref())
    }
}

/// The program.
///
/// # Errors
///
/// A storage or a port that failed. Caches that are gone are waited for.
pub fn sequencer(ports: Ports) -> Result<(), Failure> {
    let Ports { mut requests, mut caches, files, clock, mut console } = ports;
    let (storage, epoch) = Storage::open(Client::new(files)).map_err(Failure::Storage)?;
    for cache in &mut caches {
        cache.set_patience(CACHE_PATIENCE);
    }
    // After the storage was opened, so after every lease that an earlier life gave.
    let now_ms = clock.now().since_beginning().as_millis() as u64;
    let sequencer = Sequencer::new(epoch, caches.len(), now_ms);
    console.line(format_args!("epoch {epoch}, {} caches", caches.len()))?;
    let mut unit = Unit { sequencer, storage, caches, clock, broken: None };
    loop {
        requests.next(&mut unit, None)?;
        if let Some(broken) = unit.broken.take() {
            return Err(Failure::Storage(broken));
        }
    }
}
