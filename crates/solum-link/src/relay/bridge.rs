//! What a relay does between one end of a link and the connection to the other machine. It plays the unit that is absent
//! here: the server to a client, the client to a server.
//!
//! It takes part in the session, so that it knows which calls are under way: bulk data is written to a client's pool for
//! those only, and no answer passes that nobody waits for. When the connection or a unit is gone, it says so to the other.

use super::alias::Aliases;
use super::arrival::Arrival;
use super::item;
use crate::end::End;
use crate::frame::{Frame, HEADER, Kind, Range, Received, Session, Side};
use crate::stream::{Connection, Refusal};
use crate::transport::{SendError, Transport, Want};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// Frames taken from a unit in one turn, so that the other links have theirs.
const FRAMES_A_TURN: usize = 64;
/// Calls under way. A client that has more of them without an answer has to begin anew.
const CALLS: usize = 1 << 16;
/// Who leaves so many small frames unread is not read either.
pub(super) const WAITING: usize = 64;
/// Bulk data that is copied at once.
const CHUNK: usize = 64 << 10;

/// A session, or the greeting that may become one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    /// The epoch of who is at this machine's end of the link.
    pub(super) unit: u32,
    pub(super) greeting: u32,
    /// As the unit here knows it.
    pub(super) local: Session,
    /// As it is called between the machines.
    pub(super) wire: Session,
    pub(super) is_welcome: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// In the pool here.
    pub(super) range: Option<Range>,
    /// In the pool of the client, as that calls it.
    pub(super) asked: Option<Range>,
}

/// A frame on its way to the other machine.
#[derive(Debug)]
struct Sending {
    head: Vec<u8>,
    written: usize,
    /// What is left of the bulk data.
    bulk: Option<Range>,
    /// To be given back to the pool then.
    to_free: Option<Range>,
}

/// One link of a relay.
#[derive(Debug)]
pub(super) struct Bridge<T> {
    pub(super) end: T,
    /// Whom it plays.
    pub(super) side: Side,
    pub(super) talk: Option<Talk>,
    pub(super) aliases: Aliases,
    pub(super) calls: BTreeMap<u32, Call>,
    /// Ranges that the server here may still use, though nobody waits for its answers.
    limbo: Vec<Range>,
    pub(super) to_unit: VecDeque<Received>,
    pub(super) to_machine: VecDeque<Received>,
    sending: Option<Sending>,
    pub(super) arrival: Arrival,
    received: Received,
}

impl<T: Transport> Bridge<T> {
    pub(super) fn new(end: T, side: Side) -> Self {
        Self {
            aliases: Aliases::new(end.epoch()),
            end,
            side,
            talk: None,
            calls: BTreeMap::new(),
            limbo: Vec::new(),
            to_unit: VecDeque::new(),
            to_machine: VecDeque::new(),
            sending: None,
            arrival: Arrival::Nothing,
            received: Received::default(),
        }
    }

    pub(super) fn end(&mut self) -> &mut T {
        &mut self.end
    }

    /// What news of the unit are of use before the next turn: not its frames, while the connection does not take them.
    pub(super) fn want(&self, connection: Option<&Connection>) -> Want {
        let is_blocked =
            !self.to_unit.is_empty() || connection.is_some_and(|connection| connection.room() == 0);
        if is_blocked { Want::Space } else { Want::Any }
    }

    /// Whether another turn would do something though nothing new has come.
    pub(super) fn is_due(&self, connection: &Connection) -> bool {
        let is_departing = self.sending.is_some() || !self.to_machine.is_empty();
        let is_arriving = matches!(self.arrival, Arrival::Nothing)
            && self.to_machine.len() <= WAITING
            && connection.frames().len() >= HEADER;
        is_arriving || (is_departing && connection.room() > 0)
    }

    /// Does all that can be done now. Without a connection, nobody is there for the unit.
    pub(super) fn turn(&mut self, connection: Option<&mut Connection>, now: Instant) -> Result<(), Refusal> {
        self.flush();
        match connection {
            Some(connection) => {
                self.arrive(connection, now)?;
                self.depart(connection, now)?;
                self.look_at_unit();
                self.depart_rest(connection, now)?;
            }
            None => {
                for _ in 0..FRAMES_A_TURN {
                    if !self.receive() {
                        break;
                    }
                    self.heard_of_unit();
                }
                self.to_machine.clear();
                self.drop_sending();
                self.look_at_unit();
            }
        }
        self.flush();
        Ok(())
    }

