//! `cargo xtask demo`: from a fresh machine to a program that is all of a machine's user space.

use crate::failure::Outcome;
use crate::phases::Phases;
use crate::setup::{self, Purpose};
use crate::shell;
use crate::workspace::Workspace;
use std::process::Command;

/// What is booted.
const PROGRAM: &str = "examples/hello";

/// Two, to show that a machine has as many processors as one asks for.
const CPUS: &str = "2";

/// Prepares this machine, builds `solum`, and boots a program with it; says how long each phase took.
pub fn run(workspace: &Workspace) -> Outcome {
    let mut phases = Phases::default();
    let outcome = run_phases(workspace, &mut phases);
    eprintln!("\n{}", phases.table());
    outcome
}

fn run_phases(workspace: &Workspace, phases: &mut Phases) -> Outcome {
    let program = workspace.metadata()?.target_directory.join("debug/solum");
    let solum = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(workspace.root()).args(arguments);
        command
    };
    phases.run("set up", || setup::prepare(workspace, &[Purpose::Demo]))?;
    phases.run("build the command `solum`", || {
        shell::run(shell::cargo(workspace.root()).args(["build", "--package", "solum-cli"]))
    })?;
    phases.run("get a kernel", || shell::run(&mut solum(&["kernel", "build", "--kernel", "debian"])))?;
    let image = workspace.scratch("hello.initramfs")?.display().to_string();
    phases.run("build the program and its image", || {
        shell::run(&mut solum(&["take", "--kernel", "debian", &image, PROGRAM]))
    })?;
    phases.run("boot it and power off", || {
        shell::run(&mut solum(&["run", "--kernel", "debian", "--cpus", CPUS, PROGRAM]))
    })
}
