//! Running `solum` in tests: what it is given, what it answers, and all of it shown when a check fails.

mod finished;
mod running;
mod scratch;

pub use finished::Finished;
pub use running::{Running, Solum};
pub use scratch::Scratch;

/// The workspace, from where the tests run `solum`.
pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The tests that need root say so and pass where they are not.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}
