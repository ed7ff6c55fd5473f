//! Heads: who a member is, and how all of them are.

use serde::{Deserialize, Serialize};

use crate::bits::Bits;
use crate::layout::{HEAD_BYTES, Layout};
use crate::record::{self, HEADER_BYTES, Header, Kind};

/// The most members of a mirror.
pub const MOST_MEMBERS: usize = 8;

/// No disk with smaller blocks is a member.
const SMALLEST_BLOCK_BYTES: usize = 512;

/// A point in the history of a mirror: how many times its membership changed, and a number that no other history has
/// at that point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Counts changes of membership, and starts.
    pub event: u64,
    /// Random.
    pub stamp: u64,
}

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It has everything.
    InSync,
    /// It takes part in writes and lacks some of the rest: of the groups below `cursor` those in regions that are behind
    /// or intended, and all the others.
    Rebuilding {
        /// A group.
        cursor: u64,
    },
    /// It takes no part. What it lacks is counted as for `Rebuilding`.
    Out {
        /// A group.
        cursor: u64,
    },
}

/// A member as the mirror knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Random; another one after the member was made anew. The salt of its checksum records.
    pub id: u64,
    /// How it is.
    pub state: State,
    /// The newest head that is known to be on it.
    pub known: Version,
    /// Its generation: a head of this version that is older is on an old image.
    pub known_generation: u64,
    /// The head that was written to it last, with or without success.
    pub attempted: Version,
}

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which mirror.
    pub array: u128,
    /// Its shape.
    pub layout: Layout,
    /// Counts heads.
    pub generation: u64,
    /// Where in its history it is.
    pub version: Version,
    /// Where it was before.
    pub parent: Version,
    /// It was begun without a majority, and has not been whole since.
    pub is_forced: bool,
    /// The slot of the member that this copy is on.
    pub slot: u8,
    /// The members.
    pub slots: Vec<Slot>,
    /// Regions in which members may differ after a crash.
    pub intent: Bits,
    /// Regions that members which are not in sync have missed.
    pub behind: Bits,
    /// Regions that were ever written.
    pub formatted: Bits,
}

impl Head {
    /// A new mirror, before its first event.
    pub fn new(array: u128, layout: Layout, ids: &[u64], stamp: u64) -> Self {
        let version = Version { event: 1, stamp };
        let slot = |id: &u64| Slot {
            id: *id,
            state: State::InSync,
            known: version,
            known_generation: 0,
            attempted: version,
        };
        let none = Bits::new(layout.regions());
        Self {
            array,
            layout,
            generation: 0,
            version,
            parent: Version::default(),
            is_forced: false,
            slot: 0,
            slots: ids.iter().map(slot).collect(),
            intent: none.clone(),
            behind: none.clone(),
            formatted: none,
        }
    }

