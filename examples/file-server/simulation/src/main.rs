//! What `solum sim` runs: the system as it ships, a copy with a bug, and the system on a bad disk.

use std::process::ExitCode;

use file_server_simulation::{broken, damaged, scenario};

fn main() -> ExitCode {
    solum_sim::harness::main(&[
        ("file-server", scenario),
        ("forgets-a-barrier", broken),
        ("damaged-disk", damaged),
    ])
}
