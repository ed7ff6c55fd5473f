//! A little of what `solum sim` does at length.

use mirror_simulation::{broken, scenario};
use solum_sim::Recipe;

#[test]
fn the_mirror_survives_what_it_claims_to() {
    let scenario = scenario();
    for seed in 0..50 {
        let outcome = scenario.run(&Recipe::seed(seed), false);
        assert_eq!(outcome.failure, None, "seed {seed}");
    }
}

#[test]
fn a_mirror_that_acknowledges_before_it_flushes_is_found_out() {
    let broken = broken();
    let found = (0..300).find_map(|seed| broken.run(&Recipe::seed(seed), false).failure);
    assert!(found.is_some());
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    let scenario = scenario();
    for seed in 0..5 {
        let [first, second] = [(); 2].map(|()| scenario.run(&Recipe::seed(seed), false));
        assert_eq!((first.digest, first.events), (second.digest, second.events), "seed {seed}");
    }
}
