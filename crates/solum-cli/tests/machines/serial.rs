//! Machines whose console is a serial port: slow, and a person may stop it.

use crate::harness::Scratch;
use crate::harness::system::System;
use crate::{by_hand, probe};

#[test]
fn a_console_that_somebody_stopped_does_not_keep_the_machine_from_its_end() {
    let scratch = Scratch::new();
    let options = [&by_hand::OPTIONS[..], &["--root", "--append", "console=ttyS0"]].concat();
    let printed = probe(&scratch, &options, &["hear-a-line", "then", "polite"]).run();
    let mut machine = by_hand::start_on_serial(&scratch, &printed);
    machine.until("listening");
    // Ctrl-S, as it is read, stops the output (termios(3), IXON); the line behind it shows that it was.
    machine.types(b"\x13go\n");
    machine.until("a line was heard");
    machine.press_power_button();
    let said = machine.ends();
    assert!(said.contains("ready") && said.contains("asked to end by signal 15"), "{said}");
}

#[test]
fn the_last_lines_of_units_reach_a_serial_console() {
    let system = System::new("[machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"flood\", \"600\"]\n");
    let scratch = &system.scratch;
    let words = ["build", &system.directory, "--format", "uki", "--output", "[SCRATCH]/out/"];
    scratch.solum(&words).run().exits(0);
    let words = [&["run", "--image", "[SCRATCH]/out/m.efi"], &by_hand::OPTIONS[..]].concat();
    let said = by_hand::start_on_serial(scratch, &scratch.solum(&words).run()).ends();
    let lines = said.lines().filter(|line| line.starts_with("m.u | ")).count();
    assert_eq!(lines, 600, "{said}");
}
