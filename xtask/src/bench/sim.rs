//! `cargo xtask bench sim`: the simulator, and others with the same work.
//!
//! The opponents are in workspaces of their own (`bench/`, `bench/madsim/`); each program does one piece of work, and prints
//! what it took as a line of JSON. They take turns, and what is compared is of the same round.

use std::collections::BTreeMap;
use std::process::Command;

use clap::Args;
use serde::Deserialize;

use crate::bench::hunt::{self, Order};
use crate::bench::table::{self, Row};
use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;

/// What to measure.
#[derive(Args)]
pub struct Arguments {
    /// How often everybody takes a turn; the table shows medians
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// A program that does the work with a simulator.
struct Simulator {
    name: &'static str,
    /// The workspace that it is built in.
    directory: &'static str,
    program: &'static str,
    /// What stands after the name of the work.
    variant: &'static str,
    /// Whether Solum promised something of it.
    is_promised: bool,
}

const SOLUM: &str = "solum";
/// Our own.
const OWN: Simulator =
    Simulator { name: SOLUM, directory: "bench", program: "sim-solum", variant: "", is_promised: false };

/// The others. Of what madsim can send messages with, TCP is the fastest, so the promise is about that.
const OPPONENTS: [Simulator; 3] = [
    Simulator {
        name: "madsim",
        directory: "bench/madsim",
        program: "sim-madsim",
        variant: "",
        is_promised: true,
    },
    Simulator { name: "turmoil", directory: "bench", program: "sim-turmoil", variant: "", is_promised: true },
    Simulator {
        name: "madsim's Endpoint",
        directory: "bench/madsim",
        program: "sim-madsim",
        variant: "-endpoint",
        is_promised: false,
    },
];

/// What everybody does, and how it is called.
const WORKS: [(&str, &str); 2] = [("ping-pong", "ping-pong"), ("key-value", "key-value store")];

/// How many times as many events a second are promised.
const LEAST: f64 = 3.0;

/// What Solum does alone: one unit that reads and writes a disk all the time.
const DISK: &str = "disk";
/// How many of its operations a second are promised.
const LEAST_OPERATIONS: f64 = 1e6;

/// What Solum does alone: a thousand units that hear of each other now and then.
const UNITS: &str = "thousand-units";
/// How much memory that may take.
const MOST_MEMORY_MIB: f64 = 100.0;

/// How much faster than real the web cluster is to be.
const LEAST_SPEED: f64 = 1000.0;

/// What a program prints.
#[derive(Deserialize, Clone)]
struct Figures {
    workload: String,
    operations: u64,
    /// Messages that arrived.
    events: u64,
    wall_seconds: f64,
    processor_seconds: f64,
    /// What passed by the simulation's own clock.
    simulated_seconds: f64,
    peak_memory_kib: u64,
}

/// Every simulator's figures, by its name and the work: one for each round.
#[derive(Default)]
struct Rounds(BTreeMap<(&'static str, &'static str), Vec<Figures>>);

impl Rounds {
    fn add(&mut self, simulator: &Simulator, work: &'static str, line: &str) -> Outcome {
        let figures: Figures = serde_json::from_str(line).map_err(|error| {
            Failure::new(format!("{} printed no figures: {error}: {line}", simulator.program))
        })?;
        if figures.workload != work {
            let other = figures.workload;
            return Err(Failure::new(format!("{} did {other} instead of {work}", simulator.program)));
        }
        self.0.entry((simulator.name, work)).or_default().push(figures);
        Ok(())
    }

    fn get(&self, simulator: &str, work: &str) -> Outcome<&[Figures]> {
        let found = self.0.iter().find(|((name, done), _)| *name == simulator && *done == work);
        match found {
            Some((_, figures)) => Ok(figures),
            None => Err(Failure::new(format!("{simulator} did not do this"))),
        }
    }

    /// The median of what every round gives.
    fn median(&self, simulator: &str, work: &str, of: fn(&Figures) -> f64) -> Outcome<f64> {
        Ok(median(self.get(simulator, work)?.iter().map(of).collect()))
    }

