//! Disks and addresses.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::alone;
use crate::harness::free_port;
use crate::harness::system::System;

const DISK: &str = "[machine.m]\ndisk.data = { size = \"64 KiB\", block-size = \"4 KiB\" }\n\
                    [machine.m.unit.u]\nprogram = \"disk-user\"\nports.disk = \"disk.data\"\n";

#[test]
fn a_disk_keeps_what_was_written_from_run_to_run() {
    let system = System::new(DISK);
    for life in 1..=2 {
        let printed = format!(
            "m.u | life {life} on 65536 bytes in blocks of 4096\n\
             m.u | 4096 bytes at 65536 reach beyond the end of the disk at 65536\n"
        );
        system.on_host(&[]).run().exits(0).says("").prints(&printed);
    }
    let disk = fs::read(system.scratch.path("system/.solum/disks/m.data.disk")).unwrap();
    assert_eq!((disk.len(), disk[61440]), (65536, 2));
    assert_eq!(system.scratch.names("system/.solum"), [".gitignore", "disks", "empty", "lock"]);
}

#[test]
fn a_disk_keeps_what_was_written_from_life_to_life() {
    let system = System::new(&(DISK.to_owned() + "arguments = [\"stay\"]\n"));
    let running = system.on_host(&[]).start().until_it_prints("reach beyond");
    system.ask(&["restart", "m.u"]).run().exits(0);
    let running = running.until_it_prints("life 2 on 65536 bytes");
    system.down(running).exits(0);
}

#[test]
fn a_disk_that_is_shorter_than_described_is_refused() {
    let system = System::new(DISK);
    system.on_host(&[]).run().exits(0);
    let path = system.scratch.path("system/.solum/disks/m.data.disk");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let finished = system.on_host(&[]).run();
    finished.exits(106).prints("");
    let said = system.scratch.contract(&finished.stderr());
    let text = "error: [SCRATCH]/system/.solum/disks/m.data.disk: disk data of m is described with 65536 bytes, and \
                this file has 1000\n\
                hint: grow it with `truncate --size=65536 [SCRATCH]/system/.solum/disks/m.data.disk`, or give \
                `disk.data` in solum.toml the size that it has\n";
    finished.check(said == text, &format!("it should say {text}"));
    assert_eq!(fs::metadata(&path).unwrap().len(), 1000, "and it is left as it was");
}

#[test]
fn nobody_else_has_a_disk_while_the_system_runs() {
    let system = System::new(&(DISK.to_owned() + "arguments = [\"stay\"]\n"));
    let running = system.on_host(&[]).start().until_it_prints("reach beyond");
    let disk = File::open(system.scratch.path("system/.solum/disks/m.data.disk")).unwrap();
    assert!(matches!(disk.try_lock(), Err(TryLockError::WouldBlock)));
    system.down(running).exits(0);
    disk.try_lock().unwrap();
}

#[test]
fn nor_one_that_was_put_in_its_place() {
    let system = System::new(&(DISK.to_owned() + "arguments = [\"stay\"]\n"));
    let running = system.on_host(&[]).start().until_it_prints("reach beyond");
    let mut other = vec![0; 65536];
    other[61440] = 6;
    system.scratch.file("system/other", other);
    let path = system.scratch.path("system/.solum/disks/m.data.disk");
    fs::rename(system.scratch.path("system/other"), &path).unwrap();
    system.ask(&["restart", "m.u"]).run().exits(0);
    let running = running.until_it_prints("life 7 on 65536 bytes");
    let disk = File::open(&path).unwrap();
    assert!(matches!(disk.try_lock(), Err(TryLockError::WouldBlock)));
    system.down(running).exits(0);
}

