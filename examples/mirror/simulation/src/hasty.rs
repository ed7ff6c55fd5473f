//! The planted bug: a disk that says that it flushed, and then does.

use solum::disk::{Driver, Geometry};
use solum::{Disk, Result};

/// The same disk, which acknowledges each flush before it does it.
pub fn hasty(disk: Disk) -> Disk {
    Disk::new(Box::new(Hasty { disk, owes_flush: false }))
}

struct Hasty {
    disk: Disk,
    /// It was said that this was done.
    owes_flush: bool,
}

impl Hasty {
    fn pay(&mut self) -> Result<()> {
        if std::mem::take(&mut self.owes_flush) { self.disk.flush() } else { Ok(()) }
    }
}

impl Driver for Hasty {
    fn geometry(&self) -> Geometry {
        Geometry {
            bytes: self.disk.capacity(),
            block_bytes: self.disk.block_size(),
            writable: self.disk.is_writable(),
        }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.pay()?;
        self.disk.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.pay()?;
        self.disk.write_at(offset, data)
    }

    fn flush(&mut self) -> Result<()> {
        self.pay()?;
        self.owes_flush = true;
        Ok(())
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        self.pay()?;
        self.disk.discard(offset, length)
    }
}
