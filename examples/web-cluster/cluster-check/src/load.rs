//! What the clients do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cluster_check::history::Action;

use crate::client::{Answer, Client, Failure};
use crate::options::{Options, Random};

/// How long a client rests that could not reach a front.
const REST: Duration = Duration::from_millis(20);
/// The most bytes that a value is filled up with.
const PADDING_BYTES: u64 = 2_000;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Done,
    /// It certainly was not done.
    NotDone,
    /// Nobody knows.
    Open,
    /// The answer makes no sense.
    Nonsense(u16),
}

/// What a request was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// One of the keys that all clients use.
    Shared(u64, Action),
    /// A key of this name is put, once.
    Add(String),
    /// It is deleted, once.
    Remove(String),
    /// These were listed.
    List(Vec<String>),
}

/// What one client saw.
#[derive(Clone, Debug)]
pub struct Record {
    #[allow(dead_code, reason = "shown when something is wrong")]
    pub front: usize,
    pub wish: Wish,
    pub began_us: u64,
    pub ended_us: u64,
    pub outcome: Outcome,
    /// The cache had it.
    pub is_hit: bool,
}

/// All clients.
pub struct Load<'o> {
    options: &'o Options,
    began: Instant,
    /// Distinguishes the keys of this run from those of others.
    run: u64,
}

struct Worker<'l> {
    load: &'l Load<'l>,
    clients: Vec<Client>,
    random: Random,
    thread: u64,
    writes: u64,
    own: Vec<String>,
}

impl<'o> Load<'o> {
    pub fn new(options: &'o Options, began: Instant) -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self { options, began, run }
    }

    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// Returns when every front has answered.
    pub fn wait_for_all_fronts(&self, patience: Duration) -> Result<(), String> {
        let end = Instant::now() + patience;
        for address in &self.options.fronts {
            let mut client = Client::new(*address);
            while !client.ask("GET", "/none", b"").is_ok_and(|answer| answer.status == 404) {
                if Instant::now() >= end {
                    return Err(format!("{address} does not answer\nhint: is the system running?"));
                }
                std::thread::sleep(REST);
            }
        }
        Ok(())
    }

    /// Works until it is over.
    pub fn work(&self, thread: u64, is_over: &AtomicBool) -> Vec<Record> {
        let mut worker = self.worker(thread);
        let mut records = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let record = worker.turn();
            if record.outcome == Outcome::NotDone {
                std::thread::sleep(REST);
            }
            records.push(record);
        }
        records
    }

    /// Reads every key, and the list, at every front.
    pub fn read_everything(&self) -> Vec<Record> {
        let mut worker = self.worker(self.options.threads);
        let mut records = Vec::new();
        for front in 0..self.options.fronts.len() {
            records.extend((0..self.options.keys).map(|key| worker.get(front, key)));
            records.push(worker.list(front));
        }
        records
    }

    fn worker(&self, thread: u64) -> Worker<'_> {
        let clients = self.options.fronts.iter().map(|address| Client::new(*address)).collect();
        let random = Random::new(self.options.seed, thread);
        Worker { load: self, clients, random, thread, writes: 0, own: Vec::new() }
    }
}

