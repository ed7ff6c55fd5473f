//! A block device that is written.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};
use rustix::io::Errno;
use rustix::ioctl::{NoArg, ioctl, opcode};

use super::copy::Target;
use super::device::Device;
use super::facts::{find, number};

/// Addresses, places and lengths are multiples of this where the host's memory is gone around (open(2), `O_DIRECT`): no device has
/// larger sectors.
const ALIGNMENT: usize = 4096;

/// "Read the partition table again" (linux/fs.h).
const BLKRRPART: u32 = opcode::none(0x12, 95);

/// A device that nobody else may use as long as this lives.
pub struct BlockDevice {
    file: File,
    /// The same, around the host's memory.
    direct: Option<File>,
    size: u64,
}

impl BlockDevice {
    /// Opens the device that was looked at, if nobody has mounted it or uses it in another way.
    pub fn open(path: &Path, device: &Device) -> io::Result<Self> {
        let exclusive = OFlags::EXCL.bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(path)?;
        // Somebody may have taken his time to answer. From here on the opened file is that of one device, whatever is plugged in.
        let is_same_number = number(file.metadata()?.rdev()) == device.number;
        if !is_same_number || !find(path)?.is_some_and(|now| now.is_still(device)) {
            return Err(io::Error::other("it is another device than it was a moment ago"));
        }
        // By its name it could be another one by now (proc_pid_fd(5)).
        let same = format!("/proc/self/fd/{}", file.as_raw_fd());
        let direct = OpenOptions::new().read(true).custom_flags(OFlags::DIRECT.bits() as i32).open(same).ok();
        Ok(Self { file, direct, size: device.size })
    }

    /// Lets the kernel see the new partitions. It may not: then they are seen when the device is plugged in again.
    pub fn show_partitions(&self) -> io::Result<()> {
        // SAFETY: BLKRRPART takes no argument, and so touches no memory of this process.
        Ok(unsafe { ioctl(&self.file, NoArg::<BLKRRPART>::new()) }?)
    }
}

impl Target for BlockDevice {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn zero(&mut self, range: Range<u64>) -> io::Result<()> {
        let length = range.end - range.start;
        // A device that can is told to (block/fops.c, `blkdev_fallocate`); the kernel writes zeros to any other.
        match fallocate(
            &self.file,
            FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
            range.start,
            length,
        ) {
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {}
            done => return Ok(done?),
        }
        let zeros = vec![0; length.min(1 << 20) as usize];
        let mut at = range.start;
        while at < range.end {
            let piece = (range.end - at).min(zeros.len() as u64);
            self.file.write_all_at(&zeros[..piece as usize], at)?;
            at += piece;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn forget_behind(&mut self, length: u64) -> io::Result<()> {
        const OLD_TABLE: u64 = 1 << 20;
        let alignment = ALIGNMENT as u64;
        let start = length.max(self.size.saturating_sub(OLD_TABLE)).next_multiple_of(alignment);
        let end = self.size / alignment * alignment;
        if start < end {
            self.zero(start..end)?;
        }
        // The copy's own header is in the last sector of all.
        let rest = length.max(end)..self.size;
        self.file.write_all_at(&vec![0; rest.end.saturating_sub(rest.start) as usize], rest.start)
    }

    fn read_back(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = (offset + buffer.len() as u64).next_multiple_of(ALIGNMENT as u64);
        let Some(direct) = self.direct.as_ref().filter(|_| offset.is_multiple_of(ALIGNMENT as u64)) else {
            return self.read_around(offset, buffer);
        };
        // A device may end within what is aligned, but never within a sector of its own.
        let length = (end.min(self.size) - offset) as usize;
        let mut space = vec![0; length + ALIGNMENT];
        let start = space.as_ptr().align_offset(ALIGNMENT);
        let aligned = &mut space[start..start + length];
        match direct.read_exact_at(aligned, offset) {
            Ok(()) => {
                buffer.copy_from_slice(&aligned[..buffer.len()]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.read_around(offset, buffer),
            Err(error) => Err(error),
        }
    }
}

impl BlockDevice {
    /// By way of the host's memory, which is asked to forget it first.
    fn read_around(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let length = std::num::NonZeroU64::new(buffer.len() as u64);
        fadvise(&self.file, offset, length, Advice::DontNeed)?;
        self.file.read_exact_at(buffer, offset)
    }
}
