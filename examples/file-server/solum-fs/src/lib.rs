//! A small file system on a [`Disk`](solum::Disk): crash-safe, checksummed, copy-on-write.
//!
//! # What it promises
//!
//! - After a crash at any moment the file system is as it was at some moment between the last [`sync`](FileSystem::sync)
//!   that was answered and the crash, and each operation has happened as a whole or not at all. There is nothing to repair.
//! - What is read is what was written, or the error is [`Error::Damaged`]: rot, writes that the disk lost, and writes that
//!   went elsewhere are noticed by checksums. They are not repaired: for that, put a mirror under it. One damaged
//!   copy of a superblock is survived. If the disk reads neither copy of one, nothing is mounted: it may be the newest.
//! - A full disk can be read, and emptied.
//! - No content of a disk makes it panic, or wait for ever.
//!
//! # On the disk
//!
//! All numbers are little-endian. The unit is the block of 4096 bytes; addresses count blocks from 0. *N* is the number of
//! blocks.
//!
//! ## References
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | address; 0 refers to nothing (a hole) |
//! | 8..16 | generation: the commit that wrote the block |
//! | 16..32 | XXH3-128 of the 4096 bytes, with the seed address × 0x9e3779b97f4a7c15 + generation (modulo 2⁶⁴) |
//!
//! So the superblock fixes the content of every block behind it, and a block that was not written, or written
//! elsewhere, or rotted, does not fit the one reference to it.
//!
//! ## Superblocks
//!
//! Four copies in two slots: slot 0 in blocks 0 and *N* − 2, slot 1 in blocks 1 and *N* − 1. A commit writes both copies of
//! the slot that does not have the newest superblock. The newest of all copies is valid.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..8 | `SolumFS\n` |
//! | 8..12 | version of the format: 1 |
//! | 12..16 | bytes of a block: 4096 |
//! | 16..24 | *N* |
//! | 24..32 | generation: counts commits |
//! | 32..40 | lives: counts mounts |
//! | 40..48 | changes: counts operations that changed something |
//! | 48..56 | blocks in use, the four of the superblocks among them |
//! | 56..64 | which copy this is, 0 to 3: its block modulo *N*, in the order 0, 1, *N* − 2, *N* − 1 |
//! | 64..72 | entries of the root directory |
//! | 72 | levels of the root directory |
//! | 80..112 | reference to the root directory |
//! | 4080..4096 | XXH3-128 of bytes 0..4080, with the seed 0 |
//!
//! ## Files
//!
//! A file with *l* levels (0 to 5) is a tree: *l* levels of indexes, and content under them. An index is 128 references, in
//! the order of the content. A hole at any level reads as zeros. Behind the end of the file there are zeros up to the end
//! of the block, and then no blocks.
//!
//! ## Directories
//!
//! A directory with *l* levels is a B+ tree of names, in the order of their bytes. Both kinds of nodes begin with one byte
//! for the kind (leaf 1, branch 2), a zero byte, and the number of entries in two bytes. The entries follow without gaps.
//!
//! | leaf | branch | what |
//! | --- | --- | --- |
//! | 1 byte | 1 byte | bytes of the name |
//! | 1 byte | | 1: a file, 2: a directory |
//! | 1 byte | | its levels |
//! | 8 bytes | | its size: of a file in bytes, of a directory in entries |
//! | 32 bytes | 32 bytes | reference to its root, or to the child |
//! | ≤ 255 bytes | ≤ 255 bytes | the name (UTF-8); of a branch: no name in the child comes before it, and the first one is not looked at |
//!
//! There are no inodes of their own: the entry is the inode. So a rename moves one entry, whatever is under it, and
//! there are no hard links.
//!
//! # How a commit goes
//!
//! 1. Everything changed is written to blocks that nothing on the disk refers to, from the leaves up.
//! 2. Flush.
//! 3. Both copies of the older superblock's slot are overwritten.
//! 4. Flush, and look whether the copies are there; if not, again. Now the blocks that only the state before referred to are free.
//!
//! A mount begins with a commit, after it has made both copies of the newest superblock last: so whenever one slot is
//! overwritten, the other is whole, whatever happened before.
//!
//! What was written but not flushed stays in memory, so that a flush whose outcome is not known is simply done again with
//! all that went before it. If step 3 or 4 fails, the next commit writes the same slot again, and overwrites nothing that
//! the failed superblock referred to.
//!
//! # Which blocks are free
//!
//! That is not on the disk. Each mount goes through all indexes and directories and marks what is in use: nothing can leak
//! beyond the next mount, and nothing can be given out twice. It reads about one block for 128 blocks of content.
//! If something cannot be read there, nothing may be changed until it has been removed: the blocks behind it are not known.

mod anchor;
mod directory;
mod error;
mod file;
mod filesystem;
mod layout;
mod node;
mod path;
mod space;
mod store;
mod walk;

#[cfg(test)]
mod tests;

pub use anchor::{format, probe};
pub use directory::Listed;
pub use error::{Damage, Defect, Error, Piece, Result};
pub use filesystem::{FileSystem, Mark, Options, Standing};
pub use layout::BLOCK_BYTES;
pub use node::{FILE_BYTES_MAX, Kind};
pub use path::{DEPTH_MAX, NAME_BYTES_MAX};
pub use walk::{Report, check};

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// A file or a directory.
    pub kind: Kind,
    /// Of a file, in bytes; of a directory, in entries.
    pub size: u64,
}

/// How much room there is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of the whole file system.
    pub total_bytes: u64,
    /// In use by what was synced last, or written since.
    pub used_bytes: u64,
    /// Left for content and its administration, after the next sync.
    pub free_bytes: u64,
}
