//! What may be read of each block.

use raid::Report;

use crate::tester::Phase;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 512;

/// Blocks of a group of the mirror: those that share a record of checksums.
const GROUP_BLOCKS: u64 = 256;

/// How many blocks are used of each of the first groups: few, so that they are written again and again.
const USED_OF_A_GROUP: u64 = 12;
const GROUPS: u64 = 3;

/// How many blocks are used.
pub const BLOCKS: u64 = USED_OF_A_GROUP * GROUPS;

/// Where on the disk the block with this number is, counted in blocks.
pub fn place(number: u64) -> u64 {
    number / USED_OF_A_GROUP * GROUP_BLOCKS + number % USED_OF_A_GROUP
}

/// How many blocks that follow each other on the disk begin with this number.
pub fn run(number: u64) -> u64 {
    USED_OF_A_GROUP - number % USED_OF_A_GROUP
}

/// A version of a block. Version 0 is what a new disk holds.
pub fn content(place: u64, version: u64) -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    if version == 0 {
        return bytes;
    }
    for (index, word) in (0..).zip(bytes.chunks_mut(8)) {
        let word_of = match index {
            0 => version,
            _ => (version << 20 | place).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index),
        };
        word.copy_from_slice(&word_of.to_le_bytes());
    }
    bytes
}

/// Which version this is; none, if it is no whole one.
pub fn version(place: u64, bytes: &[u8]) -> Option<u64> {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    let version = u64::from_le_bytes(first);
    (content(place, version) == bytes).then_some(version)
}

/// What is known of a block.
#[derive(Clone, Debug)]
struct Block {
    /// What may be on the disks: the version that lasts, and all that was written since.
    may_be: Vec<u64>,
    /// What it is, in which life of the mirror.
    is: Option<(u64, u32)>,
    /// Whether the last write was answered, and the next flush makes it last.
    is_acknowledged: bool,
    /// What was read last.
    read: u64,
}

/// What may be read, over all lives of the mirror and of the tester.
#[derive(Debug)]
pub struct Model {
    blocks: Vec<Block>,
    last_version: u64,
    life: u32,
    /// What the tester is to do.
    pub phase: Phase,
    /// What the tester has done.
    pub done: Phase,
    /// Whether the mirror said that its disks should be emptied.
    pub is_to_be_emptied: bool,
    /// How the mirror was when it was whole.
    pub report: Option<Report>,
}

impl Model {
    /// A new mirror, full of zeros.
    pub fn new() -> Self {
        let block = Block { may_be: vec![0], is: None, is_acknowledged: false, read: 0 };
        Self {
            blocks: vec![block; BLOCKS as usize],
            last_version: 0,
            life: 0,
            phase: Phase::Work,
            done: Phase::Work,
            is_to_be_emptied: false,
            report: None,
        }
    }

    /// The mirror was started.
    pub fn mirror_begins(&mut self) {
        self.life += 1;
    }

    /// Which life of the mirror it is.
    pub fn life(&self) -> u32 {
        self.life
    }

    /// The tester was started: whoever writes through a new link flushes only what it wrote itself.
    pub fn tester_begins(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.is_acknowledged = false);
    }

    /// Whether something was written that must never be gone.
    pub fn has_what_lasts(&self) -> bool {
        self.blocks.iter().any(|block| block.may_be[0] != 0)
    }

    /// A block is going to be written; gives its version.
    pub fn writes(&mut self, number: u64) -> u64 {
        self.last_version += 1;
        let block = &mut self.blocks[number as usize];
        block.may_be.push(self.last_version);
        block.is = None;
        block.is_acknowledged = false;
        self.last_version
    }

    /// The last write to a block, which began in this life of the mirror, was answered.
    pub fn wrote(&mut self, number: u64, life: u32) {
        let (version, is_same) = (self.last_of(number), life == self.life);
        let block = &mut self.blocks[number as usize];
        block.is = is_same.then_some((version, life));
        block.is_acknowledged = true;
    }

    fn last_of(&self, number: u64) -> u64 {
        self.blocks[number as usize].may_be.last().copied().unwrap_or(0)
    }

    /// A flush was answered: with nothing, or with an error.
    pub fn flushed(&mut self, is_done: bool) {
        for block in &mut self.blocks {
            if std::mem::take(&mut block.is_acknowledged) && is_done {
                let first = block.may_be.len() - 1;
                block.may_be.drain(..first);
            }
        }
    }

    /// A block was read, from this life of the mirror on.
    ///
    /// # Errors
    ///
    /// Why it may not be what it is.
    pub fn read(&mut self, number: u64, bytes: &[u8], life: u32) -> Result<(), String> {
        let place = place(number);
        let Some(version) = version(place, bytes) else {
            return Err(format!(
                "block {place} is nothing that was ever written: it begins with {:?}",
                &bytes[..8]
            ));
        };
        let life_now = self.life;
        let block = &mut self.blocks[number as usize];
        if !block.may_be.contains(&version) {
            let may_be = &block.may_be;
            return Err(format!("block {place} was read as version {version}, and may be one of {may_be:?}"));
        }
        block.read = version;
        match block.is {
            _ if life != life_now => {}
            Some((is, known)) if known == life && is != version => {
                return Err(format!(
                    "block {place} was read as version {version}, and the same life of the mirror had it as {is}"
                ));
            }
            _ => block.is = Some((version, life)),
        }
        Ok(())
    }

    /// What was read last of each block, by its place.
    pub fn last_read(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (0..).zip(&self.blocks).map(|(number, block)| (place(number), block.read))
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}
