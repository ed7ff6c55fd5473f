//! `cargo xtask bench`: figures, printed as a table. They inform; they fail nothing.
//!
//! One module for each benchmark. What is counted is preferred over what is timed (guest instructions under
//! `-icount`, bytes, CPU time), because it says the same on every machine.

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;
use clap::Subcommand;

/// The benchmarks.
#[derive(Subcommand)]
pub enum Bench {
    /// From kernel entry to a program's first line: instructions, sizes, memory
    Boot,
}

/// Runs one benchmark.
pub fn run(_workspace: &Workspace, bench: &Bench) -> Outcome {
    match bench {
        Bench::Boot => Err(Failure::new("`bench boot` is not written yet")),
    }
}
