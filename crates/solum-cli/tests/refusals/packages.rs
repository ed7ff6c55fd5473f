//! Cargo packages that do not give a program.

use crate::harness::{Scratch, Solum};
use crate::{refused, without_a_trace};

/// Writes a package with these sources, each of them an empty program unless it is a library.
fn package(scratch: &Scratch, name: &str, sources: &[&str]) {
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n");
    scratch.file(&format!("{name}/Cargo.toml"), manifest);
    for source in sources {
        let content = if source.ends_with("lib.rs") { "" } else { "fn main() {}\n" };
        scratch.file(&format!("{name}/{source}"), content);
    }
}

/// `solum run` of a package in the scratch directory, built there too.
fn run<'a>(scratch: &'a Scratch, package: &str, options: &[&str]) -> Solum<'a> {
    let package = format!("[SCRATCH]/{package}");
    scratch.solum(&[&["run", &package], options].concat()).env("CARGO_TARGET_DIR", "[SCRATCH]/target")
}

#[test]
fn packages_without_one_obvious_binary() {
    let scratch = Scratch::new();
    scratch.directory("nothing");
    package(&scratch, "several", &["src/bin/one.rs", "src/bin/two.rs"]);
    package(&scratch, "library", &["src/lib.rs"]);
    package(&scratch, "member", &["src/main.rs"]);
    scratch.file("whole/Cargo.toml", "[workspace]\nmembers = [\"member\"]\nresolver = \"3\"\n");
    scratch.file(
        "whole/member/Cargo.toml",
        "[package]\nname = \"member\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    scratch.file("whole/member/src/main.rs", "fn main() {}\n");
    let cases: [(&str, &[&str], &str); 6] = [
        (
            "nothing",
            &[],
            "error: the directory [SCRATCH]/nothing has no Cargo.toml\n\
             hint: give a Cargo package directory, a static executable, or a directory with a solum.toml\n",
        ),
        (
            "several",
            &[],
            "error: the package `several` has several binaries: one, two\n\
             hint: choose one, for example with --bin one\n",
        ),
        (
            "several",
            &["--bin", "three"],
            "error: the package `several` has no binary `three`\nhint: it has: one, two\n",
        ),
        (
            "several",
            &["--bin", ""],
            "error: the package `several` has no binary ``\nhint: it has: one, two\n",
        ),
        (
            "library",
            &[],
            "error: the package `library` has no binary\n\
             hint: give a package with a src/main.rs, or name one of its examples with --example\n",
        ),
        (
            "whole",
            &[],
            "error: [SCRATCH]/whole/Cargo.toml is a workspace, not a package\n\
             hint: give the directory of one of its packages: member\n",
        ),
    ];
    for (package, options, text) in cases {
        refused(&scratch, &run(&scratch, package, options).run(), 102, text);
    }
    assert!(!scratch.path("target").exists(), "nothing was built");
}

#[test]
fn a_manifest_that_cargo_cannot_read() {
    let scratch = Scratch::new();
    scratch.file("odd/Cargo.toml", "[package\n");
    let finished = run(&scratch, "odd", &[]).run();
    finished.exits(102).prints("");
    let said = scratch.contract(&finished.stderr());
    finished.check(
        said.starts_with("error: cargo cannot read [SCRATCH]/odd/Cargo.toml\n  | error: "),
        "it should say what Cargo says, indented",
    );
    without_a_trace(&scratch, &finished);
}

#[test]
fn what_cargo_cannot_build_is_explained_by_cargo() {
    let scratch = Scratch::new();
    package(&scratch, "broken", &[]);
    scratch.file("broken/src/main.rs", "fn main() {\n    let number: u8 = \"text\";\n}\n");
    let cases: [(&str, &[&str], &str); 5] = [
        ("broken", &[], "error[E0308]: mismatched types"),
        ("broken", &["--features", "wings"], "does not contain this feature: wings"),
        ("broken", &["--profile", "fast"], "profile `fast` is not defined"),
        (
            "broken",
            &["--target", "moon-unknown-none"],
            "could not find specification for target \"moon-unknown-none\"",
        ),
        ("none", &["--example", "none"], "no example target named `none`"),
    ];
    for (name, options, cargos_own) in cases {
        let finished = run(&scratch, "broken", options).run();
        finished.exits(101).prints("").mentions(cargos_own);
        let ours = format!(
            "error: cargo could not build `{name}`\nhint: the reason is in Cargo's own messages above\n"
        );
        finished.check(finished.stderr().ends_with(&ours), &format!("it should end with {ours:?}"));
        without_a_trace(&scratch, &finished);
    }
}

#[test]
fn flags_for_packages_with_a_file() {
    let scratch = Scratch::new();
    scratch.file("program", crate::harness::elf::program());
    for (flag, value) in
        [("--bin", "a"), ("--example", "a"), ("--features", "a"), ("--profile", "dev"), ("--target", "a")]
    {
        let finished = scratch.solum(&["run", "[SCRATCH]/program", flag, value]).run();
        let text = format!(
            "error: {flag} chooses within a Cargo package, but [SCRATCH]/program is a file\n\
             hint: give the package's directory, or leave the flag out\n"
        );
        refused(&scratch, &finished, 102, &text);
    }
}

#[test]
fn cargo_is_not_installed() {
    let scratch = Scratch::new();
    scratch.directory("empty");
    package(&scratch, "package", &["src/main.rs"]);
    let finished = run(&scratch, "package", &[]).env("PATH", "[SCRATCH]/empty").run();
    let text = format!(
        "error: cargo cannot be started: no such file or directory\n\
         hint: install Rust, see https://rustup.rs; a static executable needs none if solum-init-{} lies beside solum\n",
        std::env::consts::ARCH
    );
    refused(&scratch, &finished, 103, &text);
}
