//! A unit that mirrors its members and serves the mirror as one disk.

use std::time::Duration;

use raid::{Mirror, Options, Report, Status, StatusService};
use solum::{Clock, Console, Disk, Entropy, Error, Moment, Serve};

/// While requests keep coming, one step of other work is done after so many of them.
const REQUESTS_A_STEP: u32 = 16;

/// How long to wait after a step that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// The disks that hold the same.
    pub members: Vec<Disk>,
    /// What they are together.
    pub volume: Serve<Disk>,
    /// How they are.
    pub status: Serve<Status>,
    /// When the next step of other work is due.
    pub clock: Clock,
    /// Random numbers, which tell one mirror, and one life of it, from another.
    pub entropy: Entropy,
    /// Where the mirror tells what happened to it.
    pub console: Console,
}

/// Answers with a report that was made for it.
struct Reporter(Report);

impl StatusService for Reporter {
    fn report(&mut self) -> Report {
        self.0.clone()
    }
}

/// The program.
///
/// # Errors
///
/// Why there is no mirror any more, for people.
pub fn mirror(ports: Ports) -> Result<(), String> {
    mirror_with(ports, false)
}

/// The program with its argument. With `force` it begins with members whose newer companions are missing.
///
/// # Errors
///
/// Those of [`mirror`].
pub fn mirror_with(mut ports: Ports, force: bool) -> Result<(), String> {
    let options = Options { force, ..Options::default() };
    let seed = ports.entropy.number().map_err(|error| error.to_string())?;
    let disks = std::mem::take(&mut ports.members);
    let mirror = Mirror::start(disks, options, seed).map_err(|error| error.to_string())?;
    let mut unit = Unit { ports, mirror, requests: 0, not_before: Moment::default() };
    unit.run().map_err(|error| error.to_string())
}

struct Unit {
    ports: Ports,
    mirror: Mirror,
    /// Requests since the last step.
    requests: u32,
    /// When the next step may be.
    not_before: Moment,
}

impl Unit {
    fn run(&mut self) -> solum::Result<()> {
        loop {
            for notice in self.mirror.take_notices() {
                self.ports.console.line(notice)?;
            }
            if let Some(reason) = self.mirror.stopped() {
                return Err(Error::Device(reason.to_owned()));
            }
            let step = self.mirror.next_step().map(|next| next.max(self.not_before));
            if self.requests >= REQUESTS_A_STEP && step.is_some_and(|step| step <= self.ports.clock.now()) {
                self.step();
                continue;
            }
            let Ports { volume, status, clock, .. } = &mut self.ports;
            match clock.select(&mut [volume, status], step) {
                Ok(0) => {
                    self.requests += 1;
                    // What was ready may have been that a client came, and no request.
                    ignore_none(self.ports.volume.next(&mut self.mirror, Some(Moment::default())))?;
                }
                Ok(_) => {
                    let mut reporter = Reporter(self.mirror.report());
                    ignore_none(self.ports.status.next(&mut reporter, Some(Moment::default())))?;
                }
                Err(Error::Deadline) => self.step(),
                Err(error) => return Err(error),
            }
        }
    }

    fn step(&mut self) {
        self.requests = 0;
        let now = self.ports.clock.now();
        // What failed is told by notices, and tried again; but not without end at once.
        if self.mirror.step(now).is_err() {
            self.not_before = now.after(PAUSE);
        }
    }
}

fn ignore_none(outcome: solum::Result<()>) -> solum::Result<()> {
    match outcome {
        Err(Error::Deadline) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
