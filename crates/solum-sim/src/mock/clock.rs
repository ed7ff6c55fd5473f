//! A clock whose time passes only while somebody waits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use solum::clock::{self, Moment, Source, Waker};
use solum::{Error, Result};

/// 2026-01-01 00:00 UTC: where the wall clock stands unless a test sets it.
const WALL: Duration = Duration::from_secs(1_767_225_600);
/// How long a program may wait altogether if a test sets no end.
const PATIENCE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many times a program may look and find nothing, where nothing can come.
const LOOKS_MAX: u32 = 1000;

/// A clock that a test sets, and whose time passes only while the program waits: then it jumps to the next thing that happens.
///
/// Nothing waits in reality, so hours pass in microseconds.
///
/// ```
/// use std::time::Duration;
/// use solum_sim::mock;
///
/// let clock = mock::Clock::new();
/// let port = clock.port();
/// let began = port.now();
/// port.sleep(Duration::from_secs(3600))?;
/// assert_eq!(port.now().since(began), Duration::from_secs(3600));
///
/// clock.set_wall(Duration::from_secs(1_000_000_000)); // as when somebody sets the machine's clock
/// assert_eq!(port.now().since(began), Duration::from_secs(3600));
/// # Ok::<(), solum::Error>(())
/// ```
///
/// # How a program that runs for ever ends
///
/// Waiting gives [`Error::Closed`] as soon as nothing that is waited for can happen any more:
///
/// - when it waits without a deadline, and neither a mock nor [`at`](Self::at) has anything left;
/// - when it waits for something, also with a deadline, and the scripts of all mocks on this clock are over;
/// - at the end that a test sets with [`end_at`](Self::end_at); then the end of the scripts ends nothing, and what the program
///   does by itself at certain times can be seen too;
/// - without such an end, when it has waited for thirty days altogether;
/// - when it has looked a thousand times without waiting, and there was nothing.
#[derive(Clone)]
pub struct Clock {
    inner: Rc<Inner>,
}

type Action = Box<dyn FnOnce()>;

