//! A ring of frames with one writer and one reader.
//!
//! Positions count bytes and wrap at 2³²; a ring is a power of two. Frames begin at multiples of the header's size, so
//! that a header never goes around the ring's end; payloads may. Each side keeps its own position in its own memory, and
//! believes of the other's only what fits.

use crate::frame::{Broken, Frame, HEADER, Header, Received, Side};
use crate::memory::Word;
use crate::shared::Shared;

const UNIT: u32 = HEADER as u32;

/// Why a frame was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    Full,
    TooLong,
    Broken,
}

/// The largest payload in a ring of that size.
pub(crate) fn longest(capacity: u32) -> u32 {
    capacity / 4 - UNIT
}

/// What a frame takes in the ring.
#[inline]
pub(crate) fn footprint(length: u32) -> u32 {
    (length + UNIT).next_multiple_of(UNIT)
}

/// How much lies between the two positions, if that is possible.
#[inline]
fn distance(head: u32, tail: u32, capacity: u32) -> Result<u32, Broken> {
    let distance = tail.wrapping_sub(head);
    if distance <= capacity && distance.is_multiple_of(UNIT) && tail.is_multiple_of(UNIT) {
        Ok(distance)
    } else {
        Err(Broken)
    }
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Producer {
    side: Side,
    capacity: u32,
    tail: u32,
    /// The reader's position when it was last looked at.
    head: u32,
}

impl Producer {
    /// Goes on where this side's last process ended, or if that makes no sense, where the reader is.
    pub(crate) fn open<S: Shared>(shared: &S, side: Side, capacity: u32) -> Self {
        let mut producer = Self { side, capacity, tail: 0, head: 0 };
        producer.resume(shared);
        producer
    }

    pub(crate) fn resume<S: Shared>(&mut self, shared: &S) {
        self.tail = shared.load(Word::Tail(self.side));
        self.head = shared.load(Word::Head(self.side.peer()));
        if distance(self.head, self.tail, self.capacity).is_err() {
            self.head -= self.head % UNIT;
            self.tail = self.head;
            shared.store(Word::Tail(self.side), self.tail);
        }
    }

    /// Writes a frame and publishes it. Waking the reader is the caller's business.
    #[inline]
    pub(crate) fn push<S: Shared>(&mut self, shared: &S, frame: &Frame<'_>) -> Result<(), Refusal> {
        if frame.payload.len() > longest(self.capacity) as usize {
            return Err(Refusal::TooLong);
        }
        let header = Header::of(frame);
        let needed = footprint(header.length);
        if self.capacity - self.tail.wrapping_sub(self.head) < needed {
            let space = self.space(shared).map_err(|Broken| Refusal::Broken)?;
            self.head = self.tail.wrapping_sub(self.capacity - space);
            if space < needed {
                return Err(Refusal::Full);
            }
        }
        shared
            .write(self.side, self.tail, &header.encode(self.tail))
            .and_then(|()| shared.write(self.side, self.tail.wrapping_add(UNIT), frame.payload))
            .map_err(|_| Refusal::Broken)?;
        self.tail = self.tail.wrapping_add(needed);
        shared.store(Word::Tail(self.side), self.tail);
        Ok(())
    }

    /// How much space there is now.
    pub(crate) fn space<S: Shared>(&self, shared: &S) -> Result<u32, Broken> {
        let head = shared.load(Word::Head(self.side.peer()));
        Ok(self.capacity - distance(head, self.tail, self.capacity)?)
    }
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// Whose ring it is.
    producer: Side,
    capacity: u32,
    head: u32,
    /// What the writer was last told of `head`.
    released: u32,
    /// The writer's position when it was last looked at.
    tail: u32,
}

impl Consumer {
    /// Begins where the writer is.
    pub(crate) fn open<S: Shared>(shared: &S, side: Side, capacity: u32) -> Self {
        let mut consumer = Self { producer: side.peer(), capacity, head: 0, released: 0, tail: 0 };
        consumer.resume(shared);
        consumer
    }

    /// Begins anew at the writer's position: what is unread was meant for a session that is over.
    pub(crate) fn resume<S: Shared>(&mut self, shared: &S) {
        let tail = shared.load(Word::Tail(self.producer));
        self.tail = tail - tail % UNIT;
        self.head = self.tail;
        self.release(shared);
    }

    /// Whether there is something to read; if what the writer says makes no sense, there is that to be told.
    #[inline]
    pub(crate) fn is_ready<S: Shared>(&self, shared: &S) -> bool {
        self.head != self.tail || shared.load(Word::Tail(self.producer)) != self.head
    }

    /// Reads one frame, if there is one.
    #[inline]
    pub(crate) fn pop<S: Shared>(&mut self, shared: &S, into: &mut Received) -> Result<bool, Broken> {
        if self.head == self.tail {
            let tail = shared.load(Word::Tail(self.producer));
            if tail == self.head {
                return Ok(false);
            }
            distance(self.head, tail, self.capacity)?;
            self.tail = tail;
        }
        let mut bytes = [0; HEADER];
        shared.read(self.producer, self.head, &mut bytes).map_err(|_| Broken)?;
        let header = Header::decode(&bytes, self.head)?;
        let available = self.tail.wrapping_sub(self.head);
        if header.length > longest(self.capacity) || footprint(header.length) > available {
            return Err(Broken);
        }
        into.payload.resize(header.length as usize, 0);
        shared.read(self.producer, self.head.wrapping_add(UNIT), &mut into.payload).map_err(|_| Broken)?;
        header.store(into);
        self.head = self.head.wrapping_add(footprint(header.length));
        Ok(true)
    }

    /// Tells the writer how far the ring was read, once that is a good part of it; true if it did.
    ///
    /// A quarter is soon enough: a frame takes no more than a quarter, so a writer without space has so much unread that
    /// reading it comes by here.
    #[inline]
    pub(crate) fn release_much<S: Shared>(&mut self, shared: &S) -> bool {
        let owed = self.head.wrapping_sub(self.released);
        if owed < self.capacity / 4 {
            return false;
        }
        self.release(shared);
        true
    }

    fn release<S: Shared>(&mut self, shared: &S) {
        self.released = self.head;
        shared.store(Word::Head(self.producer.peer()), self.head);
    }
}
