//! A disk in memory that fails, lies and loses power when it is told to.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use solum::disk::{Driver, Geometry};
use solum::{Error, Result};

use super::plain::Entropy;

/// What a disk was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// So many bytes were to be read from this offset on.
    Read {
        /// In bytes.
        offset: u64,
        /// In bytes.
        length: usize,
    },
    /// These bytes were to be written.
    Write {
        /// In bytes.
        offset: u64,
        /// A whole number of blocks.
        data: Vec<u8>,
    },
    /// What was written was to be made to last.
    Flush,
    /// So many bytes from this offset on were not needed any more.
    Discard {
        /// In bytes.
        offset: u64,
        /// In bytes.
        length: u64,
    },
}

/// The kinds of [`DiskOperation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskAccess {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Flushes.
    Flush,
    /// Discards.
    Discard,
}

impl DiskOperation {
    /// Its kind.
    pub fn access(&self) -> DiskAccess {
        match self {
            Self::Read { .. } => DiskAccess::Read,
            Self::Write { .. } => DiskAccess::Write,
            Self::Flush => DiskAccess::Flush,
            Self::Discard { .. } => DiskAccess::Discard,
        }
    }

    fn changes_something(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}

/// What comes of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskFate {
    /// It is done.
    Done,
    /// It is not done, and fails.
    Fails(Error),
    /// It is done, and fails all the same: its answer was lost.
    DoneAndFails(Error),
    /// It is answered as if it were done, and is not. A read gives what was in the buffer before.
    Lost,
    /// Of a write only the first so many bytes arrive, and it is answered as if all did.
    Torn(usize),
    /// A write lands at this offset instead, as far as the disk goes, and is answered as if it were right.
    Elsewhere(u64),
}

/// What a loss of power does to writes that were not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCut {
    /// None of them arrived.
    LosesAll,
    /// All of them arrived.
    KeepsAll,
    /// Only the last of them arrived.
    KeepsLast,
    /// Each block of each of them arrived or did not, as this seed has it.
    Blocks(u64),
    /// As `Blocks`, and a block may also have arrived in part.
    Torn(u64),
}

/// How often a disk was asked for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounts {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Discards.
    pub discards: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// A disk in memory whose faults are switched by hand, and that loses what was not flushed when its power is cut.
///
/// ```
/// use solum::Error;
/// use solum_sim::mock::{self, DiskAccess, PowerCut};
///
/// let disk = mock::Disk::new(1 << 20);
/// let mut port = disk.port();
/// port.write_at(0, &[1; 512])?;
/// port.flush()?;
/// port.write_at(512, &[2; 512])?;
///
/// disk.cut_power(PowerCut::LosesAll);
/// assert_eq!(disk.bytes()[0], 1, "it was flushed");
/// assert_eq!(disk.bytes()[512], 0, "it was not");
///
/// disk.fail_nth(2, Error::Device("medium error".into()));
/// assert!(port.flush().is_ok());
/// assert!(port.flush().is_err());
/// assert!(port.flush().is_ok());
///
/// disk.set_failing(DiskAccess::Write, true);
/// assert!(port.write_at(0, &[3; 512]).is_err());
/// assert_eq!(disk.counts().writes, 3);
/// # Ok::<(), solum::Error>(())
/// ```
#[derive(Clone)]
pub struct Disk {
    plate: Rc<RefCell<Plate>>,
}

type Fate = Box<dyn FnMut(&DiskOperation) -> DiskFate>;

struct Plate {
    geometry: Geometry,
    durable: Vec<u8>,
    /// What reads see.
    bytes: Vec<u8>,
    unflushed: Vec<(u64, Vec<u8>)>,
    /// For operations that are still to come, by how many come before; those may be done.
    nth: Vec<(u64, DiskFate)>,
    failing: BTreeSet<DiskAccess>,
    unreadable: Vec<Range<u64>>,
    fate: Option<Fate>,
    /// Operations that change something, until the power goes.
    stops_after: Option<u64>,
    is_off: bool,
    counts: DiskCounts,
    log: Option<Vec<DiskOperation>>,
}

