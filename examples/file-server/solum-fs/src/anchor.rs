//! Where everything begins on a disk: finding the newest superblock, and making the first.

use solum::Disk;

use crate::error::{Error, Result};
use crate::layout::{BLOCK_BYTES, BLOCKS_MIN, COPIES, NotOne, Superblock, copy_address};
use crate::node::DIRECTORY_LEVELS_MAX;
use crate::store::{offset_of, only_device};

/// A disk that is written for the first time has zeros there, too. Other file systems and partition tables do not.
const BLANK_BLOCKS: u64 = 32;

/// How often a superblock is read.
const ATTEMPTS: usize = 5;

/// No file system lives long enough to count so far.
const COUNT_MAX: u64 = u64::MAX / 2;

/// What the disk has for superblocks.
pub struct Anchors {
    /// The newest.
    pub newest: Superblock,
    /// In which slot the newest is.
    pub slot: usize,
    /// What was found in place of each copy.
    pub copies: [Result<Superblock, NotOne>; COPIES],
}

impl Anchors {
    /// Makes the newest superblock last, in both its copies.
    pub fn complete(&self, disk: &mut Disk) -> Result<()> {
        for copy in [self.slot, self.slot + COPIES / 2] {
            if self.copies[copy] != Ok(self.newest) {
                let place = offset_of(copy_address(copy, self.newest.blocks));
                only_device(disk.write_at(place, &self.newest.encode(copy)))?;
            }
        }
        Ok(disk.flush()?)
    }
}

/// How many blocks fit on a disk.
pub fn blocks_of(disk: &Disk) -> Result<u64> {
    let block_size = disk.block_size();
    if !block_size.is_power_of_two() || block_size > BLOCK_BYTES as u32 {
        let reason = format!(
            "the disk has blocks of {block_size} bytes, and the file system needs 4096 or a part of it"
        );
        return Err(Error::Unusable(reason));
    }
    let blocks = disk.capacity() / BLOCK_BYTES as u64;
    if blocks < BLOCKS_MIN {
        let (has, needs) = (disk.capacity(), BLOCKS_MIN * BLOCK_BYTES as u64);
        return Err(Error::Unusable(format!(
            "the disk has {has} bytes, and a file system needs at least {needs}"
        )));
    }
    Ok(blocks)
}

/// Looks whether there is a file system that can be mounted, without mounting it.
///
/// # Errors
///
/// [`Error::NotFormatted`], [`Error::Unusable`], [`Error::Disk`].
pub fn probe(disk: &mut Disk) -> Result<()> {
    find(disk).map(drop)
}

/// Finds the newest superblock.
pub fn find(disk: &mut Disk) -> Result<Anchors> {
    let blocks = blocks_of(disk)?;
    let mut copies = read_copies(disk, blocks)?;
    // A file system that was made on a smaller disk ends before the disk does.
    let smaller = copies.iter().flatten().map(|superblock| superblock.blocks).find(|made| *made < blocks);
    if let Some(made) = smaller {
        copies = read_copies(disk, made)?;
    }
    // The newest may be among them, and what is read instead be older than what was synced.
    let is_unreadable =
        |slot: usize| [slot, slot + COPIES / 2].iter().all(|copy| copies[*copy] == Err(NotOne::Unreadable));
    if (0..COPIES / 2).any(is_unreadable) {
        let reason = "neither copy of a superblock can be read".to_owned();
        return Err(Error::Disk(solum::Error::Device(reason)));
    }
    let candidates = (0..COPIES).filter_map(|copy| Some((copies[copy].as_ref().ok()?, copy % 2)));
    let Some((newest, slot)) = candidates.max_by_key(|(superblock, _)| superblock.generation) else {
        return Err(nothing_found(disk, &copies)?);
    };
    if newest.blocks > blocks {
        let (needs, has) = (offset_of(newest.blocks), disk.capacity());
        let reason = format!("the disk has {has} bytes, but the file system on it was made for {needs}");
        return Err(Error::Unusable(reason));
    }
    let counts = [newest.generation, newest.lives, newest.changes];
    if newest.root_levels > DIRECTORY_LEVELS_MAX || counts.iter().any(|count| *count > COUNT_MAX) {
        return Err(Error::Unusable(
            "the superblock makes no sense, though its checksum is right".to_owned(),
        ));
    }
    Ok(Anchors { newest: *newest, slot, copies })
}

