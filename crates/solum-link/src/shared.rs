//! What rings and wake-ups need of the memory and the kernel: the seam at which a model checker takes their place.

use crate::frame::Side;
use crate::mapping::OutOfBounds;
use crate::memory::Word;
use std::time::Duration;

/// The memory of a link and the means to wake.
pub(crate) trait Shared {
    /// Reads a word; what was written before it was stored is seen afterwards.
    fn load(&self, word: Word) -> u32;
    /// Writes a word after everything that was written before.
    fn store(&self, word: Word, value: u32);
    /// Writes a word and says what it was.
    fn swap(&self, word: Word, value: u32) -> u32;
    /// No access moves across it, in either direction, for anyone.
    fn fence(&self);
    /// Copies out of a ring.
    fn read(&self, producer: Side, position: u32, into: &mut [u8]) -> Result<(), OutOfBounds>;
    /// Copies into a ring.
    fn write(&self, producer: Side, position: u32, from: &[u8]) -> Result<(), OutOfBounds>;
    /// Sleeps for as long as the word has this value, or until the time is over, or for no reason.
    fn futex_wait(&self, word: Word, value: u32, timeout: Option<Duration>);
    /// Wakes who sleeps on a word.
    fn futex_wake(&self, word: Word);
    /// Makes the bell of a side readable.
    fn ring_bell(&self, of: Side);
}
