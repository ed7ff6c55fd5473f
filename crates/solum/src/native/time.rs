//! The system's clocks, and poll(2).

use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::clock::{Driver, Interest, Moment, Source, Waker};
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
    // Up to which descriptor each source is waited for.
    let mut ends = Vec::with_capacity(sources.len());
    let mut ready = None;
    for (index, source) in sources.iter_mut().enumerate() {
        if source.arm(&mut waker) {
            ready = Some(index);
            break;
        }
        ends.push(waker.descriptors.len());
    }
    let waited = match ready {
        Some(_) => Ok(None),
        None => wait(clock, &waker, deadline),
    };
    drop(waker);
    for source in sources.iter_mut() {
        source.disarm();
    }
    match waited {
        Ok(descriptor) => {
            let its_source = |descriptor| ends.iter().position(|end| descriptor < *end);
            Ok(ready.or_else(|| descriptor.and_then(its_source)))
        }
        Err(Errno::INTR) => Ok(None),
        Err(error) => Err(Error::Device(std::io::Error::from(error).to_string())),
    }
}

/// The first descriptor that makes its source ready, if there is one.
fn wait(
    clock: &SystemClock,
    waker: &Waker<'_>,
    deadline: Option<Moment>,
) -> rustix::io::Result<Option<usize>> {
    let until = deadline.into_iter().chain(waker.at).min();
    let left = until.map(|until| until.since(clock.now()));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let mut descriptors: Vec<PollFd<'_>> = waker
        .descriptors
        .iter()
        .map(|interest| {
            let flags = if interest.writes { PollFlags::OUT } else { PollFlags::IN };
            PollFd::from_borrowed_fd(interest.descriptor, flags)
        })
        .collect();
    poll(&mut descriptors, timeout.as_ref())?;
    let is_ready = |(descriptor, interest): (&PollFd<'_>, &Interest<'_>)| {
        !interest.is_bell && !descriptor.revents().is_empty()
    };
    Ok(descriptors.iter().zip(&waker.descriptors).position(is_ready))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::native::socket::Listener;
    use std::os::fd::AsFd;

    struct Readable<'s>(&'s UnixStream);

    impl Source for Readable<'_> {
        fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
            waker.readable(self.0.as_fd());
            false
        }
    }

    #[test]
    fn what_can_be_read_is_ready_and_the_first_of_several() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let (_other_near, other_far) = UnixStream::pair().unwrap();
        near.write_all(b"x").unwrap();
        let select = |first: &UnixStream, second: &UnixStream| {
            SystemClock.select(&mut [&mut Readable(first), &mut Readable(second)], None)
        };
        assert_eq!(select(&far, &other_far), Ok(Some(0)));
        assert_eq!(select(&other_far, &far), Ok(Some(1)));
        assert_eq!(select(&far, &far), Ok(Some(0)));
    }

    #[test]
    fn a_connection_ends_the_wait_for_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut listener = Listener::new(listener.into());
        assert_eq!(SystemClock.select(&mut [&mut listener], None), Ok(Some(0)));
    }

    /// Ready when it was asked so often.
    struct Later(u32);

    impl Source for Later {
        fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
            waker.wake_at(SystemClock.now());
            self.0 -= 1;
            self.0 == 0
        }
    }

    #[test]
    fn a_source_is_asked_again_when_it_wanted_to_be() {
        let (_near, far) = UnixStream::pair().unwrap();
        let sources: &mut [&mut dyn Source] = &mut [&mut Readable(&far), &mut Later(3)];
        let long = SystemClock.now().after(Duration::from_secs(60));
        assert_eq!(SystemClock.select(sources, Some(long)), Ok(Some(1)));
    }

    #[test]
    fn a_deadline_that_is_over_ends_the_wait() {
        let (_near, far) = UnixStream::pair().unwrap();
        let now = SystemClock.now();
        assert_eq!(SystemClock.select(&mut [&mut Readable(&far)], Some(now)), Ok(None));
    }
}
