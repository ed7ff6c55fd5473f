//! `cargo xtask bench hunt`: the examples under fire. How many seeds it takes to find each planted bug, how small the failure
//! becomes, and how many seeds the programs that ship live through.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::bench::table::{self, Row, grouped};
use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;

/// What to hunt.
#[derive(Args)]
pub struct Arguments {
    /// How often each planted bug is hunted, with other seeds each time
    #[arg(long, default_value_t = 25)]
    times: u64,
    /// How many seeds the programs that ship have to live through; 0 leaves them out
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// Only systems whose name contains this
    #[arg(long)]
    only: Option<String>,
}

/// A system, and the bugs that its simulation can plant.
struct Prey {
    system: &'static str,
    bugs: &'static [&'static str],
}

const PREY: [Prey; 3] = [
    Prey { system: "mirror", bugs: &["acknowledges-before-flush"] },
    Prey { system: "file-server", bugs: &["forgets-a-barrier"] },
    Prey {
        system: "web-cluster",
        bugs: &["dropped-recalls", "valid-tickets", "endless-leases", "ignored-flushes"],
    },
];

/// After so many seeds a hunt is given up.
const SEEDS_MAX: u64 = 20_000;
/// No hunt uses seeds of another one, nor of the campaigns on what ships.
const SEEDS_BETWEEN: u64 = 10_000_000;

/// What a hunt found.
#[derive(Clone, Copy)]
struct Found {
    seeds: u64,
    before: Size,
    after: Size,
    runs: u64,
}

/// What a failure is made of.
#[derive(Clone, Copy)]
struct Size {
    choices: u64,
    faults: u64,
    took_ms: u64,
}

/// Hunts, and prints one table.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let mut rows = Vec::new();
    for prey in &PREY {
        if arguments.only.as_ref().is_some_and(|only| !prey.system.contains(only.as_str())) {
            continue;
        }
        for bug in prey.bugs {
            rows.extend(hunted(workspace, prey.system, bug, arguments.times)?);
        }
        if arguments.seeds > 0 {
            rows.push(shipped(workspace, prey.system, arguments.seeds)?);
        }
    }
    println!("{}", table::render(&rows));
    Ok(())
}

fn hunted(workspace: &Workspace, system: &str, bug: &'static str, times: u64) -> Outcome<Vec<Row>> {
    let mut all = Vec::new();
    for hunt in 1..=times {
        let order = Order {
            scenario: Some(bug),
            first_seed: hunt * SEEDS_BETWEEN,
            runs: SEEDS_MAX,
            ..Order::default()
        };
        let answers = ordered(workspace, system, &order)?;
        all.extend(answers.iter().find_map(found));
        eprintln!("  {system}, {bug}: {} of {hunt} found", all.len());
    }
    let figure = |what: &str| format!("{system}, {bug}: {what}");
    let seeds: Vec<u64> = all.iter().map(|found| found.seeds).collect();
    let [least, most] =
        [seeds.iter().min(), seeds.iter().max()].map(|seeds| grouped(seeds.copied().unwrap_or(0)));
    let is_found = all.len() as u64 == times;
    let count = format!("{} of {times}", all.len());
    let of = |of: fn(&Found) -> u64| grouped(median(all.iter().map(of).collect()));
    let both =
        |before: fn(&Found) -> u64, after: fn(&Found) -> u64| format!("{} to {}", of(before), of(after));
    Ok(vec![
        Row::judged(&figure("found"), count, "always", is_found),
        Row::told(&figure("seeds until found"), format!("{} ({least} to {most})", of(|found| found.seeds))),
        Row::told(
            &figure("choices, shrunk"),
            both(|found| found.before.choices, |found| found.after.choices),
        ),
        Row::told(&figure("faults, shrunk"), both(|found| found.before.faults, |found| found.after.faults)),
        Row::told(
            &figure("milliseconds, shrunk"),
            both(|found| found.before.took_ms, |found| found.after.took_ms),
        ),
        Row::told(&figure("runs to shrink it"), of(|found| found.runs)),
    ])
}

