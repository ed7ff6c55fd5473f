//! Units that do not do what they should.

use crate::alone;
use crate::harness::system::System;

#[test]
fn a_unit_that_always_crashes_is_given_up() {
    let system = alone("errand", r#"arguments = ["exit", "3"]"#);
    let running = system.on_host(&[]).start();
    let running =
        running.until_it_says("m.u pausing: it ended with status 3; it is started again in 200 ms\n");
    let unit = system.unit("m.u");
    assert!(unit["starts"].as_u64().unwrap() >= 2, "{unit}");
    let finished = running.finish();
    finished.exits(3).mentions("solum: m.u failed: given up: it ended with status 3\n");
    finished.prints(&"m.u | ending\n".repeat(10));
}

#[test]
fn a_machine_that_would_start_anew_ends_here() {
    let system = System::new(
        "[machine.m]\ngive-up = \"restart\"\n\
         [machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"exit\", \"3\"]\n\
         [machine.m.unit.other]\nprogram = \"errand\"\narguments = [\"stay\", \"here\"]\n",
    );
    let finished = system.on_host(&[]).run();
    finished.exits(105).mentions("error: the unit m.u failed 10 times, last: it ended with status 3\n");
}

#[test]
fn a_unit_that_is_not_ready_in_time_is_stopped() {
    let system = alone(
        "errand",
        "arguments = [\"never-ready\"]\nready = \"told\"\nready-within = \"300 ms\"\nrestart = \"never\"",
    );
    let text = "error: the unit m.u: it was not ready within 300 ms\n";
    system.on_host(&[]).run().exits(105).prints("").mentions(text);
}

#[test]
fn who_needs_what_is_not_ready_waits_and_says_for_whom() {
    let system = System::new(
        "[machine.m.unit.late]\nprogram = \"errand\"\narguments = [\"never-ready\"]\nready = \"told\"\n\
         [machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"stay\", \"here\"]\nneeds = [\"late\"]\n",
    );
    let running = system.on_host(&["--verbose"]).start().until_it_says("m.late starting: ");
    let unit = system.unit("m.u");
    assert_eq!((&unit["state"], &unit["pid"]), (&"waiting".into(), &serde_json::Value::Null), "{unit}");
    assert_eq!(unit["reason"], "it waits for m.late");
    system.down(running).exits(0).prints("");
}

#[test]
fn a_unit_that_does_not_stop_is_killed_after_its_grace() {
    for (program, place) in [("errand", "ported"), ("plain", "plain")] {
        let system = alone(program, "arguments = [\"stubborn\"]\ngrace = \"300 ms\"");
        let running = system.on_host(&["--verbose"]).start().until_it_prints("not hearing\n");
        let process = system.process("m.u");
        system.ask(&["stop", "u"]).run().exits(0);
        let running = running.until_it_says("m.u stopping: it did not stop within 300 ms and is killed\n");
        process.ends();
        let text = "m.u ended: it was stopped on request: it was ended by signal 9 (SIGKILL)\n";
        let running = running.until_it_says(text);
        let finished = system.down(running);
        finished.exits(137).check(true, place);
    }
}

#[test]
fn a_unit_that_exits_with_125_is_not_started_again() {
    let system = alone("errand", "arguments = [\"exit\", \"125\"]\nrestart = \"always\"");
    let finished = system.on_host(&["--verbose"]).run();
    finished.exits(125).prints("m.u | ending\n");
    finished.mentions("m.u ended: it ended with status 125, so it is not started again\n");
}

#[test]
fn a_unit_that_stays_unhealthy_is_started_again() {
    let system = alone("errand", r#"arguments = ["unhealthy", "the milk is sour"]"#);
    let running = system.on_host(&["--verbose"]).start();
    let running = running.until_it_says("m.u running: it is not healthy: the milk is sour\n");
    assert_eq!(system.unit("m.u")["reason"], "it is not healthy: the milk is sour");
    let running = running.until_it_says(
        "m.u pausing: it was not healthy for 10 s: the milk is sour; it is started again in 100 ms\n",
    );
    system.down(running);
}

#[test]
fn a_ported_unit_that_leaves_its_ports_is_killed_and_reported() {
    let system = alone("errand", "arguments = [\"open\"]\nrestart = \"never\"");
    let finished = system.on_host(&["--verbose"]).run();
    finished.exits(159).prints("m.u | Permission denied (os error 13)\n");
    finished.mentions("m.u failed: it was ended by signal 31 (SIGSYS, a forbidden system call)\n");
}

#[test]
fn a_program_that_cannot_be_run_is_reported() {
    let system = alone("errand", "arguments = [\"stay\", \"here\"]\nrestart = \"never\"");
    let text = std::fs::read_to_string(system.scratch.path("system/solum.toml")).unwrap();
    let hollow = system.scratch.executable("hollow", crate::harness::elf::program());
    let start = text.find("file = ").unwrap();
    let end = start + text[start..].find('\n').unwrap();
    let text = format!("{}file = {hollow:?}{}", &text[..start], &text[end..]);
    system.scratch.file("system/solum.toml", text);
    let finished = system.on_host(&[]).run();
    finished.exits(107).prints("").mentions("could not be started");
}

#[test]
fn the_environment_is_what_is_described_and_what_every_unit_has() {
    let system = System::new(
        "[machine.m.unit.u]\nprogram = \"plain\"\narguments = [\"read\", \"/proc/self/environ\"]\n\
         environment.GREETING = \"good day\"\n",
    );
    let finished = system.on_host(&[]).run();
    finished.exits(0);
    let printed = finished.stdout();
    finished.check(printed.contains("GREETING=good day\0"), "its own");
    finished.check(printed.contains("SOLUM_MACHINE=m\0"), "its machine");
    finished.check(!printed.contains("CARGO"), "nothing else of the host's");
}

#[test]
fn a_unit_that_tells_its_supervisor_nonsense_is_not_heard_any_more() {
    let system = alone("errand", "arguments = [\"babble\"]\nready = \"start\"\nrestart = \"never\"");
    system.on_host(&[]).run().exits(0).prints("m.u | not heard any more: broken pipe\n");
}
