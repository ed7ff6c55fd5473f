//! From the other machine to the unit here: frames put together again, and what they mean.

use super::bridge::{Bridge, Call, Talk, WAITING, gone};
use super::item;
use crate::frame::{HEADER, Kind, Range, Received, Session, Side};
use crate::stream::{Connection, Refusal};
use crate::transport::{SendError, Transport};
use std::time::Instant;

/// A frame on its way to the unit here.
#[derive(Debug, Default)]
pub(super) enum Arrival {
    /// There is none.
    #[default]
    Nothing,
    /// Of its payload, so much is missing.
    Payload(Received, usize),
    /// It waits for memory for its bulk data; its range is still the other machine's.
    Memory(Received),
    /// Its bulk data comes.
    Bulk {
        frame: Received,
        /// Where it goes, in the pool here; nothing, if nobody wants it.
        whole: Option<Range>,
        done: u32,
    },
    /// It is to be judged; the range is where its bulk data is.
    Whole(Received, Option<Range>),
    /// It waits for space in the ring.
    Delivery(Received),
}

impl<T: Transport> Bridge<T> {
    pub(super) fn arrive(&mut self, connection: &mut Connection, now: Instant) -> Result<(), Refusal> {
        while self.arrive_further(connection, now)? {}
        Ok(())
    }

    /// One step; whether another may follow.
    fn arrive_further(&mut self, connection: &mut Connection, now: Instant) -> Result<bool, Refusal> {
        match std::mem::take(&mut self.arrival) {
            Arrival::Nothing => {
                let is_crowded = self.to_machine.len() > WAITING;
                let Some((frame, missing)) = item::read(connection.frames())?.filter(|_| !is_crowded) else {
                    return Ok(false);
                };
                if missing > self.end.longest_payload() {
                    return Err(Refusal::Malformed("a frame that is longer than the link"));
                }
                connection.take(HEADER, now)?;
                self.arrival = Arrival::Payload(frame, missing);
            }
            Arrival::Payload(mut frame, missing) => {
                let count = missing.min(connection.frames().len());
                frame.payload.extend_from_slice(&connection.frames()[..count]);
                connection.take(count, now)?;
                if count < missing {
                    self.arrival = Arrival::Payload(frame, missing - count);
                    return Ok(false);
                }
                self.arrival = Arrival::Memory(frame);
            }
            Arrival::Memory(frame) => return self.set_aside(frame),
            Arrival::Bulk { frame, whole, done } => {
                return self.take_bulk(connection, (frame, whole, done), now);
            }
            Arrival::Whole(frame, range) => {
                if let Some(frame) = self.judge(frame, range, connection.peer_life()) {
                    self.arrival = Arrival::Delivery(frame);
                }
            }
            Arrival::Delivery(frame) => return Ok(self.deliver(frame)),
        }
        Ok(true)
    }

    /// Finds out where the bulk data of a frame goes.
    fn set_aside(&mut self, frame: Received) -> Result<bool, Refusal> {
        let Some(asked) = frame.range else {
            self.arrival = Arrival::Whole(frame, None);
            return Ok(true);
        };
        let whole = match self.side {
            Side::Server => self.awaited(&frame),
            Side::Client if asked.length > self.end.pool().bytes() => {
                return Err(Refusal::Malformed("a call with more data than the link has memory for"));
            }
            Side::Client if !self.is_of_session(&frame) => None,
            Side::Client => match self.end.pool().allocate(asked.length) {
                Some(range) => Some(range),
                // An answer will give some back.
                None => {
                    self.arrival = Arrival::Memory(frame);
                    return Ok(false);
                }
            },
        };
        self.arrival = Arrival::Bulk { frame, whole, done: 0 };
        Ok(true)
    }

    /// The part of the client's pool in which it awaits the data of that answer.
    fn awaited(&self, frame: &Received) -> Option<Range> {
        let call = self.calls.get(&frame.call).filter(|_| self.is_of_session(frame))?;
        call.range.filter(|range| frame.range == Some(*range))
    }

    fn is_of_session(&self, frame: &Received) -> bool {
        self.talk.is_some_and(|talk| talk.is_welcome && talk.wire == frame.session)
    }

