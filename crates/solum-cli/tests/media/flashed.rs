//! `solum flash`, on loop devices.

use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::fs::FileExt;

use rustix::process::Signal;
use solum_image::ReadAt;
use solum_image::gpt::Guid;
use solum_image::wrapping::{qcow2, vhd, vmdk};

use crate::device::{Device, Mounted, bytes, disk, run};
use crate::harness::{Finished, Scratch};

const MIB: u64 = 1 << 20;

fn flash(scratch: &Scratch, image: &str, device: &Device, more: &[&str]) -> Finished {
    scratch.solum_without_init(&["flash", image, device.text()]).with(more).run()
}

#[test]
fn a_device_gets_the_disk_of_any_wrapping_and_nothing_else() {
    let scratch = Scratch::new();
    let disk = disk(None);
    let wrapped = |write: &dyn Fn(&mut Cursor<Vec<u8>>)| {
        let mut sink = Cursor::new(Vec::new());
        write(&mut sink);
        sink.into_inner()
    };
    let id = vhd::Options { id: Guid::new(3), epoch_s: 0 };
    for (name, image) in [
        ("raw", bytes(&disk)),
        ("qcow2", wrapped(&|sink| qcow2::write(&disk, sink).unwrap())),
        ("vmdk", wrapped(&|sink| vmdk::write(&disk, "disk.vmdk", sink).unwrap())),
        ("vhd", wrapped(&|sink| vhd::write(&disk, &id, sink).unwrap())),
    ] {
        scratch.file(name, image);
        let Some(device) = Device::new(&scratch, "device", 16 * MIB) else { return };
        let finished = flash(&scratch, &format!("[SCRATCH]/{name}"), &device, &["--yes"]);
        let ends = format!("is on {} and was read back without a difference", device.text());
        finished.exits(0).check(finished.stdout().contains(&ends), "it should say that it was read back");
        let kept = fs::read(&device.file).unwrap();
        let length = disk.length() as usize;
        finished.check(kept[..length] == bytes(&disk), "the device should hold the disk");
        finished
            .check(kept[15 << 20..].iter().all(|byte| *byte == 0), "an old table at the end should be gone");
        finished.check(kept.len() == 16 << 20, "it should be as large as before");
    }
}

#[test]
fn a_dry_run_and_an_unanswered_question_write_nothing() {
    let scratch = Scratch::new();
    scratch.file("raw", bytes(&disk(None)));
    let Some(device) = Device::new(&scratch, "device", 16 * MIB) else { return };
    let before = fs::read(&device.file).unwrap();
    flash(&scratch, "[SCRATCH]/raw", &device, &["--dry-run"]).exits(0);
    let finished = flash(&scratch, "[SCRATCH]/raw", &device, &[]);
    finished.exits(102).mentions("nobody is there to say that");
    finished.mentions("hint: say it beforehand: --yes");
    finished.check(fs::read(&device.file).unwrap() == before, "nothing should be written");
}

#[test]
fn what_is_in_use_is_refused() {
    let scratch = Scratch::new();
    scratch.file("raw", bytes(&disk(None)));
    let Some(device) = Device::new(&scratch, "device", 16 * MIB) else { return };
    if run("mkswap", &[device.text()]) && run("swapon", &[device.text()]) {
        let finished = flash(&scratch, "[SCRATCH]/raw", &device, &["--yes"]);
        run("swapoff", &[device.text()]);
        finished.exits(106).mentions(&format!("{} is swap space in use", device.name()));
    } else {
        println!("skipped: there is no swap space here");
    }
    if !run("mkfs.ext4", &["-q", "-F", device.text()]) {
        println!("skipped: there is no mkfs.ext4");
        return;
    }
    let at = scratch.directory("a place");
    let Some(_mounted) = Mounted::new(&[device.text()], &at) else { return };
    let finished = flash(&scratch, "[SCRATCH]/raw", &device, &["--yes"]);
    finished.exits(106).mentions(&format!("{} is mounted at {}", device.name(), at.display()));
    finished.mentions("hint: if all of it may be lost: `umount ");
}

