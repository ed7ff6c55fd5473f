//! What units print, on the machine's console: where no host asks for it, a person may look at the screen.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use solum_spec::plan;
use solum_unit::{Entry, Place, Position, Runner};

use crate::devices;

/// A serial port is slow, and PID 1 waits for nobody: what the console does not take at once is kept up to this much, and more is
/// left in the units' logs alone.
const WAITING_BYTES: usize = 64 * 1024;

/// Copies the units' lines to the console.
pub struct UnitConsole {
    console: File,
    /// How far each unit's log has been copied.
    positions: Vec<Position>,
    waiting: Vec<u8>,
}

impl UnitConsole {
    /// Nothing is copied yet. Nobody, if the console cannot be written without waiting.
    pub fn new(console: File, units: usize) -> Option<Self> {
        ioctl_fionbio(&console, true).ok()?;
        Some(Self { console, positions: vec![Position::default(); units], waiting: Vec::new() })
    }

    /// What was not taken yet, if anything: the console is to be waited for.
    pub fn waiting(&self) -> Option<&File> {
        (!self.waiting.is_empty()).then_some(&self.console)
    }

    /// Copies what is new, as far as the console takes it.
    pub fn turn<P: Place>(&mut self, runner: &Runner<P>) {
        for (unit, position) in self.positions.iter_mut().enumerate() {
            let Some(log) = runner.log(unit) else { continue };
            let name = runner.plan().units.get(unit).map(plan::Unit::full_name).unwrap_or_default();
            while let Some(entry) = log.read(position) {
                if self.waiting.len() < WAITING_BYTES {
                    add(&mut self.waiting, &name, &entry);
                }
            }
        }
        self.write();
    }

    /// Writes what is left and waits until it has left the machine, for so long at most.
    pub fn drain(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        devices::let_flow(&self.console);
        loop {
            self.write();
            let left = end.saturating_duration_since(Instant::now());
            let (Some(console), false) = (self.waiting(), left.is_zero()) else {
                return devices::drain(&self.console, left);
            };
            let timeout = Timespec::try_from(left).ok();
            let _ = poll(&mut [PollFd::new(console, PollFlags::OUT)], timeout.as_ref());
        }
    }

    fn write(&mut self) {
        while !self.waiting.is_empty() {
            match self.console.write(&self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Whoever looked there is gone; the logs stay.
                Err(_) => return self.waiting.clear(),
            }
        }
    }
}

fn add(waiting: &mut Vec<u8>, name: &str, entry: &Entry<'_>) {
    waiting.extend_from_slice(name.as_bytes());
    match entry {
        Entry::Line(line) => {
            waiting.extend_from_slice(b" | ");
            waiting.extend_from_slice(&line.bytes);
        }
        Entry::Lost { lines, .. } => {
            waiting.extend_from_slice(format!(": {lines} lines are missing here").as_bytes())
        }
    }
    waiting.extend_from_slice(b"\r\n");
}
