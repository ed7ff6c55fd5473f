//! Images of every format: made by `solum build`, booted in QEMU, and refused where they cannot be.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod booted;
#[allow(dead_code)]
#[path = "../machines/by_hand.rs"]
mod by_hand;
mod computers;
mod made;
#[path = "../machines/probe.rs"]
mod probe;
mod refused;
mod system;
mod together;

use harness::{Finished, Scratch, Solum};

/// Ends a machine that hangs, in seconds. No check depends on it.
const TIMEOUT: &str = "300";

/// `solum build` of the probe, called `m`, whose machine does this errand. The image is at `[SCRATCH]/OUTPUT`.
fn build(scratch: &Scratch, format: &str, output: &str, options: &[&str], errand: &str) -> Finished {
    let output = format!("[SCRATCH]/{output}");
    let kernel = harness::kernel::chosen();
    let mut words = vec!["build", probe::path(), "--format", format, "--output", &output, "--name", "m"];
    if let (Some(kernel), false) = (&kernel, options.contains(&"--for")) {
        words.extend(["--kernel", kernel]);
    }
    words.extend(options);
    words.push("--");
    words.extend(errand.split(' '));
    scratch.solum(&words).run()
}

/// As [`build`]; it has to succeed.
fn built(scratch: &Scratch, format: &str, output: &str, options: &[&str], errand: &str) {
    build(scratch, format, output, options, errand).exits(0);
}

/// `solum run --image`.
fn boot<'a>(scratch: &'a Scratch, image: &str, options: &[&str]) -> Solum<'a> {
    let image = format!("[SCRATCH]/{image}");
    let mut words = vec!["run", "--image", &image, "--timeout", TIMEOUT];
    words.extend(options);
    scratch.solum(&words)
}
