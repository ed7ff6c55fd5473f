//! Links between machines: an authenticated, encrypted connection for each, on TCP.
//!
//! Both machines know each other's public key from the time when their images were built, so the handshake is Noise's KK,
//! of two messages, and nobody else gets as far as a record. In front of it stand, in the clear and vouched for by the
//! handshake, the version of the protocol and which link is meant.
//!
//! ```text
//! client's machine:  "SLNK" version:u16 link:u32   length:u16 message 1
//! server's machine:  "SLNK" version:u16 verdict:u8 length:u16 message 2
//! then both:         length:u16 record, and again
//! ```
//!
//! Numbers outside of the encryption are big-endian. The content of a record begins with what it is: bytes of frames, leave
//! to send more of them, or nothing but a sign of life. Who takes frames slowly gives leave slowly, so what has come and was
//! not taken is never more than [`WINDOW`], and signs of life never wait behind frames.

mod connection;
mod handshake;
mod keys;
mod primitives;
mod record;
mod refusal;

pub use connection::{Connection, Known};
pub use keys::{KeyPair, PublicKey, SecretKey};
pub use refusal::Refusal;

use std::time::Duration;

/// The version of greeting, records and frames. Both machines come from the same build, so another one is refused.
pub const PROTOCOL: u16 = 1;
/// Who sent nothing for this long says at least that it lives.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// Who said nothing for this long is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);
/// How long a handshake may take, from the connection to the first record.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);
/// How many bytes of frames may have come and not been taken.
pub const WINDOW: usize = 256 << 10;
