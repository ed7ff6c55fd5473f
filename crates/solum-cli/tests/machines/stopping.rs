//! Ctrl-C, timeouts, the power button.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::kernel::words_of;
use crate::harness::{Scratch, Solum};
use crate::{probe, run};

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
    running.signal(Signal::INT);
    let finished = running.finish();
    let text = "solum: stopping; once more kills\nerror: the machine was ended by force\n";
    finished.exits(130).prints("ready\n").says(text);
    assert_eq!(scratch.names("tmp"), [""; 0], "nothing is left behind");
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
    let socket = scratch.path("monitor");
    let options = ["--machine", "q35", "--dry-run", "--name", "power-button-test"];
    let finished = probe(&scratch, &options, &["polite"]).run();
    finished.exits(0);
    let words = words_of(&finished.stdout());
    let mut qemu = Command::new(&words[0])
        .args(&words[1..])
        .args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(qemu.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("ready") {
        assert!(output.read_line(&mut seen).unwrap() > 0, "it ended:\n{seen}");
    }
    press_power_button(&UnixStream::connect(socket).unwrap());
    output.read_to_string(&mut seen).unwrap();
    assert!(seen.contains("asked to end by signal 15"), "{seen}");
    assert!(qemu.wait().unwrap().success(), "{seen}");
    std::fs::remove_file(crate::harness::kernel::option(&words, "-initrd")).unwrap();
}

/// QMP: after the greeting and the capabilities, a command.
fn press_power_button(monitor: &UnixStream) {
    let mut replies = BufReader::new(monitor).lines();
    let mut writer = monitor;
    assert!(replies.next().unwrap().unwrap().contains("QMP"));
    for command in ["qmp_capabilities", "system_powerdown"] {
        writeln!(writer, "{{\"execute\":\"{command}\"}}").unwrap();
        while !replies.next().unwrap().unwrap().contains("return") {}
    }
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
    finished.exits(107).prints("");
    finished.mentions("error: the machine was asked to stop before its program was started\n");
}
