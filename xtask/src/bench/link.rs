//! `cargo xtask bench link`: a link between two processes, and what one could use in its place, in one run.
//!
//! The opponents' libraries are in a workspace of their own (`bench/`); that program prints what it measured, and here it
//! is compared.

use crate::bench::table::{self, Row};
use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;
use clap::Args;
use std::collections::BTreeMap;

/// What to measure.
#[derive(Args)]
pub struct Arguments {
    /// How often the whole series is repeated; the table shows medians
    #[arg(long, default_value_t = 7)]
    rounds: u32,
}

/// Nanoseconds for one message, by what was done, with how many bytes, where, and over what.
#[derive(Default)]
pub(super) struct Times(BTreeMap<(String, u64, String), BTreeMap<String, f64>>);

impl Times {
    pub(super) fn parse(output: &str) -> Outcome<Self> {
        let mut times = Self::default();
        for line in output.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let figure = match words[..] {
                [work, size, place, kind, time] => size
                    .parse()
                    .ok()
                    .zip(time.parse().ok())
                    .map(|(size, time)| (work, size, place, kind, time)),
                _ => None,
            };
            let Some((work, size, place, kind, time)) = figure else {
                return Err(Failure::new(format!("the benchmark printed a line that is no figure: {line}")));
            };
            let times = times.0.entry((work.to_owned(), size, place.to_owned())).or_default();
            times.insert(kind.to_owned(), time);
        }
        Ok(times)
    }

    pub(super) fn get(&self, work: &str, size: u64, place: &str, kind: &str) -> Outcome<f64> {
        let times = self.0.get(&(work.to_owned(), size, place.to_owned()));
        times
            .and_then(|times| times.get(kind))
            .copied()
            .ok_or_else(|| Failure::new(format!("the benchmark did not tell {work} {size} {place} {kind}")))
    }
}

const MIB: u64 = 1 << 20;

/// Measures, and prints one table.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let mut cargo = shell::cargo(&workspace.root().join("bench"));
    cargo.args(["run", "--release", "--quiet", "--locked", "--", "--rounds", &arguments.rounds.to_string()]);
    eprintln!("  $ {}", shell::shown(&cargo));
    let times = Times::parse(&shell::capture(&mut cargo)?)?;
    let mut rows = judged(&times)?;
    rows.extend(times.0.iter().map(told));
    println!("{}", table::render(&rows));
    Ok(())
}

/// What was promised.
fn judged(times: &Times) -> Outcome<Vec<Row>> {
    let compare =
        |figure: &str, [work, place, ours, theirs]: [&str; 4], size: u64, most: f64, target: &str| {
            let (ours_time, theirs_time) =
                (times.get(work, size, place, ours)?, times.get(work, size, place, theirs)?);
            let ratio = ours_time / theirs_time;
            let measured = format!("{ratio:.2}: {} of {}", shown(ours_time), shown(theirs_time));
            Ok(Row::judged(figure, measured, target, ratio <= most))
        };
    let throughput = |figure: &str, kind: &str| {
        let (ours, theirs) =
            (times.get("stream", MIB, "pinned", kind)?, times.get("stream", MIB, "pinned", "memcpy")?);
        let speed = |time: f64| format!("{:.1} GB/s", MIB as f64 / time);
        let measured = format!("{:.0} %: {} of {}", theirs / ours * 100.0, speed(ours), speed(theirs));
        Ok(Row::judged(figure, measured, "at least 80 % of memcpy", theirs / ours >= 0.8))
    };
    let round_trip = "round-trip";
    [
        compare(
            "round trip, 64 B, awake, of rtrb between threads",
            [round_trip, "pinned", "link", "rtrb"],
            64,
            1.5,
            "at most 1.50",
        ),
        compare(
            "… of iceoryx2 between processes",
            [round_trip, "pinned", "link", "iceoryx2"],
            64,
            1.0,
            "less than 1",
        ),
        compare(
            "round trip, 64 B, parked, of a Unix socket",
            [round_trip, "anywhere", "link-parked", "unix"],
            64,
            1.0,
            "at most 1.00",
        ),
        compare(
            "… each process on a processor of its own",
            [round_trip, "pinned", "link-parked", "unix"],
            64,
            1.0,
            "at most 1.00",
        ),
        throughput("stream, 1 MiB, used where it is", "link-pool-in-place"),
        throughput("… copied out by the receiver too", "link-pool"),
    ]
    .into_iter()
    .collect()
}

/// All times of one kind, the fastest first.
fn told(((work, size, place), times): (&(String, u64, String), &BTreeMap<String, f64>)) -> Row {
    let size = match *size {
        MIB => "1 MiB".to_owned(),
        4096 => "4 KiB".to_owned(),
        size => format!("{size} B"),
    };
    let place = if place == "pinned" { "" } else { ", processors as the kernel likes" };
    let mut times: Vec<(&String, &f64)> = times.iter().collect();
    times.sort_by(|one, other| one.1.total_cmp(other.1));
    let measured = times.iter().map(|(kind, time)| format!("{kind} {}", shown(**time)));
    let work = work.replace('-', " ");
    Row::told(&format!("{work}, {size}{place}"), measured.collect::<Vec<_>>().join(", "))
}

fn shown(nanoseconds: f64) -> String {
    if nanoseconds < 1000.0 {
        format!("{nanoseconds:.0} ns")
    } else {
        format!("{:.1} µs", nanoseconds / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
round-trip 64 pinned link 150.0
round-trip 64 pinned rtrb 125.0
round-trip 64 pinned iceoryx2 600.0
round-trip 64 anywhere link-parked 5000.0
round-trip 64 anywhere unix 10000.0
round-trip 64 pinned link-parked 61000.0
round-trip 64 pinned unix 60000.0
stream 1048576 pinned link-pool-in-place 20000.0
stream 1048576 pinned link-pool 30000.0
stream 1048576 pinned memcpy 20000.0
";

    #[test]
    fn figures_are_compared_with_those_of_the_same_run() {
        let times = Times::parse(OUTPUT).expect("it is complete");
        let table = table::render(&judged(&times).expect("nothing is missing"));
        for line in [
            "1.20: 150 ns of 125 ns | at most 1.50",
            "0.25: 150 ns of 600 ns",
            "0.50: 5.0 µs of 10.0 µs",
            "1.02: 61.0 µs of 60.0 µs | at most 1.00            | MISSED",
            "100 %: 52.4 GB/s of 52.4 GB/s | at least 80 % of memcpy | met",
            "67 %: 35.0 GB/s of 52.4 GB/s | at least 80 % of memcpy | MISSED",
        ] {
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(squeezed(&table).contains(&squeezed(line)), "{line} is not in\n{table}");
        }
    }

    #[test]
    fn a_line_that_is_no_figure_and_a_figure_that_is_missing_are_told() {
        assert!(Times::parse("round-trip 64 pinned link fast").is_err());
        let times = Times::parse("round-trip 64 pinned link 1").expect("it is a figure");
        assert!(judged(&times).expect_err("most is missing").to_string().contains("rtrb"));
    }
}