impl Disk {
    /// A disk of so many bytes, all zeros, in blocks of 512.
    ///
    /// # Panics
    ///
    /// If there is no memory for so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self::with_geometry(Geometry { bytes, block_bytes: 512, writable: true })
    }

    /// A disk of this shape, all zeros.
    ///
    /// # Panics
    ///
    /// If there is no memory for so many bytes.
    pub fn with_geometry(geometry: Geometry) -> Self {
        let length = usize::try_from(geometry.bytes).unwrap_or(usize::MAX);
        Self::of(geometry, vec![0; length])
    }

    /// A disk in blocks of 512 bytes that holds these bytes.
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self::of(Geometry { bytes: bytes.len() as u64, block_bytes: 512, writable: true }, bytes)
    }

    fn of(geometry: Geometry, bytes: Vec<u8>) -> Self {
        let plate = Plate {
            geometry,
            durable: bytes.clone(),
            bytes,
            unflushed: Vec::new(),
            nth: Vec::new(),
            failing: BTreeSet::new(),
            unreadable: Vec::new(),
            fate: None,
            stops_after: None,
            is_off: false,
            counts: DiskCounts::default(),
            log: None,
        };
        Self { plate: Rc::new(RefCell::new(plate)) }
    }

    /// A port with this disk.
    pub fn port(&self) -> solum::Disk {
        solum::Disk::new(self.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self) -> Box<dyn Driver> {
        Box::new(Mechanics { plate: Rc::clone(&self.plate) })
    }

    /// Another disk that holds the same, flushed and not, without faults: to try several ends of one story.
    #[must_use]
    pub fn copy(&self) -> Self {
        let plate = self.plate.borrow();
        let copy = Self::of(plate.geometry, plate.bytes.clone());
        copy.plate.borrow_mut().durable.clone_from(&plate.durable);
        copy.plate.borrow_mut().unflushed.clone_from(&plate.unflushed);
        copy
    }

    /// What reads see.
    pub fn bytes(&self) -> Vec<u8> {
        self.plate.borrow().bytes.clone()
    }

    /// What would be left if the power went now and nothing arrived that was not flushed.
    pub fn durable(&self) -> Vec<u8> {
        self.plate.borrow().durable.clone()
    }

    /// Changes what is on the disk for good, past the program: what was there before, or what rotted away.
    ///
    /// # Panics
    ///
    /// If it reaches beyond the disk.
    #[track_caller]
    pub fn put(&self, offset: u64, data: &[u8]) {
        let mut plate = self.plate.borrow_mut();
        let range = offset as usize..offset as usize + data.len();
        assert!(range.end <= plate.bytes.len(), "{range:?} reaches beyond the disk of {}", plate.bytes.len());
        plate.bytes[range.clone()].copy_from_slice(data);
        plate.durable[range].copy_from_slice(data);
    }

    /// Turns one bit of the byte at `offset` over, for good.
    ///
    /// # Panics
    ///
    /// If it lies beyond the disk.
    #[track_caller]
    pub fn rot(&self, offset: u64) {
        let mut plate = self.plate.borrow_mut();
        plate.bytes[offset as usize] ^= 0x10;
        plate.durable[offset as usize] ^= 0x10;
    }

    /// The power goes, and comes back: what was written and not flushed is lost, or not.
    pub fn cut_power(&self, cut: PowerCut) {
        self.plate.borrow_mut().cut_power(cut);
    }

    /// The power goes for good while the n-th operation from now is done that writes, flushes or discards (1 is the next): that one
    /// and all later operations fail. [`cut_power`](Self::cut_power) brings it back.
    pub fn lose_power_at(&self, nth: u64) {
        self.plate.borrow_mut().stops_after = Some(nth);
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.plate.borrow().is_off
    }

    /// The n-th operation from now (1 is the next) is not done, and fails so.
    pub fn fail_nth(&self, nth: u64, error: Error) {
        self.set_nth(nth, DiskFate::Fails(error));
    }

    /// This is what comes of the n-th operation from now (1 is the next).
    pub fn set_nth(&self, nth: u64, fate: DiskFate) {
        self.plate.borrow_mut().nth.push((nth.saturating_sub(1), fate));
    }

    /// From now on operations of this kind fail, or do not any more.
    pub fn set_failing(&self, access: DiskAccess, fails: bool) {
        let failing = &mut self.plate.borrow_mut().failing;
        if fails {
            failing.insert(access)
        } else {
            failing.remove(&access)
        };
    }

    /// These bytes cannot be read until they are written again.
    pub fn set_unreadable(&self, bytes: Range<u64>) {
        self.plate.borrow_mut().unreadable.push(bytes);
    }

    /// From now on this says what comes of each operation, unless another fault does. It may keep what it saw.
    ///
    /// ```
    /// use solum_sim::mock::{self, DiskFate, DiskOperation};
    ///
    /// let disk = mock::Disk::new(4096);
    /// // A disk that forgets to flush.
    /// disk.set_fate(|operation| match operation {
    ///     DiskOperation::Flush => DiskFate::Lost,
    ///     _ => DiskFate::Done,
    /// });
    /// let mut port = disk.port();
    /// port.write_at(0, &[1; 512])?;
    /// port.flush()?;
    /// assert_eq!(disk.durable()[0], 0);
    /// # Ok::<(), solum::Error>(())
    /// ```
    pub fn set_fate(&self, fate: impl FnMut(&DiskOperation) -> DiskFate + 'static) {
        self.plate.borrow_mut().fate = Some(Box::new(fate));
    }

    /// No faults from now on; the power is on. What they did stays.
    pub fn heal(&self) {
        let mut plate = self.plate.borrow_mut();
        plate.nth.clear();
        plate.failing.clear();
        plate.unreadable.clear();
        (plate.fate, plate.stops_after, plate.is_off) = (None, None, false);
    }

    /// How often it was asked for what, also in vain.
    pub fn counts(&self) -> DiskCounts {
        self.plate.borrow().counts
    }

    /// Keeps what it is asked for from now on, for [`log`](Self::log).
    pub fn keep_log(&self) {
        self.plate.borrow_mut().log.get_or_insert_default();
    }

    /// What it was asked for since [`keep_log`](Self::keep_log), also in vain.
    pub fn log(&self) -> Vec<DiskOperation> {
        self.plate.borrow().log.clone().unwrap_or_default()
    }
}

