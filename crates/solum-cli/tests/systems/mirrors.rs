//! The example `mirror` as a user runs it, with a disk that returns errors.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, symlink};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::Signal;

use crate::harness::system::System;
use crate::harness::{Running, WORKSPACE};

const DISK_BYTES: u64 = 4 << 20;

/// Ends a system that does not say what is waited for. No check depends on it.
const TIMEOUT: [&str; 2] = ["--timeout", "120"];

/// The example's programs on smaller disks.
fn mirror() -> System {
    let program = |name| format!("[program.{name}]\npackage = \"{WORKSPACE}/examples/mirror/{name}\"\n");
    let disk = |name| format!("disk.{name} = {{ size = \"4 MiB\", block-size = \"4 KiB\" }}\n");
    System::new(&format!(
        "{}{}[machine.m]\n{}{}{}\
         [machine.m.unit.mirror]\nprogram = \"mirror\"\nports.members = [\"disk.a\", \"disk.b\", \"disk.c\"]\n\
         [machine.m.unit.user]\nprogram = \"user\"\nports.disk = \"mirror.volume\"\nports.status = \"mirror.status\"\n",
        program("mirror"),
        program("user"),
        disk("a"),
        disk("b"),
        disk("c")
    ))
}

/// Memory in the place of the disk `b`: to make a file fail takes no privilege if it is one that can be sealed.
fn sealable_disk(system: &System) -> File {
    let memory = File::from(memfd_create("disk", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap());
    memory.set_len(DISK_BYTES).unwrap();
    let opened = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    symlink(opened, system.scratch.directory("system/.solum/disks").join("m.b.disk")).unwrap();
    memory
}

#[track_caller]
fn stop(running: Running) {
    running.signal(Signal::INT);
    let finished = running.finish();
    let printed = finished.stdout();
    let is_right = !printed.contains("another block") && !printed.contains("it is tried again");
    finished.check(is_right, "the user of the mirror should not notice any of it");
}

#[test]
fn a_disk_that_returns_errors_is_dropped_and_another_takes_its_place() {
    let system = mirror();
    let disk = sealable_disk(&system);
    let running = system
        .on_host(&TIMEOUT)
        .start()
        .until_it_prints("| round 1: what was written was read\n")
        .until_it_prints("| mirror: 3 of 3 members in sync");
    // From now on every write to it is refused.
    fcntl_add_seals(&disk, SealFlags::WRITE).unwrap();
    let running = running
        .until_it_prints("m.mirror | member 1 is dropped: ")
        .until_it_prints("| mirror: 2 of 3 members in sync; member 0 in sync; member 1 out: ");
    stop(running);
    fs::remove_file(system.scratch.path("system/.solum/disks/m.b.disk")).unwrap();
    let running = system
        .on_host(&TIMEOUT)
        .start()
        .until_it_prints("m.mirror | member 1 is made anew and gets ")
        .until_it_prints("m.mirror | member 1 is in sync\n")
        .until_it_prints("| mirror: 3 of 3 members in sync");
    stop(running);
}

#[test]
fn a_disk_that_is_no_member_becomes_one_when_its_beginning_is_wiped_while_the_mirror_runs() {
    let system = mirror();
    let running = system.on_host(&TIMEOUT).start().until_it_prints("| mirror: 3 of 3 members in sync");
    stop(running);
    let path = system.scratch.path("system/.solum/disks/m.b.disk");
    let disk = File::options().write(true).open(path).unwrap();
    disk.write_all_at(&[7; 16384], 0).unwrap();
    let running = system
        .on_host(&TIMEOUT)
        .start()
        .until_it_prints("m.mirror | member 1 is not used: it is neither empty nor a member; ")
        .until_it_prints("| mirror: 2 of 3 members in sync");
    disk.write_all_at(&[0; 16384], 0).unwrap();
    let running = running
        .until_it_prints("m.mirror | member 1 is made anew and gets ")
        .until_it_prints("m.mirror | member 1 is in sync\n")
        .until_it_prints("| mirror: 3 of 3 members in sync");
    stop(running);
}
