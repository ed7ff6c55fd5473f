//! What bad input gets: a sentence, a hint, a documented exit status, and nothing half-written. No machine boots here.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod arguments;
mod files;
mod interrupted;
mod kernels;
mod machine;
mod packages;
mod paper;
mod programs;
mod systems;

use harness::{Finished, Scratch};

/// Checks everything a refusal owes its user: the status, exactly this text, no output, no backtrace, no litter.
#[track_caller]
fn refused(scratch: &Scratch, finished: &Finished, status: i32, text: &str) {
    finished.exits(status).prints("");
    let said = scratch.contract(&finished.stderr());
    finished.check(said == text, &format!("it should say exactly:\n{text}but said:\n{said}"));
    without_a_trace(scratch, finished);
}

/// Checks that there is no backtrace and no litter.
#[track_caller]
fn without_a_trace(scratch: &Scratch, finished: &Finished) {
    let said = finished.stderr();
    let panicked = said.contains("panicked at") || said.contains("stack backtrace");
    finished.check(!panicked, "no input should make it panic");
    let litter = scratch.names("tmp");
    finished.check(litter.is_empty(), &format!("nothing should be left behind, but there are {litter:?}"));
}
