//! What lies where in the shared memory of a link.
//!
//! ```text
//! 0            what it is: magic, version, sizes (written once, read once)
//! 64 … 639     one cache line for each word that both sides know
//! 4096         ring of the client's frames
//! + ring       ring of the server's frames
//! + ring       pool
//! ```

use crate::frame::Side;
use crate::mapping::{Mapping, OutOfBounds};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// The version of everything in here. Another one is refused.
pub(crate) const VERSION: u32 = 1;
const MAGIC: u32 = 0x4B4C_4F53;

/// The least size of a ring, and what the pool and its larger parts are rounded to.
pub(crate) const PAGE: u32 = 4096;
const LARGEST: u32 = 1 << 30;

/// How much memory a link has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The size of either ring: a power of two, from 4 KiB to 1 GiB. A message may fill a quarter of it.
    pub ring_bytes: u32,
    /// The size of the pool: whole pages of 4 KiB, or nothing, up to 1 GiB.
    pub pool_bytes: u32,
}

impl Default for Layout {
    fn default() -> Self {
        Self { ring_bytes: 256 << 10, pool_bytes: 4 << 20 }
    }
}

impl Layout {
    /// Whether such a link can be.
    pub(crate) fn is_possible(self) -> bool {
        self.ring_bytes.is_power_of_two()
            && (PAGE..=LARGEST).contains(&self.ring_bytes)
            && self.pool_bytes.is_multiple_of(PAGE)
            && self.pool_bytes <= LARGEST
    }

    /// The size of the whole memory.
    pub(crate) fn total(self) -> usize {
        self.pool_at() + self.pool_bytes as usize
    }

    /// Where the pool begins.
    pub(crate) fn pool_at(self) -> usize {
        PAGE as usize + 2 * self.ring_bytes as usize
    }

    fn ring_at(self, producer: Side) -> usize {
        PAGE as usize
            + match producer {
                Side::Client => 0,
                Side::Server => self.ring_bytes as usize,
            }
    }
}

/// A word that both sides know, each on a cache line of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    /// How far this side has read the other's ring.
    Head(Side),
    /// How far this side has written its own ring.
    Tail(Side),
    /// How this side sleeps; also what it sleeps on.
    Armed(Side),
    /// Whether this side lives, and its epoch; see [`crate::status`].
    Status(Side),
}

impl Word {
    pub(crate) const ALL: [Self; 8] = [
        Self::Head(Side::Client),
        Self::Tail(Side::Client),
        Self::Armed(Side::Client),
        Self::Status(Side::Client),
        Self::Head(Side::Server),
        Self::Tail(Side::Server),
        Self::Armed(Side::Server),
        Self::Status(Side::Server),
    ];

    #[inline]
    fn line(self) -> usize {
        let (line, side) = match self {
            Self::Head(side) => (1, side),
            Self::Tail(side) => (3, side),
            Self::Armed(side) => (5, side),
            Self::Status(side) => (7, side),
        };
        line + usize::from(side == Side::Server)
    }
}

/// What the memory says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    pub(crate) layout: Layout,
    /// How many processors its maker had: a waiter of one that has a single processor must not spin.
    pub(crate) processors: u32,
}

/// Why a label can not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unusable {
    NotALink,
    Version(u32),
}

/// The memory of a link.
pub(crate) struct Memory {
    mapping: Arc<Mapping>,
    layout: Layout,
}

