//! What travels between units, and the units with what they are waiting for.

use std::collections::{BTreeMap, VecDeque};

use cluster::cache::{Cache, Fetched, Look};
use cluster::calls::{Reading, Refusal};
use cluster::front::Front;
use cluster::sequencer::{Request, Sequencer};
use cluster::{Key, Number, Presence, Record};

pub type Call = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Front(usize),
    Cache(usize),
    Sequencer,
}

#[derive(Clone, Debug)]
pub enum Ask {
    Look(Key),
    Fill(Fetched),
    Reserve,
    Write(Number, Key, Option<Vec<u8>>),
    Read(Key, Option<Presence>),
    Recall(Number, Key),
    Identify,
}

#[derive(Clone, Debug)]
pub enum Reply {
    Look(Look),
    Filled,
    Reserved(Number),
    Written(Result<(), Refusal>),
    Read(Result<Reading, Refusal>),
    Incarnation(u64),
}

#[derive(Clone, Debug)]
pub enum Message {
    Ask { from: Who, call: Call, to: Who, ask: Ask },
    Reply { to: Who, call: Call, reply: Reply },
}

impl Message {
    pub fn call(&self) -> Call {
        match self {
            Self::Ask { call, .. } | Self::Reply { call, .. } => *call,
        }
    }
}

/// A clock that began some time, and runs as fast as it likes.
#[derive(Clone, Copy)]
pub struct Clock {
    pub begin_ms: u64,
    pub percent: u64,
}

impl Clock {
    pub fn read(self, now_ms: u64) -> u64 {
        self.begin_ms + now_ms * self.percent / 100
    }
}

pub struct FrontUnit {
    pub front: Front,
    pub clock: Clock,
    /// The call it waits for, and how often it was tried before.
    pub waiting: Option<(Call, Who, Ask, u32)>,
    /// What it does, by its place among all operations.
    pub operation: Option<usize>,
}

pub struct CacheUnit {
    pub cache: Cache,
    pub clock: Clock,
}

pub enum Doing {
    Nothing,
    Calling(Call),
    Waiting(u64),
    Writing(Key, Record),
    Syncing(Key, Record),
}

pub struct SequencerUnit {
    pub sequencer: Sequencer,
    pub clock: Clock,
    pub inbox: VecDeque<(Who, Call, Request)>,
    pub serving: Option<(Who, Call)>,
    pub doing: Doing,
}

/// What the file server shows, and what a loss of power would leave of it.
#[derive(Default)]
pub struct Store {
    pub visible: BTreeMap<Key, Record>,
    pub durable: BTreeMap<Key, Record>,
    pub epoch: u64,
}
