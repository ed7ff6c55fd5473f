//! What goes wrong with a device.

use std::fmt;

/// Why a device did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The unit that serves the device died, or the connection to it broke. Whether the call took effect is not known.
    /// The next call goes to whoever serves it then.
    Gone {
        /// Which life of the peer it was, counted from 1; 0 if it was never seen alive.
        epoch: u32,
    },
    /// It did not happen in time.
    Deadline,
    /// A request reaches beyond the end of the disk.
    OutOfRange {
        /// Where it begins, in bytes.
        offset: u64,
        /// How many bytes it is about.
        length: u64,
        /// How many bytes the disk has.
        capacity: u64,
    },
    /// Offset or length of a request is no multiple of the disk's block size.
    Misaligned {
        /// Where it begins, in bytes.
        offset: u64,
        /// How many bytes it is about.
        length: u64,
        /// Bytes of a block.
        block_size: u32,
    },
    /// The device cannot be written.
    ReadOnly,
    /// The device failed; the text is the system's or the peer's own.
    Device(String),
    /// The peer does not speak this interface, or speaks another version of it.
    Refused(String),
    /// The peer broke the rules of the link, which is not used any more.
    Broken,
    /// A message or a request is longer than the device takes.
    TooLong {
        /// How many bytes it takes.
        maximum: u64,
    },
    /// The device has been closed, or the other side of a connection has.
    Closed,
}

/// The result of most calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { epoch: 0 } => f.write_str("nobody serves the device at the moment"),
            Self::Gone { epoch } => write!(f, "the unit that serves the device is gone (its life {epoch})"),
            Self::Deadline => f.write_str("it did not happen in time"),
            Self::OutOfRange { offset, length, capacity } => {
                write!(f, "{length} bytes at {offset} reach beyond the end of the disk at {capacity}")
            }
            Self::Misaligned { offset, length, block_size } => {
                write!(f, "{length} bytes at {offset} are not whole blocks of {block_size}")
            }
            Self::ReadOnly => f.write_str("the device cannot be written"),
            Self::Device(text) => write!(f, "the device failed: {text}"),
            Self::Refused(text) => write!(f, "the peer refused: {text}"),
            Self::Broken => f.write_str("the peer broke the rules of the link"),
            Self::TooLong { maximum } => {
                write!(f, "it is longer than the {maximum} bytes that the device takes")
            }
            Self::Closed => f.write_str("it has been closed"),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Device(error.to_string())
    }
}
