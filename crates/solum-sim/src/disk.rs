//! A disk as it is when everything that may go wrong does: what was written, what of it would last, and the damage over it.
//!
//! Damage lies over the content and never changes it: a block that rots is read with a wrong bit, and what was written to it
//! is still known. So damage can be taken away again, and whoever judges can ask what should be there.

use std::collections::BTreeMap;
use std::rc::Rc;

use solum::disk::Geometry;

use crate::random::Random;

/// Blocks in one part of the table.
const PART: usize = 256;

type Block = Rc<[u8]>;

/// Which block is where; those never written are not there, and read as zeros.
#[derive(Clone, Debug, Default)]
struct Blocks {
    parts: Vec<Option<Rc<[Option<Block>; PART]>>>,
}

impl Blocks {
    fn of(blocks: u64) -> Self {
        Self { parts: vec![None; (blocks as usize).div_ceil(PART)] }
    }

    fn get(&self, block: u64) -> Option<&Block> {
        self.parts.get(block as usize / PART)?.as_ref()?[block as usize % PART].as_ref()
    }

    fn set(&mut self, block: u64, content: Option<Block>) -> Option<Block> {
        let part = self.parts[block as usize / PART].get_or_insert_with(|| Rc::new([const { None }; PART]));
        std::mem::replace(&mut Rc::make_mut(part)[block as usize % PART], content)
    }
}

/// What a block is read as, instead of what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Damage {
    /// This bit is another one.
    Bit(u32),
    /// Nothing.
    Unreadable,
    /// Something that was meant for another place.
    Other(Block),
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Platter {
    geometry: Geometry,
    /// What was written.
    blocks: Blocks,
    /// What blocks were before, since the last flush: the oldest, which would last, first.
    unsynced: BTreeMap<u64, Vec<Option<Block>>>,
    damage: BTreeMap<u64, Damage>,
    /// What it was when power came.
    at_power_on: Option<Blocks>,
}

/// What a loss of power leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Blocks that are as they were at some earlier time.
    pub lost: usize,
    /// Blocks that are new up to some byte.
    pub torn: usize,
}

/// A block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub u64);

impl Platter {
    /// A disk full of zeros.
    pub fn new(geometry: Geometry) -> Self {
        let blocks = Blocks::of(geometry.bytes / u64::from(geometry.block_bytes));
        Self { geometry, blocks, unsynced: BTreeMap::new(), damage: BTreeMap::new(), at_power_on: None }
    }

