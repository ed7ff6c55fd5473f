//! The pool of a link: bulk data that both sides read and write in place.

use crate::frame::Range;
use crate::mapping::Mapping;
pub use crate::mapping::OutOfBounds;
use crate::memory::PAGE;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::{fmt, io};

/// What parts smaller than a page are rounded to: a cache line, so that two of them never share one.
const LINE: u32 = 64;

/// Memory that both ends of a link see. The client gives parts of it away and takes them back.
///
/// The peer may write to it at any moment. So nobody gets a reference into it: bytes are copied, or the kernel reads and
/// writes them.
pub struct Pool {
    mapping: Arc<Mapping>,
    at: usize,
    parts: RefCell<Parts>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(mapping: Arc<Mapping>, at: usize, bytes: u32) -> Self {
        Self { mapping, at, parts: RefCell::new(Parts::new(bytes)) }
    }

    /// The two ends of a pool without a link, for a client and a server in one process.
    pub fn pair(bytes: u32) -> io::Result<(Self, Self)> {
        let bytes = bytes.checked_next_multiple_of(PAGE).ok_or(io::ErrorKind::InvalidInput)?.max(PAGE);
        let mapping = Arc::new(Mapping::anonymous(bytes as usize)?);
        Ok((Self::new(Arc::clone(&mapping), 0, bytes), Self::new(mapping, 0, bytes)))
    }

    /// The same memory for a successor, who has set nothing of it aside.
    #[must_use]
    pub fn opened_again(&self) -> Self {
        Self::new(Arc::clone(&self.mapping), self.at, self.bytes())
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.parts.borrow().bytes
    }

    /// Sets a part aside, if there is room for it; of a page or more, on a page's beginning. Only the client may.
    #[must_use]
    pub fn allocate(&self, length: u32) -> Option<Range> {
        self.parts.borrow_mut().allocate(length)
    }

    /// Gives back what [`Self::allocate`] gave. False if it did not.
    pub fn free(&self, range: Range) -> bool {
        self.parts.borrow_mut().free(range)
    }

    /// Whether the range lies within.
    #[must_use]
    pub fn contains(&self, range: Range) -> bool {
        range.offset.checked_add(range.length).is_some_and(|end| end <= self.bytes())
    }

    /// A part of the pool, to work with.
    pub fn part(&self, range: Range) -> Result<Part<'_>, OutOfBounds> {
        if !self.contains(range) {
            return Err(OutOfBounds);
        }
        Ok(Part {
            mapping: &self.mapping,
            at: self.at + range.offset as usize,
            length: range.length as usize,
        })
    }

    /// Copies into the beginning of a range.
    pub fn copy_in(&self, range: Range, from: &[u8]) -> Result<(), OutOfBounds> {
        self.part(range)?.write(0, from)
    }

    /// Copies from the beginning of a range.
    pub fn copy_out(&self, range: Range, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.part(range)?.read(0, into)
    }
}

