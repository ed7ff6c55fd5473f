//! What cannot be made or booted, and what is said about it.

use std::os::unix::net::UnixListener;

use crate::harness::Scratch;
use crate::{boot, build, built, probe};

#[test]
fn content_that_cannot_be_on_a_cd() {
    let scratch = Scratch::new();
    let options = ["--iso-content", "[SCRATCH]/beside"];
    build(&scratch, "iso", "m.iso", &options, "status 0")
        .exits(102)
        .mentions("beside: no such file or directory");
    scratch.directory("beside");
    let socket = UnixListener::bind(scratch.path("beside/socket")).unwrap();
    build(&scratch, "iso", "m.iso", &options, "status 0")
        .exits(102)
        .mentions("beside/socket is neither file, directory nor link");
    drop(socket);
    std::fs::remove_file(scratch.path("beside/socket")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", scratch.path("beside/link")).unwrap();
    build(&scratch, "iso", "m.iso", &options, "status 0")
        .exits(102)
        .mentions("beside/link leads to /etc/passwd");
    std::fs::remove_file(scratch.path("beside/link")).unwrap();
    scratch.file("beside/large", vec![1; 1 << 20]);
    let small = ["--iso-content", "[SCRATCH]/beside", "--medium-size", "1M"];
    build(&scratch, "iso", "m.iso", &small, "status 0").exits(102).mentions("medium");
    assert!(!scratch.path("m.iso").exists(), "nothing half-written is left");
    assert_eq!(scratch.names("tmp"), [""; 0]);
}

#[test]
fn content_is_refused_before_a_program_is_compiled_for_it() {
    let scratch = Scratch::new();
    let manifest = "[package]\nname = \"broken\"\nedition = \"2024\"\n[workspace]\n";
    scratch.file("package/Cargo.toml", manifest);
    scratch.file("package/src/main.rs", "this is no program");
    for (format, option) in [("iso", "--iso-content"), ("disk", "--data")] {
        let words = ["build", "[SCRATCH]/package", "--format", format, option, "[SCRATCH]/missing"];
        let finished = scratch.solum(&words).run();
        finished.exits(102).mentions("missing: no such file or directory");
    }
}

#[test]
fn data_that_does_not_fit() {
    let scratch = Scratch::new();
    scratch.file("data/large", vec![1; 40 << 20]);
    let options = ["--data", "[SCRATCH]/data", "--data-size", "32M"];
    let finished = build(&scratch, "disk", "m.img", &options, "status 0");
    finished.exits(102).mentions("--data-size");
    assert!(!scratch.path("m.img").exists(), "nothing half-written is left");
}

#[test]
fn an_image_does_not_go_into_itself() {
    let scratch = Scratch::new();
    scratch.file("site/index.html", "hello");
    std::os::unix::fs::symlink("site", scratch.path("link")).unwrap();
    for (format, option) in [("iso", "--iso-content"), ("vhd", "--data")] {
        for output in ["site/m", "site/new/m", "link/m"] {
            build(&scratch, format, output, &[option, "[SCRATCH]/site"], "status 0")
                .exits(102)
                .mentions("which goes into the image");
        }
    }
    assert_eq!(scratch.names("site"), ["index.html"]);
}

#[test]
fn a_command_line_that_no_kernel_reads() {
    let scratch = Scratch::new();
    let long = "x".repeat(2048);
    for format in ["uki", "firecracker"] {
        let finished = build(&scratch, format, "m", &["--append", &long], "status 0");
        finished.exits(102).mentions("and the kernel reads 2047");
        let finished = build(&scratch, format, "m", &["--append", "one\ntwo"], "status 0");
        finished.exits(102).mentions("holds a control character");
    }
    assert!(!scratch.path("m").exists());
}

#[test]
fn what_is_no_image_is_not_booted() {
    let scratch = Scratch::new();
    scratch.file("text", "no image\n");
    scratch.directory("empty");
    for (image, said) in [
        ("text", "is no image that is known here"),
        ("empty", "is a directory without an image in it"),
        ("missing", "cannot read [SCRATCH]/missing: "),
    ] {
        let finished = boot(&scratch, image, &[]).run();
        finished.exits(102).mentions(&scratch.expand(said));
    }
}

#[test]
fn what_is_damaged_is_not_booted() {
    let scratch = Scratch::new();
    built(&scratch, "initramfs,disk", "out/", &[], "status 0");
    for (file, length, image) in
        [("out/m.boot/initramfs", 100_000, "out/m.boot"), ("out/m.img", 100 << 20, "out/m.img")]
    {
        std::fs::File::options().write(true).open(scratch.path(file)).unwrap().set_len(length).unwrap();
        let finished = boot(&scratch, image, &[]).run();
        finished.exits(102).mentions(&scratch.expand(&format!("error: [SCRATCH]/{image} is damaged: ")));
        finished.mentions("hint: make it anew with `solum build`");
    }
    let finished = scratch.solum(&["inspect", "[SCRATCH]/out"]).run();
    finished.exits(102).mentions(&scratch.expand("name one of them, like [SCRATCH]/out/m.boot\n"));
    std::fs::remove_file(scratch.path("out/m.boot/vmlinuz")).unwrap();
    boot(&scratch, "out/m.boot", &[]).run().exits(102).mentions("is not a whole image: it has no vmlinuz");
}

#[test]
fn what_is_decided_in_an_image_is_not_decided_again() {
    let scratch = Scratch::new();
    crate::built(&scratch, "initramfs", "m.boot", &[], "status 0");
    let text = "error: --env cannot be given with --image: what is in an image was decided when it was made\n\
                hint: give --env to `solum build`, or leave it out\n";
    boot(&scratch, "m.boot", &["--env", "A=b"]).run().exits(102).says(text);
}

#[test]
fn several_images_are_not_one_file() {
    let scratch = Scratch::new();
    scratch.file("file", "mine");
    let finished = build(&scratch, "uki,initramfs", "file", &[], "status 0");
    finished.exits(102).mentions("2 images are made: --output takes a directory");
    assert_eq!(std::fs::read_to_string(scratch.path("file")).unwrap(), "mine");
}

#[test]
fn a_kernel_without_what_a_format_needs() {
    let scratch = Scratch::new();
    scratch.file("kernel", crate::harness::elf::program());
    let output = "[SCRATCH]/m.efi";
    let words =
        ["build", probe::path(), "--format", "uki", "--output", output, "--kernel", "[SCRATCH]/kernel"];
    scratch.solum(&words).run().exits(104);
}

#[test]
fn btrfs_for_a_kernel_that_has_none() {
    let scratch = Scratch::new();
    let finished = build(&scratch, "disk", "m.img", &["--data-file-system", "btrfs"], "status 0");
    if crate::harness::kernel::name() == "source" {
        finished.exits(104).mentions("cannot mount Btrfs: it lacks CONFIG_BTRFS_FS");
        assert!(!scratch.path("m.img").exists(), "nothing half-written is left");
    } else {
        println!("skipped: only the small kernel lacks Btrfs");
    }
}

#[test]
fn a_time_that_is_none() {
    let scratch = Scratch::new();
    let finished = scratch
        .solum(&["build", probe::path(), "--format", "oci", "--output", "[SCRATCH]/x.oci"])
        .env("SOURCE_DATE_EPOCH", "yesterday")
        .run();
    finished.exits(102).says(
        "error: SOURCE_DATE_EPOCH is `yesterday`, which is no number of seconds\n\
         hint: set it to seconds since 1970, like `git log -1 --format=%ct` prints them, or unset it\n",
    );
}
