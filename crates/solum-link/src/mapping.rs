//! A piece of memory that others see too, reached by checked offsets only.

use crate::copy::copy;
use rustix::mm::{self, MapFlags, ProtFlags};
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::{fmt, io};

/// An offset and a length that do not lie within the memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfBounds;

impl fmt::Display for OutOfBounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the range lies outside of the shared memory")
    }
}

impl std::error::Error for OutOfBounds {}

/// Mapped for as long as this lives.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to no thread, and it is reached by atomics and by `copy` alone, which suffer other writers.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the beginning of a file that can not shrink (the caller has seen its seals).
    pub(crate) fn of_file(file: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice takes nothing from anyone.
        let address = unsafe { mm::mmap(ptr::null_mut(), length, access, flags, file, 0)? };
        Self::at(address, length)
    }

    /// Memory of this process alone, filled with zeros.
    pub(crate) fn anonymous(length: usize) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: as above.
        let address = unsafe { mm::mmap_anonymous(ptr::null_mut(), length, access, flags)? };
        Self::at(address, length)
    }

    fn at(address: *mut std::ffi::c_void, length: usize) -> io::Result<Self> {
        let base = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// Copies bytes out.
    #[inline]
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.address(offset, into.len())?;
        // SAFETY: the range is within the mapping; `into` is ours alone, so they do not overlap.
        unsafe { copy(from, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies bytes in.
    #[inline]
    pub(crate) fn write(&self, offset: usize, from: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.address(offset, from.len())?;
        // SAFETY: the range is within the mapping; `from` is ordinary memory, so they do not overlap.
        unsafe { copy(from.as_ptr(), to, from.len()) };
        Ok(())
    }

    /// The address of a range, for a system call or a copy.
    #[inline]
    pub(crate) fn address(&self, offset: usize, length: usize) -> Result<*mut u8, OutOfBounds> {
        let end = offset.checked_add(length).ok_or(OutOfBounds)?;
        if end > self.length {
            return Err(OutOfBounds);
        }
        // SAFETY: `offset` is at most the mapping's length.
        Ok(unsafe { self.base.as_ptr().add(offset) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every reference into it has borrowed `self`. Nothing is left to do if it fails.
        let _ = unsafe { mm::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_reached() {
        let mapping = Mapping::anonymous(4096).unwrap();
        assert_eq!(mapping.write(4090, b"1234567"), Err(OutOfBounds));
        assert_eq!(mapping.read(usize::MAX, &mut [0; 2]), Err(OutOfBounds));
        assert!(mapping.address(4096, 1).is_err() && mapping.address(4096, 0).is_ok());
        mapping.write(4090, b"123456").unwrap();
        let mut back = [0; 6];
        mapping.read(4090, &mut back).unwrap();
        assert_eq!(&back, b"123456");
    }
}
