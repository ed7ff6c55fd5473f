//! Simulations that there are not, and orders that cannot be carried out.

use std::process::Command;

use solum_spec::simulation::{VARIABLE, VERSION};

use crate::harness::Scratch;
use crate::{Fake, SYSTEM, counted, refused, sim};

#[test]
fn a_description_without_a_simulation() {
    let scratch = Scratch::new();
    scratch.file("solum.toml", SYSTEM.split("[simulation]").next().unwrap());
    let text = "error: [SCRATCH]/solum.toml names no package that simulates the system\n\
                hint: write `[simulation]` there, and below it `package = \"DIR\"`; `solum sim --init [SCRATCH]` makes one\n";
    refused(&scratch, &sim(&scratch, "[SCRATCH]", &[]).run(), 102, text);
}

#[test]
fn packages_that_cannot_be_run() {
    let scratch = Scratch::new();
    scratch.file("solum.toml", SYSTEM);
    let text = "\
error: the simulation has no package directory [SCRATCH]/sim
  --> [SCRATCH]/solum.toml:11:11
   |
11 | package = \"sim\"
   |           ^^^^^
   |
hint: paths are seen from the directory of the description
";
    refused(&scratch, &sim(&scratch, "[SCRATCH]", &[]).run(), 108, text);
    scratch.directory("sim");
    let text = "error: the directory [SCRATCH]/sim has no Cargo.toml\n\
                hint: a simulation is a Cargo package; `solum sim --init` writes one\n";
    refused(&scratch, &sim(&scratch, "[SCRATCH]", &[]).run(), 102, text);
    let fake = Fake::new("");
    fake.scratch.file("sim/src/bin/other.rs", "fn main() {}\n");
    let text = "error: the package `fake` has several binaries: fake, other\n\
                hint: choose one: write `bin = \"fake\"` below `[simulation]`\n";
    refused(&fake.scratch, &fake.sim(&[]).run(), 102, text);
    std::fs::rename(fake.scratch.path("sim/src/main.rs"), fake.scratch.path("sim/src/lib.rs")).unwrap();
    std::fs::remove_file(fake.scratch.path("sim/src/bin/other.rs")).unwrap();
    let text = "error: the package `fake` has no binary\n\
                hint: give it a src/main.rs that calls solum_sim::harness::main; `solum sim --init` shows how\n";
    refused(&fake.scratch, &fake.sim(&[]).run(), 102, text);
    let fake = Fake::new("missing");
    let finished = fake.sim(&[]).run();
    finished.exits(101).prints("").mentions("error[E0425]: cannot find value `missing`");
    finished
        .mentions("error: cargo could not build `fake`\nhint: the reason is in Cargo's own messages above\n");
}

#[test]
fn orders_that_the_simulation_refuses() {
    let scratch = Scratch::new();
    let claims = "lost-writes, slow-disks, delay, drop, duplication, reordering, partition, one-way-partition, \
                  clogging, unit-crash, power-cut, clock-steps, clock-drift";
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["--scenario", "quick"],
            102,
            "error: there is no scenario `quick`\n\
             hint: there are sound, forgetful, incomplete, deadly, talkative\n",
        ),
        (
            &["--faults", "delay,rot"],
            102,
            "error: there is no fault `rot`\n\
             hint: there are lost-writes, torn-writes, misdirected-writes, bit-rot, latent-errors, io-errors, \
             slow-disks, full-disks, stale-disks, delay, drop, duplication, reordering, partition, \
             one-way-partition, clogging, unit-crash, power-cut, clock-steps, clock-drift, and the words all and none\n",
        ),
        (
            &["--faults", "bit-rot"],
            102,
            &format!(
                "error: the system does not claim to survive bit-rot\nhint: it claims to survive {claims}\n"
            ),
        ),
        (
            &["--replay", "no token"],
            102,
            "error: `no token` is neither a seed nor a token that `solum sim` printed\n",
        ),
        (
            &["--replay", "3", "--trace", "[SCRATCH]/no/where.html"],
            102,
            "error: the timeline cannot be written to [SCRATCH]/no/where.html: no such file or directory\n",
        ),
    ];
    for (words, status, text) in cases {
        refused(&scratch, &counted(&scratch, words).run(), status, text);
    }
}

#[test]
fn a_scenario_that_does_not_fit_the_description() {
    let scratch = Scratch::new();
    let finished = counted(&scratch, &["--scenario", "incomplete"]).run();
    let text = "error: the scenario has no code for the program `counter`\n\
                hint: add setup.program(NAME, FUNCTION) for it\n";
    finished.exits(102).prints("").check(finished.stderr() == text, text);
}

#[test]
fn words_of_the_command_line_that_do_not_fit() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &str); 9] = [
        (&["--search", "quick"], "[possible values: mixed, random, pct, novelty, crashes]"),
        (&["--seeds", "5..5"], "there is no run among these"),
        (&["--seeds", "many"], "`many` is no number; write how many runs, or seeds as 100..200"),
        (&["--until", "soon"], "it does not start with a number; write it like 30s or 2min"),
        (&["--until", "30"], "it has no unit of time after its number; write it like 30s or 2min"),
        (&["--jobs", "0"], "0 is not in 1..=65535"),
        (&["--failures", "0"], "0 is not in 1..="),
        (&["--lines"], "--replay <TOKEN>"),
        (&["--seed", "1", "--seeds", "3"], "'--seed <N>' cannot be used with '--seeds <N|A..B>'"),
    ];
    for (words, text) in cases {
        counted(&scratch, words).run().exits(2).prints("").mentions(text);
    }
}

#[test]
fn a_simulation_of_another_version_says_so() {
    let scratch = Scratch::new();
    counted(&scratch, &["--seeds", "1"]).run().exits(0);
    // The same executable with an order of another time; what it then says is told as any other refusal.
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let order = format!("{{\"version\": {}}}", VERSION + 1);
    let answer = Command::new(target.join("debug/counted-simulation")).env(VARIABLE, order).output().unwrap();
    assert_eq!(answer.status.code(), Some(2));
    let fake = Fake::new(&format!("print!(\"{{}}\", {:?});", String::from_utf8(answer.stdout).unwrap()));
    let text = format!(
        "error: the order of solum is not understood: it has version {}, not {VERSION}\n\
         hint: this simulation was built with another version of solum-sim than solum has\n",
        VERSION + 1
    );
    refused(&fake.scratch, &fake.sim(&[]).run(), 102, &text);
}
