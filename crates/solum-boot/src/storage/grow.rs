//! Making a mounted file system as large as its partition, and that as large as its disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use solum_spec::reason;
use solum_spec::storage::Kind;

use super::find::Device;
use super::scan;
use super::table::{Growth, NoRoom};

/// Makes it larger where it can be. What could not be done, as a sentence: it is used as it is then. A file system may be smaller
/// than a partition that cannot grow.
pub fn grow(device: &Device, kind: Kind, target: &str) -> Option<String> {
    let partition = grow_partition(device);
    let file_system = grow_file_system(device, kind, target);
    partition.and(file_system).err().map(|error| format!("it could not be made larger: {}", reason(&error)))
}

fn grow_partition(device: &Device) -> io::Result<()> {
    let Some(number) = device.partition else { return Ok(()) };
    let mut disk = OpenOptions::new().read(true).write(true).open(format!("/dev/{}", device.disk))?;
    let without =
        || io::Error::other(format!("{} has no valid partition table of the kind GPT", device.disk));
    let table = scan::table(&mut disk, &device.disk).ok_or_else(without)?;
    let sectors = scan::bytes(&device.disk) / scan::sector(&device.disk);
    let Some(growth) = table.grow(&mut disk, number, sectors) else { return Ok(()) };
    let growth = growth.map_err(|NoRoom| {
        io::Error::other(format!(
            "beside the partition table of {} there is no room for a copy, without which a power cut now could lose every \
             partition; enlarge the partition on another computer",
            device.disk
        ))
    })?;
    for (place, bytes) in &growth.writes {
        disk.write_all_at(bytes, *place)?;
        disk.sync_data()?;
    }
    tell_kernel(&disk, number, &growth)
}

/// `struct blkpg_ioctl_arg` and `struct blkpg_partition` (include/uapi/linux/blkpg.h).
#[repr(C)]
struct Blkpg {
    operation: i32,
    flags: i32,
    length: i32,
    partition: *const BlkpgPartition,
}

#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

fn tell_kernel(disk: &File, number: u32, growth: &Growth) -> io::Result<()> {
    const BLKPG: u32 = 0x1269;
    const RESIZE_PARTITION: i32 = 3;
    let partition = BlkpgPartition {
        start: growth.start as i64,
        length: growth.length as i64,
        number: number as i32,
        names: [0; 128],
    };
    let argument = Blkpg {
        operation: RESIZE_PARTITION,
        flags: 0,
        length: size_of::<BlkpgPartition>() as i32,
        partition: &raw const partition,
    };
    // SAFETY: BLKPG reads a `struct blkpg_ioctl_arg` and the `struct blkpg_partition` that it points to; both are laid out as
    // the kernel's are, and live until the call is over.
    done(unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG as _, &raw const argument) })
}

fn grow_file_system(device: &Device, kind: Kind, target: &str) -> io::Result<()> {
    let directory = File::open(target)?;
    match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => {
            /// `_IOW('f', 16, __u64)` (include/uapi/linux/ext4.h).
            const EXT4_IOC_RESIZE_FS: u32 = 0x4008_6610;
            let space = rustix::fs::fstatvfs(&directory)?;
            let blocks = scan::bytes(&device.name) / space.f_bsize.max(1);
            // SAFETY: it reads eight bytes, which live until the call is over.
            done(unsafe { libc::ioctl(directory.as_raw_fd(), EXT4_IOC_RESIZE_FS as _, &raw const blocks) })
        }
        // Its own size is that of its device, in whole blocks, and the kernel refuses to touch a small one.
        Kind::Btrfs if is_as_large(&directory, scan::bytes(&device.name))? => Ok(()),
        Kind::Btrfs => {
            /// `_IOW(0x94, 3, struct btrfs_ioctl_vol_args)` (include/uapi/linux/btrfs.h): a descriptor, which is not used
            /// here, and a text.
            const BTRFS_IOC_RESIZE: u32 = 0x5000_9403;
            let mut argument = [0u8; 4096];
            argument[8..11].copy_from_slice(b"max");
            // SAFETY: it reads 4096 bytes, which live until the call is over.
            done(unsafe { libc::ioctl(directory.as_raw_fd(), BTRFS_IOC_RESIZE as _, &raw const argument) })
        }
        _ => Err(io::Error::other(format!("{kind} cannot be"))),
    }
}

fn is_as_large(directory: &File, bytes: u64) -> io::Result<bool> {
    let space = rustix::fs::fstatvfs(directory)?;
    Ok(space.f_blocks.saturating_mul(space.f_frsize) >= bytes / (1 << 20) * (1 << 20))
}

fn done(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
