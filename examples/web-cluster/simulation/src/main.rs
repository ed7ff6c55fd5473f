//! What `solum sim` runs: the system as it ships, and copies with a bug each.

use std::process::ExitCode;

use web_cluster_simulation::{Planted, broken, planted, scenario};

fn main() -> ExitCode {
    solum_sim::harness::main(&[
        ("web-cluster", scenario),
        ("dropped-recalls", broken),
        ("valid-tickets", || planted(Planted::ValidTickets)),
        ("endless-leases", || planted(Planted::EndlessLeases)),
        ("ignored-flushes", || planted(Planted::IgnoredFlushes)),
    ])
}
