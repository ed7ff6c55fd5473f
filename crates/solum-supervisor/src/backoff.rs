//! How long what ended stays away before it is started again.

use std::ops::RangeInclusive;

use crate::terms::GOOD_RUN_MS;

/// Pauses that double, up to a limit, and are short again after a good run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    limits_ms: RangeInclusive<u64>,
    /// The last pause, if there was no good run since.
    pause_ms: u64,
}

impl Backoff {
    /// Pauses between these, in milliseconds.
    pub const fn new(limits_ms: RangeInclusive<u64>) -> Self {
        Self { limits_ms, pause_ms: 0 }
    }

    /// The next pause, in milliseconds: longer each time.
    pub fn next_pause_ms(&mut self) -> u64 {
        self.pause_ms = self.pause_ms.saturating_mul(2).clamp(*self.limits_ms.start(), *self.limits_ms.end());
        self.pause_ms
    }

    /// Whether a run of this length was a good one, which makes the next pause a short one.
    pub const fn ran_for(&mut self, ms: u64) -> bool {
        let is_good = ms >= GOOD_RUN_MS;
        if is_good {
            self.forget();
        }
        is_good
    }

    /// The next pause is a short one.
    pub const fn forget(&mut self) {
        self.pause_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_are_short_again_after_a_good_run() {
        let mut backoff = Backoff::new(100..=500);
        let mut pauses = |times: usize| (0..times).map(|_| backoff.next_pause_ms()).collect::<Vec<_>>();
        assert_eq!(pauses(5), [100, 200, 400, 500, 500]);
        assert!(!backoff.ran_for(GOOD_RUN_MS - 1));
        assert_eq!(backoff.next_pause_ms(), 500);
        assert!(backoff.ran_for(GOOD_RUN_MS));
        assert_eq!(backoff.next_pause_ms(), 100);
    }
}