    fn take_bulk(
        &mut self,
        connection: &mut Connection,
        (frame, whole, done): (Received, Option<Range>, u32),
        now: Instant,
    ) -> Result<bool, Refusal> {
        let missing = frame.range.map_or(0, |asked| asked.length - done);
        let count = (missing as usize).min(connection.frames().len());
        // A client that gave way to another must not be written to any more.
        let whole = if self.side == Side::Server { self.awaited(&frame) } else { whole };
        if let Some(range) = whole {
            let part = Range { offset: range.offset + done, length: count as u32 };
            let _ = self.end.pool().copy_in(part, &connection.frames()[..count]);
        }
        connection.take(count, now)?;
        if count < missing as usize {
            self.arrival = Arrival::Bulk { frame, whole, done: done + count as u32 };
            return Ok(false);
        }
        self.arrival = Arrival::Whole(frame, whole);
        Ok(true)
    }

    /// What a frame means for the unit here; nothing, if it is late or nobody is there.
    fn judge(&mut self, frame: Received, whole: Option<Range>, life: u64) -> Option<Received> {
        match (self.side, frame.kind) {
            (Side::Server, Kind::Welcome | Kind::Refused) => self.answer_for_client(frame, life),
            (Side::Server, Kind::Response) => {
                let talk = self.talk.filter(|_| self.is_of_session(&frame))?;
                self.calls.remove(&frame.call)?;
                Some(Received { session: talk.local, range: None, ..frame })
            }
            (Side::Server, Kind::Gone) => {
                let talk = self.talk.filter(|_| self.is_of_session(&frame))?;
                self.part(false);
                Some(gone(talk.local))
            }
            (Side::Client, Kind::Hello) => self.hello_for_server(frame, life),
            (Side::Client, Kind::Request) => self.request_for_server(frame, whole),
            (Side::Client, Kind::Gone) => {
                let is_meant = |talk: &Talk| {
                    let Session { client, server } = frame.session;
                    client == talk.wire.client && (server == 0 || server == talk.wire.server)
                };
                self.talk.filter(is_meant)?;
                self.part(true);
                None
            }
            _ => None,
        }
    }

    fn answer_for_client(&mut self, frame: Received, life: u64) -> Option<Received> {
        let talk = self.talk.as_mut()?;
        if (frame.session.client, frame.call) != (talk.wire.client, talk.greeting) {
            return None;
        }
        if frame.kind == Kind::Welcome {
            talk.wire = frame.session;
            talk.local.server = self.aliases.of(life, frame.session.server);
            talk.is_welcome = true;
        }
        Some(Received { session: talk.local, ..frame })
    }

    fn hello_for_server(&mut self, frame: Received, life: u64) -> Option<Received> {
        // The client says it again until there is somebody.
        let unit = self.end.peer_epoch()?;
        let wire = Session { client: frame.session.client, server: 0 };
        let local = Session { client: self.aliases.of(life, wire.client), server: 0 };
        let is_known =
            |talk: &Talk| (talk.unit, talk.local.client, talk.greeting) == (unit, local.client, frame.call);
        if !self.talk.as_ref().is_some_and(is_known) {
            self.part(false);
            let greeting = frame.call;
            self.talk = Some(Talk { unit, greeting, local, wire, is_welcome: false });
        }
        Some(Received { session: local, ..frame })
    }

    fn request_for_server(&mut self, frame: Received, whole: Option<Range>) -> Option<Received> {
        let talk = self.talk.filter(|_| self.is_of_session(&frame));
        let is_served = frame.range.is_some() == whole.is_some() && self.may_begin(frame.call);
        let Some(talk) = talk.filter(|_| is_served) else {
            if let Some(range) = whole {
                self.end.pool().free(range);
            }
            self.to_machine.push_back(gone(frame.session));
            if talk.is_some() {
                self.part(true);
            }
            return None;
        };
        self.calls.insert(frame.call, Call { range: whole, asked: frame.range });
        Some(Received { session: talk.local, range: whole, ..frame })
    }

    /// Hands a frame to the unit, behind what waits already. False if there is no space.
    fn deliver(&mut self, frame: Received) -> bool {
        self.flush();
        let outcome =
            if self.to_unit.is_empty() { self.end.send(&frame.as_frame()) } else { Err(SendError::Full) };
        match outcome {
            Ok(()) | Err(SendError::TooLong { .. }) => true,
            Err(SendError::Full) => {
                self.arrival = Arrival::Delivery(frame);
                false
            }
            Err(SendError::Broken) => {
                if let Some(talk) = self.talk {
                    self.unit_is_gone(talk);
                }
                true
            }
        }
    }
}
