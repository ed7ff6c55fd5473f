//! What a record says, once it is decrypted.

use super::Refusal;

/// The longest piece of frames in one record.
pub(super) const PIECE: usize = 32 << 10;
/// What encryption adds.
pub(super) const TAG: usize = 16;
/// The longest record.
pub(super) const LONGEST: usize = 1 + PIECE + TAG;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Record<'a> {
    /// The next bytes of frames.
    Frames(&'a [u8]),
    /// So many more bytes of frames may be sent.
    Leave(u32),
    /// The sender lives.
    Heartbeat,
}

impl<'a> Record<'a> {
    pub(super) fn encode(self) -> Vec<u8> {
        match self {
            Self::Frames(bytes) => [&[0], bytes].concat(),
            Self::Leave(bytes) => [&[1][..], &bytes.to_be_bytes()].concat(),
            Self::Heartbeat => vec![2],
        }
    }

    pub(super) fn decode(plain: &'a [u8]) -> Result<Self, Refusal> {
        match plain {
            [0, bytes @ ..] => Ok(Self::Frames(bytes)),
            [1, a, b, c, d] => Ok(Self::Leave(u32::from_be_bytes([*a, *b, *c, *d]))),
            [2] => Ok(Self::Heartbeat),
            _ => Err(Refusal::Malformed("a record that is none")),
        }
    }
}
