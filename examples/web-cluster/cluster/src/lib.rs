//! What the units of the web cluster say to each other, and what each of them decides. No I/O.
//!
//! Why every front sees every acknowledged write is said in the README of the example. In short:
//!
//! - The [`sequencer`] does one thing at a time. It gives out [`Number`]s, and a key takes a record only with a number greater
//!   than that of the record it has. So a write can be repeated as often as need be.
//! - A [`cache`] answers for a key only while it holds a *lease*. The sequencer recalls the key from all caches with a lease
//!   before the key gets another record, and waits until the lease of one that does not answer is over.
//! - A [`front`] asks its cache, then the sequencer. It decides nothing that others rely on: it may die at any moment.

pub mod cache;
pub mod calls;
pub mod front;
mod key;
pub mod page;
pub mod sequencer;
pub mod tombstones;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use key::{Key, KeyError, file_name_prefix};

/// How long a cache may answer by itself after it said what time it is.
pub const LEASE_MS: u64 = 2_000;

/// How long the sequencer takes that to be. The difference is what two clocks may disagree about: one of them may run faster
/// than the other by a quarter.
pub const LEASE_AT_MOST_MS: u64 = LEASE_MS * 5 / 4;

/// The longest value in bytes: it travels in one message of 64 KiB at most, with a head.
pub const VALUE_BYTES_MAX: usize = 48 * 1024;

/// A place in the order of everything that happens. Never given out twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Number {
    /// Counts the lives of the sequencer; kept on the disk.
    pub epoch: u64,
    /// Counts in one life.
    pub count: u64,
}

impl Number {
    /// Bytes of its encoding.
    pub const BYTES: usize = 16;

    /// As it is kept on the disk.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[8..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) made.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        Self { epoch: word(0), count: word(8) }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.count)
    }
}

/// What a key stands for since some write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// That of the write; the least number if there never was one.
    pub number: Number,
    /// What was written; nothing if the key was deleted.
    pub value: Option<Vec<u8>>,
}

/// A cache, as it was at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Drawn at random when the cache starts: one that starts again is another.
    pub incarnation: u64,
    /// What its own clock said.
    pub now_ms: u64,
}

/// The right of a cache to answer by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Of which cache.
    pub incarnation: u64,
    /// While one term lasts nothing is written without its being recalled. What was learnt in an earlier one is worth nothing.
    pub term: Number,
    /// When the right ends, by the cache's own clock.
    pub until_ms: u64,
}

/// The other side could not be reached, or its answer was lost. What was asked for may have happened, or happen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreached;
