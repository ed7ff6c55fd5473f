//! `--place host`: the same program as a process.

use rustix::process::Signal;

use crate::harness::{Scratch, Solum};
use crate::probe::path;

/// The probe as a process of this host.
fn probe<'a>(scratch: &'a Scratch, options: &[&str], errand: &[&str]) -> Solum<'a> {
    scratch.solum(&[&["run", path(), "--place", "host"], options, &["--"], errand].concat())
}

#[test]
fn arguments_environment_and_status_are_the_same() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &["--env", "GREETING=good day"], &["given", "one two", "it's"]).run();
    finished.exits(0).says("");
    let printed = finished.stdout();
    finished.check(printed.starts_with("argument \"one two\"\nargument \"it's\"\n"), "its arguments");
    finished.check(printed.contains("GREETING=\"good day\"\n"), "its environment");
    let names: Vec<&str> = printed.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(
        names,
        ["GREETING", "HOME", "PATH", "TERM", "TMPDIR", "USER"],
        "and nothing else of the host's"
    );
    probe(&scratch, &[], &["status", "9"]).run().exits(9).prints("").says("");
}

#[test]
fn streams_are_the_callers_own() {
    let scratch = Scratch::new();
    probe(&scratch, &[], &["echo"])
        .input("there and back")
        .run()
        .exits(0)
        .prints("there and back")
        .says("14 bytes");
}

#[test]
fn a_signal_is_told_in_one_sentence() {
    let scratch = Scratch::new();
    let text = "solum: the program was ended by signal 11 (SIGSEGV, a bad memory access)\n";
    probe(&scratch, &[], &["bad-access"]).run().exits(139).prints("").says(text);
}

#[test]
fn the_first_request_stops_and_the_second_kills() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &[], &["polite"]).start().until_it_prints("ready\n");
    running.signal(Signal::INT);
    running
        .finish()
        .exits(7)
        .prints("ready\nasked to end by signal 15\n")
        .says("solum: stopping; once more kills\n");

    let running = probe(&scratch, &[], &["stubborn"]).start().until_it_prints("ready\n");
    running.signal(Signal::INT);
    let running = running.until_it_says("solum: stopping; once more kills\n");
    running.insist(Signal::INT).exits(130).prints("ready\n").mentions("error: ");
}

#[test]
fn grace_and_time_limit_hold_here_too() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &["--grace", "1"], &["stubborn"]).start().until_it_prints("ready\n");
    running.signal(Signal::TERM);
    running
        .finish()
        .exits(137)
        .mentions("the program did not stop in time and was ended by signal 9 (SIGKILL)\n");
    let finished = probe(&scratch, &["--timeout", "1"], &["polite"]).run();
    finished.exits(124).says("error: the time limit of 1 s was reached\n");
}

#[test]
fn binaries_examples_and_features_of_a_package_can_be_chosen() {
    let scratch = Scratch::new();
    scratch.file(
        "package/Cargo.toml",
        "[package]\nname = \"choice\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nloud = []\n[workspace]\n",
    );
    let main = |name: &str| {
        format!(
            "fn main() {{ println!(\"{name} loud={{}} debug={{}}\", cfg!(feature = \"loud\"), cfg!(debug_assertions)) }}\n"
        )
    };
    for (path, name) in [("src/bin/one.rs", "one"), ("src/bin/two.rs", "two"), ("examples/three.rs", "three")]
    {
        scratch.file(&format!("package/{path}"), main(name));
    }
    let cases: [(&[&str], &str); 3] = [
        (&["--bin", "two"], "two loud=false debug=false\n"),
        (&["--bin", "one", "--features", "loud", "--profile", "dev"], "one loud=true debug=true\n"),
        (&["--example", "three"], "three loud=false debug=false\n"),
    ];
    for (options, printed) in cases {
        let finished = scratch
            .solum(&["run", "[SCRATCH]/package", "--place", "host"])
            .with(options)
            .env("CARGO_TARGET_DIR", "[SCRATCH]/target")
            .run();
        finished.exits(0).prints(printed);
    }
}
