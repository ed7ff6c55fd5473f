//! Time, and waiting for several things at once.

use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::port::{InterfaceId, PlugError, Port, World, built_in};

/// A moment of the monotonic clock, which begins somewhere and never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the clock's beginning.
    pub const fn from_beginning(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the clock's beginning it is.
    pub const fn since_beginning(self) -> Duration {
        self.0
    }

    /// How long after `earlier` it is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment this much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// What makes time pass.
pub trait Driver {
    /// The monotonic clock.
    fn now(&self) -> Moment;
    /// Time since 1970-01-01 00:00 UTC, without leap seconds, as the machine believes it to be.
    fn wall(&self) -> Result<Duration>;
    /// Returns at the deadline, or when one of the sources is ready: the first of them.
    fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<Option<usize>>;
}

/// Something that can be waited for: a port with something to take from it.
pub trait Source {
    /// Whether taking from it would not have to wait; else it arranges to be noticed by `waker`.
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool;
    /// The waiting is over.
    fn disarm(&mut self) {}
}

/// What a wait looks at.
#[derive(Default)]
pub struct Waker<'a> {
    pub(crate) descriptors: Vec<Interest<'a>>,
    /// Devices of a simulated world, by its own numbers.
    devices: Devices,
    /// When to look at all of them again, though nothing happened.
    pub(crate) at: Option<Moment>,
}

/// Numbers of devices. Nearly always they are few, and then need no memory of their own.
#[derive(Default)]
struct Devices {
    few: [u64; 6],
    /// How many of the few there are.
    count: usize,
    /// All of them, if they are not few.
    many: Vec<u64>,
}

impl Devices {
    fn add(&mut self, number: u64) {
        if let Some(place) = self.few.get_mut(self.count) {
            *place = number;
            self.count += 1;
            return;
        }
        if self.many.is_empty() {
            self.many.extend(self.few);
        }
        self.many.push(number);
    }

    fn all(&self) -> &[u64] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}

/// A descriptor that is waited for.
pub(crate) struct Interest<'a> {
    pub(crate) descriptor: BorrowedFd<'a>,
    /// To be written, else to be read.
    pub(crate) writes: bool,
    /// It is but a bell: whether its source is ready has to be looked at again.
    pub(crate) is_bell: bool,
}

impl<'a> Waker<'a> {
    /// The source is ready when the descriptor can be read.
    pub fn readable(&mut self, descriptor: BorrowedFd<'a>) {
        self.descriptors.push(Interest { descriptor, writes: false, is_bell: false });
    }

    /// The source is ready when the descriptor can be written.
    pub fn writable(&mut self, descriptor: BorrowedFd<'a>) {
        self.descriptors.push(Interest { descriptor, writes: true, is_bell: false });
    }

    /// The source may be ready when the descriptor can be read.
    pub fn bell(&mut self, descriptor: BorrowedFd<'a>) {
        self.descriptors.push(Interest { descriptor, writes: false, is_bell: true });
    }

    /// Wakes when a simulated device has something.
    pub fn device(&mut self, number: u64) {
        self.devices.add(number);
    }

    /// Asks the source again at this moment, though nothing may have happened by then.
    pub fn wake_at(&mut self, moment: Moment) {
        self.at = Some(self.at.map_or(moment, |at| at.min(moment)));
    }

    /// When the sources are to be asked again.
    pub fn at(&self) -> Option<Moment> {
        self.at
    }

    /// The simulated devices that are waited for.
    pub fn devices(&self) -> &[u64] {
        self.devices.all()
    }
}

/// The clock of a program. It comes by itself and need not be plugged.
#[derive(Clone)]
pub struct Clock {
    driver: Rc<dyn Driver>,
}

impl Clock {
    /// A clock with this driver.
    pub fn new(driver: Rc<dyn Driver>) -> Self {
        Self { driver }
    }

    /// Now, by the monotonic clock.
    pub fn now(&self) -> Moment {
        self.driver.now()
    }

    /// Time since 1970-01-01 00:00 UTC, without leap seconds. It may jump when the clock is set.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the machine has no idea of the time.
    pub fn wall(&self) -> Result<Duration> {
        self.driver.wall()
    }

    /// Returns after this long.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if waiting failed.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        self.driver.select(&mut [], Some(self.now().after(duration))).map(drop)
    }

    /// The moment this long from now.
    pub fn deadline(&self, duration: Duration) -> Moment {
        self.now().after(duration)
    }

    /// Waits until one of the sources is ready, and gives its place in the list. Of several ready ones it is always the
    /// first, so put what may not starve in front.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`], and [`Error::Device`] if waiting failed.
    pub fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<usize> {
        self.driver.select(sources, deadline)?.ok_or(Error::Deadline)
    }
}

impl Port for Clock {
    const INTERFACE: InterfaceId = built_in("clock");

    fn plug(world: &mut dyn World, _: &str) -> Result<Self, PlugError> {
        Ok(Self::new(world.clock()))
    }
}
