//! A machine's clocks against the time of the run.

/// The clocks of a machine: they may run fast or slow, and the wall clock may jump.
#[derive(Clone, Copy, Debug)]
pub struct MachineClock {
    /// A moment of the run, and what the monotonic clock said then.
    anchor_ns: u64,
    anchor_local_ns: u64,
    /// How many parts in a million it runs fast; slow, if negative.
    drift_ppm: i64,
    /// What the wall clock is ahead of the truth.
    step_ns: i64,
}

/// What the wall clock says when a run begins: 2026-01-01 00:00 UTC, in nanoseconds since 1970.
pub const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

impl MachineClock {
    /// Right clocks of a machine whose power comes at this moment: the monotonic one begins at 0.
    pub fn from_power_on(now_ns: u64) -> Self {
        Self { anchor_ns: now_ns, anchor_local_ns: 0, drift_ppm: 0, step_ns: 0 }
    }

    /// What the monotonic clock says.
    pub fn local_ns(&self, now_ns: u64) -> u64 {
        let passed_ns = now_ns.saturating_sub(self.anchor_ns);
        if self.drift_ppm == 0 {
            // Nearly always, and a division of 128 bits is dear.
            return self.anchor_local_ns.saturating_add(passed_ns);
        }
        let passed = i128::from(passed_ns);
        let drifted = passed * i128::from(1_000_000 + self.drift_ppm) / 1_000_000;
        self.anchor_local_ns.saturating_add(u64::try_from(drifted).unwrap_or(0))
    }

    /// The moment of the run at which the monotonic clock says this, or more.
    pub fn run_ns(&self, local_ns: u64) -> u64 {
        let ahead_ns = local_ns.saturating_sub(self.anchor_local_ns);
        if self.drift_ppm == 0 {
            return self.anchor_ns.saturating_add(ahead_ns);
        }
        let ahead = i128::from(ahead_ns);
        let rate = i128::from(1_000_000 + self.drift_ppm);
        let passed = (ahead * 1_000_000 + rate - 1) / rate;
        self.anchor_ns.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// What the wall clock says, since 1970.
    pub fn wall_ns(&self, now_ns: u64) -> u64 {
        let passed = now_ns as i128 - self.anchor_ns as i128;
        let drift = passed * i128::from(self.drift_ppm) / 1_000_000;
        let wall = i128::from(EPOCH_NS) + i128::from(now_ns) + drift + i128::from(self.step_ns);
        u64::try_from(wall).unwrap_or(0)
    }

    /// The wall clock jumps by so much.
    pub fn step(&mut self, by_ns: i64) {
        self.step_ns = self.step_ns.saturating_add(by_ns);
    }

    /// From now on it runs so many parts in a million fast.
    pub fn drift(&mut self, now_ns: u64, ppm: i64) {
        let local_ns = self.local_ns(now_ns);
        let wall_ns = self.wall_ns(now_ns);
        (self.anchor_ns, self.anchor_local_ns, self.drift_ppm) = (now_ns, local_ns, ppm);
        self.step_ns += (i128::from(wall_ns) - i128::from(self.wall_ns(now_ns))) as i64;
    }

    /// It is right from now on, as a time server would make it; the monotonic clock keeps what it said.
    pub fn set_right(&mut self, now_ns: u64) {
        self.drift(now_ns, 0);
        self.step_ns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_drifts_never_goes_back_and_its_moments_are_found_again() {
        let mut clock = MachineClock::from_power_on(5_000);
        assert_eq!((clock.local_ns(5_000), clock.wall_ns(5_000)), (0, EPOCH_NS + 5_000));
        for (at, ppm) in [(1_000_000, 200), (3_000_000, -400), (9_000_000, 0)] {
            let before = (clock.local_ns(at), clock.wall_ns(at));
            clock.drift(at, ppm);
            assert_eq!((clock.local_ns(at), clock.wall_ns(at)), before);
            for later in [at, at + 1, at + 777_777] {
                let local = clock.local_ns(later);
                let found = clock.run_ns(local);
                assert!(found <= later && clock.local_ns(found) >= local, "{later} {found}");
            }
        }
        clock.step(-7);
        clock.set_right(10_000_000);
        assert_eq!(clock.wall_ns(10_000_000), EPOCH_NS + 10_000_000);
    }
}
