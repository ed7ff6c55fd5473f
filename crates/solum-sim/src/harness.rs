//! The executable that `solum sim` builds and runs: it takes one order and answers in lines of JSON.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use solum_spec::simulation::{Answer, Counts, Failed, Order, Shrunk, Size, VARIABLE, VERSION};

use crate::campaign::{Campaign, Failure, Report};
use crate::escape;
use crate::faults::Fault;
use crate::pulse::{Stuck, Watch};
use crate::recipe::Recipe;
use crate::scenario::{Outcome, Scenario};
use crate::search::Search;
use crate::telling::{Telling, timeline};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// A unit that computes for so long without asking for anything is taken for one that does so for ever.
const PATIENCE: Duration = Duration::from_secs(15);
/// The exit status when a run failed, and when the order could not be carried out.
const FAILED: u8 = 1;
const REFUSED: u8 = 2;

/// A scenario by its name.
pub type Named = (&'static str, fn() -> Scenario);

/// Does what `solum sim` orders, on one of these scenarios; the first is the one that is meant if none is named.
///
/// The `main` of a system's simulation is no more than this.
pub fn main(scenarios: &[Named]) -> ExitCode {
    let harness = Arc::new(Harness { out: Mutex::new(Box::new(std::io::stdout())) });
    let (done, is_done) = mpsc::channel();
    let (working, scenarios) = (Arc::clone(&harness), scenarios.to_vec());
    // A unit that never asks for anything holds its thread for ever. This one stays free, and its end is that of the process.
    std::thread::spawn(move || done.send(working.obey(&scenarios)));
    let mut watch = Watch::default();
    loop {
        match is_done.recv_timeout(PATIENCE) {
            Ok(Ok(true)) => return ExitCode::SUCCESS,
            Ok(Ok(false)) => return ExitCode::from(FAILED),
            Ok(Err(why)) => {
                harness.say(&Answer::Refused(why));
                return ExitCode::from(REFUSED);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                harness.say(&Answer::Refused("the simulation itself panicked".to_owned()));
                return ExitCode::from(REFUSED);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Some(stuck) = watch.look() {
                    harness.tell_stuck(&stuck);
                    return ExitCode::from(FAILED);
                }
            }
        }
    }
}

struct Harness {
    out: Mutex<Box<dyn Write + Send>>,
}

impl Harness {
    fn say(&self, answer: &Answer) {
        let out = &mut *self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(line) = serde_json::to_string(answer) {
            // Whoever ordered it may be gone; then nobody wants to know.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }

    fn tell_stuck(&self, stuck: &Stuck) {
        let why = format!(
            "{} has computed for {} s and asked for nothing: it cannot be interrupted, so this is the end",
            stuck.who,
            PATIENCE.as_secs()
        );
        let run = stuck.recipe.to_string();
        self.say(&Answer::Failed(Failed { run, after: 0, why, size: Size::default(), shrunk: None }));
        let system = stuck.system.clone();
        self.say(&Answer::Done(Counts { system, planned: 1, runs: 1, failures: 1, ..Counts::default() }));
    }

    /// Whether nothing failed.
    fn obey(&self, scenarios: &[Named]) -> Result<bool, String> {
        let order = order()?;
        let names: Vec<&str> = scenarios.iter().map(|(name, _)| *name).collect();
        let named = match &order.scenario {
            None => scenarios.first(),
            Some(wanted) => scenarios.iter().find(|(name, _)| name == wanted),
        };
        let (_, make) = named.ok_or_else(|| {
            format!(
                "there is no scenario `{}`\nhint: there are {}",
                order.scenario.as_deref().unwrap_or_default(),
                names.join(", ")
            )
        })?;
        let scenario = make();
        without_statics(&scenario)?;
        match &order.replay {
            Some(run) => self.replay(&scenario, &order, run.parse()?),
            None => self.campaign(&scenario, &order),
        }
    }

    fn replay(&self, scenario: &Scenario, order: &Order, mut recipe: Recipe) -> Result<bool, String> {
        if let Some(names) = &order.faults {
            recipe.kinds = Some(scenario.claims().narrowed(names)?.kinds.into_iter().collect());
        }
        recipe.until_ns = order.until_ns.or(recipe.until_ns);
        let plan = scenario.plan()?;
        let began = Instant::now();
        let outcome = scenario.run(&recipe, order.tells || order.trace.is_some());
        let twice = scenario.run(&recipe, false);
        let took = began.elapsed();
        let telling = Telling::new(&plan, &scenario.machines(), &scenario.client_names());
        if order.tells {
            for (at_ns, who, text) in telling.lines(outcome.trace.as_deref().unwrap_or_default()) {
                self.say(&Answer::Happened { at_ns, who, text });
            }
        }
        let is_same = twice.digest == outcome.digest;
        let why = outcome.failure.clone().or_else(|| {
            (!is_same).then(|| "the second run was another one: a program reaches past its ports".to_owned())
        });
        if let Some(path) = &order.trace {
            self.write_timeline(scenario, order, &recipe, &outcome, path)?;
        }
        let mut counts = self.counts(scenario, &Report::default(), 1)?;
        counts.digest = Some(outcome.digest);
        (counts.runs, counts.twice, counts.events, counts.failures) =
            (1, 1, outcome.events, u64::from(why.is_some()));
        (counts.simulated_ns, counts.took_ns) = (nanoseconds(outcome.took), nanoseconds(took) / 2);
        counts.states = outcome.states.len() as u64;
        for (kind, count) in &outcome.faults {
            counts.faults.insert(kind.to_string(), *count);
        }
        if let Some(why) = &why {
            let run = recipe.to_string();
            self.say(&Answer::Failed(Failed {
                run,
                after: 0,
                why: why.clone(),
                size: size(&outcome),
                shrunk: None,
            }));
        }
        self.say(&Answer::Done(counts));
        Ok(why.is_none())
    }

    fn campaign(&self, scenario: &Scenario, order: &Order) -> Result<bool, String> {
        let mut campaign = Campaign::new(scenario.clone())
            .seeds(order.first_seed..order.first_seed.saturating_add(order.runs))
            .search(search(order.search.as_deref())?)
            .failures(order.failures);
        if let Some(jobs) = order.jobs {
            campaign = campaign.jobs(jobs);
        }
        if let Some(names) = &order.faults {
            campaign = campaign.kinds(scenario.claims().narrowed(names)?.kinds);
        }
        if let Some(until_ns) = order.until_ns {
            campaign = campaign.until(Duration::from_nanos(until_ns));
        }
        if order.twice {
            campaign = campaign.twice();
        }
        if !order.shrinks {
            campaign = campaign.without_shrinking();
        }
        let told = Mutex::new(Instant::now());
        let report = campaign.run(&|report| {
            let is_over = report.failures.len() >= order.failures;
            let told = &mut *told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.elapsed() >= TELL_EVERY || is_over {
                *told = Instant::now();
                if let Ok(counts) = self.counts(scenario, report, order.runs) {
                    self.say(&Answer::Progress(counts));
                }
                if is_over && order.shrinks {
                    self.say(&Answer::Shrinking);
                }
            }
        })?;
        for failure in &report.failures {
            self.say(&Answer::Failed(failed(failure)));
        }
        if let (Some(path), Some(failure)) = (&order.trace, report.failures.first()) {
            let outcome = scenario.run(failure.best(), true);
            self.write_timeline(scenario, order, failure.best(), &outcome, path)?;
        }
        self.say(&Answer::Done(self.counts(scenario, &report, order.runs)?));
        Ok(report.failures.is_empty())
    }

    fn counts(&self, scenario: &Scenario, report: &Report, planned: u64) -> Result<Counts, String> {
        let faults = Fault::ALL.into_iter().filter(|fault| scenario.claims().has(*fault));
        let count = |fault: Fault| report.faults.get(&fault).copied().unwrap_or(0);
        Ok(Counts {
            system: scenario.plan()?.system.clone(),
            planned,
            runs: report.runs,
            twice: report.twice,
            events: report.events,
            simulated_ns: nanoseconds(report.simulated),
            took_ns: nanoseconds(report.took),
            states: report.states as u64,
            faults: faults.map(|fault| (fault.to_string(), count(fault))).collect(),
            failures: report.failures.len() as u64,
            digest: None,
        })
    }

    fn write_timeline(
        &self,
        scenario: &Scenario,
        order: &Order,
        recipe: &Recipe,
        outcome: &Outcome,
        path: &str,
    ) -> Result<(), String> {
        let Some(trace) = &outcome.trace else {
            return Err(
                "the run has more records than a timeline can hold\nhint: let it be shorter, with --until"
                    .to_owned(),
            );
        };
        let plan = scenario.plan()?;
        let telling = Telling::new(&plan, &scenario.machines(), &scenario.client_names());
        let replay = format!("{} --replay {recipe}", order.command);
        let page = timeline(&telling, trace, &replay, outcome).to_html();
        // Written beside and renamed, so that nobody finds half a page.
        write_whole(Path::new(path), page.as_bytes()).map_err(|error| {
            format!("the timeline cannot be written to {path}: {}", solum_spec::reason(&error))
        })?;
        self.say(&Answer::Wrote(path.to_owned()));
        Ok(())
    }
}

/// Writes a file as a whole or not at all; what is no file, such as a device or a pipe, is written to as it is.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // Where a link leads, not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if path.metadata().is_ok_and(|known| !known.is_file()) {
        return std::fs::write(path, bytes);
    }
    let mut partial = path.clone().into_os_string();
    partial.push(".partial");
    std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&partial);
    })
}

