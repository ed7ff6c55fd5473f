//! Disks: arrays of bytes that last.
//!
//! A program with a port of type [`Disk`] cannot tell whether a block device, a file, memory or another unit is behind it.
//!
//! What a disk promises: a write that was answered is seen by every later read of the same disk. It lasts over a loss of
//! power only once a later [`flush`](Disk::flush) was answered. A write that was cut off may leave any mixture of old and
//! new blocks; a single block is never torn by a disk that keeps its promises, but do not rely on it: check.

use std::os::fd::BorrowedFd;

use crate::error::{Error, Result};

/// What makes a disk real, or simulated. Offsets and lengths have been checked when it is called.
pub trait Driver {
    /// Its shape.
    fn geometry(&self) -> Geometry;
    /// Fills `buffer` with what is at `offset`.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()>;
    /// Writes `data` at `offset`.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()>;
    /// Makes everything that was written before last.
    fn flush(&mut self) -> Result<()>;
    /// Says that these bytes are not needed any more; what they read as is undefined until they are written again.
    fn discard(&mut self, offset: u64, length: u64) -> Result<()>;
    /// The file or block device behind it, if its bytes are the disk's, at the same offsets. Whoever serves the disk then lets
    /// the kernel move them straight to and from the client's memory.
    fn file(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Does all of these, in any order, at the same time where it can. Each outcome is stored with its request; one that
    /// has an error for its outcome already is left alone.
    fn batch(&mut self, requests: &mut [Request<'_>]) {
        for request in requests.iter_mut().filter(|request| request.outcome.is_ok()) {
            request.outcome = match &mut request.operation {
                Operation::Read { offset, buffer } => self.read_at(*offset, buffer),
                Operation::Write { offset, data } => self.write_at(*offset, data),
            };
        }
    }
}

/// The shape of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Capacity in bytes.
    pub bytes: u64,
    /// Offsets and lengths are multiples of this; a power of two.
    pub block_bytes: u32,
    /// Whether it can be written.
    pub writable: bool,
}

/// One request of a batch.
pub struct Request<'a> {
    /// What is to be done.
    pub operation: Operation<'a>,
    /// What came of it.
    pub outcome: Result<()>,
}

/// What a request of a batch does.
pub enum Operation<'a> {
    /// Fill `buffer` with what is at `offset`.
    Read {
        /// In bytes.
        offset: u64,
        /// A whole number of blocks.
        buffer: &'a mut [u8],
    },
    /// Write `data` at `offset`.
    Write {
        /// In bytes.
        offset: u64,
        /// A whole number of blocks.
        data: &'a [u8],
    },
}

/// A disk.
pub struct Disk {
    driver: Box<dyn Driver>,
    geometry: Geometry,
}

impl Disk {
    /// A disk with this driver.
    pub fn new(driver: Box<dyn Driver>) -> Self {
        let geometry = driver.geometry();
        Self { driver, geometry }
    }

    /// A disk in memory, filled with zeros, with blocks of 512 bytes: for tests, and for what need not last.
    pub fn memory(bytes: u64) -> Self {
        Self::new(Box::new(Memory::new(bytes, 512)))
    }

    /// A disk that is a file of at least one block, with blocks of 512 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the file's length cannot be told.
    pub fn file(file: std::fs::File) -> Result<Self> {
        Self::file_in_blocks(file, 512)
    }

    /// A disk that is a file of at least one block, with blocks of so many bytes, a power of two.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the file's length cannot be told.
    pub fn file_in_blocks(file: std::fs::File, block_bytes: u32) -> Result<Self> {
        let block = u64::from(block_bytes);
        let bytes = file.metadata()?.len() / block * block;
        let geometry = Geometry { bytes, block_bytes, writable: true };
        Ok(Self::new(Box::new(crate::native::FileDisk::new(file, geometry))))
    }

    /// What makes it real, for whoever serves it on.
    pub fn into_driver(self) -> Box<dyn Driver> {
        self.driver
    }

    /// How many bytes it has.
    pub fn capacity(&self) -> u64 {
        self.geometry.bytes
    }

    /// Offsets and lengths of every request are multiples of this many bytes, a power of two.
    pub fn block_size(&self) -> u32 {
        self.geometry.block_bytes
    }

    /// Whether it can be written.
    pub fn is_writable(&self) -> bool {
        self.geometry.writable
    }

    /// Fills `buffer` with what is at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] and [`Error::Misaligned`] before anything is done; [`Error::Device`] if it cannot be read;
    /// [`Error::Gone`] and [`Error::Deadline`] of a disk that another unit serves.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.geometry.check(offset, buffer.len() as u64)?;
        self.driver.read_at(offset, buffer)
    }

    /// Writes `data` at `offset`.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](Self::read_at), and [`Error::ReadOnly`]. After any other of them the bytes may be the old ones,
    /// the new ones, or a mixture.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.geometry.check_write(offset, data.len() as u64)?;
        self.driver.write_at(offset, data)
    }

    /// Returns when everything that was written before would survive a loss of power.
    ///
    /// # Errors
    ///
    /// [`Error::Device`]: some of what was written since the last flush may be lost, and nobody knows what.
    pub fn flush(&mut self) -> Result<()> {
        self.driver.flush()
    }

    /// Says that these bytes are not needed any more. What they read as is undefined until they are written again.
    ///
    /// # Errors
    ///
    /// Those of [`write_at`](Self::write_at).
    pub fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        self.geometry.check_write(offset, length)?;
        self.driver.discard(offset, length)
    }

    /// Starts a batch: requests that do not depend on each other, which a device may do at the same time.
    pub fn batch(&mut self) -> Batch<'_, '_> {
        Batch { disk: self, requests: Vec::new() }
    }
}

