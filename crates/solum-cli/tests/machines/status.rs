//! The program's end is the machine's.

use crate::harness::{Scratch, elf};
use crate::{probe, run};

#[test]
fn the_exit_status_passes_through() {
    let scratch = Scratch::new();
    for status in [0, 3, 255] {
        let finished = probe(&scratch, &[], &["status", &status.to_string()]).run();
        finished.exits(status).prints("").says("");
    }
}

#[test]
fn a_signal_is_told_in_one_sentence() {
    let scratch = Scratch::new();
    for (errand, status, sentence) in [
        ("bad-access", 139, "solum: the program was ended by signal 11 (SIGSEGV, a bad memory access)\n"),
        ("abort", 134, "solum: the program was ended by signal 6 (SIGABRT, it gave up)\n"),
    ] {
        probe(&scratch, &[], &[errand]).run().exits(status).prints("").says(sentence);
    }
}

#[test]
fn a_panic_of_the_program_is_its_own_affair() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["panic"]).run();
    finished.exits(101).prints("").mentions("as I was told to\n");
}

#[test]
fn what_the_kernel_cannot_start_is_named() {
    let scratch = Scratch::new();
    scratch.file("odd", elf::program());
    let finished = run(&scratch, "[SCRATCH]/odd", &[], &[]).run();
    finished.exits(107).prints("").says("error: /bin/odd could not be started: exec format error\n");
}

#[test]
fn a_program_that_takes_all_the_memory_is_ended_and_the_machine_is_not() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["hog"]).run();
    finished.exits(137).prints("").mentions(
        "solum: the machine's memory ran out, and the kernel ended the program by signal 9 (SIGKILL)\n\
         solum: hint: give it more, for example with --memory 256M\n",
    );
}

#[test]
fn a_program_that_fills_tmp_is_told_and_goes_on() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["fill", "/tmp/full", "then", "write", "/tmp/more", "text"]).run();
    finished.exits(0).says("");
    finished.prints("/tmp/full: StorageFull\n/tmp/full: removed Ok(())\n/tmp/more: Ok(())\n");
}

#[test]
fn orphans_are_reaped_while_the_machine_runs() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["reaping"]).run();
    finished.exits(0).prints("orphan seen: true\norphan reaped\n").says("");
}

#[test]
fn orphans_do_not_hold_the_machine() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["orphans", "then", "status", "5"]).run();
    finished.exits(5).prints("left three behind\n").says("");
}

#[test]
fn a_role_that_ends_is_started_again() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &["--root", "--wait", "network"], &["kill-role", "solum:net"]).run();
    finished.exits(0).prints("ended solum:net\nit is back\n");
    finished.mentions("solum: warning: the role net was ended by signal 9 (SIGKILL); it is started again\n");
}

#[test]
fn a_signal_to_pid_1_ends_the_machine_in_order() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &["--root"], &["terminate-pid-1", "then", "polite"]).run();
    finished.exits(7).prints("ready\nasked to end by signal 15\n").says("");
}
