//! Disks that lose power, lie, rot and fail; and what a mirror of them may hold.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use raid::{Mirror, Options};
use solum::disk::{Driver, Geometry, Operation, Request};
use solum::{Disk, Error, Moment, Result};

pub const BLOCK: usize = 512;

/// Numbers that look random and are always the same (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What a power cut does to blocks that were not flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Each block of each write arrives or does not.
    Blocks,
    /// No write arrives.
    NoneArrive,
    /// All writes arrive.
    AllArrive,
    /// Of the writes only the last arrives.
    LastArrives,
    /// As `Blocks`, and blocks may also arrive in part.
    Tear,
}

/// A disk's contents and faults.
#[derive(Clone, Default)]
pub struct Plate {
    pub durable: Vec<u8>,
    pub seen: Vec<u8>,
    pub unflushed: Vec<(u64, Vec<u8>)>,
    pub bad_blocks: BTreeSet<u64>,
    pub fails_writes: bool,
    pub fails_reads: bool,
    pub fails_flushes: bool,
    pub is_gone: bool,
    pub ignores_discards: bool,
    /// The next write of more than this many bytes is answered and forgotten, or lands so many blocks further on.
    pub lose_next: bool,
    pub misdirect_next: Option<u64>,
}

impl Plate {
    pub fn new(bytes: usize) -> Self {
        Self { durable: vec![0; bytes], seen: vec![0; bytes], ..Self::default() }
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        self.seen[offset as usize..][..data.len()].copy_from_slice(data);
        self.unflushed.push((offset, data.to_vec()));
    }

    fn flush(&mut self) {
        for (offset, data) in self.unflushed.drain(..) {
            self.durable[offset as usize..][..data.len()].copy_from_slice(&data);
        }
    }

    /// The power goes, and comes back.
    pub fn cut(&mut self, cut: Cut, dice: &mut Dice) {
        let unflushed = std::mem::take(&mut self.unflushed);
        let last = unflushed.len().saturating_sub(1);
        for (number, (offset, data)) in unflushed.into_iter().enumerate() {
            for (index, block) in data.chunks(BLOCK).enumerate() {
                let at = offset as usize + index * BLOCK;
                let fate = match cut {
                    Cut::NoneArrive => 0,
                    Cut::AllArrive => 1,
                    Cut::LastArrives => u64::from(number == last),
                    Cut::Blocks => dice.below(2),
                    Cut::Tear => dice.below(3),
                };
                let arrived = match fate {
                    0 => 0,
                    1 => BLOCK,
                    _ => dice.below(BLOCK as u64) as usize,
                };
                self.durable[at..at + arrived].copy_from_slice(&block[..arrived]);
            }
        }
        self.seen.clone_from(&self.durable);
    }

    /// What was written stays, and now for good, but not as it was.
    pub fn rot(&mut self, at: u64) {
        self.seen[at as usize] ^= 0x10;
        self.durable[at as usize] ^= 0x10;
    }
}

/// The disks of a mirror.
#[derive(Clone, Default)]
pub struct Plates {
    pub plates: Vec<Plate>,
    /// Operations until the crash.
    pub left: Option<u64>,
    pub operations: u64,
}

impl Plates {
    pub fn shared(members: usize, bytes: usize) -> Rc<RefCell<Self>> {
        let plates = vec![Plate::new(bytes); members];
        Rc::new(RefCell::new(Self { plates, left: None, operations: 0 }))
    }

    /// Counts an operation; none is done any more after the crash, but the last write was on its way.
    fn tick(&mut self) -> Result<bool> {
        self.operations += 1;
        match &mut self.left {
            None => Ok(true),
            Some(0) => Err(crashed()),
            Some(left) => {
                *left -= 1;
                Ok(*left > 0)
            }
        }
    }

    pub fn has_crashed(&self) -> bool {
        self.left == Some(0)
    }
}

fn crashed() -> Error {
    Error::Device("crashed".into())
}

/// A disk on a plate.
pub struct PlateDisk {
    pub all: Rc<RefCell<Plates>>,
    pub index: usize,
}

impl Driver for PlateDisk {
    fn geometry(&self) -> Geometry {
        let bytes = self.all.borrow().plates[self.index].seen.len() as u64;
        Geometry { bytes, block_bytes: BLOCK as u32, writable: true }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let all = self.all.borrow();
        if all.has_crashed() {
            return Err(crashed());
        }
        let plate = &all.plates[self.index];
        if plate.is_gone {
            return Err(Error::Gone { epoch: 1 });
        }
        let end = offset + buffer.len() as u64;
        if plate.fails_reads || plate.bad_blocks.iter().any(|at| (offset..end).contains(at)) {
            return Err(Error::Device("it cannot be read".into()));
        }
        buffer.copy_from_slice(&plate.seen[offset as usize..end as usize]);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let mut all = self.all.borrow_mut();
        let is_alive = all.tick()?;
        let plate = &mut all.plates[self.index];
        if plate.is_gone {
            return Err(Error::Gone { epoch: 1 });
        }
        if plate.fails_writes {
            return Err(Error::Device("it cannot be written".into()));
        }
        let end = offset + data.len() as u64;
        plate.bad_blocks.retain(|at| !(offset..end).contains(at));
        if std::mem::take(&mut plate.lose_next) {
            return Ok(());
        }
        let offset = match plate.misdirect_next.take() {
            Some(by) => (offset + by).min(plate.seen.len() as u64 - data.len() as u64),
            None => offset,
        };
        plate.put(offset, data);
        if is_alive { Ok(()) } else { Err(crashed()) }
    }

