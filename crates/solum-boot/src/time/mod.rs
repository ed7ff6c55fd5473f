//! The clock of a machine: asked of time servers, set once, then kept right.
//!
//! [`run`] is the whole of the role `time`. Whom to ask and to believe is decided in `client`, without I/O; this module
//! waits, sends and receives. It needs [`CAPABILITIES`] and what its arguments name, and nothing else.

mod client;
mod clock;
mod exchange;
mod kept;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use solum_spec::control::ClockReport;

pub use client::EARLIEST_S;
use client::{Client, Correction, Effect, Event};
use clock::{Clock, SystemClock};
use exchange::Question;
pub use kept::Kept;
use solum_spec::calendar::Calendar;

/// What [`run`] may do beyond an ordinary process (capabilities(7)): set clocks.
pub const CAPABILITIES: CapabilitySet = CapabilitySet::SYS_TIME;

/// The port of time servers (RFC 5905 §7.2).
const PORT: u16 = 123;
/// The hardware's clock is set at least this often, as it may be off by a second a day.
const SAVE_EVERY: Duration = Duration::from_secs(3600);

/// Keeps the clock right, for ever. `servers` are names or addresses, best first. Whenever the clock was compared and
/// corrected, the moment is written to the file `clock_set` (RFC 3339), and `report` hears of it.
///
/// # Errors
///
/// It returns only when it cannot go on, because the kernel has no memory. A server that does not answer or cannot be
/// believed is no error: it is asked again later.
pub fn run(
    servers: &[String],
    clock_set: &Path,
    report: &mut dyn FnMut(ClockReport),
) -> io::Result<Infallible> {
    let mut keeper = Keeper::new(servers, PORT, clock_set, SystemClock);
    loop {
        keeper.turn(report)?;
    }
}

/// What the clock says, in seconds since 1970.
pub fn now_s() -> u64 {
    SystemClock.now().as_secs()
}

/// What the hardware's clock says, in seconds since 1970, if there is one that can be right.
pub fn hardware_s() -> Option<u64> {
    clock::hardware_s().filter(|now_s| is_moment(*now_s))
}

/// Moves the clock forward to what is known to be past: the time of the hardware, where the kernel did not read it, or the
/// release of Solum. A machine whose hardware has no clock starts in 1970, where certificates are not valid yet, and the
/// arithmetic of NTP (differences below 68 years) ends in 2038. This is not yet the right time, and reported to nobody.
///
/// Whether the time is that of a hardware's clock, which went on while the machine was off.
pub fn catch_up() -> bool {
    let now_s = now_s();
    let hardware = (now_s < EARLIEST_S).then(clock::hardware_s).flatten();
    move_on(now_s, hardware);
    is_moment(now_s) || hardware.is_some_and(is_moment)
}

/// Goes on from what the machine's last life kept; `is_hardware` is what [`catch_up`] found.
pub fn resume(kept: Kept, is_hardware: bool) {
    let now_s = now_s();
    move_on(now_s, Some(kept.resumed_s(now_s, is_hardware)));
}

fn move_on(now_s: u64, known: Option<u64>) {
    if let Some(behind_s) = behind_s(now_s, known) {
        let _ = SystemClock.step(behind_s.saturating_mul(1_000_000));
    }
}

/// Whether this can be the time. No machine of today lives until 2100: a clock or a file that says so is damaged.
fn is_moment(seconds: u64) -> bool {
    const LATEST_S: u64 = 4_102_444_800;
    (EARLIEST_S..LATEST_S).contains(&seconds)
}

/// By how much a clock is behind what is known.
fn behind_s(now_s: u64, known: Option<u64>) -> Option<i64> {
    let known = known.filter(|known| is_moment(*known)).unwrap_or(EARLIEST_S);
    i64::try_from(known.checked_sub(now_s)?).ok().filter(|behind| *behind > 0)
}

/// Reads bytes as the answer to a question that was asked in 2026.
#[cfg(feature = "fuzzing")]
pub fn read_ntp(bytes: &[u8]) {
    let asked = Duration::from_secs(EARLIEST_S);
    let _ = Question::new(asked).and_then(|question| question.answer(bytes, asked));
}

/// The shell around [`Client`].
struct Keeper<'a, C> {
    servers: &'a [String],
    port: u16,
    clock_set: &'a Path,
    clock: C,
    client: Client,
    /// Questions that are not answered yet.
    open: Vec<Open>,
    started: Instant,
    saved: Option<Instant>,
}

struct Open {
    server: IpAddr,
    question: Question,
    socket: UdpSocket,
}

