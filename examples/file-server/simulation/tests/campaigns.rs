//! A little of what `solum sim` does at length.

use file_server_simulation::{broken, damaged, scenario};
use solum_sim::Campaign;

#[test]
fn the_file_server_survives_what_it_claims_to_and_every_run_is_the_same_again() {
    Campaign::new(scenario()).seeds(0..50).twice().expect_none();
}

#[test]
fn on_a_bad_disk_there_are_errors_and_never_wrong_data() {
    Campaign::new(damaged()).seeds(0..50).expect_none();
}

#[test]
fn a_file_server_that_forgets_a_barrier_is_found_out() {
    let report = Campaign::new(broken()).seeds(0..1000).failures(1).without_shrinking().run(&|_| {}).unwrap();
    let why = &report.failures.first().expect("nobody noticed").why;
    // What a commit refers to is not there: a block does not fit its checksum, or the state before comes back.
    assert!(why.contains("is damaged") || why.contains("there may be"), "{why}");
}
