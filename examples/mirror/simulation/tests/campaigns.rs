//! A little of what `solum sim` does at length.

use mirror_simulation::{broken, scenario};
use solum_sim::Campaign;

#[test]
fn the_mirror_survives_what_it_claims_to_and_every_run_is_the_same_again() {
    Campaign::new(scenario()).seeds(0..50).twice().expect_none();
}

#[test]
fn a_mirror_that_acknowledges_before_it_flushes_is_found_out() {
    let report = Campaign::new(broken()).seeds(0..300).failures(1).without_shrinking().run(&|_| {}).unwrap();
    let why = &report.failures.first().expect("nobody noticed").why;
    assert!(why.contains("may be one of"), "{why}");
}
