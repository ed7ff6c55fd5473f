//! `cargo xtask test`: every layer of checks, cheapest first, exactly what CI runs.

mod summary;

use crate::failure::{Failure, Outcome};
use crate::phases::Phases;
use crate::setup::{self, Purpose};
use crate::shell;
use crate::workspace::{Package, Target, Workspace};
use crate::{deny, tidy};
use clap::ValueEnum;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::process::{Child, Command, Stdio};
use summary::{Counts, Reader};

/// The package whose integration tests boot machines.
const MACHINE_TESTS: &str = "solum-cli";
/// Those of them that do not, and are quick: systems as processes of this host.
const QUICK_TESTS: &str = "systems";

/// One kind of check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Layer {
    /// The source is formatted
    Fmt,
    /// No lint warns
    Clippy,
    /// The rules that no compiler checks hold
    Tidy,
    /// The dependencies are permissible
    Deny,
    /// The crates do what their own tests say, without a machine
    Unit,
    /// Whole machines do what they should, from the command line to the power-off
    Machines,
    /// The documentation builds, and its links resolve
    Docs,
}

impl Layer {
    fn title(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Tidy => "tidy",
            Self::Deny => "deny",
            Self::Unit => "unit",
            Self::Machines => "machines",
            Self::Docs => "docs",
        }
    }
}

/// Runs the layers (all when none is named), each whether or not an earlier one failed, and sums up.
pub fn run(workspace: &Workspace, layers: &[Layer]) -> Outcome {
    let layers = if layers.is_empty() { Layer::value_variants() } else { layers };
    let mut phases = Phases::default();
    let mut counts = Counts::default();
    // A phase that fails is remembered by `phases`; what it said belongs where it happened.
    let say = |outcome: Outcome| outcome.unwrap_or_else(|failure| failure.print());
    say(phases.run("set up", || setup::prepare(workspace, Purpose::value_variants())));
    for layer in layers {
        say(phases.run(layer.title(), || run_layer(workspace, *layer, &mut counts)));
    }
    let failed = phases.failed().join(", ");
    println!("\n{}\n", phases.table());
    if !failed.is_empty() {
        println!("failed: {failed}");
    }
    println!("{counts}");
    if failed.is_empty() { Ok(()) } else { Err(Failure::said_already()) }
}

fn run_layer(workspace: &Workspace, layer: Layer, counts: &mut Counts) -> Outcome {
    let cargo = |words: &str| {
        let mut command = shell::cargo(workspace.root());
        command.args(words.split(' '));
        command
    };
    match layer {
        Layer::Fmt => shell::run(&mut cargo("fmt --all --check")),
        Layer::Clippy => {
            shell::run(&mut cargo("clippy --workspace --all-targets --keep-going -- --deny warnings"))
        }
        Layer::Tidy => tidy::run(workspace),
        Layer::Deny => deny::run(workspace),
        Layer::Unit => run_unit_tests(workspace, counts),
        Layer::Machines => run_machine_tests(workspace, counts),
        // The doc comments of the command line are its help; and its program would take the place of the library `solum`.
        Layer::Docs => shell::run(
            cargo("doc --workspace --exclude solum-cli --no-deps --document-private-items --keep-going")
                .env("RUSTDOCFLAGS", "--deny warnings"),
        ),
    }
}

fn run_unit_tests(workspace: &Workspace, counts: &mut Counts) -> Outcome {
    let inside = run_tests(workspace, &["--workspace", "--lib", "--bins", "--examples"], counts);
    let beside = run_tests_beside_crates(workspace, counts);
    let systems = run_tests(workspace, &["--package", MACHINE_TESTS, "--test", QUICK_TESTS], counts);
    let documented = run_tests(workspace, &["--workspace", "--doc"], counts);
    inside.and(beside).and(systems).and(documented)
}

/// The integration tests of every package but the one whose tests are machines.
fn run_tests_beside_crates(workspace: &Workspace, counts: &mut Counts) -> Outcome {
    let metadata = workspace.metadata()?;
    let packages =
        metadata.packages.iter().filter(|package| package.name != MACHINE_TESTS && has_tests(package));
    let mut arguments: Vec<&str> = packages.flat_map(|package| ["--package", &package.name]).collect();
    if arguments.is_empty() {
        return Ok(());
    }
    arguments.extend(["--test", "*"]);
    run_tests(workspace, &arguments, counts)
}

fn has_tests(package: &Package) -> bool {
    package.targets.iter().any(is_test)
}

fn is_test(target: &Target) -> bool {
    target.kind.iter().any(|kind| kind == "test")
}

fn run_machine_tests(workspace: &Workspace, counts: &mut Counts) -> Outcome {
    let metadata = workspace.metadata()?;
    if !metadata.packages.iter().any(|package| package.name == MACHINE_TESTS && has_tests(package)) {
        return Err(Failure::new(format!(
            "{MACHINE_TESTS} has no integration tests, so no machine was tested"
        )));
    }
    // The tests boot the small kernel wherever they do not say otherwise. It is built once and stays in the cache.
    let mut build = shell::cargo(workspace.root());
    build.args(["run", "--quiet", "--package", MACHINE_TESTS, "--", "kernel", "build"]);
    shell::run(&mut build)?;
    let tests = metadata.packages.iter().filter(|package| package.name == MACHINE_TESTS);
    let tests = tests.flat_map(|package| &package.targets).filter(|target| is_test(target));
    let slow = tests.filter(|target| target.name != QUICK_TESTS);
    let mut arguments = vec!["--package", MACHINE_TESTS];
    arguments.extend(slow.flat_map(|target| ["--test", &target.name]));
    run_tests(workspace, &arguments, counts)
}

/// `cargo test`, its output shown and counted as it comes. Every binary runs, even after one failed.
fn run_tests(workspace: &Workspace, selection: &[&str], counts: &mut Counts) -> Outcome {
    let mut command = shell::cargo(workspace.root());
    command.args(["test", "--no-fail-fast"]).args(selection).args(["--", "--show-output"]);
    let title = shell::shown(&command);
    eprintln!("  $ {title}");
    let broke_off = |error: io::Error| Failure::new(format!("the output of `{title}` broke off: {error}"));
    let (mut child, output) = spawn(command).map_err(broke_off)?;
    let mut reader = Reader::default();
    for line in BufReader::new(output).split(b'\n') {
        if let Some(shown) = reader.read(&String::from_utf8_lossy(&line.map_err(broke_off)?)) {
            println!("{shown}");
        }
    }
    *counts += reader.counts();
    let status = child.wait().map_err(broke_off)?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{title}` ended with {status}"))) }
}

/// Starts a command with one pipe for both of its outputs, so that cargo's lines (standard error) and the tests' lines
/// (standard output) keep their order. Takes the command, for it holds the pipe's writing end, which must close.
fn spawn(mut command: Command) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    Ok((command.spawn()?, reader))
}
