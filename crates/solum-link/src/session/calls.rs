//! What a client decides: whom to greet, what to send, which answer belongs to which call. No I/O and no clock.

use super::Interface;
use crate::frame::{Broken, Frame, Kind, Range, Received, Session};
use crate::numbered::Numbered;
use crate::transport::SendError;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// A greeting without an answer is repeated: the peer may have been replaced while it was read.
const GREET_AGAIN: Duration = Duration::from_millis(100);
/// Who was refused greets again after this, and later each time: behind a relay, another server may be there by then, and
/// nothing else tells.
const REFUSED_AGAIN: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5);
/// Buffers kept for the next calls.
const SPARE_BUFFERS: usize = 16;

/// Why a call has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallError {
    /// The server ended while the call was under way: it may or may not have been done.
    Gone {
        /// The epoch of that server.
        epoch: u32,
    },
    /// There was no answer in time.
    Deadline,
    /// The server does not serve this interface; why.
    Refused(String),
    /// The server broke the link.
    Broken,
    /// The message is longer than the link carries.
    TooLong {
        /// The longest payload.
        max: usize,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { epoch } => write!(formatter, "the server ended during the call (epoch {epoch})"),
            Self::Deadline => formatter.write_str("there was no answer in time"),
            Self::Refused(why) => write!(formatter, "the server refused: {why}"),
            Self::Broken => Broken.fmt(formatter),
            Self::TooLong { max } => SendError::TooLong { max: *max }.fmt(formatter),
        }
    }
}

impl std::error::Error for CallError {}

/// The answer to a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Its content.
    pub payload: Vec<u8>,
    /// The epoch of the server that gave it.
    pub server: u32,
}

/// A call that was submitted; to be completed, or forgotten.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a call that is neither completed nor forgotten keeps its answer for ever"]
pub struct Ticket(u32);

/// What to call.
pub(crate) struct Submission<'a> {
    pub(crate) method: u16,
    pub(crate) retry: bool,
    pub(crate) payload: &'a [u8],
    pub(crate) range: Option<Range>,
    pub(crate) deadline: Option<Instant>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// Nobody is there.
    Apart,
    /// Somebody is there and did not answer yet.
    Greeting { peer: u32, again_at: Option<Instant> },
    /// There is a session.
    Together { peer: u32, session: Session },
    /// Whoever is there does not want us.
    Refused { peer: u32, why: String, again_at: Option<Instant> },
    /// Whoever is there broke the link.
    Broken,
}

#[derive(PartialEq, Eq, Debug)]
enum State {
    Queued,
    Sent,
    Done(Result<Response, CallError>),
}

#[derive(Debug)]
struct Call {
    method: u16,
    retry: bool,
    /// Empty once sent, unless it may have to be sent again.
    payload: Vec<u8>,
    range: Option<Range>,
    deadline: Option<Instant>,
    /// The number it was last sent with. Each sending has another, so that each answer tells which one it answers.
    number: u32,
    state: State,
}

/// The calls of one client.
#[derive(Debug)]
pub(crate) struct Calls {
    epoch: u32,
    hello: Vec<u8>,
    phase: Phase,
    /// The number of the current greeting. An answer to an older one is late.
    greeting: u32,
    last_number: u32,
    /// By ticket, which is the number of the first sending.
    calls: Numbered<Call>,
    /// Tickets of what was sent again, by its number.
    repeated: Numbered<u32>,
    queue: VecDeque<u32>,
    /// No later than the earliest deadline.
    earliest: Option<Instant>,
    /// Ranges that a server may still use though nobody waits for its answer, by number.
    limbo: Numbered<Range>,
    /// Ranges to be given back to the pool as soon as no server uses them.
    unwanted: Vec<Range>,
    was_welcome: bool,
    /// How long the last refusal was taken for an answer.
    refused_for: Duration,
    spare: Vec<Vec<u8>>,
}

