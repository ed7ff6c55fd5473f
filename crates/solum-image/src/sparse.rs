//! Images as long as a disk that cost only the memory of what is in them, and reading at any place of one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;

/// Something to be read at any place: an image in memory, a file, a part of either.
pub trait ReadAt {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Fills `buffer` with what lies at `offset`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] where there is not so much; whatever the medium says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The first stretch at or after `from` that may hold anything but zeros. Who copies an image need not read the rest.
    ///
    /// # Errors
    ///
    /// Whatever the medium says.
    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        Ok((from < self.length()).then(|| from..self.length()))
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        (**self).next_data(from)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Box<R> {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        (**self).next_data(from)
    }
}

impl ReadAt for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let range = span(self.length(), offset, buffer.len() as u64)?;
        buffer.copy_from_slice(&self[range.start as usize..range.end as usize]);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buffer)
    }
}

/// The bytes `offset..offset + length`, if there are so many.
fn span(available: u64, offset: u64, length: u64) -> io::Result<Range<u64>> {
    match offset.checked_add(length) {
        Some(end) if end <= available => Ok(offset..end),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads `length` bytes at `offset`. What a damaged header calls a length costs no memory before it is seen to be there.
///
/// # Errors
///
/// As [`ReadAt::read_at`].
pub fn read_vec(from: &(impl ReadAt + ?Sized), offset: u64, length: u64) -> io::Result<Vec<u8>> {
    span(from.length(), offset, length)?;
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; length];
    from.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

/// A part of something: a partition of a disk.
#[derive(Clone, Copy, Debug)]
pub struct Window<R> {
    whole: R,
    offset: u64,
    length: u64,
}

impl<R: ReadAt> Window<R> {
    /// The part of `length` bytes at `offset`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] where there is not so much.
    pub fn new(whole: R, offset: u64, length: u64) -> io::Result<Self> {
        span(whole.length(), offset, length)?;
        Ok(Self { whole, offset, length })
    }
}

impl<R: ReadAt> ReadAt for Window<R> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        span(self.length, offset, buffer.len() as u64)?;
        self.whole.read_at(self.offset + offset, buffer)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        if from >= self.length {
            return Ok(None);
        }
        let found = self.whole.next_data(self.offset + from)?;
        let inside = found.map(|range| {
            range.start.saturating_sub(self.offset)..range.end.saturating_sub(self.offset).min(self.length)
        });
        Ok(inside.filter(|range| range.start < range.end))
    }
}

/// An image of a given length: pieces of bytes, and zeros between them.
#[derive(Clone, PartialEq, Eq)]
pub struct Sparse {
    length: u64,
    pieces: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    /// An image of zeros.
    pub fn new(length: u64) -> Self {
        Self { length, pieces: BTreeMap::new() }
    }

    /// Puts bytes at a place where nothing was put yet.
    ///
    /// # Panics
    ///
    /// If the piece overlaps another, or the image's end: a layout that does so is wrong, whatever its input.
    pub fn push(&mut self, offset: u64, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let end = offset.saturating_add(bytes.len() as u64);
        assert!(end <= self.length, "a piece ends at {end} of {}", self.length);
        let before = self.pieces.range(..end).next_back();
        let taken_to = before.map_or(0, |(start, piece)| start + piece.len() as u64);
        assert!(taken_to <= offset, "the pieces at {offset} overlap");
        self.pieces.insert(offset, bytes);
    }

    /// Puts a whole image into this one, where nothing was put yet.
    ///
    /// # Panics
    ///
    /// As [`push`](Self::push).
    pub fn push_image(&mut self, offset: u64, image: Sparse) {
        for (start, piece) in image.pieces {
            self.push(offset + start, piece);
        }
    }

    /// What is not a hole, in order.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pieces.iter().map(|(offset, bytes)| (*offset, bytes.as_slice()))
    }

    /// The image, holes and all. For small ones.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut whole = vec![0; self.length as usize];
        for (offset, bytes) in self.pieces() {
            whole[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        whole
    }
}

