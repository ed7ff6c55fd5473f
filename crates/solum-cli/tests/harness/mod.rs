//! Running `solum` in tests: what it is given, what it answers, and all of it shown when a check fails.

// Two test programs share this, and neither needs all of it.
#![allow(dead_code)]

pub mod elf;
mod finished;
pub mod kernel;
mod live;
pub mod monitor;
pub mod running;
mod scratch;
pub mod system;

use std::net::TcpListener;

pub use finished::Finished;
pub use running::{Running, Solum};
pub use scratch::Scratch;

/// The workspace, from where the tests run `solum`.
pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Some tests need root; they say so and pass where they are not.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A port that nobody has at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