fn read_copies(disk: &mut Disk, blocks: u64) -> Result<[Result<Superblock, NotOne>; COPIES]> {
    let mut copies = [const { Err(NotOne::Foreign) }; COPIES];
    let mut bytes = vec![0; BLOCK_BYTES];
    for (copy, found) in copies.iter_mut().enumerate() {
        *found = match read_patiently(disk, offset_of(copy_address(copy, blocks)), &mut bytes) {
            Ok(()) => Superblock::decode(&bytes, copy),
            Err(solum::Error::Device(_)) => Err(NotOne::Unreadable),
            Err(error) => return Err(error.into()),
        };
    }
    Ok(copies)
}

/// Too much depends on a superblock to believe a disk at once that it is not there.
fn read_patiently(disk: &mut Disk, offset: u64, bytes: &mut [u8]) -> solum::Result<()> {
    let mut attempt = 1;
    loop {
        match disk.read_at(offset, bytes) {
            Err(solum::Error::Device(_)) if attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

fn nothing_found(disk: &mut Disk, copies: &[Result<Superblock, NotOne>; COPIES]) -> Result<Error> {
    let versions = copies.iter().find_map(|copy| match copy {
        Err(NotOne::Version(version)) => Some(*version),
        _ => None,
    });
    Ok(match versions {
        Some(version) => Error::Unusable(format!("the file system on the disk has version {version}, not 1")),
        None => Error::NotFormatted { blank: is_blank(disk)? },
    })
}

/// What the first superblocks of a disk are.
fn first(blocks: u64, slot: usize) -> Superblock {
    Superblock {
        blocks,
        generation: 1 + slot as u64,
        lives: 0,
        changes: 0,
        used: COPIES as u64,
        root_levels: 0,
        root_entries: 0,
        root: None,
    }
}

/// Whether nothing was ever written where a file system, or another one, would have begun. A formatting that a loss of
/// power cut short counts as nothing.
fn is_blank(disk: &mut Disk) -> Result<bool> {
    let blocks = blocks_of(disk)?;
    let mut head = vec![0; BLANK_BLOCKS as usize * BLOCK_BYTES];
    let mut tail = vec![0; 2 * BLOCK_BYTES];
    let outcomes = disk.batch().read_at(0, &mut head).read_at(offset_of(blocks - 2), &mut tail).run();
    outcomes.into_iter().collect::<solum::Result<()>>()?;
    let (places, rest) = head.split_at(2 * BLOCK_BYTES);
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let is_first = |copy: usize, bytes: &[u8]| {
        let expected = first(blocks, copy % 2).encode(copy);
        // Disks that write a sector as a whole or not at all are usual. It costs nothing not to rely on it.
        bytes.iter().zip(&expected).all(|(byte, expected)| byte == expected || *byte == 0)
    };
    let mut copies = places.chunks(BLOCK_BYTES).chain(tail.chunks(BLOCK_BYTES)).enumerate();
    Ok(is_zero(rest) && copies.all(|(copy, bytes)| is_first(copy, bytes)))
}

/// Makes an empty file system. What was on the disk before is there until the last moment, and cannot be reached after.
pub fn format(disk: &mut Disk) -> Result<()> {
    if !disk.is_writable() {
        return Err(Error::ReadOnly);
    }
    let blocks = blocks_of(disk)?;
    let before = match find(disk) {
        Ok(anchors) => Some((anchors.newest, anchors.slot)),
        Err(Error::NotFormatted { .. } | Error::Unusable(_)) => None,
        Err(error) => return Err(error),
    };
    // The newest one goes last: a loss of power in between leaves either the old file system or the new one.
    let slots = if before.is_some_and(|(_, slot)| slot == 0) { [1, 0] } else { [0, 1] };
    for (step, slot) in slots.into_iter().enumerate() {
        let mut superblock = first(blocks, slot);
        if let Some((before, _)) = before {
            superblock.generation = before.generation + 1 + step as u64;
            (superblock.lives, superblock.changes) = (before.lives, before.changes);
        }
        for copy in [slot, slot + COPIES / 2] {
            disk.write_at(offset_of(copy_address(copy, blocks)), &superblock.encode(copy))?;
        }
        disk.flush()?;
    }
    Ok(())
}
