//! `solum sim`: what it refuses, what it makes of a simulation's answers, and the package that it writes to begin with.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod begun;
mod ended;
mod refused;
mod runs;

use harness::{Finished, Scratch, Solum};

/// The system `counted`, whose scenarios are made for these tests.
const COUNTED: &str = "crates/solum-cli/tests/counted";

/// `solum sim` of the system `counted`.
fn counted<'a>(scratch: &'a Scratch, words: &[&str]) -> Solum<'a> {
    sim(scratch, COUNTED, words)
}

/// `solum sim` of a system. What Cargo says of its locks and compilers is in no test's way.
fn sim<'a>(scratch: &'a Scratch, directory: &str, words: &[&str]) -> Solum<'a> {
    scratch.solum_without_init(&[&["sim", directory], words].concat()).env("CARGO_TERM_QUIET", "true")
}

const SYSTEM: &str = "[system]\nname = \"faked\"\n\n[program.plain]\nfile = \"plain\"\n\n\
                      [machine.m.unit.plain]\nprogram = \"plain\"\n\n[simulation]\npackage = \"sim\"\n";

/// A simulation that only pretends: its `main` is this code.
struct Fake {
    scratch: Scratch,
}

impl Fake {
    fn new(main: &str) -> Self {
        let scratch = Scratch::new();
        scratch.file("solum.toml", SYSTEM);
        let manifest = "[package]\nname = \"fake\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
        scratch.file("sim/Cargo.toml", manifest);
        scratch.file("sim/src/main.rs", format!("fn main() {{\n{main}\n}}\n"));
        Self { scratch }
    }

    fn sim(&self, words: &[&str]) -> Solum<'_> {
        sim(&self.scratch, "[SCRATCH]", words).env("CARGO_TARGET_DIR", "[SCRATCH]/target")
    }
}

/// Nothing but this was said, and it ended with this status.
#[track_caller]
fn refused(scratch: &Scratch, finished: &Finished, status: i32, text: &str) {
    finished.exits(status).prints("");
    let said = scratch.contract(&finished.stderr());
    finished.check(said == text, &format!("it should say exactly:\n{text}but said:\n{said}"));
}
