//! What a server decides: whom to welcome, which requests count, which answers are still wanted. No I/O and no clock.

use super::Interface;
use crate::frame::{Frame, Kind, Range, Received, Session};
use std::collections::VecDeque;

/// The call that an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallId {
    session: Session,
    greeting: u32,
    number: u32,
}

impl CallId {
    /// The client's epoch.
    #[must_use]
    pub fn client(&self) -> u32 {
        self.session.client
    }
}

/// What happened at the serving end of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A client came; what an earlier one left is of no use any more.
    ClientCame {
        /// Its epoch.
        epoch: u32,
    },
    /// The client ended, or broke the link. Its requests need no answers.
    ClientGone {
        /// Its epoch.
        epoch: u32,
    },
    /// A call, to be answered.
    Request {
        /// To be named in the answer.
        call: CallId,
        /// Which method.
        method: u16,
        /// Its content.
        payload: Vec<u8>,
        /// The part of the pool that goes with it.
        range: Option<Range>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Guest {
    /// The epoch of the process at the other end; the client's own, unless that is a relay.
    peer: u32,
    session: Session,
    greeting: u32,
}

#[derive(Debug)]
struct Outgoing {
    kind: Kind,
    call: u32,
    session: Session,
    payload: Vec<u8>,
}

/// The one client that a link has at a time.
#[derive(Debug)]
pub(crate) struct Reception {
    epoch: u32,
    interface: Interface,
    guest: Option<Guest>,
    outbox: VecDeque<Outgoing>,
    events: VecDeque<Event>,
}

impl Reception {
    pub(crate) fn new(epoch: u32, interface: Interface) -> Self {
        Self { epoch, interface, guest: None, outbox: VecDeque::new(), events: VecDeque::new() }
    }

    /// What happened next.
    #[inline]
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether another frame may be taken: not as long as a client does not take the answers to its last ones.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.events.is_empty()
    }

    /// Whether there is something to send.
    #[inline]
    pub(crate) fn has_outgoing(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// What to send next; to be followed by [`Self::sent`].
    #[inline]
    pub(crate) fn outgoing(&self) -> Option<Frame<'_>> {
        let Outgoing { kind, call, session, payload } = self.outbox.front()?;
        Some(Frame { kind: *kind, call: *call, session: *session, payload, ..Frame::default() })
    }

    /// The frame went out, or never will.
    pub(crate) fn sent(&mut self) {
        self.outbox.pop_front();
    }

    /// Somebody is at the other end, or nobody.
    #[inline]
    pub(crate) fn peer(&mut self, present: Option<u32>) {
        if self.guest.is_some_and(|guest| Some(guest.peer) != present) {
            self.part();
        }
    }

    /// The link is broken.
    pub(crate) fn broken(&mut self) {
        self.part();
    }

    fn part(&mut self) {
        self.outbox.clear();
        if let Some(guest) = self.guest.take() {
            self.events.push_back(Event::ClientGone { epoch: guest.session.client });
        }
    }

    /// A frame came.
    #[inline]
    pub(crate) fn frame(&mut self, received: &mut Received, peer: Option<u32>) {
        let is_of_guest = self.guest.filter(|guest| guest.session == received.session);
        match (received.kind, is_of_guest) {
            (Kind::Hello, _) => {
                if let Some(peer) = peer {
                    self.hello(received, peer);
                }
            }
            (Kind::Request, Some(Guest { session, greeting, .. })) => {
                let call = CallId { session, greeting, number: received.call };
                let payload = std::mem::take(&mut received.payload);
                let Received { method, range, .. } = *received;
                self.events.push_back(Event::Request { call, method, payload, range });
            }
            // Its sender believes in a session that we do not know. Otherwise it would wait for ever.
            (Kind::Request, None) => self.send(Kind::Gone, received.call, received.session, Vec::new()),
            (Kind::Gone, Some(_)) => self.part(),
            _ => {}
        }
    }

    fn hello(&mut self, received: &Received, peer: u32) {
        let session = Session { client: received.session.client, server: self.epoch };
        let (call, guest) = (received.call, Guest { peer, session, greeting: received.call });
        if self.guest == Some(guest) {
            return self.send(Kind::Welcome, call, session, Vec::new());
        }
        self.part();
        match self.interface.check(&received.payload) {
            Ok(()) => {
                self.guest = Some(guest);
                self.events.push_back(Event::ClientCame { epoch: session.client });
                self.send(Kind::Welcome, call, session, Vec::new());
            }
            Err(why) => self.send(Kind::Refused, call, session, why.into_bytes()),
        }
    }

    /// Whether anybody still waits for the answer to that call.
    #[inline]
    pub(crate) fn is_wanted(&self, call: CallId) -> bool {
        self.guest.is_some_and(|guest| (guest.session, guest.greeting) == (call.session, call.greeting))
    }

    /// The frame of an answer.
    #[inline]
    pub(crate) fn answer<'a>(&self, call: CallId, payload: &'a [u8]) -> Frame<'a> {
        let CallId { session, number, .. } = call;
        Frame { kind: Kind::Response, call: number, session, payload, ..Frame::default() }
    }

    /// Keeps an answer until there is space for it.
    pub(crate) fn answer_later(&mut self, call: CallId, payload: &[u8]) {
        self.send(Kind::Response, call.number, call.session, payload.to_vec());
    }

    fn send(&mut self, kind: Kind, call: u32, session: Session, payload: Vec<u8>) {
        self.outbox.push_back(Outgoing { kind, call, session, payload });
    }
}

#[cfg(test)]
mod tests;
