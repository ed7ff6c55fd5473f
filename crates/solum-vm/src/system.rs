//! Whole systems: their units as processes of this host, and whoever wants to look into them while they run.

pub mod host;
mod operator;
mod ticket;

pub use host::{HostPlace, Published};
pub use operator::{Operated, Operator, Wish};
pub use ticket::{Answers, ask};
