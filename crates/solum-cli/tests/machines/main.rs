//! Whole machines, from the command line to the power-off. Each test boots at least one, in QEMU.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod archive;
#[allow(dead_code, reason = "images need more of it")]
mod by_hand;
mod display;
mod endings;
mod examples;
mod files;
mod given;
mod host;
mod kernels;
mod languages;
mod meanwhile;
mod network;
mod permanent;
mod picture;
mod pieces;
mod probe;
mod screens;
mod status;
mod stopping;
mod storage;
mod streams;
mod systems;
mod terminal;
mod time_server;
mod viewer;

use harness::{Scratch, Solum};

/// Ends a machine that hangs, in seconds. No check depends on it.
const TIMEOUT: &str = "300";

/// `solum run` of a program with these options, then `--`, then its arguments.
///
/// The kernel is the one that `solum run` takes by itself, unless SOLUM_TEST_KERNEL names another.
fn run<'a>(scratch: &'a Scratch, program: &str, options: &[&str], arguments: &[&str]) -> Solum<'a> {
    let kernel = harness::kernel::chosen();
    let mut words = vec!["run", program];
    if !options.contains(&"--timeout") {
        words.extend(["--timeout", TIMEOUT]);
    }
    if let Some(kernel) = &kernel {
        words.extend(["--kernel", kernel]);
    }
    words.extend(options);
    words.push("--");
    words.extend(arguments);
    scratch.solum(&words)
}

/// A machine of the probe, which does this errand there.
fn probe<'a>(scratch: &'a Scratch, options: &[&str], errand: &[&str]) -> Solum<'a> {
    run(scratch, probe::path(), options, errand)
}
