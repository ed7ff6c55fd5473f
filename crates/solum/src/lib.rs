//! The SDK: what a Rust program needs to be a unit of a system, or a whole machine.
//!
//! A *ported* program reaches the world through its ports alone:
//!
//! ```no_run
//! use solum::{Console, Disk};
//!
//! #[derive(solum::Ports)]
//! struct Ports {
//!     disk: Disk,
//!     console: Console,
//! }
//!
//! #[solum::program]
//! fn first_block(mut ports: Ports) -> Result<(), solum::Error> {
//!     let mut block = vec![0; ports.disk.block_size() as usize];
//!     ports.disk.read_at(0, &mut block)?;
//!     ports.console.line(format_args!("the disk begins with {}", block[0]))
//! }
//! ```
//!
//! It is plain, blocking, single-threaded Rust. What is behind a port is said in `solum.toml`; the program cannot tell.
//!
//! With the feature `machine`, [`machine::boot`] makes one executable all of a machine's user space.

pub mod clock;
pub mod console;
pub mod disk;
pub mod entropy;
mod error;
pub mod health;
pub mod http;
pub mod keys;
pub mod link;
#[cfg(feature = "machine")]
pub mod machine;
pub mod native;
pub mod port;
pub mod program;
pub mod screen;
pub mod served_disk;
pub mod tcp;
pub mod units;

pub use clock::{Clock, Moment, Source};
pub use console::Console;
pub use disk::Disk;
pub use entropy::Entropy;
pub use error::{Error, Result};
pub use health::Health;
pub use http::Http;
pub use keys::Keys;
pub use link::{CallError, Interface, Link, Serve};
pub use port::Ports;
pub use screen::Screen;
pub use solum_macros::{Ports, interface, program};
pub use tcp::Tcp;
pub use units::Units;

/// What the macros need of other crates.
#[doc(hidden)]
pub mod generated {
    pub use serde;
}
