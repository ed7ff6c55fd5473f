//! Whole systems as virtual machines.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::free_port;
use crate::harness::system::System;

#[test]
fn a_unit_calls_another_that_is_started_again() {
    let system = System::new(
        "[machine.m.unit.server]\nprogram = \"echo-server\"\narguments = [\"the server\"]\n\
         [machine.m.unit.caller]\nprogram = \"echo-caller\"\narguments = [\"one\", \"hang\", \"again\"]\n\
         ports.echo = \"server.echo\"\nneeds = [\"server\"]\n",
    );
    let running = system.in_machines(&[]).start().until_it_prints("m.server | hanging\n");
    let server = system.unit("m.server");
    assert_eq!((&server["state"], &server["starts"]), (&"running".into(), &1.into()), "{server}");
    system.ask(&["restart", "server"]).run().exits(0).prints("").says("");
    let running = running.until_it_prints("m.caller | the server: again\n");
    assert_eq!(system.unit("m.server")["starts"], 2);
    let logs = system.ask(&["logs", "caller"]).run();
    logs.exits(0)
        .says("")
        .prints("m.caller | the server: one\nm.caller | gone in its life 1\nm.caller | the server: again\n");
    system.ask(&["stop", "nobody"]).run().exits(102).prints("").says(
        "error: there is no unit `nobody`, or several machines have it; there are m.server, m.caller\n",
    );
    let following = system.ask(&["logs", "-f", "server"]).start().until_it_prints("m.server | serving\n");
    system.down(running).exits(0);
    following.finish().exits(0).says("");
}

#[test]
fn a_disk_keeps_what_was_written_from_boot_to_boot() {
    let system = System::new(
        "[machine.m]\ndisk.data = \"64 KiB\"\n\
         [machine.m.unit.u]\nprogram = \"disk-user\"\nports.disk = \"disk.data\"\n",
    );
    for life in 1..=2 {
        let printed = format!(
            "m.u | life {life} on 65536 bytes in blocks of 512\n\
             m.u | 512 bytes at 65536 reach beyond the end of the disk at 65536\n"
        );
        system.in_machines(&[]).run().exits(0).prints(&printed);
    }
    let path = system.scratch.path("system/.solum/disks/m.data.disk");
    let disk = fs::read(&path).unwrap();
    assert_eq!((disk.len(), disk[65024]), (65536, 2));
    let other = fs::File::open(&path).unwrap();
    other.try_lock().unwrap();
    system.in_machines(&[]).run().exits(106).prints("").mentions("another process has locked this disk");
    drop(other);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    system
        .in_machines(&[])
        .run()
        .exits(106)
        .prints("")
        .mentions("disk data of m is described with 65536 bytes, and this file has 1000\n");
}

#[test]
fn a_unit_that_leaves_its_ports_is_killed_and_reported() {
    let system = System::new(
        "[machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"open\"]\nrestart = \"never\"\n",
    );
    let finished = system.in_machines(&[]).run();
    finished.exits(159).check(finished.stdout().starts_with("m.u | "), "it cannot open a file");
    finished.mentions("m.u failed: it was ended by signal 31 (SIGSYS, a forbidden system call)\n");
}

#[test]
fn a_page_is_at_the_address_that_is_said() {
    let port = free_port();
    let system = System::new("[machine.m.unit.u]\nprogram = \"web-page\"\nports.http = \"tcp.80\"\n");
    let running = system
        .in_machines(&["--publish-unit", &format!("m.u.http={port}"), "--verbose"])
        .start()
        .until_it_says(&format!("solum: m.u.http is at 127.0.0.1:{port}\n"))
        .until_it_says("m.u running: ");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("this is /here\n"), "{answer}");
    running.signal(Signal::INT);
    running.finish().exits(0);
}

#[test]
fn plain_units_find_their_assets() {
    let system = System::new(
        "[machine.m.unit.u]\nprogram = \"plain\"\narguments = [\"read\", \"/srv/a\", \"/etc/b\", \"/srv/c\"]\n\
         assets.\"/srv\" = \"content\"\nassets.\"/etc/b\" = \"b\"\n\
         [machine.m.unit.v]\nprogram = \"plain\"\narguments = [\"read\", \"/etc/b\"]\nassets.\"/etc/b\" = \"b\"\n",
    );
    system.scratch.file("system/content/a", "the first");
    system.scratch.file("system/b", "the second");
    let finished = system.in_machines(&[]).run();
    finished.exits(0);
    for line in [
        "m.u | /srv/a: the first\n",
        "m.u | /etc/b: the second\n",
        "m.u | /srv/c: No such file or directory (os error 2)\n",
        "m.v | /etc/b: the second\n",
    ] {
        finished.check(finished.stdout().contains(line), &format!("it should print {line:?}"));
    }
}

