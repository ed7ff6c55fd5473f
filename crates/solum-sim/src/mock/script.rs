//! What comes, one after the other, and when.

use std::collections::VecDeque;
use std::time::Duration;

use solum::Moment;
use solum::clock::Waker;

/// Things that come by themselves, with pauses between them.
pub(super) struct Script<T> {
    steps: VecDeque<Step<T>>,
}

enum Step<T> {
    Item(T),
    /// It begins when somebody looks.
    Pause(Duration),
    Until(Moment),
}

impl<T> Default for Script<T> {
    fn default() -> Self {
        Self { steps: VecDeque::new() }
    }
}

impl<T> Script<T> {
    pub fn push(&mut self, item: T) {
        self.steps.push_back(Step::Item(item));
    }

    /// What is pushed from now on comes this long after what was pushed before was taken.
    pub fn pause(&mut self, duration: Duration) {
        self.steps.push_back(Step::Pause(duration));
    }

    /// Takes the next thing, if its time has come.
    pub fn next(&mut self, now: Moment) -> Option<T> {
        self.settle(now);
        match self.steps.pop_front()? {
            Step::Item(item) => Some(item),
            step => {
                self.steps.push_front(step);
                None
            }
        }
    }

    /// Whether there is something to take; else it says when to look again.
    pub fn arm(&mut self, now: Moment, waker: &mut Waker<'_>) -> bool {
        self.settle(now);
        match self.steps.front() {
            Some(Step::Item(_)) => return true,
            Some(Step::Until(moment)) => waker.wake_at(*moment),
            _ => {}
        }
        false
    }

    /// Nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.steps.is_empty()
    }

    /// Ends pauses that are over, and begins the next.
    fn settle(&mut self, now: Moment) {
        while let Some(step) = self.steps.front_mut() {
            match step {
                Step::Item(_) => return,
                Step::Pause(duration) => *step = Step::Until(now.after(*duration)),
                Step::Until(moment) if *moment <= now => drop(self.steps.pop_front()),
                Step::Until(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_begins_when_what_was_before_it_is_taken() {
        let at = |seconds| Moment::from_beginning(Duration::from_secs(seconds));
        let mut script = Script::default();
        script.push('a');
        script.pause(Duration::from_secs(5));
        script.push('b');
        assert_eq!((script.next(at(10)), script.next(at(12))), (Some('a'), None));
        let mut waker = Waker::default();
        assert!(!script.arm(at(13), &mut waker));
        assert_eq!(waker.at(), Some(at(17)));
        assert_eq!((script.next(at(16)), script.next(at(17))), (None, Some('b')));
        assert!(script.is_over());
    }
}
