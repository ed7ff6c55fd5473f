//! Units that talk to each other, and one that has power over others.

use crate::harness::system::System;

const SERVER: &str = "[machine.m.unit.server]\nprogram = \"echo-server\"\narguments = [\"the server\"]\n";

fn caller(name: &str, arguments: &str) -> String {
    format!(
        "[machine.m.unit.{name}]\nprogram = \"echo-caller\"\narguments = {arguments}\n\
         ports.echo = \"server.echo\"\nneeds = [\"server\"]\n"
    )
}

#[test]
fn a_unit_calls_another() {
    let system = System::new(&(SERVER.to_owned() + &caller("caller", r#"["one", "two words"]"#)));
    let running = system.on_host(&[]).start().until_it_prints("two words\n");
    system
        .down(running)
        .exits(0)
        .says("")
        .prints("m.server | serving\nm.caller | the server: one\nm.caller | the server: two words\n");
}

#[test]
fn two_units_call_the_same_one() {
    let callers = caller("first", r#"["a", "b"]"#) + &caller("second", r#"["c", "d"]"#);
    let system = System::new(&(SERVER.to_owned() + &callers));
    let running = system.on_host(&[]).start();
    let running = running.until_it_prints("m.first  | the server: b\n").until_it_prints("server: d\n");
    let finished = system.down(running);
    finished.exits(0).says("");
    for line in ["m.first  | the server: a\n", "m.second | the server: c\n", "m.second | the server: d\n"] {
        finished.check(finished.stdout().contains(line), &format!("it should print {line:?}"));
    }
}

#[test]
fn a_caller_hears_that_its_server_was_started_again_and_goes_on() {
    let system = System::new(&(SERVER.to_owned() + &caller("caller", r#"["hang", "again"]"#)));
    let running = system.on_host(&[]).start().until_it_prints("m.server | hanging\n");
    system.ask(&["restart", "server"]).run().exits(0).prints("").says("");
    let running = running.until_it_prints("again\n");
    let server = system.unit("m.server");
    assert_eq!((&server["starts"], &server["state"]), (&2.into(), &"running".into()), "{server}");
    let finished = system.down(running);
    finished.exits(0);
    let printed = finished.stdout();
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("m.caller")).collect();
    let expected = ["m.caller | gone in its life 1", "m.caller | the server: again"];
    finished.check(lines == expected, &format!("its lines should be {expected:?}"));
}

#[test]
fn a_caller_hears_that_its_server_was_killed() {
    let system = System::new(&(SERVER.to_owned() + &caller("caller", r#"["hang", "again"]"#)));
    let running = system.on_host(&[]).start().until_it_prints("m.server | hanging\n");
    let server = system.unit("m.server")["pid"].as_i64().unwrap();
    let server = rustix::process::Pid::from_raw(server as i32).unwrap();
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    let running = running.until_it_prints("gone in its life 1\n").until_it_prints("again\n");
    system.down(running).exits(0).mentions(
        "solum: m.server pausing: it was ended by signal 9 (SIGKILL); it is started again in 100 ms\n",
    );
}

#[test]
fn a_unit_lets_others_share_the_time() {
    let unit = |name: &str, words: &str| {
        format!("[machine.m.unit.{name}]\nprogram = \"errand\"\narguments = [\"stay\", {words:?}]\n")
    };
    let controller = "[machine.m.unit.controller]\nprogram = \"controller\"\nneeds = [\"a\", \"b\"]\n\
                      arguments = [\"a\", \"b\", \"errand\"]\n";
    let other = "[machine.m.unit.other]\nprogram = \"plain\"\narguments = [\"stay\"]\n";
    let system = System::new(&[&unit("a", "I am a"), &unit("b", "I am b"), controller, other].concat());
    let running = system.on_host(&["--only", "controller,b"]).start();
    let running = running.until_it_prints("the ports of plain do not fit that unit\n");
    let finished = system.down(running);
    let printed = finished.stdout();
    let said: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("m.controller | ")).collect();
    assert_eq!(
        said,
        [
            "units: a b controller other",
            "b is Ended in its life 1",
            "a is Ended in its life 1",
            "b is Running in its life 2",
            "the peer refused: there is no unit nobody in this machine",
            "the peer refused: a unit has no power over itself",
            "the peer refused: there is no program nothing in the description",
            "the peer refused: the ports of plain do not fit that unit",
        ]
    );
}
