//! What units printed: the last of it, and an exact account of what is gone.
//!
//! Bytes become lines, lines get numbers, old lines make room for new ones. Whoever reads keeps a [`Position`] and is
//! told how much it missed, so a slow reader slows nobody and nothing is lost in silence.

use std::collections::VecDeque;

/// What a ring holds unless the description says otherwise, in bytes.
pub const CAPACITY: usize = 1 << 20;

/// A longer line is kept in pieces of this length, in bytes.
pub const LINE_MAX: usize = 16 << 10;

/// What a line takes beside its bytes, so that empty lines do not come for nothing.
pub const LINE_OVERHEAD: usize = size_of::<Line>();

/// Where a unit prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Its standard output.
    Output,
    /// Its standard error.
    Error,
}

/// Who printed something, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The unit.
    pub unit: usize,
    /// The stream.
    pub stream: Stream,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// With a newline, which is not among its bytes.
    Newline,
    /// Not at all: it was longer than [`LINE_MAX`], and the next line of the same source goes on with it.
    Continues,
    /// Its stream ended.
    Closed,
}

/// One line, or a piece of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the ring, from 0, without gaps.
    pub sequence: u64,
    /// How many bytes of lines came before it.
    offset: u64,
    /// When its first byte came, in milliseconds of the caller's monotonic clock.
    pub at_ms: u64,
    /// Who printed it.
    pub source: Source,
    /// What was printed, in whatever encoding.
    pub bytes: Box<[u8]>,
    /// How it ended.
    pub end: LineEnd,
}

/// How far somebody has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The next line.
    sequence: u64,
    /// How many bytes of lines were read or are known to be lost.
    offset: u64,
}

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The next line.
    Line(&'a Line),
    /// Lines that made room before they were read.
    Lost {
        /// How many; a long line counts once for each of its pieces.
        lines: u64,
        /// The sum of their bytes, without newlines.
        bytes: u64,
    },
}

/// A line that has not ended yet.
#[derive(Clone, Debug)]
struct Unfinished {
    source: Source,
    at_ms: u64,
    bytes: Vec<u8>,
}

/// Keeps the last lines, within a bound.
#[derive(Clone, Debug)]
pub struct LogRing {
    capacity: usize,
    lines: VecDeque<Line>,
    /// What the lines take.
    used: usize,
    /// Behind the last line there ever was.
    end: Position,
    unfinished: Vec<Unfinished>,
}

impl Default for LogRing {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl LogRing {
    /// An empty ring. `capacity` bounds the sum of all lines, each with [`LINE_OVERHEAD`]; lines that have not ended come
    /// on top, at most [`LINE_MAX`] for each source.
    pub const fn new(capacity: usize) -> Self {
        let end = Position { sequence: 0, offset: 0 };
        Self { capacity, lines: VecDeque::new(), used: 0, end, unfinished: Vec::new() }
    }

    /// Takes bytes as they were read from a unit's stream. A line that they begin is kept until it ends.
    pub fn write(&mut self, now_ms: u64, source: Source, bytes: &[u8]) {
        let mut line = self.take_unfinished(now_ms, source);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind, end) = next_piece(rest, LINE_MAX - line.bytes.len());
            line.bytes.extend_from_slice(piece);
            rest = behind;
            if let Some(end) = end {
                let done = Unfinished { source, at_ms: now_ms, bytes: Vec::new() };
                self.push(std::mem::replace(&mut line, done), end);
            }
        }
        if !line.bytes.is_empty() {
            self.unfinished.push(line);
        }
    }

    /// A stream has ended; what it printed last is a line even without a newline.
    pub fn close(&mut self, source: Source) {
        if let Some(place) = self.unfinished.iter().position(|line| line.source == source) {
            let line = self.unfinished.swap_remove(place);
            self.push(line, LineEnd::Closed);
        }
    }

    /// Where the oldest line is that is still there.
    pub fn oldest(&self) -> Position {
        self.lines.front().map_or(self.end, |line| Position { sequence: line.sequence, offset: line.offset })
    }

    /// Behind the newest line, for a reader that wants only what is still to come.
    pub const fn newest(&self) -> Position {
        self.end
    }

    /// The position from which `lines` lines are read until the newest; fewer, if there are fewer.
    pub fn last(&self, lines: usize) -> Position {
        let first = self.lines.get(self.lines.len().saturating_sub(lines));
        first.map_or(self.end, |line| Position { sequence: line.sequence, offset: line.offset })
    }

    /// What comes next for a reader, whose position moves behind it; nothing if it has read everything.
    pub fn read(&self, position: &mut Position) -> Option<Entry<'_>> {
        let oldest = self.oldest();
        if position.sequence < oldest.sequence {
            let lines = oldest.sequence - position.sequence;
            let bytes = oldest.offset.saturating_sub(position.offset);
            *position = oldest;
            return Some(Entry::Lost { lines, bytes });
        }
        let place = usize::try_from(position.sequence - oldest.sequence).ok()?;
        let line = self.lines.get(place)?;
        *position = Position { sequence: line.sequence + 1, offset: line.offset + line.bytes.len() as u64 };
        Some(Entry::Line(line))
    }

    /// What the lines take, in bytes.
    pub const fn used(&self) -> usize {
        self.used
    }

    fn take_unfinished(&mut self, now_ms: u64, source: Source) -> Unfinished {
        match self.unfinished.iter().position(|line| line.source == source) {
            Some(place) => self.unfinished.swap_remove(place),
            None => Unfinished { source, at_ms: now_ms, bytes: Vec::new() },
        }
    }

    fn push(&mut self, line: Unfinished, end: LineEnd) {
        let Unfinished { source, at_ms, bytes } = line;
        let Position { sequence, offset } = self.end;
        self.end = Position { sequence: sequence + 1, offset: offset + bytes.len() as u64 };
        self.used += LINE_OVERHEAD + bytes.len();
        self.lines.push_back(Line { sequence, offset, at_ms, source, bytes: bytes.into(), end });
        while self.used > self.capacity {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.used -= LINE_OVERHEAD + oldest.bytes.len();
        }
    }
}

/// Splits what belongs to the line that is being read, of which `room` bytes may still come, from what follows. The line
/// is split only when there is more of it: one that exactly fits is whole.
fn next_piece(bytes: &[u8], room: usize) -> (&[u8], &[u8], Option<LineEnd>) {
    let within = &bytes[..bytes.len().min(room + 1)];
    match within.iter().position(|byte| *byte == b'\n') {
        Some(length) => (&bytes[..length], &bytes[length + 1..], Some(LineEnd::Newline)),
        None if within.len() > room => (&bytes[..room], &bytes[room..], Some(LineEnd::Continues)),
        None => (bytes, &[], None),
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
