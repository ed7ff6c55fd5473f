//! The file system against a model of it, against crashes at every moment, and against disks that lie.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "no program, but a test of it")]

mod accounting;
mod crashes;
mod disk;
mod faults;
mod images;
mod model;
mod operations;

/// How many times as much is tried as usual: `SOLUM_FS_THOROUGHNESS=100 cargo test --release -p solum-fs`.
fn thoroughness() -> u64 {
    std::env::var("SOLUM_FS_THOROUGHNESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// A failure prints its seed, which is all there is to keep.
fn cases(usual: u32) -> proptest::test_runner::Config {
    let cases = usual * thoroughness() as u32;
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
