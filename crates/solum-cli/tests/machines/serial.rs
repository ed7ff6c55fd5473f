//! Machines whose console is a serial port: slow, and a person may stop it.

use crate::harness::Scratch;
use crate::harness::system::System;
use crate::{by_hand, probe};

#[test]
fn a_console_that_somebody_stopped_does_not_keep_the_machine_from_its_end() {
    let scratch = Scratch::new();
    let options = [&by_hand::OPTIONS[..], &["--root", "--append", "console=ttyS0"]].concat();
    let printed = probe(&scratch, &options, &["ctrl-s", "then", "polite"]).run();
    let mut machine = by_hand::start_on_serial(&scratch, &printed);
    machine.until("nothing will be seen from here on");
    machine.press_power_button();
    let said = machine.ends();
    assert!(said.contains("ready") && said.contains("asked to end by signal 15"), "{said}");
}

#[test]
fn the_last_lines_of_units_reach_a_serial_console() {
    // It writes them at once and ends, long before a serial port has taken them.
    let system = System::described(&format!(
        "[system]\nname = \"tested\"\n[program.probe]\nfile = {:?}\n[machine.m.unit.u]\nprogram = \"probe\"\n\
         arguments = [\"print\", \"/srv/lines\"]\nassets.\"/srv/lines\" = \"lines\"\n",
        probe::path()
    ));
    let scratch = &system.scratch;
    scratch.file(
        "system/lines",
        "a line that is as long as lines of programs mostly are, or nearly\n".repeat(150),
    );
    let words = ["build", &system.directory, "--format", "uki", "--output", "[SCRATCH]/out/"];
    scratch.solum(&words).run().exits(0);
    let words = [&["run", "--image", "[SCRATCH]/out/m.efi"], &by_hand::OPTIONS[..]].concat();
    let said = by_hand::start_on_serial(scratch, &scratch.solum(&words).run()).ends();
    assert_eq!(said.matches("m.u | a line").count(), 150, "{said}");
}
