//! When a frame is shown, and when its unit is told. Decisions only.

use std::time::Duration;

/// The frames that a unit draws in turn.
const FRAMES: u8 = 2;

/// What happens to a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The unit wants this frame to be shown.
    Presented(u8),
    /// The frame that was given to the display can be seen.
    Shown,
    /// Time passed.
    TimePassed,
    /// The unit is gone.
    Left,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The display shall show this frame.
    Show(u8),
    /// The unit is told that this frame can be seen.
    Answer(u8),
    /// The unit does not keep to what was agreed, and has no screen any more.
    Refuse,
}

/// One screen: a frame at a time, and not more often than it can be refreshed.
#[derive(Clone, Debug)]
pub struct Refresh {
    interval: Duration,
    /// The first moment at which the next frame may be shown.
    next: Duration,
    waiting: Option<u8>,
    /// What the display is about to show, and whether the unit that wants to know it is still there.
    showing: Option<(u8, bool)>,
}

impl Refresh {
    /// Shows frames at least this long apart.
    pub fn new(interval: Duration) -> Self {
        Self { interval, next: Duration::ZERO, waiting: None, showing: None }
    }

    /// What is to be done, now that this happened.
    pub fn step(&mut self, now: Duration, event: Event) -> Option<Effect> {
        match event {
            Event::Presented(frame) => {
                let is_owed = self.waiting.is_some() || matches!(self.showing, Some((_, true)));
                if frame >= FRAMES || is_owed {
                    self.leave();
                    return Some(Effect::Refuse);
                }
                self.waiting = Some(frame);
                self.due(now)
            }
            Event::Shown => match self.showing.take() {
                Some((frame, true)) => Some(Effect::Answer(frame)),
                _ => None,
            },
            Event::TimePassed => self.due(now),
            Event::Left => {
                self.leave();
                None
            }
        }
    }

    /// When time that passed makes a difference.
    pub fn deadline(&self) -> Option<Duration> {
        (self.waiting.is_some() && self.showing.is_none()).then_some(self.next)
    }

    fn leave(&mut self) {
        self.waiting = None;
        if let Some((_, is_owed)) = &mut self.showing {
            *is_owed = false;
        }
    }

    fn due(&mut self, now: Duration) -> Option<Effect> {
        if self.showing.is_some() || now < self.next {
            return None;
        }
        let frame = self.waiting.take()?;
        self.showing = Some((frame, true));
        // A loop that wakes up a little late keeps its rate; one that paused does not catch up.
        let is_late = now.saturating_sub(self.next) >= self.interval;
        self.next = if is_late { now } else { self.next } + self.interval;
        Some(Effect::Show(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A screen that has just shown frame 0 at 100 ms.
    fn after_one() -> Refresh {
        let mut refresh = Refresh::new(INTERVAL);
        assert_eq!(refresh.step(at(100), Event::Presented(0)), Some(Effect::Show(0)));
        assert_eq!(refresh.step(at(100), Event::Shown), Some(Effect::Answer(0)));
        refresh
    }

    #[test]
    fn the_first_frame_is_shown_at_once() {
        assert_eq!(after_one().deadline(), None);
    }

    #[test]
    fn the_next_frame_waits_for_the_refresh() {
        let mut refresh = after_one();
        assert_eq!(refresh.step(at(101), Event::Presented(1)), None);
        assert_eq!(refresh.deadline(), Some(at(110)));
        assert_eq!(refresh.step(at(109), Event::TimePassed), None);
        assert_eq!(refresh.step(at(110), Event::TimePassed), Some(Effect::Show(1)));
        assert_eq!(refresh.deadline(), None);
    }

    #[test]
    fn who_wakes_up_late_keeps_the_rate_and_who_paused_does_not_catch_up() {
        let mut refresh = after_one();
        assert_eq!(refresh.step(at(113), Event::Presented(1)), Some(Effect::Show(1)));
        refresh.step(at(113), Event::Shown);
        assert_eq!(refresh.step(at(114), Event::Presented(0)), None);
        assert_eq!(refresh.deadline(), Some(at(120)));
        assert_eq!(refresh.step(at(500), Event::TimePassed), Some(Effect::Show(0)));
        refresh.step(at(500), Event::Shown);
        refresh.step(at(501), Event::Presented(1));
        assert_eq!(refresh.deadline(), Some(at(510)));
    }

    #[test]
    fn a_slow_display_is_waited_for() {
        let mut refresh = Refresh::new(INTERVAL);
        assert_eq!(refresh.step(at(0), Event::Presented(0)), Some(Effect::Show(0)));
        assert_eq!(refresh.step(at(40), Event::TimePassed), None);
        assert_eq!(refresh.deadline(), None);
        assert_eq!(refresh.step(at(50), Event::Shown), Some(Effect::Answer(0)));
    }

    #[test]
    fn a_unit_that_does_not_wait_for_its_answer_is_refused() {
        let mut waiting = after_one();
        waiting.step(at(101), Event::Presented(1));
        assert_eq!(waiting.step(at(102), Event::Presented(0)), Some(Effect::Refuse));
        assert_eq!(waiting.deadline(), None);
        let mut showing = Refresh::new(INTERVAL);
        showing.step(at(0), Event::Presented(0));
        assert_eq!(showing.step(at(0), Event::Presented(1)), Some(Effect::Refuse));
        assert_eq!(showing.step(at(1), Event::Shown), None);
    }

    #[test]
    fn there_are_two_frames() {
        assert_eq!(after_one().step(at(200), Event::Presented(2)), Some(Effect::Refuse));
    }

    #[test]
    fn a_new_unit_waits_for_what_the_last_one_left_behind() {
        let mut refresh = Refresh::new(INTERVAL);
        refresh.step(at(0), Event::Presented(0));
        refresh.step(at(1), Event::Left);
        assert_eq!(refresh.step(at(20), Event::Presented(1)), None);
        assert_eq!(refresh.step(at(21), Event::Shown), None);
        assert_eq!(refresh.step(at(21), Event::TimePassed), Some(Effect::Show(1)));
        assert_eq!(refresh.step(at(21), Event::Shown), Some(Effect::Answer(1)));
    }
}
