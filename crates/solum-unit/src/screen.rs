//! Screens: a unit draws two frames in shared memory, and a display shows them.
//!
//! The unit writes the number of a frame to a socket, and reads it back when the frame can be seen
//! ([`Resource::Screen`](solum_spec::handover::Resource::Screen)). What becomes of a frame is a [`Display`]'s affair: a
//! file on a workstation, a graphics card in a machine.

mod refresh;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use solum_spec::reason;

pub use refresh::{Effect, Event, Refresh};

/// Bytes of a pixel.
const PIXEL_BYTES: usize = 4;

/// Whether a frame can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It can.
    Now,
    /// Not yet; the display will say so.
    Later,
}

/// What shows frames. Times are since the screens were made.
pub trait Display {
    /// Shows a frame: lines from the top, 32 bits a pixel, blue in the lowest byte.
    ///
    /// # Errors
    ///
    /// What the system says. The unit has no screen any more then.
    fn show(&mut self, now: Duration, pixels: &[u8]) -> io::Result<Shown>;

    /// Does what is due. Says whether a frame that was to be seen [later](Shown::Later) can be seen now.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn turn(&mut self, _: Duration) -> io::Result<Shown> {
        Ok(Shown::Later)
    }

    /// When the next [`turn`](Self::turn) is due, if nothing happens before.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// What can be read when a [`turn`](Self::turn) is due.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The screens of a place.
pub struct Screens<D> {
    seats: Vec<Seat<D>>,
    /// All sockets and displays, so that one descriptor wakes whoever waits for any of them.
    wakers: OwnedFd,
    begun: Instant,
}

struct Seat<D> {
    name: String,
    width: u32,
    height: u32,
    display: D,
    refresh: Refresh,
    unit: Option<Wire>,
    /// The frame that is being shown.
    pixels: Vec<u8>,
}

struct Wire {
    memory: File,
    shown: UnixStream,
}

impl<D: Display> Screens<D> {
    /// No screens yet.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        let wakers = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { seats: Vec::new(), wakers, begun: Instant::now() })
    }

    /// Adds a screen that shows frames at least `interval` apart, and gives its place in the list.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn add(
        &mut self,
        name: String,
        (width, height): (u32, u32),
        interval: Duration,
        display: D,
    ) -> io::Result<usize> {
        if let Some(descriptor) = display.descriptor() {
            self.wake_by(descriptor)?;
        }
        let pixels = vec![0; width as usize * height as usize * PIXEL_BYTES];
        let refresh = Refresh::new(interval);
        self.seats.push(Seat { name, width, height, display, refresh, unit: None, pixels });
        Ok(self.seats.len() - 1)
    }

    /// The frames of a screen and the socket to it, for a unit that is started. The unit that had it before has it no more.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(&mut self, screen: usize) -> io::Result<(OwnedFd, OwnedFd)> {
        let now = self.begun.elapsed();
        let seat = self.seats.get_mut(screen).ok_or(io::ErrorKind::NotFound)?;
        let memory = File::from(memfd_create("screen", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        memory.set_len(2 * seat.pixels.len() as u64)?;
        fcntl_add_seals(&memory, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW)?;
        let (shown, shown_of_unit) = UnixStream::pair()?;
        shown.set_nonblocking(true)?;
        let memory_of_unit = memory.try_clone()?.into();
        seat.refresh.step(now, Event::Left);
        let wire = seat.unit.insert(Wire { memory, shown });
        epoll::add(&self.wakers, &wire.shown, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        Ok((memory_of_unit, shown_of_unit.into()))
    }

    /// What shows the frames of a screen.
    pub fn display(&mut self, screen: usize) -> Option<&mut D> {
        self.seats.get_mut(screen).map(|seat| &mut seat.display)
    }

    /// A descriptor that can be read when a [`turn`](Self::turn) is due.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn waker(&self) -> io::Result<OwnedFd> {
        self.wakers.try_clone()
    }

    /// How long the next [`turn`](Self::turn) may be put off if nothing happens.
    pub fn patience(&self) -> Option<Duration> {
        let deadlines =
            self.seats.iter().flat_map(|seat| [seat.refresh.deadline(), seat.display.deadline()]).flatten();
        Some(deadlines.min()?.saturating_sub(self.begun.elapsed()))
    }

    /// Shows what is due. Gives what went wrong, in sentences.
    pub fn turn(&mut self) -> Vec<String> {
        let now = self.begun.elapsed();
        let failed = |seat: &mut Seat<D>| seat.turn(now).err().map(|error| seat.fail(now, &error));
        self.seats.iter_mut().filter_map(failed).collect()
    }

    fn wake_by(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(&self.wakers, descriptor, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?)
    }
}

impl<D: Display> Seat<D> {
    fn turn(&mut self, now: Duration) -> io::Result<()> {
        if self.display.turn(now)? == Shown::Now {
            self.happen(now, Event::Shown)?;
        }
        self.listen(now)?;
        self.happen(now, Event::TimePassed)
    }

    /// Takes what the unit says: more than one byte is more than it may.
    fn listen(&mut self, now: Duration) -> io::Result<()> {
        let Some(wire) = &mut self.unit else { return Ok(()) };
        let mut said = [0; 2];
        match wire.shown.read(&mut said) {
            Ok(0) => {
                self.unit = None;
                self.happen(now, Event::Left)
            }
            Ok(length) => {
                said[..length].iter().try_for_each(|frame| self.happen(now, Event::Presented(*frame)))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn happen(&mut self, now: Duration, event: Event) -> io::Result<()> {
        let mut next = self.refresh.step(now, event);
        while let Some(effect) = next.take() {
            match (effect, &mut self.unit) {
                (Effect::Show(frame), Some(wire)) => {
                    let offset = u64::from(frame) * self.pixels.len() as u64;
                    wire.memory.read_exact_at(&mut self.pixels, offset)?;
                    if self.display.show(now, &self.pixels)? == Shown::Now {
                        next = self.refresh.step(now, Event::Shown);
                    }
                }
                // A unit that is gone is noticed when it is next listened to.
                (Effect::Answer(frame), Some(wire)) => drop(wire.shown.write(&[frame])),
                (Effect::Refuse, _) => {
                    return Err(io::Error::other("the unit did not wait until its last frame was shown"));
                }
                (Effect::Show(_) | Effect::Answer(_), None) => {}
            }
        }
        Ok(())
    }

    fn fail(&mut self, now: Duration, error: &io::Error) -> String {
        self.unit = None;
        self.refresh.step(now, Event::Left);
        self.refresh.step(now, Event::Shown);
        let Self { name, width, height, .. } = self;
        format!("screen {name} ({width}x{height}) is taken away from its unit: {}", reason(error))
    }
}

#[cfg(test)]
mod tests;
