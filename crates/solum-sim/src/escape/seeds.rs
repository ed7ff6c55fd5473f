//! Random seeds of hash maps.
//!
//! The standard library fetches random bytes for the first hash map of a thread alone, and adds one for each further map.
//! So only the first could be noticed by its system call. The number itself tells of each: whoever makes a map before
//! and after somebody else ran sees how many were made in between.

use std::cell::Cell;
use std::hash::RandomState;

/// The two numbers that a hash map's seed consists of, in whatever order.
type Seed = [u64; 2];

thread_local! {
    /// The seed of the map that this module made last.
    static LAST: Cell<Option<Seed>> = const { Cell::new(None) };
    /// This module makes a map, which is perhaps the thread's first.
    static IS_MAKING: Cell<bool> = const { Cell::new(false) };
}

/// From here on maps are counted.
pub(super) fn begin() {
    LAST.set(seed());
}

/// How many were made since it began.
pub(super) fn made() -> u64 {
    match (LAST.get(), seed()) {
        (Some(before), Some(now)) => between(before, now),
        _ => 0,
    }
}

/// Whether randomness is wanted for this module. It then gets the same each time: so hash maps on a thread on which
/// nobody made one before have the same order in each run.
pub(super) fn is_making() -> bool {
    IS_MAKING.try_with(Cell::get).unwrap_or(false)
}

/// The seed that the next map would have had. This one takes it.
fn seed() -> Option<Seed> {
    let state = if LAST.get().is_some() {
        // Not the thread's first.
        RandomState::new()
    } else {
        IS_MAKING.set(true);
        let state = RandomState::new();
        IS_MAKING.set(false);
        state
    };
    if size_of::<RandomState>() != size_of::<Seed>() {
        // Another standard library: then this net has a hole, which the tests show.
        return None;
    }
    // SAFETY: the sizes are the same, so that two u64 in a RandomState (that is what its `new` puts there, and
    // debuggers' scripts rely upon) are all of it, without padding; each content is a valid u64.
    Some(unsafe { std::mem::transmute_copy::<RandomState, Seed>(&state) })
}

/// How many were made between two that this module made. One number counts, the other one stays.
fn between(before: Seed, now: Seed) -> u64 {
    let [a, b] = [now[0].wrapping_sub(before[0]), now[1].wrapping_sub(before[1])];
    match (a, b) {
        (0, count) | (count, 0) => count.saturating_sub(1),
        // Nothing that is known here.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_numbers_counts() {
        assert_eq!(between([7, 9], [8, 9]), 0);
        assert_eq!(between([7, 9], [11, 9]), 3);
        assert_eq!(between([u64::MAX, 9], [2, 9]), 2);
        assert_eq!(between([7, 9], [7, 12]), 2);
        assert_eq!(between([7, 9], [8, 10]), 0);
    }
}
