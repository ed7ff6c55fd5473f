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
    /// A fault of the way between two nodes ended.
    Healed(Fault, u32, u32),
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
/// How many bytes a frequent record takes at most, and time that passed.
const FREQUENT_BYTES: usize = 64;
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
    #[inline]
    pub fn add(&mut self, now_ns: u64, record: &Record<'_>) {
        // Once for all that follows.
        self.bytes.reserve(FREQUENT_BYTES);
        if now_ns != self.now_ns {
            let passed = now_ns - self.now_ns;
            self.now_ns = now_ns;
            match u32::try_from(passed) {
                Ok(passed) => add_short(&mut self.bytes, frequent::PASSED, passed),
                Err(_) => self.write(&Record::Passed(passed)),
            }
        }
        self.events += 1;
        if !write_frequent(&mut self.bytes, record) {
            self.note_state(record);
            self.write(record);
        }
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

/// Beginnings of the records of which a run has millions. Their numbers follow in all their bytes, which takes a few
/// instructions; the others are as postcard writes them, and begin with the number of their kind, which is lower.
mod frequent {
    pub const PASSED: u8 = 0x80;
    pub const READ: u8 = 0x81;
    pub const WROTE: u8 = 0x82;
    pub const TOOK: u8 = 0x83;
    pub const SENT: u8 = 0x84;
    pub const ARRIVED: u8 = 0x85;
}

/// Adds the record, if it is one of the frequent ones.
#[inline]
fn write_frequent(bytes: &mut Vec<u8>, record: &Record<'_>) -> bool {
    match *record {
        Record::Read(disk, offset, length) => {
            let [kind, a, b, c]: [u128; 4] =
                [frequent::READ.into(), disk.into(), offset.into(), length.into()];
            bytes.extend_from_slice(&first::<17>(kind | a << 8 | b << 40 | c << 104, c >> 24));
        }
        Record::Wrote(disk, offset, length, digest) => {
            let [kind, a, b, c]: [u128; 4] =
                [frequent::WROTE.into(), disk.into(), offset.into(), length.into()];
            let rest = c >> 24 | u128::from(digest) << 8;
            bytes.extend_from_slice(&first::<25>(kind | a << 8 | b << 40 | c << 104, rest));
        }
        Record::Took(disk, took, true) => {
            let [kind, a, b]: [u128; 3] = [frequent::TOOK.into(), disk.into(), took.into()];
            bytes.extend_from_slice(&first::<13>(kind | a << 8 | b << 40, 0));
        }
        // As a rule there are not so many units, and messages are not so long, that these would not do.
        Record::Sent(number, from, to, length) if (from | to | length) >> 16 == 0 => {
            let [kind, a, b]: [u128; 3] = [frequent::SENT.into(), number.into(), from.into()];
            let [c, d]: [u128; 2] = [to.into(), length.into()];
            bytes.extend_from_slice(&first::<11>(kind | a << 8 | b << 40 | c << 56 | d << 72, 0));
        }
        Record::Arrived(number) => add_short(bytes, frequent::ARRIVED, number),
        _ => return false,
    }
    true
}

#[inline]
fn add_short(bytes: &mut Vec<u8>, kind: u8, number: u32) {
    bytes.extend_from_slice(&first::<5>(u128::from(kind) | u128::from(number) << 8, 0));
}

/// So many bytes of two numbers, the least first.
#[inline]
fn first<const N: usize>(low: u128, high: u128) -> [u8; N] {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&low.to_le_bytes());
    both[16..].copy_from_slice(&high.to_le_bytes());
    let mut first = [0; N];
    first.copy_from_slice(&both[..N]);
    first
}

/// A frequent record at the beginning of `bytes`, and what is behind it.
fn read_frequent(bytes: &[u8]) -> Option<(Record<'static>, &[u8])> {
    let (&kind, mut rest) = bytes.split_first()?;
    let mut half = || {
        let (half, after) = rest.split_first_chunk()?;
        rest = after;
        Some(u32::from(u16::from_le_bytes(*half)))
    };
    let mut word = || Some(half()? | half()? << 16);
    let long = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let record = match kind {
        frequent::PASSED => Record::Passed(word()?.into()),
        frequent::READ => Record::Read(word()?, long(word()?, word()?), word()?),
        frequent::WROTE => Record::Wrote(word()?, long(word()?, word()?), word()?, long(word()?, word()?)),
        frequent::TOOK => Record::Took(word()?, long(word()?, word()?), true),
        frequent::SENT => {
            let number = word()?;
            Record::Sent(number, half()?, half()?, half()?)
        }
        frequent::ARRIVED => Record::Arrived(word()?),
        _ => return None,
    };
    Some((record, rest))
}

/// The records in the bytes of a trace, each with its time in nanoseconds.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = (u64, Record<'_>)> {
    let (mut rest, mut now_ns) = (bytes, 0);
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (record, after) = match rest[0] < frequent::PASSED {
                true => postcard::take_from_bytes(rest).ok()?,
                false => read_frequent(rest)?,
            };
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
    fn frequent_records_come_back_whatever_their_numbers_are() {
        for number in [0, 1, 0x7F, 0x80, 0x0102_0304, u32::MAX] {
            let long = u64::from(number) << 32 | u64::from(number / 3);
            let all = [
                Record::Read(number, long, number / 2),
                Record::Wrote(number, long, number / 2, !long),
                Record::Took(number, long, true),
                Record::Took(number, long, false),
                Record::Sent(number, number / 2, number / 3, number / 4),
                Record::Sent(number, 0xFFFF, 0xFF01, number % 0x1_0001),
                Record::Arrived(number),
            ];
            let mut trace = Trace::new(true);
            all.iter().for_each(|record| trace.add(long, record));
            let bytes = trace.finish().1.unwrap();
            let found: Vec<_> = records(&bytes).collect();
            assert_eq!(found, all.map(|record| (long, record)));
            for length in 0..bytes.len() {
                assert!(records(&bytes[..length]).count() < 7, "what is cut short is no record");
            }
        }
    }

    #[test]
    fn the_digest_is_of_the_records_whether_they_are_kept_or_not() {
        let digest = |keep, count| trace(keep, count).finish().0;
        assert_eq!(digest(true, 5000), digest(false, 5000));
        assert_ne!(digest(true, 5000), digest(true, 4999));
        assert!(trace(false, 10).finish().1.is_none());
    }
}
