//! `cargo xtask bench boot`: the figures that a boot is held to. `docs/benchmarks.md` says how each is measured.

mod instructions;
mod kernel_build;
mod memory;
mod overhead;
mod reproducible;
mod sizes;

use crate::bench::lab::Lab;
use crate::bench::surroundings;
use crate::bench::table::{self, Row};
use crate::failure::Outcome;
use crate::workspace::Workspace;
use clap::{Args, ValueEnum};

/// What to measure.
#[derive(Args)]
pub struct Arguments {
    /// The figures to measure [default: all]
    #[arg(value_enum)]
    figures: Vec<Figure>,
    /// Build the kernel afresh to see what that costs, many minutes; without it, only its size is told
    #[arg(long)]
    build: bool,
}

/// A group of figures that are measured together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Figure {
    /// Guest instructions from kernel entry to the program's first line
    Instructions,
    /// Size of the kernel, and processor time of its build
    Kernel,
    /// Sizes of init and of two initramfs
    Sizes,
    /// The smallest memory that boots hello
    Memory,
    /// What `solum run` adds to cargo and to the machine
    Overhead,
    /// Whether two directories give the same bytes
    Reproducible,
}

impl Figure {
    fn title(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Kernel => "kernel",
            Self::Sizes => "sizes",
            Self::Memory => "memory",
            Self::Overhead => "overhead",
            Self::Reproducible => "reproducible",
        }
    }

    fn measure(self, lab: &Lab, arguments: &Arguments) -> Outcome<Vec<Row>> {
        match self {
            Self::Instructions => instructions::measure(lab),
            Self::Kernel => kernel_build::measure(lab, arguments.build),
            Self::Sizes => sizes::measure(lab),
            Self::Memory => memory::measure(lab),
            Self::Overhead => overhead::measure(lab),
            Self::Reproducible => reproducible::measure(lab),
        }
    }
}

/// Measures, and prints one table. A figure that cannot be had is a row that says why.
pub fn run(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let chosen = &arguments.figures;
    let figures = if chosen.is_empty() { Figure::value_variants() } else { chosen };
    let lab = Lab::prepare(workspace)?;
    let mut rows = Vec::new();
    for figure in figures {
        eprintln!("==> {}", figure.title());
        match figure.measure(&lab, arguments) {
            Ok(measured) => rows.extend(measured),
            Err(failure) => rows.push(Row::failed(figure.title(), failure)),
        }
    }
    println!("`{}`, {}:\n", command(arguments), surroundings());
    println!("{}", table::render(&rows));
    Ok(())
}

/// The command that was typed, for whoever reads the table without it.
fn command(arguments: &Arguments) -> String {
    let mut words = vec!["cargo xtask bench boot"];
    words.extend(arguments.figures.iter().map(|figure| figure.title()));
    words.extend(arguments.build.then_some("--build"));
    words.join(" ")
}
