//! Frames: what travels on a link, whatever the link is made of.

use std::fmt;

/// The bytes in front of every payload.
pub(crate) const HEADER: usize = 32;

/// What every header ends with, mixed with its position: what was not written as a frame is not taken for one.
const MARK: u32 = 0x6B6E_694C;

/// The two ends of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The one that calls, and that owns the pool.
    Client,
    /// The one that answers.
    Server,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Kind {
    /// A client says who it is and which interface it means.
    Hello = 1,
    /// The server's consent; from here on there is a session.
    Welcome = 2,
    /// The server's refusal; the payload says why.
    Refused = 3,
    /// The session named does not exist (any more).
    Gone = 4,
    /// A call.
    Request = 5,
    /// The answer to a call.
    Response = 6,
    /// Says nothing but that its sender lives.
    #[default]
    Heartbeat = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Hello,
            Self::Welcome,
            Self::Refused,
            Self::Gone,
            Self::Request,
            Self::Response,
            Self::Heartbeat,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Who talks with whom: the epoch of either side. A process that was started again has another epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Session {
    /// The client's epoch.
    pub client: u32,
    /// The server's epoch; 0 in a Hello, which knows none yet.
    pub server: u32,
}

/// A part of the link's pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// Where it begins, from the pool's beginning.
    pub offset: u32,
    /// How many bytes it has.
    pub length: u32,
}

/// A frame to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Frame<'a> {
    /// What it is for.
    pub kind: Kind,
    /// Which method a request calls.
    pub method: u16,
    /// Which call this belongs to.
    pub call: u32,
    /// Between whom.
    pub session: Session,
    /// The part of the pool that goes with it.
    pub range: Option<Range>,
    /// Its content.
    pub payload: &'a [u8],
}

/// A frame that came, copied out of the link and checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// What it is for.
    pub kind: Kind,
    /// Which method a request calls.
    pub method: u16,
    /// Which call this belongs to.
    pub call: u32,
    /// Between whom.
    pub session: Session,
    /// The part of the pool that goes with it; it lies within the pool.
    pub range: Option<Range>,
    /// Its content.
    pub payload: Vec<u8>,
}

impl Received {
    /// The same, to be sent on.
    #[must_use]
    pub fn as_frame(&self) -> Frame<'_> {
        let Self { kind, method, call, session, range, payload } = self;
        Frame { kind: *kind, method: *method, call: *call, session: *session, range: *range, payload }
    }
}

/// The peer wrote what is no frame. The link is of no use until the peer is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the peer broke the link: what it wrote is no frame")
    }
}

impl std::error::Error for Broken {}

/// A header as it was read once, not yet compared with what surrounds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) method: u16,
    pub(crate) call: u32,
    pub(crate) session: Session,
    pub(crate) range: Option<Range>,
    pub(crate) length: u32,
}

impl Header {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        let Frame { kind, method, call, session, range, payload } = *frame;
        // A payload longer than that is refused before its header is written.
        Self { kind, method, call, session, range, length: u32::try_from(payload.len()).unwrap_or(u32::MAX) }
    }

    /// Little endian; `position` is where the frame begins in the ring or stream.
    pub(crate) fn encode(&self, position: u32) -> [u8; HEADER] {
        let kind =
            u32::from(self.kind as u8) | u32::from(self.range.is_some()) << 8 | u32::from(self.method) << 16;
        let range = self.range.unwrap_or_default();
        let words = [
            self.length,
            kind,
            self.call,
            self.session.client,
            self.session.server,
            range.offset,
            range.length,
            MARK ^ position,
        ];
        let mut bytes = [0; HEADER];
        for (target, word) in bytes.chunks_exact_mut(4).zip(words) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER], position: u32) -> Result<Self, Broken> {
        let mut words = [0_u32; HEADER / 4];
        for (word, source) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = source.try_into().map(u32::from_le_bytes).map_err(|_| Broken)?;
        }
        let [length, kind, call, client, server, offset, range_length, mark] = words;
        let [kind, has_range, ..] = kind.to_le_bytes();
        let range = Range { offset, length: range_length };
        let range = match has_range {
            0 if range == Range::default() => None,
            1 => Some(range),
            _ => return Err(Broken),
        };
        if mark != MARK ^ position {
            return Err(Broken);
        }
        let method = (words[1] >> 16) as u16;
        let kind = Kind::from_byte(kind).ok_or(Broken)?;
        Ok(Self { kind, method, call, session: Session { client, server }, range, length })
    }

    pub(crate) fn store(&self, received: &mut Received) {
        received.kind = self.kind;
        received.method = self.method;
        received.call = self.call;
        received.session = self.session;
        received.range = self.range;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Request,
            method: 0xBEEF,
            call: 7,
            session: Session { client: 3, server: 4 },
            range: Some(Range { offset: 4096, length: 100 }),
            length: 64,
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        for range in [None, header().range] {
            let header = Header { range, ..header() };
            assert_eq!(Header::decode(&header.encode(96), 96), Ok(header));
        }
    }

    #[test]
    fn a_header_of_another_position_kind_or_flag_is_none() {
        let bytes = header().encode(96);
        assert_eq!(Header::decode(&bytes, 128), Err(Broken));
        for (index, value) in [(4, 0), (4, 8), (5, 2), (5, 0), (28, 0)] {
            let mut changed = bytes;
            changed[index] = value;
            assert_eq!(Header::decode(&changed, 96), Err(Broken), "byte {index}");
        }
    }
}
