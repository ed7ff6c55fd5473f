//! How long a waiter spins before it sleeps: as long as that has paid lately.

use std::time::{Duration, Instant};

/// Longer than a peer needs that is awake and answers; a sleep and a wake-up cost a tenth of it.
const LONGEST: Duration = Duration::from_micros(50);
const SHORTEST: Duration = Duration::from_micros(1);

/// Turns without a pause, in which an answer that is on its way arrives; a pause would delay noticing it.
const EAGER_TURNS: u32 = 64;
/// The clock is looked at once in so many turns.
const TURNS_A_LOOK: u32 = 32;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    most: Duration,
    now: Duration,
}

impl Spin {
    pub(crate) fn at_most(most: Duration) -> Self {
        Self { most, now: most }
    }

    /// On one processor the peer can only run while we do not.
    pub(crate) fn for_processors(count: u32) -> Self {
        Self::at_most(if count > 1 { LONGEST } else { Duration::ZERO })
    }

    pub(crate) fn succeeded(&mut self) {
        self.now = (self.now * 2).min(self.most);
    }

    pub(crate) fn failed(&mut self) {
        self.now = (self.now / 2).max(SHORTEST).min(self.most);
    }

    /// A short sleep would have been spared by spinning longer.
    pub(crate) fn slept(&mut self, duration: Duration) {
        if duration < self.most {
            self.succeeded();
        }
    }

    pub(crate) fn begin(&self) -> Turn {
        Turn { limit: self.now, begin: None, turns: 0 }
    }
}

/// One attempt.
pub(crate) struct Turn {
    limit: Duration,
    begin: Option<Instant>,
    turns: u32,
}

impl Turn {
    #[inline]
    pub(crate) fn goes_on(&mut self) -> bool {
        if self.limit.is_zero() {
            return false;
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns > EAGER_TURNS {
            std::hint::spin_loop();
        }
        if !self.turns.is_multiple_of(TURNS_A_LOOK) {
            return true;
        }
        self.begin.get_or_insert_with(Instant::now).elapsed() < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spinning_in_vain_becomes_short_and_short_sleeps_make_it_long_again() {
        let mut spin = Spin::for_processors(2);
        for _ in 0..20 {
            spin.failed();
        }
        assert_eq!(spin.now, SHORTEST);
        spin.slept(Duration::from_secs(1));
        assert_eq!(spin.now, SHORTEST);
        for _ in 0..20 {
            spin.slept(Duration::from_micros(5));
        }
        assert_eq!(spin.now, LONGEST);
    }

    #[test]
    fn one_processor_never_spins() {
        let mut spin = Spin::for_processors(1);
        spin.failed();
        spin.succeeded();
        assert!(!spin.begin().goes_on());
    }
}
