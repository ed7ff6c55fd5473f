//! How rough a run is. Each seed has a weather of its own, so that some runs have much of one thing and nothing of another:
//! what is rare in the mean of all weathers is common in some (Groce et al., "Swarm testing", ISSTA 2012).

use serde::{Deserialize, Serialize};

use crate::faults::{Envelope, Fault};
use crate::random::Random;

/// The stream of a seed that its weather comes from.
const STREAM: u64 = u64::MAX;

/// What kinds of choices the seed of a run prefers.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Of each kind, one operation in so many suffers it; 0 is none.
    once_in: [u32; Fault::ALL.len()],
    /// Delays are up to so many times the nominal one, in eighths.
    pub roughness: u32,
    /// How runs of tasks are ordered.
    schedule: Schedule,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Schedule {
    /// In the order in which they became ready.
    Fair,
    /// Any order.
    Random,
    /// By priorities, which change at so many moments: a bug that needs d of them in a certain order is found with a
    /// probability that has a lower bound (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of
    /// finding bugs", ASPLOS 2010).
    Priorities { changes: u32 },
}

/// How a search prefers to order what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Another one in each seed.
    #[default]
    Mixed,
    /// Any order.
    Random,
    /// Priorities that change at few moments.
    Pct,
}

impl Weather {
    /// The weather of a seed, within an envelope.
    pub fn of(seed: u64, envelope: &Envelope, strategy: Strategy) -> Self {
        let mut random = Random::at(seed, STREAM, 0);
        let mut once_in = [0; Fault::ALL.len()];
        for fault in Fault::ALL {
            // Drawn for each, so that one kind more in the envelope changes nothing for the others.
            let is_there = random.below(3) != 0;
            let rate = 8 << random.below(10);
            if envelope.has(fault) && is_there {
                once_in[fault as usize] = rate;
            }
        }
        let rough = [0, 8, 64, 512, 4096][random.below(5) as usize];
        let roughness = if envelope.has(Fault::Delay) { rough } else { 0 };
        let drawn = match random.below(4) {
            0 => Schedule::Fair,
            1 => Schedule::Random,
            changes => Schedule::Priorities { changes: changes as u32 * 2 },
        };
        let schedule = match strategy {
            Strategy::Mixed => drawn,
            Strategy::Random => Schedule::Random,
            Strategy::Pct => Schedule::Priorities { changes: 1 + random.below(5) as u32 },
        };
        Self { once_in, roughness, schedule, seed }
    }

    /// No wind at all: everything is ordinary.
    #[cfg(test)]
    fn calm(seed: u64) -> Self {
        Self { once_in: [0; Fault::ALL.len()], roughness: 0, schedule: Schedule::Fair, seed }
    }

    /// One operation in how many suffers this; 0 is none.
    pub fn once_in(&self, fault: Fault) -> u32 {
        self.once_in[fault as usize]
    }

    /// How long events gather until somebody runs, in nanoseconds: without it, there is seldom more than one to choose from.
    pub fn window_ns(&self) -> u64 {
        match self.schedule {
            Schedule::Fair => 0,
            Schedule::Random => 50_000,
            Schedule::Priorities { .. } => 200_000,
        }
    }

    /// What orders the tasks.
    pub fn policy(&self) -> Policy {
        let changes = match self.schedule {
            Schedule::Priorities { changes } => {
                // Where runs of very different lengths have their interesting moments: all orders of magnitude alike.
                let mut random = Random::at(self.seed, STREAM, 1);
                let mut at: Vec<u64> = (0..changes).map(|_| random.log_uniform(1 << 17).into()).collect();
                at.sort_unstable();
                at
            }
            _ => Vec::new(),
        };
        Policy { schedule: self.schedule, seed: self.seed, changes, demoted: Vec::new() }
    }

    /// The disks of a machine that may be damaged: so many, whichever.
    pub fn victims(&self, machine: usize, disks: usize, at_most: u32) -> Vec<bool> {
        let mut random = Random::at(self.seed, STREAM, 2 + machine as u64);
        let mut victims = vec![false; disks];
        for _ in 0..(at_most as usize).min(disks) {
            let nth =
                random.below((disks - victims.iter().filter(|victim| **victim).count()) as u64) as usize;
            if let Some(victim) = victims.iter_mut().filter(|victim| !**victim).nth(nth) {
                *victim = true;
            }
        }
        victims
    }
}

/// Orders tasks as a schedule wants it.
pub struct Policy {
    schedule: Schedule,
    seed: u64,
    /// The steps at which whoever would run is put behind all others; the next one first.
    changes: Vec<u64>,
    /// Who was put behind all others: the last one behind the one before.
    demoted: Vec<u32>,
}

impl Policy {
    /// The place of who shall run next.
    pub fn choose(
        &mut self,
        step: u64,
        count: u32,
        actors: impl Iterator<Item = u32> + Clone,
        random: &mut Random,
    ) -> u32 {
        match self.schedule {
            Schedule::Fair => 0,
            Schedule::Random => random.below(count.into()) as u32,
            Schedule::Priorities { .. } => {
                let first = self.first(actors.clone());
                if self.changes.first().is_some_and(|at| *at <= step) {
                    self.changes.remove(0);
                    self.demoted.extend(actors.clone().nth(first as usize));
                    return self.first(actors);
                }
                first
            }
        }
    }

    fn first(&self, actors: impl Iterator<Item = u32>) -> u32 {
        let priority = |actor: u32| match self.demoted.iter().rposition(|demoted| *demoted == actor) {
            Some(place) => u64::MAX - (self.demoted.len() - place) as u64,
            None => Random::at(self.seed, STREAM - 1, actor.into()).next() >> 1,
        };
        let of_all = actors.enumerate().map(|(place, actor)| (priority(actor), place as u32));
        of_all.min().map_or(0, |(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_the_envelope_does_not_hold_is_in_no_weather() {
        let envelope = Envelope::of([Fault::BitRot]);
        for seed in 0..100 {
            let weather = Weather::of(seed, &envelope, Strategy::Mixed);
            assert!(Fault::ALL.iter().all(|kind| *kind == Fault::BitRot || weather.once_in(*kind) == 0));
            assert_eq!(weather.victims(0, 3, 1).iter().filter(|victim| **victim).count(), 1);
        }
        let rots = |seed| Weather::of(seed, &envelope, Strategy::Mixed).once_in(Fault::BitRot) > 0;
        assert!((0..100).any(rots) && !(0..100).all(rots));
    }

    #[test]
    fn whoever_is_demoted_runs_after_all_others() {
        let weather = Weather { schedule: Schedule::Priorities { changes: 0 }, ..Weather::calm(3) };
        let mut policy = weather.policy();
        let first = policy.choose(0, 3, [0, 1, 2].into_iter(), &mut Random::new(0));
        assert_eq!(policy.choose(1, 3, [0, 1, 2].into_iter(), &mut Random::new(1)), first);
        policy.changes = vec![5];
        let second = policy.choose(5, 3, [0, 1, 2].into_iter(), &mut Random::new(2));
        assert_ne!(second, first);
        assert_eq!(policy.demoted, [first]);
    }
}