impl Calls {
    pub(crate) fn new(epoch: u32, interface: &Interface) -> Self {
        Self {
            epoch,
            hello: interface.hello(),
            phase: Phase::Apart,
            greeting: 0,
            last_number: 0,
            calls: Numbered::default(),
            repeated: Numbered::default(),
            queue: VecDeque::new(),
            earliest: None,
            limbo: Numbered::default(),
            unwanted: Vec::new(),
            was_welcome: false,
            refused_for: Duration::ZERO,
            spare: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn submit(&mut self, submission: &Submission<'_>) -> Ticket {
        let number = self.next_number();
        let mut payload = self.spare.pop().unwrap_or_default();
        payload.extend_from_slice(submission.payload);
        let &Submission { method, retry, range, deadline, .. } = submission;
        let state = match &self.phase {
            Phase::Refused { why, .. } => State::Done(Err(CallError::Refused(why.clone()))),
            Phase::Broken => State::Done(Err(CallError::Broken)),
            _ => State::Queued,
        };
        if state == State::Queued {
            self.queue.push_back(number);
            self.earliest = self.earliest.into_iter().chain(deadline).min();
        }
        self.calls.insert(number, Call { method, retry, payload, range, deadline, number, state });
        Ticket(number)
    }

    /// The result of a call, if there is one; the ticket, if not.
    #[inline]
    pub(crate) fn take(&mut self, ticket: Ticket) -> Result<Result<Response, CallError>, Ticket> {
        match self.calls.get(ticket.0) {
            // A ticket of another client: nothing will ever come of it.
            None => Ok(Err(CallError::Broken)),
            Some(Call { state: State::Done(_), .. }) => match self.calls.remove(ticket.0) {
                Some(Call { state: State::Done(result), .. }) => Ok(result),
                _ => Ok(Err(CallError::Broken)),
            },
            Some(_) => Err(ticket),
        }
    }

    /// Nobody waits for that call any more.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.end(ticket.0, CallError::Deadline);
        self.calls.remove(ticket.0);
    }

    /// Gives a range back to the pool, now or when no server can use it any more; see [`Self::settled`].
    pub(crate) fn free(&mut self, range: Range) {
        self.unwanted.push(range);
    }

    /// Whether there are ranges that go back to the pool later.
    #[inline]
    pub(crate) fn has_unwanted(&self) -> bool {
        !self.unwanted.is_empty()
    }

    /// A range that nobody uses any more.
    #[inline]
    pub(crate) fn settled(&mut self) -> Option<Range> {
        if self.unwanted.is_empty() {
            return None;
        }
        let overlap = |one: &Range, other: &Range| {
            let end = |range: &Range| u64::from(range.offset) + u64::from(range.length);
            u64::from(one.offset) < end(other) && u64::from(other.offset) < end(one)
        };
        let sent = |range: &Range| {
            self.calls
                .values()
                .filter(|call| call.state == State::Sent)
                .any(|call| call.range.is_some_and(|used| overlap(&used, range)))
        };
        let is_used = |range: &Range| self.limbo.values().any(|used| overlap(used, range)) || sent(range);
        let index = self.unwanted.iter().position(|range| !is_used(range))?;
        Some(self.unwanted.swap_remove(index))
    }

    /// What to send next, if anything; to be followed by [`Self::sent`] or [`Self::not_sent`].
    #[inline]
    pub(crate) fn outgoing(&self, now: Option<Instant>) -> Option<Frame<'_>> {
        match &self.phase {
            Phase::Greeting { again_at, .. } if again_at.is_none_or(|at| now.is_none_or(|now| now >= at)) => {
                let session = Session { client: self.epoch, server: 0 };
                let (call, payload) = (self.greeting, &*self.hello);
                Some(Frame { kind: Kind::Hello, call, session, payload, ..Frame::default() })
            }
            Phase::Together { session, .. } => {
                let call = self.calls.get(*self.queue.front()?)?;
                let &Call { method, range, number, .. } = call;
                let (kind, session, payload) = (Kind::Request, *session, &*call.payload);
                Some(Frame { kind, method, call: number, session, range, payload })
            }
            _ => None,
        }
    }

