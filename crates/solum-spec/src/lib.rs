//! What the user described, validated; and what host and machine say to each other.
//!
//! This crate knows no file, no process and no clock. The host side turns arguments and `solum.toml` into these
//! types, PID 1 reads them back; so both sides agree by construction.

pub mod calendar;
pub mod control;
pub mod description;
mod endpoint;
pub mod handover;
pub mod keyboard;
pub mod machine;
pub mod network;
pub mod operation;
pub mod plan;
pub mod ports;
mod reason;
mod share;
pub mod simulation;
mod size;
pub mod storage;
#[cfg(feature = "system")]
pub mod system;

pub use description::Description;
pub use endpoint::{Protocol, Publish, PublishError};
pub use machine::Machine;
pub use reason::{count, reason};
pub use share::{Bundle, BundleError, Share, ShareError, outer_first};
pub use size::{ByteSize, ByteSizeError};
