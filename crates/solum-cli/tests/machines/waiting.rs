//! Units that wait for more than their machine.

use crate::harness::system::System;
use crate::probe;

/// A system of one machine that has these words, and a program `probe`.
fn system(machine: &str) -> System {
    let program = probe::path();
    System::described(&format!(
        "[system]\nname = \"tested\"\n[program.probe]\nfile = {program:?}\n[machine.m]\n{machine}"
    ))
}

#[test]
fn what_came_about_before_there_were_units_is_not_lost() {
    // The network is there long before the disk is given up.
    let system = system(
        "mount.\"/photos\" = \"LABEL=photos:nofail\"\n\
         [machine.m.unit.u]\nprogram = \"probe\"\narguments = [\"network\"]\nwait = [\"network\"]\n",
    );
    let finished = system.in_machines(&[]).run();
    finished.exits(0).mentions("/photos cannot be mounted: LABEL=photos did not appear within 5 seconds");
    finished
        .check(finished.stdout().contains("m.u | address: 10.0.2.15\n"), "it is started, and has a network");
}

#[test]
fn a_unit_that_waits_for_the_clock_sees_the_time_of_the_server() {
    // 2030-01-01, which no clock of a test's host says.
    let system = system(
        "[machine.m.unit.server]\nprogram = \"probe\"\narguments = [\"tell-time\", \"1893456000\"]\nroot = true\n\
         [machine.m.unit.u]\nprogram = \"probe\"\narguments = [\"moment\", \"then\", \"status\", \"0\"]\n\
         wait = [\"clock\"]\n",
    );
    let running = system.in_machines(&["--time-server", "127.0.0.1"]).start();
    system.down(running.until_it_prints("| 18934"));
}
