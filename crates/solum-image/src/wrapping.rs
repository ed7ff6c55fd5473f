//! Wrappings of disks: files that hypervisors and clouds take in place of a raw disk.
//!
//! Each is written from anything to be read at any place, a cluster at a time, and read as the disk inside.

pub mod qcow2;
pub mod vhd;
pub mod vmdk;

use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::sparse::{ReadAt, Unreadable};

/// How a disk is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Not at all.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VMware's and VirtualBox's.
    Vmdk,
    /// Azure's and Hyper-V's.
    Vhd,
}

/// Something to write a wrapping into, beginning at its start.
pub trait Sink: Write + Seek {}

impl<S: Write + Seek> Sink for S {}

/// Opens the disk in a wrapping. What is no wrapping is a raw disk.
///
/// # Errors
///
/// [`Unreadable`], if it is a damaged wrapping, or one of a kind that is not read.
pub fn open<'a>(medium: impl ReadAt + 'a) -> Result<(Wrapping, Box<dyn ReadAt + 'a>), Unreadable> {
    let mut magic = [0; 4];
    if medium.length() >= 512 {
        medium.read_at(0, &mut magic)?;
    }
    Ok(match &magic {
        qcow2::MAGIC => (Wrapping::Qcow2, Box::new(qcow2::Qcow2::open(medium)?)),
        vmdk::MAGIC => (Wrapping::Vmdk, Box::new(vmdk::Vmdk::open(medium)?)),
        _ if vhd::is_one(&medium)? => (Wrapping::Vhd, Box::new(vhd::open(medium)?)),
        _ => (Wrapping::Raw, Box::new(medium)),
    })
}

/// Writes a raw disk, and skips what is zero: a file keeps a hole there. The caller sets its length, in case the end is one.
///
/// # Errors
///
/// Those of either side.
pub fn write_raw(disk: &(impl ReadAt + ?Sized), sink: &mut impl Sink) -> io::Result<()> {
    each_block(disk, vhd::BLOCK, |index, block| {
        sink.seek(SeekFrom::Start(index * vhd::BLOCK))?;
        sink.write_all(block)
    })
}

/// Hands over each block of a disk that is not all zeros, in order; the last one may be short.
fn each_block(
    disk: &(impl ReadAt + ?Sized),
    size: u64,
    mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = vec![0; size as usize];
    let mut index = 0;
    while let Some(data) = disk.next_data(index * size)? {
        index = index.max(data.start / size);
        while index * size < data.end {
            let length = (disk.length() - index * size).min(size) as usize;
            disk.read_at(index * size, &mut block[..length])?;
            if block[..length].iter().any(|byte| *byte != 0) {
                take(index, &block[..length])?;
            }
            index += 1;
        }
        if index * size >= disk.length() {
            break;
        }
    }
    Ok(())
}

/// Reads a disk block by block. `read_block` gets the block's number, where in it to begin, and what to fill.
fn read_blocks(
    size: u64,
    length: u64,
    offset: u64,
    buffer: &mut [u8],
    mut read_block: impl FnMut(u64, u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut at = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let inside = at % size;
        let count = rest.len().min((size - inside) as usize);
        let (part, behind) = rest.split_at_mut(count);
        read_block(at / size, inside, part)?;
        at += count as u64;
        rest = behind;
    }
    Ok(())
}

/// The first stretch at or after `from` whose blocks are in the file. `alike` says of a block whether it is, and which is the
/// first one behind it that it has not looked at, or that is not like it.
fn next_data(
    size: u64,
    length: u64,
    from: u64,
    mut alike: impl FnMut(u64) -> io::Result<(bool, u64)>,
) -> io::Result<Option<Range<u64>>> {
    let mut at = from;
    while at < length {
        let (is_data, next) = alike(at / size)?;
        // Of a damaged header's numbers, too.
        let end = next.saturating_mul(size).min(length);
        if is_data {
            return Ok(Some(at..end));
        }
        at = end;
    }
    Ok(None)
}

/// How many entries of a table are looked at together: what lies scattered does not have all of it read each time.
const LOOKED_AT: u64 = 512;

/// What readers say of damage that they meet while a disk is read.
fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
