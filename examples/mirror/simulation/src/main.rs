//! What `solum sim` runs: the system as it ships, and a copy with a bug.

use std::process::ExitCode;

use mirror_simulation::{broken, scenario};

fn main() -> ExitCode {
    solum_sim::harness::main(&[("mirror", scenario), ("acknowledges-before-flush", broken)])
}
