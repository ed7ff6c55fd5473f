//! A system runs once, and leaves nothing behind that hinders the next run.

use rustix::process::Signal;

use crate::alone;
use crate::harness::system::System;

const STAYING: &str = r#"arguments = ["stay", "here"]"#;

#[test]
fn a_system_does_not_run_twice() {
    let system = alone("errand", STAYING);
    let running = system.on_host(&[]).start().until_it_prints("here\n");
    let second = system.on_host(&[]).run();
    second.exits(106).prints("");
    let said = system.scratch.contract(&second.stderr());
    let text = "error: the system in [SCRATCH]/system runs already\n\
                hint: look at it with `solum ps -C [SCRATCH]/system`, stop it with `solum down -C [SCRATCH]/system`\n";
    second.check(said == text, &format!("it should say {text}"));
    assert_eq!(system.unit("m.u")["state"], "running", "the first is not disturbed");
    system.down(running).exits(0).prints("m.u | here\n");
}

#[test]
fn without_a_running_system_there_is_nobody_to_ask() {
    let system = alone("errand", STAYING);
    let words: [&[&str]; 6] =
        [&["ps"], &["logs"], &["start", "u"], &["stop", "u"], &["restart", "u"], &["down"]];
    for words in words {
        let finished = system.ask(words).run();
        finished.exits(102).prints("");
        let said = system.scratch.contract(&finished.stderr());
        let text = "error: no system runs in [SCRATCH]/system\n\
                    hint: start it with `solum run DIRECTORY`, or name its directory with -C\n";
        finished.check(said == text, &format!("it should say {text}"));
    }
}

#[test]
fn a_place_where_nothing_runs_is_named_in_full() {
    let system = alone("errand", STAYING);
    let here = std::env::current_dir().unwrap().join("../..").canonicalize().unwrap();
    let text = format!("error: no system runs in {}\n", here.display());
    system.scratch.solum_without_init(&["ps"]).run().exits(102).prints("").mentions(&text);
}

#[test]
fn a_killed_solum_takes_its_units_along_and_the_next_run_works() {
    let system = System::new(
        "[machine.m.unit.ported]\nprogram = \"errand\"\narguments = [\"stubborn\"]\n\
         [machine.m.unit.plain]\nprogram = \"plain\"\narguments = [\"stubborn\"]\n",
    );
    for _ in 0..2 {
        let running = system.on_host(&[]).start();
        let running =
            running.until_it_prints("m.plain  | not hearing\n").until_it_prints("m.ported | not hearing\n");
        let units = [system.process("m.ported"), system.process("m.plain")];
        running.signal(Signal::KILL);
        units.iter().for_each(|unit| unit.ends());
        assert_eq!(running.finish().status.code(), None);
        // Its socket is still there, and nobody listens.
        system.ask(&["ps"]).run().exits(102).mentions("no system runs in ");
    }
}

#[test]
fn a_directory_may_be_deeper_than_the_address_of_a_socket_is_long() {
    let deep = ["deep"; 40].join("/");
    let system = System::within(&deep, &format!("[machine.m.unit.u]\nprogram = \"errand\"\n{STAYING}\n"));
    let running = system.on_host(&[]).start().until_it_prints("here\n");
    assert_eq!(system.unit("m.u")["state"], "running");
    system.down(running).exits(0);
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    let system = alone("errand", STAYING);
    system.scratch.file("system/.solum", "in the way");
    let finished = system.on_host(&[]).run();
    finished.exits(106).prints("").mentions("cannot write");
}