impl Plate {
    fn cut_power(&mut self, cut: PowerCut) {
        let block_bytes = self.geometry.block_bytes as usize;
        let unflushed = std::mem::take(&mut self.unflushed);
        let last = unflushed.len().saturating_sub(1);
        let dice = Entropy::seeded(match cut {
            PowerCut::Blocks(seed) | PowerCut::Torn(seed) => seed,
            _ => 0,
        });
        for (number, (offset, data)) in unflushed.into_iter().enumerate() {
            for (index, block) in data.chunks(block_bytes).enumerate() {
                let arrived = match cut {
                    PowerCut::LosesAll => 0,
                    PowerCut::KeepsAll => block.len(),
                    PowerCut::KeepsLast => block.len() * usize::from(number == last),
                    PowerCut::Blocks(_) => block.len() * (dice.number() % 2) as usize,
                    PowerCut::Torn(_) => match dice.number() % 3 {
                        0 => 0,
                        1 => block.len(),
                        _ => dice.number() as usize % block.len(),
                    },
                };
                let at = offset as usize + index * block_bytes;
                self.durable[at..at + arrived].copy_from_slice(&block[..arrived]);
            }
        }
        self.bytes.clone_from(&self.durable);
        (self.is_off, self.stops_after) = (false, None);
    }