#[test]
fn a_disk_that_somebody_else_has_is_refused() {
    let system = System::new(DISK);
    system.on_host(&[]).run().exits(0);
    let path = system.scratch.path("system/.solum/disks/m.data.disk");
    let before = fs::read(&path).unwrap();
    let disk = File::open(&path).unwrap();
    disk.try_lock().unwrap();
    let text = "error: [SCRATCH]/system/.solum/disks/m.data.disk: another process has locked this disk and may change it\n\
                hint: run the system again when it is done; `fuser -v [SCRATCH]/system/.solum/disks/m.data.disk` names it\n";
    let finished = system.on_host(&[]).run();
    finished.exits(106).prints("");
    let said = system.scratch.contract(&finished.stderr());
    finished.check(said == text, &format!("it should say {text}"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Says something to whoever listens there, and gives the answer.
pub fn talk(address: &str, words: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(words.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_page_is_at_the_address_that_is_said() {
    let port = free_port();
    let system = alone("web-page", &format!("ports.http = \"tcp.{port}\""));
    let running = system.on_host(&["--verbose"]).start();
    let running = running.until_it_says(&format!("solum: m.u.http is at 127.0.0.1:{port}\n"));
    let running = running.until_it_says("m.u running: ");
    let request = "GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = talk(&format!("127.0.0.1:{port}"), request);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("this is /here\n"), "{answer}");
    system.down(running).exits(0);
}

#[test]
fn a_unit_is_reachable_where_the_user_wants_it() {
    let (described, wanted) = (free_port(), free_port());
    let system = alone("tcp-echo", &format!("ports.tcp = \"tcp.{described}\""));
    let running = system
        .on_host(&["--verbose", "--publish-unit", &format!("m.u.tcp={wanted}")])
        .start()
        .until_it_says(&format!("solum: m.u.tcp is at 127.0.0.1:{wanted}\n"))
        .until_it_says("m.u running: ");
    assert_eq!(talk(&format!("127.0.0.1:{wanted}"), "hello"), "hello");
    assert!(TcpStream::connect(("127.0.0.1", described)).is_err(), "and nowhere else");
    system.down(running).exits(0);
}

#[test]
fn who_connects_while_a_unit_is_started_again_is_served_afterwards() {
    let port = free_port();
    let system = alone("tcp-echo", &format!("ports.tcp = \"tcp.{port}\""));
    let running = system.on_host(&["--verbose"]).start().until_it_says("m.u running: ");
    system.ask(&["stop", "u"]).run().exits(0);
    let running = running.until_it_says("m.u ended: ");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"patience").unwrap();
    system.ask(&["start", "u"]).run().exits(0);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "patience");
    system.down(running).exits(0);
}

#[test]
fn a_port_that_is_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let system = alone("tcp-echo", &format!("ports.tcp = \"tcp.{port}\"\nrestart = \"never\""));
    let finished = system.on_host(&[]).run();
    finished.exits(107).mentions(&format!("TCP port {port}: address already in use"));
}

#[test]
fn a_port_that_no_unit_has_is_refused_with_those_that_there_are() {
    let system = alone("web-page", "ports.http = \"tcp.8080\"");
    let finished = system.on_host(&["--publish-unit", "m.u.tcp=8000"]).run();
    finished
        .exits(102)
        .prints("")
        .says("error: no unit of the system listens at m.u.tcp\nhint: these do: m.u.http\n");
    let system = alone("errand", "");
    let finished = system.on_host(&["--publish-unit", "m.u.tcp=8000"]).run();
    finished
        .exits(102)
        .prints("")
        .says("error: no unit of the system listens at m.u.tcp\nhint: no unit of it listens at all\n");
}

#[test]
fn assets_need_a_machine() {
    let system = alone("plain", "arguments = [\"read\", \"/srv/a\"]\nassets.\"/srv\" = \"content\"");
    system.scratch.file("system/content/a", "x");
    system.on_host(&[]).run().exits(102).prints("").says(
        "error: the unit m.u has assets, and a process of this host would not find them at their paths\n\
         hint: run it in a virtual machine: --place vm\n",
    );
}
