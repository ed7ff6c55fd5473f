//! The running system's side of `solum ps`, `logs`, `start`, `stop`, `restart` and `down`; and, in a machine, of the host
//! that watches it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use solum_spec::control::{self, Decoder};
use solum_spec::keyboard::KeyChange;
use solum_spec::operation::{Answer, LogLine, Order, UnitReport, VERSION, What};
use solum_spec::plan;
use solum_supervisor::Command;
use solum_supervisor::log::{Entry, LogRing, Position, Stream};

use crate::runner::{Place, Runner};

/// Bytes that wait for a reader. What comes meanwhile stays in the units' logs, and is lost from there if it is too much.
const WAITING_BYTES: usize = 64 * 1024;
/// People who look on at the same time; more have to wait.
const CONNECTIONS_MAX: usize = 32;

/// A system that can be looked into.
pub trait Operated {
    /// What every unit is doing.
    fn units(&self) -> Vec<UnitReport>;
    /// The place of the unit with this name.
    ///
    /// # Errors
    ///
    /// A sentence that says which units there are.
    fn find(&self, name: &str) -> Result<usize, String>;
    /// What a unit has printed.
    fn log(&self, unit: usize) -> Option<&LogRing>;
    /// How long it may take until everything has stopped.
    fn stop_limit(&self) -> Duration;
    /// Does what is wanted of a unit, or of all.
    ///
    /// # Errors
    ///
    /// A sentence that says why it cannot.
    fn obey(&mut self, wish: Wish) -> Result<(), String>;
    /// Lets this happen at the keyboard of a machine, or at the only one there is.
    ///
    /// # Errors
    ///
    /// A sentence that says why it cannot.
    fn press(&mut self, machine: Option<&str>, keys: &[KeyChange]) -> Result<(), String>;
}

impl<P: Place> Operated for Runner<P> {
    fn units(&self) -> Vec<UnitReport> {
        let plan = self.plan();
        let report = |(index, unit): (usize, &plan::Unit)| {
            let (state, reason) = self.state(index)?;
            let program = self.program(index).and_then(|program| plan.programs.get(program));
            Some(UnitReport {
                unit: unit.full_name(),
                program: program.map(|program| program.name.clone()).unwrap_or_default(),
                phase: state.phase,
                reason: reason.to_owned(),
                starts: state.epoch,
                pid: self.pid(index).map(|pid| pid.as_raw_nonzero().get().unsigned_abs()),
                machine_pid: None,
            })
        };
        plan.units.iter().enumerate().filter_map(report).collect()
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        self.plan().find(name)
    }

    fn log(&self, unit: usize) -> Option<&LogRing> {
        Self::log(self, unit)
    }

    /// Each unit may have to wait for all that need it.
    fn stop_limit(&self) -> Duration {
        Duration::from_millis(self.plan().units.iter().map(|unit| u64::from(unit.grace_ms)).sum())
    }

    fn obey(&mut self, wish: Wish) -> Result<(), String> {
        match wish {
            Wish::Start(unit) => self.command(unit, Command::Start),
            Wish::Stop(unit) => self.command(unit, Command::Stop),
            Wish::Restart(unit) => self.command(unit, Command::Restart),
            Wish::Down => self.stop_all(),
        }
        Ok(())
    }

    fn press(&mut self, machine: Option<&str>, keys: &[KeyChange]) -> Result<(), String> {
        self.place().press(machine, keys)
    }
}

/// What an operator wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A unit shall run.
    Start(usize),
    /// A unit shall not run.
    Stop(usize),
    /// A unit shall stop and start again.
    Restart(usize),
    /// Everything shall stop.
    Down,
}

/// A conversation, of which neither side waits.
pub trait Talk: Send {
    /// Reads some bytes; 0 if the other side is gone.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize>;
    /// Writes some of the bytes.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize>;
    /// What can be read when the other side says something.
    fn input(&self) -> BorrowedFd<'_>;
    /// What can be written when the other side takes more.
    fn output(&self) -> BorrowedFd<'_>;
}

