//! Kernels that are not to be had.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::harness::{Finished, Scratch, elf};
use crate::{refused, without_a_trace};

/// The beginning of a bzImage (Documentation/arch/x86/boot.rst) that says it goes on for much longer.
fn cut_off_kernel() -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[0x1f1] = 1; // setup_sects
    bytes[0x1f4..0x1f8].copy_from_slice(&0x10_0000u32.to_le_bytes()); // syssize, in 16 bytes
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x020fu16.to_le_bytes());
    bytes
}

#[test]
fn files_that_are_no_kernel() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    let noise: Vec<u8> = (0u32..100_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    scratch.file("noise", noise);
    scratch.file("empty", "");
    scratch.file("cut-off", cut_off_kernel());
    let hint = "hint: name a bzImage (distributions call it vmlinuz) or an uncompressed vmlinux\n";
    for (name, what) in [
        ("noise", "it has neither the boot signature of a bzImage nor that of an ELF file"),
        ("empty", "it is empty"),
        ("cut-off", "it is cut short: it has 1024 of its 16778240 bytes"),
    ] {
        let kernel = format!("[SCRATCH]/{name}");
        let finished = scratch.solum(&["run", "[SCRATCH]/program", "--kernel", &kernel]).run();
        refused(&scratch, &finished, 104, &format!("error: {kernel} is not a kernel: {what}\n{hint}"));
        let finished = scratch.solum(&["kernel", "build", "--kernel", &kernel, "[SCRATCH]/out"]).run();
        refused(&scratch, &finished, 104, &format!("error: {kernel} is not a kernel: {what}\n{hint}"));
        assert!(!scratch.path("out").exists());
    }
}

#[test]
fn a_kernel_that_is_not_there() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    let finished = scratch.solum(&["run", "[SCRATCH]/program", "--kernel", "[SCRATCH]/missing"]).run();
    let hint = "hint: give a provider (debian, source or host) or the path of a kernel file\n";
    let text =
        format!("error: the kernel file [SCRATCH]/missing cannot be used: no such file or directory\n{hint}");
    refused(&scratch, &finished, 102, &text);
    let text = format!(
        "error: `nonexist` is not a kernel provider, and as the path of a kernel file it cannot be used: no such \
         file or directory\n{hint}"
    );
    for words in [
        &["run", "[SCRATCH]/program"][..],
        &["take", "[SCRATCH]/out", "[SCRATCH]/program"],
        &["kernel", "build", "[SCRATCH]/out"],
    ] {
        let finished = scratch.solum(&[words, &["--kernel", "nonexist"]].concat()).run();
        refused(&scratch, &finished, 102, &text);
    }
    let finished = scratch.solum(&["exec", "[SCRATCH]/missing", "[SCRATCH]/program"]).run();
    refused(&scratch, &finished, 102, "error: [SCRATCH]/missing cannot be read: no such file or directory\n");
}

#[test]
fn exec_refuses_what_is_no_kernel_too() {
    let scratch = Scratch::new();
    scratch.file("text", "not a kernel");
    let finished = scratch.solum(&["exec", "[SCRATCH]/text", "[SCRATCH]/text"]).run();
    finished.exits(104).prints("").mentions("hint: give --kernel a bzImage (often called vmlinuz)");
    without_a_trace(&scratch, &finished);
}

/// `solum kernel` with a cache of its own.
fn kernel(scratch: &Scratch, arguments: &[&str]) -> Finished {
    scratch.solum(&[&["kernel"], arguments].concat()).env("SOLUM_CACHE", "[SCRATCH]/cache").run()
}

#[test]
fn an_empty_cache_has_no_kernels() {
    let scratch = Scratch::new();
    kernel(&scratch, &["list", "--json"]).exits(0).prints("[]\n").says("");
    let text =
        "error: there is no kernel 6.12 in the cache, which is empty\nhint: `solum kernel list` shows them\n";
    refused(&scratch, &kernel(&scratch, &["show", "6.12"]), 102, text);
    refused(&scratch, &kernel(&scratch, &["remove", "6.12"]), 102, text);
    kernel(&scratch, &["remove", "--all"]).exits(0).prints("");
    assert!(!scratch.path("cache").exists(), "looking makes nothing");
}

