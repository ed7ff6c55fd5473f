//! Ctrl-C, timeouts, the power button.

use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::harness::running::Running;
use crate::harness::{Scratch, Solum};
use crate::{by_hand, probe, run};

#[test]
fn the_first_request_stops_in_an_orderly_way() {
    let scratch = Scratch::new();
    for signal in [Signal::INT, Signal::TERM] {
        let running = probe(&scratch, &[], &["polite"]).start().until_it_prints("ready\n");
        running.signal(signal);
        let finished = running.finish();
        finished
            .exits(7)
            .prints("ready\nasked to end by signal 15\n")
            .says("solum: stopping; once more kills\n");
    }
}

#[test]
fn the_second_request_kills() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &["--grace", "200"], &["stubborn"]).start().until_it_prints("ready\n");
    running.signal(Signal::INT);
    let running = running.until_it_says("solum: stopping; once more kills\n");
    let finished = running.insist(Signal::INT);
    let text = "solum: stopping; once more kills\nsolum: killing\nerror: the machine was ended by force\n";
    finished.exits(130).prints("ready\n").says(text);
    assert_eq!(scratch.names("tmp"), [""; 0], "nothing is left behind");
}

#[test]
fn the_same_request_twice_in_a_moment_is_one() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &[], &["polite"]).start().until_it_prints("ready\n");
    // As timeout(1) does: to its command, and to the group in which that is too.
    running.signal(Signal::TERM);
    running.signal(Signal::INT);
    let text = "solum: stopping; once more kills\n";
    running.finish().exits(7).prints("ready\nasked to end by signal 15\n").says(text);
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &[], &["polite"]).ignoring("HUP").start().until_it_prints("ready\n");
    running.signal(Signal::HUP);
    // Had it been heard, this were the second request.
    running.signal(Signal::TERM);
    let text = "solum: stopping; once more kills\n";
    running.finish().exits(7).prints("ready\nasked to end by signal 15\n").says(text);
}

#[test]
fn a_program_that_ignores_the_request_is_killed_after_its_grace() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &["--grace", "1"], &["stubborn"]).start().until_it_prints("ready\n");
    running.signal(Signal::TERM);
    let finished = running.finish();
    finished.exits(137).prints("ready\n").says(
        "solum: stopping; once more kills\n\
         solum: the program did not stop in time and was ended by signal 9 (SIGKILL)\n",
    );
}

#[test]
fn a_time_limit_ends_the_machine() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &["--timeout", "1"], &["stubborn"]).run();
    finished.exits(124).says("error: the time limit of 1 s was reached\n");
}

#[test]
fn output_that_nobody_reads_stops_the_machine() {
    let scratch = Scratch::new();
    let solum = probe(&scratch, &["--grace", "1"], &["flood", "50000000"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let finished = solum.start_on(Stdio::null(), writer.into()).finish();
    finished.check(!finished.status.success(), "it should say that it was cut off");
}

#[test]
fn the_power_button_is_a_request_to_stop() {
    let scratch = Scratch::new();
    let mut machine = by_hand::start(&scratch, &probe(&scratch, &by_hand::OPTIONS, &["polite"]).run(), &[]);
    machine.until("ready");
    machine.press_power_button();
    machine.until("asked to end by signal 15");
    machine.ends();
}

#[test]
fn a_machine_that_still_waits_for_its_network_can_be_stopped() {
    let scratch = Scratch::new();
    // No server sets this clock, so the program never starts.
    let options = ["--wait", "clock", "--verbose", "--time-server", "127.0.0.1"];
    let running: Solum<'_> = run(&scratch, crate::probe::path(), &options, &["polite"]);
    let running = running.start().until_it_says("network: eth0 has ");
    running.signal(Signal::INT);
    let finished = running.finish();
    finished.exits(130).prints("");
    finished.mentions("error: the machine was asked to stop before its program was started\n");
}

#[test]
fn a_request_while_the_kernel_boots_ends_the_machine() {
    let scratch = Scratch::new();
    for (signal, asked) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let running = probe(&scratch, &["--verbose"], &["polite"]).start().until_it_says("Linux version");
        running.signal(signal);
        let finished = running.finish();
        // It depends on the moment whether the program was started before the request came to it.
        let status = finished.status.code().unwrap();
        finished.check([7, 143, asked].contains(&status), "it should end, and say how far it got");
    }
}

#[test]
fn a_machine_that_never_comes_up_is_ended_at_the_first_request() {
    let scratch = Scratch::new();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        // The kernel waits for a disk that there is not (rootwait), and never comes to PID 1.
        let options = ["--verbose", "--append", "rdinit=/none root=/dev/none rootwait"];
        let running = probe(&scratch, &options, &["polite"]).start();
        let running = running.until_it_says("Waiting for root device");
        running.signal(signal);
        let finished = running.finish();
        finished.exits(status).prints("").mentions("solum: stopping; once more kills\n");
        // It had no button and no grace to wait for.
        finished.mentions("error: the machine was stopped before its program said how it ended\n");
    }
}

/// The processes that this one has started, from proc(5).
fn children(running: &Running) -> Vec<Pid> {
    let pid = running.pid().as_raw_nonzero();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    let numbers: Vec<i32> = lists
        .flat_map(|list| list.split_whitespace().map(|number| number.parse().unwrap()).collect::<Vec<i32>>())
        .collect();
    numbers.into_iter().filter_map(Pid::from_raw).collect()
}

#[test]
fn nothing_outlives_solum() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &[], &["stubborn"]).start().until_it_prints("ready\n");
    let machines: Vec<_> =
        children(&running).into_iter().map(|pid| pidfd_open(pid, PidfdFlags::empty()).unwrap()).collect();
    assert_eq!(machines.len(), 1, "one QEMU");
    running.signal(Signal::KILL);
    // Readable when the process has ended (pidfd_open(2)).
    poll(&mut [PollFd::new(&machines[0], PollFlags::IN)], None).unwrap();
    assert_eq!(running.finish().status.code(), None);
    assert_eq!(scratch.names("tmp"), [""; 0], "nothing is left behind");
}

#[test]
fn a_machine_that_vanishes_is_told() {
    let scratch = Scratch::new();
    let running = probe(&scratch, &[], &["stubborn"]).start().until_it_prints("ready\n");
    for machine in children(&running) {
        kill_process(machine, Signal::KILL).unwrap();
    }
    let finished = running.finish();
    finished.exits(105).prints("ready\n").says("error: QEMU was ended by signal 9 (SIGKILL)\n");
    assert_eq!(scratch.names("tmp"), [""; 0], "nothing is left behind");
}