    /// The frame went out.
    #[inline]
    pub(crate) fn sent(&mut self, now: Option<Instant>) {
        if let Phase::Greeting { again_at, .. } = &mut self.phase {
            *again_at = now.map(|now| now + GREET_AGAIN);
            return;
        }
        let Some(call) = self.queue.pop_front().and_then(|ticket| self.calls.get_mut(ticket)) else {
            return;
        };
        call.state = State::Sent;
        if !call.retry && self.spare.len() < SPARE_BUFFERS {
            let mut buffer = std::mem::take(&mut call.payload);
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// The frame can never go out.
    pub(crate) fn not_sent(&mut self, why: CallError) {
        if let Some(ticket) = self.queue.front().copied() {
            self.end(ticket, why);
        }
    }

    /// Somebody is there, or nobody.
    #[inline]
    pub(crate) fn peer(&mut self, present: Option<u32>) {
        let known = match &self.phase {
            Phase::Apart => None,
            Phase::Greeting { peer, .. } | Phase::Together { peer, .. } | Phase::Refused { peer, .. } => {
                Some(*peer)
            }
            // As long as the link is broken, it does not matter for whom.
            Phase::Broken => return,
        };
        if known != present {
            self.peer_changed(known, present);
        }
    }

    fn peer_changed(&mut self, known: Option<u32>, present: Option<u32>) {
        self.part(known.unwrap_or_default());
        self.refused_for = Duration::ZERO;
        if let Some(peer) = present {
            self.greet(peer);
        }
    }

    fn greet(&mut self, peer: u32) {
        self.greeting = self.greeting.wrapping_add(1);
        self.phase = Phase::Greeting { peer, again_at: None };
    }

    /// The session, if there was one, is over.
    fn part(&mut self, peer: u32) {
        let epoch = match &self.phase {
            Phase::Together { session, .. } => session.server,
            _ => peer,
        };
        self.phase = Phase::Apart;
        self.limbo.clear();
        let sent = self.calls.iter().filter(|(_, call)| call.state == State::Sent);
        let sent: Vec<u32> = sent.map(|(ticket, _)| ticket).collect();
        // What is repeated keeps its place before what was never sent.
        for ticket in sent.into_iter().rev() {
            let number = self.next_number();
            let Some(call) = self.calls.get_mut(ticket) else { continue };
            self.repeated.remove(call.number);
            if call.retry {
                call.state = State::Queued;
                call.number = number;
                self.repeated.insert(number, ticket);
                self.queue.push_front(ticket);
            } else {
                call.state = State::Done(Err(CallError::Gone { epoch }));
            }
        }
    }

    /// The link is broken.
    pub(crate) fn broken(&mut self) {
        self.end_all(&CallError::Broken);
        self.limbo.clear();
        self.phase = Phase::Broken;
    }

    /// The link is not broken; perhaps another peer has come.
    #[inline]
    pub(crate) fn sound(&mut self) {
        if self.phase == Phase::Broken {
            self.phase = Phase::Apart;
        }
    }

    /// A frame came. Whatever does not belong to the greeting or session at hand is late, and is dropped.
    #[inline]
    pub(crate) fn frame(&mut self, received: &mut Received) {
        match (received.kind, &self.phase) {
            (Kind::Welcome, Phase::Greeting { peer, .. }) if self.is_for_greeting(received) => {
                self.phase = Phase::Together { peer: *peer, session: received.session };
                self.was_welcome = true;
                self.refused_for = Duration::ZERO;
            }
            (Kind::Refused, Phase::Greeting { peer, .. }) if self.is_for_greeting(received) => {
                let why = String::from_utf8_lossy(&received.payload).into_owned();
                self.phase = Phase::Refused { peer: *peer, why: why.clone(), again_at: None };
                self.end_all(&CallError::Refused(why));
            }
            (Kind::Gone, Phase::Together { peer, session }) if received.session == *session => {
                let peer = *peer;
                self.part(peer);
                self.greet(peer);
            }
            (Kind::Response, Phase::Together { session, .. }) if received.session == *session => {
                self.answer(received);
            }
            _ => {}
        }
    }

    fn is_for_greeting(&self, received: &Received) -> bool {
        received.session.client == self.epoch && received.call == self.greeting
    }

    fn answer(&mut self, received: &mut Received) {
        if self.limbo.remove(received.call).is_some() {
            return;
        }
        let ticket = self.repeated.get(received.call).copied().unwrap_or(received.call);
        let Some(call) = self.calls.get_mut(ticket) else { return };
        if call.number != received.call || call.state != State::Sent {
            return;
        }
        self.repeated.remove(received.call);
        let payload = std::mem::take(&mut received.payload);
        call.state = State::Done(Ok(Response { payload, server: received.session.server }));
    }

    /// Time has passed.
    #[inline]
    pub(crate) fn time(&mut self, now: Instant) {
        self.get_over_refusal(now);
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        self.end_late(now);
    }

    fn end_late(&mut self, now: Instant) {
        let late = |call: &Call| {
            !matches!(call.state, State::Done(_)) && call.deadline.is_some_and(|deadline| deadline <= now)
        };
        let tickets: Vec<u32> =
            self.calls.iter().filter(|(_, call)| late(call)).map(|(ticket, _)| ticket).collect();
        for ticket in tickets {
            self.end(ticket, CallError::Deadline);
        }
        let open = self.calls.values().filter(|call| !matches!(call.state, State::Done(_)));
        self.earliest = open.filter_map(|call| call.deadline).min();
    }

    fn get_over_refusal(&mut self, now: Instant) {
        let Phase::Refused { peer, again_at, .. } = &mut self.phase else { return };
        let peer = *peer;
        match again_at {
            Some(at) if *at <= now => self.greet(peer),
            Some(_) => {}
            None => {
                let (first, longest) = (*REFUSED_AGAIN.start(), *REFUSED_AGAIN.end());
                self.refused_for = (self.refused_for * 2).clamp(first, longest);
                *again_at = Some(now + self.refused_for);
            }
        }
    }

    fn end_all(&mut self, why: &CallError) {
        let tickets: Vec<u32> = self.calls.iter().map(|(ticket, _)| ticket).collect();
        for ticket in tickets {
            self.end(ticket, why.clone());
        }
    }

    fn end(&mut self, ticket: u32, why: CallError) {
        let Some(call) = self.calls.get_mut(ticket) else { return };
        match call.state {
            State::Done(_) => return,
            State::Queued => self.queue.retain(|queued| *queued != ticket),
            State::Sent => {
                if let Some(range) = call.range {
                    self.limbo.insert(call.number, range);
                }
            }
        }
        self.repeated.remove(call.number);
        call.state = State::Done(Err(why));
    }

    /// When to come back though nothing happened.
    #[inline]
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let again = match &self.phase {
            Phase::Greeting { again_at, .. } | Phase::Refused { again_at, .. } => *again_at,
            _ => None,
        };
        again.into_iter().chain(self.earliest).min()
    }

    /// Whether the time is of any interest.
    #[inline]
    pub(crate) fn needs_time(&self) -> bool {
        self.earliest.is_some() || self.is_refused() || matches!(self.phase, Phase::Greeting { .. })
    }

    /// Whether whoever is there does not want us.
    #[inline]
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused { .. })
    }

    /// The session, or why there is none; `Ok(None)` if there may be one soon.
    pub(crate) fn session(&self) -> Result<Option<Session>, CallError> {
        match &self.phase {
            Phase::Together { session, .. } => Ok(Some(*session)),
            Phase::Refused { why, .. } => Err(CallError::Refused(why.clone())),
            Phase::Broken => Err(CallError::Broken),
            Phase::Apart | Phase::Greeting { .. } => Ok(None),
        }
    }

    /// Whether a server made this client welcome, ever: from then on nobody writes to the pool what an earlier client
    /// of this link asked for.
    pub(crate) fn may_use_pool(&self) -> bool {
        self.was_welcome
    }

    #[inline]
    fn next_number(&mut self) -> u32 {
        loop {
            self.last_number = self.last_number.wrapping_add(1);
            let number = self.last_number;
            let is_used =
                self.calls.contains(number) || self.repeated.contains(number) || self.limbo.contains(number);
            if number != 0 && !is_used {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests;
