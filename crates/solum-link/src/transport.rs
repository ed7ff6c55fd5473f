//! What a session needs of whatever carries its frames.

use crate::frame::{Broken, Frame, Received};
use crate::pool::Pool;
use std::fmt;
use std::time::Instant;

/// Why a frame was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// There is no space now.
    Full,
    /// There will never be space for so much.
    TooLong {
        /// The longest payload.
        max: usize,
    },
    /// The peer broke the link.
    Broken,
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => formatter.write_str("the link is full"),
            Self::TooLong { max } => write!(formatter, "the message is longer than {max} bytes"),
            Self::Broken => Broken.fmt(formatter),
        }
    }
}

impl std::error::Error for SendError {}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitOutcome {
    /// There may be something to do: a frame, space after [`SendError::Full`], a peer that came or went.
    Ready,
    /// The time is over.
    Deadline,
}

/// What a wait is for. A peer that came or went ends both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Want {
    /// A frame; and after [`SendError::Full`], space.
    #[default]
    Any,
    /// Space, after [`SendError::Full`]; what came meanwhile is left alone.
    Space,
}

/// One end of something that carries frames, in order, to a peer that may die and be replaced.
///
/// Once it said that it is broken, it says so to every sending and receiving until another peer is there.
pub trait Transport {
    /// Sends a frame without waiting. A frame may be lost only together with the peer.
    fn send(&mut self, frame: &Frame<'_>) -> Result<(), SendError>;
    /// Takes the next frame; false if there is none. A range in it lies within the pool.
    fn receive_into(&mut self, into: &mut Received) -> Result<bool, Broken>;
    /// Waits for what is wanted; for a peer that came or went only if that was since the last wait ended. May end early.
    fn wait(&mut self, want: Want, deadline: Option<Instant>) -> WaitOutcome;
    /// The time, on the clock of the deadlines.
    fn now(&self) -> Instant;
    /// The epoch of this side.
    fn epoch(&self) -> u32;
    /// The epoch of the peer, if one is there and listens.
    fn peer_epoch(&self) -> Option<u32>;
    /// The longest payload.
    fn longest_payload(&self) -> usize;
    /// The memory for bulk data.
    fn pool(&self) -> &Pool;
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        (**self).send(frame)
    }

    fn receive_into(&mut self, into: &mut Received) -> Result<bool, Broken> {
        (**self).receive_into(into)
    }

    fn wait(&mut self, want: Want, deadline: Option<Instant>) -> WaitOutcome {
        (**self).wait(want, deadline)
    }

    fn now(&self) -> Instant {
        (**self).now()
    }

    fn epoch(&self) -> u32 {
        (**self).epoch()
    }

    fn peer_epoch(&self) -> Option<u32> {
        (**self).peer_epoch()
    }

    fn longest_payload(&self) -> usize {
        (**self).longest_payload()
    }

    fn pool(&self) -> &Pool {
        (**self).pool()
    }
}

impl Transport for crate::End {
    fn send(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        Self::send(self, frame)
    }

    fn receive_into(&mut self, into: &mut Received) -> Result<bool, Broken> {
        Self::receive_into(self, into)
    }

    fn wait(&mut self, want: Want, deadline: Option<Instant>) -> WaitOutcome {
        self.wait_for(want, deadline)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn epoch(&self) -> u32 {
        Self::epoch(self)
    }

    fn peer_epoch(&self) -> Option<u32> {
        Self::peer_epoch(self)
    }

    fn longest_payload(&self) -> usize {
        Self::longest_payload(self)
    }

    fn pool(&self) -> &Pool {
        Self::pool(self)
    }
}
