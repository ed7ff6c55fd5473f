//! Each format, booted.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::by_hand;
use crate::harness::Scratch;
use crate::{boot, build, built};

#[test]
fn a_kernel_and_an_initramfs_are_booted_without_firmware() {
    let scratch = Scratch::new();
    for format in ["initramfs", "firecracker"] {
        built(
            &scratch,
            format,
            format,
            &["--append", "solum.test=word", "--memory", "192M", "--cpus", "2"],
            "print /proc/cmdline then print /proc/meminfo then print /proc/cpuinfo then status 7",
        );
        let finished = boot(&scratch, format, &[]).run();
        finished.exits(7).says("");
        finished
            .check(finished.stdout().contains(" solum.test=word"), "it has the words that it was built with");
        let output = finished.stdout();
        let memory = output.split_once("MemTotal:").unwrap().1.split_whitespace().next().unwrap();
        let memory: u32 = memory.parse().unwrap();
        // Without a word about it, it would be 128 MiB.
        finished
            .check((132_000..192 << 10).contains(&memory), "it has the memory that it was described with");
        finished.check(output.matches("processor\t").count() == 2, "and the processors");
    }
}

#[test]
fn a_unified_kernel_image_is_booted_by_firmware() {
    let scratch = Scratch::new();
    built(&scratch, "uki", "m.efi", &[], "read /etc/hostname then status 7");
    boot(&scratch, "m.efi", &[]).run().exits(7).says("");
}

#[test]
fn a_cd_shows_what_is_beside_the_system() {
    let scratch = Scratch::new();
    scratch.file("beside/a directory/with a rather long name.txt", "content\n");
    std::os::unix::fs::symlink("a directory", scratch.path("beside/link")).unwrap();
    let errand = "list /iso then read /iso/link/with\u{a0}a then write /iso/x y then status 3";
    let errand = errand.replace("/iso/link/with\u{a0}a then", "/iso/link/short then");
    scratch.file("beside/a directory/short", "short\n");
    built(&scratch, "iso", "m.iso", &["--iso-content", "[SCRATCH]/beside"], &errand);
    let finished = boot(&scratch, "m.iso", &[]).run();
    finished.exits(3).says("");
    let output = finished.stdout();
    finished.check(output.contains("/iso: a directory link"), "it lists the content");
    finished.check(output.contains("/iso/link/short: Ok(\"short\\n\")"), "it reads through a link");
    finished.check(output.contains("/iso/x: Err(ReadOnlyFilesystem)"), "nobody writes to a CD");
}

#[test]
fn a_disk_keeps_what_its_machine_writes() {
    let scratch = Scratch::new();
    scratch.file("given/from the start", "");
    let options = ["--data", "[SCRATCH]/given", "--data-size", "32M"];
    let errand = "list /perm then read /perm/note then write /perm/note hello";
    built(&scratch, "disk", "m.img", &options, errand);
    let first = boot(&scratch, "m.img", &[]).run();
    first.exits(0).says("");
    first.check(first.stdout().contains("from the start"), "it starts with what it was given");
    first.check(
        first.stdout().ends_with("/perm/note: Err(NotFound)\n/perm/note: Ok(())\n"),
        "nothing else is there",
    );
    // The medium it was written to is larger than the image.
    let image = fs::OpenOptions::new().write(true).open(scratch.path("m.img")).unwrap();
    image.set_len(image.metadata().unwrap().len() + (64 << 20)).unwrap();
    let second = boot(&scratch, "m.img", &[]).run();
    second.exits(0).says("");
    second.check(second.stdout().contains("/perm/note: Ok(\"hello\")\n"), "the note is still there");
    let disk = fs::File::open(scratch.path("m.img")).unwrap();
    let at_end = disk_magic(&disk, disk.metadata().unwrap().len() - 512);
    assert_eq!(&at_end, b"EFI PART", "the partition table reaches to the end of the larger disk");
    let why = "m.img is a disk whose machine has, or may have, written to its partition solum-data";
    build(&scratch, "disk", "m.img", &options, errand).exits(102).mentions(why);
    assert!(disk.metadata().unwrap().nlink() == 1, "it is still there");
    built(&scratch, "disk", "m.img", &[&options[..], &["--discard-data"]].concat(), errand);
    built(&scratch, "disk", "m.img", &options, errand);
}

fn disk_magic(disk: &fs::File, offset: u64) -> [u8; 8] {
    use std::os::unix::fs::FileExt;
    let mut magic = [0; 8];
    disk.read_exact_at(&mut magic, offset).unwrap();
    magic
}

#[test]
fn a_snapshot_leaves_the_image_as_it_is() {
    let scratch = Scratch::new();
    built(&scratch, "disk", "m.img", &[], "read /perm/note then write /perm/note hello");
    for _ in 0..2 {
        let finished = boot(&scratch, "m.img", &["--snapshot"]).run();
        finished.exits(0).says("").prints("/perm/note: Err(NotFound)\n/perm/note: Ok(())\n");
    }
}

#[test]
fn a_wrapped_disk_boots_and_keeps_as_well() {
    let scratch = Scratch::new();
    for format in ["qcow2", "vmdk", "vhd"] {
        built(&scratch, format, format, &[], "read /perm/note then write /perm/note hello");
        boot(&scratch, format, &[])
            .run()
            .exits(0)
            .says("")
            .prints("/perm/note: Err(NotFound)\n/perm/note: Ok(())\n");
        boot(&scratch, format, &[]).run().exits(0).prints("/perm/note: Ok(\"hello\")\n/perm/note: Ok(())\n");
    }
}

#[test]
fn the_power_button_gives_a_program_time_for_a_last_line() {
    let scratch = Scratch::new();
    built(&scratch, "disk", "m.img", &[], "read /perm/last then polite then write /perm/last farewell");
    let printed = boot(&scratch, "m.img", &by_hand::OPTIONS).run();
    let mut machine = by_hand::start(&scratch, &printed, &[]);
    machine.until("ready\n");
    machine.press_power_button();
    machine.ends();
    // It is ready to be asked only after it has read.
    let finished =
        boot(&scratch, "m.img", &[]).start().until_it_prints("farewell").until_it_prints("ready\n");
    finished.signal(rustix::process::Signal::TERM);
    finished.finish().exits(0);
}

#[test]
fn a_panic_of_the_kernel_is_found_after_the_reboot() {
    let scratch = Scratch::new();
    // The first life ends in the panic; the next one, which the firmware's variables outlive, reads of it.
    let errand =
        "read /perm/last-panic then list /sys/fs/pstore then write /proc/sys/vm/panic_on_oom 2 then hog";
    built(&scratch, "disk", "m.img", &["--root", "--append", "panic=-1 panic_print=0"], errand);
    let printed = boot(&scratch, "m.img", &by_hand::OPTIONS).run();
    let mut machine = by_hand::start_for_good(&scratch, &printed);
    machine.until("/perm/last-panic: Err(NotFound)\n");
    machine.until("/perm/last-panic: Ok(");
    let said = machine.until("\\n\")\n/sys/fs/pstore: \n");
    let kept = said.split_once("/perm/last-panic: Ok(").unwrap().1;
    assert!(kept.contains("Kernel panic - not syncing: Out of memory: "), "{kept}");
    let parts = ["the kernel panicked in the machine's last life", "Part2\\n", "Part1\\n"];
    let places = parts.map(|part| kept.find(part));
    assert!(places.is_sorted() && places[0].is_some(), "from the oldest to the newest: {places:?} in {kept}");
}