#[test]
fn what_cannot_hold_the_image_is_refused() {
    let scratch = Scratch::new();
    let raw = scratch.file("raw", bytes(&disk(None)));
    let Some(small) = Device::new(&scratch, "small", 4 * MIB) else { return };
    let finished = flash(&scratch, "[SCRATCH]/raw", &small, &["--yes"]);
    finished
        .exits(106)
        .mentions("the device has 4.00 MiB (4194304 bytes), and the image needs 8.00 MiB (8388608 bytes)");
    let Some(locked) = Device::of(small.file.clone(), &["--read-only"]) else { return };
    flash(&scratch, "[SCRATCH]/raw", &locked, &["--yes"]).exits(106).mentions("it is read-only");
    let Some(itself) = Device::of(raw, &[]) else { return };
    flash(&scratch, "[SCRATCH]/raw", &itself, &["--yes"]).exits(102).mentions("over itself");
    flash(&scratch, itself.text(), &itself, &["--yes"]).exits(102).mentions("over itself");
}

#[test]
fn a_partition_is_no_device_to_boot_from() {
    let scratch = Scratch::new();
    let raw = scratch.file("raw", bytes(&disk(None)));
    let parted = scratch.file("parted", fs::read(raw).unwrap());
    let Some(device) = Device::of(parted, &["--partscan"]) else { return };
    // Not every kernel reads such tables by itself.
    run("partx", &["--add", device.text()]);
    let partition = format!("{}p1", device.text());
    if !std::path::Path::new(&partition).exists() {
        println!("skipped: there are no partitions of loop devices here");
        return;
    }
    let before = fs::read(&device.file).unwrap();
    let finished = scratch.solum_without_init(&["flash", "[SCRATCH]/raw", &partition, "--yes"]).run();
    finished.exits(102).mentions(&format!("{}p1 is a partition of {}", device.name(), device.name()));
    finished.check(fs::read(&device.file).unwrap() == before, "nothing should be written");
}

#[test]
fn what_is_no_device_or_no_disk_is_refused() {
    let scratch = Scratch::new();
    scratch.file("raw", bytes(&disk(None)));
    scratch.file("text", "no image at all");
    for (image, device, text) in [
        ("[SCRATCH]/raw", "/dev/null", "/dev/null is no block device"),
        ("[SCRATCH]/raw", "[SCRATCH]/text", "is no block device"),
        ("[SCRATCH]/raw", "/dev/no-such-device", "cannot look at /dev/no-such-device"),
        ("[SCRATCH]/text", "/dev/null", "no image that is known here"),
        ("[SCRATCH]/missing", "/dev/null", "cannot read"),
    ] {
        let finished = scratch.solum_without_init(&["flash", image, device, "--yes"]).run();
        finished.exits(102).mentions(text);
    }
}

/// The file of this device is on a file system with no room for it, which makes errors of writing.
#[test]
fn a_device_that_cannot_be_written_is_an_error_that_says_what_is_left() {
    let scratch = Scratch::new();
    scratch.file("raw", bytes(&disk(None)));
    let place = scratch.directory("full");
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &place) else { return };
    let file = place.join("device");
    File::create(&file).unwrap().set_len(16 * MIB).unwrap();
    let Some(device) = Device::of(file, &[]) else { return };
    let finished = flash(&scratch, "[SCRATCH]/raw", &device, &["--yes"]);
    finished.exits(106).mentions("the device cannot be written: ");
    // Not even its head could be made zero.
    finished
        .mentions(&format!("{} may hold what it held before, half an image, or all of it", device.text()));
}

#[test]
fn ctrl_c_says_what_the_device_holds() {
    let scratch = Scratch::new();
    // Nearly all of it is a hole: it takes no space, but time.
    let disk = disk(Some(16 << 30));
    let file = File::create(scratch.path("raw")).unwrap();
    file.set_len(disk.length()).unwrap();
    disk.pieces().for_each(|(offset, bytes)| file.write_all_at(bytes, offset).unwrap());
    let mut image_head = [0; 4096];
    disk.read_at(0, &mut image_head).unwrap();
    let Some(device) = Device::new(&scratch, "device", 16 << 30) else { return };
    let running = scratch.solum_without_init(&["flash", "[SCRATCH]/raw", device.text(), "--yes"]).start();
    let running = running.until_it_says("solum: writing to");
    running.signal(Signal::INT);
    let finished = running.finish();
    finished.exits(130);
    let mut head = [0; 4096];
    File::open(&device.file).unwrap().read_exact_at(&mut head, 0).unwrap();
    let expected = [
        // The signal may be there before the first byte is written,
        ("is as it was", [0xee; 4096].as_slice()),
        ("holds half an image now", &[0; 4096]),
        // and where zeros cost nothing, after the last one.
        ("nobody has read all of it back", &image_head),
    ];
    let told = expected.into_iter().find(|(text, _)| finished.stderr().contains(text));
    finished.check(told.is_some(), "it should say what the device holds");
    finished.check(told.is_some_and(|(_, holds)| head == holds), "the device should hold what it is said to");
}
