//! Files that cannot be a machine's program.

use crate::harness::Scratch;
use crate::refused;

/// The head of an ELF file without segments: enough to say what it was compiled for.
fn elf(class: u8, machine: u16, kind: u16, entry: u64) -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.extend([class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(entry.to_le_bytes());
    bytes.extend(64u64.to_le_bytes()); // where program headers would be
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 0, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    bytes
}

const X86_64: u16 = 62;
const AARCH64: u16 = 183;
const RISC_V: u16 = 243;
const RELOCATABLE: u16 = 1;
const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;
const CORE: u16 = 4;

#[test]
fn files_that_are_no_static_executables() {
    let machine = std::env::consts::ARCH;
    let (own, other, other_name) =
        if machine == "aarch64" { (AARCH64, X86_64, "x86_64") } else { (X86_64, AARCH64, "aarch64") };
    let again = "build the program again";
    let compile = format!("compile it for {machine}-linux");
    let linked = "give the linked executable";
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
            elf(2, own, EXECUTABLE, 1)[..40].to_vec(),
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
            elf(2, other, EXECUTABLE, 1),
            format!("was compiled for {other_name}, but the machine is {machine}"),
            &compile,
        ),
        (
            "risc-v",
            elf(2, RISC_V, EXECUTABLE, 1),
            format!("was compiled for RISC-V, but the machine is {machine}"),
            &compile,
        ),
        (
            "narrow",
            elf(1, 3, EXECUTABLE, 1),
            format!("was compiled for a 32-bit processor, but the machine is {machine}"),
            &compile,
        ),
        ("object.o", elf(2, own, RELOCATABLE, 0), "is an object file, not a program".into(), linked),
        ("core", elf(2, own, CORE, 0), "is a core dump, not a program".into(), linked),
        ("library.so", elf(2, own, SHARED, 0), "is a shared library, not a program".into(), linked),
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
                hint: give a Cargo package directory, or a static executable\n";
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
