//! What becomes of machines whose kernel or image is not right.

use solum_image::cpio::{Archive, Owner};

use crate::files::lacks_shares;
use crate::harness::kernel::kernel;
use crate::harness::{Finished, Scratch};
use crate::{TIMEOUT, probe};

/// Boots an initramfs with this file alone.
fn exec(scratch: &Scratch, path: &str, content: &[u8]) -> Finished {
    let mut archive = Archive::new();
    archive.file(path, 0o755, Owner::default(), content.to_vec()).unwrap();
    scratch.file("initramfs", archive.to_bytes());
    let kernel = kernel().to_str().unwrap();
    scratch.solum(&["exec", kernel, "[SCRATCH]/initramfs", "--timeout", TIMEOUT]).run()
}

/// A panic is one sentence, then the kernel's last lines, then a hint.
#[track_caller]
fn panicked(finished: &Finished, sentence: &str) {
    finished.exits(105).prints("");
    let said = finished.stderr();
    finished.check(
        said.starts_with(&format!("error: the kernel panicked: {sentence}")),
        "the kernel's own sentence",
    );
    let lines: Vec<&str> = said.lines().collect();
    let (last, context) = lines[1..].split_last().unwrap();
    finished.check(*last == "hint: --verbose shows everything the kernel says", "a hint at the end");
    finished.check(context.iter().all(|line| line.starts_with("  | ")), "the kernel's lines between");
    finished.check(
        context.iter().any(|line| line.contains("Kernel panic - not syncing")),
        "the panic among them",
    );
}

#[test]
fn an_init_that_is_no_program() {
    let scratch = Scratch::new();
    panicked(&exec(&scratch, "/init", b"\x7fELF but no more"), "No working init found.");
}

#[test]
fn an_image_without_init() {
    let scratch = Scratch::new();
    panicked(&exec(&scratch, "/readme", b"nothing to run"), "VFS: Unable to mount root fs");
}

#[test]
fn words_for_the_kernel_arrive() {
    let scratch = Scratch::new();
    let finished =
        probe(&scratch, &["--append", "solum.test=1 loglevel=3"], &["print", "/proc/cmdline"]).run();
    finished.exits(0).says("");
    finished.check(finished.stdout().ends_with("solum.test=1 loglevel=3\n"), "they should come last, to win");
    let finished = probe(&scratch, &["--append", "rdinit=/nothing"], &["status", "0"]).run();
    panicked(&finished, "VFS: Unable to mount root fs");
}

#[test]
fn verbose_says_what_solum_decides_and_what_the_kernel_does() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &["--verbose", "--accel", "tcg"], &["status", "4"]).run();
    finished.exits(4).prints("");
    for text in [
        "solum: accelerator: as requested\n",
        "solum: image: ",
        "solum: kernel: ",
        "Linux version",
        "solum: PID 1 after ",
    ] {
        finished.mentions(text);
    }
}

#[test]
fn both_kinds_of_machine_have_all_their_devices() {
    let scratch = Scratch::new();
    let mut options = vec!["--wait".to_owned(), "network".to_owned()];
    let mut errand = vec!["network".to_owned()];
    let mut printed =
        "interfaces: eth0 lo\naddress: 10.0.2.15\nrouter: 10.0.2.2\nnameserver 10.0.2.3\n".to_owned();
    for number in 1..=4 {
        scratch.file(&format!("share{number}/file{number}"), "");
        options.extend(["--share".to_owned(), format!("[SCRATCH]/share{number}:/share{number}")]);
        errand.extend(["then".to_owned(), "list".to_owned(), format!("/share{number}")]);
        printed += &format!("/share{number}: file{number}\n");
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let errand: Vec<&str> = errand.iter().map(String::as_str).collect();
    for kind in ["q35", "microvm"] {
        let options = [&["--machine", kind], &options[..]].concat();
        let finished = probe(&scratch, &options, &errand).run();
        if lacks_shares(&finished) {
            return;
        }
        finished.exits(0).prints(&printed).says("");
    }
}

#[test]
fn the_memory_that_a_hint_names_is_enough() {
    let scratch = Scratch::new();
    let refused = probe(&scratch, &["--memory", "1M"], &["status", "2"]).run();
    refused.exits(105).mentions("hint: try --memory ");
    let said = refused.stderr();
    let memory = said.rsplit_once(' ').unwrap().1.trim_end();
    probe(&scratch, &["--memory", memory], &["status", "2"]).run().exits(2).prints("").says("");
}
