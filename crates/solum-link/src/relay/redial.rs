//! When to connect again.

use std::time::{Duration, Instant};

/// After the first failure.
pub const FIRST_DELAY: Duration = Duration::from_millis(100);
/// However often it failed.
pub const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// Delays that double, up to a cap.
#[derive(Debug)]
pub(super) struct Redial {
    delay: Duration,
    at: Option<Instant>,
    up_since: Option<Instant>,
}

impl Redial {
    /// Begins at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { delay: FIRST_DELAY, at: Some(now), up_since: None }
    }

    /// When to try; nothing while one tries or is connected.
    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// One tries.
    pub(super) fn trying(&mut self) {
        self.at = None;
    }

    /// One is connected.
    pub(super) fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// One is connected no more, or was not.
    pub(super) fn failed(&mut self, now: Instant) {
        // A connection that lasts a moment only is a failure like others.
        if self.up_since.take().is_some_and(|since| now.saturating_duration_since(since) >= LONGEST_DELAY) {
            self.delay = FIRST_DELAY;
        }
        self.at = Some(now + self.delay);
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_begin_anew_after_a_connection_that_lasted() {
        let mut now = Instant::now();
        let mut redial = Redial::new(now);
        assert_eq!(redial.at(), Some(now));
        let mut delays = Vec::new();
        for lasted in [0, 0, 0, 0, 0, 0, 1, 2] {
            redial.trying();
            assert_eq!(redial.at(), None);
            if lasted > 0 {
                redial.up(now);
                now += Duration::from_secs(lasted);
            }
            redial.failed(now);
            delays.push((redial.at().unwrap() - now).as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 2000, 2000, 100]);
    }
}
