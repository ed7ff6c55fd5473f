//! Which runs are tried, one after the other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::choices::{About, Choice};
use crate::faults::Fault;
use crate::random::Random;
use crate::recipe::Recipe;
use crate::scenario::{Outcome, Scenario};
use crate::weather::Strategy;

/// How runs are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Search {
    /// Each seed has a weather of its own, and orders what runs in its own way.
    #[default]
    Mixed,
    /// What runs next is any of those that could.
    Random,
    /// What runs next is said by priorities, which change at few moments (PCT).
    Pct,
    /// Runs in which something new happened are changed from some moment on.
    Novelty,
    /// One run without faults, and then the same with a power cut before and after each of its operations.
    Crashes,
}

/// What a disk may be after a power cut: nothing lost, all lost, a mixture, and one with a block that is torn.
pub(crate) const LOSSES: [u32; 4] = [0, 1, 2, 6];

/// Gives one run after the other.
pub struct Searcher {
    search: Search,
    first_seed: u64,
    kinds: Option<Vec<Fault>>,
    until_ns: Option<u64>,
    /// Runs in which something new happened, and how long they took in nanoseconds.
    corpus: Vec<(Recipe, u64)>,
    states: BTreeSet<u64>,
    /// Where to cut power, for [`Search::Crashes`]: the machine and how many operations it has.
    operations: Vec<u32>,
    /// Disks, by the machine they belong to.
    disks: Vec<Vec<u32>>,
    /// When faults stop: after that nothing else can be chosen.
    calm_ns: u64,
}

impl Searcher {
    /// A search that begins with this seed.
    pub fn new(search: Search, first_seed: u64, kinds: Option<Vec<Fault>>, until_ns: Option<u64>) -> Self {
        Self {
            search,
            first_seed,
            kinds,
            until_ns,
            corpus: Vec::new(),
            states: BTreeSet::new(),
            operations: Vec::new(),
            disks: Vec::new(),
            calm_ns: u64::MAX,
        }
    }

    /// Looks at the ordinary run, where the search needs it, and tells how many runs there are, if that is known.
    ///
    /// # Errors
    ///
    /// The ordinary run fails; why.
    pub fn prepare(&mut self, scenario: &Scenario) -> Result<Option<u64>, String> {
        let plan = scenario.plan()?;
        self.calm_ns = self.until_ns.unwrap_or(scenario.until_ns());
        if self.search != Search::Crashes {
            return Ok(None);
        }
        if !self.calm().envelope(scenario.claims()).has(Fault::PowerCut) {
            return Err("there is no power cut among the faults, and this search tries nothing else\n\
                        hint: let power-cut be in the scenario's envelope, and in --faults"
                .to_owned());
        }
        let outcome = scenario.run(&self.calm(), false);
        if let Some(failure) = outcome.failure {
            return Err(format!("the run fails without any fault: {failure}"));
        }
        let machines = scenario.machines();
        let of = |machine: &String| {
            let disks = plan.disks.iter().enumerate().filter(|(_, disk)| disk.machine == *machine);
            disks.map(|(index, _)| index as u32).collect()
        };
        self.disks = machines.iter().map(of).collect();
        self.operations = outcome.operations;
        Ok(Some(self.operations.iter().map(|count| self.runs_of(*count)).sum()))
    }

    fn runs_of(&self, operations: u32) -> u64 {
        u64::from(operations) * 2 * LOSSES.len() as u64
    }

    fn calm(&self) -> Recipe {
        let recipe =
            Recipe { kinds: self.kinds.clone(), until_ns: self.until_ns, ..Recipe::seed(self.first_seed) };
        recipe.scripted(Vec::new(), 0)
    }

    /// The run with this number; none, if there are no more.
    pub fn recipe(&self, number: u64) -> Option<Recipe> {
        let strategy = match self.search {
            Search::Random => Strategy::Random,
            Search::Pct => Strategy::Pct,
            _ => Strategy::Mixed,
        };
        let seed = self.first_seed.wrapping_add(number);
        let fresh =
            Recipe { strategy, kinds: self.kinds.clone(), until_ns: self.until_ns, ..Recipe::seed(seed) };
        match self.search {
            Search::Crashes => self.crash(number),
            Search::Novelty => Some(self.changed(seed).unwrap_or(fresh)),
            _ => Some(fresh),
        }
    }

    /// A run of the corpus, with other choices from some moment on.
    fn changed(&self, seed: u64) -> Option<Recipe> {
        let mut random = Random::new(seed);
        // As many runs from scratch as changed ones.
        if self.corpus.is_empty() || random.once_in(2) {
            return None;
        }
        // What was found last is tried most.
        let back = random.log_uniform(self.corpus.len() as u32) as usize;
        let (recipe, took_ns) = &self.corpus[self.corpus.len() - back];
        let from_ns = random.below((*took_ns).clamp(1, self.calm_ns.max(1)));
        let mut changed = recipe.clone();
        changed.later_seeds.retain(|(later_ns, _)| *later_ns < from_ns);
        changed.later_seeds.push((from_ns, seed));
        Some(changed)
    }

    fn crash(&self, number: u64) -> Option<Recipe> {
        let mut rest = number;
        for (machine, count) in self.operations.iter().enumerate() {
            let runs = self.runs_of(*count);
            if rest >= runs {
                rest -= runs;
                continue;
            }
            let loss = LOSSES[(rest % LOSSES.len() as u64) as usize];
            let value = (rest / LOSSES.len() as u64 % 2) as u32 + 1;
            let operation = (rest / LOSSES.len() as u64 / 2) as u32;
            let mut script =
                vec![Choice { about: About::PowerCut, index: machine as u32, number: operation, value }];
            if loss > 0 {
                let lost =
                    |disk: &u32| Choice { about: About::DiskLoss, index: *disk, number: 0, value: loss };
                script.extend(self.disks[machine].iter().map(lost));
            }
            return Some(self.calm().scripted(script, 0));
        }
        None
    }

    /// Learns from a run.
    pub fn learn(&mut self, recipe: &Recipe, outcome: &Outcome) {
        let before = self.states.len();
        self.states.extend(&outcome.states);
        let is_new = self.states.len() > before;
        if is_new && self.search == Search::Novelty && outcome.failure.is_none() {
            let took_ns = u64::try_from(outcome.took.as_nanos()).unwrap_or(u64::MAX);
            self.corpus.push((recipe.clone(), took_ns));
        }
    }

    /// How many different things happened.
    pub fn states(&self) -> usize {
        self.states.len()
    }
}