fn shipped(workspace: &Workspace, system: &str, seeds: u64) -> Outcome<Row> {
    let answers = ordered(workspace, system, &Order { runs: seeds, ..Order::default() })?;
    let count = |name: &str| counted(&answers, name);
    let (runs, failures) = (count("runs"), count("failures"));
    let figure = format!("{system}: failures in {} seeds", grouped(seeds));
    let took = Duration::from_nanos(count("took_ns"));
    let measured = format!("{failures} in {}, {:.0} s", grouped(runs), took.as_secs_f64());
    Ok(Row::judged(&figure, measured, "0", failures == 0 && runs == seeds))
}

/// What is wanted of a simulation.
#[derive(Default)]
pub(super) struct Order {
    /// Which scenario; the one that ships, if none is named.
    pub scenario: Option<&'static str>,
    pub first_seed: u64,
    pub runs: u64,
    /// How many at a time; as many as there are processors, if none is said.
    pub jobs: Option<u32>,
    /// Which faults; all that the system claims to survive, if none is said.
    pub faults: Option<&'static str>,
}

/// A number of the last answer.
pub(super) fn counted(answers: &[Value], name: &str) -> u64 {
    let done = answers.iter().find_map(|answer| answer.get("done"));
    done.and_then(|done| done.get(name)).and_then(Value::as_u64).unwrap_or(0)
}

/// What the simulation of a system answers to an order.
pub(super) fn ordered(workspace: &Workspace, system: &str, order: &Order) -> Outcome<Vec<Value>> {
    let Order { scenario, first_seed, runs, jobs, faults } = order;
    let order = json!({
        "version": 1, "scenario": scenario, "replay": null, "first_seed": first_seed, "runs": runs, "jobs": jobs,
        "search": null, "faults": faults, "until_ns": null, "failures": 1, "shrinks": scenario.is_some(),
        "twice": false, "trace": null, "tells": false, "command": "",
    });
    let mut cargo = shell::cargo(workspace.root());
    cargo.args(["run", "--release", "--quiet", "--package", &format!("{system}-simulation")]);
    cargo.env("SOLUM_SIMULATION", order.to_string());
    // It ends with 1 if a run failed, which is what is hoped for.
    let output = shell::output(&mut cargo)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    match answers.iter().find_map(|answer| answer.get("refused").and_then(Value::as_str)) {
        Some(why) => Err(Failure::new(format!("the simulation of {system} refused: {why}"))),
        None if answers.iter().any(|answer| answer.get("done").is_some()) => Ok(answers),
        None => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Failure::new(format!("the simulation of {system} gave no answer: {said}")))
        }
    }
}

fn found(answer: &Value) -> Option<Found> {
    let failed = answer.get("failed")?;
    let shrunk = failed.get("shrunk")?;
    Some(Found {
        seeds: failed.get("after")?.as_u64()? + 1,
        before: size(failed.get("size")?)?,
        after: size(shrunk.get("size")?)?,
        runs: shrunk.get("runs")?.as_u64()?,
    })
}

fn size(of: &Value) -> Option<Size> {
    let number = |name: &str| of.get(name)?.as_u64();
    Some(Size {
        choices: number("choices")?,
        faults: number("faults")?,
        took_ms: number("took_ns")? / 1_000_000,
    })
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_with_what_it_was_made_of_before_and_after() {
        let size = |choices: u64| json!({ "choices": choices, "faults": 2, "took_ns": 3_500_000 });
        let shrunk = json!({ "run": "x", "why": "y", "size": size(1), "runs": 40 });
        let failed = json!({ "run": "9", "after": 8, "why": "y", "size": size(900), "shrunk": shrunk });
        let found = found(&json!({ "failed": failed })).expect("it is a failure");
        assert_eq!((found.seeds, found.before.choices, found.after.choices, found.runs), (9, 900, 1, 40));
        assert_eq!(found.before.took_ms, 3);
        assert!(super::found(&json!({ "done": {} })).is_none());
        assert_eq!((median(vec![5, 1, 9]), median(Vec::new())), (5, 0));
    }
}