impl Memory {
    /// Takes a mapping of at least the layout's size.
    pub(crate) fn new(mapping: Mapping, layout: Layout) -> Result<Self, OutOfBounds> {
        mapping.address(0, layout.total())?;
        Ok(Self { mapping: Arc::new(mapping), layout })
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    #[inline]
    pub(crate) fn word(&self, word: Word) -> &AtomicU32 {
        // `new` saw that the first page is there, and no line is beyond it.
        let offset = word.line() * 64;
        match self.mapping.address(offset, 4) {
            // SAFETY: four bytes on a line's beginning, so aligned, within the mapping that `self` owns.
            Ok(address) => unsafe { AtomicU32::from_ptr(address.cast()) },
            Err(OutOfBounds) => unreachable!("the first page is mapped"),
        }
    }

    /// Reads from the ring that a side writes, beginning at a position and going around its end.
    #[inline]
    pub(crate) fn read(&self, producer: Side, position: u32, into: &mut [u8]) -> Result<(), OutOfBounds> {
        let (at, first) = self.place(position, into.len())?;
        let (before, after) = into.split_at_mut(first);
        let ring = self.layout.ring_at(producer);
        self.mapping.read(ring + at, before)?;
        if after.is_empty() { Ok(()) } else { self.mapping.read(ring, after) }
    }

    /// Writes to the ring of a side, beginning at a position and going around its end.
    #[inline]
    pub(crate) fn write(&self, producer: Side, position: u32, from: &[u8]) -> Result<(), OutOfBounds> {
        let (at, first) = self.place(position, from.len())?;
        let (before, after) = from.split_at(first);
        let ring = self.layout.ring_at(producer);
        self.mapping.write(ring + at, before)?;
        if after.is_empty() { Ok(()) } else { self.mapping.write(ring, after) }
    }

    #[inline]
    fn place(&self, position: u32, length: usize) -> Result<(usize, usize), OutOfBounds> {
        let capacity = self.layout.ring_bytes;
        if length > capacity as usize {
            return Err(OutOfBounds);
        }
        let at = (position & (capacity - 1)) as usize;
        Ok((at, length.min(capacity as usize - at)))
    }
}

/// Writes what the memory is.
pub(crate) fn write_label(mapping: &Mapping, label: Label) -> Result<(), OutOfBounds> {
    let words = [MAGIC, VERSION, label.layout.ring_bytes, label.layout.pool_bytes, label.processors];
    mapping.write(0, &words.map(u32::to_le_bytes).concat())
}

/// Reads, once, what the memory says that it is.
pub(crate) fn read_label(mapping: &Mapping) -> Result<Label, Unusable> {
    let mut bytes = [0; 20];
    mapping.read(0, &mut bytes).map_err(|OutOfBounds| Unusable::NotALink)?;
    let mut words = [0_u32; 5];
    for (word, source) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = source.try_into().map(u32::from_le_bytes).map_err(|_| Unusable::NotALink)?;
    }
    let [magic, version, ring_bytes, pool_bytes, processors] = words;
    let layout = Layout { ring_bytes, pool_bytes };
    match (magic, version) {
        (MAGIC, VERSION) if layout.is_possible() => Ok(Label { layout, processors }),
        (MAGIC, VERSION) => Err(Unusable::NotALink),
        (MAGIC, _) => Err(Unusable::Version(version)),
        _ => Err(Unusable::NotALink),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { ring_bytes: 4096, pool_bytes: 4096 };

    #[test]
    fn bytes_go_around_the_end_of_the_ring_and_stay_in_it() {
        let memory = Memory::new(Mapping::anonymous(LAYOUT.total()).unwrap(), LAYOUT).unwrap();
        memory.write(Side::Client, 4096 * 3 - 2, b"abcd").unwrap();
        let mut back = [0; 4];
        memory.read(Side::Client, 4096 * 7 - 2, &mut back).unwrap();
        assert_eq!(&back, b"abcd");
        memory.read(Side::Client, 0, &mut back).unwrap();
        assert_eq!(&back, b"cd\0\0");
        memory.read(Side::Server, 0, &mut back).unwrap();
        assert_eq!(back, [0; 4]);
        assert_eq!(memory.write(Side::Client, 0, &[0; 4097]), Err(OutOfBounds));
    }

    #[test]
    fn no_two_words_share_a_line_and_none_leaves_the_first_page() {
        let mut lines = Word::ALL.map(Word::line).to_vec();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 8);
        assert!(lines.iter().all(|line| (1..64).contains(line)));
    }

    #[test]
    fn a_label_is_read_as_written_and_another_version_is_told() {
        let mapping = Mapping::anonymous(LAYOUT.total()).unwrap();
        assert_eq!(read_label(&mapping), Err(Unusable::NotALink));
        let label = Label { layout: LAYOUT, processors: 2 };
        write_label(&mapping, label).unwrap();
        assert_eq!(read_label(&mapping), Ok(label));
        mapping.write(4, &9_u32.to_le_bytes()).unwrap();
        assert_eq!(read_label(&mapping), Err(Unusable::Version(9)));
        write_label(&mapping, Label { layout: Layout { ring_bytes: 5000, ..LAYOUT }, processors: 2 })
            .unwrap();
        assert_eq!(read_label(&mapping), Err(Unusable::NotALink));
    }

    #[test]
    fn sizes_that_do_not_work_are_not_possible() {
        for (ring_bytes, pool_bytes) in [(0, 0), (2048, 0), (6000, 0), (4096, 1), (1 << 31, 0)] {
            assert!(!Layout { ring_bytes, pool_bytes }.is_possible(), "{ring_bytes} {pool_bytes}");
        }
        assert!(LAYOUT.is_possible() && Layout::default().is_possible());
    }
}
