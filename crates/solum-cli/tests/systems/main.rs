//! Whole systems as processes of this host, from the command line to the last line of output. No machine boots here.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod claims;
mod devices;
mod ending;
mod failing;
mod links;
mod logs;
mod mirrors;
mod operating;
mod simulated;
mod unsuited;

use harness::system::System;

/// A system of one unit, `m.u`, with these words in its table.
fn alone(program: &str, words: &str) -> System {
    System::new(&format!("[machine.m.unit.u]\nprogram = \"{program}\"\n{words}\n"))
}
