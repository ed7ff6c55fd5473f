//! The simulation of the counter.

use std::process::ExitCode;

fn main() -> ExitCode {
    solum_sim::harness::main(&[
        ("sound", test_simulation::sound),
        ("forgetful", test_simulation::forgetful),
        ("incomplete", test_simulation::incomplete),
        ("deadly", test_simulation::deadly),
        ("talkative", test_simulation::talkative),
    ])
}