impl Worker<'_> {
    fn turn(&mut self) -> Record {
        let front = self.random.below(self.clients.len() as u64) as usize;
        let key = self.random.below(self.load.options.keys);
        match self.random.below(100) {
            0..50 => self.get(front, key),
            50..85 => {
                self.writes += 1;
                let value = (self.thread << 40) | self.writes;
                let padding = " ".repeat(self.random.below(PADDING_BYTES) as usize);
                let body = format!("{value}{padding}");
                self.write(front, "PUT", self.shared(key), &body, Wish::Shared(key, Action::Put(value)))
            }
            85..93 => self.write(front, "DELETE", self.shared(key), "", Wish::Shared(key, Action::Delete)),
            93..96 => {
                self.writes += 1;
                let name = format!("{}-{}", self.thread, self.writes);
                self.own.push(name.clone());
                self.write(front, "PUT", self.listed(&name), "x", Wish::Add(name))
            }
            96..98 if !self.own.is_empty() => {
                let chosen = self.random.below(self.own.len() as u64) as usize;
                let name = self.own.swap_remove(chosen);
                self.write(front, "DELETE", self.listed(&name), "", Wish::Remove(name))
            }
            _ => self.list(front),
        }
    }

    fn shared(&self, key: u64) -> String {
        format!("/{}/shared/{key}", self.load.run)
    }

    fn listed(&self, name: &str) -> String {
        format!("/{}/listed/{name}", self.load.run)
    }

    fn get(&mut self, front: usize, key: u64) -> Record {
        let path = self.shared(key);
        let began_us = self.load.now_us();
        let answer = self.clients[front].ask("GET", &path, b"");
        let ended_us = self.load.now_us();
        let (value, outcome) = match &answer {
            Ok(Answer { status: 404, .. }) => (None, Outcome::Done),
            Ok(Answer { status: 200, body, .. }) => match value_of(body) {
                Some(value) => (Some(value), Outcome::Done),
                None => (None, Outcome::Nonsense(200)),
            },
            Ok(Answer { status: 500 | 503, .. }) => (None, Outcome::NotDone),
            Ok(Answer { status, .. }) => (None, Outcome::Nonsense(*status)),
            // What was not answered was not read.
            Err(_) => (None, Outcome::NotDone),
        };
        let is_hit = answer.is_ok_and(|answer| answer.field("x-cache") == Some("hit"));
        let wish = Wish::Shared(key, Action::Read(value));
        Record { front, wish, began_us, ended_us, outcome, is_hit }
    }

    fn write(&mut self, front: usize, method: &str, path: String, body: &str, wish: Wish) -> Record {
        let began_us = self.load.now_us();
        let answer = self.clients[front].ask(method, &path, body.as_bytes());
        let ended_us = self.load.now_us();
        let outcome = match answer.map(|answer| answer.status) {
            Ok(204) => Outcome::Done,
            Ok(503 | 507) | Err(Failure::NotSent) => Outcome::NotDone,
            Ok(500 | 504) | Err(Failure::Lost) => Outcome::Open,
            Ok(status) => Outcome::Nonsense(status),
        };
        Record { front, wish, began_us, ended_us, outcome, is_hit: false }
    }

    fn list(&mut self, front: usize) -> Record {
        let began_us = self.load.now_us();
        let listed = self.list_pages(front);
        let ended_us = self.load.now_us();
        let (keys, outcome) = match listed {
            Ok(keys) => (keys, Outcome::Done),
            Err(outcome) => (Vec::new(), outcome),
        };
        Record { front, wish: Wish::List(keys), began_us, ended_us, outcome, is_hit: false }
    }

    fn list_pages(&mut self, front: usize) -> Result<Vec<String>, Outcome> {
        let first = self.listed("");
        let mut keys = Vec::new();
        let mut query = String::new();
        loop {
            let answer = self.clients[front].ask("GET", &format!("{first}{query}"), b"");
            let answer = answer.map_err(|_| Outcome::NotDone)?;
            match answer.status {
                200 => {}
                500 | 503 => return Err(Outcome::NotDone),
                status => return Err(Outcome::Nonsense(status)),
            }
            let text = String::from_utf8_lossy(&answer.body);
            let own = first.trim_start_matches('/');
            keys.extend(text.lines().map(|line| line.strip_prefix(own).unwrap_or(line).to_owned()));
            let next = answer.field("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
            let Some((next, _)) = next else { return Ok(keys) };
            query = next.to_owned();
        }
    }
}

fn value_of(body: &[u8]) -> Option<u64> {
    std::str::from_utf8(body).ok()?.trim_end().parse().ok()
}

/// What happened to the shared keys, a history each.
pub fn shared<'r>(
    records: impl Iterator<Item = &'r Record>,
) -> BTreeMap<u64, Vec<cluster_check::history::Operation>> {
    let mut histories: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for record in records {
        let Wish::Shared(key, action) = record.wish else { continue };
        let ended = match record.outcome {
            Outcome::Done => Some(record.ended_us),
            Outcome::Open => None,
            Outcome::NotDone | Outcome::Nonsense(_) => continue,
        };
        let operation = cluster_check::history::Operation { action, began: record.began_us, ended };
        histories.entry(key).or_default().push(operation);
    }
    histories
}