struct Inner {
    now: Cell<Moment>,
    /// What the wall clock said, and when.
    wall: Cell<Option<(Duration, Moment)>>,
    end: Cell<Option<Moment>>,
    waited: Cell<Duration>,
    /// Fruitless looks, and when the last was.
    looks: Cell<(u32, Moment)>,
    actions: RefCell<Vec<(Moment, Action)>>,
    scripts: RefCell<Vec<Box<dyn Fn() -> bool>>>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock at its beginning; the wall clock stands at 2026-01-01 00:00 UTC.
    pub fn new() -> Self {
        let inner = Inner {
            now: Cell::default(),
            wall: Cell::new(Some((WALL, Moment::default()))),
            end: Cell::default(),
            waited: Cell::default(),
            looks: Cell::default(),
            actions: RefCell::default(),
            scripts: RefCell::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    /// A port with this clock.
    pub fn port(&self) -> solum::Clock {
        solum::Clock::new(self.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self) -> Rc<dyn clock::Driver> {
        Rc::new(self.clone())
    }

    /// Now, by the monotonic clock.
    pub fn now(&self) -> Moment {
        self.inner.now.get()
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.pass_until(self.now().after(duration));
    }

    /// Sets the wall clock to this long after 1970-01-01 00:00 UTC. The monotonic clock does not notice.
    pub fn set_wall(&self, since_1970: Duration) {
        self.inner.wall.set(Some((since_1970, self.now())));
    }

    /// The machine has no idea of the time any more, as one without a battery before it asked somebody.
    pub fn lose_wall(&self) {
        self.inner.wall.set(None);
    }

    /// The world ends this long after the clock's beginning: whoever waits then gets [`Error::Closed`].
    pub fn end_at(&self, since_beginning: Duration) {
        self.inner.end.set(Some(Moment::from_beginning(since_beginning)));
    }

    /// Does something this long after the clock's beginning: cuts a disk's power, sets the wall clock, presses a key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use solum_sim::mock;
    ///
    /// let (clock, disk) = (mock::Clock::new(), mock::Disk::new(4096));
    /// let failing = disk.clone();
    /// clock.at(Duration::from_secs(5), move || failing.set_failing(mock::DiskAccess::Write, true));
    /// let mut port = disk.port();
    /// port.write_at(0, &[1; 512])?;
    /// clock.port().sleep(Duration::from_secs(6))?;
    /// assert!(port.write_at(0, &[1; 512]).is_err());
    /// # Ok::<(), solum::Error>(())
    /// ```
    pub fn at(&self, since_beginning: Duration, action: impl FnOnce() + 'static) {
        let moment = Moment::from_beginning(since_beginning);
        self.inner.actions.borrow_mut().push((moment, Box::new(action)));
    }

    /// Tells the clock of a script, so that the program ends when all of them are over. The mocks do it themselves; it is for
    /// mocks of your own.
    pub fn watch(&self, is_over: impl Fn() -> bool + 'static) {
        self.inner.scripts.borrow_mut().push(Box::new(is_over));
    }

    /// Whether there are scripts, and nothing more comes of any.
    fn scripts_are_over(&self) -> bool {
        let scripts = self.inner.scripts.borrow();
        !scripts.is_empty() && scripts.iter().all(|is_over| is_over())
    }

    fn next_action(&self) -> Option<Moment> {
        self.inner.actions.borrow().iter().map(|(moment, _)| *moment).min()
    }

    /// Time passes, and what is to be done meanwhile is done at its moment.
    fn pass_until(&self, moment: Moment) {
        while let Some(next) = self.next_action().filter(|next| *next <= moment) {
            self.inner.now.set(next.max(self.now()));
            let mut actions = self.inner.actions.borrow_mut();
            let Some(index) = actions.iter().position(|(at, _)| *at == next) else { break };
            let (_, action) = actions.remove(index);
            // It may want to add more.
            drop(actions);
            action();
        }
        self.inner.now.set(moment.max(self.now()));
    }

    /// Somebody waits until then.
    fn wait_until(&self, moment: Moment) -> Result<()> {
        let now = self.now();
        let waited = self.inner.waited.get().saturating_add(moment.since(now));
        self.inner.waited.set(waited);
        match self.inner.end.get() {
            Some(end) if moment >= end => {
                self.pass_until(end);
                Err(Error::Closed)
            }
            None if waited > PATIENCE => Err(Error::Closed),
            _ => {
                self.pass_until(moment);
                Ok(())
            }
        }
    }

    /// Somebody looked without waiting, and found nothing.
    fn looked(&self, nothing_comes: bool) -> Result<Option<usize>> {
        let (looks, last) = self.inner.looks.get();
        let looks = if last == self.now() || nothing_comes { looks + 1 } else { 1 };
        self.inner.looks.set((looks, self.now()));
        if looks > LOOKS_MAX { Err(Error::Closed) } else { Ok(None) }
    }
}

impl clock::Driver for Clock {
    fn now(&self) -> Moment {
        self.inner.now.get()
    }

    fn wall(&self) -> Result<Duration> {
        let (wall, since) =
            self.inner.wall.get().ok_or_else(|| Error::Device("the time is not known".into()))?;
        Ok(wall + self.now().since(since))
    }

    fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<Option<usize>> {
        let mut has_waited = false;
        loop {
            let (ready, wake_at) = arm(sources);
            if ready.is_some() {
                self.inner.looks.set(Default::default());
                return Ok(ready);
            }
            let (now, end) = (self.now(), self.inner.end.get());
            let nothing_comes = end.is_none() && !sources.is_empty() && self.scripts_are_over();
            if end.is_some_and(|end| end <= now) {
                return Err(Error::Closed);
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return if has_waited { Ok(None) } else { self.looked(nothing_comes) };
            }
            let wake_at = wake_at.filter(|moment| *moment > now);
            let next = [deadline, wake_at, self.next_action()].into_iter().flatten().min();
            let next = next.filter(|_| !nothing_comes || self.next_action().is_some());
            self.wait_until(next.ok_or(Error::Closed)?)?;
            has_waited = true;
        }
    }
}

/// The first source that is ready, or when to look again.
fn arm(sources: &mut [&mut dyn Source]) -> (Option<usize>, Option<Moment>) {
    let mut waker = Waker::default();
    let ready = sources.iter_mut().position(|source| source.arm(&mut waker));
    let at = waker.at();
    drop(waker);
    for source in sources {
        source.disarm();
    }
    (ready, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use solum::keys::code;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wall_clock_runs_along_and_is_set_apart() {
        let clock = Clock::new();
        let port = clock.port();
        assert_eq!(port.wall(), Ok(WALL));
        port.sleep(SECOND).unwrap();
        assert_eq!(port.wall(), Ok(WALL + SECOND));
        clock.set_wall(SECOND);
        clock.advance(SECOND);
        assert_eq!((port.wall(), clock.now().since_beginning()), (Ok(2 * SECOND), 2 * SECOND));
        clock.lose_wall();
        assert!(port.wall().is_err());
    }

    #[test]
    fn waiting_jumps_to_what_happens_first() {
        let (clock, keys) = (Clock::new(), super::super::Keys::new());
        keys.pause(3 * SECOND).press(code::A).pause(SECOND).press(code::B);
        let mut port = keys.port(&clock);
        assert_eq!(port.next(Some(clock.now().after(SECOND))), Err(Error::Deadline));
        assert_eq!(clock.now().since_beginning(), SECOND);
        assert_eq!(port.next(None).unwrap().code, code::A);
        assert_eq!(clock.now().since_beginning(), 3 * SECOND);
        let exactly = clock.now().after(SECOND);
        assert_eq!(port.next(Some(exactly)).unwrap().code, code::B, "what is there at the deadline is taken");
        assert_eq!(port.next(Some(clock.now().after(SECOND))), Err(Error::Closed), "nothing is left to come");
        assert_eq!(clock.now().since_beginning(), 4 * SECOND);
    }

    #[test]
    fn with_an_end_time_passes_after_the_scripts_are_over() {
        let (clock, keys) = (Clock::new(), super::super::Keys::new());
        clock.end_at(10 * SECOND);
        let mut port = keys.port(&clock);
        assert_eq!(port.next(Some(clock.now().after(9 * SECOND))), Err(Error::Deadline));
        assert_eq!(port.next(Some(clock.now().after(9 * SECOND))), Err(Error::Closed));
        assert_eq!(clock.now().since_beginning(), 10 * SECOND);
        assert_eq!(clock.port().sleep(Duration::ZERO), Err(Error::Closed));
    }

    #[test]
    fn no_loop_goes_on_for_ever() {
        let clock = Clock::new();
        let mut ticks = 0;
        while clock.port().sleep(Duration::from_secs(3600)).is_ok() {
            ticks += 1;
        }
        assert_eq!(ticks, 30 * 24);
        let (clock, keys) = (Clock::new(), super::super::Keys::new());
        let mut port = keys.port(&clock);
        let mut looks = 0;
        while port.next(Some(Moment::default())) == Err(Error::Deadline) {
            clock.advance(SECOND);
            looks += 1;
        }
        assert_eq!(looks, LOOKS_MAX);
        assert_eq!(Clock::new().port().select(&mut [], None), Err(Error::Closed));
    }

    #[test]
    fn what_is_to_be_done_is_done_in_the_order_of_time() {
        let clock = Clock::new();
        let seen = Rc::new(RefCell::new(Vec::new()));
        for seconds in [3, 1, 2] {
            let (seen, inner) = (Rc::clone(&seen), clock.clone());
            clock.at(seconds * SECOND, move || {
                seen.borrow_mut().push(inner.now().since_beginning().as_secs())
            });
        }
        clock.port().sleep(5 * SECOND).unwrap();
        assert_eq!(*seen.borrow(), [1, 2, 3]);
        assert_eq!(clock.now().since_beginning(), 5 * SECOND);
    }
}