#[test]
fn sources_that_are_none() {
    let scratch = Scratch::new();
    scratch.directory("tree");
    for (arguments, status, text) in [
        (
            &["--version", "latest"][..],
            104,
            "error: `latest` is not the version of a Linux release\nhint: versions look like 6.12.117\n",
        ),
        (
            &["--config", "[SCRATCH]/missing"],
            102,
            "error: cannot read [SCRATCH]/missing: No such file or directory\n",
        ),
    ] {
        let finished = kernel(&scratch, &[&["build"], arguments].concat());
        refused(&scratch, &finished, status, text);
    }
    for (directory, reason) in [("tree", "it has no Makefile"), ("gone", "there is no such directory")] {
        let finished = kernel(&scratch, &["build", "--tree", &format!("[SCRATCH]/{directory}")]);
        let text = format!(
            "error: [SCRATCH]/{directory} is not a tree of Linux sources: {reason}\n\
             hint: name the directory into which a release of Linux was unpacked\n"
        );
        refused(&scratch, &finished, 102, &text);
    }
    assert!(!scratch.path("cache").exists());
}

#[test]
fn no_word_but_those_of_the_providers_is_special() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    let finished = scratch.solum(&["run", "[SCRATCH]/program", "--kernel", "default"]).run();
    let text = "error: `default` is not a kernel provider, and as the path of a kernel file it cannot be used: no such \
                file or directory\nhint: give a provider (debian, source or host) or the path of a kernel file\n";
    refused(&scratch, &finished, 102, text);
}

/// A server that answers every request with this, as long as the test runs; gives back its address.
fn mirror(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            // The head of a request ends with an empty line.
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn mirrors_that_do_not_have_it() {
    let scratch = Scratch::new();
    for answer in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nhalf a file",
        "this is not HTTP\r\n\r\n",
    ] {
        let mirror = mirror(answer);
        let finished = kernel(&scratch, &["build", "--version", "6.12.1", "--mirror", &mirror]);
        finished.exits(104).prints("");
        finished.mentions(&format!("error: cannot get {mirror}/v6.x/sha256sums.asc: "));
        finished.mentions("hint: check the version and the mirror: ");
        without_a_trace(&scratch, &finished);
    }
}

#[test]
fn modules_that_cannot_be_chosen() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    scratch.file("list", "# a PC\npci:v00008086d00000D57\n00:1f.2 SATA controller\n");
    let hint = "hint: give vm, pc, this-host, or a file that lists hardware; on the machine it is for: \
                find /sys/devices -name modalias -exec cat {} +\n";
    let of_no_kernel = "error: modules of which kernel is not said\n\
                        hint: name the kernel that has them: --kernel debian-pc, for one\n";
    let line = format!("error: [SCRATCH]/list, line 3: `00:1f.2 SATA controller` names no hardware\n{hint}");
    let gone =
        format!("error: cannot read the list of hardware [SCRATCH]/gone: no such file or directory\n{hint}");
    for (arguments, text) in [
        (&["--module", "nvme"][..], of_no_kernel),
        (&["--modules-for", "pc"], of_no_kernel),
        (&["--kernel", "[SCRATCH]/none", "--modules-for", "[SCRATCH]/list"], &line),
        (&["--kernel", "[SCRATCH]/none", "--modules-for", "[SCRATCH]/gone"], &gone),
    ] {
        let take = &["take", "[SCRATCH]/out", "[SCRATCH]/program"][..];
        let finished = scratch.solum(&[take, arguments].concat()).run();
        refused(&scratch, &finished, 102, text);
        assert!(!scratch.path("out").exists());
    }
}
