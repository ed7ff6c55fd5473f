//! One connection: bytes that come and go, and the time, without I/O and without a clock.

use super::handshake::{self, ANSWER, GREETING, MESSAGE, Verdict};
use super::record::{LONGEST, PIECE, Record, TAG};
use super::{DEAD_AFTER, HANDSHAKE_WITHIN, HEARTBEAT_EVERY, PublicKey, Refusal, SecretKey, WINDOW};
use snow::{HandshakeState, TransportState};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// No more frames are taken to be sent while so many bytes were not written yet.
const OUTPUT: usize = 128 << 10;

/// What a machine knows when it comes up.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its own key.
    pub secret: SecretKey,
    /// A number that this life of the machine has and no other: who comes back with another one remembers nothing.
    pub life: u64,
    /// The links to other machines, and who is at their other end.
    pub peers: BTreeMap<u32, PublicKey>,
}

enum Phase {
    /// The peer is to greet.
    Greeting,
    /// The peer greeted, and is to send the first message.
    FirstMessage,
    /// The peer is to answer the greeting and the first message.
    Answer(Box<HandshakeState>),
    /// The peer answered, and is to send the second message.
    SecondMessage(Box<HandshakeState>),
    /// Records come and go.
    Records(Box<TransportState>),
    /// It was refused.
    Over,
}

