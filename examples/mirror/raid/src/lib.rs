//! RAID 1 over several disks, as a disk: a library without devices of its own.
//!
//! [`Mirror`] keeps the same bytes on two to eight members, and is a [`solum::disk::Driver`] itself.
//!
//! # What it promises
//!
//! - What was written and flushed is there after a crash, as long as the members that were in sync keep a majority, and
//!   of every block one good copy.
//! - A read never gives stale or damaged data: every block is compared with its checksum, which lies elsewhere and is
//!   newer on members that did not miss a write. A bad copy is rewritten from a good one. If there is no good one, the
//!   read is an error.
//! - A block whose write was cut off is the old one or the new one, if the members never tear a block. If they do, and
//!   tore the same block on all members at once, it may be a mixture, as it would be on one of them alone.
//!
//! # What lies on a member
//!
//! ```text
//! head 0 · head 1 · checksum records, three a group · data
//! ```
//!
//! A **unit** is the block of the mirror: the largest block size of its members. A **group** is 256 units (1 MiB, with
//! blocks of 4 KiB). A **region** is one or more groups: what one bit of the intent bitmap stands for.
//!
//! A **head** says whose member this is, the state of every member, the event counter, and three bitmaps: regions whose
//! blocks may differ between members (*intent*), regions that members that are out have missed (*behind*), and regions that
//! were ever written (*formatted*; the others read as zeros and are never copied). Heads are written alternately,
//! each time followed by a flush. A disk that is to become a member gets a mark in the place of both first, which says that it is as
//! good as empty: so a loss of power in the middle of its first head leaves no disk that nobody knows.
//!
//! A **checksum record** holds a hash of every unit of its group (which covers the unit's address), and the group's
//! generation; it is sealed with a hash of its own (which covers group, mirror and member).
//!
//! # In which order things are written
//!
//! 1. Head with the intent bit, flush. Only for the first write to a region in a long while; sequential writes prepare
//!    several regions at once.
//! 2. Data and checksum record, to every member, in any order. They reach the plates in any order, too, or not at all.
//! 3. The answer. If a member failed: first a head that says so, flushed on the others.
//!
//! Between two flushes a group's records go to the same of the three places, and never to the one that was newest at the
//! last flush: the *base*. So after a crash every member still has the base, which is true of every unit that was not
//! written since, and perhaps a newer record, which names its base. For every unit of a region with its intent bit set,
//! the copies are compared with these records, newest first; the first match wins. So a torn record costs
//! nothing, torn data falls back to a copy that is whole, and what was not being written keeps its checksum throughout.
//! Units of which no copy matches were being written more than once since the last flush, or torn everywhere: then the
//! most frequent copy wins. The winners are written to the others and flushed; if they are not all told by one record, a
//! merged one goes to the third place, and is flushed before the next write.
//!
//! A record whose base is older than the last flush would be wrong about units that it changed: a disk that missed the
//! change would match the base. So before such a unit is written again, in a later epoch, the record is written once more as
//! its own base, and flushed. That holds in all of the later epoch, also after other units of the group were written in it:
//! nothing that this epoch wrote need arrive. What was written in the epoch is flushed before and confirmed with it, and so is
//! every other group in memory. So this costs two flushes after each flush that was asked for, at most, and only if blocks are
//! rewritten; who never asks waits for none.
//!
//! After a crash, a place of a record that cannot be read is made invalid: what lies there may be of the write that was cut
//! off, and it would be the newest if it could be read later.
//!
//! Requests of a batch are written at once, with one record for each group, unless they overlap.
//!
//! # Who may begin
//!
//! A head counts as the newest only with more than half of the members that it says are in sync; while the mirror
//! runs, a member is dropped only if at least half of those stay, and their heads say so first. Two such sets always share
//! a member, so no two halves can both go on. Of three members two are needed. **A mirror of two needs both to begin**,
//! unless it was running when the other failed; one alone begins only with [`Options::force`], and if both did that
//! they are refused together.

mod assembly;
mod bits;
mod head;
mod layout;
mod member;
mod mirror;
mod notice;
mod read;
mod rebuild;
mod reconcile;
mod record;
mod start;
mod status;
mod steps;
mod table;
mod write;

pub use assembly::Refusal;
pub use mirror::{Mirror, Options};
pub use notice::Notice;
pub use start::StartError;
pub use status::{Counters, MemberReport, MemberState, Report, Status, StatusCalls, StatusService};
