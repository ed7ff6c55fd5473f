//! The simulation of the counter.

use std::process::ExitCode;

fn main() -> ExitCode {
    solum_sim::harness::main(&[
        ("sound", counted_simulation::sound),
        ("forgetful", counted_simulation::forgetful),
        ("incomplete", counted_simulation::incomplete),
        ("deadly", counted_simulation::deadly),
        ("talkative", counted_simulation::talkative),
    ])
}