fn order() -> Result<Order, String> {
    let text = std::env::var(VARIABLE).map_err(|_| {
        "this is the simulation of a system, which takes its orders from solum\nhint: solum sim DIRECTORY"
            .to_owned()
    })?;
    let unreadable = |error: &dyn std::fmt::Display| {
        format!(
            "the order of solum is not understood: {error}\n\
             hint: this simulation was built with another version of solum-sim than solum has"
        )
    };
    let version = serde_json::from_str::<serde_json::Value>(&text)
        .map_err(|error| unreadable(&error))?
        .get("version")
        .and_then(serde_json::Value::as_u64);
    if version != Some(VERSION.into()) {
        let version = version.map_or("no version".to_owned(), |version| format!("version {version}"));
        return Err(unreadable(&format!("it has {version}, not {VERSION}")));
    }
    serde_json::from_str(&text).map_err(|error| unreadable(&error))
}

/// Programs keep nothing that outlives them in a unit: it would not be gone when the unit is started anew.
fn without_statics(scenario: &Scenario) -> Result<(), String> {
    let Ok(executable) = std::fs::read("/proc/self/exe") else { return Ok(()) };
    let crates: Vec<&str> = scenario.crates().into_iter().collect();
    // One without symbols tells nothing; then two runs that differ do.
    let Ok(found) = escape::statics(&executable, &crates) else { return Ok(()) };
    if found.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = found.iter().map(|found| format!("  {found}")).collect();
    Err(format!(
        "programs keep state in statics, which a simulation cannot take away when a unit ends:\n{}\n\
         hint: keep it in what the program's function owns",
        names.join("\n")
    ))
}

fn search(name: Option<&str>) -> Result<Search, String> {
    let Some(name) = name else { return Ok(Search::default()) };
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|_| {
        format!("there is no search `{name}`\nhint: there are mixed, random, pct, novelty and crashes")
    })
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn size(outcome: &Outcome) -> Size {
    Size {
        choices: outcome.choices.len() as u64,
        faults: outcome.faults.values().sum(),
        took_ns: nanoseconds(outcome.took),
    }
}

fn failed(failure: &Failure) -> Failed {
    Failed {
        run: failure.recipe.to_string(),
        after: failure.after,
        why: failure.why.clone(),
        size: size(&failure.outcome),
        shrunk: failure.shrunk.as_ref().map(|shrunk| Shrunk {
            run: shrunk.recipe.to_string(),
            why: shrunk.outcome.failure.clone().unwrap_or_default(),
            size: size(&shrunk.outcome),
            runs: shrunk.runs,
        }),
    }
}
