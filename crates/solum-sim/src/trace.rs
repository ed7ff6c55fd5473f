//! What happened in a run, byte for byte: records, one after the other, and a digest of them all.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::faults::Fault;

/// Something that happened. Units, disks, machines, clients and links are named by their places in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// Virtual time went on by so many nanoseconds.
    Passed(u64),
    /// This actor runs: a unit, or after the units a client.
    Runs(u32),
    /// A unit began, for the so many-th time.
    Began(u32, u32),
    /// A unit ended; how.
    Ended(u32, Cow<'a, str>),
    /// A unit or a client said something.
    Line(u32, Cow<'a, str>),
    /// A supervisor decided something about a unit.
    Supervised(u32, Cow<'a, str>),
    /// Disk, offset, length.
    Read(u32, u64, u32),
    /// Disk, offset, length, digest of the data.
    Wrote(u32, u64, u32, u64),
    /// A disk made everything last.
    Flushed(u32),
    /// Disk, offset, length.
    Discarded(u32, u64, u64),
    /// The operation of the disk that was recorded last ends with success or not, after so many nanoseconds.
    Took(u32, u64, bool),
    /// A message began its way: number, actor from, actor to, bytes.
    Sent(u32, u32, u32, u32),
    /// A message with this number arrived.
    Arrived(u32),
    /// A message with this number never will.
    Lost(u32),
    /// A machine has power, or not.
    Power(u32, bool),
    /// A fault was injected: which, at what (its place among its kind), and a number that tells more.
    Fault(Fault, u32, u64),
    /// A fault ended by itself.
    Healed(Fault, u32),
    /// A unit looked at something that is not drawn: which device, and what came of it.
    Used(u32, Cow<'a, str>),
    /// A request of a client began: client, text.
    Asked(u32, Cow<'a, str>),
    /// The request of a client ended: client, text.
    Answered(u32, Cow<'a, str>),
    /// All faults stop.
    Calm,
    /// The run failed; why.
    Failed(Cow<'a, str>),
}

/// After so many bytes, records are only counted into the digest.
const KEPT_BYTES: usize = 256 << 20;
/// How many bytes are digested at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The records of a run.
pub struct Trace {
    bytes: Vec<u8>,
    /// Up to where they are in the digest.
    digested: usize,
    digest: XxHash3_64,
    now_ns: u64,
    events: u64,
    keep: bool,
    states: BTreeSet<u64>,
    /// What the last records were about.
    recent: u64,
}

impl Trace {
    /// A trace without records. If they are not kept, only their digest is.
    pub fn new(keep: bool) -> Self {
        Self {
            bytes: Vec::new(),
            digested: 0,
            digest: XxHash3_64::new(),
            now_ns: 0,
            events: 0,
            keep,
            states: BTreeSet::new(),
            recent: 0,
        }
    }

    /// Adds a record of something that happens now.
    pub fn add(&mut self, now_ns: u64, record: &Record<'_>) {
        if now_ns != self.now_ns {
            let passed = now_ns - self.now_ns;
            self.now_ns = now_ns;
            self.write(&Record::Passed(passed));
        }
        self.events += 1;
        self.note_state(record);
        self.write(record);
        if self.bytes.len() - self.digested >= CHUNK_BYTES {
            self.digest_rest();
        }
    }

    /// What a search calls new: which kinds of things followed each other, where something else than the ordinary took part.
    fn note_state(&mut self, record: &Record<'_>) {
        let kind = match record {
            Record::Fault(fault, index, _) => 1 + (*fault as u64) * 64 + u64::from(*index % 64),
            Record::Supervised(unit, text) => {
                1 << 16 | u64::from(*unit) << 32 | XxHash3_64::oneshot(text.as_bytes()) >> 48
            }
            Record::Ended(unit, _) => 1 << 17 | u64::from(*unit),
            Record::Took(disk, _, false) => 1 << 18 | u64::from(*disk),
            Record::Lost(_) => 1 << 19,
            Record::Answered(client, text) => {
                let end = text.len().saturating_sub(4);
                1 << 20 | u64::from(*client) << 32 | XxHash3_64::oneshot(&text.as_bytes()[end..]) >> 56
            }
            _ => return,
        };
        // The last three; what was further back is shifted out.
        self.recent = (self.recent << 21) | (kind.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 43);
        self.states.insert(self.recent);
    }

    /// What a search compares with other runs.
    pub fn states(&self) -> &BTreeSet<u64> {
        &self.states
    }

    fn write(&mut self, record: &Record<'_>) {
        // Plain structures into memory that grows: there is no way to fail.
        if let Ok(bytes) = postcard::to_extend(record, std::mem::take(&mut self.bytes)) {
            self.bytes = bytes;
        }
    }

    fn digest_rest(&mut self) {
        self.digest.write(&self.bytes[self.digested..]);
        self.digested = self.bytes.len();
        if !self.keep || self.bytes.len() > KEPT_BYTES {
            self.keep = false;
            self.bytes.clear();
            self.digested = 0;
        }
    }

    /// How many records there are, without those about time alone.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The end: the digest of all records, and the records themselves, if they were kept whole.
    pub fn finish(mut self) -> (u64, Option<Vec<u8>>) {
        self.digest_rest();
        let digest = self.digest.finish();
        (digest, self.keep.then_some(self.bytes))
    }
}

/// The records in the bytes of a trace, each with its time in nanoseconds.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = (u64, Record<'_>)> {
    let (mut rest, mut now_ns) = (bytes, 0);
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (record, after) = postcard::take_from_bytes(rest).ok()?;
            rest = after;
            match record {
                Record::Passed(passed) => now_ns += passed,
                record => return Some((now_ns, record)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(keep: bool, count: u64) -> Trace {
        let mut trace = Trace::new(keep);
        for at in 0..count {
            trace.add(at / 2 * 10, &Record::Line(at as u32, Cow::Owned(format!("line {at}"))));
        }
        trace
    }

    #[test]
    fn records_come_back_with_their_times() {
        let trace = trace(true, 5000);
        assert_eq!(trace.events(), 5000);
        let bytes = trace.finish().1.unwrap();
        let all: Vec<_> = records(&bytes).collect();
        assert_eq!(all.len(), 5000);
        assert_eq!(all[4999], (24990, Record::Line(4999, Cow::Borrowed("line 4999"))));
    }

    #[test]
    fn the_digest_is_of_the_records_whether_they_are_kept_or_not() {
        let digest = |keep, count| trace(keep, count).finish().0;
        assert_eq!(digest(true, 5000), digest(false, 5000));
        assert_ne!(digest(true, 5000), digest(true, 4999));
        assert!(trace(false, 10).finish().1.is_none());
    }
}
