//! Campaigns over the web cluster: nothing is found in what ships, and everything that was planted.

use solum_sim::{Recipe, Scenario};
use web_cluster_simulation::{Planted, broken, planted, scenario};

fn first_failure(scenario: &Scenario, seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    seeds.into_iter().find_map(|seed| Some((seed, scenario.run(&Recipe::seed(seed), false).failure?)))
}

#[test]
fn what_ships_survives_what_it_says_it_survives() {
    assert_eq!(first_failure(&scenario(), 0..50), None);
}

#[test]
fn a_cache_that_serves_stale_data_is_found() {
    let (seed, failure) = first_failure(&broken(), 0..100).expect("it was not found");
    assert!(failure.contains(" on key apples fit into no order"), "seed {seed}: {failure}");
}

#[test]
fn all_other_planted_bugs_are_found() {
    for bug in Planted::ALL {
        let (seed, failure) =
            first_failure(&planted(bug), 0..2000).unwrap_or_else(|| panic!("not found: {bug:?}"));
        // A disk that forgets may also forget what makes it a file system, and then nothing serves any more.
        let is_seen = failure.contains(" fit into no order")
            || bug == Planted::IgnoredFlushes && failure == "store.files failed too often and was given up";
        assert!(is_seen, "{bug:?}, seed {seed}: {failure}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let scenario = scenario();
    for seed in 0..5 {
        let [first, second] = [0, 1].map(|_| scenario.run(&Recipe::seed(seed), false));
        assert_eq!(first.failure, None, "seed {seed}");
        assert_eq!((first.digest, first.choices), (second.digest, second.choices), "seed {seed}");
    }
}
