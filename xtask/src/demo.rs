//! `cargo xtask demo`: from a fresh machine to a program that is all of a machine's user space.

use crate::failure::Outcome;
use crate::phases::Phases;
use crate::setup::{self, Purpose};
use crate::shell;
use crate::workspace::Workspace;
use std::process::Command;

/// Prepares this machine, builds `solum`, and boots `examples/hello` with it.
pub fn run(workspace: &Workspace) -> Outcome {
    let mut phases = Phases::default();
    let outcome = run_phases(workspace, &mut phases);
    eprintln!("\n{}", phases.table());
    outcome
}

fn run_phases(workspace: &Workspace, phases: &mut Phases) -> Outcome {
    phases.run("set up", || setup::prepare(workspace, &[Purpose::Demo]))?;
    phases.run("build the solum command", || {
        shell::run(shell::cargo(workspace.root()).args(["build", "--package", "solum-cli"]))
    })?;
    let solum = workspace.metadata()?.target_directory.join("debug/solum");
    phases.run("build examples/hello and run it as a machine", || {
        shell::run(Command::new(solum).current_dir(workspace.root()).args(["run", "examples/hello"]))
    })
}