    /// The median of what every round gives of one as a multiple of what it gives of the other.
    fn ratio(&self, [one, other]: [&str; 2], work: &str, of: fn(&Figures) -> f64) -> Outcome<f64> {
        let (one, other) = (self.get(one, work)?, self.get(other, work)?);
        Ok(median(one.iter().zip(other).map(|(one, other)| of(one) / of(other)).collect()))
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn memory_mib(figures: &Figures) -> f64 {
    figures.peak_memory_kib as f64 / 1024.0
}

fn by_clock(figures: &Figures) -> f64 {
    figures.events as f64 / figures.wall_seconds
}

fn by_processor(figures: &Figures) -> f64 {
    figures.events as f64 / figures.processor_seconds
}

/// Measures, and prints one table.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let mut rounds = Rounds::default();
    let shared = WORKS
        .iter()
        .flat_map(|(work, _)| [&OWN].into_iter().chain(&OPPONENTS).map(move |simulator| (simulator, *work)));
    let turns: Vec<_> = shared.chain([(&OWN, DISK), (&OWN, UNITS)]).collect();
    for round in 0..arguments.rounds {
        for (simulator, work) in &turns {
            let mut cargo = command(workspace, simulator, work);
            if round == 0 {
                eprintln!("  $ {}", shell::shown(&cargo));
            }
            rounds.add(simulator, work, &shell::capture(&mut cargo)?)?;
        }
    }
    let mut rows = rows(&rounds);
    rows.push(web_cluster(workspace));
    println!("{}", table::render(&rows));
    Ok(())
}

/// How much faster than real the web cluster is, on one processor, with ten requests a second and nothing that goes wrong.
fn web_cluster(workspace: &Workspace) -> Row {
    let figure = "web-cluster: simulated seconds in one of a processor";
    let order = Order { runs: 100, jobs: Some(1), faults: Some("none"), ..Order::default() };
    match hunt::ordered(workspace, "web-cluster", &order) {
        Ok(answers) => {
            let count = |name| hunt::counted(&answers, name) as f64;
            let (ratio, failures) = (count("simulated_ns") / count("took_ns"), count("failures"));
            let target = format!("at least {LEAST_SPEED:.0}");
            Row::judged(figure, format!("{ratio:.0}"), target, failures == 0.0 && ratio >= LEAST_SPEED)
        }
        Err(failure) => Row::failed(figure, failure),
    }
}

/// One program's turn. It is built if it has to be; it measures itself, so that does not count.
fn command(workspace: &Workspace, simulator: &Simulator, work: &str) -> Command {
    let mut cargo = shell::cargo(&workspace.root().join(simulator.directory));
    // They would take the place of the flags in `.cargo/config.toml`, which madsim cannot do without.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.args(["run", "--release", "--quiet", "--locked", "--bin", simulator.program, "--"]);
    cargo.arg(format!("{work}{}", simulator.variant));
    cargo
}

fn rows(rounds: &Rounds) -> Vec<Row> {
    let mut rows = Vec::new();
    for (work, called) in WORKS {
        for opponent in &OPPONENTS {
            rows.extend(compared(rounds, opponent, work, called));
        }
        let names = || [SOLUM].into_iter().chain(OPPONENTS.iter().map(|opponent| opponent.name));
        let everybody = |of: fn(&Figures) -> f64, shown: fn(f64) -> String| {
            let known = names().filter_map(|name| Some((name, rounds.median(name, work, of).ok()?)));
            known.map(|(name, figure)| format!("{name} {}", shown(figure))).collect::<Vec<_>>().join(", ")
        };
        rows.push(Row::told(&format!("{called}: events a second"), everybody(by_clock, millions)));
        rows.push(Row::told(
            &format!("{called}: simulated time"),
            everybody(|figures| figures.simulated_seconds, |seconds| format!("{seconds:.0} s")),
        ));
        rows.push(Row::told(
            &format!("{called}: most memory"),
            everybody(memory_mib, |memory| format!("{memory:.1} MiB")),
        ));
    }
    rows.extend([device_operations(rounds), thousand_units(rounds)]);
    rows
}

fn device_operations(rounds: &Rounds) -> Row {
    let figure = "device operations a second, recorded";
    match rounds.median(SOLUM, DISK, |figures| figures.operations as f64 / figures.wall_seconds) {
        Ok(rate) => {
            let target = format!("at least {}", millions(LEAST_OPERATIONS));
            Row::judged(figure, millions(rate), target, rate >= LEAST_OPERATIONS)
        }
        Err(failure) => Row::failed(figure, failure),
    }
}

fn thousand_units(rounds: &Rounds) -> Row {
    let figure = "memory of a system of 1000 units";
    match rounds.median(SOLUM, UNITS, memory_mib) {
        Ok(memory) => {
            let target = format!("at most {MOST_MEMORY_MIB:.0} MiB");
            Row::judged(figure, format!("{memory:.1} MiB"), target, memory <= MOST_MEMORY_MIB)
        }
        Err(failure) => Row::failed(figure, failure),
    }
}

/// Solum's events a second as a multiple of an opponent's.
fn compared(rounds: &Rounds, opponent: &Simulator, work: &str, called: &str) -> Vec<Row> {
    let figure = format!("{called}: events a second, of {}", opponent.name);
    let both = [SOLUM, opponent.name];
    let ratios = rounds.ratio(both, work, by_clock).and_then(|clock| {
        let [own, other] = both.map(|name| rounds.median(name, work, by_clock));
        Ok((clock, rounds.ratio(both, work, by_processor)?, own?, other?))
    });
    let (clock, processor, own, other) = match ratios {
        Ok(ratios) => ratios,
        Err(failure) => return vec![Row::failed(&figure, failure)],
    };
    let measured = format!("{clock:.2}: {} of {}", millions(own), millions(other));
    let row = if opponent.is_promised {
        Row::judged(&figure, measured, format!("at least {LEAST:.2}"), clock >= LEAST)
    } else {
        Row::told(&figure, measured)
    };
    vec![row, Row::told("… by processor time", format!("{processor:.2}"))]
}

fn millions(number: f64) -> String {
    format!("{:.2} M", number / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(work: &str, wall_seconds: f64) -> String {
        let processor_seconds = wall_seconds / 2.0;
        format!(
            r#"{{"workload": "{work}", "operations": 100, "events": 2000000, "wall_seconds": {wall_seconds},
            "processor_seconds": {processor_seconds}, "simulated_seconds": 110.5, "peak_memory_kib": 2048}}"#
        )
    }

