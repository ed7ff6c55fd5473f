//! The images of a system's machines, booted together.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::boot;
use crate::harness::system::System;
use crate::harness::{Finished, Scratch, free_port, kernel};

/// Two machines, of which one asks the other. Where a boot takes longer than a call waits, one of the later calls is answered.
const PAIR: &str = "[machine.a]\ndisk.data = \"64 KiB\"\n\
    [machine.a.unit.server]\nprogram = \"echo-server\"\narguments = [\"the server\"]\n\
    [machine.a.unit.keeper]\nprogram = \"disk-user\"\nports.disk = \"disk.data\"\narguments = [\"stay\"]\n\
    [machine.b]\nmemory = \"192 MiB\"\ncores = 2\n\
    [machine.b.unit.caller]\nprogram = \"echo-caller\"\n\
    arguments = [\"again\", \"again\", \"again\", \"again\", \"again\", \"again\"]\nports.echo = \"a/server.echo\"\n\
    [machine.b.unit.page]\nprogram = \"web-page\"\nports.http = \"tcp.80\"\n\
    [machine.b.unit.reader]\nprogram = \"plain\"\narguments = [\"read\", \"/etc/hosts\", \"/sys/devices/system/cpu/online\", \"/proc/meminfo\"]\n";

/// `solum build` of the system in a directory, into another.
fn build(scratch: &Scratch, system: &str, format: &str, output: &str) -> Finished {
    let (system, output) = (format!("[SCRATCH]/{system}"), format!("[SCRATCH]/{output}/"));
    let chosen = kernel::chosen();
    let mut words = vec!["build", &system, "--format", format, "--output", &output];
    words.extend(chosen.iter().flat_map(|kernel| ["--kernel", kernel]));
    scratch.solum(&words).run()
}

fn total_memory_kib(printed: &str) -> u64 {
    let total = printed.lines().find_map(|line| line.split_once("MemTotal:")).unwrap().1;
    total.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn units_on_different_machines_reach_each_other_by_link_and_by_name() {
    let system = System::new(PAIR);
    let scratch = &system.scratch;
    build(scratch, "system", "initramfs", "out").exits(0);
    let port = free_port();
    let running = boot(scratch, "out", &["--publish-unit", &format!("b.page.http={port}")])
        .start()
        .until_it_prints("b.caller | the server: again\n")
        .until_it_prints("b.reader | /etc/hosts: ")
        .until_it_prints("b.reader | 10.83.0.1 a\n")
        .until_it_prints("b.reader | /sys/devices/system/cpu/online: 0-1\n")
        .until_it_prints("b.reader | MemAvailable:")
        .until_it_prints("a.keeper | life 1 on 65536 bytes");
    assert!(total_memory_kib(&running.stdout.so_far()) > 150_000, "as much as it was described with");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("this is /here\n"), "{answer}");
    let logs = scratch.solum_without_init(&["logs", "-C", "[SCRATCH]/out", "caller"]).run();
    logs.exits(0).check(logs.stdout().contains("b.caller | the server: again\n"), "it answers operators");
    boot(scratch, "out", &[]).run().exits(106).mentions("runs already");
    running.signal(Signal::INT);
    let finished = running.finish();
    finished.exits(0).mentions("solum: stopping; once more kills\n");
    for machine in ["a", "b"] {
        finished.mentions(&format!("solum: machine {machine} is off: the program ended with status 0\n"));
    }
    assert_eq!(scratch.names("out/.solum/disks"), ["a.data.disk"], "a disk without a partition is a file");
}

#[test]
fn disks_of_a_system_are_booted_by_firmware_and_keep_what_is_theirs() {
    let system = System::new(PAIR);
    let scratch = &system.scratch;
    build(scratch, "system", "disk", "out").exits(0);
    for (options, life) in [(&[][..], 1), (&["--snapshot"], 2)] {
        let running = boot(scratch, "out", options)
            .start()
            .until_it_prints("b.caller | the server: again\n")
            .until_it_prints(&format!("a.keeper | life {life} on 65536 bytes"));
        running.signal(Signal::INT);
        running.finish().exits(0);
    }
    assert_eq!(scratch.names("out/.solum/disks"), [""; 0], "the disk is a partition");
}

