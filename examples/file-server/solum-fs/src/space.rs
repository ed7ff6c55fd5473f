//! Which blocks are in use. Kept in memory alone: it follows from what the superblock refers to.

use crate::layout::is_superblock;

/// A bit for each block.
pub struct Space {
    words: Vec<u64>,
    blocks: u64,
    used: u64,
    /// Blocks that the next commit does not need, but the last one does: a crash would return to it.
    pending: Vec<u64>,
    cursor: u64,
}

impl Space {
    /// Only the superblocks are in use.
    pub fn new(blocks: u64) -> Self {
        let words = usize::try_from(blocks.div_ceil(64)).unwrap_or(0);
        let mut space = Self { words: vec![0; words], blocks, used: 0, pending: Vec::new(), cursor: 2 };
        for address in [0, 1, blocks - 2, blocks - 1] {
            space.set(address);
        }
        space
    }

    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Those that are pending among them.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// How many there will be after the next commit.
    pub fn used_soon(&self) -> u64 {
        self.used.saturating_sub(self.pending())
    }

    pub fn free(&self) -> u64 {
        self.blocks - self.used
    }

    pub fn pending(&self) -> u64 {
        self.pending.len() as u64
    }

    /// Whether a reference may point there.
    pub fn is_possible(&self, address: u64) -> bool {
        address < self.blocks && !is_superblock(address, self.blocks)
    }

    /// Marks a block that is referred to; false if it is so already.
    pub fn mark(&mut self, address: u64) -> bool {
        let is_free = !self.is_used(address);
        if is_free {
            self.set(address);
        }
        is_free
    }

    /// Takes a free block, near the one that was taken before.
    pub fn allocate(&mut self) -> Option<u64> {
        let found = self.next_free(self.cursor).or_else(|| self.next_free(0))?;
        self.set(found);
        self.cursor = found + 1;
        Some(found)
    }

    /// Gives back a block that no commit ever referred to.
    pub fn give_back(&mut self, address: u64) {
        // What a damaged tree refers to may be anywhere, and may have been given back already.
        if self.is_possible(address) && self.is_used(address) {
            self.words[(address / 64) as usize] &= !(1 << (address % 64));
            self.used -= 1;
        }
    }

    /// Gives back a block once the next commit is done.
    pub fn give_back_later(&mut self, address: u64) {
        if self.is_possible(address) {
            self.pending.push(address);
        }
    }

    /// A commit is done: nothing can return to the state before it.
    pub fn committed(&mut self) {
        for address in std::mem::take(&mut self.pending) {
            self.give_back(address);
        }
    }

    fn is_used(&self, address: u64) -> bool {
        self.words.get((address / 64) as usize).is_none_or(|word| word & (1 << (address % 64)) != 0)
    }

    fn set(&mut self, address: u64) {
        self.words[(address / 64) as usize] |= 1 << (address % 64);
        self.used += 1;
    }

    fn next_free(&self, from: u64) -> Option<u64> {
        let first = (from / 64) as usize;
        // What lies before the beginning counts as used.
        let mut mask = (1u64 << (from % 64)) - 1;
        for (index, word) in self.words.iter().enumerate().skip(first) {
            let taken = word | mask;
            mask = 0;
            if taken != u64::MAX {
                let address = index as u64 * 64 + u64::from(taken.trailing_ones());
                return (address < self.blocks).then_some(address);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_but_the_superblocks_is_given_out_once() {
        let mut space = Space::new(100);
        let mut given: Vec<u64> = std::iter::from_fn(|| space.allocate()).collect();
        assert_eq!(space.free(), 0);
        given.sort_unstable();
        assert_eq!(given, (2..98).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_crash_could_return_to_is_not_given_out_before_the_commit() {
        let mut space = Space::new(64);
        while space.allocate().is_some() {}
        space.give_back_later(40);
        assert_eq!((space.allocate(), space.pending()), (None, 1));
        space.committed();
        assert_eq!((space.allocate(), space.pending()), (Some(40), 0));
    }

    #[test]
    fn a_block_is_given_back_once() {
        let mut space = Space::new(64);
        let address = space.allocate().unwrap();
        space.give_back(address);
        space.give_back(address);
        space.give_back(0);
        space.give_back(u64::MAX);
        assert_eq!(space.used(), 4);
        assert!(space.mark(9) && !space.mark(9), "marked twice is noticed");
        assert!(
            !space.is_possible(0)
                && !space.is_possible(62)
                && !space.is_possible(64)
                && space.is_possible(61)
        );
    }
}
