//! Every choice of a run: made in one place, recorded, and made again when the run is replayed.
//!
//! A choice has a *point*: the stream that it belongs to (this disk, that pair of machines, the scheduler) and its number
//! there. So taking one away while a failure is shrunk does not shift those of other streams. Its value 0 is the ordinary:
//! first come first served, the nominal delay, no fault. A record therefore holds only what was not ordinary.

use serde::{Deserialize, Serialize};

use crate::random::{Random, Seed};

/// What a choice is about. With an index it names a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum About {
    /// Who of several runs next.
    Schedule,
    /// How long an operation of a disk takes.
    DiskDelay,
    /// What goes wrong with an operation of a disk.
    DiskFault,
    /// What a loss of power leaves on a disk.
    DiskLoss,
    /// How long a message takes.
    Delay,
    /// What goes wrong with a message.
    Packet,
    /// Whether a machine loses power at an operation.
    PowerCut,
    /// Misfortune that comes by itself: crashes, partitions, clocks.
    Misfortune,
}

/// How many kinds of streams there are.
const KINDS: usize = 8;

/// A choice that was not the ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// What it is about.
    pub about: About,
    /// Which one of these: a disk, a machine, a pair of them.
    pub index: u32,
    /// Its number in its stream.
    pub number: u32,
    /// What was chosen; not 0.
    pub value: u32,
}

/// Seeds, each from a moment of virtual time on, in nanoseconds. The first is from 0 on.
pub type Seeds = Vec<(u64, u64)>;

/// Makes and records choices.
pub struct Choices {
    source: Source,
    /// How many were made in each stream.
    counters: [Vec<u32>; KINDS],
    taken: Vec<Choice>,
}

enum Source {
    Seeds {
        later: std::vec::IntoIter<(u64, u64)>,
        next: Option<(u64, u64)>,
        seed: Seed,
    },
    /// For each stream what is not ordinary, the next one last.
    Script([Vec<Vec<Choice>>; KINDS]),
}

impl Choices {
    /// Choices that are functions of their points and of the seed that holds at the time.
    pub fn seeded(seeds: Seeds) -> Self {
        let mut later = seeds.into_iter();
        let seed = Seed::new(later.next().map_or(0, |(_, seed)| seed));
        let next = later.next();
        Self::new(Source::Seeds { later, next, seed })
    }

    /// These choices, and the ordinary one everywhere else.
    pub fn scripted(mut choices: Vec<Choice>) -> Self {
        choices.sort_unstable();
        let mut script: [Vec<Vec<Choice>>; KINDS] = Default::default();
        for choice in choices.into_iter().rev() {
            let streams = &mut script[choice.about as usize];
            if streams.len() <= choice.index as usize {
                streams.resize(choice.index as usize + 1, Vec::new());
            }
            streams[choice.index as usize].push(choice);
        }
        Self::new(Source::Script(script))
    }

    fn new(source: Source) -> Self {
        Self { source, counters: Default::default(), taken: Vec::new() }
    }

    /// Makes a choice below `bound`. If it is made by a seed, `suggest` makes it.
    pub fn pick(
        &mut self,
        now_ns: u64,
        about: About,
        index: u32,
        bound: u32,
        suggest: impl FnOnce(&mut Random) -> u32,
    ) -> u32 {
        let counters = &mut self.counters[about as usize];
        if counters.len() <= index as usize {
            counters.resize(index as usize + 1, 0);
        }
        let number = counters[index as usize];
        counters[index as usize] = number.wrapping_add(1);
        if bound <= 1 {
            return 0;
        }
        let value = match &mut self.source {
            Source::Seeds { later, next, seed } => {
                while let Some((from_ns, next_seed)) = *next
                    && from_ns <= now_ns
                {
                    *seed = Seed::new(next_seed);
                    *next = later.next();
                }
                suggest(&mut seed.at((about as u64) << 32 | u64::from(index), number.into()))
            }
            Source::Script(script) => scripted(&mut script[about as usize], index, number),
        };
        // A choice from a script may be of a run that had more to choose from here.
        let value = if value < bound { value } else { 0 };
        if value != 0 {
            self.taken.push(Choice { about, index, number, value });
        }
        value
    }

    /// What was not ordinary, in the order in which it was chosen.
    #[cfg(test)]
    fn taken(&self) -> &[Choice] {
        &self.taken
    }

    /// How many choices about something were made, for each index.
    pub fn made(&self, about: About, indices: usize) -> Vec<u32> {
        let counters = &self.counters[about as usize];
        (0..indices).map(|index| counters.get(index).copied().unwrap_or(0)).collect()
    }

    /// What was not ordinary, in the order in which it was chosen.
    pub fn into_taken(self) -> Vec<Choice> {
        self.taken
    }
}

fn scripted(streams: &mut [Vec<Choice>], index: u32, number: u32) -> u32 {
    let Some(stream) = streams.get_mut(index as usize) else { return 0 };
    while let Some(choice) = stream.last() {
        if choice.number > number {
            return 0;
        }
        let (number_of, value) = (choice.number, choice.value);
        stream.pop();
        if number_of == number {
            return value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(choices: &mut Choices) -> Vec<u32> {
        (0..200_u32)
            .map(|at| {
                let about = if at % 3 == 0 { About::Delay } else { About::DiskFault };
                choices.pick(u64::from(at), about, at % 5, 10, |random| random.below(10) as u32)
            })
            .collect()
    }

    #[test]
    fn what_was_taken_makes_the_same_run_again() {
        let mut seeded = Choices::seeded(vec![(0, 5), (100, 6)]);
        let values = run(&mut seeded);
        let mut scripted = Choices::scripted(seeded.taken().to_vec());
        assert_eq!(run(&mut scripted), values);
        assert_eq!(scripted.taken(), seeded.taken());
        assert_ne!(
            run(&mut Choices::seeded(vec![(0, 5)])),
            values,
            "the second seed counts from its time on"
        );
    }

    #[test]
    fn without_one_choice_all_others_stay() {
        let mut seeded = Choices::seeded(vec![(0, 5)]);
        let values = run(&mut seeded);
        let mut taken = seeded.taken().to_vec();
        taken.remove(20);
        let fewer = run(&mut Choices::scripted(taken));
        assert_eq!(values.iter().zip(&fewer).filter(|(a, b)| a != b).count(), 1);
    }

    #[test]
    fn what_is_not_there_to_be_chosen_is_the_ordinary() {
        let choice = Choice { about: About::Schedule, index: 0, number: 0, value: 4 };
        let mut scripted = Choices::scripted(vec![choice]);
        assert_eq!(scripted.pick(0, About::Schedule, 0, 4, |_| 3), 0);
        assert!(scripted.taken().is_empty());
    }
}
