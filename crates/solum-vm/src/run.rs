//! Carries a run out: starts QEMU, moves bytes, and does what [`Life`] decides.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use solum_spec::control::{self, Decoder, Ending, FromMachine};

pub use crate::life::Limits;

use crate::accelerator::Accelerator;
use crate::drain::Drain;
use crate::emulator::{Emulator, Received, Source};
use crate::error::VmError;
use crate::kernel_log::KernelLog;
use crate::life::{Cause, Effect, Event, Life};
use crate::machine::{Console, Machine};
use crate::preflight;
use crate::qmp;
use crate::report::{self, Durations, End, Memory, Report};
use crate::requests::{Request, Requests};
use crate::sink::Sink;

/// The program's standard streams, on the caller's side.
pub struct Streams {
    /// What the program reads; `None` is an empty input. It is read by a thread that may still wait in
    /// [`Read::read`] when the run is over.
    pub input: Option<Box<dyn Read + Send>>,
    /// Where the program's output goes.
    pub output: Box<dyn Write + Send>,
    /// Where the program's error output goes, if it is apart ([`Console::Streams`]).
    pub error: Box<dyn Write + Send>,
}

/// Something to tell the user while a run is under way.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The machine said this on its control channel.
    Message(&'a FromMachine),
    /// A line of the kernel's log.
    KernelLine(&'a str),
    /// QEMU runs, and is this process of the host.
    Emulator(u32),
}

/// Runs `machine` to its end.
///
/// Blocks the calling thread, which must be one that lives as long: QEMU is killed by the kernel when it ends.
pub fn run(
    machine: &Machine,
    limits: Limits,
    streams: Streams,
    requests: Requests,
    observer: &mut dyn FnMut(Notice<'_>),
) -> Result<Report, VmError> {
    run_wired(machine, limits, streams, None, requests, observer)
}

/// As [`run`], with a cable to the network of the machine's system ([`Network`](crate::network::Network)).
pub fn run_wired(
    machine: &Machine,
    limits: Limits,
    streams: Streams,
    cable: Option<OwnedFd>,
    requests: Requests,
    observer: &mut dyn FnMut(Notice<'_>),
) -> Result<Report, VmError> {
    let memory = Memory { given: machine.memory, enough: preflight::check(machine)? };
    let Streams { input, output, error } = streams;
    let output = Sink::start(output, requests.waker())?;
    let error = Sink::start(error, requests.waker())?;
    let emulator = Emulator::start(machine, cable)?;
    observer(Notice::Emulator(emulator.pid()));
    let mut session = Session {
        console: machine.console,
        accelerator: machine.accelerator,
        memory,
        life: Life::new(limits),
        start: Instant::now(),
        emulator,
        requests,
        input,
        output,
        error,
        decoder: Decoder::new(),
        monitor: qmp::Reader::default(),
        kernel_log: KernelLog::default(),
        complaints: Vec::new(),
        drain: None,
        abandoned: false,
        bytes: 0,
        durations: Durations::default(),
        observer,
    };
    session.emulator.command("qmp_capabilities");
    if limits.silence.is_none() {
        // Nobody will say when the program was started.
        session.emulator.feed(session.input.take(), session.console);
    }
    while !session.life.is_over() {
        session.turn()?;
    }
    session.finish()
}

/// QEMU's own complaints beyond this are not kept.
const COMPLAINTS_MAX: usize = 64 * 1024;

struct Session<'a> {
    console: Console,
    accelerator: Accelerator,
    memory: Memory,
    life: Life,
    start: Instant,
    emulator: Emulator,
    requests: Requests,
    input: Option<Box<dyn Read + Send>>,
    output: Sink,
    error: Sink,
    decoder: Decoder,
    monitor: qmp::Reader,
    kernel_log: KernelLog,
    complaints: Vec<u8>,
    drain: Option<Drain>,
    /// The user ended the run by force, and waits for nothing any more.
    abandoned: bool,
    /// What came from the program so far.
    bytes: u64,
    durations: Durations,
    observer: &'a mut dyn FnMut(Notice<'_>),
}

impl Session<'_> {
    /// Waits for something to happen, and deals with it.
    fn turn(&mut self) -> Result<(), VmError> {
        self.wait()?;
        self.requests.rest();
        while let Some(request) = self.requests.next() {
            self.abandoned |= request == Request::Kill;
            self.happened(Event::Requested(request));
        }
        if self.output.is_broken() {
            self.happened(Event::OutputClosed);
        }
        self.read_inlets();
        self.happened(Event::Tick);
        if self.emulator.inlets.is_empty() {
            self.happened(Event::Gone);
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), VmError> {
        let mut descriptors = vec![PollFd::from_borrowed_fd(self.requests.descriptor(), PollFlags::IN)];
        for inlet in self.emulator.inlets.iter().filter(|inlet| !self.must_wait(inlet.source)) {
            descriptors.push(PollFd::new(&inlet.descriptor, PollFlags::IN));
        }
        let patience = self.life.patience(self.start.elapsed());
        // Rounded up, or the last fraction of a millisecond would be spent turning in circles.
        let patience = Duration::from_millis(patience.as_millis() as u64 + 1);
        match poll(&mut descriptors, Timespec::try_from(patience).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(VmError::Host(error.into())),
        }
    }

    /// Whether a slow reader makes the machine wait. A terminal cannot be made to (QEMU would drop what it writes),
    /// and a machine that ends has only so much left to say.
    fn must_wait(&self, source: Source) -> bool {
        match source {
            _ if self.drain.is_some() || self.abandoned => false,
            Source::Output => self.console == Console::Streams && self.output.is_full(),
            Source::Error => self.error.is_full(),
            _ => false,
        }
    }

    /// Reads what is there. The program's output comes first in the list, so a reply on the monitor is looked at
    /// when all output before it has been counted.
    fn read_inlets(&mut self) {
        let mut index = 0;
        while let Some(inlet) = self.emulator.inlets.get(index) {
            let source = inlet.source;
            if self.must_wait(source) {
                index += 1;
                continue;
            }
            match inlet.read() {
                Received::Bytes(bytes) => self.received(source, &bytes),
                Received::Nothing => index += 1,
                Received::End => drop(self.emulator.inlets.remove(index)),
            }
        }
    }

    fn received(&mut self, source: Source, bytes: &[u8]) {
        self.happened(Event::Activity);
        match source {
            Source::Output => {
                self.bytes += bytes.len() as u64;
                self.output.write(bytes);
            }
            Source::Error => {
                self.bytes += bytes.len() as u64;
                self.error.write(bytes);
            }
            Source::KernelLog => self.kernel_said(bytes),
            Source::Control => self.control_said(bytes),
            Source::Monitor => self.monitor_said(bytes),
            Source::Complaints => {
                let room = COMPLAINTS_MAX.saturating_sub(self.complaints.len());
                self.complaints.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
    }

    fn kernel_said(&mut self, bytes: &[u8]) {
        let mut panicked = false;
        self.kernel_log.push(bytes, &mut |line| {
            panicked |= report::is_panic(line);
            (self.observer)(Notice::KernelLine(line));
        });
        if panicked {
            self.happened(Event::Panicked);
        }
    }

    fn control_said(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
        loop {
            match self.decoder.decode::<FromMachine>() {
                Ok(Some(message)) => self.message(message),
                Ok(None) => return,
                Err(_) => {
                    self.decoder = Decoder::new();
                    return self.happened(Event::Garbled);
                }
            }
        }
    }

    fn message(&mut self, message: FromMachine) {
        let now = self.start.elapsed();
        (self.observer)(Notice::Message(&message));
        match message {
            FromMachine::Hello { protocol } => {
                self.durations.hello.get_or_insert(now);
                self.happened(Event::Hello(protocol));
            }
            FromMachine::Started => {
                self.durations.started.get_or_insert(now);
                // Not earlier: until now the terminal's line discipline would have echoed and changed it.
                self.emulator.feed(self.input.take(), self.console);
            }
            FromMachine::Ended(outcome) => {
                self.durations.ended.get_or_insert(now);
                self.happened(Event::Ended(outcome));
            }
            FromMachine::Ending(ending) => self.happened(Event::Ending(ending)),
            FromMachine::Network(_)
            | FromMachine::Clock(_)
            | FromMachine::Storage(_)
            | FromMachine::Warning(_) => {}
        }
    }

    fn monitor_said(&mut self, bytes: &[u8]) {
        for message in self.monitor.push(bytes) {
            match message {
                qmp::Message::Reply => self.round_is_over(),
                qmp::Message::Off => self.happened(Event::PoweredOff),
                qmp::Message::Other => {}
            }
        }
    }

    fn round_is_over(&mut self) {
        match self.drain.as_mut().map(|drain| drain.round(self.bytes)) {
            Some(true) => self.happened(Event::Drained),
            Some(false) => self.emulator.command("query-status"),
            None => {}
        }
    }

    fn happened(&mut self, event: Event) {
        for effect in self.life.step(self.start.elapsed(), event) {
            match effect {
                Effect::Send(message) => self.emulator.send(&control::encode(&message)),
                Effect::PressPowerButton => self.emulator.command("system_powerdown"),
                Effect::Drain => {
                    self.drain = Some(Drain::default());
                    self.emulator.command("query-status");
                }
                Effect::HangUp => self.emulator.hang_up(),
                Effect::Kill => self.emulator.kill(),
            }
        }
    }

    fn finish(mut self) -> Result<Report, VmError> {
        let status = self.emulator.wait()?;
        self.kernel_log.finish(&mut |line| (self.observer)(Notice::KernelLine(line)));
        self.durations.total = self.start.elapsed();
        let cause = self.life.cause();
        let reboots = self.life.ending() == Ending::Reboot && matches!(cause, Cause::Program(_));
        if !self.abandoned {
            // Whoever ends a run by force may be the one whose terminal is stuck.
            let written = self.output.finish();
            self.error.finish().and(written).map_err(VmError::Output)?;
        }
        let complaints = String::from_utf8_lossy(&self.complaints);
        let power_cut = report::power_cut(&cause, status, &complaints);
        if power_cut.is_none()
            && let Some(refusal) = report::refusal(&cause, status, &complaints)
        {
            return Err(VmError::Refused(refusal));
        }
        let kernel_log = self.kernel_log.into_lines();
        Ok(Report {
            end: power_cut.map_or_else(
                || report::judge(cause, &kernel_log, self.memory, self.accelerator),
                End::PowerCut,
            ),
            reboots,
            kernel_log,
            durations: self.durations,
        })
    }
}
