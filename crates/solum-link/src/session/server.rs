//! A server: requests and answers over a transport.

use super::Interface;
use super::guest::{CallId, Event, Reception};
use crate::frame::Received;
use crate::pool::Pool;
use crate::transport::{SendError, Transport, WaitOutcome, Want};
use std::time::Instant;

/// The answering end of a link. It has one client at a time, and outlives any of them.
#[derive(Debug)]
pub struct Server<T> {
    transport: T,
    reception: Reception,
    received: Received,
}

impl<T: Transport> Server<T> {
    /// A server that serves this interface.
    pub fn new(transport: T, interface: Interface) -> Self {
        let reception = Reception::new(transport.epoch(), interface);
        Self { transport, reception, received: Received::default() }
    }

    /// Waits for what happens next; nothing, if the deadline comes first.
    pub fn next(&mut self, deadline: Option<Instant>) -> Option<Event> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            let outcome = self.transport.wait(self.want(), deadline);
            // A client that never falls silent ends each wait before its time.
            let is_late = || deadline.is_some_and(|deadline| deadline <= self.transport.now());
            if outcome == WaitOutcome::Deadline || is_late() {
                return self.try_next();
            }
        }
    }

    /// What happened next, if anything did.
    pub fn try_next(&mut self) -> Option<Event> {
        self.flush();
        // Each frame that is no request may be followed by one, but a flood of them is taken in turns.
        for _ in 0..64 {
            if !self.reception.is_idle() {
                break;
            }
            let peer = self.transport.peer_epoch();
            match self.transport.receive_into(&mut self.received) {
                Ok(true) => self.reception.frame(&mut self.received, peer),
                Ok(false) => break,
                Err(_) => {
                    self.reception.broken();
                    break;
                }
            }
            self.flush();
        }
        self.reception.peer(self.transport.peer_epoch());
        self.reception.event()
    }

    /// Answers a call, without waiting. An answer that nobody waits for any more is dropped; what is too long is an error,
    /// and the call still wants an answer.
    pub fn reply(&mut self, call: CallId, payload: &[u8]) -> Result<(), SendError> {
        let max = self.transport.longest_payload();
        if payload.len() > max {
            return Err(SendError::TooLong { max });
        }
        self.flush();
        if !self.reception.is_wanted(call) {
            return Ok(());
        }
        if self.reception.has_outgoing() {
            self.reception.answer_later(call, payload);
            return Ok(());
        }
        match self.transport.send(&self.reception.answer(call, payload)) {
            Err(SendError::Full) => self.reception.answer_later(call, payload),
            Err(SendError::Broken) => self.reception.broken(),
            Ok(()) | Err(SendError::TooLong { .. }) => {}
        }
        Ok(())
    }

    /// Takes back the memory of a request that was read: the next one is put there.
    pub fn recycle(&mut self, payload: Vec<u8>) {
        self.received.payload = payload;
    }

    /// What to wait for before [`Self::try_next`] can say more: not for requests, while a client leaves its answers.
    pub fn want(&self) -> Want {
        if self.reception.has_outgoing() { Want::Space } else { Want::Any }
    }

    /// The memory for bulk data.
    pub fn pool(&self) -> &Pool {
        self.transport.pool()
    }

    /// What carries the frames; for waiting on several things.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    fn flush(&mut self) {
        while let Some(frame) = self.reception.outgoing() {
            match self.transport.send(&frame) {
                Ok(()) | Err(SendError::TooLong { .. }) => self.reception.sent(),
                Err(SendError::Full) => return,
                Err(SendError::Broken) => return self.reception.broken(),
            }
        }
    }
}
