//! A ported program tries to get out. Each way is tried by a static C program, for which there is no SDK in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

use rustix::process::{Pid, WaitOptions, waitpid};
use solum_unit::confinement::Devices;
use solum_unit::{Confinement, Device, Grant, Start, start};

const DISK_BYTES: u64 = 64 * 1024;
/// The handover, the control socket, and then what is plugged in.
const FIRST_PLUGGED: &str = "5";
const UNIT_USER: u32 = 61_234;

/// The probe, built once.
fn probe() -> File {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe.c");
        let status = Command::new("gcc")
            .args(["-static", "-O1", "-o"])
            .arg(directory.path().join("probe"))
            .arg(source)
            .status()
            .unwrap();
        assert!(status.success());
        directory
    });
    File::open(directory.path().join("probe")).unwrap()
}

/// What became of an attempt, and what it wrote.
fn attempt(devices: Devices, memory: Option<u64>, words: &[&str]) -> (ExitStatus, String) {
    let directory = tempfile::tempdir().unwrap();
    let is_root = rustix::process::getuid().is_root();
    let confinement = Confinement {
        user_id: is_root.then_some(UNIT_USER),
        empty_root: is_root.then(|| CString::new(directory.path().to_str().unwrap()).unwrap()),
        ported: Some(devices),
        memory,
        group: None,
        cores: vec![0],
    };
    let disk = tempfile::tempfile().unwrap();
    disk.set_len(DISK_BYTES).unwrap();
    let arguments: Vec<CString> =
        ["probe"].iter().chain(words).map(|word| CString::new(*word).unwrap()).collect();
    let device = Device::Disk { file: disk.as_fd(), bytes: DISK_BYTES, block_bytes: 512, writable: true };
    let mut process = start(&Start {
        unit: "test.probe",
        epoch: 1,
        program: probe().as_fd(),
        arguments: &arguments,
        environment: &[],
        grants: &[Grant { port: "disk", devices: vec![device] }],
        confinement: &confinement,
        group: None,
    })
    .unwrap();
    let status = loop {
        match waitpid(Some(process.pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => break ExitStatus::from_raw(status.as_raw()),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
    };
    let mut text = String::new();
    // Another test's child may hold a copy of the pipe until it is its own program.
    rustix::io::ioctl_fionbio(&process.output[0], false).unwrap();
    process.output[0].read_to_string(&mut text).unwrap();
    (status, text)
}

fn with_disk() -> Devices {
    Devices { disk: Some(DISK_BYTES), ..Devices::default() }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The system call was answered with an error.
    Refused,
    /// The process was ended by this signal.
    Killed(i32),
}

fn end(words: &[&str]) -> End {
    let (status, _) = attempt(with_disk(), None, words);
    match (status.code(), status.signal()) {
        (Some(7), _) => End::Refused,
        (_, Some(signal)) => End::Killed(signal),
        _ => panic!("{words:?} found a way out: {status}"),
    }
}

#[test]
fn within_its_ports_a_program_just_runs() {
    let (status, text) = attempt(with_disk(), None, &["nothing"]);
    assert_eq!((status.code(), text.as_str()), (Some(0), "within\n"));
    for way in ["read-descriptor", "write-descriptor"] {
        let (status, _) = attempt(with_disk(), None, &[way, FIRST_PLUGGED]);
        assert_eq!(status.code(), Some(0), "{way}: {status}");
    }
}

#[test]
fn no_file_has_a_name() {
    for way in ["open", "open-above", "create", "proc"] {
        assert_eq!(end(&[way]), End::Refused, "{way}");
    }
}

#[test]
fn what_no_device_needs_kills() {
    for way in ["socket", "fork", "exec", "trace", "root", "mount", "module", "unlimit"] {
        assert_eq!(end(&[way, "1"]), End::Killed(libc::SIGSYS), "{way}");
    }
}

#[test]
fn nobody_else_can_be_signalled() {
    let own = Pid::as_raw(Some(rustix::process::getpid())).to_string();
    assert_eq!(end(&["signal", &own]), End::Killed(libc::SIGSYS));
    assert_eq!(end(&["signal", "-1"]), End::Killed(libc::SIGSYS));
    // The calls by which a program ends itself.
    assert_eq!(end(&["abort-another", &own]), End::Killed(libc::SIGSYS));
    assert_eq!(end(&["abort-a-thread", &own]), End::Killed(libc::SIGSYS));
}

#[test]
fn descriptors_that_were_not_handed_over_are_not_there() {
    // One that this process has open and that is not closed on exec.
    let leaked = File::open("/etc/passwd").unwrap();
    let leaked = rustix::io::fcntl_dupfd_cloexec(&leaked, 700).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    assert_eq!(end(&["read-descriptor", "700"]), End::Refused);
    drop(leaked);
    for number in 6..64 {
        assert_eq!(end(&["read-descriptor", &number.to_string()]), End::Refused, "{number}");
    }
}

#[test]
fn a_disk_that_is_a_file_does_not_grow() {
    assert_eq!(end(&["write-behind-the-end", FIRST_PLUGGED]), End::Killed(libc::SIGXFSZ));
}

#[test]
fn a_program_without_a_disk_cannot_write_one() {
    let (status, _) = attempt(Devices::default(), None, &["write-descriptor", FIRST_PLUGGED]);
    assert_eq!(status.signal(), Some(libc::SIGSYS));
}

#[test]
fn memory_is_limited() {
    let (status, _) = attempt(with_disk(), Some(64 << 20), &["memory"]);
    assert_eq!(status.code(), Some(7), "{status}");
    let (status, _) = attempt(with_disk(), None, &["memory"]);
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_program_that_gives_up_says_so() {
    let (status, _) = attempt(with_disk(), None, &["abort"]);
    assert_eq!(status.signal(), Some(libc::SIGABRT));
}

#[test]
fn what_cannot_be_started_is_an_error_and_leaves_nothing() {
    let text = tempfile::tempfile().unwrap();
    let confinement = Confinement {
        user_id: None,
        empty_root: None,
        ported: None,
        memory: None,
        group: None,
        cores: vec![],
    };
    let failed = start(&Start {
        unit: "test.text",
        epoch: 1,
        program: text.as_fd(),
        arguments: &[],
        environment: &[],
        grants: &[],
        confinement: &confinement,
        group: None,
    });
    assert!(failed.is_err());
}
