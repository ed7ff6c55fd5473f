//! `solum sim`: many runs of a system's simulation.

use solum_spec::simulation::{Answer, Order, VERSION};

use crate::arguments::{Search, Seeds, Sim};
use crate::cargo;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::print;
use crate::simulated::{self, Repeat};
use crate::simulation::{self, End};
use crate::system::Described;
use crate::terminal::{RunBar, say};

/// How many runs there are, unless somebody says.
const RUNS: u64 = 1000;

/// Builds the simulation, has it do what was ordered, and tells what came of it.
pub fn sim(arguments: &Sim) -> Result<u8, Failure> {
    if arguments.init {
        return super::sim_init::init(&arguments.directory).map(|()| 0);
    }
    let described = Described::read(&arguments.directory)?;
    let (directory, named) = described.simulation()?;
    let executable = cargo::build_simulation(&directory, named)?;
    let order = order(arguments);
    let repeat = Repeat::new(&order);
    let bar = RunBar::new(described.draft.name());
    // As wide as most names are, so that lines seldom move.
    let (mut width, mut is_shrinking) = (12, false);
    let end = simulation::run(&executable, &order, &mut |answer| match answer {
        // The last of several jobs may still tell where it is.
        Answer::Progress(_) if is_shrinking => {}
        Answer::Progress(counts) => {
            let planned = Some(counts.planned).filter(|planned| *planned >= counts.runs);
            bar.tell(counts.runs, planned, &simulated::progress(&counts));
        }
        // Each of several jobs says so.
        Answer::Shrinking => {
            if !std::mem::replace(&mut is_shrinking, true) {
                bar.phase(if order.failures == 1 {
                    "making the failure small"
                } else {
                    "making the failures small"
                });
            }
        }
        Answer::Happened { at_ns, who, text } => {
            width = width.max(who.chars().count());
            print(&simulated::happened(at_ns, &who, &text, width));
        }
        Answer::Failed(failed) => bar.suspend(|| print(&(repeat.failure(&failed) + "\n"))),
        Answer::Wrote(path) => say(&format!("the timeline is in {path}")),
        Answer::Done(_) | Answer::Refused(_) => {}
    });
    drop(bar);
    match end? {
        End::Done(counts) => {
            print(&repeat.summary(&counts, true));
            Ok(if counts.failures == 0 { 0 } else { ExitCode::RunFailed as u8 })
        }
        End::Interrupted(code, counts) => {
            if let Some(counts) = counts {
                print(&repeat.summary(&counts, false));
            }
            Ok(code as u8)
        }
    }
}

/// What the simulation is told.
fn order(arguments: &Sim) -> Order {
    let seeds = match (arguments.seed, arguments.seeds, arguments.search) {
        (Some(seed), ..) => Seeds { first: seed, count: 1 },
        (None, Some(seeds), _) => seeds,
        // One stands for all that there are.
        (None, None, Search::Crashes) => Seeds { first: 0, count: 1 },
        (None, None, _) => Seeds { first: 0, count: RUNS },
    };
    Order {
        version: VERSION,
        scenario: arguments.scenario.clone(),
        replay: arguments.replay.clone(),
        first_seed: seeds.first,
        runs: seeds.count,
        jobs: arguments.jobs.map(usize::from),
        search: Some(arguments.search.name().to_owned()),
        faults: arguments.faults.clone(),
        until_ns: arguments.until.map(|until_ms| u64::from(until_ms) * 1_000_000),
        failures: arguments.failures as usize,
        shrinks: !arguments.no_shrink,
        twice: arguments.twice,
        trace: arguments.trace.as_ref().map(|path| path.to_string_lossy().into_owned()),
        tells: arguments.lines,
        command: command(arguments),
    }
}

/// What is typed to get at the same scenario.
fn command(arguments: &Sim) -> String {
    let mut words = vec!["solum".into(), "sim".into()];
    if arguments.directory.as_os_str() != "." {
        words.push(arguments.directory.to_string_lossy());
    }
    if let Some(scenario) = &arguments.scenario {
        words.extend(["--scenario".into(), scenario.into()]);
    }
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    solum_vm::shell::quote(&words)
}
