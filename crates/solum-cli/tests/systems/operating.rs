//! What a person asks of a running system.

use crate::alone;
use crate::harness::system::System;

#[test]
fn units_are_listed() {
    let system = System::new(
        "[machine.m.unit.first]\nprogram = \"errand\"\narguments = [\"stay\", \"here\"]\n\
         [machine.m.unit.done]\nprogram = \"errand\"\narguments = [\"exit\", \"0\"]\n",
    );
    let running = system.on_host(&["--verbose"]).start();
    let running = running.until_it_says("m.done ended: ").until_it_says("m.first running: ");
    let first = system.unit("m.first");
    assert_eq!(first["program"], "errand");
    assert_eq!((&first["state"], &first["starts"]), (&"running".into(), &1.into()));
    let done = serde_json::json!({
        "unit": "m.done", "program": "errand", "state": "ended", "reason": "it ended with status 0",
        "starts": 1, "pid": null, "machine_pid": null,
    });
    assert_eq!(system.unit("m.done"), done);
    let listed = system.ask(&["ps"]).run();
    listed.exits(0).says("");
    let text = listed.stdout();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    listed.check(lines.len() == 3, "a line a unit, and one above");
    assert_eq!(lines[0], ["UNIT", "PROGRAM", "STATE", "STARTS", "PID", "WHY"]);
    let pid = first["pid"].to_string();
    assert_eq!(lines[1][..5], ["m.first", "errand", "running", "1", &pid]);
    assert_eq!(lines[2], ["m.done", "errand", "ended", "1", "-", "it", "ended", "with", "status", "0"]);
    system.down(running).exits(0);
}

#[test]
fn a_unit_is_stopped_started_and_started_again() {
    let system = alone("errand", r#"arguments = ["stay", "here"]"#);
    let running = system.on_host(&["--verbose"]).start().until_it_says("m.u running: ");
    for _ in 0..2 {
        system.ask(&["stop", "u"]).run().exits(0).prints("").says("");
    }
    let running = running.until_it_says("m.u ended: it was stopped on request\n");
    let unit = system.unit("m.u");
    assert_eq!((&unit["state"], &unit["pid"]), (&"ended".into(), &serde_json::Value::Null));
    system.ask(&["start", "m.u"]).run().exits(0).prints("").says("");
    let running = running.until_it_prints("m.u | here\nm.u | here\n");
    system.ask(&["start", "m.u"]).run().exits(0).prints("").says("");
    system.ask(&["restart", "m.u"]).run().exits(0).prints("").says("");
    let running = running.until_it_prints("m.u | here\nm.u | here\nm.u | here\n");
    assert_eq!(system.unit("m.u")["starts"], 3);
    system.down(running).exits(0);
}

#[test]
fn a_unit_that_was_given_up_can_be_started_again_by_hand() {
    let system = alone("errand", r#"arguments = ["exit", "3"]"#);
    let running = system.on_host(&[]).start();
    let running = running.until_it_says("it is started again in 6400 ms\n");
    system.ask(&["start", "u"]).run().exits(0);
    // Its failures are forgotten.
    let running = running.until_it_says(
        "in 6400 ms\nsolum: m.u pausing: it ended with status 3; it is started again in 100 ms\n",
    );
    system.ask(&["stop", "u"]).run().exits(0);
    system.down(running).exits(3);
}

#[test]
fn unknown_units_are_refused_with_those_that_there_are() {
    let system = System::new(
        "[machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"stay\", \"here\"]\n\
         [machine.n.unit.u]\nprogram = \"errand\"\narguments = [\"stay\", \"there\"]\n",
    );
    let running = system.on_host(&[]).start().until_it_prints("here\n").until_it_prints("there\n");
    for verb in ["start", "stop", "restart", "logs"] {
        for name in ["nobody", "u", "m.v", "", "m."] {
            let text = format!(
                "error: there is no unit `{name}`, or several machines have it; there are m.u, n.u\n"
            );
            system.ask(&[verb, name]).run().exits(102).prints("").says(&text);
        }
    }
    system.down(running).exits(0);
}

#[test]
fn garbage_on_the_socket_disturbs_nobody() {
    use std::io::{Read, Write};
    let system = alone("errand", r#"arguments = ["stay", "here"]"#);
    let running = system.on_host(&[]).start().until_it_prints("here\n");
    for garbage in [vec![0xff; 100_000], vec![0; 64], b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()] {
        let socket = system.scratch.path("system/.solum/operator");
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        // It may be closed before all was said.
        let _ = stream.write_all(&garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(system.unit("m.u")["state"], "running");
    system.down(running).exits(0);
}
