//! The planted bug: a disk on which a commit of the file system forgets one of its two barriers.

use solum::disk::{Driver, Geometry};
use solum::{Disk, Result};

/// Bytes of a block of the file system.
const BLOCK_BYTES: u64 = 4096;

/// Superblocks lie in so many blocks at the beginning, and as many at the end.
const ANCHOR_BLOCKS: u64 = 2;

/// The same disk, but that a flush is done only if a superblock was written since the last one.
pub fn forgetful(disk: Disk) -> Disk {
    Disk::new(Box::new(Forgetful { disk, has_anchor: false }))
}

struct Forgetful {
    disk: Disk,
    /// Whether a superblock was written since the last flush.
    has_anchor: bool,
}

impl Driver for Forgetful {
    fn geometry(&self) -> Geometry {
        Geometry {
            bytes: self.disk.capacity(),
            block_bytes: self.disk.block_size(),
            writable: self.disk.is_writable(),
        }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.disk.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let anchor_bytes = ANCHOR_BLOCKS * BLOCK_BYTES;
        let end = self.disk.capacity() / BLOCK_BYTES * BLOCK_BYTES;
        self.has_anchor |= offset < anchor_bytes || offset + data.len() as u64 > end - anchor_bytes;
        self.disk.write_at(offset, data)
    }

    fn flush(&mut self) -> Result<()> {
        if std::mem::take(&mut self.has_anchor) { self.disk.flush() } else { Ok(()) }
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        self.disk.discard(offset, length)
    }
}
