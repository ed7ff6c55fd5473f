//! What a person should hear of.

use std::fmt;

/// Something that happened to the mirror. Its [`Display`](fmt::Display) is a line for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A new mirror was made of empty members.
    Made {
        /// How many members it has.
        members: usize,
        /// How many bytes it has.
        bytes: u64,
    },
    /// The mirror began.
    Began {
        /// How many members are in sync.
        in_sync: usize,
        /// How many there are.
        members: usize,
        /// How many groups may differ between members.
        groups_to_compare: u64,
    },
    /// A member takes no part any more.
    Dropped {
        /// Where it is plugged in.
        port: usize,
        /// Why.
        reason: String,
    },
    /// A member that was away is being brought up to date.
    Returned {
        /// Where it is plugged in.
        port: usize,
        /// How many groups it gets.
        groups: u64,
    },
    /// An empty disk, or one whose contents do not count, is being made a member.
    Replaced {
        /// Where it is plugged in.
        port: usize,
        /// How many groups it gets.
        groups: u64,
    },
    /// A member has everything again.
    InSync {
        /// Where it is plugged in.
        port: usize,
    },
    /// A disk cannot be a member.
    Refused {
        /// Where it is plugged in.
        port: usize,
        /// Why.
        reason: String,
    },
    /// All members were compared after an unclean stop.
    Compared {
        /// How many blocks were written again because members differed.
        rewritten: u64,
    },
    /// A bad copy was rewritten from a good one.
    Repaired {
        /// Where the member is plugged in.
        port: usize,
        /// Where in the mirror the block is; of checksums, the group's beginning.
        offset: u64,
    },
    /// No member has a good copy of a block.
    Damaged {
        /// Where in the mirror it is.
        offset: u64,
    },
    /// The whole mirror was read and compared.
    Scrubbed,
    /// The mirror stopped: it can promise nothing any more.
    Stopped {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made { members, bytes } => write!(f, "a new mirror of {bytes} bytes on {members} members"),
            Self::Began { in_sync, members, groups_to_compare: 0 } => {
                write!(f, "the mirror begins with {in_sync} of {members} members in sync")
            }
            Self::Began { in_sync, members, groups_to_compare } => write!(
                f,
                "the mirror begins with {in_sync} of {members} members in sync; \
                 {groups_to_compare} groups are compared after an unclean stop"
            ),
            Self::Dropped { port, reason } => write!(f, "member {port} is dropped: {reason}"),
            Self::Returned { port, groups } => {
                write!(f, "member {port} is back and gets the {groups} groups that it may have missed")
            }
            Self::Replaced { port, groups } => {
                write!(f, "member {port} is made anew and gets all {groups} groups that were ever written")
            }
            Self::InSync { port } => write!(f, "member {port} is in sync"),
            Self::Refused { port, reason } => write!(f, "member {port} is not used: {reason}"),
            Self::Compared { rewritten } => {
                write!(f, "all members are compared; {rewritten} blocks were written again")
            }
            Self::Repaired { port, offset } => {
                write!(f, "member {port} had a bad copy at byte {offset}; it is repaired")
            }
            Self::Damaged { offset } => write!(f, "no member has a good copy of the block at byte {offset}"),
            Self::Scrubbed => f.write_str("the whole mirror was read and compared"),
            Self::Stopped { reason } => write!(f, "the mirror stops: {reason}"),
        }
    }
}
