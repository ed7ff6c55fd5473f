//! The memory and the wake-ups of the real thing: a mapping, futexes and bells.

use crate::frame::Side;
use crate::mapping::OutOfBounds;
use crate::memory::{Memory, Word};
use crate::shared::Shared;
use rustix::thread::futex;
use std::os::fd::OwnedFd;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// A link's memory together with the bells that its holder may ring.
pub(crate) struct Native {
    pub(crate) memory: Memory,
    /// Of the client and of the server; who holds only one end rings only the other's.
    pub(crate) bells: [Option<OwnedFd>; 2],
}

impl Native {
    pub(crate) fn bell(&self, of: Side) -> Option<&OwnedFd> {
        self.bells[usize::from(of == Side::Server)].as_ref()
    }
}

impl Shared for Native {
    #[inline]
    fn load(&self, word: Word) -> u32 {
        self.memory.word(word).load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, word: Word, value: u32) {
        self.memory.word(word).store(value, Ordering::Release);
    }

    #[inline]
    fn swap(&self, word: Word, value: u32) -> u32 {
        self.memory.word(word).swap(value, Ordering::AcqRel)
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn read(&self, producer: Side, position: u32, into: &mut [u8]) -> Result<(), OutOfBounds> {
        self.memory.read(producer, position, into)
    }

    #[inline]
    fn write(&self, producer: Side, position: u32, from: &[u8]) -> Result<(), OutOfBounds> {
        self.memory.write(producer, position, from)
    }

    fn futex_wait(&self, word: Word, value: u32, timeout: Option<Duration>) {
        let timeout = timeout.map(|timeout| futex::Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        // Woken, interrupted, late or not asleep at all: the caller looks again in any case.
        let _ = futex::wait(self.memory.word(word), futex::Flags::empty(), value, timeout.as_ref());
    }

    fn futex_wake(&self, word: Word) {
        // One side is one process with one thread that waits. It can not fail at an address that is mapped.
        let _ = futex::wake(self.memory.word(word), futex::Flags::empty(), 1);
    }

    fn ring_bell(&self, of: Side) {
        if let Some(bell) = self.bell(of) {
            // The only failure is a counter that is full, and then the bell is readable already.
            let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
        }
    }
}
