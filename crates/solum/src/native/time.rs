//! The system's clocks, and poll(2).

use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::clock::{Driver, Moment, Source, Waker};
use crate::error::{Error, Result};

/// `CLOCK_MONOTONIC` and `CLOCK_REALTIME` (clock_gettime(2)).
pub struct SystemClock;

impl Driver for SystemClock {
    fn now(&self) -> Moment {
        let now = clock_gettime(ClockId::Monotonic);
        // The monotonic clock of Linux begins at 0, and has nanoseconds below a second.
        Moment::from_beginning(Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32))
    }

    fn wall(&self) -> Result<Duration> {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|_| Error::Device("the clock stands before 1970".into()))
    }

    fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<Option<usize>> {
        loop {
            if let Some(ready) = arm_and_wait(self, sources, deadline)? {
                return Ok(Some(ready));
            }
            if deadline.is_some_and(|deadline| self.now() >= deadline) {
                return Ok(None);
            }
        }
    }
}

/// One round: `None` if something happened, or time passed, and it is to be looked at again.
fn arm_and_wait(
    clock: &SystemClock,
    sources: &mut [&mut dyn Source],
    deadline: Option<Moment>,
) -> Result<Option<usize>> {
    let mut waker = Waker::default();
    let mut ready = None;
    for (index, source) in sources.iter_mut().enumerate() {
        if source.arm(&mut waker) {
            ready = Some(index);
            break;
        }
    }
    let waited = match ready {
        Some(_) => Ok(0),
        None => wait(clock, &waker, deadline),
    };
    drop(waker);
    for source in sources.iter_mut() {
        source.disarm();
    }
    match waited {
        Ok(_) | Err(Errno::INTR) => Ok(ready),
        Err(error) => Err(Error::Device(std::io::Error::from(error).to_string())),
    }
}

/// Whether a descriptor can be read or written now: what woke a wait looks whether it was meant.
pub fn is_ready(descriptor: BorrowedFd<'_>, flags: PollFlags) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A wait that was interrupted is repeated anyway.
    poll(&mut [PollFd::from_borrowed_fd(descriptor, flags)], Some(&now)).is_ok_and(|ready| ready > 0)
}

fn wait(clock: &SystemClock, waker: &Waker<'_>, deadline: Option<Moment>) -> rustix::io::Result<usize> {
    let left = deadline.map(|deadline| deadline.since(clock.now()));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let mut descriptors: Vec<PollFd<'_>> = waker
        .descriptors
        .iter()
        .map(|(descriptor, writes)| {
            let flags = if *writes { PollFlags::OUT } else { PollFlags::IN };
            PollFd::from_borrowed_fd(*descriptor, flags)
        })
        .collect();
    poll(&mut descriptors, timeout.as_ref())
}
