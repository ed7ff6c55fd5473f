//! What can be had without a machine: completions, man pages, the command by hand.

use std::os::unix::fs::PermissionsExt;

use crate::harness::kernel::{option, words_of};
use crate::harness::{Scratch, elf};
use crate::without_a_trace;

const VERBS: [&str; 21] = [
    "build",
    "check",
    "completions",
    "doctor",
    "down",
    "exec",
    "flash",
    "graph",
    "inspect",
    "kernel",
    "logs",
    "man",
    "press",
    "ps",
    "push",
    "restart",
    "run",
    "sim",
    "start",
    "stop",
    "take",
];

#[test]
fn completions_know_every_verb() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let finished = scratch.solum(&["completions", shell]).run();
        finished.exits(0).says("");
        let script = finished.stdout();
        for word in VERBS.iter().chain(&["memory", "publish", "kernel-version"]) {
            finished.check(script.contains(word), &format!("the completions for {shell} should know {word}"));
        }
    }
}

#[test]
fn bash_can_read_its_completions() {
    let scratch = Scratch::new();
    let script = scratch.file("completions", scratch.solum(&["completions", "bash"]).run().stdout);
    let output = std::process::Command::new("bash").arg("-n").arg(script).output();
    match output {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => println!("skipped: there is no bash"),
    }
}

#[test]
fn every_verb_has_a_man_page() {
    let scratch = Scratch::new();
    scratch.solum(&["man", "[SCRATCH]/new/pages"]).run().exits(0).prints("").says("");
    let mut expected: Vec<String> = VERBS.map(|verb| format!("solum-{verb}.1")).into();
    expected.extend(["build", "list", "remove", "show"].map(|verb| format!("solum-kernel-{verb}.1")));
    expected.push("solum.1".into());
    expected.sort();
    assert_eq!(scratch.names("new/pages"), expected);
    let page = std::fs::read_to_string(scratch.path("new/pages/solum-run.1")).unwrap();
    for text in [".TH solum-run 1", "\\-\\-memory", "Number of processors"] {
        assert!(page.contains(text), "{text} is not in:\n{page}");
    }
}

#[test]
fn help_tells_the_exit_statuses() {
    let scratch = Scratch::new();
    let finished = scratch.solum(&["--help"]).run();
    finished.exits(0).says("");
    for status in ["101", "102", "103", "104", "105", "106", "107", "108", "109", "110", "124", "130"] {
        finished
            .check(finished.stdout().contains(&format!("  {status}  ")), &format!("{status} is documented"));
    }
}

#[test]
fn a_dry_run_prints_a_command_that_a_shell_can_read() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    scratch.directory("it's, \"here\"");
    let finished = scratch
        .solum(&[
            "run",
            "[SCRATCH]/program",
            "--dry-run",
            "--name",
            "dry run",
            "--memory",
            "96M",
            "--cpus",
            "2",
        ])
        .with(&["--share", "[SCRATCH]/it's, \"here\":/data", "--publish", "18000:80"])
        .with(&["--append", "note='a  b' $HOME"])
        .env("SOLUM_CACHE", "[SCRATCH]/cache")
        .with(&["--kernel", crate::harness::kernel::kernel().to_str().unwrap()])
        .run();
    finished.exits(0).says("");
    without_a_trace(&scratch, &finished);
    let words = words_of(&finished.stdout());
    assert_eq!(words[0], "qemu-system-x86_64");
    assert_eq!(option(&words, "-name"), "solum-dry-run");
    assert_eq!((option(&words, "-m"), option(&words, "-smp")), ("96M", "2"));
    assert!(option(&words, "-append").ends_with("note='a  b' $HOME"), "{words:?}");
    let share = scratch.expand("path=[SCRATCH]/it's,, \"here\"");
    assert!(option(&words, "-fsdev").ends_with(&share), "{words:?}");
    assert!(option(&words, "-netdev").contains("hostfwd=tcp:127.0.0.1:18000-:80"), "{words:?}");
    let image = option(&words, "-initrd");
    let name = image.strip_prefix(&scratch.expand("[SCRATCH]/cache/images/")).unwrap_or_default();
    assert!(name.starts_with("dry-run-") && name.ends_with(".initramfs"), "{image}");
    let kept = std::fs::metadata(image).unwrap();
    assert!(kept.len() > 0, "the image stays for whoever runs the command");
    // What `--env` says is in it, or a machine's key.
    assert_eq!(kept.permissions().mode() & 0o777, 0o600, "and nobody else reads it");
    assert_eq!(scratch.names("cache/images"), [name]);
}

