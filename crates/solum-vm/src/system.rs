//! Whole systems: their units as processes of this host, and whoever wants to look into them while they run.

pub mod host;
mod ticket;

pub use host::{HostPlace, Published};
pub use ticket::{Answers, ask};