impl<'a, C: Clock> Keeper<'a, C> {
    fn new(servers: &'a [String], port: u16, clock_set: &'a Path, clock: C) -> Self {
        let started = Instant::now();
        Self {
            servers,
            port,
            clock_set,
            clock,
            client: Client::new(),
            open: Vec::new(),
            started,
            saved: None,
        }
    }

    /// Waits for one thing to happen, and does what follows from it.
    fn turn(&mut self, report: &mut dyn FnMut(ClockReport)) -> io::Result<()> {
        self.wait()?;
        // Taken from the end: what has come before what is late.
        let mut events = vec![Event::TimePassed];
        events.extend(self.receive());
        while let Some(event) = events.pop() {
            let effects = self.client.step(self.started.elapsed(), self.clock.now(), event);
            for effect in effects {
                events.extend(self.apply(effect, report));
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let mut waiting: Vec<_> =
            self.open.iter().map(|open| PollFd::new(&open.socket, PollFlags::IN)).collect();
        let left = self.client.deadline().map(|deadline| deadline.saturating_sub(self.started.elapsed()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match rustix::event::poll(&mut waiting, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads the answers that have come.
    fn receive(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for open in &self.open {
            let mut packet = [0; 512];
            loop {
                match open.socket.recv(&mut packet) {
                    Ok(length) => {
                        let answer = open.question.answer(&packet[..length], self.clock.now());
                        events.extend(answer.map(|answer| Event::Answered(open.server, answer)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The machine is there, and had to answer: it is a burden (RFC 4330 §10), a missing way is none.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        events.push(Event::Refused(open.server));
                        break;
                    }
                    Err(_) => {
                        events.push(Event::Unsent(open.server));
                        break;
                    }
                }
            }
        }
        events
    }

    fn apply(&mut self, effect: Effect, report: &mut dyn FnMut(ClockReport)) -> Option<Event> {
        match effect {
            Effect::Resolve => Some(Event::Resolved(self.resolve())),
            Effect::Ask(server) => match self.ask(server) {
                Ok(open) => {
                    self.open.push(open);
                    None
                }
                Err(_) => Some(Event::Unsent(server)),
            },
            Effect::Forget => {
                self.open.clear();
                None
            }
            Effect::Correct(correction) => {
                // Without the right to set the clock, it is not set, and nobody is told that it were.
                if self.correct(&correction).is_ok() {
                    report(ClockReport {
                        server: correction.server.to_string(),
                        offset_ms: correction.offset_us / 1000,
                    });
                }
                None
            }
        }
    }

    /// The addresses of every server: the first one of each name, then the second ones, and so on.
    fn resolve(&self) -> Vec<IpAddr> {
        let found = self.servers.iter().map(|server| match (server.as_str(), self.port).to_socket_addrs() {
            Ok(addresses) => addresses.map(|address| address.ip()).collect(),
            Err(_) => Vec::new(),
        });
        let found: Vec<Vec<IpAddr>> = found.collect();
        let most = found.iter().map(Vec::len).max().unwrap_or(0);
        let mut addresses = Vec::new();
        for position in 0..most {
            for address in found.iter().filter_map(|of_one| of_one.get(position)) {
                if !addresses.contains(address) {
                    addresses.push(*address);
                }
            }
        }
        addresses
    }

    fn ask(&self, server: IpAddr) -> io::Result<Open> {
        let any: IpAddr = match server {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // A new port for each question, so that an answer is hard to forge; connected, so that others cannot answer.
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((server, self.port))?;
        socket.set_nonblocking(true)?;
        let question = Question::new(self.clock.now()).ok_or(io::ErrorKind::InvalidData)?;
        socket.send(question.bytes())?;
        Ok(Open { server, question, socket })
    }

    fn correct(&mut self, correction: &Correction) -> io::Result<()> {
        if correction.at_once {
            self.clock.step(correction.offset_us)?;
        }
        let left_us = if correction.at_once { 0 } else { correction.offset_us };
        self.clock.slew(left_us, correction.interval_s)?;
        if correction.at_once || self.saved.is_none_or(|saved| saved.elapsed() >= SAVE_EVERY) {
            // Not every machine has a clock in its hardware.
            let _ = self.clock.save();
            self.saved = Some(Instant::now());
        }
        // A place that cannot be written is whoever started this role's mistake; the clock is right all the same.
        let _ = self.write_moment();
        Ok(())
    }

    /// Replaces the file in one step.
    fn write_moment(&self) -> io::Result<()> {
        let beside = self.clock_set.with_extension("new");
        std::fs::write(&beside, format!("{}\n", Calendar::from_unix(self.clock.now().as_secs())))?;
        std::fs::rename(beside, self.clock_set)
    }
}

#[cfg(test)]
mod tests;
