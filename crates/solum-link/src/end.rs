//! One end of a link, in the unit that holds it.

use crate::frame::{Broken, Frame, Received, Side};
use crate::host::SEALS;
use crate::mapping::Mapping;
use crate::memory::{self, Memory, Unusable, Word};
use crate::native::Native;
use crate::pool::Pool;
use crate::ring::{self, Consumer, Producer, Refusal};
use crate::shared::Shared;
use crate::spin::Spin;
use crate::status;
use crate::transport::{SendError, WaitOutcome, Want};
use crate::wake::{self, Reason};
use rustix::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// Why an end could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The kernel refused.
    System(io::Error),
    /// The memory could shrink under its reader, so it was not made by [`crate::LinkHost`].
    NotSealed,
    /// It is no link, or is smaller than it says.
    NotALink,
    /// It is a link of another version.
    Version(u32),
    /// Nobody said that this side lives.
    NotAttached,
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(formatter, "the link's memory cannot be mapped: {error}"),
            Self::NotSealed => formatter.write_str("the link's memory is not sealed"),
            Self::NotALink => formatter.write_str("the memory holds no link"),
            Self::Version(version) => {
                write!(formatter, "the link has version {version}, this program knows {}", memory::VERSION)
            }
            Self::NotAttached => formatter.write_str("the link's host has not attached this side"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<rustix::io::Errno> for OpenError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

/// Whether one may go to sleep on the bell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Armed {
    /// No: there is something to do.
    Ready,
    /// Yes: the bell will ring.
    Sleep,
}

/// One end of a link. One thread uses it.
pub struct End {
    native: Native,
    own_bell: OwnedFd,
    side: Side,
    epoch: u32,
    producer: Producer,
    consumer: Consumer,
    pool: Pool,
    spin: Spin,
    /// The peer's status when a wait last ended.
    seen: u32,
    /// The epoch of the peer that broke the link.
    broken_by: Option<u32>,
    /// The space for which the last frame waited in vain.
    missing: Option<u32>,
}

impl fmt::Debug for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, epoch, broken_by, .. } = self;
        formatter
            .debug_struct("End")
            .field("side", side)
            .field("epoch", epoch)
            .field("broken_by", broken_by)
            .finish_non_exhaustive()
    }
}

impl End {
    /// Opens an end with the descriptors of [`crate::LinkHost::descriptors`], and wakes the peer, if it waits for us.
    pub fn open(
        memory: OwnedFd,
        own_bell: OwnedFd,
        peer_bell: OwnedFd,
        side: Side,
    ) -> Result<Self, OpenError> {
        // Memory that is not sealed could be cut off between here and any later access.
        if !fs::fcntl_get_seals(&memory).map_err(|_| OpenError::NotSealed)?.contains(SEALS) {
            return Err(OpenError::NotSealed);
        }
        let length = fs::fstat(&memory)?.st_size;
        let length = usize::try_from(length).map_err(|_| OpenError::NotALink)?;
        if length < memory::PAGE as usize {
            return Err(OpenError::NotALink);
        }
        let mapping = Mapping::of_file(memory.as_fd(), length).map_err(OpenError::System)?;
        let label = memory::read_label(&mapping).map_err(|unusable| match unusable {
            Unusable::NotALink => OpenError::NotALink,
            Unusable::Version(version) => OpenError::Version(version),
        })?;
        let memory = Memory::new(mapping, label.layout).map_err(|_| OpenError::NotALink)?;
        let bells = match side {
            Side::Client => [None, Some(peer_bell)],
            Side::Server => [Some(peer_bell), None],
        };
        Self::begin(Native { memory, bells }, own_bell, side, Spin::for_processors(label.processors))
    }

    fn begin(native: Native, own_bell: OwnedFd, side: Side, spin: Spin) -> Result<Self, OpenError> {
        let layout = native.memory.layout();
        let mapping = Arc::clone(native.memory.mapping());
        let status = native.load(Word::Status(side));
        if !status::is_attached(status) {
            return Err(OpenError::NotAttached);
        }
        let end = Self {
            producer: Producer::open(&native, side, layout.ring_bytes),
            consumer: Consumer::open(&native, side, layout.ring_bytes),
            pool: Pool::new(mapping, layout.pool_at(), layout.pool_bytes),
            epoch: status::epoch(status),
            seen: native.load(Word::Status(side.peer())),
            broken_by: None,
            missing: None,
            native,
            own_bell,
            side,
            spin,
        };
        end.native.store(Word::Status(side), status::opened(status));
        wake::wake(&end.native, side.peer(), Reason::Life);
        Ok(end)
    }

    /// The epoch that the host gave to this side.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The epoch of the peer, if one is there and listens.
    #[must_use]
    pub fn peer_epoch(&self) -> Option<u32> {
        status::present(self.native.load(Word::Status(self.side.peer())))
    }

    /// Whether a peer is there and listens.
    #[must_use]
    pub fn peer_alive(&self) -> bool {
        self.peer_epoch().is_some()
    }

    /// The memory for bulk data.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The longest payload of a frame.
    #[must_use]
    pub fn longest_payload(&self) -> usize {
        ring::longest(self.native.memory.layout().ring_bytes) as usize
    }

    /// Changes how long a wait may spin before it sleeps; nothing means never.
    pub fn spin_at_most(&mut self, limit: Duration) {
        self.spin = Spin::at_most(limit);
    }

