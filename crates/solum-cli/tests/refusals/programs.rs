//! Files that cannot be a machine's program.

use crate::harness::Scratch;
use crate::harness::elf::{
    self, AARCH64, CLASS_32, CLASS_64, CORE, EXECUTABLE, OWN, RELOCATABLE, SHARED, X86_64,
};
use crate::refused;

const LINKED: &str = "give the linked executable";

#[test]
fn files_that_are_no_static_executables() {
    let machine = std::env::consts::ARCH;
    let (other, other_name) = if OWN == AARCH64 { (X86_64, "x86_64") } else { (AARCH64, "aarch64") };
    let again = "build the program again";
    let compile = format!("compile it for {machine}-linux");
    let cases: [(&str, Vec<u8>, String, &str); 11] = [
        ("empty", vec![], "is an empty file".into(), again),
        (
            "script",
            b"#!/bin/sh -e\necho hello\n".to_vec(),
            "is a script for `/bin/sh -e`, and a machine has no interpreter to run it".into(),
            "give a static executable, or a Cargo package directory",
        ),
        (
            "notes.txt",
            b"just some text\n".to_vec(),
            "is not an executable: it is not in the ELF format".into(),
            "give a static Linux executable, or a Cargo package directory",
        ),
        (
            "truncated",
            elf::header(CLASS_64, OWN, EXECUTABLE, 1)[..40].to_vec(),
            "is a damaged executable: its ELF headers point beyond its end".into(),
            again,
        ),
        (
            "magic-alone",
            b"\x7fELF".to_vec(),
            "is a damaged executable: its ELF headers point beyond its end".into(),
            again,
        ),
        (
            "foreign",
            elf::header(CLASS_64, other, EXECUTABLE, 1),
            format!("was compiled for {other_name}, but the machine is {machine}"),
            &compile,
        ),
        (
            "risc-v",
            elf::header(CLASS_64, 243, EXECUTABLE, 1),
            format!("was compiled for RISC-V, but the machine is {machine}"),
            &compile,
        ),
        (
            "narrow",
            elf::header(CLASS_32, 3, EXECUTABLE, 1),
            format!("was compiled for a 32-bit processor, but the machine is {machine}"),
            &compile,
        ),
        (
            "object.o",
            elf::header(CLASS_64, OWN, RELOCATABLE, 0),
            "is an object file, not a program".into(),
            LINKED,
        ),
        ("core", elf::header(CLASS_64, OWN, CORE, 0), "is a core dump, not a program".into(), LINKED),
        (
            "library.so",
            elf::header(CLASS_64, OWN, SHARED, 0),
            "is a shared library, not a program".into(),
            LINKED,
        ),
    ];
    let scratch = Scratch::new();
    for (name, content, sentence, hint) in cases {
        scratch.file(name, content);
        let finished = scratch.solum(&["run", &format!("[SCRATCH]/{name}")]).run();
        refused(&scratch, &finished, 102, &format!("error: [SCRATCH]/{name} {sentence}\nhint: {hint}\n"));
    }
}

#[test]
fn a_dynamically_linked_executable() {
    let scratch = Scratch::new();
    let finished = scratch.solum(&["run", "/bin/true"]).run();
    let interpreter = match std::env::consts::ARCH {
        "aarch64" => "/lib/ld-linux-aarch64.so.1",
        _ => "/lib64/ld-linux-x86-64.so.2",
    };
    let text = format!(
        "error: /bin/true is dynamically linked: it asks for the interpreter {interpreter}, and a machine has no \
         shared libraries\n\
         hint: link it statically:\n  \
           Rust: cargo build --target x86_64-unknown-linux-musl, or give the package directory to solum\n  \
           Go:   CGO_ENABLED=0 go build\n  \
           C:    cc -static\n"
    );
    refused(&scratch, &finished, 102, &text);
}

#[test]
fn a_program_that_is_not_there() {
    let scratch = Scratch::new();
    let finished = scratch.solum(&["run", "[SCRATCH]/nowhere"]).run();
    let text = "error: there is no program to run at [SCRATCH]/nowhere: no such file or directory\n\
                hint: give a Cargo package directory, a static executable, or a directory with a solum.toml\n";
    refused(&scratch, &finished, 102, text);
    let finished = scratch.solum(&["take", "[SCRATCH]/out", "[SCRATCH]/nowhere"]).run();
    let text = "error: there is no program to run at [SCRATCH]/nowhere: no such file or directory\n\
                hint: give a Cargo package directory, or a static executable\n";
    refused(&scratch, &finished, 102, text);
}

#[test]
fn take_refuses_a_system() {
    let scratch = Scratch::new();
    scratch.file("system/solum.toml", "");
    let finished = scratch.solum(&["take", "[SCRATCH]/out", "[SCRATCH]/system"]).run();
    let text = "error: [SCRATCH]/system is a system, and `solum take` writes the image of one program\n\
                hint: run the system with `solum run [SCRATCH]/system`, or take one of its programs\n";
    refused(&scratch, &finished, 102, text);
}

#[test]
fn take_refuses_the_same_and_leaves_the_old_file_alone() {
    let scratch = Scratch::new();
    scratch.file("out", "old");
    scratch.file("empty", "");
    let finished = scratch.solum(&["take", "[SCRATCH]/out", "[SCRATCH]/empty"]).run();
    let text = "error: [SCRATCH]/empty is an empty file\nhint: build the program again\n";
    refused(&scratch, &finished, 102, text);
    assert_eq!(std::fs::read(scratch.path("out")).unwrap(), b"old");
    assert_eq!(scratch.names(""), ["empty", "out", "tmp"]);
}
