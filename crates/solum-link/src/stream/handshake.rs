//! Greeting and handshake, as bytes.

use super::primitives::Primitives;
use super::{PROTOCOL, PublicKey, Refusal, SecretKey};
use snow::{Builder, HandshakeState, TransportState};

const SUITE: &str = "Noise_KK_25519_ChaChaPoly_BLAKE2s";
const MAGIC: [u8; 4] = *b"SLNK";
/// What the machine of the client begins with.
pub(super) const GREETING: usize = 10;
/// What the machine of the server begins its answer with.
pub(super) const ANSWER: usize = 7;
/// The longest message of a handshake: a key, a tag, and eight bytes of payload with theirs.
pub(super) const MESSAGE: usize = 32 + 16 + 8;

/// The server's machine about a greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Verdict {
    Welcome = 0,
    Version = 1,
    UnknownLink = 2,
    Key = 3,
}

pub(super) fn greeting(link: u32) -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&PROTOCOL.to_be_bytes());
    bytes[6..].copy_from_slice(&link.to_be_bytes());
    bytes
}

/// Which link a greeting means.
pub(super) fn read_greeting(bytes: &[u8; GREETING]) -> Result<u32, Refusal> {
    let [magic @ .., v0, v1, l0, l1, l2, l3] = *bytes;
    if magic != MAGIC {
        return Err(Refusal::NotALink);
    }
    match u16::from_be_bytes([v0, v1]) {
        PROTOCOL => Ok(u32::from_be_bytes([l0, l1, l2, l3])),
        other => Err(Refusal::Version(other)),
    }
}

pub(super) fn answer(verdict: Verdict) -> [u8; ANSWER] {
    let mut bytes = [0; ANSWER];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&PROTOCOL.to_be_bytes());
    bytes[6] = verdict as u8;
    bytes
}

pub(super) fn read_answer(bytes: &[u8; ANSWER]) -> Result<(), Refusal> {
    let [magic @ .., v0, v1, verdict] = *bytes;
    if magic != MAGIC {
        return Err(Refusal::NotALink);
    }
    let version = u16::from_be_bytes([v0, v1]);
    if version != PROTOCOL {
        return Err(Refusal::Version(version));
    }
    let is = |known: Verdict| verdict == known as u8;
    if is(Verdict::Welcome) {
        Ok(())
    } else if is(Verdict::UnknownLink) {
        Err(Refusal::LinkRefused)
    } else if is(Verdict::Key) {
        Err(Refusal::KeyRefused)
    } else {
        Err(Refusal::Malformed("a verdict that is none"))
    }
}

/// A handshake with a machine of that key, about that link.
pub(super) fn begin(
    own: &SecretKey,
    peer: &PublicKey,
    link: u32,
    initiates: bool,
) -> Result<HandshakeState, Refusal> {
    let impossible = |_| Refusal::Malformed("what no handshake can be made of");
    let suite = SUITE.parse().map_err(impossible)?;
    let (secret, public, prologue) = (own.to_bytes(), peer.to_bytes(), greeting(link));
    let builder = Builder::with_resolver(suite, Box::new(Primitives))
        .local_private_key(&secret)
        .and_then(|builder| builder.remote_public_key(&public))
        .and_then(|builder| builder.prologue(&prologue))
        .map_err(impossible)?;
    if initiates { builder.build_initiator() } else { builder.build_responder() }.map_err(impossible)
}

/// The next message of a handshake, with its length in front.
pub(super) fn write(state: &mut HandshakeState, life: u64) -> Result<Vec<u8>, Refusal> {
    let mut message = vec![0; 2 + MESSAGE];
    let length = state.write_message(&life.to_be_bytes(), &mut message[2..]).map_err(|_| Refusal::Key)?;
    message.truncate(2 + length);
    message[..2].copy_from_slice(&(length as u16).to_be_bytes());
    Ok(message)
}

/// Reads the peer's message, which has the number of its life with it.
pub(super) fn read(state: &mut HandshakeState, message: &[u8]) -> Result<u64, Refusal> {
    let mut payload = [0; MESSAGE];
    let length = state.read_message(message, &mut payload).map_err(|_| Refusal::Key)?;
    let life = payload.get(..length).and_then(|bytes| bytes.try_into().ok()).ok_or(Refusal::Key)?;
    Ok(u64::from_be_bytes(life))
}

pub(super) fn finish(state: HandshakeState) -> Result<TransportState, Refusal> {
    state.into_transport_mode().map_err(|_| Refusal::Key)
}
