//! Why a connection is not had, or had no more.

use super::{DEAD_AFTER, HANDSHAKE_WITHIN, PROTOCOL, WINDOW};
use std::{fmt, io};

/// Why a connection was refused, or ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// What came first is no greeting of a link.
    NotALink,
    /// The peer speaks another version of the protocol.
    Version(u16),
    /// The peer means a link that is not known here.
    UnknownLink(u32),
    /// The peer does not have the key of its machine, or takes ours for another.
    Key,
    /// The peer knows no link of that number.
    LinkRefused,
    /// The peer says that we do not have the key of this machine.
    KeyRefused,
    /// The handshake took too long.
    Slow,
    /// What came after the handshake was not made for this connection: garbage, or a handshake that was recorded and
    /// played again.
    NotOfThisConnection,
    /// A record that the peer made itself is none.
    Malformed(&'static str),
    /// More frames than were given leave to.
    TooMuch,
    /// Nothing was heard.
    Silent,
    /// The peer ended the connection.
    Closed,
    /// The peer ended the connection in the middle of something.
    Truncated,
    /// It connected from an address of none of the machines that may.
    Stranger,
    /// Its machine has opened more connections than it has links.
    Crowd,
    /// The peer has opened another connection for this link.
    Replaced,
    /// The kernel says so.
    System(io::ErrorKind, String),
}

impl Refusal {
    /// What a call into the kernel ended with.
    #[must_use]
    pub fn of_system(error: &io::Error) -> Self {
        Self::System(error.kind(), error.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotALink => "it does not speak the protocol of links",
            Self::Version(version) => {
                return write!(
                    formatter,
                    "it speaks version {version} of the stream protocol, we speak {PROTOCOL}"
                );
            }
            Self::UnknownLink(link) => {
                return write!(formatter, "it means link {link}, which is not known here");
            }
            Self::Key => "it does not have the key that the system was built with",
            Self::LinkRefused => "it does not know this link",
            Self::KeyRefused => "it knows this machine by another key",
            Self::Slow => {
                return write!(formatter, "the handshake took longer than {} s", HANDSHAKE_WITHIN.as_secs());
            }
            Self::NotOfThisConnection => {
                "what it sent was not made for this connection: garbage, or a recorded handshake"
            }
            Self::Malformed(what) => return write!(formatter, "it sent {what}"),
            Self::TooMuch => return write!(formatter, "it sent more than {WINDOW} bytes without leave"),
            Self::Silent => {
                return write!(formatter, "nothing was heard of it for {} s", DEAD_AFTER.as_secs());
            }
            Self::Closed => "it ended the connection",
            Self::Truncated => "it ended the connection in the middle of a message",
            Self::Stranger => "no machine that may connect has its address",
            Self::Crowd => "its machine has opened more connections than it has links",
            Self::Replaced => "it connected anew",
            Self::System(_, text) => text,
        };
        formatter.write_str(text)
    }
}

impl std::error::Error for Refusal {}
