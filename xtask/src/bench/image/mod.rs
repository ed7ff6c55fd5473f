//! `cargo xtask bench image`: the figures that images are held to. `docs/benchmarks.md` says how each is measured.

mod container;
mod entry;
mod instructions;
mod sizes;
mod time;
mod workbench;

use crate::bench::surroundings;
use crate::bench::table::{self, Row};
use crate::failure::Outcome;
use crate::workspace::Workspace;
use clap::{Args, ValueEnum};
use workbench::Workbench;

/// What to measure.
#[derive(Args)]
pub struct Arguments {
    /// The figures to measure [default: all]
    #[arg(value_enum)]
    figures: Vec<Figure>,
}

/// A group of figures that are measured together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Figure {
    /// Sizes of every format
    Sizes,
    /// What a container is, beside its program
    Container,
    /// What making an image takes
    Time,
    /// Guest instructions from kernel entry to the program's first line, with firmware and without
    Instructions,
}

impl Figure {
    fn title(self) -> &'static str {
        match self {
            Self::Sizes => "sizes",
            Self::Container => "container",
            Self::Time => "time",
            Self::Instructions => "instructions",
        }
    }

    fn measure(self, workbench: &Workbench) -> Outcome<Vec<Row>> {
        match self {
            Self::Sizes => sizes::measure(workbench),
            Self::Container => container::measure(workbench),
            Self::Time => time::measure(workbench),
            Self::Instructions => instructions::measure(workbench),
        }
    }
}

/// Measures, and prints one table. A figure that cannot be had is a row that says why.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let chosen = &arguments.figures;
    let figures = if chosen.is_empty() { Figure::value_variants() } else { chosen };
    let workbench = Workbench::prepare(workspace)?;
    let mut rows = Vec::new();
    for figure in figures {
        eprintln!("==> {}", figure.title());
        match figure.measure(&workbench) {
            Ok(measured) => rows.extend(measured),
            Err(failure) => rows.push(Row::failed(figure.title(), failure)),
        }
    }
    println!("`{}`, {}:\n", command(chosen), surroundings());
    println!("{}", table::render(&rows));
    Ok(())
}

/// The command that was typed, for whoever reads the table without it.
fn command(figures: &[Figure]) -> String {
    let words = figures.iter().map(|figure| figure.title());
    ["cargo xtask bench image"].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}