#[test]
fn memory_is_counted_for_all_processes_of_a_unit_together() {
    let unit = |megabytes: &str, count: &str| {
        System::new(&format!(
            "[machine.m.unit.u]\nprogram = \"plain\"\narguments = [\"hoard\", \"{megabytes}\", \"{count}\"]\n\
             memory = \"24 MiB\"\nrestart = \"never\"\n"
        ))
    };
    let system = unit("14", "3");
    let finished = system.in_machines(&[]).run();
    finished
        .exits(137)
        .mentions("m.u failed: it was ended by the kernel, because it needed more memory than it may have\n");
    let system = unit("14", "1");
    let running = system.in_machines(&[]).start().until_it_prints("m.u | hoarded 14680064 bytes\n");
    system.down(running).exits(0);
}

#[test]
fn nothing_that_a_unit_started_outlives_it() {
    let system =
        System::new("[machine.m.unit.u]\nprogram = \"plain\"\narguments = [\"fugitive\", \"/tmp/note\"]\n");
    let finished = system.in_machines(&[]).run();
    finished.exits(0).check(finished.stdout().contains("m.u | Ok(())\n"), "there should have been a child");
    finished.check(finished.stdout().ends_with("m.u | the child is gone\n"), "and then no more");
}

#[test]
fn megabytes_are_printed_or_said_to_be_missing() {
    const LINES: usize = 50_000;
    let system = System::new(&format!(
        "[machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"flood\", \"{LINES}\"]\n"
    ));
    let finished = system.in_machines(&[]).run();
    finished.exits(0);
    let said = finished.stderr();
    let missing = said.lines().filter_map(|line| {
        let rest = line.strip_prefix("solum: m.u: ")?;
        rest.split_once(" lines (")?.0.parse::<usize>().ok()
    });
    let (printed, missing) = (finished.stdout().lines().count(), missing.sum::<usize>());
    finished.check(printed + missing == LINES, &format!("{printed} lines and {missing} missing"));
}

#[test]
fn the_second_ctrl_c_kills() {
    let system = System::new(
        "[machine.m.unit.u]\nprogram = \"errand\"\narguments = [\"stubborn\"]\ngrace = \"1 h\"\n",
    );
    let running = system.in_machines(&[]).start().until_it_prints("m.u | not hearing\n");
    running.signal(Signal::INT);
    let running = running.until_it_says("solum: stopping; once more kills\n");
    running.insist(Signal::INT).exits(130).mentions("error: the machine was ended by force\n");
}

#[test]
fn a_killed_solum_takes_its_machine_along_and_the_next_run_works() {
    let system = System::new(
        "[machine.m]\ndisk.data = \"64 KiB\"\n[machine.m.unit.u]\nprogram = \"disk-user\"\n\
         ports.disk = \"disk.data\"\narguments = [\"stay\"]\n",
    );
    let running = system.in_machines(&[]).start().until_it_prints("m.u | life 1 on");
    running.signal(Signal::KILL);
    assert_eq!(running.finish().status.code(), None);
    // What was flushed before is still there, and nobody else has the disk.
    let running = system.in_machines(&[]).start().until_it_prints("m.u | life 2 on");
    let disk = fs::File::open(system.scratch.path("system/.solum/disks/m.data.disk")).unwrap();
    assert!(matches!(disk.try_lock(), Err(fs::TryLockError::WouldBlock)));
    system.down(running).exits(0);
}

#[test]
fn a_machine_that_vanishes_is_missed_and_comes_back() {
    // Where a boot takes longer than a call waits, one of the later ones is answered.
    let again = ["\"again\""; 8].join(", ");
    let system = System::new(&format!(
        "[machine.a]\ndisk.data = \"64 KiB\"\n\
         [machine.a.unit.server]\nprogram = \"echo-server\"\narguments = [\"the server\"]\n\
         [machine.a.unit.keeper]\nprogram = \"disk-user\"\nports.disk = \"disk.data\"\narguments = [\"stay\"]\n\
         [machine.b.unit.caller]\nprogram = \"echo-caller\"\narguments = [\"one\", \"hang\", {again}]\n\
         ports.echo = \"a/server.echo\"\n"
    ));
    let running = system.in_machines(&[]).start();
    let running = running.until_it_prints("a.keeper | life 1 on").until_it_prints("a.server | hanging\n");
    let qemu = |unit: &str| system.unit(unit)["machine_pid"].as_i64().unwrap() as i32;
    let (a, b) = (qemu("a.server"), qemu("b.caller"));
    assert_eq!(qemu("a.keeper"), a);
    kill_process(Pid::from_raw(a).unwrap(), Signal::KILL).unwrap();
    let running = running
        .until_it_says(
            "solum: machine a vanished: QEMU was ended by signal 9 (SIGKILL); it is started again in 1 s\n",
        )
        .until_it_prints("b.caller | gone in its life 1\n")
        // It has the same disk, address and key.
        .until_it_prints("a.keeper | life 2 on")
        .until_it_prints("b.caller | the server: again\n");
    let server = system.unit("a.server");
    assert_eq!((&server["state"], &server["starts"]), (&"running".into(), &2.into()), "{server}");
    assert_ne!(qemu("a.server"), a);
    assert_eq!(qemu("b.caller"), b);
    system.down(running).exits(0);
}