    /// The connection is lost, or another one takes its place.
    pub(super) fn down(&mut self) {
        self.part(true);
        self.to_machine.clear();
        self.drop_sending();
        // What was set aside for a call that the server has not heard of.
        if let (Side::Client, Arrival::Bulk { whole: Some(range), .. }) =
            (self.side, std::mem::take(&mut self.arrival))
        {
            self.end.pool().free(range);
        }
        self.flush();
    }

    /// The talk, if there is one, is over.
    pub(super) fn part(&mut self, tell_unit: bool) {
        let Some(talk) = self.talk.take() else { return };
        if tell_unit {
            let session = match self.side {
                Side::Server if !talk.is_welcome => None,
                Side::Server => Some(talk.local),
                // It may be about to welcome us, with its own epoch.
                Side::Client => Some(Session { server: talk.unit, ..talk.local }),
            };
            self.to_unit.extend(session.map(gone));
        }
        let calls = std::mem::take(&mut self.calls);
        if self.side == Side::Client {
            self.limbo.extend(calls.into_values().filter_map(|call| call.range));
        }
    }

    /// Whether a call can be begun. Two under way with the same number could not be told apart, and what was set aside for
    /// the first would never be given back.
    pub(super) fn may_begin(&self, call: u32) -> bool {
        self.calls.len() < CALLS && !self.calls.contains_key(&call)
    }

    /// Whether it is still there with whom we talk.
    fn look_at_unit(&mut self) {
        let present = self.end.peer_epoch();
        let Some(talk) = self.talk.filter(|talk| Some(talk.unit) != present) else { return };
        self.unit_is_gone(talk);
    }

    pub(super) fn unit_is_gone(&mut self, talk: Talk) {
        self.to_machine.push_back(gone(talk.wire));
        self.part(false);
        self.to_unit.clear();
        self.free_limbo();
    }

    fn free_limbo(&mut self) {
        for range in self.limbo.drain(..) {
            self.end.pool().free(range);
        }
    }

    fn drop_sending(&mut self) {
        if let Some(range) = self.sending.take().and_then(|sending| sending.to_free) {
            self.end.pool().free(range);
        }
    }

    pub(super) fn flush(&mut self) {
        while let Some(frame) = self.to_unit.front() {
            match self.end.send(&frame.as_frame()) {
                Err(SendError::Full) => return,
                Ok(()) | Err(SendError::Broken | SendError::TooLong { .. }) => {
                    self.to_unit.pop_front();
                }
            }
        }
    }

    // From the unit here to the other machine.

    fn depart(&mut self, connection: &mut Connection, now: Instant) -> Result<(), Refusal> {
        for _ in 0..FRAMES_A_TURN {
            self.depart_rest(connection, now)?;
            if self.sending.is_some() || connection.room() == 0 || !self.receive() {
                break;
            }
            if let Some(sending) = self.heard_of_unit() {
                self.sending = Some(sending);
            }
        }
        Ok(())
    }

    /// Sends on what was begun, and what waits.
    fn depart_rest(&mut self, connection: &mut Connection, now: Instant) -> Result<(), Refusal> {
        loop {
            if let Some(sending) = &mut self.sending {
                sending.go_on(&self.end, connection, now)?;
                if !sending.is_over() {
                    return Ok(());
                }
                self.drop_sending();
            }
            let Some(frame) = self.to_machine.pop_front() else { return Ok(()) };
            self.sending = Some(Sending::new(&frame.as_frame(), None, None));
        }
    }

    fn receive(&mut self) -> bool {
        if self.to_unit.len() > WAITING {
            return false;
        }
        match self.end.receive_into(&mut self.received) {
            Ok(is_there) => is_there,
            Err(_) => {
                if let Some(talk) = self.talk {
                    self.unit_is_gone(talk);
                }
                false
            }
        }
    }

