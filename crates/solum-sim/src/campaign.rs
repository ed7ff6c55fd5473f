//! Many runs: which failed, what happened in them, and how to see the failures again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::faults::Fault;
use crate::recipe::Recipe;
use crate::scenario::{Outcome, Scenario};
use crate::search::{Search, Searcher};
use crate::shrink::{Limits, Shrunk, shrink};

/// Of so many runs one is made twice, and both have to be the same.
const TWICE_ONE_IN: u64 = 64;

/// Many runs of one scenario.
#[derive(Clone)]
pub struct Campaign {
    scenario: Scenario,
    first_seed: u64,
    runs: u64,
    jobs: usize,
    search: Search,
    kinds: Option<Vec<Fault>>,
    until: Option<Duration>,
    failures: usize,
    shrinks: Option<Limits>,
    always_twice: bool,
}

/// A run that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run.
    pub recipe: Recipe,
    /// How many runs there were before it.
    pub after: u64,
    /// Why it failed.
    pub why: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The same made small, if that was wanted and went.
    pub shrunk: Option<Shrunk>,
}

impl Failure {
    /// The run that shows it best.
    pub fn best(&self) -> &Recipe {
        self.shrunk.as_ref().map_or(&self.recipe, |shrunk| &shrunk.recipe)
    }
}

/// What came of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many runs there were.
    pub runs: u64,
    /// How many of them were made twice, to see that both are the same.
    pub twice: u64,
    /// How much happened in all of them.
    pub events: u64,
    /// How long all of them took in their own time.
    pub simulated: Duration,
    /// How long they took.
    pub took: Duration,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// How many different things happened.
    pub states: usize,
    /// The runs that failed.
    pub failures: Vec<Failure>,
}

impl Campaign {
    /// A campaign of one run, with as many at a time as there are processors.
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            first_seed: 0,
            runs: 1,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            search: Search::Mixed,
            kinds: None,
            until: None,
            failures: 1,
            shrinks: Some(Limits::default()),
            always_twice: false,
        }
    }

    /// Runs with these seeds.
    #[must_use]
    pub fn seeds(mut self, seeds: std::ops::Range<u64>) -> Self {
        (self.first_seed, self.runs) = (seeds.start, seeds.end.saturating_sub(seeds.start));
        self
    }

    /// How many runs at a time.
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// How runs are chosen.
    #[must_use]
    pub fn search(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// Faults of these kinds alone, as far as the system claims to survive them.
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Fault>) -> Self {
        self.kinds = Some(kinds.into_iter().collect());
        self
    }

    /// How long faults happen in each run.
    #[must_use]
    pub fn until(mut self, until: Duration) -> Self {
        self.until = Some(until);
        self
    }

    /// It ends after so many failures; after the first, if not said.
    #[must_use]
    pub fn failures(mut self, failures: usize) -> Self {
        self.failures = failures.max(1);
        self
    }

    /// Failures are told as they were found.
    #[must_use]
    pub fn without_shrinking(mut self) -> Self {
        self.shrinks = None;
        self
    }

    /// Every run is made twice, and both have to be the same.
    #[must_use]
    pub fn twice(mut self) -> Self {
        self.always_twice = true;
        self
    }

    /// Does it, and tells how it goes on: after each run, from several threads.
    ///
    /// # Errors
    ///
    /// The scenario cannot be run at all; why.
    pub fn run(&self, tell: &(dyn Fn(&Report) + Sync)) -> Result<Report, String> {
        let until_ns = self.until.map(|until| u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
        let mut searcher = Searcher::new(self.search, self.first_seed, self.kinds.clone(), until_ns);
        let all = searcher.prepare(&self.scenario)?;
        let runs = all.map_or(self.runs, |all| if self.runs > 1 { all.min(self.runs) } else { all });
        let work = Work {
            campaign: self,
            began: Instant::now(),
            next: AtomicU64::new(0),
            runs,
            is_over: AtomicBool::new(false),
            searcher: Mutex::new(searcher),
            report: Mutex::new(Report::default()),
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| work.go(tell));
            }
        });
        let mut report = work.report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.failures.sort_by_key(|failure| failure.after);
        // Others were under way when the last one was found. Without them, the same fail however many run at a time.
        report.failures.truncate(self.failures);
        if let Some(limits) = self.shrinks {
            for failure in &mut report.failures {
                failure.shrunk = shrink(&self.scenario, &failure.recipe, limits);
            }
        }
        Ok(report)
    }

    /// As [`run`](Self::run), for tests: it panics with the failures, and how to see them again.
    ///
    /// # Panics
    ///
    /// A run failed, or none can be made.
    pub fn expect_none(&self) -> Report {
        let report = match self.run(&|_| ()) {
            Ok(report) => report,
            Err(error) => panic!("{error}"),
        };
        if let Some(failure) = report.failures.first() {
            panic!("{}", failure.text());
        }
        report
    }
}

impl Failure {
    /// Why it failed, how small it was made, and how to see it again, in lines.
    pub fn text(&self) -> String {
        let mut text = format!("run {} failed: {}\n", self.recipe, self.why);
        if let Some(shrunk) = &self.shrunk {
            let count = |outcome: &Outcome| outcome.faults.values().sum::<u64>();
            text.push_str(&format!(
                "shrunk in {} runs from {} choices and {} faults in {:?} to {} and {} in {:?}: {}\n",
                shrunk.runs,
                self.outcome.choices.len(),
                count(&self.outcome),
                self.outcome.took,
                shrunk.outcome.choices.len(),
                count(&shrunk.outcome),
                shrunk.outcome.took,
                shrunk.outcome.failure.as_deref().unwrap_or_default(),
            ));
        }
        text.push_str(&format!("replay: solum sim DIRECTORY --replay {}", self.best()));
        text
    }
}

struct Work<'a> {
    campaign: &'a Campaign,
    began: Instant,
    next: AtomicU64,
    runs: u64,
    is_over: AtomicBool,
    searcher: Mutex<Searcher>,
    report: Mutex<Report>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Work<'_> {
    fn go(&self, tell: &(dyn Fn(&Report) + Sync)) {
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.runs {
                return;
            }
            let Some(recipe) = locked(&self.searcher).recipe(number) else { return };
            let mut outcome = self.campaign.scenario.run(&recipe, false);
            let is_twice = self.campaign.always_twice || number.is_multiple_of(TWICE_ONE_IN);
            if is_twice {
                let again = self.campaign.scenario.run(&recipe, false);
                if again.digest != outcome.digest {
                    let why =
                        "the same run was another one the second time: a program reaches past its ports";
                    outcome.failure.get_or_insert(why.to_owned());
                }
            }
            locked(&self.searcher).learn(&recipe, &outcome);
            self.note(number, recipe, outcome, is_twice, tell);
        }
    }

    fn note(
        &self,
        number: u64,
        recipe: Recipe,
        outcome: Outcome,
        is_twice: bool,
        tell: &(dyn Fn(&Report) + Sync),
    ) {
        let states = locked(&self.searcher).states();
        let report = &mut *locked(&self.report);
        report.runs += 1;
        report.twice += u64::from(is_twice);
        report.events += outcome.events;
        report.simulated += outcome.took;
        report.took = self.began.elapsed();
        report.states = states;
        for (kind, count) in &outcome.faults {
            *report.faults.entry(*kind).or_default() += count;
        }
        if let Some(why) = outcome.failure.clone() {
            report.failures.push(Failure { recipe, after: number, why, outcome, shrunk: None });
            if report.failures.len() >= self.campaign.failures {
                self.is_over.store(true, Ordering::Relaxed);
            }
        }
        tell(report);
    }
}