    /// Notes an operation, and says what comes of it, but for what a test's own closure says.
    fn fate(&mut self, operation: &DiskOperation) -> Option<DiskFate> {
        self.count(operation);
        let is_now = |(before, _): &(u64, DiskFate)| *before == 0;
        let nth = self.nth.iter().position(is_now).map(|index| self.nth.remove(index).1);
        for (before, _) in &mut self.nth {
            *before = before.saturating_sub(1);
        }
        let off = || Error::Device("the power is off".into());
        if self.is_off {
            return Some(DiskFate::Fails(off()));
        }
        if operation.changes_something()
            && let Some(left) = &mut self.stops_after
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.is_off = true;
                // A write was on its way, and may have arrived; a flush was not answered, so nothing is known of it.
                return Some(match operation {
                    DiskOperation::Write { .. } => DiskFate::DoneAndFails(off()),
                    _ => DiskFate::Fails(off()),
                });
            }
        }
        let switched = self.failing.contains(&operation.access()) || self.cannot_read(operation);
        nth.or_else(|| switched.then(|| DiskFate::Fails(Error::Device("it was told to fail".into()))))
    }

    fn count(&mut self, operation: &DiskOperation) {
        match operation {
            DiskOperation::Read { length, .. } => {
                self.counts.reads += 1;
                self.counts.bytes_read += *length as u64;
            }
            DiskOperation::Write { data, .. } => {
                self.counts.writes += 1;
                self.counts.bytes_written += data.len() as u64;
            }
            DiskOperation::Flush => self.counts.flushes += 1,
            DiskOperation::Discard { .. } => self.counts.discards += 1,
        }
        if let Some(log) = &mut self.log {
            log.push(operation.clone());
        }
    }

    fn cannot_read(&self, operation: &DiskOperation) -> bool {
        let DiskOperation::Read { offset, length } = operation else { return false };
        let end = offset + *length as u64;
        self.unreadable.iter().any(|bad| bad.start < end && *offset < bad.end)
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        let bad = std::mem::take(&mut self.unreadable);
        let parts = |bad: Range<u64>| [bad.start..bad.end.min(offset), bad.start.max(end)..bad.end];
        self.unreadable = bad.into_iter().flat_map(parts).filter(|bad| !bad.is_empty()).collect();
        self.bytes[offset as usize..end as usize].copy_from_slice(data);
        self.unflushed.push((offset, data.to_vec()));
    }

    /// Does it.
    fn perform(&mut self, operation: &DiskOperation) {
        match operation {
            DiskOperation::Read { .. } => {}
            DiskOperation::Write { offset, data } => self.write(*offset, data),
            DiskOperation::Flush => {
                for (offset, data) in std::mem::take(&mut self.unflushed) {
                    self.durable[offset as usize..][..data.len()].copy_from_slice(&data);
                }
            }
            // What they read as is undefined; zeros would be taken for a promise.
            DiskOperation::Discard { offset, length } => self.write(*offset, &vec![0xdd; *length as usize]),
        }
    }
}

struct Mechanics {
    plate: Rc<RefCell<Plate>>,
}

impl Mechanics {
    /// Does what is to be done; says whether a read is to be answered with what is there.
    fn run(&self, operation: &DiskOperation) -> Result<bool> {
        let mut fate = self.plate.borrow_mut().fate(operation);
        let own = if fate.is_none() { self.plate.borrow_mut().fate.take() } else { None };
        if let Some(mut own) = own {
            // It may use the disk's handle, so nothing is borrowed meanwhile.
            fate = Some(own(operation));
            self.plate.borrow_mut().fate.get_or_insert(own);
        }
        let mut plate = self.plate.borrow_mut();
        match (fate.unwrap_or(DiskFate::Done), operation) {
            (DiskFate::Fails(error), _) => return Err(error),
            (DiskFate::DoneAndFails(error), _) => {
                plate.perform(operation);
                return Err(error);
            }
            (DiskFate::Lost, _) => return Ok(false),
            (DiskFate::Torn(bytes), DiskOperation::Write { offset, data }) => {
                plate.write(*offset, &data[..bytes.min(data.len())]);
            }
            (DiskFate::Elsewhere(offset), DiskOperation::Write { data, .. }) => {
                let end = plate.geometry.bytes;
                let room = end.saturating_sub(offset) as usize;
                plate.write(offset.min(end), &data[..data.len().min(room)]);
            }
            _ => plate.perform(operation),
        }
        Ok(true)
    }
}