/// One connection for one link.
pub struct Connection {
    known: Arc<Known>,
    phase: Phase,
    link: u32,
    peer_life: u64,
    /// Whether the peer proved that it takes part now: a first message alone may be an old one.
    is_open: bool,
    begun: Instant,
    heard: Instant,
    said: Instant,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How many bytes of frames may be sent.
    leave: usize,
    frames: Vec<u8>,
    /// How many bytes were taken without leave for others.
    taken: usize,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, is_open, .. } = self;
        formatter
            .debug_struct("Connection")
            .field("link", link)
            .field("is_open", is_open)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The end that connected, for one of the links that it knows.
    ///
    /// # Errors
    ///
    /// For a link that is not known.
    pub fn initiate(known: Arc<Known>, link: u32, now: Instant) -> Result<Self, Refusal> {
        let peer = known.peers.get(&link).ok_or(Refusal::UnknownLink(link))?;
        let mut state = handshake::begin(&known.secret, peer, link, true)?;
        let mut output = handshake::greeting(link).to_vec();
        output.extend(handshake::write(&mut state, known.life)?);
        let mut connection = Self::new(known, Phase::Answer(Box::new(state)), now);
        connection.link = link;
        connection.output = output;
        Ok(connection)
    }

    /// The end that was connected to, by whoever.
    #[must_use]
    pub fn accept(known: Arc<Known>, now: Instant) -> Self {
        Self::new(known, Phase::Greeting, now)
    }

    fn new(known: Arc<Known>, phase: Phase, now: Instant) -> Self {
        Self {
            known,
            phase,
            link: 0,
            peer_life: 0,
            is_open: false,
            begun: now,
            heard: now,
            said: now,
            input: Vec::new(),
            output: Vec::new(),
            leave: WINDOW,
            frames: Vec::new(),
            taken: 0,
        }
    }

    /// The link that it is for; nothing, as long as that is not proved.
    #[must_use]
    pub fn link(&self) -> Option<u32> {
        self.is_open.then_some(self.link)
    }

    /// The number of the peer's life, once the connection is open.
    #[must_use]
    pub fn peer_life(&self) -> u64 {
        self.peer_life
    }

    /// Bytes came.
    ///
    /// # Errors
    ///
    /// If the connection is over. What is in [`Self::output`] may still be written, as a last word.
    pub fn received(&mut self, bytes: &[u8], now: Instant) -> Result<(), Refusal> {
        self.input.extend_from_slice(bytes);
        let mut at = 0;
        let outcome = loop {
            match self.next(at, now) {
                Ok(0) => break Ok(()),
                Ok(length) => at += length,
                Err(refusal) => {
                    self.phase = Phase::Over;
                    break Err(refusal);
                }
            }
        };
        self.input.drain(..at);
        outcome
    }

    /// Takes the next whole thing of the input; how many bytes it had, or 0 if it is not whole.
    fn next(&mut self, at: usize, now: Instant) -> Result<usize, Refusal> {
        let input = self.input.get(at..).unwrap_or_default();
        match &mut self.phase {
            Phase::Greeting => {
                let Some(greeting) = input.first_chunk::<GREETING>() else { return Ok(0) };
                let greeting = *greeting;
                self.greeted(&greeting)?;
                Ok(GREETING)
            }
            Phase::Answer(_) => {
                let Some(answer) = input.first_chunk::<ANSWER>() else { return Ok(0) };
                handshake::read_answer(answer)?;
                if let Phase::Answer(state) = std::mem::replace(&mut self.phase, Phase::Over) {
                    self.phase = Phase::SecondMessage(state);
                }
                Ok(ANSWER)
            }
            Phase::FirstMessage | Phase::SecondMessage(_) => {
                let Some(message) = whole(input, MESSAGE..=MESSAGE)? else { return Ok(0) };
                let message = message.to_vec();
                self.shaken(&message, now)?;
                Ok(2 + message.len())
            }
            Phase::Records(state) => {
                let Some(sealed) = whole(input, 1 + TAG..=LONGEST)? else { return Ok(0) };
                let mut plain = vec![0; sealed.len()];
                let length =
                    state.read_message(sealed, &mut plain).map_err(|_| Refusal::NotOfThisConnection)?;
                let taken = 2 + sealed.len();
                self.heard = now;
                self.is_open = true;
                self.record(Record::decode(plain.get(..length).unwrap_or_default())?)?;
                Ok(taken)
            }
            Phase::Over => Ok(input.len()),
        }
    }

    fn greeted(&mut self, greeting: &[u8; GREETING]) -> Result<(), Refusal> {
        let link = handshake::read_greeting(greeting).inspect_err(|refusal| {
            if matches!(refusal, Refusal::Version(_)) {
                self.output.extend(handshake::answer(Verdict::Version));
            }
        })?;
        if !self.known.peers.contains_key(&link) {
            self.output.extend(handshake::answer(Verdict::UnknownLink));
            return Err(Refusal::UnknownLink(link));
        }
        self.link = link;
        self.phase = Phase::FirstMessage;
        Ok(())
    }

    /// The peer's message of the handshake came.
    fn shaken(&mut self, message: &[u8], now: Instant) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::FirstMessage => {
                let peer = self.known.peers.get(&self.link).ok_or(Refusal::UnknownLink(self.link))?;
                let mut state = handshake::begin(&self.known.secret, peer, self.link, false)?;
                self.peer_life = handshake::read(&mut state, message).inspect_err(|_| {
                    self.output.extend(handshake::answer(Verdict::Key));
                })?;
                self.output.extend(handshake::answer(Verdict::Welcome));
                self.output.extend(handshake::write(&mut state, self.known.life)?);
                self.phase = Phase::Records(Box::new(handshake::finish(state)?));
            }
            Phase::SecondMessage(mut state) => {
                self.peer_life = handshake::read(&mut state, message)?;
                self.phase = Phase::Records(Box::new(handshake::finish(*state)?));
                self.heard = now;
                // Made of a key that is used once, which is of this moment, so it is no old one.
                self.is_open = true;
                self.say(Record::Heartbeat, now)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn record(&mut self, record: Record<'_>) -> Result<(), Refusal> {
        match record {
            Record::Frames(bytes) => {
                if self.frames.len() + self.taken + bytes.len() > WINDOW {
                    return Err(Refusal::TooMuch);
                }
                self.frames.extend_from_slice(bytes);
            }
            Record::Leave(bytes) => {
                let leave = self.leave.saturating_add(bytes as usize);
                self.leave = if leave > WINDOW {
                    return Err(Refusal::Malformed("leave to send what was never sent"));
                } else {
                    leave
                };
            }
            Record::Heartbeat => {}
        }
        Ok(())
    }

    /// The peer ends the connection; why it is over.
    #[must_use]
    pub fn closed(&self) -> Refusal {
        let is_between = self.input.is_empty() && matches!(self.phase, Phase::Records(_) | Phase::Greeting);
        if is_between { Refusal::Closed } else { Refusal::Truncated }
    }

    /// Time has passed. Everything that came until now has to be told before.
    ///
    /// # Errors
    ///
    /// If the peer is dead.
    pub fn time(&mut self, now: Instant) -> Result<(), Refusal> {
        if !self.is_open {
            let is_late = now >= self.begun + HANDSHAKE_WITHIN;
            return if is_late { Err(Refusal::Slow) } else { Ok(()) };
        }
        if now >= self.heard + DEAD_AFTER {
            return Err(Refusal::Silent);
        }
        // As long as something waits to be written, it will be the sign of life.
        if now >= self.said + HEARTBEAT_EVERY && self.output.is_empty() {
            self.say(Record::Heartbeat, now)?;
        }
        Ok(())
    }

    /// When [`Self::time`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if !self.is_open {
            return self.begun + HANDSHAKE_WITHIN;
        }
        let dead = self.heard + DEAD_AFTER;
        if self.output.is_empty() { dead.min(self.said + HEARTBEAT_EVERY) } else { dead }
    }

    /// What is to be written.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// So much of it was written.
    pub fn wrote(&mut self, length: usize) {
        self.output.drain(..length.min(self.output.len()));
    }

    /// How many bytes of frames can be sent now.
    #[must_use]
    pub fn room(&self) -> usize {
        if !self.is_open {
            return 0;
        }
        self.leave.min(OUTPUT.saturating_sub(self.output.len()))
    }

    /// Sends the next bytes of frames, of which there may be as many as there is room for.
    ///
    /// # Errors
    ///
    /// If there is no room, or the connection is over.
    pub fn send(&mut self, bytes: &[u8], now: Instant) -> Result<(), Refusal> {
        if bytes.len() > self.room() {
            return Err(Refusal::Malformed("nothing, and there was no leave to send more"));
        }
        self.leave -= bytes.len();
        bytes.chunks(PIECE).try_for_each(|piece| self.say(Record::Frames(piece), now))
    }

    /// The bytes of frames that came and were not taken.
    #[must_use]
    pub fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Takes so many of them, which gives the peer leave to send others.
    ///
    /// # Errors
    ///
    /// If the connection is over.
    pub fn take(&mut self, length: usize, now: Instant) -> Result<(), Refusal> {
        let length = length.min(self.frames.len());
        self.frames.drain(..length);
        self.taken += length;
        if self.taken >= WINDOW / 2 {
            let leave = std::mem::take(&mut self.taken);
            self.say(Record::Leave(leave as u32), now)?;
        }
        Ok(())
    }

    fn say(&mut self, record: Record<'_>, now: Instant) -> Result<(), Refusal> {
        let Phase::Records(state) = &mut self.phase else { return Err(Refusal::Closed) };
        let plain = record.encode();
        let begin = self.output.len();
        self.output.resize(begin + 2 + plain.len() + TAG, 0);
        let (length, sealed) = self.output[begin..].split_at_mut(2);
        let count = state.write_message(&plain, sealed).map_err(|_| Refusal::NotOfThisConnection)?;
        length.copy_from_slice(&(count as u16).to_be_bytes());
        self.said = now;
        Ok(())
    }
}

/// The bytes of a message behind its length, if they are all there.
fn whole(input: &[u8], lengths: std::ops::RangeInclusive<usize>) -> Result<Option<&[u8]>, Refusal> {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if !lengths.contains(&length) {
        return Err(Refusal::Malformed("a message of an impossible length"));
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests;