    fn flush(&mut self) -> Result<()> {
        let mut all = self.all.borrow_mut();
        let is_alive = all.tick()?;
        let plate = &mut all.plates[self.index];
        if plate.is_gone {
            return Err(Error::Gone { epoch: 1 });
        }
        if plate.fails_flushes {
            return Err(Error::Device("it cannot be flushed".into()));
        }
        if !is_alive {
            return Err(crashed());
        }
        plate.flush();
        Ok(())
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        if self.all.borrow().plates[self.index].ignores_discards {
            return Ok(());
        }
        self.write_at(offset, &vec![0xdd; length as usize])
    }
}

pub fn disks(all: &Rc<RefCell<Plates>>) -> Vec<Disk> {
    let members = all.borrow().plates.len();
    let disk = |index| Disk::new(Box::new(PlateDisk { all: all.clone(), index }));
    (0..members).map(disk).collect()
}

pub fn options() -> Options {
    Options { group_units: 4, scrub_pause: Duration::ZERO, tables: 4, ..Options::default() }
}

pub fn start(all: &Rc<RefCell<Plates>>, seed: u64) -> Mirror {
    Mirror::start(disks(all), options(), seed).unwrap_or_else(|error| panic!("{error}"))
}

pub fn at(seconds: u64) -> Moment {
    Moment::from_beginning(Duration::from_secs(seconds))
}

/// Steps until nothing is waiting.
pub fn settle(mirror: &mut Mirror, now: Moment) -> Result<()> {
    let mut steps = 0;
    while mirror.next_step().is_some_and(|next| next <= now) {
        mirror.step(now)?;
        steps += 1;
        assert!(steps < 10_000, "it never ends: {}", mirror.report());
    }
    Ok(())
}

/// A block that says which write it is of.
pub fn block(number: u64) -> Vec<u8> {
    let mut dice = Dice(number);
    let mut block: Vec<u8> = (0..BLOCK / 8).flat_map(|_| dice.next().to_le_bytes()).collect();
    block[..8].copy_from_slice(&number.to_le_bytes());
    if number == 0 { vec![0; BLOCK] } else { block }
}

/// What each block of a disk may hold: what was there at the last flush, and what was written since.
#[derive(Clone)]
pub struct Model {
    pub blocks: Vec<Vec<u64>>,
}

impl Model {
    pub fn new(blocks: u64) -> Self {
        Self { blocks: vec![vec![0]; blocks as usize] }
    }

    pub fn write(&mut self, first: u64, count: u64, number: u64) {
        for block in first..first + count {
            self.blocks[block as usize].push(number * 1000 + block);
        }
    }

    pub fn latest(&self, block: u64) -> u64 {
        *self.blocks[block as usize].last().unwrap()
    }

    pub fn flush(&mut self) {
        for values in &mut self.blocks {
            values.drain(..values.len() - 1);
        }
    }

    /// After a crash a block is any of these, and what it is then, it stays.
    pub fn pin(&mut self, mirror: &mut Mirror, context: &str) {
        let mut bytes = vec![0; BLOCK];
        for (index, values) in self.blocks.iter_mut().enumerate() {
            mirror
                .read_at((index * BLOCK) as u64, &mut bytes)
                .unwrap_or_else(|error| panic!("{context}: block {index}: {error}"));
            let Some(value) = values.iter().copied().find(|value| block(*value) == bytes) else {
                let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                panic!("{context}: block {index} is {number}, and may be {values:?}")
            };
            *values = vec![value];
        }
    }

    /// Now every block is what was written last.
    pub fn check(&self, mirror: &mut Mirror, context: &str) {
        let mut bytes = vec![0; self.blocks.len() * BLOCK];
        mirror.read_at(0, &mut bytes).unwrap_or_else(|error| panic!("{context}: {error}"));
        for (index, bytes) in bytes.chunks(BLOCK).enumerate() {
            let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            assert!(
                block(self.latest(index as u64)) == bytes,
                "{context}: block {index} is {number}, and should be {}",
                self.latest(index as u64)
            );
        }
    }
}

/// The bytes of a write with this number.
pub fn data(first: u64, count: u64, number: u64) -> Vec<u8> {
    (first..first + count).flat_map(|index| block(number * 1000 + index)).collect()
}

/// Writes all of these at once, each from its block on.
pub fn write_batch(mirror: &mut Mirror, writes: &[(u64, Vec<u8>)]) -> Result<()> {
    let operation = |first: u64, data| Operation::Write { offset: first * BLOCK as u64, data };
    let mut requests: Vec<Request<'_>> = writes
        .iter()
        .map(|(first, data)| Request { operation: operation(*first, data), outcome: Ok(()) })
        .collect();
    mirror.batch(&mut requests);
    requests.into_iter().try_for_each(|request| request.outcome)
}

/// Reads so many blocks at once, each as a request of its own.
pub fn read_batch(mirror: &mut Mirror, blocks: usize) -> Vec<Result<Vec<u8>>> {
    let mut bytes = vec![0; blocks * BLOCK];
    let mut requests: Vec<Request<'_>> = (0..)
        .step_by(BLOCK)
        .zip(bytes.chunks_mut(BLOCK))
        .map(|(offset, buffer)| Request { operation: Operation::Read { offset, buffer }, outcome: Ok(()) })
        .collect();
    mirror.batch(&mut requests);
    let outcomes: Vec<Result<()>> = requests.into_iter().map(|request| request.outcome).collect();
    outcomes
        .into_iter()
        .zip(bytes.chunks(BLOCK))
        .map(|(outcome, block)| outcome.map(|()| block.to_vec()))
        .collect()
}
