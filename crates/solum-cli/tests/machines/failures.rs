//! What is kept of units that failed.

use crate::harness::system::System;
use crate::probe;
use crate::storage::{ext4, printed, text};

/// A system of one machine with a file system at /perm, which is on the host at [`DISK`]; nothing where none can be made.
fn system() -> Option<System> {
    let system = System::described("");
    system.scratch.directory("system/.solum/disks");
    ext4(&system.scratch, DISK, "data").map(|_| system)
}

const DISK: &str = "system/.solum/disks/m.data.disk";

/// Has it consist of these units from now on: name, errand, and more lines of their description.
fn describe(system: &System, units: &[(&str, &str, &str)]) {
    let mut text = format!(
        "[system]\nname = \"tested\"\n[program.probe]\nfile = {:?}\n[machine.m]\ndisk.data = \"16 MiB\"\n\
         mount.\"/perm\" = \"LABEL=data\"\n",
        probe::path()
    );
    for (name, errand, more) in units {
        let words: Vec<&str> = errand.split(' ').collect();
        text += &format!("[machine.m.unit.{name}]\nprogram = \"probe\"\narguments = {words:?}\n{more}\n");
    }
    system.scratch.file("system/solum.toml", text);
}

/// What is kept; nothing if there is nothing.
fn kept(system: &System) -> String {
    printed("debugfs", &["-R", "cat last-panic", text(&system.scratch.path(DISK))])
}

#[test]
fn units_that_end_as_they_were_asked_to_have_not_failed() {
    let Some(system) = system() else { return };
    // As a shell does that hears SIGTERM; and a program that does not want to be started again.
    let shell = ("shell", "polite then status 143", "");
    let done = ("done", "print /etc/os-release then status 125", "needs = [\"shell\"]");
    describe(&system, &[shell, done]);
    let running = system.in_machines(&[]).start();
    let running = running.until_it_prints("| ID=solum\n").until_it_prints("| ready\n");
    system.down(running);
    assert_eq!(kept(&system), "");
}

#[test]
fn a_unit_that_does_not_stop_does_not_hide_one_that_failed() {
    let Some(system) = system() else { return };
    let stubborn = ("stubborn", "stubborn", "grace = \"1 s\"");
    describe(&system, &[("bad", "panic", "restart = \"never\""), stubborn]);
    let running = system.in_machines(&[]).start();
    let running = running.until_it_says("m.bad failed: it ended with status 101\n");
    system.down(running.until_it_prints("| ready\n"));
    let failure = kept(&system);
    assert!(failure.contains("Z: the unit m.bad ended with status 101\n"), "{failure}");
    assert!(failure.contains("as I was told to"), "{failure}");
    // Nor in the next life.
    describe(&system, &[stubborn]);
    system.down(system.in_machines(&[]).start().until_it_prints("| ready\n"));
    assert_eq!(kept(&system), failure);
    describe(&system, &[("greedy", "hog", "restart = \"never\"\nmemory = \"24 MiB\"")]);
    system.in_machines(&[]).run().exits(137);
    let failure = kept(&system);
    let expected =
        "Z: the unit m.greedy was ended by the kernel, because it needed more memory than it may have\n";
    assert!(failure.contains(expected), "{failure}");
}
