//! What `solum sim` and a system's simulation say to each other: one order, and lines of JSON for an answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The environment variable in which a simulation finds its order, as JSON.
pub const VARIABLE: &str = "SOLUM_SIMULATION";

/// The version of both. Another one is refused.
pub const VERSION: u32 = 1;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// [`VERSION`].
    pub version: u32,
    /// Which scenario; the first, if none is named.
    pub scenario: Option<String>,
    /// One run, by its seed or token; else a campaign.
    pub replay: Option<String>,
    /// The first seed of a campaign.
    pub first_seed: u64,
    /// How many runs.
    pub runs: u64,
    /// How many at a time; as many as there are processors, if none is said.
    pub jobs: Option<usize>,
    /// How runs are chosen, by the name of a search.
    pub search: Option<String>,
    /// Which faults, as `Envelope::narrowed` reads them.
    pub faults: Option<String>,
    /// When faults stop, in nanoseconds.
    pub until_ns: Option<u64>,
    /// After how many failures a campaign ends.
    pub failures: usize,
    /// Whether failures are made small.
    pub shrinks: bool,
    /// Whether every run is made twice.
    pub twice: bool,
    /// Where the timeline of a replayed run goes, or of the first failure.
    pub trace: Option<String>,
    /// Whether what happened in a replayed run is told line by line.
    pub tells: bool,
    /// What was typed to get here, without what chose the runs: to be repeated with a replay.
    pub command: String,
}

/// What a simulation answers: each a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It cannot be done; why, and what to do, in lines.
    Refused(String),
    /// It goes on so far.
    Progress(Counts),
    /// Something that happened in a replayed run.
    Happened {
        /// When, in nanoseconds of the run.
        at_ns: u64,
        /// To whom.
        who: String,
        /// What.
        text: String,
    },
    /// A run failed.
    Failed(Failed),
    /// It is made small.
    Shrinking,
    /// A timeline was written there.
    Wrote(String),
    /// It is done.
    Done(Counts),
}

/// What there was so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// The name of the system.
    pub system: String,
    /// How many runs there will be.
    pub planned: u64,
    /// How many there were.
    pub runs: u64,
    /// How many were made twice, to see that both are the same.
    pub twice: u64,
    /// How many events.
    pub events: u64,
    /// How much time passed in them, in nanoseconds.
    pub simulated_ns: u64,
    /// How much time passed outside, in nanoseconds.
    pub took_ns: u64,
    /// How many different things happened.
    pub states: u64,
    /// How often each kind of fault happened; those that never did are there too.
    pub faults: BTreeMap<String, u64>,
    /// How many runs failed.
    pub failures: u64,
    /// A digest of what happened in a replayed run.
    pub digest: Option<u64>,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Its seed or token.
    pub run: String,
    /// After how many others.
    pub after: u64,
    /// Why.
    pub why: String,
    /// What it was made of.
    pub size: Size,
    /// The same made small.
    pub shrunk: Option<Shrunk>,
}

/// A failure that was made small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shrunk {
    /// Its token.
    pub run: String,
    /// Why it fails.
    pub why: String,
    /// What it is made of.
    pub size: Size,
    /// In how many runs that was found.
    pub runs: u32,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Choices that are not the ordinary ones.
    pub choices: u64,
    /// Faults.
    pub faults: u64,
    /// How long it took, in nanoseconds of its own time.
    pub took_ns: u64,
}
