//! Images for PCs: from a CD, from a stick, from the disks that PCs have, and without UEFI.

use std::process::Command;

use crate::harness::Scratch;
use crate::{boot, built, by_hand};

#[test]
fn the_same_iso_is_a_cd_and_a_stick() {
    let scratch = Scratch::new();
    scratch.file("beside/file", "beside\n");
    let options = ["--for", "pc", "--append", "no_timer_check", "--iso-content", "[SCRATCH]/beside"];
    built(&scratch, "iso", "m.iso", &options, "print /iso/file then print /run/model then status 5");
    for bus in ["cd", "usb"] {
        let model = "QEMU Standard PC (Q35 + ICH9, 2009)";
        let printed = format!("beside\n{model}\n");
        boot(&scratch, "m.iso", &["--attach", bus]).run().exits(5).says("").prints(&printed);
    }
}

#[test]
fn the_disks_of_pcs_are_disks() {
    let scratch = Scratch::new();
    built(
        &scratch,
        "disk",
        "m.img",
        &["--for", "pc", "--append", "no_timer_check"],
        "read /perm/note then write /perm/note hello",
    );
    boot(&scratch, "m.img", &["--attach", "nvme"])
        .run()
        .exits(0)
        .prints("/perm/note: Err(NotFound)\n/perm/note: Ok(())\n");
    for bus in ["sata", "usb"] {
        boot(&scratch, "m.img", &["--attach", bus])
            .run()
            .exits(0)
            .prints("/perm/note: Ok(\"hello\")\n/perm/note: Ok(())\n");
    }
}

#[test]
fn ctrl_alt_del_reboots_a_pc_and_its_program_writes_a_last_line() {
    let scratch = Scratch::new();
    let options = ["--for", "pc", "--append", "no_timer_check"];
    let errand = "read /perm/line then polite then write /perm/line goodbye";
    built(&scratch, "disk", "m.img", &options, errand);
    let printed = boot(&scratch, "m.img", &by_hand::OPTIONS).run();
    let mut machine = by_hand::start_for_good(&scratch, &printed);
    machine.until("/perm/line: Err(NotFound)\nready");
    machine.press_keys(&["ctrl", "alt", "delete"]);
    machine.until("asked to end by signal 15\n/perm/line: Ok(())");
    machine.until("/perm/line: Ok(\"goodbye\")\nready");
}

#[test]
fn a_data_volume_can_be_btrfs() {
    if Command::new("mkfs.btrfs").arg("--version").output().is_err() {
        println!("skipped: mkfs.btrfs is not installed");
        return;
    }
    let scratch = Scratch::new();
    let note = scratch.file("given/note", "from the start\n");
    for path in [note.as_path(), note.parent().unwrap()] {
        std::os::unix::fs::chown(path, Some(1000), Some(1000)).unwrap();
    }
    let options = [
        "--for",
        "pc",
        "--append",
        "no_timer_check",
        "--data-file-system",
        "btrfs",
        "--data",
        "[SCRATCH]/given",
    ];
    built(&scratch, "disk", "m.img", &options, "print /perm/note then write /perm/note hello");
    let first = boot(&scratch, "m.img", &[]).run();
    first.exits(0).prints("from the start\n/perm/note: Ok(())\n");
    boot(&scratch, "m.img", &[]).run().exits(0).prints("hello/perm/note: Ok(())\n");
}

#[test]
fn a_pc_without_uefi_boots_the_iso_too() {
    let scratch = Scratch::new();
    built(&scratch, "iso", "m.iso", &["--bios"], "write /tmp/told x");
    // SeaBIOS, which QEMU has, boots from the CD; what the program writes is on the serial port.
    let image = scratch.path("m.iso");
    let cdrom = format!("file={},media=cdrom", image.display());
    let output = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-m", "256M", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"])
        .args(["-drive", &cdrom])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("/tmp/told: Ok(())"), "{said}");
}