#[test]
fn a_dry_run_as_json_is_the_same_command() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    let kernel = crate::harness::kernel::kernel().to_str().unwrap();
    let dry_run = |more: &[&str]| {
        let arguments = ["run", "[SCRATCH]/program", "--dry-run", "--kernel", kernel];
        scratch.solum(&arguments).with(more).env("SOLUM_CACHE", "[SCRATCH]/cache").run()
    };
    let json = dry_run(&["--json"]);
    json.exits(0).says("");
    let words: Vec<String> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(words, words_of(&dry_run(&[]).stdout()));
}

#[test]
fn doctor_says_what_is_missing_and_how_to_get_it() {
    let scratch = Scratch::new();
    scratch.directory("empty");
    let doctor = |more: &[&str]| {
        let bare = scratch.solum(&["doctor"]).with(more).env("PATH", "[SCRATCH]/empty");
        bare.env("SOLUM_CACHE", "[SCRATCH]/cache").run()
    };
    let plain = doctor(&[]);
    plain.exits(103).says("");
    plain.check(plain.stdout().starts_with("MISSING   QEMU "), "QEMU first, and missing");
    plain
        .check(plain.stdout().contains("apt-get install --no-install-recommends qemu-system-"), "the remedy");
    let json = doctor(&["--json"]);
    json.exits(103).says("");
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(findings[0]["what"], "QEMU");
    assert_eq!(findings[0]["state"], "missing");
    let names: Vec<&str> = findings.iter().filter_map(|finding| finding["what"].as_str()).collect();
    for name in ["accelerator", "kernels", "cache", "Cargo", "make", "flex", "zstd", "gelf.h"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert!(!scratch.path("cache").exists(), "looking makes nothing");
    let remedies: Vec<&str> = findings.iter().filter_map(|finding| finding["remedy"].as_str()).collect();
    let all = "apt-get install --no-install-recommends bc binutils bison flex gcc libc6-dev libelf-dev make tar \
               xz-utils zstd";
    assert!(remedies.contains(&all), "one command gets every tool: {remedies:?}");
}

#[test]
fn doctor_tells_of_a_kernel_that_an_older_solum_built() {
    let scratch = Scratch::new();
    let manifest = serde_json::json!({
        "provider": "source", "version": "6.12", "architecture": "x86_64", "hash": "00",
        "inputs": { "profile": "vm", "profile configuration": "of another time" },
        "image": { "path": "bzImage", "sha256": "00", "size": 0, "modified_ns": 0 },
        "vmlinux": null, "modules": null, "config": null,
    });
    scratch.file("cache/kernels/source-vm-6.12-0/manifest.json", manifest.to_string());
    let doctor = scratch.solum(&["doctor"]).env("SOLUM_CACHE", "[SCRATCH]/cache").run();
    let hint = "the built kernel is of an older profile: solum kernel build\n";
    doctor.check(doctor.stdout().contains(hint), "it should say what to do about it");
}

#[test]
fn doctor_is_content_where_machines_run() {
    let scratch = Scratch::new();
    let finished = scratch.solum(&["doctor"]).run();
    finished.exits(0).says("");
    finished.check(finished.stdout().starts_with("ok        QEMU "), "QEMU is there");
    finished.check(!finished.stdout().contains("MISSING"), "and all that machines need");
}
