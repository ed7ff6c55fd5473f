//! The examples do what they are there to show.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::free_port;
use crate::harness::{Scratch, WORKSPACE};
use crate::run;

#[test]
fn hello_says_how_many_cpus_it_has() {
    let scratch = Scratch::new();
    for (cpus, line) in
        [("1", "Hello from the whole machine: 1 CPU.\n"), ("2", "Hello from the whole machine: 2 CPUs.\n")]
    {
        run(&scratch, "examples/hello", &["--cpus", cpus], &[]).run().exits(0).prints(line);
    }
}

/// The answer to a request, asked again while the machine's network is still coming up.
fn get(port: u16, target: &str, has_ended: impl Fn() -> bool) -> String {
    loop {
        let answer = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        match answer {
            Ok(answer) if !answer.is_empty() => return answer,
            _ => assert!(!has_ended(), "the machine ended without an answer"),
        }
    }
}

#[test]
fn web_answers_from_the_host() {
    let scratch = Scratch::new();
    let port = free_port();
    let options = ["--dir", "examples/web/assets:/srv", "--publish", &format!("{port}:8000")];
    let running =
        run(&scratch, "examples/web", &options, &[]).start().until_it_prints("Serving /srv on port 8000.\n");
    let page = get(port, "/", || running.has_ended());
    let missing = get(port, "/nothing", || running.has_ended());
    running.signal(Signal::INT);
    let finished = running.finish();
    let asset = std::fs::read_to_string(format!("{WORKSPACE}/examples/web/assets/index.html")).unwrap();
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, asset);
    assert!(missing.starts_with("HTTP/1.1 404 Not Found\r\n"), "{missing}");
    // It has no handler for SIGTERM, so that is what ends it.
    finished.exits(143).mentions("solum: the program was ended by signal 15 (SIGTERM)\n");
}

const ALONE: &str = "Alone in a machine of my own with ";

#[test]
fn alone_is_a_machine_of_one_file() {
    let scratch = Scratch::new();
    let finished = run(&scratch, "examples/alone", &[], &["42"]).run();
    finished.exits(42);
    let printed = finished.stdout();
    finished
        .check(printed.starts_with(ALONE) && printed.ends_with("The network is there.\n"), "its two lines");
    let finished = run(&scratch, "examples/alone", &[], &["--panic"]).run();
    finished.exits(101).mentions("as I was told to\n");
}

#[test]
fn alone_ends_when_asked() {
    let scratch = Scratch::new();
    let running = run(&scratch, "examples/alone", &[], &["--stay"])
        .start()
        .until_it_prints("Staying until I am asked to end.\n");
    running.signal(Signal::INT);
    let finished = running.finish();
    finished.exits(0);
    finished.check(finished.stdout().ends_with("Asked to end, and ending.\n"), "it should end by itself");
}

#[test]
fn alone_is_an_ordinary_process_too() {
    let scratch = Scratch::new();
    scratch.solum(&["take", "[SCRATCH]/alone.cpio", "examples/alone", "--compress", "none"]).run().exits(0);
    let archive = std::fs::read(scratch.path("alone.cpio")).unwrap();
    let files = crate::archive::files(&archive);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["init"], "one file and nothing else");
    let program = scratch.executable("alone", files[0].1);
    let output = Command::new(program).arg("9").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("Alone in a process of somebody else's machine with "), "{printed}");
    assert_eq!(output.status.code(), Some(9));
}
