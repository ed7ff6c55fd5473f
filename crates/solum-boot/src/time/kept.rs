//! What is kept of the clock for the machine's next life: decisions, without I/O.
//!
//! A machine whose hardware has no clock knows after a power cut only what was kept, and that must not be earlier than any
//! moment it ever showed. To write each moment is not possible, so time is reserved, as Lamport's clocks and hybrid logical
//! clocks are made to last: what is kept lies ahead of the clock, and is renewed before the clock gets there. An orderly end
//! gives the rest back. The price is that a power cut makes the clock go ahead by what was left, a minute at most. It would
//! add up over many cuts, so a young machine reserves little: one that is cut again and again goes twice as fast at worst, or
//! ahead by [`AHEAD_MIN_S`] for each start, and waits for a time server to know better.
//!
//! A hardware's clock runs on by itself, so that it need not be reserved for. But the machine's can be ahead of it: it drifts,
//! and nobody may be allowed to set the other. So what is kept says by how much, and the machine goes on as far ahead.

use std::time::Duration;

/// What is reserved at most. systemd-timesyncd writes as often by default (timesyncd.conf(5), `SaveIntervalSec=`): it is a block
/// of the file and, on ext4, three of the journal, less than 30 MB a day.
pub const AHEAD_MAX_S: u64 = 60;
/// What is reserved at least, so that nothing is written every moment.
const AHEAD_MIN_S: u64 = 10;

/// A moment, and how far beyond it the clock may have gone since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    moment_s: u64,
    ahead_s: u64,
    /// By how much the moment was ahead of the hardware's clock, if there was one.
    before_hardware_s: Option<u64>,
}

impl Kept {
    /// A reservation for a machine that has been up for so long, at the moment `now_s` in seconds since 1970, at which the
    /// hardware's clock says `hardware_s`.
    pub fn running(now_s: u64, hardware_s: Option<u64>, up: Duration) -> Self {
        let ahead_s = up.as_secs().clamp(AHEAD_MIN_S, AHEAD_MAX_S);
        // Both count whole seconds: one between them is none, or each life would add it.
        let before = |hardware_s| Some(now_s.saturating_sub(hardware_s)).filter(|before_s| *before_s > 1);
        let before_hardware_s = hardware_s.map(|hardware_s| before(hardware_s).unwrap_or(0));
        Self { moment_s: now_s, ahead_s, before_hardware_s }
    }

    /// What is kept at an orderly end: the second that has begun.
    pub fn ended(now_s: u64, hardware_s: Option<u64>) -> Self {
        Self { ahead_s: 1, ..Self::running(now_s, hardware_s, Duration::ZERO) }
    }

    /// When to make the next reservation: early enough that a slow disk has it in time.
    pub fn renewed_after(self) -> Duration {
        Duration::from_secs(self.ahead_s * 4 / 5)
    }

    /// The moment from which a machine goes on whose clock says `now_s`; `is_hardware` says that this is the hardware's, which
    /// went on by itself.
    pub fn resumed_s(self, now_s: u64, is_hardware: bool) -> u64 {
        let as_before =
            self.before_hardware_s.filter(|_| is_hardware).map(|before| now_s.saturating_add(before));
        // Else its battery was empty, or somebody set it.
        let as_before = as_before.filter(|moment_s| *moment_s >= self.moment_s);
        let reserved_s = self.moment_s.saturating_add(self.ahead_s);
        match as_before {
            // The second that has begun at the end is not shown again.
            Some(moment_s) if self.ahead_s < AHEAD_MIN_S => moment_s.max(reserved_s),
            Some(moment_s) => moment_s,
            None => now_s.max(reserved_s),
        }
    }

    /// As it stands in the file. It is always of the same length (until 2286), so that one can be written over the other.
    pub fn to_text(self) -> String {
        let Self { moment_s, ahead_s, before_hardware_s } = self;
        match before_hardware_s {
            Some(before_s) => format!("{moment_s} {ahead_s:02} {before_s:010}\n"),
            None => format!("{moment_s} {ahead_s:02} {:10}\n", "-"),
        }
    }