/// Puts images into the directory `mixed`: each is the one of this name in that directory.
fn mix(scratch: &Scratch, images: &[(&str, &str)]) {
    let _ = fs::remove_dir_all(scratch.path("mixed"));
    scratch.directory("mixed");
    for (from, name) in images {
        fs::copy(scratch.path(from).join(name), scratch.path("mixed").join(name)).unwrap();
    }
}

#[test]
fn images_that_are_no_system_are_not_booted() {
    let system = System::new(PAIR);
    let scratch = &system.scratch;
    let text = fs::read_to_string(scratch.path("system/solum.toml")).unwrap();
    scratch.file("other/solum.toml", text.replace("\"tested\"", "\"another\""));
    build(scratch, "system", "uki", "first").exits(0);
    build(scratch, "other", "uki", "other").exits(0);
    let changed =
        format!("{text}[machine.b.unit.second]\nprogram = \"echo-caller\"\nports.echo = \"a/server.echo\"\n");
    scratch.file("system/solum.toml", changed);
    build(scratch, "system", "uki", "changed").exits(0);
    scratch.file("system/solum.toml", &text);
    fs::remove_file(scratch.path("system/.solum/keys")).unwrap();
    build(scratch, "system", "uki", "strange").exits(0);
    fs::copy(scratch.path("first/a.efi"), scratch.path("first/again.efi")).unwrap();
    for (images, why) in [
        (&[("first", "a.efi")][..], "machine b is missing"),
        (&[("first", "a.efi"), ("other", "b.efi")], "a.efi is of `tested`, and b.efi of `another`"),
        (&[("first", "a.efi"), ("first", "again.efi")], "a.efi and again.efi are both machine a"),
        (&[("first", "a.efi"), ("changed", "b.efi")], "b.efi and a.efi were built of different descriptions"),
        (&[("first", "a.efi"), ("strange", "b.efi")], "a.efi and b.efi were built with different keys"),
    ] {
        mix(scratch, images);
        let finished = boot(scratch, "mixed", &[]).run();
        finished.exits(102).prints("");
        finished
            .mentions(&scratch.expand(&format!("error: the images in [SCRATCH]/mixed are no system: {why}")));
        assert!(!scratch.path("mixed/.solum").exists(), "nothing is left behind");
    }
}

#[test]
fn what_is_beside_the_images_is_not_passed_over() {
    let system = System::new(PAIR);
    let scratch = &system.scratch;
    build(scratch, "system", "uki", "out").exits(0);
    scratch.file("out/.hidden", "not looked at");
    scratch.file("out/notes", "no image\n");
    let finished = boot(scratch, "out", &[]).run();
    finished.exits(102).mentions(&scratch.expand("[SCRATCH]/out/notes is no image that is known here"));
    fs::remove_file(scratch.path("out/notes")).unwrap();
    crate::built(scratch, "uki", "out/m.efi", &[], "status 0");
    let finished = boot(scratch, "out", &[]).run();
    finished.exits(102).mentions(&scratch.expand("error: [SCRATCH]/out/m.efi is no machine of a system\n"));
    fs::remove_file(scratch.path("out/m.efi")).unwrap();
    for (flags, said) in [
        (&["--publish", "8000:80"][..], "--publish cannot be given to the images of a system"),
        (&["--dry-run"], "--dry-run cannot be given to the images of a system"),
        (&["--no-reboot"], "--no-reboot cannot be given to the images of a system"),
        (&["--snapshot"], "--snapshot cannot be given to these images of a system"),
        (&["--append", "quiet"], "--append cannot be given with --image"),
        (&["--publish-unit", "a.nobody.http=80"], "no unit of the system listens at a.nobody.http"),
        (&["--only", "nobody"], "--only nobody: there is no such unit"),
    ] {
        boot(scratch, "out", flags).run().exits(102).prints("").mentions(said);
    }
    let finished = boot(scratch, "out/a.efi", &["--only", "server"]).run();
    finished.exits(102).mentions("--only is for a system, and this is one image\n");
}
