//! What a mirror tells of itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a mirror is.
#[solum::interface(version = 1)]
pub trait Status {
    /// The state of the mirror, of each member, and of what it is doing.
    #[retry]
    fn report(&mut self) -> Report;
}

/// How a mirror is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Bytes of the mirror.
    pub bytes: u64,
    /// Changes of membership and starts since it was made.
    pub event: u64,
    /// Its members, as they are plugged in.
    pub members: Vec<MemberReport>,
    /// How many of them are in sync.
    pub in_sync: u64,
    /// How many it was made for.
    pub slots: u64,
    /// Regions that would have to be compared after a crash now.
    pub intended_regions: u64,
    /// Groups still to be compared after an unclean stop.
    pub groups_to_compare: u64,
    /// How far the scrub is: groups done, and groups in all.
    pub scrub: (u64, u64),
    /// What happened since it began.
    pub counters: Counters,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
}

/// How a member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReport {
    /// Its state.
    pub state: MemberState,
    /// Bad copies on it that were rewritten.
    pub repaired: u64,
}

/// The state of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberState {
    /// It has everything.
    InSync,
    /// It is being brought up to date, and has so many groups still to get.
    Rebuilding {
        /// How many.
        groups_left: u64,
    },
    /// It takes no part, and why.
    Out(String),
}

/// What happened since a mirror began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Bad copies that were rewritten from good ones.
    pub repaired: u64,
    /// Reads of a block of which no good copy was found.
    pub damaged: u64,
    /// Copies that differed after an unclean stop and were rewritten.
    pub rewritten: u64,
    /// Blocks that were being written when the mirror stopped, and no checksum tells which copy is the best.
    pub unverified: u64,
    /// Groups that were copied to members that lacked them.
    pub copied_groups: u64,
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InSync => f.write_str("in sync"),
            Self::Rebuilding { groups_left } => write!(f, "rebuilding, {groups_left} groups left"),
            Self::Out(reason) => write!(f, "out: {reason}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} members in sync", self.in_sync, self.slots)?;
        for (port, member) in self.members.iter().enumerate() {
            write!(f, "; member {port} {}", member.state)?;
            if member.repaired > 0 {
                write!(f, " ({} repaired)", member.repaired)?;
            }
        }
        if self.groups_to_compare > 0 {
            write!(f, "; {} groups to compare", self.groups_to_compare)?;
        }
        if self.counters.damaged > 0 {
            write!(f, "; {} reads without a good copy", self.counters.damaged)?;
        }
        match &self.stopped {
            Some(reason) => write!(f, "; stopped: {reason}"),
            None => Ok(()),
        }
    }
}