    /// The slots in sync.
    pub fn in_sync(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.state == State::InSync).map(|(index, _)| index)
    }

    /// Whether it is of a mirror that was not made to the end, if none of its members got further: nothing was served before
    /// the second event.
    pub fn is_unborn(&self) -> bool {
        self.version.event <= 1
    }

    /// Whether all members are in sync.
    pub fn is_whole(&self) -> bool {
        self.slots.iter().all(|slot| slot.state == State::InSync)
    }

    /// The bytes for the member in `slot`, and where they go.
    pub fn encode(&mut self, slot: usize) -> (u64, Vec<u8>) {
        self.slot = slot as u8;
        // Serialising plain structures into memory has no way to fail.
        let contents = postcard::to_stdvec(self).unwrap_or_default();
        let mut record = vec![0; HEAD_BYTES as usize];
        let header = Header { array: self.array, index: 0, generation: self.generation, base: 0 };
        record::write_header(&mut record, Kind::Head, &header);
        record[HEADER_BYTES..HEADER_BYTES + contents.len()].copy_from_slice(&contents);
        let hash = record::hash(&record);
        record::seal(&mut record, hash, 0);
        (self.generation % 2 * HEAD_BYTES, record)
    }

    /// Reads a head that is whole and makes sense.
    pub fn decode(record: &[u8]) -> Option<Self> {
        record::open(record, Kind::Head, 0)?;
        let (head, _) = postcard::take_from_bytes::<Self>(&record[HEADER_BYTES..]).ok()?;
        let limit = Bits::new(head.layout.is_sound().then(|| head.layout.regions())?);
        let is_sound = (1..=MOST_MEMBERS).contains(&head.slots.len())
            && usize::from(head.slot) < head.slots.len()
            && [&head.intent, &head.behind, &head.formatted].iter().all(|bits| bits.has_limit_of(&limit));
        is_sound.then_some(head)
    }

    /// What both places of a head hold of a disk whose contents do not count any more. Should the next head be cut off, the other
    /// place still tells that.
    pub fn wiped() -> Vec<u8> {
        let mut place = vec![0; HEAD_BYTES as usize];
        let mark = &mut place[..SMALLEST_BLOCK_BYTES];
        record::write_header(mark, Kind::Wiped, &Header { array: 0, index: 0, generation: 0, base: 0 });
        let hash = record::hash(mark);
        record::seal(mark, hash, 0);
        place
    }

    /// Whether these two places, which hold no head, are of a disk whose contents do not count: it is empty, or was wiped, or was
    /// empty before a loss of power tore the mark that was being written.
    pub fn are_wiped(both: &[u8]) -> bool {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let mut places = both.chunks(HEAD_BYTES as usize).map(|place| place.split_at(SMALLEST_BLOCK_BYTES));
        let whole = Self::wiped();
        let may_be_torn = |mark: &[u8]| {
            let length = mark.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            mark[..length] == whole[..length]
        };
        places.clone().any(|(mark, _)| record::open(mark, Kind::Wiped, 0).is_some())
            || places.all(|(mark, rest)| may_be_torn(mark) && is_zero(rest))
    }

    /// The newer of the heads in the two places at the beginning of a member.
    pub fn newest(both: &[u8]) -> Option<Self> {
        both.chunks(HEAD_BYTES as usize).filter_map(Self::decode).max_by_key(|head| head.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wiped_disk_is_known_whatever_a_loss_of_power_leaves() {
        let place = HEAD_BYTES as usize;
        let mut both = vec![0; 2 * place];
        assert!(Head::are_wiped(&both));
        let wiped = Head::wiped();
        for length in 0..wiped.len() {
            both[..length].copy_from_slice(&wiped[..length]);
            assert!(Head::are_wiped(&both), "{length}");
        }
        // Whatever stands in the other place.
        both[place..].fill(7);
        assert!(Head::are_wiped(&both));
        both[3] ^= 1;
        assert!(!Head::are_wiped(&both));
        both[place..].fill(0);
        assert!(!Head::are_wiped(&both));
        both.fill(0);
        both[2 * place - 1] = 1;
        assert!(!Head::are_wiped(&both), "somebody else's");
    }

    #[test]
    fn the_largest_head_fits_in_its_place() {
        let layout = Layout::fit(1 << 55, 512, 256).unwrap();
        let mut head = Head::new(u128::MAX, layout, &[u64::MAX; MOST_MEMBERS], u64::MAX);
        for region in 0..layout.regions() {
            head.intent.insert(region);
            head.behind.insert(region);
            head.formatted.insert(region);
        }
        head.generation = u64::MAX;
        for slot in &mut head.slots {
            slot.state = State::Rebuilding { cursor: u64::MAX };
            slot.known.event = u64::MAX;
            slot.known_generation = u64::MAX;
            slot.attempted.event = u64::MAX;
        }
        let (at, record) = head.encode(7);
        assert_eq!(at, HEAD_BYTES);
        assert_eq!(Head::decode(&record), Some(head));
    }

    #[test]
    fn of_two_heads_the_newer_whole_one_counts() {
        let layout = Layout::fit(1 << 20, 512, 4).unwrap();
        let mut head = Head::new(1, layout, &[1, 2, 3], 9);
        let mut both = vec![0; 2 * HEAD_BYTES as usize];
        for generation in [6, 7] {
            head.generation = generation;
            let (at, record) = head.encode(1);
            both[at as usize..][..record.len()].copy_from_slice(&record);
        }
        assert_eq!(Head::newest(&both).unwrap().generation, 7);
        both[HEAD_BYTES as usize + 100] ^= 1;
        assert_eq!(Head::newest(&both).unwrap().generation, 6);
        both[100] ^= 1;
        assert_eq!(Head::newest(&both), None);
    }
}
