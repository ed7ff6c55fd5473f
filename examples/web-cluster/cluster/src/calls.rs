//! What the units ask of each other. Nobody asks in a circle: fronts ask caches and the sequencer, the sequencer asks
//! caches and the file server.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cache::{Fetched, Look};
use crate::page::Page;
use crate::{Key, Lease, Number, Presence, Record};

/// What the sequencer says about a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Its record, which everybody would have got at this moment.
    pub record: Record,
    /// If the cache of whoever asked may keep it.
    pub lease: Option<Lease>,
}

/// Why the sequencer did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The disk is full. Nothing was changed, and nothing will be.
    Full,
    /// What is on the disk cannot be read, or changed; the text says why. This call changed nothing; of an earlier try of the
    /// same write it says nothing.
    Storage(String),
    /// The number is so old that nobody knows any more whether it was written.
    TooOld,
    /// The storage broke off; nobody knows whether it was written. The text says what happened.
    Unsure(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::TooOld => f.write_str("it is not known any more whether this was written"),
            Self::Storage(why) | Self::Unsure(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}

/// What a front asks of its cache.
#[solum::interface(version = 1)]
pub trait Looks {
    /// What is known about a key.
    #[retry]
    fn look(&mut self, key: Key) -> Look;
    /// Brings a record that was not known.
    #[retry]
    fn fill(&mut self, fetched: Fetched);
}

/// What the sequencer asks of a cache.
#[solum::interface(version = 1)]
pub trait Recalls {
    /// Forgets a key, and everything of earlier terms. Says which incarnation did.
    #[once]
    fn recall(&mut self, term: Number, key: Key) -> u64;
    /// Which incarnation it is.
    #[once]
    fn identify(&mut self) -> u64;
}

/// What a front asks of the sequencer. To ask for the same twice is as good as to ask once.
#[solum::interface(version = 1)]
pub trait Requests {
    /// A number for a write that is to come.
    #[retry]
    fn reserve(&mut self) -> Number;
    /// Gives a key a value, or none. When this is answered, it lasts, and everybody sees it or what was written after it.
    #[retry]
    fn write(&mut self, number: Number, key: Key, value: Option<Vec<u8>>) -> Result<(), Refusal>;
    /// What a key stands for. `presence` is that of the cache that would like to keep it.
    #[retry]
    fn read(&mut self, key: Key, presence: Option<Presence>) -> Result<Reading, Refusal>;
    /// Which keys have a value: those that begin with `prefix`, behind the key `after`.
    #[retry]
    fn list(&mut self, prefix: String, after: Option<Key>) -> Result<Page, Refusal>;
}
