//! Command lines that cannot be read. They get status 2, before anything is looked at or built.

use crate::harness::Scratch;
use crate::{refused, without_a_trace};

const PUBLISH: &str = "--publish <[ADDRESS:]HOST:MACHINE[/udp]>";
const PUBLISH_FORM: &str = "; write HOST:MACHINE or ADDRESS:HOST:MACHINE, with /udp for UDP, like 8000:8000";
const SHARE: &str = "--share <DIR:/PATH[:ro]>";
const SHARE_FORM: &str = "; write DIR:/path or DIR:/path:ro";
const OURS: &str = "lies where the kernel or PID 1 puts its own files (/dev, /proc, /sys, /init)";

#[test]
fn values_that_cannot_be_read() {
    let cases = [
        (
            "--memory",
            "lots",
            "--memory <SIZE>",
            "`lots` does not start with a number; write a size like 512M".into(),
        ),
        (
            "--memory",
            "5parsecs",
            "--memory <SIZE>",
            "`parsecs` is not a unit of size; use K, M, G or T (or KiB, MiB, GiB, TiB)".into(),
        ),
        ("--publish", "8000", PUBLISH, format!("`8000` names one port only{PUBLISH_FORM}")),
        ("--publish", "a:1:2", PUBLISH, format!("`a:1:2` does not start with an IP address{PUBLISH_FORM}")),
        (
            "--publish",
            "1:70000",
            PUBLISH,
            format!("`1:70000` has a port that is not a number from 1 to 65535{PUBLISH_FORM}"),
        ),
        (
            "--publish",
            "1:2/x",
            PUBLISH,
            format!("`1:2/x` has neither /tcp nor /udp after its ports{PUBLISH_FORM}"),
        ),
        ("--share", "data", SHARE, format!("`data` has no `:/path` for the machine{SHARE_FORM}")),
        ("--share", "a:/proc", SHARE, format!("`a:/proc` {OURS}{SHARE_FORM}")),
        ("--share", "a:/b/../c", SHARE, format!("`a:/b/../c` has `..` in the machine's path{SHARE_FORM}")),
        ("--share", "a:/", SHARE, format!("`a:/` would replace the machine's root directory{SHARE_FORM}")),
        (
            "--file",
            "a",
            "--file <SRC:/PATH>",
            "`a` has no `:/path` for the machine; write SOURCE:/path".into(),
        ),
        (
            "--file",
            "a:/tmp/b",
            "--file <SRC:/PATH>",
            "`a:/tmp/b` lies in /run or /tmp, which are empty when a machine starts; write SOURCE:/path"
                .into(),
        ),
        ("--dir", "a:/sys/x", "--dir <SRC:/PATH>", format!("`a:/sys/x` {OURS}; write SOURCE:/path")),
        (
            "--network",
            "10.0.2.15",
            "--network <HOW>",
            "write dhcp, none, or ADDRESS/PREFIX like 10.0.2.15/24,gateway=10.0.2.2".into(),
        ),
        ("--network", "here/24", "--network <HOW>", "`here` is not an IPv4 address".into()),
        ("--network", "1.2.3.4/33", "--network <HOW>", "`33` is not the length of a prefix, 0 to 32".into()),
        (
            "--network",
            "1.2.3.4/8,router=1.2.3.1",
            "--network <HOW>",
            "`router=1.2.3.1` is neither gateway=ADDRESS nor dns=ADDRESS".into(),
        ),
    ];
    let scratch = Scratch::new();
    for (flag, value, name, reason) in cases {
        let finished = scratch.solum(&["run", "[SCRATCH]/never-looked-at", flag, value]).run();
        let text = format!(
            "error: invalid value '{value}' for '{name}': {reason}\n\nFor more information, try '--help'.\n"
        );
        refused(&scratch, &finished, 2, &text);
    }
}

#[test]
fn words_that_are_none_of_the_choices() {
    let scratch = Scratch::new();
    for (flag, name, choices) in [
        ("--accel", "--accel <ACCEL>", "auto, kvm, tcg"),
        ("--place", "--place <PLACE>", "vm, host"),
        ("--machine", "--machine <KIND>", "auto, q35, microvm"),
        ("--wait", "--wait <WHAT>", "network, clock"),
    ] {
        let finished = scratch.solum(&["run", "[SCRATCH]/never-looked-at", flag, "xyz"]).run();
        let text = format!(
            "error: invalid value 'xyz' for '{name}'\n  [possible values: {choices}]\n\n\
             For more information, try '--help'.\n"
        );
        refused(&scratch, &finished, 2, &text);
    }
}

#[test]
fn flags_and_verbs_that_do_not_exist() {
    let scratch = Scratch::new();
    for (arguments, sentence) in [
        (&["fly"][..], "error: unrecognized subcommand 'fly'\n"),
        (&["build"], "error: the following required arguments were not provided:\n  --format <FORMAT>\n"),
        (&["run", "a", "--fly"], "error: unexpected argument '--fly' found\n"),
        (&["exec", "a"], "error: the following required arguments were not provided:\n  <INITRAMFS>\n"),
        (
            &["run", "a", "--bin", "b", "--example", "c"],
            "error: the argument '--bin <NAME>' cannot be used with '--example <NAME>'\n",
        ),
    ] {
        let finished = scratch.solum(arguments).run();
        finished.exits(2).prints("");
        finished
            .check(finished.stderr().starts_with(sentence), &format!("it should begin with {sentence:?}"));
        without_a_trace(&scratch, &finished);
    }
}
