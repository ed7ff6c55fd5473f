//! The small devices: console, entropy, health, keys, screen, units.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use rustix::rand::{GetRandomFlags, getrandom};
use solum_spec::control::{self, Decoder};
use solum_spec::handover::{FromSupervisor, FromUnit, ToSupervisor};

use crate::clock::{Source, Waker};
use crate::error::{Error, Result};
use crate::keys::{Action, Key};
use crate::screen::Image;
use crate::{console, entropy, health, keys, screen, units};

/// Standard output: whoever started the unit reads it.
pub struct StandardOutput;

impl console::Driver for StandardOutput {
    fn line(&mut self, text: &str) -> Result<()> {
        // One write a line, so that lines of a unit are never mixed with each other.
        Ok(io::stdout().lock().write_all(format!("{text}\n").as_bytes())?)
    }
}

/// getrandom(2).
pub struct KernelEntropy;

impl entropy::Driver for KernelEntropy {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match getrandom(&mut buffer[filled..], GetRandomFlags::empty()) {
                Ok(length) => filled += length,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }
}

/// The way to the supervisor.
pub struct Control {
    stream: UnixStream,
    said_ready: Cell<bool>,
}

impl Control {
    pub fn new(socket: OwnedFd) -> Self {
        Self { stream: UnixStream::from(socket), said_ready: Cell::new(false) }
    }

    fn say(&self, message: &FromUnit) -> Result<()> {
        Ok((&self.stream).write_all(&control::encode(message))?)
    }
}

impl health::Driver for Control {
    fn ready(&self) -> Result<()> {
        if self.said_ready.replace(true) {
            return Ok(());
        }
        self.say(&FromUnit::Ready)
    }

    fn health(&self, state: Result<(), String>) -> Result<()> {
        self.say(&FromUnit::Health(state))
    }
}

/// Questions and answers about other units.
pub struct Controller {
    stream: UnixStream,
    decoder: Decoder,
}

impl Controller {
    pub fn new(socket: OwnedFd) -> Self {
        Self { stream: UnixStream::from(socket), decoder: Decoder::new() }
    }
}

impl units::Driver for Controller {
    fn ask(&mut self, question: &ToSupervisor) -> Result<FromSupervisor> {
        self.stream.write_all(&control::encode(question))?;
        loop {
            if let Some(answer) = self.decoder.decode().map_err(|_| Error::Broken)? {
                return Ok(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(Error::Closed),
                length => self.decoder.push(&buffer[..length]),
            }
        }
    }
}

/// Two frames in shared memory; whoever shows them says when.
pub struct SharedScreen {
    memory: File,
    shown: UnixStream,
    size: (u32, u32),
    next_frame: u8,
}

impl SharedScreen {
    pub fn new(memory: OwnedFd, shown: OwnedFd, width: u32, height: u32) -> Self {
        let (memory, shown) = (File::from(memory), UnixStream::from(shown));
        Self { memory, shown, size: (width, height), next_frame: 0 }
    }
}

impl screen::Driver for SharedScreen {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn present(&mut self, image: &Image) -> Result<()> {
        let bytes: Vec<u8> = image.pixels().iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
        let offset = u64::from(self.next_frame) * bytes.len() as u64;
        self.memory.write_all_at(&bytes, offset)?;
        self.shown.write_all(&[self.next_frame])?;
        let mut answer = [0];
        match self.shown.read(&mut answer)? {
            0 => return Err(Error::Closed),
            _ => self.next_frame ^= 1,
        }
        Ok(())
    }
}

/// `struct input_event` (Documentation/input/input.rst), from an input device or from whoever plays one.
pub struct InputEvents {
    stream: File,
    /// What was read to know whether there is something.
    ahead: Option<Result<Key>>,
}

/// Two times of eight bytes, type, code and value.
const EVENT_BYTES: usize = 24;
/// The type of events about keys (linux/input-event-codes.h).
const EV_KEY: u16 = 1;

impl InputEvents {
    pub fn new(stream: OwnedFd) -> Self {
        // It does not block already: its flags are the supervisor's business.
        Self { stream: File::from(stream), ahead: None }
    }

    fn decode(event: &[u8; EVENT_BYTES]) -> Option<Key> {
        let kind = u16::from_ne_bytes([event[16], event[17]]);
        let code = u16::from_ne_bytes([event[18], event[19]]);
        let action = match i32::from_ne_bytes([event[20], event[21], event[22], event[23]]) {
            0 => Action::Released,
            1 => Action::Pressed,
            2 => Action::Repeated,
            _ => return None,
        };
        (kind == EV_KEY).then_some(Key { code, action })
    }
}

impl InputEvents {
    fn read(&mut self) -> Result<Option<Key>> {
        loop {
            let mut event = [0; EVENT_BYTES];
            match self.stream.read(&mut event) {
                Ok(0) => return Err(Error::Closed),
                Ok(EVENT_BYTES) => {
                    if let Some(key) = Self::decode(&event) {
                        return Ok(Some(key));
                    }
                }
                // The kernel gives whole events (evdev.c), and so does a supervisor.
                Ok(_) => return Err(Error::Broken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl keys::Driver for InputEvents {
    fn next(&mut self) -> Result<Option<Key>> {
        match self.ahead.take() {
            Some(outcome) => outcome.map(Some),
            None => self.read(),
        }
    }
}

impl Source for InputEvents {
    // Not every event is about a key, so one is read to know.
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        if self.ahead.is_none() {
            self.ahead = self.read().transpose();
        }
        if self.ahead.is_none() {
            waker.bell(self.stream.as_fd());
        }
        self.ahead.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{self, Clock, Moment};
    use crate::native::SystemClock;
    use crate::{Keys, keys::code};

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        [&[0; 16][..], &kind.to_ne_bytes(), &code.to_ne_bytes(), &value.to_ne_bytes()].concat()
    }

    /// A keyboard, who plays it, and a clock.
    fn keyboard() -> (Keys, UnixStream, Clock) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let clock: std::rc::Rc<dyn clock::Driver> = std::rc::Rc::new(SystemClock);
        (Keys::new(Box::new(InputEvents::new(theirs.into())), clock.clone()), ours, Clock::new(clock))
    }

    #[test]
    fn a_key_ends_the_wait_and_what_is_no_key_does_not() {
        let (mut keys, mut player, clock) = keyboard();
        let soon = |clock: &Clock| clock.deadline(Duration::from_millis(20));
        player.write_all(&event(0, 0, 0)).unwrap();
        assert_eq!(clock.select(&mut [&mut keys], Some(soon(&clock))), Err(Error::Deadline));
        assert_eq!(keys.next(Some(Moment::default())), Err(Error::Deadline));
        player.write_all(&event(EV_KEY, code::LEFT, 1)).unwrap();
        assert_eq!(clock.select(&mut [&mut keys], None), Ok(0));
        let key = keys.next(None).unwrap();
        assert_eq!(key, Key { code: code::LEFT, action: Action::Pressed });
        drop(player);
        assert_eq!(clock.select(&mut [&mut keys], None), Ok(0));
        assert_eq!(keys.next(None), Err(Error::Closed));
    }
}