/// Requests that do not depend on each other.
pub struct Batch<'disk, 'data> {
    disk: &'disk mut Disk,
    requests: Vec<Request<'data>>,
}

impl<'data> Batch<'_, 'data> {
    /// Adds a read.
    #[must_use]
    pub fn read_at(mut self, offset: u64, buffer: &'data mut [u8]) -> Self {
        let outcome = self.disk.geometry.check(offset, buffer.len() as u64);
        self.requests.push(Request { operation: Operation::Read { offset, buffer }, outcome });
        self
    }

    /// Adds a write.
    #[must_use]
    pub fn write_at(mut self, offset: u64, data: &'data [u8]) -> Self {
        let outcome = self.disk.geometry.check_write(offset, data.len() as u64);
        self.requests.push(Request { operation: Operation::Write { offset, data }, outcome });
        self
    }

    /// Does them all, in no certain order, and gives what came of each, in the order in which they were added.
    /// One that reaches beyond the disk, or is misaligned, is refused alone.
    pub fn run(mut self) -> Vec<Result<()>> {
        self.disk.driver.batch(&mut self.requests);
        self.requests.into_iter().map(|request| request.outcome).collect()
    }
}

impl Geometry {
    pub(crate) fn check(self, offset: u64, length: u64) -> Result<()> {
        let block = u64::from(self.block_bytes);
        if !offset.is_multiple_of(block) || !length.is_multiple_of(block) {
            return Err(Error::Misaligned { offset, length, block_size: self.block_bytes });
        }
        match offset.checked_add(length) {
            Some(end) if end <= self.bytes => Ok(()),
            _ => Err(Error::OutOfRange { offset, length, capacity: self.bytes }),
        }
    }

    pub(crate) fn check_write(self, offset: u64, length: u64) -> Result<()> {
        if self.writable { self.check(offset, length) } else { Err(Error::ReadOnly) }
    }
}

/// A disk that is gone when its program ends.
pub(crate) struct Memory {
    bytes: Vec<u8>,
    block_bytes: u32,
}

impl Memory {
    pub(crate) fn new(bytes: u64, block_bytes: u32) -> Self {
        // More than the address space has cannot be asked of memory; then there is none of it.
        Self { bytes: vec![0; usize::try_from(bytes).unwrap_or(0)], block_bytes }
    }

    fn range(&self, offset: u64, length: u64) -> std::ops::Range<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        start..start.saturating_add(length as usize).min(self.bytes.len())
    }
}

impl Driver for Memory {
    fn geometry(&self) -> Geometry {
        Geometry { bytes: self.bytes.len() as u64, block_bytes: self.block_bytes, writable: true }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        buffer.copy_from_slice(&self.bytes[self.range(offset, buffer.len() as u64)]);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let range = self.range(offset, data.len() as u64);
        self.bytes[range].copy_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        let range = self.range(offset, length);
        self.bytes[range].fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_the_rest_is_zero() {
        let mut disk = Disk::memory(2048);
        disk.write_at(512, &[7; 512]).unwrap();
        let mut all = [1; 2048];
        disk.read_at(0, &mut all).unwrap();
        assert!(all[..512].iter().all(|byte| *byte == 0) && all[512..1024].iter().all(|byte| *byte == 7));
        disk.discard(512, 512).unwrap();
        disk.flush().unwrap();
    }

    #[test]
    fn requests_that_do_not_fit_are_refused() {
        let mut disk = Disk::memory(1024);
        let mut block = [0; 512];
        assert!(matches!(disk.read_at(1, &mut block), Err(Error::Misaligned { offset: 1, .. })));
        assert!(matches!(disk.write_at(0, &[0; 5]), Err(Error::Misaligned { length: 5, .. })));
        assert!(matches!(disk.read_at(1024, &mut block), Err(Error::OutOfRange { capacity: 1024, .. })));
        let last = u64::MAX - 511;
        assert!(matches!(disk.read_at(last, &mut block), Err(Error::OutOfRange { .. })), "the sum wraps");
    }

    #[test]
    fn a_batch_does_what_can_be_done_and_says_which_request_cannot() {
        let mut disk = Disk::memory(1024);
        let (mut first, mut second) = ([0; 512], [0; 512]);
        let outcomes = disk.batch().write_at(0, &[3; 512]).write_at(512, &[4; 512]).run();
        assert_eq!(outcomes, [Ok(()), Ok(())]);
        let outcomes = disk.batch().read_at(0, &mut first).read_at(512, &mut second).run();
        assert_eq!(outcomes, [Ok(()), Ok(())]);
        assert_eq!((first[0], second[0]), (3, 4));
        let outcomes = disk.batch().write_at(0, &[9; 512]).write_at(512, &[9; 7]).run();
        assert!(outcomes[0].is_ok() && matches!(outcomes[1], Err(Error::Misaligned { .. })));
        disk.read_at(0, &mut first).unwrap();
        assert_eq!(first[0], 9, "the other request was done");
    }
}
