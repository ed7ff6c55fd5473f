//! What units print reaches whoever reads, or whoever reads is told what is missing.

use std::io::{Read, pipe};
use std::process::Stdio;

use crate::alone;
use crate::devices::talk;
use crate::harness::free_port;
use crate::harness::system::System;

/// How many lines of 64 bytes a flood has: several times what a log keeps.
const LINES: u64 = 100_000;

fn flood() -> System {
    let staying = "[machine.m.unit.other]\nprogram = \"errand\"\narguments = [\"stay\", \"here\"]\n";
    System::new(&format!(
        "[machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"flood\", \"{LINES}\"]\n{staying}"
    ))
}

/// How many lines of the flood there are, and how many are said to be missing. They are in order.
#[track_caller]
fn account(printed: &str, said: &str) -> (u64, u64) {
    let numbers = printed.lines().filter_map(|line| match line.split_once('|') {
        Some((unit, line)) if unit.trim() == "m.u" => line.trim_start().split(' ').next(),
        _ => None,
    });
    let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "the lines are in order");
    let missing = said.lines().filter_map(|line| {
        let rest = line.strip_prefix("solum: m.u: ")?;
        rest.contains("are missing here").then(|| rest.split(' ').next().unwrap().parse::<u64>().unwrap())
    });
    (numbers.len() as u64, missing.sum())
}

#[test]
fn megabytes_are_printed_or_said_to_be_missing() {
    let system = flood();
    let running = system.on_host(&["--verbose"]).start().until_it_says("m.u ended: it ended with status 0\n");
    let finished = system.down(running);
    let (printed, missing) = account(&finished.stdout(), &finished.stderr());
    finished.exits(0).check(printed + missing == LINES, &format!("{printed} lines and {missing} missing"));
}

#[test]
fn a_slow_reader_is_told_what_it_missed() {
    let port = free_port();
    let system = alone("tcp-echo", &format!("ports.tcp = \"tcp.{port}\"\nlog = \"64 KiB\""));
    let running = system.on_host(&[]).start().until_it_prints("m.u | listening\n");
    let (mut reader, writer) = pipe().unwrap();
    let logs = system.ask(&["logs", "-f"]).start_on(Stdio::null(), Stdio::from(writer));
    let mut first = [0; 16];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"m.u | listening\n");
    // Nothing more is read until all has been printed.
    assert_eq!(talk(&format!("127.0.0.1:{port}"), &LINES.to_string()), LINES.to_string());
    let drained = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    system.down(running).exits(0);
    let logs = logs.finish();
    let (printed, missing) = account(&drained.join().unwrap(), &logs.stderr());
    logs.exits(0).check(printed + missing == LINES, &format!("{printed} lines and {missing} missing"));
    logs.check(missing > 0, "some are missing");
}

#[test]
fn nobody_who_reads_what_a_system_prints_does_not_hold_it_up() {
    let system = flood();
    let (mut reader, writer) = pipe().unwrap();
    let running = system.on_host(&["--verbose"]).start_on(Stdio::null(), Stdio::from(writer));
    let running = running.until_it_says("m.u ended: it ended with status 0\n");
    assert_eq!(system.unit("m.u")["state"], "ended");
    let drained = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    let finished = system.down(running);
    let (printed, missing) = account(&drained.join().unwrap(), &finished.stderr());
    finished.exits(0).check(printed + missing == LINES, &format!("{printed} lines and {missing} missing"));
    finished.check(missing > 0, "some are missing");
}

#[test]
fn following_ends_with_the_system() {
    let system = alone("errand", r#"arguments = ["stay", "here"]"#);
    let running = system.on_host(&[]).start().until_it_prints("here\n");
    let logs = system.ask(&["logs", "--follow", "u"]).start().until_it_prints("m.u | here\n");
    system.ask(&["restart", "u"]).run().exits(0);
    let logs = logs.until_it_prints("m.u | here\nm.u | here\n");
    system.down(running).exits(0);
    logs.finish().exits(0).prints("m.u | here\nm.u | here\n").says("");
}

#[test]
fn following_a_system_that_is_killed_says_so() {
    let system = alone("errand", r#"arguments = ["stay", "here"]"#);
    let running = system.on_host(&[]).start().until_it_prints("here\n");
    let logs = system.ask(&["logs", "-f"]).start().until_it_prints("m.u | here\n");
    running.signal(rustix::process::Signal::KILL);
    running.finish();
    logs.finish().exits(106).says("error: the running system ended before it had answered\n");
}

#[test]
fn logs_are_those_of_the_units_that_are_named() {
    let unit = |name: &str| {
        format!("[machine.m.unit.{name}]\nprogram = \"plain\"\narguments = [\"both-streams\"]\n")
    };
    let staying = "[machine.m.unit.c]\nprogram = \"errand\"\narguments = [\"stay\", \"here\"]\n";
    let system = System::new(&[&unit("a"), &unit("b"), staying].concat());
    let running = system.on_host(&["--verbose"]).start();
    let running = running
        .until_it_says("m.a ended: ")
        .until_it_says("m.b ended: ")
        .until_it_says("m.c running: ")
        .until_it_prints("here\n");
    let sorted = |words: &[&str]| {
        let finished = system.ask(words).run();
        finished.exits(0).says("");
        let mut lines: Vec<String> = finished.stdout().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&["logs", "a"]), ["m.a ! err", "m.a | out"]);
    let all = sorted(&["logs"]);
    assert_eq!(all, ["m.a ! err", "m.a | out", "m.b ! err", "m.b | out", "m.c | here"]);
    assert_eq!(sorted(&["logs", "-n", "1", "m.c", "b"]).len(), 2);
    assert_eq!(sorted(&["logs", "-n", "0"]), [""; 0]);
    let json = sorted(&["logs", "--json", "m.a", "m.c"]);
    let json: Vec<serde_json::Value> = json.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (unit, stream, line) in
        [("m.a", "stdout", "out"), ("m.a", "stderr", "err"), ("m.c", "stdout", "here")]
    {
        let found = json.iter().filter(|known| {
            known["unit"] == unit
                && known["stream"] == stream
                && known["line"] == line
                && known["at_ms"].is_u64()
        });
        assert_eq!(found.count(), 1, "{unit} {stream} {line}: {json:?}");
    }
    let finished = system.ask(&["logs", "a", "nobody"]).run();
    finished.exits(102).prints("");
    system.down(running).exits(0);
}

#[test]
fn only_what_is_asked_for_is_shown() {
    let system = flood();
    let running = system.on_host(&["--only", "m.other"]).start().until_it_prints("m.other | here\n");
    system.down(running).exits(0).prints("m.other | here\n");
    let finished = system.on_host(&["--only", "other,nobody"]).run();
    finished
        .exits(102)
        .prints("")
        .says("error: --only nobody: there is no such unit\nhint: there are m.u, m.other\n");
}
