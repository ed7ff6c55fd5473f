//! `cargo xtask bench disk`: a disk that another process serves, and a mirror of three files, against the bare file.

use std::path::PathBuf;

use clap::Args;

use crate::bench::link::Times;
use crate::bench::table::{self, Row};
use crate::failure::Outcome;
use crate::shell;
use crate::workspace::Workspace;

/// What to measure, and where.
#[derive(Args)]
pub struct Arguments {
    /// How often each pass is repeated; the table shows the median
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// A directory of the file system that the disks' files lie in, again for each [default: the system's for temporary
    /// files, and that of shared memory]
    #[arg(long = "directory", value_name = "DIR")]
    directories: Vec<PathBuf>,
}

const REQUEST: u64 = 128 << 10;

/// What was promised: of what, at least how much of the bare file's speed, in percent, when writing and when reading.
const PROMISES: [(&str, &str, f64, f64); 2] =
    [("a served disk", "served", 85.0, 85.0), ("a mirror of three", "mirror", 30.0, 90.0)];

/// What is measured, whether it reads, and how it is called.
const WORKS: [(&str, bool, &str); 4] = [
    ("write", false, "writing, in memory"),
    ("read", true, "reading, in memory"),
    ("write-flushed", false, "writing, flushed to the device"),
    ("read-cold", true, "reading, from the device"),
];

/// Measures, and prints one table.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let mut rows = Vec::new();
    for directory in directories(arguments) {
        let mut cargo = shell::cargo(&workspace.root().join("bench"));
        cargo.args(["run", "--release", "--quiet", "--locked", "--bin", "disk", "--"]);
        cargo.args(["--rounds", &arguments.rounds.to_string()]).arg(directory);
        eprintln!("  $ {}", shell::shown(&cargo));
        let output = shell::capture(&mut cargo)?;
        rows.extend(self::rows(&Times::parse(&output)?, file_system(&output))?);
    }
    println!("{}", table::render(&rows));
    Ok(())
}

fn directories(arguments: &Arguments) -> Vec<PathBuf> {
    if !arguments.directories.is_empty() {
        return arguments.directories.clone();
    }
    let memory = PathBuf::from("/dev/shm");
    [std::env::temp_dir()].into_iter().chain(memory.is_dir().then_some(memory)).collect()
}

/// The name of the file system that a benchmark says it ran on.
fn file_system(output: &str) -> &str {
    output.split_whitespace().nth(2).unwrap_or("unknown")
}

fn rows(times: &Times, place: &str) -> Outcome<Vec<Row>> {
    let speed = |nanoseconds: f64| format!("{:.1} GB/s", REQUEST as f64 / nanoseconds);
    let compared = |kind: &str, work: &str| -> Outcome<(f64, String)> {
        let own = times.get(work, REQUEST, place, kind)?;
        let bare = times.get(work, REQUEST, place, "bare")?;
        // The median of the rounds' ratios, which need not be the ratio of the medians.
        let ratio = times.get(&format!("{work}-percent"), REQUEST, place, kind)?;
        Ok((ratio, format!("{ratio:.0} %: {} of {}", speed(own), speed(bare))))
    };
    let mut rows = Vec::new();
    for (work, is_read, doing) in WORKS {
        // A file system in memory has no device below.
        if times.get(work, REQUEST, place, "bare").is_err() {
            continue;
        }
        for (figure, kind, write, read) in PROMISES {
            let least = if is_read { read } else { write };
            let (ratio, measured) = compared(kind, work)?;
            let target = format!("at least {least:.0} % of the bare file");
            rows.push(Row::judged(&format!("{place}: {figure}, {doing}"), measured, target, ratio >= least));
        }
        if matches!(work, "write" | "read") {
            let ratio = times.get(&format!("{work}-processor-percent"), REQUEST, place, "mirror")?;
            rows.push(Row::told(
                &format!("{place}: a mirror of three, {doing}, by processor time"),
                format!("{ratio:.0} %"),
            ));
        }
        let measured = compared("mirror-served", work)?.1;
        rows.push(Row::told(&format!("{place}: a served mirror, {doing}"), measured));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_compared_with_the_bare_file_of_the_same_file_system() {
        let lines: String = [
            ("bare", 100.0, 100.0),
            ("served", 110.0, 91.0),
            ("mirror", 400.0, 25.0),
            ("mirror-served", 500.0, 20.0),
        ]
        .iter()
        .flat_map(|(kind, time, percent)| {
            ["write", "read"].map(|work| {
                let told = |what: &str, number: &f64| format!("{what} {REQUEST} ext4 {kind} {number}\n");
                told(work, time)
                    + &told(&format!("{work}-percent"), percent)
                    + &told(&format!("{work}-processor-percent"), percent)
            })
        })
        .collect();
        let table = table::render(&rows(&Times::parse(&lines).unwrap(), file_system(&lines)).unwrap());
        assert!(table.contains("| ext4: a served disk, writing, in memory"), "{table}");
        assert!(table.contains("91 %: 1191.6 GB/s of 1310.7 GB/s"), "{table}");
        assert_eq!(table.matches("MISSED").count(), 2, "the mirror is too slow both ways: {table}");
        assert!(!table.contains("device"), "nothing was measured there: {table}");
    }
}