impl Talk for UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Read::read(self, buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(self, bytes)
    }

    fn input(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

/// Everybody who asks.
#[derive(Default)]
pub struct Operator {
    listener: Option<UnixListener>,
    connections: Vec<Connection>,
}

struct Connection {
    stream: Box<dyn Talk>,
    decoder: Decoder,
    output: Vec<u8>,
    /// The other side may still say something. One that only stopped asking can be read for ever.
    hears: bool,
    /// Whose logs it reads, and how far it is.
    reading: Vec<(usize, Position)>,
    follows: bool,
    /// It is told of every change, with what it was told last, and goes on to give orders.
    watching: Option<Vec<UnitReport>>,
    /// Nothing more is to be said.
    is_answered: bool,
    /// It has not asked yet, and will.
    is_awaited: bool,
}

impl Operator {
    /// Answers on this socket.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(listener: UnixListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: Some(listener), connections: Vec::new() })
    }

    /// Answers in this conversation too, with somebody who is going to ask.
    pub fn talk(&mut self, stream: Box<dyn Talk>) {
        self.connections.push(Connection { is_awaited: true, ..Connection::new(stream) });
    }

    /// When one of these is ready, a [`turn`](Self::turn) is due.
    pub fn poll_descriptors(&self) -> Vec<PollFd<'_>> {
        let readable = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let has_room = self.connections.len() < CONNECTIONS_MAX;
        let listener = self.listener.as_ref().filter(|_| has_room).map(AsFd::as_fd);
        let hearing = self.connections.iter().filter(|connection| connection.is_heard());
        let inputs = hearing.map(|connection| connection.stream.input());
        let full = self.connections.iter().filter(|connection| !connection.output.is_empty());
        let outputs =
            full.map(|connection| PollFd::from_borrowed_fd(connection.stream.output(), PollFlags::OUT));
        listener.into_iter().chain(inputs).map(readable).chain(outputs).collect()
    }

    /// Takes orders and sends what there is to tell, without waiting.
    pub fn turn(&mut self, system: &mut dyn Operated) {
        while self.connections.len() < CONNECTIONS_MAX {
            // What went wrong with one that wanted to connect is its own affair.
            let Some(Ok((stream, _))) = self.listener.as_ref().map(UnixListener::accept) else { break };
            if stream.set_nonblocking(true).is_ok() {
                self.connections.push(Connection::new(Box::new(stream)));
            }
        }
        self.connections.retain_mut(|connection| connection.turn(system));
    }

    /// The system is over: everybody gets the last lines, as long as they take them within this time. Who does not is left
    /// without [`Answer::Done`], and so knows.
    pub fn finish(&mut self, system: &mut dyn Operated, patience: Duration) {
        let end = Instant::now() + patience;
        // What was asked before is still answered.
        self.turn(system);
        self.listener = None;
        loop {
            for connection in &mut self.connections {
                connection.follows = false;
            }
            self.connections.retain_mut(|connection| connection.turn(system));
            // A unit may be over before the host's first order has come through to the machine.
            self.connections.retain(|connection| {
                !connection.output.is_empty() || connection.follows || connection.is_awaited
            });
            let left = end.checked_duration_since(Instant::now());
            let (Some(left), false) = (left, self.connections.is_empty()) else { return };
            if self.connections.iter().any(|connection| connection.follows) {
                // It has asked just now, and gets the end of it.
                continue;
            }
            let timeout = Timespec::try_from(left).ok();
            let _ = poll(&mut self.poll_descriptors(), timeout.as_ref());
        }
    }
}

impl Connection {
    fn new(stream: Box<dyn Talk>) -> Self {
        let (decoder, output, reading) = (Decoder::new(), Vec::new(), Vec::new());
        Self {
            stream,
            decoder,
            output,
            reading,
            hears: true,
            follows: false,
            watching: None,
            is_answered: false,
            is_awaited: false,
        }
    }

    /// Whether the other side may say something that is to be heard now.
    fn is_heard(&self) -> bool {
        self.hears && self.output.len() < WAITING_BYTES
    }

