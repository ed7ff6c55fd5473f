//! Virtual PC's format as Azure takes it: the fixed one, a raw disk with a footer (Microsoft, Virtual Hard Disk Image Format
//! Specification, 1.0).

use std::io::{self, SeekFrom};

use super::{Sink, write_raw};
use crate::gpt::Guid;
use crate::sparse::number::{put, u32_be, u64_be};
use crate::sparse::{ReadAt, Unreadable, Window, read_vec};

/// Disks are copied in blocks of this size.
pub(super) const BLOCK: u64 = 64 << 10;

const COOKIE: &[u8] = b"conectix";
const FOOTER: u64 = 512;
const SECTOR: u64 = 512;
/// Azure takes disks of whole mebibytes only.
const UNIT: u64 = 1 << 20;
const FIXED: u32 = 2;
/// The year 2000, in seconds since 1970.
const FIRST_S: u64 = 946_684_800;

/// What a footer says beside the disk's size.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The disk's id.
    pub id: Guid,
    /// When it was made, in seconds since 1970. The format begins in 2000.
    pub epoch_s: u64,
}

/// Writes a disk, lengthened to whole mebibytes.
///
/// # Errors
///
/// Those of either side.
pub fn write(disk: &(impl ReadAt + ?Sized), options: &Options, sink: &mut impl Sink) -> io::Result<()> {
    let size = disk.length().next_multiple_of(UNIT);
    write_raw(disk, sink)?;
    sink.seek(SeekFrom::Start(size))?;
    sink.write_all(&footer(size, options))
}

fn footer(size: u64, options: &Options) -> Vec<u8> {
    let since_2000_s = u32::try_from(options.epoch_s.saturating_sub(FIRST_S)).unwrap_or(u32::MAX);
    let mut footer = vec![0; FOOTER as usize];
    put(&mut footer, 0, COOKIE);
    put(&mut footer, 8, &2u32.to_be_bytes());
    put(&mut footer, 12, &0x0001_0000u32.to_be_bytes());
    put(&mut footer, 16, &[0xff; 8]);
    put(&mut footer, 24, &since_2000_s.to_be_bytes());
    // Creators whose disks have the size that is written, and not that of their geometry, are a list in QEMU
    // (block/vpc.c): this is its own name for them.
    put(&mut footer, 28, b"qem2");
    put(&mut footer, 32, &0x0005_0003u32.to_be_bytes());
    put(&mut footer, 36, b"Wi2k");
    put(&mut footer, 40, &size.to_be_bytes());
    put(&mut footer, 48, &size.to_be_bytes());
    let (cylinders, heads, sectors) = geometry(size / SECTOR);
    put(&mut footer, 56, &cylinders.to_be_bytes());
    put(&mut footer, 58, &[heads, sectors]);
    put(&mut footer, 60, &FIXED.to_be_bytes());
    put(&mut footer, 68, &options.id.0);
    let sum = checksum(&footer);
    put(&mut footer, 64, &sum.to_be_bytes());
    footer
}

/// The complement of the sum of all bytes, those of the checksum left out.
fn checksum(footer: &[u8]) -> u32 {
    let bytes = footer.iter().enumerate().filter(|(at, _)| !(64..68).contains(at));
    !bytes.map(|(_, byte)| u32::from(*byte)).sum::<u32>()
}

/// The specification's appendix "CHS Calculation".
fn geometry(sectors: u64) -> (u16, u8, u8) {
    let total = sectors.min(65_535 * 16 * 255);
    let (heads, per_track) = if total >= 65_535 * 16 * 63 {
        (16, 255)
    } else {
        let heads = (total / 17).div_ceil(1024).max(4);
        if total / 17 < heads * 1024 && heads <= 16 {
            (heads, 17)
        } else if total / 31 < 16 * 1024 {
            (16, 31)
        } else {
            (16, 63)
        }
    };
    ((total / per_track / heads) as u16, heads as u8, per_track as u8)
}

/// Whether the file ends with such a footer.
pub(super) fn is_one(medium: &(impl ReadAt + ?Sized)) -> io::Result<bool> {
    let mut cookie = [0; COOKIE.len()];
    match medium.length().checked_sub(FOOTER) {
        Some(at) => medium.read_at(at, &mut cookie).map(|()| cookie == COOKIE),
        None => Ok(false),
    }
}

/// The disk in such a file.
///
/// # Errors
///
/// [`Unreadable`], also for disks that grow: they are another format inside.
pub fn open<R: ReadAt>(medium: R) -> Result<Window<R>, Unreadable> {
    let at = medium.length().checked_sub(FOOTER).ok_or_else(|| Unreadable::malformed("it ends too early"))?;
    let footer = read_vec(&medium, at, FOOTER)?;
    if !footer.starts_with(COOKIE) || checksum(&footer) != u32_be(&footer, 64) {
        return Err(Unreadable::malformed("its VHD footer is damaged"));
    }
    if u32_be(&footer, 60) != FIXED {
        return Err(Unreadable::malformed("it is not a VHD of fixed size"));
    }
    Ok(Window::new(medium, 0, u64_be(&footer, 48).min(at))?)
}
