//! Blocks, references to blocks, and superblocks, as they are on the disk.

use twox_hash::XxHash3_128;

/// Bytes of a block, the unit of everything.
pub const BLOCK_BYTES: usize = 4096;

/// The smallest disk, in blocks.
pub const BLOCKS_MIN: u64 = 64;

/// Bytes of a reference to a block.
pub const REFERENCE_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"SolumFS\n";
const VERSION: u32 = 1;
const CHECKSUM_AT: usize = BLOCK_BYTES - 16;

/// Where a block is, since when, and what it must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// In blocks; never 0, where a superblock is.
    pub address: u64,
    /// The transaction that wrote it.
    pub generation: u64,
    /// Of all its bytes, with address and generation mixed in.
    pub checksum: u128,
}

impl Reference {
    pub fn to(address: u64, generation: u64, bytes: &[u8]) -> Self {
        Self { address, generation, checksum: checksum(address, generation, bytes) }
    }

    pub fn fits(&self, bytes: &[u8]) -> bool {
        checksum(self.address, self.generation, bytes) == self.checksum
    }

    pub fn encode(&self, into: &mut [u8]) {
        into[..8].copy_from_slice(&self.address.to_le_bytes());
        into[8..16].copy_from_slice(&self.generation.to_le_bytes());
        into[16..32].copy_from_slice(&self.checksum.to_le_bytes());
    }

    /// Nothing for a hole.
    pub fn decode(from: &[u8]) -> Option<Self> {
        let address = read_u64(from, 0);
        (address != 0).then(|| Self {
            address,
            generation: read_u64(from, 8),
            checksum: u128::from(read_u64(from, 16)) | u128::from(read_u64(from, 24)) << 64,
        })
    }
}

/// Two blocks of the same content have different checksums, so that one in the place of another is noticed.
fn checksum(address: u64, generation: u64, bytes: &[u8]) -> u128 {
    // The odd constant (2^64 divided by the golden ratio) spreads the addresses, so that the sum does not repeat.
    let seed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(generation);
    XxHash3_128::oneshot_with_seed(seed, bytes)
}

/// Reads eight bytes; the caller knows that they are there.
pub fn read_u64(from: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&from[at..at + 8]);
    u64::from_le_bytes(bytes)
}

fn read_u32(from: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&from[at..at + 4]);
    u32::from_le_bytes(bytes)
}

/// How many copies of superblocks there are: two of each of two slots.
pub const COPIES: usize = 4;

/// Where the copies are. Copies 0 and 2 are slot 0, copies 1 and 3 are slot 1.
pub fn copy_address(copy: usize, blocks: u64) -> u64 {
    match copy {
        0 => 0,
        1 => 1,
        2 => blocks - 2,
        _ => blocks - 1,
    }
}

/// Whether a superblock lies there, now or later.
pub fn is_superblock(address: u64, blocks: u64) -> bool {
    address < 2 || address >= blocks - 2
}

/// Where everything begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// How many blocks the file system has, those of the superblocks among them.
    pub blocks: u64,
    /// Counts the commits.
    pub generation: u64,
    /// Counts the mounts.
    pub lives: u64,
    /// Counts the changes.
    pub changes: u64,
    /// How many blocks are in use, those of the superblocks among them.
    pub used: u64,
    /// Levels of branches above the leaves of the root directory.
    pub root_levels: u8,
    /// How many entries the root directory has.
    pub root_entries: u64,
    /// The root directory; none if it is empty.
    pub root: Option<Reference>,
}

/// Why bytes are no superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOne {
    /// Something else, or a damaged one.
    Foreign,
    /// One of another version of this format.
    Version(u32),
    /// The disk does not give them.
    Unreadable,
}

impl Superblock {
    pub fn encode(&self, copy: usize) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(BLOCK_BYTES as u32).to_le_bytes());
        let numbers = [
            self.blocks,
            self.generation,
            self.lives,
            self.changes,
            self.used,
            copy as u64,
            self.root_entries,
        ];
        for (number, place) in numbers.iter().zip(bytes[16..].chunks_exact_mut(8)) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[72] = self.root_levels;
        if let Some(root) = &self.root {
            root.encode(&mut bytes[80..]);
        }
        let sum = XxHash3_128::oneshot(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8], copy: usize) -> Result<Self, NotOne> {
        let sum = XxHash3_128::oneshot(&bytes[..CHECKSUM_AT]);
        if bytes[..8] != MAGIC || bytes[CHECKSUM_AT..] != sum.to_le_bytes() {
            return Err(NotOne::Foreign);
        }
        let version = read_u32(bytes, 8);
        if version != VERSION || read_u32(bytes, 12) != BLOCK_BYTES as u32 {
            return Err(NotOne::Version(version));
        }
        let number = |index: usize| read_u64(bytes, 16 + 8 * index);
        let blocks = number(0);
        if blocks < BLOCKS_MIN || blocks > u64::MAX / BLOCK_BYTES as u64 || number(5) != copy as u64 {
            return Err(NotOne::Foreign);
        }
        Ok(Self {
            blocks,
            generation: number(1),
            lives: number(2),
            changes: number(3),
            used: number(4),
            root_entries: number(6),
            root_levels: bytes[72],
            root: Reference::decode(&bytes[80..]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        let root = Some(Reference { address: 77, generation: 8, checksum: 1 << 127 | 3 });
        let (root_levels, root_entries) = (2, 1 << 40);
        Superblock {
            blocks: 256,
            generation: 9,
            lives: 3,
            changes: 12,
            used: 7,
            root_levels,
            root_entries,
            root,
        }
    }

    #[test]
    fn a_superblock_is_read_as_it_was_written_and_only_in_its_place() {
        let bytes = sample().encode(2);
        assert_eq!(Superblock::decode(&bytes, 2), Ok(sample()));
        assert_eq!(Superblock::decode(&bytes, 0), Err(NotOne::Foreign), "a misdirected write");
    }

    #[test]
    fn every_byte_of_a_superblock_is_under_its_checksum() {
        let bytes = sample().encode(0);
        for index in 0..BLOCK_BYTES {
            let mut rotten = bytes.clone();
            rotten[index] ^= 0x10;
            assert!(Superblock::decode(&rotten, 0).is_err(), "byte {index}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = sample().encode(0);
        bytes[8] = 9;
        let sum = XxHash3_128::oneshot(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Superblock::decode(&bytes, 0), Err(NotOne::Version(9)));
    }

    #[test]
    fn the_checksum_of_equal_blocks_differs_by_place_and_time() {
        let bytes = [5; BLOCK_BYTES];
        let reference = Reference::to(10, 4, &bytes);
        assert!(reference.fits(&bytes));
        assert!(!Reference { address: 11, ..reference }.fits(&bytes));
        assert!(!Reference { generation: 5, ..reference }.fits(&bytes));
        let mut encoded = [0; REFERENCE_BYTES];
        reference.encode(&mut encoded);
        assert_eq!(Reference::decode(&encoded), Some(reference));
        assert_eq!(Reference::decode(&[0; REFERENCE_BYTES]), None);
    }
}