    /// Reads what [`to_text`](Self::to_text) wrote, or the first one or two numbers of it. Nothing if it is damaged.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let moment_s = words.next()?.parse().ok()?;
        let ahead_s = words.next().unwrap_or("0").parse().ok().filter(|ahead| *ahead <= AHEAD_MAX_S)?;
        let before_hardware_s = match words.next() {
            None | Some("-") => None,
            Some(before) => Some(before.parse().ok()?),
        };
        words.next().is_none().then_some(Self { moment_s, ahead_s, before_hardware_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_S: f64 = 1_800_000_000.0;
    /// What a disk may take to write it.
    const SLOW_S: f64 = 0.9;

    /// Lives for so many seconds from `start` on, on a slow disk; gives what is kept when the power fails then.
    fn life(start: f64, lasts: f64) -> Kept {
        let mut kept = Kept::running(start as u64, None, Duration::ZERO);
        let mut made = 0.0;
        loop {
            let next = made + kept.renewed_after().as_secs_f64();
            if next + SLOW_S > lasts {
                return kept;
            }
            kept = Kept::running((start + next) as u64, None, Duration::from_secs_f64(next));
            made = next;
        }
    }

    #[test]
    fn a_power_cut_at_any_moment_makes_no_past_and_little_future() {
        for start in [START_S, START_S + 0.999] {
            for tenths in 0..6000 {
                let lasted = f64::from(tenths) / 10.0;
                let resumed = life(start, lasted).resumed_s(0, false) as f64;
                assert!(resumed >= start + lasted, "{lasted} s: {resumed}");
                let ahead = resumed - (start + lasted);
                assert!(ahead <= lasted.clamp(10.0, 60.0), "{lasted} s: {ahead}");
            }
        }
    }

    #[test]
    fn many_power_cuts_do_not_add_up_to_much() {
        for lasts in [0.0, 3.0, 30.0, 300.0] {
            let cut = |start: f64, _| life(start, lasts).resumed_s(0, false) as f64;
            let ahead = (0..100).fold(START_S, cut) - START_S - 100.0 * lasts;
            assert!((0.0..=100.0 * lasts.clamp(10.0, 60.0)).contains(&ahead), "{lasts} s: {ahead}");
        }
    }

    #[test]
    fn an_orderly_end_keeps_the_moment_itself() {
        let now_s = START_S as u64;
        // Whatever fraction of the second had passed.
        assert_eq!(Kept::ended(now_s, None).resumed_s(0, false), now_s + 1);
        assert_eq!(Kept::ended(now_s, Some(now_s)).resumed_s(now_s + 5, true), now_s + 5);
        assert_eq!(Kept::ended(now_s, Some(now_s)).resumed_s(now_s, true), now_s + 1);
    }

    #[test]
    fn a_clock_that_went_on_by_itself_is_believed() {
        let hour = Duration::from_secs(3600);
        for (hardware_s, now_s, is_hardware, expected) in [
            (Some(1000), 1000, true, 1000),
            (Some(1000), 1030, true, 1030),
            (Some(1000), 9000, true, 9000),
            (Some(1003), 1005, true, 1005),
            (Some(999), 1005, true, 1005),
            // Its battery was empty.
            (Some(1000), 999, true, 1060),
            // It is only what no moment is earlier than.
            (Some(1000), 1030, false, 1060),
            // It was behind, and still is: what was shown at the cut was 1030 at least.
            (Some(900), 930, true, 1030),
            (Some(900), 5000, true, 5100),
            // There is one now, of which nothing is known.
            (None, 1030, true, 1060),
            (None, 2000, true, 2000),
        ] {
            let kept = Kept::running(1000, hardware_s, hour);
            assert_eq!(kept.resumed_s(now_s, is_hardware), expected, "{hardware_s:?} {now_s}");
        }
    }

    #[test]
    fn a_machine_that_is_ahead_of_its_hardware_makes_no_past_either() {
        for before_s in [0, 2, 30, 7200] {
            for (ran_s, off_s) in [(0, 0), (40, 5), (59, 0), (59, 1000)] {
                let kept = Kept::running(10_000, Some(10_000 - before_s), Duration::from_secs(100));
                let resumed_s = kept.resumed_s(10_000 - before_s + ran_s + off_s, true);
                assert_eq!(resumed_s, 10_000 + ran_s + off_s, "{before_s} {ran_s} {off_s}");
            }
        }
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let start_s = START_S as u64;
        let long = Duration::from_secs(100);
        for kept in [
            Kept::ended(start_s, None),
            Kept::running(start_s, None, long),
            Kept::running(start_s, Some(start_s + 9), long),
            Kept::running(start_s, Some(1), long),
        ] {
            assert_eq!(Kept::from_text(&kept.to_text()), Some(kept));
            assert_eq!(kept.to_text().len(), "1800000000 01 0000000000\n".len());
        }
        for (text, ahead_s) in [("1800000000\n", 0), ("1800000000 12\n", 12)] {
            let kept = Kept { moment_s: start_s, ahead_s, before_hardware_s: None };
            assert_eq!(Kept::from_text(text), Some(kept));
        }
        for damaged in
            ["", "soon", "1800000000 61", "1800000000 -1", "1800000000 1 x", "1800000000 1 1 1", "\0\0\0"]
        {
            assert_eq!(Kept::from_text(damaged), None, "{damaged:?}");
        }
    }
}
