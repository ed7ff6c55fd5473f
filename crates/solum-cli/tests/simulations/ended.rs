//! Simulations that end without their answer, and those that are ended.

use rustix::process::Signal;

use crate::harness::Scratch;
use crate::harness::system::Process;
use crate::{Fake, counted, refused};

#[test]
fn a_signal_ends_it() {
    let scratch = Scratch::new();
    let text = "error: the simulation was ended by signal 6 (SIGABRT, it gave up)\n\
                hint: unsafe code in its programs, and too little memory, are what ends a process like this\n";
    refused(&scratch, &counted(&scratch, &["--scenario", "deadly"]).run(), 105, text);
}

#[test]
fn no_answer_is_no_success() {
    let fake = Fake::new("eprintln!(\"my own main\");");
    let text = "my own main\n\
                error: the simulation ended with status 0 and no answer\n\
                hint: its `main` is `solum_sim::harness::main(&[(\"NAME\", SCENARIO)])`, and no more\n";
    refused(&fake.scratch, &fake.sim(&[]).run(), 105, text);
    let fake = Fake::new(&format!("println!(\"{{}}\", {COUNTS:?}); std::process::exit(7);"));
    let text = "error: the simulation ended with status 7 and no answer, after 12 runs\n\
                hint: the reason is in its own messages above\n";
    refused(&fake.scratch, &fake.sim(&[]).run(), 105, text);
}

/// How far a simulation is.
const COUNTS: &str = r#"{"progress":{"system":"faked","planned":1000,"runs":12,"twice":1,"events":3000,"simulated_ns":7261000000000,"took_ns":2000000000,"states":40,"faults":{"delay":1234,"drop":0},"failures":0,"digest":null}}"#;

/// One that is somewhere, says so with its process, and goes on for ever.
fn endless() -> Fake {
    let main = format!(
        "println!(\"{{}}\", {COUNTS:?});\neprintln!(\"process {{}} goes on\", std::process::id());\nloop {{ std::thread::park(); }}"
    );
    Fake::new(&main)
}

#[test]
fn what_there_was_is_told_when_the_user_wants_no_more() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let fake = endless();
        let running = fake.sim(&[]).start().until_it_says("goes on\n");
        running.signal(signal);
        running.finish().exits(status).prints(
            "faked: interrupted after 12 of 1,000 runs, 1 of them twice, none failed\n  \
             events     3,000, 1,500 a second\n  \
             simulated  2 h 1 min in 2.0 s, 3,631 times as fast as real\n  \
             states     40 different\n  \
             faults     delay  1,234\n             \
                        drop   never\n",
        );
    }
}

#[test]
fn it_does_not_outlive_solum() {
    let fake = endless();
    let running = fake.sim(&[]).start().until_it_says("goes on\n");
    let said = running.stderr.so_far();
    let number = said.split_whitespace().nth(1).unwrap();
    let process = Process::new(number.parse().unwrap());
    running.signal(Signal::KILL);
    process.ends();
    running.finish();
}
