//! What is kept of the clock for the machine's next life: decisions, without I/O.
//!
//! A machine whose hardware has no clock knows after a power cut only what was kept, and that must not be earlier than any
//! moment it ever showed. To write each moment is not possible, so time is reserved, as Lamport's clocks and hybrid logical
//! clocks are made to last: what is kept lies ahead of the clock, and is renewed before the clock gets there. An orderly end
//! gives the rest back. The price is that a power cut makes the clock go ahead by what was left, a minute at most. It would
//! add up over many cuts, so a young machine reserves little: one that is cut again and again goes twice as fast at worst, or
//! ahead by [`AHEAD_MIN_S`] for each start, and waits for a time server to know better.
//!
//! A hardware's clock runs on by itself. That it is past the moment at which the reservation was made shows that it did;
//! then it is believed, and the reservation is not needed.

use std::time::Duration;

/// What is reserved at most. systemd-timesyncd writes as often by default (timesyncd.conf(5), `SaveIntervalSec=`): it is one
/// block of a disk, 6 MB a day, where the file is written in place.
pub const AHEAD_MAX_S: u64 = 60;
/// What is reserved at least, so that nothing is written every moment.
const AHEAD_MIN_S: u64 = 10;

/// A moment, and how far beyond it the clock may have gone since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    moment_s: u64,
    ahead_s: u64,
}

impl Kept {
    /// A reservation for a machine that has been up for so long, at the moment `now_s` in seconds since 1970.
    pub fn running(now_s: u64, up: Duration) -> Self {
        Self { moment_s: now_s, ahead_s: up.as_secs().clamp(AHEAD_MIN_S, AHEAD_MAX_S) }
    }

    /// What is kept at an orderly end: the second that has begun.
    pub fn ended(now_s: u64) -> Self {
        Self { moment_s: now_s, ahead_s: 1 }
    }

    /// When to make the next reservation: early enough that a slow disk has it in time.
    pub fn renewed_after(self) -> Duration {
        Duration::from_secs(self.ahead_s * 4 / 5)
    }

    /// The moment from which a machine goes on; `is_hardware` says that its clock, which says `now_s`, went on by itself.
    pub fn resumed_s(self, now_s: u64, is_hardware: bool) -> u64 {
        if is_hardware && now_s >= self.moment_s { now_s } else { self.moment_s.saturating_add(self.ahead_s) }
    }

    /// As it stands in the file. It is always of the same length (until 2286), so that one can be written over the other.
    pub fn to_text(self) -> String {
        format!("{} {:02}\n", self.moment_s, self.ahead_s)
    }

    /// Reads what [`to_text`](Self::to_text) wrote, or a moment alone. Nothing if it is damaged.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let (moment, ahead) = text.split_once(' ').unwrap_or((text, "0"));
        let kept = Self { moment_s: moment.parse().ok()?, ahead_s: ahead.parse().ok()? };
        (kept.ahead_s <= AHEAD_MAX_S).then_some(kept)
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
        let mut kept = Kept::running(start as u64, Duration::ZERO);
        let mut made = 0.0;
        loop {
            let next = made + kept.renewed_after().as_secs_f64();
            if next + SLOW_S > lasts {
                return kept;
            }
            kept = Kept::running((start + next) as u64, Duration::from_secs_f64(next));
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
        assert_eq!(Kept::ended(now_s).resumed_s(0, false), now_s + 1);
        assert_eq!(Kept::ended(now_s).resumed_s(now_s + 5, true), now_s + 5);
    }

    #[test]
    fn a_clock_that_went_on_by_itself_is_believed() {
        let kept = Kept::running(1000, Duration::from_secs(3600));
        for (now_s, is_hardware, expected) in [
            (1000, true, 1000),
            (1030, true, 1030),
            (9000, true, 9000),
            // Its battery was empty.
            (999, true, 1060),
            // It is only what no moment is earlier than.
            (1030, false, 1060),
        ] {
            assert_eq!(kept.resumed_s(now_s, is_hardware), expected, "{now_s}");
        }
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let start_s = START_S as u64;
        for kept in [Kept::ended(start_s), Kept::running(start_s, Duration::from_secs(100))] {
            assert_eq!(Kept::from_text(&kept.to_text()), Some(kept));
            assert_eq!(kept.to_text().len(), "1800000000 01\n".len());
        }
        let alone = Kept { moment_s: start_s, ahead_s: 0 };
        assert_eq!(Kept::from_text("1800000000\n"), Some(alone));
        for damaged in ["", "soon", "1800000000 61", "1800000000 -1", "1800000000 1 1", "\0\0\0"] {
            assert_eq!(Kept::from_text(damaged), None, "{damaged:?}");
        }
    }
}
