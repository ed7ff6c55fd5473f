//! What becomes of a machine when its program has ended, or somebody wants it to.

use rustix::process::Signal;

use crate::files::lacks_shares;
use crate::harness::{Scratch, elf};
use crate::{by_hand, probe, run};

#[test]
fn the_commands_for_an_end_reach_the_program_as_any_request_does() {
    let scratch = Scratch::new();
    // The last words are the kernel's (kernel/reboot.c).
    let last_words = ["reboot: Power down", "reboot: Restarting system", "reboot: System halted"];
    for (command, last) in ["/sbin/poweroff", "/sbin/reboot", "/sbin/halt"].into_iter().zip(last_words) {
        let options = [&by_hand::OPTIONS[..], &["--root"]].concat();
        let printed = probe(&scratch, &options, &["ask", command, "then", "polite"]).run();
        let mut machine = by_hand::start(&scratch, &printed, &[]);
        let said = machine.until(last);
        for line in [&format!("{command}: Some(0)"), "ready", "asked to end by signal 15"] {
            assert!(said.contains(line), "{said}");
        }
        assert_eq!(last_words.into_iter().filter(|words| said.contains(words)).count(), 1, "{said}");
    }
}

#[test]
fn an_ordinary_user_cannot_end_the_machine() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["ask", "/sbin/reboot", "then", "status", "4"]).run();
    finished.exits(4).prints("/sbin/reboot: Some(1)\n").says("only root may end the machine\n");
}

#[test]
fn a_machine_that_stands_still_is_over() {
    let scratch = Scratch::new();
    probe(&scratch, &["--when-ended", "halt"], &["status", "3"]).run().exits(3).prints("").says("");
}

#[test]
fn a_machine_that_reboots_is_booted_again_until_somebody_ends_it() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &["--when-ended", "reboot"], &["status", "3"]).start();
    let running = running.until_it_says("solum: the machine reboots; the program ended with status 3\n");
    running.signal(Signal::INT);
    let finished = running.finish();
    finished.check(!finished.status.success(), "it was ended");
    probe(&scratch, &["--when-ended", "reboot", "--no-reboot"], &["status", "3"]).run().exits(3).says("");
}

#[test]
fn a_program_is_started_again_and_that_is_told() {
    let scratch = Scratch::new();
    let options = ["--when-ended", "restart"];
    let running = probe(&scratch, &options, &["read", "/none", "then", "status", "3"]).start();
    let running =
        running.until_it_says("warning: the program ended with status 3; restart 2 follows in 2 s\n");
    running.signal(Signal::INT);
    let finished = running.finish();
    finished.exits(3).mentions("solum: warning: the program ended with status 3; restart 1 follows in 1 s\n");
    let lines = finished.stdout();
    finished.check(lines.starts_with("/none: Err(NotFound)\n/none: Err(NotFound)\n"), "it ran twice");
}

#[test]
fn the_last_line_that_a_program_writes_when_the_power_button_is_pressed_is_kept() {
    let scratch = Scratch::new();
    scratch.directory("perm");
    let options = [&by_hand::OPTIONS[..], &["--root", "--share", "[SCRATCH]/perm:/perm"]].concat();
    let printed = probe(&scratch, &options, &["polite", "then", "write", "/perm/line", "goodbye"]).run();
    if lacks_shares(&printed) {
        return;
    }
    let mut machine = by_hand::start(&scratch, &printed, &[]);
    machine.until("ready");
    machine.press_power_button();
    machine.ends();
    assert_eq!(std::fs::read(scratch.path("perm/line")).unwrap(), b"goodbye");
}

#[test]
fn a_machine_that_nobody_watches_says_why_it_has_no_program_and_waits_for_a_reader() {
    let scratch = Scratch::new();
    scratch.file("odd", elf::program());
    let printed = run(&scratch, "[SCRATCH]/odd", &by_hand::OPTIONS, &[]).run();
    let mut machine = by_hand::start(&scratch, &printed, &[]);
    machine.until("/bin/odd could not be started: exec format error; it switches itself off in 30 s");
    // Who has read it need not wait.
    machine.press_power_button();
    machine.ends();
}

#[test]
fn a_machine_that_stands_still_says_so() {
    let scratch = Scratch::new();
    let options = [&by_hand::OPTIONS[..], &["--when-ended", "halt"]].concat();
    let mut machine = by_hand::start(&scratch, &probe(&scratch, &options, &["status", "3"]).run(), &[]);
    machine.until("the program ended with status 3; it stands still, and may be switched off");
}

#[test]
fn ctrl_alt_del_does_not_cut_the_machine_off() {
    let scratch = Scratch::new();
    // 0 has the kernel tell PID 1 (Documentation/admin-guide/sysctl/kernel.rst).
    let path = "/proc/sys/kernel/ctrl-alt-del";
    probe(&scratch, &[], &["read", path]).run().exits(0).prints(&format!("{path}: Ok(\"0\\n\")\n"));
}
