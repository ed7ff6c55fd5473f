//! Files that cannot be read or written.

use std::process::Command;

use crate::harness::kernel::kernel;
use crate::harness::{Scratch, elf, is_root};
use crate::refused;

#[test]
fn what_cannot_be_bundled() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    scratch.file("file", "");
    scratch.directory("directory");
    let cases: [(&[&str], &str); 6] = [
        (
            &["--file", "[SCRATCH]/directory:/x"],
            "error: [SCRATCH]/directory is a directory, and --file takes a file\nhint: use --dir instead\n",
        ),
        (
            &["--dir", "[SCRATCH]/file:/x"],
            "error: [SCRATCH]/file is a file, and --dir takes a directory\nhint: use --file instead\n",
        ),
        (
            &["--file", "[SCRATCH]/missing:/x"],
            "error: cannot bundle [SCRATCH]/missing: no such file or directory\n",
        ),
        (
            &["--dir", "[SCRATCH]/missing:/x"],
            "error: cannot bundle [SCRATCH]/missing: no such file or directory\n",
        ),
        (
            &["--file", "[SCRATCH]/file:/x", "--file", "[SCRATCH]/file:/x"],
            "error: two files of the image want the path /x\nhint: give one of them another path\n",
        ),
        (
            &["--file", "[SCRATCH]/file:/bin/program"],
            "error: two files of the image want the path /bin/program\nhint: give one of them another path\n",
        ),
    ];
    for (options, text) in cases {
        let finished =
            scratch.solum(&[&["take", "[SCRATCH]/out", "[SCRATCH]/program"], options].concat()).run();
        refused(&scratch, &finished, 102, text);
        assert!(!scratch.path("out").exists(), "nothing half-written is left");
    }
}

#[test]
fn a_named_pipe_is_not_waited_for() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    scratch.directory("directory");
    let status = Command::new("mkfifo").arg(scratch.path("directory/pipe")).status().unwrap();
    assert!(status.success());
    let finished = scratch
        .solum(&["take", "[SCRATCH]/out", "[SCRATCH]/program", "--dir", "[SCRATCH]/directory:/x"])
        .run();
    let text =
        "error: [SCRATCH]/directory/pipe is neither file, directory nor link, so it cannot be bundled\n";
    refused(&scratch, &finished, 102, text);
}

#[test]
fn places_that_cannot_be_written() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    scratch.file("file", "");
    scratch.directory("directory");
    for (place, reason) in [
        ("missing/out", "no such file or directory"),
        ("file/out", "not a directory"),
        ("directory", "is a directory"),
    ] {
        let finished = scratch.solum(&["take", &format!("[SCRATCH]/{place}"), "[SCRATCH]/program"]).run();
        refused(&scratch, &finished, 102, &format!("error: cannot write [SCRATCH]/{place}: {reason}\n"));
    }
    assert_eq!(scratch.names(""), ["directory", "file", "program", "tmp"]);
    assert_eq!(scratch.names("directory"), [""; 0]);
}

#[test]
fn a_cache_that_cannot_be_written() {
    let scratch = Scratch::new();
    scratch.file("program", elf::program());
    scratch.file("file", "");
    let arguments = ["run", "[SCRATCH]/program", "--dry-run", "--kernel", kernel().to_str().unwrap()];
    let finished = scratch.solum(&arguments).env("SOLUM_CACHE", "[SCRATCH]/file").run();
    let text = "error: cannot make the directory [SCRATCH]/file/images: not a directory\n\
                hint: put the cache elsewhere with SOLUM_CACHE=/path\n";
    refused(&scratch, &finished, 106, text);
    let finished =
        scratch.solum(&arguments).env("SOLUM_CACHE", "").env("XDG_CACHE_HOME", "").env("HOME", "").run();
    let text = "error: there is no place for a cache, because HOME is not set\n\
                hint: set SOLUM_CACHE=/path/to/a/directory\n";
    refused(&scratch, &finished, 106, text);
}

/// A file system of a few pages, gone after the test.
struct TinyDisk<'a> {
    scratch: &'a Scratch,
}

impl<'a> TinyDisk<'a> {
    fn mount(scratch: &'a Scratch) -> Option<Self> {
        let target = scratch.directory("disk");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(target).status();
        mount.is_ok_and(|status| status.success()).then_some(Self { scratch })
    }
}

impl Drop for TinyDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.scratch.path("disk")).status();
    }
}

#[test]
fn no_space_on_the_disk() {
    let scratch = Scratch::new();
    let disk = if is_root() { TinyDisk::mount(&scratch) } else { None };
    let Some(_disk) = disk else {
        println!("skipped: only root may mount a small disk, and not everywhere");
        return;
    };
    // What does not compress does not fit.
    let mut program = elf::program();
    let mut state = 1u32;
    program.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(200_000),
    );
    scratch.file("program", program);
    let kernel = kernel().to_str().unwrap();
    let hint = "hint: free some space; SOLUM_CACHE=/path puts Solum's own files elsewhere\n";

    let finished = scratch.solum(&["take", "[SCRATCH]/disk/out", "[SCRATCH]/program"]).run();
    let text = format!("error: cannot write [SCRATCH]/disk/out: no space left on device\n{hint}");
    refused(&scratch, &finished, 106, &text);

    let arguments = ["run", "[SCRATCH]/program", "--kernel", kernel, "--name", "full"];
    let finished =
        scratch.solum(&[&arguments[..], &["--dry-run"]].concat()).env("SOLUM_CACHE", "[SCRATCH]/disk").run();
    let stderr = finished.stderr();
    // The image's name ends with a hash of what is in it.
    let hash = stderr.split_once("images/full-").map_or("", |(_, rest)| &rest[..12]);
    let text = format!(
        "error: cannot write [SCRATCH]/disk/images/full-{hash}.initramfs: no space left on device\n{hint}"
    );
    refused(&scratch, &finished, 106, &text);
    assert_eq!(scratch.names("disk/images"), [""; 0]);
    assert_eq!(scratch.names("disk"), ["images"], "nothing half-written is left");
}
