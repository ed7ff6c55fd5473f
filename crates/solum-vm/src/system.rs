//! Whole systems: their units as processes of this host, and whoever wants to look into them while they run.

mod desk;
pub mod host;
mod picture;
mod png;
mod ticket;

pub use host::{HostPlace, Published};
pub use ticket::{Answers, ask};