/// A part of a pool: a piece of memory that exists, and that may change at any moment.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    mapping: &'a Mapping,
    at: usize,
    length: usize,
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Part").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Part<'_> {
    /// Its size.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A part of this part.
    pub fn part(&self, offset: usize, length: usize) -> Result<Self, OutOfBounds> {
        self.check(offset, length)?;
        Ok(Self { mapping: self.mapping, at: self.at + offset, length })
    }

    /// Copies out.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.check(offset, into.len())?;
        self.mapping.read(self.at + offset, into)
    }

    /// Copies in.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        self.check(offset, from.len())?;
        self.mapping.write(self.at + offset, from)
    }

    /// Where it lies in memory, for a system call of one's own. Dereferencing it is as unsafe as it looks.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        // A part was checked when it was made; without bytes its address is of no consequence.
        self.mapping.address(self.at, self.length).unwrap_or(std::ptr::null_mut())
    }

    /// Lets the kernel read a file into it; how many bytes that were.
    pub fn read_from(&self, file: BorrowedFd<'_>, offset: u64) -> io::Result<usize> {
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel writes at most `length` bytes to memory that is mapped while `self` is borrowed, and no
        // reference to it exists.
        let count = unsafe { libc::pread(file.as_raw_fd(), self.as_ptr().cast(), self.length, offset) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Lets the kernel write it to a file; how many bytes that were.
    pub fn write_to(&self, file: BorrowedFd<'_>, offset: u64) -> io::Result<usize> {
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel reads at most `length` bytes of memory that is mapped while `self` is borrowed.
        let count = unsafe { libc::pwrite(file.as_raw_fd(), self.as_ptr().cast(), self.length, offset) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn check(&self, offset: usize, length: usize) -> Result<(), OutOfBounds> {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.length);
        if fits { Ok(()) } else { Err(OutOfBounds) }
    }
}

/// Which parts are free and which are given away. Kept in memory of this process, where no peer can reach it.
#[derive(Debug)]
struct Parts {
    bytes: u32,
    /// Offset and length; no two are adjacent.
    free: BTreeMap<u32, u32>,
    /// Offset, length asked for.
    taken: BTreeMap<u32, u32>,
}

impl Parts {
    fn new(bytes: u32) -> Self {
        let free = (bytes > 0).then_some((0, bytes)).into_iter().collect();
        Self { bytes, free, taken: BTreeMap::new() }
    }

    fn granularity(length: u32) -> u32 {
        if length >= PAGE { PAGE } else { LINE }
    }

    /// First fit: parts are few and live as long as a call.
    fn allocate(&mut self, length: u32) -> Option<Range> {
        let unit = Self::granularity(length);
        let size = length.max(1).checked_next_multiple_of(unit)?;
        let (hole, space, offset) = self.free.iter().find_map(|(hole, space)| {
            let offset = hole.checked_next_multiple_of(unit)?;
            (offset.checked_add(size)? <= hole + space).then_some((*hole, *space, offset))
        })?;
        self.free.remove(&hole);
        if offset > hole {
            self.free.insert(hole, offset - hole);
        }
        if offset + size < hole + space {
            self.free.insert(offset + size, hole + space - offset - size);
        }
        self.taken.insert(offset, length);
        Some(Range { offset, length })
    }

    fn free(&mut self, range: Range) -> bool {
        if self.taken.get(&range.offset) != Some(&range.length) {
            return false;
        }
        self.taken.remove(&range.offset);
        let mut offset = range.offset;
        let mut size = range.length.max(1).next_multiple_of(Self::granularity(range.length));
        if let Some(space) = self.free.remove(&(offset + size)) {
            size += space;
        }
        if let Some((hole, space)) =
            self.free.range(..offset).next_back().map(|(hole, space)| (*hole, *space))
            && hole + space == offset
        {
            self.free.remove(&hole);
            (offset, size) = (hole, size + space);
        }
        self.free.insert(offset, size);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap_and_come_back_whole() {
        let (pool, _) = Pool::pair(64 << 10).unwrap();
        let mut taken: Vec<Range> = Vec::new();
        let mut seed = 1_u32;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if seed & 1 == 0 || taken.is_empty() {
                let Some(new) = pool.allocate(seed >> 18) else { continue };
                assert!(pool.contains(new));
                assert!(taken.iter().all(|old| {
                    new.offset + new.length <= old.offset || old.offset + old.length <= new.offset
                }));
                taken.push(new);
            } else {
                let old = taken.swap_remove(seed as usize / 2 % taken.len());
                assert!(pool.free(old) && !pool.free(old));
            }
        }
        for range in taken {
            assert!(pool.free(range));
        }
        assert_eq!(pool.allocate(64 << 10), Some(Range { offset: 0, length: 64 << 10 }));
        assert_eq!(pool.allocate(1), None);
    }

    #[test]
    fn parts_of_a_page_begin_on_a_page() {
        let (pool, _) = Pool::pair(64 << 10).unwrap();
        assert_eq!(pool.allocate(1).map(|range| range.offset), Some(0));
        assert_eq!(pool.allocate(4096).map(|range| range.offset), Some(4096));
        assert_eq!(pool.allocate(65).map(|range| range.offset), Some(64));
        assert_eq!(pool.allocate(u32::MAX), None);
    }

    #[test]
    fn a_range_outside_of_the_pool_is_refused() {
        let (client, server) = Pool::pair(4096).unwrap();
        for range in [
            Range { offset: 0, length: 4097 },
            Range { offset: 4096, length: 1 },
            Range { offset: u32::MAX, length: 2 },
        ] {
            assert!(!server.contains(range));
            assert_eq!(server.copy_out(range, &mut []).unwrap_err(), OutOfBounds);
        }
        let range = client.allocate(10).unwrap();
        assert_eq!(server.copy_in(range, &[0; 11]), Err(OutOfBounds));
        assert!(server.part(range).unwrap().part(8, 3).is_err());
    }

    #[test]
    fn what_one_side_writes_the_other_and_the_kernel_read() {
        let (client, server) = Pool::pair(4096).unwrap();
        let range = client.allocate(100).unwrap();
        client.copy_in(range, b"bulk data").unwrap();
        let mut back = [0; 9];
        server.copy_out(range, &mut back).unwrap();
        assert_eq!(&back, b"bulk data");
        let file = rustix::fs::memfd_create("pool-test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        use std::os::fd::AsFd;
        assert_eq!(server.part(range).unwrap().write_to(file.as_fd(), 7).unwrap(), 100);
        client.copy_in(range, &[0; 9]).unwrap();
        assert_eq!(server.part(range).unwrap().part(0, 4).unwrap().read_from(file.as_fd(), 12).unwrap(), 4);
        let mut back = [0; 5];
        client.copy_out(range, &mut back).unwrap();
        assert_eq!(&back, b"data\0");
    }
}
