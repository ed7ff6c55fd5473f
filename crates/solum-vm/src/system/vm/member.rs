//! One machine of a system: its lives, each run by a thread of its own, and the way to it.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use solum_spec::control::{self, Decoder, FromMachine};
use solum_spec::operation::{Answer, Order, VERSION, What};

use super::Booted;
use super::lives::Lives;
use crate::error::VmError;
use crate::report::{End, Report};
use crate::requests::{Handle, Waker, requests};
use crate::run::{Limits, Streams};

/// Bytes of orders that wait for a machine that does not take them: more than a person gives, and a bound.
const WAITING_BYTES: usize = 64 * 1024;

/// Something that a machine did.
pub enum Event {
    /// QEMU runs.
    Emulated(u32),
    /// It answered an order.
    Answered(Answer),
    /// It said something.
    Said(FromMachine),
    /// This life is over.
    Ended(Box<Result<Report, VmError>>),
}

/// Something that a machine did in one of its lives.
pub struct News {
    /// Which machine.
    pub machine: usize,
    /// In which of its lives. What the last one said is of no interest in the next.
    pub life: u32,
    /// What.
    pub event: Event,
}

/// Where machines send their news.
#[derive(Clone)]
pub struct Post {
    pub sender: Sender<News>,
    pub waker: Waker,
}

/// One machine.
pub struct Member {
    booted: Arc<Booted>,
    /// Its place among all.
    index: usize,
    /// Its units among all.
    pub units: Range<usize>,
    /// Its cable's place in the system's network.
    pub cable: Option<usize>,
    pub lives: Lives,
    /// Counts its lives.
    pub life: u32,
    /// When this life began, in milliseconds since the system did.
    pub began_ms: u64,
    pub handle: Handle,
    orders: PipeWriter,
    /// What has no room there yet.
    waiting: Vec<u8>,
    /// Where the next life hears its orders. Those that are given while the machine is away wait there.
    input: Option<PipeReader>,
    thread: Option<JoinHandle<()>>,
    /// How it ended last.
    pub report: Option<Result<Report, VmError>>,
}

impl Member {
    /// A machine that is to be started.
    pub fn new(booted: Booted, index: usize, units: Range<usize>, cable: Option<usize>) -> io::Result<Self> {
        let (handle, _) = requests()?;
        let (input, orders) = conversation()?;
        let timeout = booted.limits.timeout.map(|limit| limit.as_millis() as u64);
        Ok(Self {
            booted: Arc::new(booted),
            index,
            units,
            cable,
            lives: Lives::new(timeout),
            life: 0,
            began_ms: 0,
            handle,
            orders,
            waiting: Vec::new(),
            input: Some(input),
            thread: None,
            report: None,
        })
    }

    /// Its name in the system.
    pub fn name(&self) -> &str {
        &self.booted.name
    }

    /// How long it may take to stop.
    pub fn stop_limit(&self) -> Duration {
        self.booted.limits.stop
    }

    /// Starts it, after `now` of the run.
    pub fn boot(&mut self, cable: Option<OwnedFd>, now: Duration, post: &Post) -> io::Result<()> {
        let (handle, requests) = requests()?;
        let input = match self.input.take() {
            Some(input) => input,
            None => self.converse()?,
        };
        self.life += 1;
        let post = LifePost { machine: self.index, life: self.life, post: post.clone() };
        let booted = Arc::clone(&self.booted);
        let limits =
            Limits { timeout: booted.limits.timeout.map(|limit| limit.saturating_sub(now)), ..booted.limits };
        let thread = std::thread::Builder::new().name(format!("machine {}", self.name()));
        self.thread = Some(thread.spawn(move || {
            let streams = Streams {
                input: Some(Box::new(input)),
                output: Box::new(AnswerReader { post: post.clone(), decoder: Decoder::new() }),
                error: Box::new(io::sink()),
            };
            let mut observer = |notice: crate::Notice<'_>| match notice {
                crate::Notice::Message(message) => post.send(Event::Said(message.clone())),
                crate::Notice::Emulator(pid) => post.send(Event::Emulated(pid)),
                crate::Notice::KernelLine(_) => {}
            };
            let report = crate::run_wired(&booted.machine, limits, streams, cable, requests, &mut observer);
            post.send(Event::Ended(Box::new(report.map(|report| of_whole_run(report, booted.limits)))));
        })?);
        self.handle = handle;
        Ok(())
    }

    /// The thread of its last life is over, or about to be.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by it.
            let _ = thread.join();
        }
    }

    /// It will have another life: orders are for that from now on.
    pub fn look_forward(&mut self) -> io::Result<()> {
        self.input = Some(self.converse()?);
        Ok(())
    }

    /// What its next life would hear.
    #[cfg(test)]
    pub fn take_input(&mut self) -> Option<PipeReader> {
        self.input.take()
    }

    fn converse(&mut self) -> io::Result<PipeReader> {
        let (input, orders) = conversation()?;
        self.orders = orders;
        // A part of an order would be none.
        self.waiting.clear();
        Ok(input)
    }

    /// Tells it something; it hears that as soon as it listens.
    ///
    /// # Errors
    ///
    /// For people, if it will not.
    pub fn order(&mut self, what: What) -> Result<(), String> {
        if self.lives.is_off() {
            return Err(format!("machine {} is off", self.name()));
        }
        if self.waiting.len() >= WAITING_BYTES {
            return Err(format!(
                "machine {} does not take orders: it has not taken earlier ones",
                self.name()
            ));
        }
        self.waiting.extend(control::encode(&Order { version: VERSION, what }));
        self.send_orders();
        Ok(())
    }

    /// Sends what waits, as far as there is room. One machine that does not listen is not waited for by all others.
    pub fn send_orders(&mut self) {
        while !self.waiting.is_empty() {
            match self.orders.write(&self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody will read it: this life is over, and whoever looks after lives hears of that.
                Err(_) => self.waiting.clear(),
            }
        }
    }

    /// Can be written when there is room for what waits.
    pub fn full(&self) -> Option<BorrowedFd<'_>> {
        (!self.waiting.is_empty()).then(|| self.orders.as_fd())
    }
}

/// The limit of a later life is what was left of that of the run, which is the one to be told.
fn of_whole_run(mut report: Report, limits: Limits) -> Report {
    if let (End::TimedOut(limit), Some(whole)) = (&mut report.end, limits.timeout) {
        *limit = whole;
    }
    report
}

/// A conversation that begins with the wish to know everything.
fn conversation() -> io::Result<(PipeReader, PipeWriter)> {
    let (input, mut orders) = io::pipe()?;
    // It waits in the pipe until the machine listens.
    orders.write_all(&control::encode(&Order { version: VERSION, what: What::Watch }))?;
    rustix::io::ioctl_fionbio(&orders, true)?;
    Ok((input, orders))
}

/// The way from the threads of one life to where all machines come together.
#[derive(Clone)]
struct LifePost {
    machine: usize,
    life: u32,
    post: Post,
}

impl LifePost {
    fn send(&self, event: Event) {
        let &Self { machine, life, ref post } = self;
        // Nobody listens any more when the system is over.
        if post.sender.send(News { machine, life, event }).is_ok() {
            post.waker.wake();
        }
    }
}

/// Takes what a machine writes to its standard output: answers.
struct AnswerReader {
    post: LifePost,
    decoder: Decoder,
}

impl Write for AnswerReader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.decoder.push(bytes);
        while let Some(answer) = self.decoder.decode().map_err(io::Error::other)? {
            self.post.send(Event::Answered(answer));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
