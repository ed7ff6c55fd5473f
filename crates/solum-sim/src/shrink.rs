//! A failure, made small: few choices that are not ordinary, few faults, little time.
//!
//! Choices are taken away as long as the run still fails for the same reason, first whole kinds of them, then ever smaller
//! parts (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", TSE 2002). As each has a point of its own,
//! one that is gone leaves all others where they were.

use std::time::{Duration, Instant};

use crate::choices::{About, Choice};
use crate::recipe::Recipe;
use crate::scenario::{Outcome, Scenario, nanoseconds};

/// How much trouble is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Runs at most.
    pub runs: u32,
    /// Time at most.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 2_000, time: Duration::from_secs(60) }
    }
}

/// A failure that was made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The run.
    pub recipe: Recipe,
    /// What comes of it.
    pub outcome: Outcome,
    /// How many runs it took.
    pub runs: u32,
}

/// The order in which kinds of choices are tried to be done without: what explains least first.
const KINDS: [About; 8] = [
    About::Delay,
    About::DiskDelay,
    About::Schedule,
    About::Packet,
    About::Misfortune,
    About::DiskFault,
    About::DiskLoss,
    About::PowerCut,
];

/// Makes a run that fails small. None if it does not fail, or not when its choices are made once more.
pub fn shrink(scenario: &Scenario, recipe: &Recipe, limits: Limits) -> Option<Shrunk> {
    let first = scenario.run(recipe, false);
    let reason = kind_of(first.failure.as_deref()?);
    let window_ns = scenario.window_ns(recipe);
    let mut shrinking = Shrinking {
        scenario,
        reason,
        limits,
        began: Instant::now(),
        runs: 1,
        best: recipe.scripted(first.choices.clone(), window_ns),
        outcome: first,
    };
    if !shrinking.try_recipe(shrinking.best.clone()) {
        return None;
    }
    shrinking.without_kinds();
    shrinking.sooner();
    shrinking.fewer();
    shrinking.plainer();
    shrinking.sooner();
    Some(Shrunk { recipe: shrinking.best, outcome: shrinking.outcome, runs: shrinking.runs })
}

/// What a failure is about: what stands before its first colon, or all of it, whichever of several it happened to; of a panic
/// also where it was.
fn kind_of(failure: &str) -> String {
    let kind = failure.split_once(':').map_or(failure, |(kind, _)| kind);
    let kind: String = kind.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    let place = failure.rsplit_once(" (").map_or("", |(_, place)| place);
    if kind.ends_with(" panicked") { kind + place } else { kind }
}

struct Shrinking<'a> {
    scenario: &'a Scenario,
    reason: String,
    limits: Limits,
    began: Instant,
    runs: u32,
    best: Recipe,
    outcome: Outcome,
}

impl Shrinking<'_> {
    fn is_enough(&self) -> bool {
        self.runs >= self.limits.runs || self.began.elapsed() >= self.limits.time
    }

    fn script(&self) -> &[Choice] {
        self.best.script.as_deref().unwrap_or_default()
    }

    /// Whether a run still fails for the same reason; then it is the best one so far.
    fn try_recipe(&mut self, recipe: Recipe) -> bool {
        self.runs += 1;
        let outcome = self.scenario.run(&recipe, false);
        let fails = outcome.failure.as_deref().is_some_and(|failure| kind_of(failure) == self.reason);
        if fails {
            // What was not reached is no part of it.
            let window_ns = recipe.window_ns.unwrap_or(0);
            self.best = recipe.scripted(outcome.choices.clone(), window_ns);
            self.outcome = outcome;
        }
        fails
    }

    fn try_script(&mut self, script: Vec<Choice>) -> bool {
        let window_ns = self.best.window_ns.unwrap_or(0);
        self.try_recipe(self.best.scripted(script, window_ns))
    }

    fn without_kinds(&mut self) {
        self.try_recipe(Recipe { window_ns: Some(0), ..self.best.clone() });
        for kind in KINDS {
            let fewer: Vec<Choice> =
                self.script().iter().filter(|choice| choice.about != kind).copied().collect();
            if fewer.len() < self.script().len() && !self.is_enough() {
                self.try_script(fewer);
            }
        }
    }

    /// Faults stop as early as they may.
    fn sooner(&mut self) {
        for part in [16, 8, 4, 2] {
            let took_ns = nanoseconds(self.outcome.took);
            let now_ns = self.best.until_ns.unwrap_or(self.scenario.until_ns());
            let until_ns = now_ns.min(took_ns) / part;
            if until_ns < now_ns
                && !self.is_enough()
                && self.try_recipe(Recipe { until_ns: Some(until_ns), ..self.best.clone() })
            {
                return;
            }
        }
    }

    /// Takes away ever smaller parts.
    fn fewer(&mut self) {
        let mut part = self.script().len().div_ceil(2);
        while part > 0 && !self.is_enough() {
            let mut from = 0;
            let mut is_smaller = false;
            while from < self.script().len() && !self.is_enough() {
                let to = (from + part).min(self.script().len());
                let mut fewer = self.script().to_vec();
                fewer.drain(from..to);
                if self.try_script(fewer) {
                    is_smaller = true;
                } else {
                    from = to;
                }
            }
            part = match part {
                1 if is_smaller => 1,
                1 => 0,
                part => part.div_ceil(2),
            };
        }
    }

    /// Lets what remains be the plainest of its kind.
    fn plainer(&mut self) {
        let mut place = 0;
        while place < self.script().len() && !self.is_enough() {
            let value = self.script()[place].value;
            let plainer = match self.script()[place].about {
                // A number that says which kind, and where: it stays of its kind.
                About::DiskFault => vec![value % 8],
                About::Packet | About::PowerCut | About::Misfortune | About::DiskLoss => vec![],
                About::Schedule | About::DiskDelay | About::Delay => vec![1, value / 64, value / 8],
            };
            for plainer in plainer.into_iter().filter(|plainer| (1..value).contains(plainer)) {
                let mut script = self.script().to_vec();
                script[place].value = plainer;
                if self.is_enough() || self.try_script(script) {
                    break;
                }
            }
            place += 1;
        }
    }
}
