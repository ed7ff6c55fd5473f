//! Runs of a real simulation: that pass, and that fail.

use crate::harness::{Finished, Scratch};
use crate::{COUNTED, counted};

/// The word behind the first of these.
#[track_caller]
fn behind(finished: &Finished, what: &str) -> String {
    let text = finished.stdout();
    let rest = text.split_once(what).map(|(_, rest)| rest);
    finished.check(rest.is_some(), &format!("there should be {what:?}"));
    rest.unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn runs_that_pass_are_summed_up() {
    let scratch = Scratch::new();
    let finished = counted(&scratch, &["--seeds", "100..165"]).run();
    finished.exits(0).says("");
    let text = finished.stdout();
    let first = "counted: 65 runs, 2 of them twice, none failed\n  events     ";
    finished.check(text.starts_with(first), first);
    finished.check(text.contains("\n  simulated  21 min 40 s in "), "each took twenty seconds");
    for kind in ["delay", "partition"] {
        finished.check(text.contains(&format!("  {kind:17}  never\n")), "one machine has no network");
    }
    finished.check(!text.contains("power-cut          never"), "power was cut");
}

#[test]
fn the_same_seeds_are_the_same_runs_however_many_at_a_time() {
    let scratch = Scratch::new();
    let counts = |words: &[&str]| {
        let finished = counted(&scratch, &[&["--seeds", "40", "--twice"], words].concat()).run();
        finished.exits(0);
        let text = finished.stdout();
        finished.check(text.contains("40 runs, 40 of them twice"), "all of them twice");
        text.lines()
            .filter(|line| !line.starts_with("  simulated") && !line.contains("a second"))
            .collect::<String>()
    };
    assert_eq!(counts(&["--jobs", "1"]), counts(&["--jobs", "3"]));
}

#[test]
fn faults_are_those_that_are_wanted() {
    let scratch = Scratch::new();
    let none = counted(&scratch, &["--seeds", "3", "--faults", "none"]).run();
    none.exits(0).check(none.stdout().ends_with("\n  faults     none\n"), "none");
    let one = counted(&scratch, &["--seeds", "20", "--faults", "unit-crash", "--until", "9 s"]).run();
    one.exits(0).check(one.stdout().contains("\n  simulated  3 min in "), "twenty times nine seconds");
    let crashes = behind(&one, "\n  faults     unit-crash  ");
    one.check(crashes.parse::<u64>().is_ok(), "some of them");
    one.check(one.stdout().lines().count() == 5, "and no other");
}

#[test]
fn a_run_that_fails_is_made_small_and_can_be_repeated() {
    let scratch = Scratch::new();
    let found = counted(&scratch, &["--scenario", "forgetful", "--seeds", "200"]).run();
    found.exits(109).says("solum: making the failure small\n");
    let text = found.stdout();
    found.check(text.starts_with("seed "), "which");
    found.check(text.contains(" failed, after ") && text.contains(": reader: "), "after what, and why");
    found.check(
        text.contains("\n  shrunk     from ") && text.contains("\n             to   2 choices and "),
        "how small",
    );
    let command = format!("\n  replay     solum sim {COUNTED} --scenario forgetful --replay ");
    let token = behind(&found, &command);
    let timeline = format!(
        "\n  timeline   solum sim {COUNTED} --scenario forgetful --replay {token} --trace timeline.html\n"
    );
    found.check(text.contains(&timeline), "how to see it");
    let again = |words: &[&str]| {
        let repeated = ["--scenario", "forgetful", "--replay", &token];
        let finished = counted(&scratch, &[&repeated, words].concat()).run();
        finished.exits(109);
        finished
    };
    let plain = again(&[]);
    plain.says("").check(plain.stdout().starts_with("the run failed: reader: "), "the same");
    plain.check(plain.stdout().contains("\ncounted: the run failed\n  digest     "), "once more");
    let told = again(&["--lines", "--trace", "[SCRATCH]/timeline.html"]);
    assert_eq!(scratch.contract(&told.stderr()), "solum: the timeline is in [SCRATCH]/timeline.html\n");
    told.check(told.stdout().contains(" store.counter 1\n"), "what it printed");
    told.check(told.stdout().contains(" FAULT power-cut"), "what went wrong");
    assert_eq!(behind(&told, "  digest     "), behind(&plain, "  digest     "));
    let page = std::fs::read_to_string(scratch.path("timeline.html")).unwrap();
    assert!(page.contains(&token), "how it is repeated is in the page");
}

#[test]
fn a_run_that_does_not_fail_can_be_repeated_too() {
    let scratch = Scratch::new();
    let first = counted(&scratch, &["--replay", "7"]).run();
    first.exits(0).says("");
    first.check(first.stdout().starts_with("counted: the run did not fail\n  digest     "), "the result");
    let second = counted(&scratch, &["--replay", "7"]).run();
    assert_eq!(behind(&second, "  digest     "), behind(&first, "  digest     "));
    let other = counted(&scratch, &["--replay", "8"]).run();
    assert_ne!(behind(&other, "  digest     "), behind(&first, "  digest     "));
}

#[test]
fn failures_are_left_as_they_were_and_as_many_as_are_wanted() {
    let scratch = Scratch::new();
    let words =
        ["--scenario", "forgetful", "--seeds", "500", "--failures", "3", "--no-shrink", "--jobs", "1"];
    let finished = counted(&scratch, &words).run();
    finished.exits(109).says("");
    let text = finished.stdout();
    finished.check(text.matches("\n  replay     ").count() == 3, "three");
    finished.check(!text.contains("shrunk"), "none made small");
    finished.check(text.contains(", 3 failed\n  events"), "and summed up");
    let seed = behind(&finished, "seed ");
    let alone = counted(&scratch, &["--scenario", "forgetful", "--seed", &seed, "--no-shrink"]).run();
    alone.exits(109).check(alone.stdout().starts_with(&format!("seed {seed} failed: ")), "that one alone");
}

#[test]
fn a_power_cut_at_every_operation_finds_it_too() {
    let scratch = Scratch::new();
    let words = ["--search", "crashes", "--no-shrink"];
    counted(&scratch, &[&["--scenario", "forgetful"], &words[..]].concat()).run().exits(109);
    let sound = counted(&scratch, &words).run();
    sound.exits(0);
    let runs: u64 = behind(&sound, "counted: ").parse().unwrap();
    sound.check(runs > 100, "all that there are");
}

#[test]
fn what_a_scenario_prints_is_passed_on_and_disturbs_nothing() {
    let scratch = Scratch::new();
    let finished = counted(&scratch, &["--scenario", "talkative", "--seeds", "1"]).run();
    finished.exits(0).mentions("printed by a scenario\n").mentions("and said by it\n");
    finished
        .check(finished.stdout().starts_with("counted: 1 run, 1 of them twice, none failed\n"), "the answer");
}

#[test]
fn other_verbs_take_no_notice() {
    let scratch = Scratch::new();
    let text =
        std::fs::read_to_string(format!("{}/{COUNTED}/solum.toml", crate::harness::WORKSPACE)).unwrap();
    scratch.file("with/solum.toml", &text);
    scratch.file("without/solum.toml", text.split("[simulation]").next().unwrap());
    for verb in [&["graph"][..], &["graph", "--format", "dot"], &["check"], &["check", "--json"]] {
        let of = |directory| {
            let words = [verb, &["--no-build", directory]].concat();
            let finished = scratch.solum_without_init(&words).run();
            finished.exits(0).says("");
            finished.stdout()
        };
        assert_eq!(of("[SCRATCH]/with"), of("[SCRATCH]/without"), "{verb:?}");
    }
}
