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
    /// How often each pass is repeated; the table shows the best
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// A directory of the file system that the disks' files lie in [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

const REQUEST: u64 = 128 << 10;

/// What was promised: of what, doing what, at least how much of the bare file's speed, in percent.
const PROMISES: [(&str, &str, &str, f64); 4] = [
    ("a served disk, writing", "served", "write", 85.0),
    ("… reading", "served", "read", 85.0),
    ("a mirror of three, writing", "mirror", "write", 30.0),
    ("… reading", "mirror", "read", 90.0),
];

/// Measures, and prints one table.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let directory = arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
    let mut cargo = shell::cargo(&workspace.root().join("bench"));
    cargo.args(["run", "--release", "--quiet", "--locked", "--bin", "disk", "--"]);
    cargo.args(["--rounds", &arguments.rounds.to_string()]).arg(directory);
    eprintln!("  $ {}", shell::shown(&cargo));
    let times = Times::parse(&shell::capture(&mut cargo)?)?;
    println!("{}", table::render(&rows(&times)?));
    Ok(())
}

fn rows(times: &Times) -> Outcome<Vec<Row>> {
    let speed = |nanoseconds: f64| format!("{:.1} GB/s", REQUEST as f64 / nanoseconds);
    let compared = |kind: &str, work: &str| -> Outcome<(f64, String)> {
        let (own, bare) =
            (times.get(work, REQUEST, "pinned", kind)?, times.get(work, REQUEST, "pinned", "bare")?);
        let ratio = bare / own * 100.0;
        Ok((ratio, format!("{ratio:.0} %: {} of {}", speed(own), speed(bare))))
    };
    let mut rows = Vec::new();
    for (figure, kind, work, least) in PROMISES {
        let (ratio, measured) = compared(kind, work)?;
        let target = format!("at least {least:.0} % of the bare file");
        rows.push(Row::judged(figure, measured, target, ratio >= least));
    }
    for work in ["write", "read"] {
        rows.push(Row::told(&format!("a served mirror, {work}"), compared("mirror-served", work)?.1));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_compared_with_the_bare_file() {
        let lines: String = ["bare", "served", "mirror", "mirror-served"]
            .iter()
            .zip([100.0, 110.0, 400.0, 500.0])
            .flat_map(|(kind, time)| {
                ["write", "read"].map(|work| format!("{work} {REQUEST} pinned {kind} {time}\n"))
            })
            .collect();
        let table = table::render(&rows(&Times::parse(&lines).unwrap()).unwrap());
        assert!(table.contains("91 %: 1191.6 GB/s of 1310.7 GB/s"), "{table}");
        assert_eq!(table.matches("MISSED").count(), 2, "the mirror is too slow both ways: {table}");
    }
}