impl ReadAt for Sparse {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let wanted = span(self.length, offset, buffer.len() as u64)?;
        buffer.fill(0);
        let before = self.pieces.range(..=wanted.start).next_back().map_or(wanted.start, |(start, _)| *start);
        for (&start, piece) in self.pieces.range(before..wanted.end) {
            let from = start.max(wanted.start);
            let to = (start + piece.len() as u64).min(wanted.end);
            if from < to {
                let source = &piece[(from - start) as usize..(to - start) as usize];
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
        Ok(())
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        let reaching = self.pieces.range(..=from).next_back().into_iter();
        let mut candidates = reaching.chain(self.pieces.range(from.saturating_add(1)..));
        Ok(candidates.find_map(|(start, piece)| {
            let end = start + piece.len() as u64;
            (end > from).then_some(from.max(*start)..end)
        }))
    }
}

impl fmt::Debug for Sparse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sparse of {} bytes in {} pieces", self.length, self.pieces.len())
    }
}

/// Why an image cannot be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The medium refused.
    Io(io::Error),
    /// The bytes are not what they should be: a sentence that ends "the image ...".
    Malformed(String),
}

impl Unreadable {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::malformed("it ends too early"),
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Numbers in headers. `bytes` is long enough wherever these are called; a shorter one gives 0.
pub(crate) mod number {
    fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
        bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    pub fn u16_le(bytes: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(part(bytes, at))
    }

    pub fn u32_le(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(part(bytes, at))
    }

    pub fn u64_le(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(part(bytes, at))
    }

    pub fn u32_be(bytes: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(part(bytes, at))
    }

    pub fn u64_be(bytes: &[u8], at: usize) -> u64 {
        u64::from_be_bytes(part(bytes, at))
    }

    /// Writes bytes into a header.
    pub fn put(header: &mut [u8], at: usize, value: &[u8]) {
        header[at..at + value.len()].copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gibibyte_of_nothing_is_read_as_zeros() {
        let mut image = Sparse::new(1 << 30);
        image.push((1 << 30) - 3, vec![1, 2, 3]);
        let mut end = [9; 6];
        image.read_at((1 << 30) - 6, &mut end).unwrap();
        assert_eq!(end, [0, 0, 0, 1, 2, 3]);
        assert_eq!(image.next_data(0).unwrap(), Some((1 << 30) - 3..1 << 30));
        assert!(image.read_at(1 << 30, &mut [0]).is_err());
        assert!(image.read_at(u64::MAX, &mut [0]).is_err());
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn a_piece_may_not_lie_on_another() {
        let mut image = Sparse::new(100);
        image.push(10, vec![1; 10]);
        image.push(5, vec![1; 6]);
    }

    #[test]
    fn a_length_that_is_not_there_costs_no_memory() {
        assert!(read_vec(&vec![0; 10], 5, u64::MAX / 2).is_err());
        assert_eq!(read_vec(&vec![7; 10], 5, 5).unwrap(), [7; 5]);
    }

    proptest! {
        #[test]
        fn a_sparse_image_reads_as_the_whole_one(
            sizes in prop::collection::vec((0u64..20, 1usize..20), 0..12),
            offset in 0u64..300,
            length in 0usize..300,
        ) {
            let mut image = Sparse::new(600);
            let mut at = 0;
            for (gap, size) in sizes {
                image.push(at + gap, vec![(at + 1) as u8 | 1; size]);
                at += gap + size as u64;
            }
            let whole = image.to_vec();
            let expected = &whole[offset as usize..offset as usize + length];
            prop_assert_eq!(&read_vec(&image, offset, length as u64).unwrap(), expected);
            let window = Window::new(&image, offset, length as u64).unwrap();
            prop_assert_eq!(&read_vec(&window, 0, length as u64).unwrap(), expected);
            // All that is not zero lies in what next_data names, and nothing else does.
            let mut seen = vec![0; length];
            let mut from = 0;
            while let Some(range) = window.next_data(from).unwrap() {
                prop_assert!(from <= range.start && range.start < range.end);
                window.read_at(range.start, &mut seen[range.start as usize..range.end as usize]).unwrap();
                from = range.end;
            }
            prop_assert_eq!(&seen, expected);
        }
    }
}
