//! `cargo xtask`: everything the project does to itself, from the set-up of a fresh machine to its tests.
//!
//! Two commands are all a newcomer needs: `cargo xtask demo` and `cargo xtask test`.

mod bench;
mod demo;
mod deny;
mod failure;
mod phases;
mod setup;
mod shell;
mod test;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand, ValueEnum};
use failure::Outcome;
use std::process::ExitCode;
use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what a task needs and this machine lacks; does nothing when nothing is missing
    Setup {
        /// What the machine shall be able to do afterwards
        #[arg(value_enum, default_values_t = setup::Purpose::value_variants().to_vec())]
        purposes: Vec<setup::Purpose>,
    },
    /// Boot examples/hello as the only program of a machine, and say how long each phase took
    Demo,
    /// Run every test, exactly as CI does; or the named layers only
    Test {
        #[arg(value_enum)]
        layers: Vec<test::Layer>,
    },
    /// Check the rules that no compiler checks: ARCHITECTURE.md, lengths, banned calls, links
    Tidy,
    /// Check the dependencies: licences, duplicates, where they come from
    Deny,
    /// Measure; prints a table, judges nothing
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = Workspace::locate().and_then(|workspace| perform(&workspace, &arguments.task));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::FAILURE
        }
    }
}

fn perform(workspace: &Workspace, task: &Task) -> Outcome {
    match task {
        Task::Setup { purposes } => setup::prepare(workspace, purposes),
        Task::Demo => demo::run(workspace),
        Task::Test { layers } => test::run(workspace, layers),
        Task::Tidy => tidy::run(workspace),
        Task::Deny => deny::run(workspace),
        Task::Bench { bench } => bench::run(workspace, bench),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
