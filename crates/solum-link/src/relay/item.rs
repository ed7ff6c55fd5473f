//! Frames as bytes of a connection: a header as in memory, the payload, and what is in the pool.

use crate::frame::{Frame, HEADER, Header, Kind, Received};
use crate::stream::Refusal;

/// A frame as it is sent: what precedes the bulk data.
pub(super) fn head(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Header::of(frame).encode(0).to_vec();
    bytes.extend_from_slice(frame.payload);
    bytes
}

/// The frame whose header these bytes begin with, without its payload, and how long that is; nothing, if they are too few.
///
/// A range in it is of the other machine's pool, and was compared with nothing.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Received, usize)>, Refusal> {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let header = Header::decode(header, 0).map_err(|_| Refusal::Malformed("what is no frame"))?;
    // Nothing but calls and answers brings bulk data.
    if header.range.is_some() && !matches!(header.kind, Kind::Request | Kind::Response) {
        return Err(Refusal::Malformed("bulk data with a frame that has none"));
    }
    let mut received = Received::default();
    header.store(&mut received);
    Ok(Some((received, header.length as usize)))
}
