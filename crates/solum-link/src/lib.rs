//! Links between units: rings in shared memory, and the same frames on authenticated streams.
//!
//! Whoever starts the units makes a link ([`LinkHost`]) and hands each of them the descriptors of one end ([`End`]). An end
//! sends and receives frames, and notices that its peer died. Calls with answers, deadlines and repetition are built on
//! any [`Transport`] by [`session`].
//!
//! An end never trusts what its peer wrote: it reads it once, checks it, then uses it. What is no frame makes the link
//! [`Broken`] until the peer is replaced, and costs nothing else.

mod copy;
mod end;
mod frame;
mod host;
mod mapping;
mod memory;
#[cfg(test)]
mod models;
mod native;
mod numbered;
pub mod pool;
#[cfg(feature = "stream")]
pub mod relay;
mod ring;
pub mod session;
mod shared;
mod spin;
mod status;
#[cfg(feature = "stream")]
pub mod stream;
mod transport;
mod wake;

pub use end::{Armed, End, OpenError};
pub use frame::{Broken, Frame, Kind, Range, Received, Session, Side};
pub use host::{EndDescriptors, LinkHost};
pub use memory::Layout;
pub use numbered::Numbered;
pub use pool::{OutOfBounds, Part, Pool};
pub use transport::{SendError, Transport, WaitOutcome, Want};