    #[test]
    fn what_solum_does_alone_is_judged_by_operations_and_by_memory() {
        let mut rounds = Rounds::default();
        rounds.add(&OWN, DISK, &line(DISK, 0.0001)).expect("it is a figure");
        rounds.add(&OWN, UNITS, &line(UNITS, 1.0).replace("2048", "204800")).expect("it is a figure");
        let table = table::render(&rows(&rounds));
        let squeezed = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for row in [
            "device operations a second, recorded | 1.00 M | at least 1.00 M | met |",
            "memory of a system of 1000 units | 200.0 MiB | at most 100 MiB | MISSED |",
        ] {
            assert!(squeezed.contains(row), "{row} is not in\n{table}");
        }
    }

    #[test]
    fn simulators_are_compared_round_by_round() {
        let mut rounds = Rounds::default();
        // The second round found the machine busy, and everybody slow.
        for (own, other) in [(1.0, 4.0), (10.0, 40.0), (1.0, 2.0)] {
            rounds.add(&OWN, "ping-pong", &line("ping-pong", own)).expect("it is a figure");
            rounds.add(&OPPONENTS[0], "ping-pong", &line("ping-pong", other)).expect("it is a figure");
            rounds.add(&OPPONENTS[1], "ping-pong", &line("ping-pong", own)).expect("it is a figure");
        }
        let table = table::render(&rows(&rounds));
        let squeezed = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for row in [
            "ping-pong: events a second, of madsim | 4.00: 2.00 M of 0.50 M | at least 3.00 | met |",
            "… by processor time | 4.00 |",
            "ping-pong: events a second, of turmoil | 1.00: 2.00 M of 2.00 M | at least 3.00 | MISSED |",
            "ping-pong: simulated time | solum 110 s, madsim 110 s, turmoil 110 s |",
            "key-value store: events a second, of madsim | solum did not do this | | not measured |",
        ] {
            assert!(squeezed.contains(row), "{row} is not in\n{table}");
        }
    }

    #[test]
    fn a_line_without_figures_and_one_of_other_work_are_refused() {
        let mut rounds = Rounds::default();
        let refused = rounds.add(&OPPONENTS[1], "ping-pong", "warning: fast").expect_err("it is no figure");
        assert!(refused.to_string().starts_with("sim-turmoil printed no figures"), "{refused}");
        let refused =
            rounds.add(&OPPONENTS[1], "ping-pong", &line("key-value", 1.0)).expect_err("it is other");
        assert_eq!(refused.to_string(), "sim-turmoil did key-value instead of ping-pong");
    }
}
