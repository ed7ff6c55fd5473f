//! The protocol in a world that does its worst: messages that are late, lost, and delivered twice; clocks that disagree; units
//! that die at any moment; power that fails. What clients see has to be linearizable all the same. And if a part of the
//! protocol is left out, the same search has to notice.

#![allow(clippy::disallowed_methods, reason = "no program, but a test of it")]

mod units;
mod world;

use world::{Flaw, World};

/// How many worlds are tried, unless the variable says otherwise, and how much happens in each.
const SEEDS: u64 = 30_000;
const SEEDS_VARIABLE: &str = "WEB_CLUSTER_SEEDS";
const ACTS: u64 = 400;

fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var(SEEDS_VARIABLE).ok().and_then(|text| text.parse().ok());
    0..asked.unwrap_or(SEEDS)
}

/// One whole life of a world.
fn live(seed: u64, flaw: Option<Flaw>) -> Result<(), String> {
    let mut world = World::new(seed, flaw);
    for _ in 0..ACTS {
        world.act();
    }
    world.come_to_rest()?;
    world.read_everything()?;
    world.check()
}

#[test]
fn whatever_happens_clients_see_one_copy_and_lose_nothing() {
    for seed in seeds() {
        if let Err(why) = live(seed, None) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn every_part_of_the_protocol_is_needed() {
    for flaw in Flaw::ALL {
        let found = seeds().find(|seed| live(*seed, Some(flaw)).is_err());
        match found {
            Some(seed) => println!("{flaw:?}: noticed with seed {seed}"),
            None => panic!("{flaw:?}: not noticed with any seed"),
        }
    }
}

#[test]
fn a_world_does_the_same_with_the_same_seed() {
    let history = |seed| {
        let mut world = World::new(seed, None);
        (0..ACTS).for_each(|_| world.act());
        world.history().clone()
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}