    /// Whether it is worth keeping.
    fn turn(&mut self, system: &mut dyn Operated) -> bool {
        // Who does not listen to the answers is not asked for more orders.
        let is_full = self.output.len() >= WAITING_BYTES;
        if !is_full && !self.read(system) {
            return false;
        }
        loop {
            self.report_changes(system);
            self.fill(system);
            if self.output.is_empty() {
                return !self.is_answered;
            }
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    fn read(&mut self, system: &mut dyn Operated) -> bool {
        let mut buffer = [0; 4096];
        // Who asked and says no more is still told what was asked for.
        match if self.hears { self.stream.read(&mut buffer) } else { Ok(0) } {
            Ok(0) => {
                self.hears = false;
                return !self.output.is_empty() || !self.reading.is_empty() && !self.follows;
            }
            Ok(length) => self.decoder.push(&buffer[..length]),
            Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
        loop {
            match self.decoder.decode::<Order>() {
                Ok(Some(order)) => self.obey(&order, system),
                Ok(None) => return true,
                Err(error) => {
                    self.say(&Answer::Refused(error.to_string()));
                    self.is_answered = true;
                    return true;
                }
            }
        }
    }

    fn obey(&mut self, order: &Order, system: &mut dyn Operated) {
        self.is_awaited = false;
        let answer = match self.answer(order, system) {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            Err(why) => Answer::Refused(why),
        };
        self.say(&answer);
        self.is_answered = self.watching.is_none();
    }

    /// Tells whoever watches what units do differently since they were last told.
    fn report_changes(&mut self, system: &dyn Operated) {
        // Whoever is slow is told later, of what is true then.
        if self.output.len() >= WAITING_BYTES {
            return;
        }
        let Some(told) = &mut self.watching else { return };
        let now = system.units();
        let changed = now.iter().enumerate().filter(|(index, unit)| told.get(*index) != Some(unit));
        let changed = changed.map(|(_, unit)| unit.clone()).collect();
        *told = now;
        self.say_units(changed);
    }

    /// The last answer; nothing if there are lines to be sent first.
    fn answer(&mut self, order: &Order, system: &mut dyn Operated) -> Result<Option<Answer>, String> {
        if order.version != VERSION {
            let asked = order.version;
            return Err(format!(
                "the system was started by another version of Solum ({VERSION}, asked in {asked})"
            ));
        }
        let wish = match &order.what {
            What::List => {
                self.say_units(system.units());
                return Ok(Some(Answer::Done));
            }
            What::Logs { units, lines, follow } => {
                self.begin_reading(units, *lines, system)?;
                self.follows = *follow;
                return Ok(None);
            }
            What::Watch => {
                self.begin_reading(&[], None, system)?;
                self.follows = true;
                self.watching = Some(Vec::new());
                return Ok(None);
            }
            What::Start(unit) => Wish::Start(system.find(unit)?),
            What::Stop(unit) => Wish::Stop(system.find(unit)?),
            What::Restart(unit) => Wish::Restart(system.find(unit)?),
            What::Down => Wish::Down,
            What::Press { machine, keys } => {
                system.press(machine.as_deref(), keys)?;
                return Ok(Some(Answer::Done));
            }
        };
        if wish == Wish::Down {
            let within_ms = u64::try_from(system.stop_limit().as_millis()).unwrap_or(u64::MAX);
            self.say(&Answer::Stopping { within_ms });
        }
        system.obey(wish)?;
        Ok(Some(Answer::Done))
    }

    fn begin_reading(
        &mut self,
        names: &[String],
        lines: Option<u32>,
        system: &mut dyn Operated,
    ) -> Result<(), String> {
        let units: Vec<usize> = match names {
            [] => (0..system.units().len()).collect(),
            names => names.iter().map(|name| system.find(name)).collect::<Result<_, _>>()?,
        };
        let begin = |log: &LogRing| match lines {
            Some(lines) => log.last(lines as usize),
            None => log.oldest(),
        };
        self.reading = units.into_iter().filter_map(|unit| Some((unit, begin(system.log(unit)?)))).collect();
        Ok(())
    }

    /// Puts lines into the output, the earliest first, as long as there is room.
    fn fill(&mut self, system: &dyn Operated) {
        let names: Vec<String> = match self.reading.is_empty() {
            true => return,
            false => system.units().into_iter().map(|unit| unit.unit).collect(),
        };
        while self.output.len() < WAITING_BYTES {
            let next = self
                .reading
                .iter()
                .enumerate()
                .filter_map(|(index, (unit, position))| {
                    let mut ahead = *position;
                    let at = match system.log(*unit)?.read(&mut ahead)? {
                        Entry::Lost { .. } => 0,
                        Entry::Line(line) => line.at_ms,
                    };
                    Some((at, index))
                })
                .min();
            let Some((_, index)) = next else {
                if !self.follows {
                    self.reading.clear();
                    self.say(&Answer::Done);
                    self.is_answered = true;
                }
                return;
            };
            let (unit, position) = &mut self.reading[index];
            let entry = system.log(*unit).and_then(|log| log.read(position));
            let name = names.get(*unit).cloned().unwrap_or_default();
            let answer = match entry {
                Some(Entry::Line(line)) => Answer::Line(LogLine {
                    unit: name,
                    is_error: line.source.stream == Stream::Error,
                    at_ms: line.at_ms,
                    bytes: line.bytes.to_vec(),
                }),
                Some(Entry::Lost { lines, bytes }) => Answer::Lost { unit: name, lines, bytes },
                None => return,
            };
            self.say(&answer);
        }
    }

    /// In as many answers as it takes for none to be longer than a frame may be.
    fn say_units(&mut self, units: Vec<UnitReport>) {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for unit in units {
            // A frame's own few bytes are counted for each unit.
            let more = control::encode(&unit).len();
            if bytes + more > control::PAYLOAD_MAX {
                self.say(&Answer::Units(std::mem::take(&mut part)));
                bytes = 0;
            }
            bytes += more;
            part.push(unit);
        }
        if !part.is_empty() {
            self.say(&Answer::Units(part));
        }
    }

    fn say(&mut self, answer: &Answer) {
        self.output.extend_from_slice(&control::encode(answer));
    }
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
