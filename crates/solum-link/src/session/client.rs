//! A client: calls over a transport.

use super::Interface;
use super::calls::{CallError, Calls, Response, Submission, Ticket};
use crate::frame::{Range, Received, Session};
use crate::pool::Pool;
use crate::transport::{SendError, Transport, Want};
use std::time::Instant;

/// Frames taken in one turn, so that a peer that never stops talking does not keep us from our deadlines.
const FRAMES_A_TURN: usize = 64;

/// The calling end of a link.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    calls: Calls,
    received: Received,
}

impl<T: Transport> Client<T> {
    /// A client that means this interface. Nothing is sent yet.
    pub fn new(transport: T, interface: &Interface) -> Self {
        let calls = Calls::new(transport.epoch(), interface);
        Self { transport, calls, received: Received::default() }
    }

    /// Calls a method and waits for the answer. A call with `retry` is sent again when the server was replaced.
    pub fn call(
        &mut self,
        method: u16,
        retry: bool,
        payload: &[u8],
        range: Option<Range>,
        deadline: Option<Instant>,
    ) -> Result<Response, CallError> {
        let ticket = self.submit(method, retry, payload, range, deadline);
        self.complete(ticket)
    }

    /// Sends a call off, as soon as there is a server and space, and does not wait. Several may be under way.
    pub fn submit(
        &mut self,
        method: u16,
        retry: bool,
        payload: &[u8],
        range: Option<Range>,
        deadline: Option<Instant>,
    ) -> Ticket {
        if self.calls.is_refused() {
            // It may be time to ask again, and then this call is part of that.
            self.turn();
        }
        let ticket = self.calls.submit(&Submission { method, retry, payload, range, deadline });
        self.turn();
        ticket
    }

    /// Waits for the answer to a call.
    pub fn complete(&mut self, mut ticket: Ticket) -> Result<Response, CallError> {
        // What came since the last turn ends the wait at once.
        loop {
            ticket = match self.calls.take(ticket) {
                Ok(result) => return result,
                Err(ticket) => ticket,
            };
            self.transport.wait(Want::Any, self.calls.wake_at());
            self.turn();
        }
    }

    /// Takes back the memory of an answer that was read: the next one is put there.
    pub fn recycle(&mut self, payload: Vec<u8>) {
        self.received.payload = payload;
    }

    /// The result of a call, if there is one already; the ticket, if not.
    pub fn try_complete(&mut self, ticket: Ticket) -> Result<Result<Response, CallError>, Ticket> {
        self.turn();
        self.calls.take(ticket)
    }

    /// Gives a call up. It may be done all the same.
    pub fn forget(&mut self, ticket: Ticket) {
        self.calls.forget(ticket);
    }

    /// Waits until a server made us welcome.
    pub fn connect(&mut self, deadline: Option<Instant>) -> Result<Session, CallError> {
        loop {
            self.turn();
            if let Some(session) = self.calls.session()? {
                return Ok(session);
            }
            let until = deadline.into_iter().chain(self.calls.wake_at()).min();
            self.transport.wait(Want::Any, until);
            // Whatever ended the wait: a server that never falls silent ends each before its time.
            if deadline.is_some_and(|deadline| deadline <= self.transport.now()) {
                self.turn();
                return self.calls.session()?.ok_or(CallError::Deadline);
            }
        }
    }

    /// The session with the server that is there, if it made us welcome.
    pub fn session(&self) -> Option<Session> {
        self.calls.session().ok().flatten()
    }

    /// Sets a part of the pool aside, if there is room. Waits for a first welcome, since until then a server may still
    /// write what an earlier client of this link asked for.
    pub fn allocate(&mut self, length: u32, deadline: Option<Instant>) -> Result<Option<Range>, CallError> {
        if !self.calls.may_use_pool() {
            self.connect(deadline)?;
        }
        self.give_back();
        Ok(self.transport.pool().allocate(length))
    }

    /// Gives a part of the pool back. If a server may still use it, for a call that was given up, that is done later.
    pub fn free(&mut self, range: Range) {
        self.calls.free(range);
        self.give_back();
    }

    /// Whether parts of the pool come back without anybody's doing here: a server may still use them, and will answer or end.
    pub fn is_owed_room(&self) -> bool {
        self.calls.has_unwanted()
    }

    /// Does all that can be done without waiting.
    pub fn turn(&mut self) {
        let mut outcome = Ok(true);
        for _ in 0..FRAMES_A_TURN {
            outcome = self.transport.receive_into(&mut self.received);
            if outcome != Ok(true) {
                break;
            }
            self.calls.frame(&mut self.received);
        }
        match outcome {
            Ok(_) => self.calls.sound(),
            Err(_) => self.calls.broken(),
        }
        // After the frames: an answer that came before its server died is an answer.
        self.calls.peer(self.transport.peer_epoch());
        let now = self.calls.needs_time().then(|| self.transport.now());
        if let Some(now) = now {
            self.calls.time(now);
        }
        self.send(now);
        self.give_back();
    }

    /// When to take a [`Self::turn`] though nothing happened on the link.
    pub fn wake_at(&self) -> Option<Instant> {
        self.calls.wake_at()
    }

    /// The memory for bulk data.
    pub fn pool(&self) -> &Pool {
        self.transport.pool()
    }

    /// What carries the frames; for waiting on several things.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    fn send(&mut self, now: Option<Instant>) {
        while let Some(frame) = self.calls.outgoing(now) {
            match self.transport.send(&frame) {
                Ok(()) => self.calls.sent(now),
                Err(SendError::Full) => return,
                Err(SendError::TooLong { max }) => self.calls.not_sent(CallError::TooLong { max }),
                Err(SendError::Broken) => return self.calls.broken(),
            }
        }
    }

    fn give_back(&mut self) {
        while let Some(range) = self.calls.settled() {
            self.transport.pool().free(range);
        }
    }
}