    /// What a frame of the unit means for the other machine.
    fn heard_of_unit(&mut self) -> Option<Sending> {
        let received = std::mem::take(&mut self.received);
        let sending = match (self.side, received.kind) {
            (Side::Server, Kind::Hello) => self.hello_from_client(&received),
            (Side::Server, Kind::Request) => self.request_from_client(&received),
            (Side::Client, Kind::Welcome | Kind::Refused) => self.answer_to_hello(&received),
            (Side::Client, Kind::Response) => self.response_from_server(&received),
            (Side::Client, Kind::Gone) => {
                if let Some(talk) = self.talk.filter(|talk| talk.local == received.session) {
                    self.to_machine.push_back(gone(talk.wire));
                    self.part(false);
                }
                None
            }
            _ => None,
        };
        self.received = received;
        sending
    }

    fn hello_from_client(&mut self, received: &Received) -> Option<Sending> {
        let wire = Session { client: received.session.client, server: 0 };
        let is_known = |talk: &Talk| talk.wire.client == wire.client && talk.greeting == received.call;
        if !self.talk.as_ref().is_some_and(is_known) {
            self.part(false);
            let unit = self.end.peer_epoch()?;
            let greeting = received.call;
            self.talk = Some(Talk { unit, greeting, local: wire, wire, is_welcome: false });
        }
        Some(Sending::new(&Frame { session: wire, ..received.as_frame() }, None, None))
    }

    fn request_from_client(&mut self, received: &Received) -> Option<Sending> {
        let talk = self.talk.filter(|talk| talk.is_welcome && talk.local == received.session);
        let Some(talk) = talk.filter(|_| self.may_begin(received.call)) else {
            // As a server does about a session that it does not know: otherwise the client would wait for ever.
            self.to_unit.push_back(gone(received.session));
            if let Some(talk) = talk {
                self.to_machine.push_back(gone(talk.wire));
                self.part(false);
            }
            return None;
        };
        self.calls.insert(received.call, Call { range: received.range, asked: received.range });
        let frame = Frame { session: talk.wire, ..received.as_frame() };
        Some(Sending::new(&frame, received.range, None))
    }

    fn answer_to_hello(&mut self, received: &Received) -> Option<Sending> {
        let talk = self.talk.as_mut()?;
        if (received.session.client, received.call) != (talk.local.client, talk.greeting) {
            return None;
        }
        let session = Session { client: talk.wire.client, server: received.session.server };
        if received.kind == Kind::Welcome {
            talk.local = received.session;
            talk.wire = session;
            talk.is_welcome = true;
            // Whatever it was asked before is over for it now.
            self.free_limbo();
        }
        Some(Sending::new(&Frame { session, range: None, ..received.as_frame() }, None, None))
    }

    fn response_from_server(&mut self, received: &Received) -> Option<Sending> {
        let talk = self.talk.filter(|talk| talk.is_welcome && talk.local == received.session)?;
        let call = self.calls.remove(&received.call)?;
        let frame = Frame { session: talk.wire, range: call.asked, ..received.as_frame() };
        Some(Sending::new(&frame, call.range, call.range))
    }
}

impl Bridge<End> {
    /// What becomes readable when there is news of the unit.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.end.bell()
    }
}

impl Sending {
    fn new(frame: &Frame<'_>, bulk: Option<Range>, to_free: Option<Range>) -> Self {
        Self { head: item::head(frame), written: 0, bulk, to_free }
    }

    fn is_over(&self) -> bool {
        self.written == self.head.len() && self.bulk.is_none_or(|range| range.length == 0)
    }

    fn go_on(
        &mut self,
        end: &impl Transport,
        connection: &mut Connection,
        now: Instant,
    ) -> Result<(), Refusal> {
        let rest = self.head.get(self.written..).unwrap_or_default();
        let count = rest.len().min(connection.room());
        if count > 0 {
            connection.send(&rest[..count], now)?;
            self.written += count;
        }
        let mut buffer = Vec::new();
        while self.written == self.head.len()
            && let Some(range) = &mut self.bulk
        {
            let count = (range.length as usize).min(connection.room()).min(CHUNK);
            if count == 0 {
                break;
            }
            buffer.resize(count, 0);
            let part = Range { length: count as u32, ..*range };
            // A range of a unit's frame was compared with the pool, and ours are from there.
            let _ = end.pool().copy_out(part, &mut buffer);
            connection.send(&buffer, now)?;
            range.offset += count as u32;
            range.length -= count as u32;
        }
        Ok(())
    }
}

/// Says that a session is no more.
pub(super) fn gone(session: Session) -> Received {
    Received { kind: Kind::Gone, session, ..Received::default() }
}
