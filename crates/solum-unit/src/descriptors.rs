//! Which descriptor gets which number in the new process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::fcntl_dupfd_cloexec;

/// Descriptors, in the order of their numbers from the first one on.
#[derive(Default)]
pub struct Numbered<'a> {
    sources: Vec<BorrowedFd<'a>>,
}

impl<'a> Numbered<'a> {
    /// The number that this descriptor will have.
    pub fn add(&mut self, first: RawFd, source: BorrowedFd<'a>) -> RawFd {
        self.sources.push(source);
        // As many descriptors as a process can have fit into a number.
        first + self.sources.len() as RawFd - 1
    }

    /// Copies out of the way of their numbers-to-be, so that no step of the renumbering closes a source of a later one.
    /// `leader` gets the number `first`, the others those after it.
    pub fn lift_with(&self, first: RawFd, leader: BorrowedFd<'_>) -> io::Result<Lifted> {
        let above = first + 1 + self.sources.len() as RawFd;
        let copies = std::iter::once(&leader)
            .chain(&self.sources)
            .map(|source| fcntl_dupfd_cloexec(source, above))
            .collect::<Result<Vec<OwnedFd>, _>>()?;
        Ok(Lifted { first, copies })
    }
}

/// Descriptors on their way to another process.
pub struct Lifted {
    first: RawFd,
    copies: Vec<OwnedFd>,
}

impl Lifted {
    /// Gives each its number, and keeps it over exec. To be called in the child: system calls only.
    pub fn land(&self) -> io::Result<()> {
        for (number, copy) in (self.first..).zip(&self.copies) {
            // SAFETY: dup2(2) takes two integers and touches no memory. Nothing in the child owns the target's number.
            if unsafe { libc::dup2(copy.as_raw_fd(), number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// The first number after the last one that was given.
    pub fn end(&self) -> RawFd {
        self.first + self.copies.len() as RawFd
    }
}