impl Driver for Mechanics {
    fn geometry(&self) -> Geometry {
        self.plate.borrow().geometry
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if self.run(&DiskOperation::Read { offset, length: buffer.len() })? {
            let plate = self.plate.borrow();
            buffer.copy_from_slice(&plate.bytes[offset as usize..][..buffer.len()]);
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.run(&DiskOperation::Write { offset, data: data.to_vec() }).map(drop)
    }

    fn flush(&mut self) -> Result<()> {
        self.run(&DiskOperation::Flush).map(drop)
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        self.run(&DiskOperation::Discard { offset, length }).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 512;

    #[test]
    fn a_power_cut_keeps_what_was_flushed_and_some_of_the_rest() {
        let disk = Disk::new(8 * BLOCK as u64);
        let mut port = disk.port();
        port.write_at(0, &[1; BLOCK]).unwrap();
        port.flush().unwrap();
        port.write_at(0, &[2; 2 * BLOCK]).unwrap();
        port.write_at(1024, &[3; BLOCK]).unwrap();
        let after = |cut| {
            let copy = disk.copy();
            copy.cut_power(cut);
            assert_eq!(copy.bytes(), copy.durable());
            [0, 512, 1024].map(|at| copy.bytes()[at])
        };
        assert_eq!(after(PowerCut::LosesAll), [1, 0, 0]);
        assert_eq!(after(PowerCut::KeepsAll), [2, 2, 3]);
        assert_eq!(after(PowerCut::KeepsLast), [1, 0, 3]);
        let ends: BTreeSet<_> = (0..200).map(|seed| after(PowerCut::Blocks(seed))).collect();
        assert_eq!(ends.len(), 8, "each block arrives or does not: {ends:?}");
        let is_torn = |seed| {
            let copy = disk.copy();
            copy.cut_power(PowerCut::Torn(seed));
            copy.bytes().chunks(BLOCK).any(|block| block.iter().any(|byte| *byte != block[0]))
        };
        assert!((0..100).any(is_torn) && !(0..100).all(is_torn));
    }

    #[test]
    fn the_power_goes_in_the_middle_of_an_operation_and_stays_away() {
        let disk = Disk::new(4096);
        let mut port = disk.port();
        disk.lose_power_at(2);
        port.write_at(0, &[1; BLOCK]).unwrap();
        port.read_at(0, &mut [0; BLOCK]).unwrap();
        assert!(port.write_at(512, &[2; BLOCK]).is_err() && disk.is_off());
        assert!(port.read_at(0, &mut [0; BLOCK]).is_err() && port.flush().is_err());
        let arrived = disk.copy();
        arrived.cut_power(PowerCut::KeepsAll);
        disk.cut_power(PowerCut::LosesAll);
        assert_eq!((arrived.bytes()[512], disk.bytes()[512]), (2, 0));
        assert!(port.flush().is_ok());
    }

    #[test]
    fn each_fate_is_what_it_says() {
        let disk = Disk::new(4096);
        let mut port = disk.port();
        let fates = [
            DiskFate::Lost,
            DiskFate::Torn(100),
            DiskFate::Elsewhere(1024),
            DiskFate::Elsewhere(4096 - 512),
            DiskFate::DoneAndFails(Error::Deadline),
        ];
        for (nth, fate) in (1..).zip(fates) {
            disk.set_nth(nth, fate);
        }
        let mut outcomes = Vec::new();
        for byte in 1..=5 {
            outcomes.push(port.write_at(512 * u64::from(byte) - 512, &[byte; 2 * BLOCK]).is_ok());
        }
        assert_eq!(outcomes, [true, true, true, true, false]);
        let bytes = disk.bytes();
        assert_eq!([bytes[0], bytes[512], bytes[611], bytes[612]], [0, 2, 2, 0]);
        assert_eq!([bytes[1024], bytes[1536], bytes[2048], bytes[4095]], [3, 3, 5, 4]);
    }

    #[test]
    fn what_cannot_be_read_can_after_it_was_written() {
        let disk = Disk::new(4096);
        let mut port = disk.port();
        disk.set_unreadable(512..1536);
        let mut block = [0; BLOCK];
        assert!(port.read_at(0, &mut block).is_ok());
        assert!(port.read_at(512, &mut block).is_err() && port.read_at(1024, &mut block).is_err());
        port.write_at(512, &block).unwrap();
        assert!(port.read_at(512, &mut block).is_ok() && port.read_at(1024, &mut block).is_err());
        disk.heal();
        assert!(port.read_at(0, &mut [0; 4096]).is_ok());
    }

    #[test]
    fn the_log_has_what_was_asked_also_in_vain() {
        let disk = Disk::holding(vec![9; 4096]);
        disk.keep_log();
        let mut port = disk.port();
        disk.set_failing(DiskAccess::Flush, true);
        port.write_at(0, &[1; BLOCK]).unwrap();
        assert!(port.flush().is_err());
        port.discard(0, 512).unwrap();
        disk.rot(600);
        assert_eq!((disk.bytes()[0], disk.durable()[0], disk.bytes()[600]), (0xdd, 9, 9 ^ 0x10));
        let write = DiskOperation::Write { offset: 0, data: vec![1; BLOCK] };
        assert_eq!(
            disk.log(),
            [write, DiskOperation::Flush, DiskOperation::Discard { offset: 0, length: 512 }]
        );
        let counts =
            DiskCounts { writes: 1, flushes: 1, discards: 1, bytes_written: 512, ..Default::default() };
        assert_eq!(disk.counts(), counts);
    }

    #[test]
    fn a_read_only_disk_is_not_written() {
        let disk = Disk::with_geometry(Geometry { bytes: 4096, block_bytes: 4096, writable: false });
        assert_eq!(disk.port().write_at(0, &[0; 4096]), Err(Error::ReadOnly));
    }
}
