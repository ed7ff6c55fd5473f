//! Who writes to the mirror, reads what it wrote, and knows what that may be.

use std::time::Duration;

use raid::{MemberState, Report, Status, StatusCalls};
use solum::{Clock, Disk, Entropy, Error, Link};
use solum_sim::Shared;

use crate::model::{self, BLOCK_BYTES, BLOCKS, Model};

/// The most blocks of one request.
const MOST_BLOCKS: u64 = 6;

/// How long a member may take to be back: the longest pause between two looks at it, and some time to copy.
const BACK_WITHIN: Duration = Duration::from_secs(200);

/// What the tester does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Write and read.
    Work,
    /// Wait until the mirror is whole.
    Whole,
    /// Read everything.
    ReadAll,
}

/// What the tester reaches: what `user` reaches, and chance.
#[derive(solum::Ports)]
pub struct Ports {
    /// What is written and read.
    disk: Disk,
    /// How the mirror is.
    status: Link<Status>,
    /// For pauses.
    clock: Clock,
    /// What to do next.
    entropy: Entropy,
}

struct Tester<'a> {
    ports: Ports,
    model: &'a Shared<Model>,
}

/// The program. It panics if something is read that was not written.
pub fn tester(ports: Ports, model: &Shared<Model>) -> Result<(), Error> {
    model.borrow_mut().tester_begins();
    let mut tester = Tester { ports, model };
    tester.read_all()?;
    loop {
        let (phase, done) = (model.borrow().phase, model.borrow().done);
        match phase {
            Phase::Work => tester.work()?,
            Phase::Whole if done == Phase::Work => tester.wait_until_whole()?,
            Phase::ReadAll if done == Phase::Whole => tester.read_all_at_the_end()?,
            _ => tester.ports.clock.sleep(Duration::from_secs(1))?,
        }
    }
}

/// Stops the run.
fn found(why: &str) -> ! {
    panic!("{why}")
}

/// Whoever serves the disk may be gone, or slow; but no disk may fail as long as two members do not.
fn allowed(outcome: Result<(), Error>) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Error::Gone { .. } | Error::Deadline) => Ok(false),
        Err(Error::Closed) => Err(Error::Closed),
        Err(error) => found(&format!("the mirror answered: {error}")),
    }
}

impl Tester<'_> {
    fn below(&mut self, bound: u64) -> Result<u64, Error> {
        Ok(self.ports.entropy.number()? % bound)
    }

    fn work(&mut self) -> Result<(), Error> {
        match self.below(16)? {
            0..=6 => self.write(),
            7..=9 => self.flush().map(drop),
            10..=13 => {
                let first = self.below(BLOCKS)?;
                let count = 1 + self.below(MOST_BLOCKS)?.min(model::run(first) - 1);
                self.read(first, count).map(drop)
            }
            _ => {
                let pause = Duration::from_micros(1 << self.below(19)?);
                self.ports.clock.sleep(pause)
            }
        }
    }

    fn life(&self) -> u32 {
        self.model.borrow().life()
    }

    fn write(&mut self) -> Result<(), Error> {
        let first = self.below(BLOCKS)?;
        let count = 1 + self.below(MOST_BLOCKS)?.min(model::run(first) - 1);
        let numbers = first..first + count;
        let content = |number| model::content(model::place(number), self.model.borrow_mut().writes(number));
        let data: Vec<u8> = numbers.clone().flat_map(content).collect();
        let life = self.life();
        if allowed(self.ports.disk.write_at(model::place(first) * BLOCK_BYTES as u64, &data))? {
            numbers.for_each(|number| self.model.borrow_mut().wrote(number, life));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<bool, Error> {
        let is_done = allowed(self.ports.disk.flush())?;
        self.model.borrow_mut().flushed(is_done);
        Ok(is_done)
    }

    fn read(&mut self, first: u64, count: u64) -> Result<bool, Error> {
        let mut data = vec![0; count as usize * BLOCK_BYTES];
        let life = self.life();
        if !allowed(self.ports.disk.read_at(model::place(first) * BLOCK_BYTES as u64, &mut data))? {
            return Ok(false);
        }
        for (number, bytes) in (first..).zip(data.chunks(BLOCK_BYTES)) {
            if let Err(why) = self.model.borrow_mut().read(number, bytes, life) {
                found(&why);
            }
        }
        Ok(true)
    }

    fn read_all(&mut self) -> Result<bool, Error> {
        let mut number = 0;
        while number < BLOCKS {
            let count = model::run(number);
            if !self.read(number, count)? {
                return Ok(false);
            }
            number += count;
        }
        Ok(true)
    }

    fn report(&mut self) -> Result<Option<Report>, Error> {
        match self.ports.status.report() {
            Ok(report) => Ok(Some(report)),
            Err(error) => allowed(Err(error)).map(|_| None),
        }
    }

    fn wait_until_whole(&mut self) -> Result<(), Error> {
        let since = self.ports.clock.now();
        loop {
            let report = self.report()?;
            let waited = self.ports.clock.now().since(since);
            if report.is_some_and(|report| is_whole(&report, waited)) && self.flush()? && self.read_all()? {
                self.model.borrow_mut().done = Phase::Whole;
                return Ok(());
            }
            self.ports.clock.sleep(Duration::from_secs(2))?;
        }
    }

    fn read_all_at_the_end(&mut self) -> Result<(), Error> {
        let report = self.report()?;
        if report.is_some() && self.flush()? && self.read_all()? {
            let model = &mut *self.model.borrow_mut();
            model.report = report;
            model.done = Phase::ReadAll;
        }
        Ok(())
    }
}

/// Whether all members are in sync, but for one that stays out although it had the time to come back.
fn is_whole(report: &Report, waited: Duration) -> bool {
    let is_settled = |state: &MemberState| match state {
        MemberState::InSync => true,
        MemberState::Rebuilding { .. } => false,
        MemberState::Out(_) => waited >= BACK_WITHIN,
    };
    let mut members = report.members.iter();
    report.in_sync >= 2 && report.groups_to_compare == 0 && members.all(|member| is_settled(&member.state))
}
