//! A person at a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::running::Running;
use crate::harness::{Scratch, Solum};
use crate::probe;

/// A terminal of 33 lines with 111 characters: the person's side, and the side that programs open.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let size = Winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&person, size).unwrap();
    let program = File::options().read(true).write(true).open(Path::new(name.to_str().unwrap())).unwrap();
    (File::from(person), program)
}

/// Starts `solum` on a terminal.
fn start(solum: Solum<'_>) -> (File, Running) {
    let (person, program) = terminal();
    let output = program.try_clone().unwrap();
    (person, solum.start_on(OwnedFd::from(program).into(), OwnedFd::from(output).into()))
}

/// Reads on until this appears, or to the end.
#[track_caller]
fn read_until(person: &mut File, seen: &mut String, text: &str) {
    let mut buffer = [0; 4096];
    while !seen.contains(text) {
        // A terminal whose last program is gone gives an error in place of an end (EIO).
        let Ok(length @ 1..) = person.read(&mut buffer) else {
            panic!("{text:?} did not appear in:\n{seen}")
        };
        *seen += &String::from_utf8_lossy(&buffer[..length]);
    }
}

#[test]
fn a_program_talks_to_a_person() {
    let scratch = Scratch::new();
    let (mut person, running) = start(probe(&scratch, &[], &["terminal"]));
    let mut seen = String::new();
    read_until(&mut person, &mut seen, "size: 33 lines of 111\r\n");
    assert!(seen.contains("terminals: true true true\r\nmay be opened again: Ok(())\r\n"), "{seen}");
    person.write_all("grüße\n".as_bytes()).unwrap();
    read_until(&mut person, &mut seen, "read \"grüße\\n\"\r\n");
    person.write_all(b"more\n\x04").unwrap();
    read_until(&mut person, &mut seen, "then \"more\\n\" and the end\r\n");
    running.finish().exits(0).says("");
    assert_eq!(seen.matches("grüße").count(), 2, "what is typed is echoed once, and read once:\n{seen}");
}

#[test]
fn ctrl_c_at_a_terminal_stops_in_an_orderly_way() {
    let scratch = Scratch::new();
    let (mut person, running) = start(probe(&scratch, &[], &["polite"]));
    let mut seen = String::new();
    read_until(&mut person, &mut seen, "ready\r\n");
    running.signal(Signal::INT);
    read_until(&mut person, &mut seen, "asked to end by signal 15\r\n");
    running.finish().exits(7);
}
