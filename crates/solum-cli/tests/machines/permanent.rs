//! What outlives a machine: with a directory of the host at /perm.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::files::lacks_shares;
use crate::harness::{Finished, Scratch};
use crate::{by_hand, probe};

const SHARE: [&str; 3] = ["--root", "--share", "[SCRATCH]/perm:/perm"];

/// A life of a machine that keeps what is in `perm`; nothing if this kernel cannot.
fn life(scratch: &Scratch, options: &[&str], errand: &str) -> Option<Finished> {
    scratch.directory("perm");
    let options = [&SHARE, options].concat();
    let finished = probe(scratch, &options, &errand.split(' ').collect::<Vec<_>>()).run();
    (!lacks_shares(&finished)).then_some(finished)
}

fn kept(scratch: &Scratch, name: &str) -> Vec<u8> {
    fs::read(scratch.path("perm").join(name)).unwrap()
}

#[test]
fn a_machine_stays_the_same_and_its_randomness_does_not() {
    let scratch = Scratch::new();
    let Some(finished) = life(&scratch, &[], "print /etc/machine-id then look /perm/.solum") else { return };
    finished.exits(0).says("");
    let output = finished.stdout();
    let (id, rest) = output.split_once('\n').unwrap();
    finished.check(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "it has an identifier");
    finished.check(rest.starts_with("/perm/.solum: directory 700 "), "nobody else looks in there");
    assert_eq!(String::from_utf8(kept(&scratch, ".solum/machine-id")).unwrap(), format!("{id}\n"));
    let seed = kept(&scratch, ".solum/entropy-seed");
    assert_eq!(seed.len(), 512);
    let mode = fs::metadata(scratch.path("perm/.solum/entropy-seed")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = life(&scratch, &[], "print /etc/machine-id").unwrap();
    second.exits(0).prints(&format!("{id}\n")).says("");
    assert_ne!(kept(&scratch, ".solum/entropy-seed"), seed);
}

#[test]
fn time_does_not_run_backwards_over_a_restart() {
    let scratch = Scratch::new();
    scratch.directory("perm/.solum");
    // 2030-01-01, which no clock of a test's host says.
    scratch.file("perm/.solum/clock", "1893456000\n");
    let Some(finished) = life(&scratch, &["--network", "none"], "moment") else { return };
    finished.exits(0).says("");
    let moment: u64 = finished.stdout().trim_end().parse().unwrap();
    finished.check((1_893_456_000..1_893_456_000 + 3600).contains(&moment), "it goes on from there");
    assert!(kept_clock(&scratch).0 >= moment);
}

/// A moment, and how far the clock may have gone since.
fn kept_clock(scratch: &Scratch) -> (u64, u64) {
    let text = String::from_utf8(kept(scratch, ".solum/clock")).unwrap();
    let numbers: Vec<&str> = text.split_whitespace().collect();
    (numbers[0].parse().unwrap(), numbers[1].parse().unwrap())
}

#[test]
fn time_does_not_run_backwards_over_a_power_cut() {
    let scratch = Scratch::new();
    scratch.directory("perm");
    let options = [&by_hand::OPTIONS[..], &SHARE].concat();
    let prepare = |errand: &[&str]| probe(&scratch, &options, errand).run();
    let no_clock = ["-rtc", "base=2000-01-01T00:00:00"];
    let printed = prepare(&["moment", "then", "polite"]);
    if lacks_shares(&printed) {
        return;
    }
    let mut machine = by_hand::start(&scratch, &printed, &no_clock);
    let last = first_number(&machine.until("ready"));
    drop(machine);
    let (moment, ahead) = kept_clock(&scratch);
    assert!(last < moment + ahead, "{last} was shown, and {moment} and {ahead} s are kept");
    let next = first_number(&by_hand::start(&scratch, &prepare(&["moment"]), &no_clock).ends());
    assert!((moment + ahead..moment + ahead + 3600).contains(&next), "it goes on from there: {next}");
    let (end, ahead) = kept_clock(&scratch);
    assert!(end >= next && ahead == 1, "an orderly end keeps the moment itself");
}

/// The first line that is a number.
fn first_number(output: &str) -> u64 {
    let number = output.lines().find_map(|line| line.trim_end().parse().ok());
    number.unwrap_or_else(|| panic!("no number:\n{output}"))
}

#[test]
fn the_last_words_of_a_program_are_kept() {
    let scratch = Scratch::new();
    let Some(finished) = life(&scratch, &[], "panic") else { return };
    finished.exits(101).prints("").mentions("as I was told to\n");
    let text = String::from_utf8(kept(&scratch, "last-panic")).unwrap();
    let (head, words) = text.split_once("\n\n").unwrap();
    assert!(
        head.contains("Z: the program ended with status 101, ")
            && head.ends_with(" s after the machine's start (/bin/probe)"),
        "{text}"
    );
    assert!(words.contains("panicked at") && words.contains("as I was told to"), "{text}");
    // Said on the way to the host and kept are the same bytes.
    assert_eq!(finished.stderr(), words);
    let second = life(&scratch, &[], "status 0").unwrap();
    second.exits(0).says("");
    assert_eq!(String::from_utf8(kept(&scratch, "last-panic")).unwrap(), text, "a good end changes nothing");
}

#[test]
fn last_words_are_bounded_and_nothing_is_lost_on_their_way() {
    let scratch = Scratch::new();
    let Some(finished) = life(&scratch, &[], "flood 300000 then abort") else { return };
    finished.exits(134);
    let expected: Vec<u8> =
        (0..300_000u32).map(|index| (index.wrapping_mul(3) ^ (index >> 8)) as u8).collect();
    finished.check(finished.stderr.starts_with(&expected), "all of its standard error arrives");
    let text = kept(&scratch, "last-panic");
    let at = text.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
    let head = String::from_utf8_lossy(&text[..at]).into_owned();
    assert!(head.contains("the program was ended by signal 6 (SIGABRT, it gave up), "), "{head}");
    assert!(text[at..] == expected[expected.len() - 65_536..]);
}

#[test]
fn every_failure_of_a_program_that_is_started_again_is_kept() {
    let scratch = Scratch::new();
    scratch.directory("perm");
    let options = [&SHARE[..], &["--when-ended", "restart"]].concat();
    let running = probe(&scratch, &options, &["panic"]).start();
    let running = running.until_it_says("restart 2 follows in 2 s\n");
    running.signal(rustix::process::Signal::INT);
    let finished = running.finish();
    if lacks_shares(&finished) {
        return;
    }
    finished.exits(101);
    let text = String::from_utf8(kept(&scratch, "last-panic")).unwrap();
    assert_eq!(text.matches("as I was told to").count(), 1, "of the last start only:\n{text}");
}

#[test]
fn a_machine_says_what_it_is() {
    let scratch = Scratch::new();
    let finished = probe(
        &scratch,
        &["--name", "kiosk"],
        &["print", "/etc/os-release", "then", "print", "/etc/machine-id"],
    )
    .run();
    finished.exits(0).says("");
    let output = finished.stdout();
    let version = env!("CARGO_PKG_VERSION");
    let release =
        format!("NAME=Solum\nID=solum\nVERSION_ID={version}\nPRETTY_NAME=\"kiosk (Solum {version})\"\n");
    finished
        .check(output.strip_prefix(&release).is_some_and(|id| id.len() == 33), "a name and an identifier");
}

#[test]
fn a_clock_without_a_battery_does_not_make_the_past() {
    let scratch = Scratch::new();
    let printed = probe(&scratch, &by_hand::OPTIONS, &["moment"]).run();
    let machine = by_hand::start(&scratch, &printed, &["-rtc", "base=2000-01-01T00:00:00"]);
    // 2026-01-01, as in `time/client.rs`; without it, it were 946684800 and a bit.
    let moment = first_number(&machine.ends());
    assert!((1_767_225_600..1_767_229_200).contains(&moment), "{moment}");
}