    /// Its shape.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn block_bytes(&self) -> usize {
        self.geometry.block_bytes as usize
    }

    fn first_block(&self, offset: u64) -> u64 {
        offset / u64::from(self.geometry.block_bytes)
    }

    /// Fills the buffer with what is read at `offset`. After a block that cannot be read nothing is filled.
    ///
    /// # Errors
    ///
    /// The place of the block, in bytes.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let first = self.first_block(offset);
        for (block, part) in (first..).zip(buffer.chunks_mut(self.block_bytes())) {
            self.content(block, part);
            match self.damage.get(&block) {
                None => {}
                Some(Damage::Bit(bit)) => part[*bit as usize / 8] ^= 1 << (bit % 8),
                Some(Damage::Other(other)) => part.copy_from_slice(other),
                Some(Damage::Unreadable) => {
                    return Err(Unreadable(block * u64::from(self.geometry.block_bytes)));
                }
            }
        }
        Ok(())
    }

    /// What was written, whatever lies over it.
    pub fn pristine(&self, offset: u64, buffer: &mut [u8]) {
        let first = self.first_block(offset);
        for (block, part) in (first..).zip(buffer.chunks_mut(self.block_bytes())) {
            self.content(block, part);
        }
    }

    fn content(&self, block: u64, into: &mut [u8]) {
        match self.blocks.get(block) {
            Some(content) => into.copy_from_slice(&content[..into.len()]),
            None => into.fill(0),
        }
    }

    /// Writes, and heals what lay over these blocks.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let first = self.first_block(offset);
        let block_bytes = self.block_bytes();
        for (block, part) in (first..).zip(data.chunks(block_bytes)) {
            self.damage.remove(&block);
            let before = self.blocks.set(block, Some(Rc::from(part)));
            self.unsynced.entry(block).or_default().push(before);
        }
    }

    /// The bytes are not needed any more: they read as zeros.
    pub fn discard(&mut self, offset: u64, length: u64) {
        let blocks = self.first_block(offset)..self.first_block(offset + length);
        for block in blocks {
            self.damage.remove(&block);
            let before = self.blocks.set(block, None);
            self.unsynced.entry(block).or_default().push(before);
        }
    }

    /// Everything that was written lasts.
    pub fn flush(&mut self) {
        self.unsynced.clear();
    }

    /// How many blocks a loss of power may take back.
    #[cfg(test)]
    fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// A bit of the block at `offset` is another one from now on.
    pub fn rot(&mut self, offset: u64, bit: u32) {
        let bits = self.geometry.block_bytes * 8;
        self.damage.insert(self.first_block(offset), Damage::Bit(bit % bits));
    }

    /// The block at `offset` cannot be read from now on.
    pub fn lose_sector(&mut self, offset: u64) {
        self.damage.insert(self.first_block(offset), Damage::Unreadable);
    }

    /// What was to be written at one place is read at another; where it should be, all is as before.
    pub fn misdirect(&mut self, to: u64, data: &[u8]) {
        let first = self.first_block(to);
        for (block, part) in (first..).zip(data.chunks(self.block_bytes())) {
            self.damage.insert(block, Damage::Other(Rc::from(part)));
        }
    }

    /// How many blocks are damaged.
    pub fn damaged(&self) -> usize {
        self.damage.len()
    }

    /// Takes all damage away.
    #[cfg(test)]
    fn heal(&mut self) {
        self.damage.clear();
    }

    /// Power is gone. `how` is 0 for nothing lost, 1 for everything that no flush followed; any other number is some mixture,
    /// and with `tears` a block of it may be torn.
    pub fn lose_power(&mut self, how: u32, tears: bool) -> Loss {
        let mut loss = Loss { lost: 0, torn: 0 };
        let mut random = Random::new(how.into());
        let torn = (tears && how > 1 && !self.unsynced.is_empty() && random.once_in(2))
            .then(|| random.below(self.unsynced.len() as u64) as usize);
        for (place, (block, versions)) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            // Version `versions.len()` is the newest.
            let survives = match how {
                0 => versions.len(),
                1 => 0,
                _ => random.below(versions.len() as u64 + 1) as usize,
            };
            if torn == Some(place) {
                let newest = self.blocks.get(block).cloned();
                let torn = self.torn(versions.last().cloned().flatten(), newest, &mut random);
                self.blocks.set(block, Some(torn));
                loss.torn += 1;
            } else if survives < versions.len() {
                self.blocks.set(block, versions[survives].clone());
                loss.lost += 1;
            }
        }
        loss
    }

    fn torn(&self, old: Option<Block>, new: Option<Block>, random: &mut Random) -> Block {
        let zeros = || Rc::from(vec![0; self.block_bytes()]);
        let (old, new) = (old.unwrap_or_else(zeros), new.unwrap_or_else(zeros));
        let at = 1 + random.below(old.len() as u64 - 1) as usize;
        Rc::from([&new[..at], &old[at..]].concat())
    }

    /// Power is there.
    pub fn power_on(&mut self) {
        self.at_power_on = Some(self.blocks.clone());
    }

    /// It is what it was when power last came; whether that is known.
    pub fn go_stale(&mut self) -> bool {
        let Some(earlier) = &self.at_power_on else { return false };
        self.blocks = earlier.clone();
        self.unsynced.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 512;

    fn disk() -> Platter {
        Platter::new(Geometry { bytes: 1024 * BLOCK as u64, block_bytes: BLOCK as u32, writable: true })
    }

    fn read(disk: &Platter, block: u64) -> Result<Vec<u8>, Unreadable> {
        let mut buffer = vec![9; BLOCK];
        disk.read(block * BLOCK as u64, &mut buffer).map(|()| buffer)
    }

    fn write(disk: &mut Platter, block: u64, byte: u8) {
        disk.write(block * BLOCK as u64, &[byte; BLOCK]);
    }

    #[test]
    fn what_was_written_is_read_and_what_was_flushed_lasts() {
        let mut disk = disk();
        write(&mut disk, 3, 1);
        write(&mut disk, 300, 1);
        disk.flush();
        write(&mut disk, 3, 2);
        write(&mut disk, 3, 3);
        write(&mut disk, 4, 4);
        assert_eq!((read(&disk, 3), read(&disk, 5)), (Ok(vec![3; BLOCK]), Ok(vec![0; BLOCK])));
        assert_eq!(disk.lose_power(1, false), Loss { lost: 2, torn: 0 });
        assert_eq!((read(&disk, 3), read(&disk, 4)), (Ok(vec![1; BLOCK]), Ok(vec![0; BLOCK])));
        assert_eq!(read(&disk, 300), Ok(vec![1; BLOCK]));
        assert_eq!(disk.unsynced(), 0);
    }

    #[test]
    fn a_loss_leaves_any_version_since_the_flush_and_each_block_by_itself() {
        let mut seen = std::collections::BTreeSet::new();
        for how in 2..200 {
            let mut disk = disk();
            write(&mut disk, 0, 1);
            disk.flush();
            (2..4).for_each(|byte| write(&mut disk, 0, byte));
            write(&mut disk, 1, 5);
            disk.lose_power(how, false);
            seen.insert((read(&disk, 0).unwrap()[0], read(&disk, 1).unwrap()[0]));
        }
        let all = [1, 2, 3].into_iter().flat_map(|a| [(a, 0), (a, 5)]).collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn a_torn_block_is_new_at_its_beginning_and_old_at_its_end() {
        let torn = (2..100).find_map(|how| {
            let mut disk = disk();
            write(&mut disk, 7, 1);
            disk.flush();
            write(&mut disk, 7, 2);
            (disk.lose_power(how, true).torn == 1).then(|| read(&disk, 7).unwrap())
        });
        let torn = torn.unwrap();
        assert!(torn[0] == 2 && torn[BLOCK - 1] == 1 && torn.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn a_search_for_crashes_tries_every_kind_of_loss() {
        let lost = crate::search::LOSSES.map(|how| {
            let mut disk = disk();
            (0..8).for_each(|block| write(&mut disk, block, 1));
            disk.lose_power(how, true)
        });
        assert_eq!(lost[..2], [Loss { lost: 0, torn: 0 }, Loss { lost: 8, torn: 0 }]);
        assert!((1..8).contains(&lost[2].lost) && lost[2].torn == 0, "{lost:?}");
        assert_eq!(lost[3].torn, 1, "{lost:?}");
    }

    #[test]
    fn damage_lies_over_what_was_written_until_it_is_written_again() {
        let mut disk = disk();
        (0..4).for_each(|block| write(&mut disk, block, 1));
        disk.rot(0, 8 * 5);
        disk.lose_sector(BLOCK as u64);
        disk.misdirect(2 * BLOCK as u64, &[6; BLOCK]);
        assert_eq!(read(&disk, 0).unwrap()[5], 0);
        assert_eq!(read(&disk, 1), Err(Unreadable(BLOCK as u64)));
        assert_eq!(read(&disk, 2), Ok(vec![6; BLOCK]));
        let mut pristine = vec![0; 4 * BLOCK];
        disk.pristine(0, &mut pristine);
        assert_eq!(pristine, vec![1; 4 * BLOCK]);
        assert_eq!(disk.damaged(), 3);
        (0..2).for_each(|block| write(&mut disk, block, 8));
        assert_eq!(disk.damaged(), 1);
        disk.heal();
        assert_eq!(read(&disk, 2), Ok(vec![1; BLOCK]));
    }

    #[test]
    fn a_stale_disk_is_what_it_was_when_power_came() {
        let mut disk = disk();
        assert!(!disk.go_stale());
        write(&mut disk, 0, 1);
        disk.power_on();
        write(&mut disk, 0, 2);
        disk.flush();
        assert!(disk.go_stale());
        assert_eq!(read(&disk, 0), Ok(vec![1; BLOCK]));
    }
}
