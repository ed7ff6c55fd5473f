//! A run as one self-contained page: lanes by unit, messages as arrows, faults, disk operations.

mod json;
mod page;

/// What happened in a run, for people.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// The name of the system.
    pub system: String,
    /// The command that replays the run.
    pub replay: String,
    /// Why the run failed, if it did.
    pub failure: Option<String>,
    /// When it ended, in nanoseconds of virtual time.
    pub end_ns: u64,
    /// From above to below.
    pub lanes: Vec<Lane>,
    /// What has a beginning and an end.
    pub spans: Vec<Span>,
    /// What went from one lane to another.
    pub arrows: Vec<Arrow>,
    /// What happened in a moment.
    pub marks: Vec<Mark>,
}

/// A line of its own.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Like `store.mirror`.
    pub name: String,
    /// The machine it belongs to, like `store`; empty for what is outside of the system.
    pub machine: String,
    /// What it shows.
    pub kind: LaneKind,
}

/// What a lane shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// Power and network of a machine.
    Machine,
    /// A unit.
    Unit,
    /// A disk.
    Disk,
    /// Somebody outside of the system.
    Client,
}

/// Something with a beginning and an end.
#[derive(Clone, Debug)]
pub struct Span {
    /// The place of its lane.
    pub lane: usize,
    /// Nanoseconds of virtual time.
    pub from_ns: u64,
    /// Nanoseconds of virtual time.
    pub to_ns: u64,
    /// What it is.
    pub kind: SpanKind,
    /// In few words, like `write 4096 at 8192`.
    pub label: String,
    /// The fault that it suffered, if any.
    pub fault: Option<String>,
}

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A unit's life, from start to end.
    Life,
    /// A read of a disk.
    Read,
    /// A write to a disk.
    Write,
    /// A flush or a discard of a disk.
    Flush,
    /// A call to another unit, or a request from outside.
    Call,
    /// A machine without power.
    Off,
    /// A machine cut off from others, or with a slow network.
    Network,
}

/// Something that went from one lane to another.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// The place of the lane that it left.
    pub from_lane: usize,
    /// Nanoseconds of virtual time.
    pub from_ns: u64,
    /// The place of the lane that it reached, or should have.
    pub to_lane: usize,
    /// Nanoseconds of virtual time.
    pub to_ns: u64,
    /// In few words, like `request 3 to files`.
    pub label: String,
    /// It never arrived.
    pub is_lost: bool,
}

/// Something that happened in a moment.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The place of its lane.
    pub lane: usize,
    /// Nanoseconds of virtual time.
    pub at_ns: u64,
    /// What it is.
    pub kind: MarkKind,
    /// In few words.
    pub label: String,
}

/// What a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// A line that a unit printed.
    Line,
    /// A decision of the supervisor.
    Supervisor,
    /// A fault that was injected.
    Fault,
    /// What made the run fail.
    Failure,
}