    /// Sends a frame and wakes the peer, if it sleeps. After `Full`, a wait also ends when there is space.
    #[inline]
    pub fn send(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        if self.broken_by.is_some() && !self.is_healed() {
            return Err(SendError::Broken);
        }
        match self.producer.push(&self.native, frame) {
            Ok(()) => {
                self.missing = None;
                wake::wake(&self.native, self.side.peer(), Reason::Frames);
                Ok(())
            }
            Err(Refusal::Full) => {
                self.missing = Some(ring::footprint(frame.payload.len() as u32));
                Err(SendError::Full)
            }
            Err(Refusal::TooLong) => Err(SendError::TooLong { max: self.longest_payload() }),
            Err(Refusal::Broken) => {
                self.break_off();
                Err(SendError::Broken)
            }
        }
    }

    /// Sends a frame, waiting for space; `Full` if there was none until the deadline.
    pub fn send_waiting(&mut self, frame: &Frame<'_>, deadline: Option<Instant>) -> Result<(), SendError> {
        loop {
            match self.send(frame) {
                Err(SendError::Full) => {}
                outcome => return outcome,
            }
            let outcome = self.wait_for(Want::Space, deadline);
            // A peer that changes its word without end ends each wait before its time.
            let is_late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
            if outcome == WaitOutcome::Deadline || is_late() {
                return self.send(frame);
            }
        }
    }

    /// Takes the next frame, if there is one.
    pub fn receive(&mut self) -> Result<Option<Received>, Broken> {
        let mut received = Received::default();
        Ok(self.receive_into(&mut received)?.then_some(received))
    }

    /// As [`Self::receive`], into a buffer that is used again.
    #[inline]
    pub fn receive_into(&mut self, into: &mut Received) -> Result<bool, Broken> {
        if self.broken_by.is_some() && !self.is_healed() {
            return Err(Broken);
        }
        let outcome = self.consumer.pop(&self.native, into);
        let is_sound = match outcome {
            Ok(false) => return Ok(false),
            Ok(true) => into.range.is_none_or(|range| self.pool.contains(range)),
            Err(Broken) => false,
        };
        if !is_sound {
            self.break_off();
            return Err(Broken);
        }
        if self.consumer.release_much(&self.native) {
            wake::wake(&self.native, self.side.peer(), Reason::Space);
        }
        Ok(true)
    }

    /// Waits until there is a frame, or space after `Full`, or the peer came or went; or until the deadline.
    pub fn wait(&mut self, deadline: Option<Instant>) -> WaitOutcome {
        self.wait_for(Want::Any, deadline)
    }

    /// As [`Self::wait`], for some of that only.
    pub fn wait_for(&mut self, want: Want, deadline: Option<Instant>) -> WaitOutcome {
        loop {
            if self.has_news(want) || self.spin_for_news(want) {
                return self.wake_up();
            }
            let begin = Instant::now();
            let timeout = deadline.map(|deadline| deadline.saturating_duration_since(begin));
            if timeout.is_some_and(|timeout| timeout.is_zero()) {
                return WaitOutcome::Deadline;
            }
            wake::sleep(&self.native, self.side, self.missing.is_some(), timeout, || self.has_news(want));
            self.spin.slept(begin.elapsed());
        }
    }

    /// Announces that this side is about to sleep on its [`Self::bell`]; [`Self::disarm`] has to follow.
    pub fn arm_for_poll(&mut self) -> Armed {
        self.arm_for(Want::Any)
    }

    /// As [`Self::arm_for_poll`], for some news only.
    pub fn arm_for(&mut self, want: Want) -> Armed {
        if wake::arm(&self.native, self.side, self.missing.is_some(), || self.has_news(want)) {
            return Armed::Sleep;
        }
        self.wake_up();
        Armed::Ready
    }

    /// What becomes readable when an armed side is to wake.
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.own_bell.as_fd()
    }

    /// Awake again after [`Self::arm_for_poll`], and the bell is silent.
    pub fn disarm(&mut self) {
        wake::disarm(&self.native, self.side);
        // Nothing to read is as good: then another thing ended the poll.
        let _ = rustix::io::read(&self.own_bell, &mut [0_u8; 8]);
        self.wake_up();
    }

    #[inline]
    fn has_news(&self, want: Want) -> bool {
        let is_sound = self.broken_by.is_none();
        (is_sound && want == Want::Any && self.consumer.is_ready(&self.native))
            || (is_sound && self.missing.is_some_and(|missing| self.has_space(missing)))
            || self.native.load(Word::Status(self.side.peer())) != self.seen
    }

    /// Whether the frame that did not fit would; or whether trying again will tell that the link is broken.
    fn has_space(&self, missing: u32) -> bool {
        self.producer.space(&self.native).map_or(true, |space| space >= missing)
    }

    fn spin_for_news(&mut self, want: Want) -> bool {
        let mut turn = self.spin.begin();
        while turn.goes_on() {
            if self.has_news(want) {
                self.spin.succeeded();
                return true;
            }
        }
        self.spin.failed();
        false
    }

    /// Each piece of news ends one wait only.
    fn wake_up(&mut self) -> WaitOutcome {
        self.seen = self.native.load(Word::Status(self.side.peer()));
        self.missing = None;
        WaitOutcome::Ready
    }

    fn break_off(&mut self) {
        self.broken_by = Some(status::epoch(self.native.load(Word::Status(self.side.peer()))));
        self.missing = None;
    }

    /// Whether another peer has come. It has begun anew, and so do we.
    #[cold]
    fn is_healed(&mut self) -> bool {
        let peer = status::present(self.native.load(Word::Status(self.side.peer())));
        if peer.is_none() || peer == self.broken_by {
            return false;
        }
        self.broken_by = None;
        self.producer.resume(&self.native);
        self.consumer.resume(&self.native);
        true
    }
}
