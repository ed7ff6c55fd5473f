//! How a system ends, and with which status.

use rustix::process::Signal;

use crate::alone;
use crate::harness::Finished;
use crate::harness::system::System;

/// Three units, of which each needs the one before.
fn chain() -> System {
    let unit = |name: &str, needs: &str| {
        format!(
            "[machine.m.unit.{name}]\nprogram = \"errand\"\narguments = [\"stay\", \"{name} is there\"]\nneeds = [{needs}]\nready = \"told\"\n"
        )
    };
    // Not in the order of need.
    System::new(&[unit("middle", "\"bottom\""), unit("top", "\"middle\""), unit("bottom", "")].concat())
}

/// Each of these is said, and in this order.
#[track_caller]
fn says_in_order(finished: &Finished, expected: &[&str]) {
    let said = finished.stderr();
    let mut rest = said.as_str();
    for text in expected {
        let found = rest.find(text);
        finished.check(found.is_some(), &format!("it should say {text:?}, in the order of {expected:?}"));
        rest = &rest[found.unwrap()..];
    }
}

const ORDER: [&str; 6] = [
    "m.top stopping: everything stops\n",
    "m.top ended: it was ended by signal 15 (SIGTERM)\n",
    "m.middle stopping: everything stops\n",
    "m.middle ended: it was ended by signal 15 (SIGTERM)\n",
    "m.bottom stopping: everything stops\n",
    "m.bottom ended: it was ended by signal 15 (SIGTERM)\n",
];

#[test]
fn the_first_ctrl_c_stops_the_units_in_the_reverse_order_of_need() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let system = chain();
        let running = system.on_host(&["--verbose"]).start().until_it_says("m.top running: ");
        running.signal(signal);
        let finished = running.finish();
        finished.exits(0);
        for name in ["bottom", "middle", "top"] {
            let line = format!("{:8} | {name} is there\n", format!("m.{name}"));
            finished.check(finished.stdout().contains(&line), &format!("it should print {line:?}"));
        }
        finished.mentions("solum: stopping; once more kills\n");
        says_in_order(&finished, &ORDER);
    }
}

#[test]
fn down_stops_the_units_in_the_reverse_order_of_need() {
    let system = chain();
    let running = system.on_host(&["--verbose"]).start().until_it_says("m.top running: ");
    says_in_order(&system.down(running), &ORDER);
}

#[test]
fn the_second_ctrl_c_kills() {
    for program in ["errand", "plain"] {
        let system = alone(program, "arguments = [\"stubborn\"]\ngrace = \"1 h\"");
        let running = system.on_host(&[]).start().until_it_prints("not hearing\n");
        let unit = system.process("m.u");
        running.signal(Signal::INT);
        let running = running.until_it_says("solum: stopping; once more kills\n");
        let finished = running.insist(Signal::INT);
        unit.ends();
        finished.exits(130);
    }
}

#[test]
fn down_returns_when_the_system_is_over() {
    let system = alone("errand", "arguments = [\"stubborn\"]\ngrace = \"1 s\"");
    for _ in 0..2 {
        let running = system.on_host(&[]).start().until_it_prints("not hearing\n");
        system.ask(&["down"]).run().exits(0).prints("").says("");
        system.ask(&["ps"]).run().exits(102).mentions("no system runs in ");
        running.finish();
    }
}

#[test]
fn the_status_is_that_of_the_first_unit_that_failed() {
    let unit = |name: &str, status: u8, more: &str| {
        format!(
            "[machine.m.unit.{name}]\nprogram = \"errand\"\narguments = [\"exit\", \"{status}\"]\nrestart = \"never\"\n{more}\n"
        )
    };
    let well = alone("errand", "arguments = [\"exit\", \"0\"]");
    well.on_host(&[]).run().exits(0).prints("m.u | ending\n").says("");
    let ill = System::new(&[unit("a", 7, ""), unit("b", 9, "needs = [\"c\"]"), unit("c", 0, "")].concat());
    ill.on_host(&[]).run().exits(7);
}

#[test]
fn a_unit_that_fails_for_good_is_told_while_others_run() {
    let system = System::new(
        "[machine.m.unit.bad]\nprogram = \"errand\"\narguments = [\"exit\", \"9\"]\nrestart = \"never\"\n\
         [machine.m.unit.good]\nprogram = \"errand\"\narguments = [\"stay\", \"here\"]\n",
    );
    let running = system.on_host(&[]).start().until_it_says("solum: m.bad failed: it ended with status 9\n");
    let finished = system.down(running);
    finished.exits(9);
}

#[test]
fn what_a_plain_unit_started_ends_with_it() {
    let system = alone("plain", "arguments = [\"parent\"]");
    let running = system.on_host(&[]).start().until_it_prints("parent\n").until_it_prints("staying\n");
    let logs = system.ask(&["logs"]).run().stdout();
    let child = logs.lines().find_map(|line| line.strip_prefix("m.u | child ")).unwrap();
    let child = crate::harness::system::Process::new(child.parse().unwrap());
    system.ask(&["stop", "u"]).run().exits(0);
    child.ends();
    system.down(running).exits(0);
}

#[test]
fn a_time_limit_holds() {
    let system = alone("errand", "arguments = [\"stay\", \"here\"]");
    let finished = system.on_host(&["--timeout", "1"]).run();
    finished.exits(124).prints("m.u | here\n").says("error: the time limit of 1 s was reached\n");
}
