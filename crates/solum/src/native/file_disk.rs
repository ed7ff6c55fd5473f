//! A disk that is a file or a block device.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate, fdatasync};

use crate::disk::{Driver, Geometry};
use crate::error::Result;

pub struct FileDisk {
    file: File,
    geometry: Geometry,
}

impl FileDisk {
    pub fn new(file: File, geometry: Geometry) -> Self {
        Self { file, geometry }
    }
}

impl Driver for FileDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(buffer, offset)?)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        Ok(self.file.write_all_at(data, offset)?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(fdatasync(&self.file).map_err(io::Error::from)?)
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Advice only: where holes cannot be made, the bytes stay, which is allowed.
        match fallocate(&self.file, flags, offset, length) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::disk::Disk;

    #[test]
    fn a_file_is_a_disk_and_a_shorter_one_than_described_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1024).unwrap();
        let geometry = Geometry { bytes: 2048, block_bytes: 512, writable: true };
        let mut disk = Disk::new(Box::new(FileDisk::new(file, geometry)));
        let mut block = [0; 512];
        disk.write_at(512, &[5; 512]).unwrap();
        disk.flush().unwrap();
        disk.read_at(512, &mut block).unwrap();
        assert_eq!(block, [5; 512]);
        disk.discard(512, 512).unwrap();
        disk.read_at(512, &mut block).unwrap();
        assert_eq!(block, [0; 512]);
        assert!(matches!(disk.read_at(1024, &mut block), Err(Error::Device(_))));
    }
}
