//! The file server under every fault that it claims to survive.
//!
//! The unit `notes` of the description is played by a tester, and there is a second one beside it: each works in a directory of
//! its own, and knows what may be in it ([`model`]). Everything else is what ships.
//!
//! # What the file server claims to survive
//!
//! The units may be killed and the machine may lose its power at any moment. The disk may be slow, lose and tear what was not
//! flushed, and fail, or say that it is full, and work again when it is asked again.
//!
//! What must hold:
//!
//! - As long as the server lives, what is read is what was written last.
//! - After it was started again, the files are as they were at one moment between the last `sync` that was answered and the
//!   end: every call as a whole or not at all.
//! - A `sync` says that a change is lost only if the server was started again.
//! - When nothing goes wrong any more everything can be done, and the file system has no problem.
//!
//! What a disk does to what it promised to keep (rot, blocks that cannot be read, writes that went elsewhere) is noticed
//! and not mended. [`damaged`] has these too, and holds nothing against errors; wrong data is still wrong.

mod forgetful;
pub mod model;
mod tester;

use std::time::Duration;

use solum::Disk;
use solum_sim::{Client, End, Envelope, Fault, Scenario, Setup, Shared, shared};

use model::Model;

/// The directories of the testers, by the programs that work in them.
const TESTERS: [&str; 2] = ["notes", "other"];

/// What is not as it ships.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disks {
    Honest,
    /// One barrier is forgotten.
    Forgetful,
    /// What is kept may be damaged.
    Damaged,
}

/// The file server as it ships.
pub fn scenario() -> Scenario {
    simulated(Disks::Honest)
}

/// A file server that forgets one barrier of two: the one between what a commit writes and the superblock that refers to it.
pub fn broken() -> Scenario {
    simulated(Disks::Forgetful)
}

/// The file server as it ships, on a disk that damages what it should keep.
pub fn damaged() -> Scenario {
    let kinds =
        [Fault::BitRot, Fault::LatentErrors, Fault::MisdirectedWrites].into_iter().chain(survived().kinds);
    simulated(Disks::Damaged).envelope(Envelope::of(kinds)).may_give_up()
}

/// The kinds of faults that the file server claims to survive.
pub fn survived() -> Envelope {
    Envelope::of([
        Fault::LostWrites,
        Fault::TornWrites,
        Fault::IoErrors,
        Fault::FullDisks,
        Fault::SlowDisks,
        Fault::Delay,
        Fault::UnitCrash,
        Fault::PowerCut,
        Fault::ClockSteps,
        Fault::ClockDrift,
    ])
}

/// The description that ships, with a disk that is small enough for thousands of runs, and one unit more.
fn description() -> String {
    let shipped = include_str!("../../solum.toml").replace("disk.data = \"64 MiB\"", "disk.data = \"1 MiB\"");
    let other = "\n[program.other]\nfile = \"simulated\"\n\n[machine.store.unit.other]\nprogram = \"other\"\n\
                 ports.files = \"server.files\"\nneeds = [\"server\"]\n";
    shipped + other
}

fn simulated(disks: Disks) -> Scenario {
    let set_up = move |setup: &mut Setup| {
        let lives = shared(0);
        let started = lives.clone();
        setup.program("files", move |mut ports: files::Ports| {
            *started.borrow_mut() += 1;
            if disks == Disks::Forgetful {
                ports.disk = forgetful::forgetful(ports.disk);
            }
            files::files(ports)
        });
        for name in TESTERS {
            let model = shared(Model::new(lives.clone(), disks == Disks::Damaged));
            let tested = model.clone();
            setup.program(name, move |ports| tester::tester(ports, name, &tested));
            if disks != Disks::Damaged {
                setup.afterwards(&format!("judge of {name}"), move |client| judge(client, &model));
            }
        }
        if disks != Disks::Damaged {
            setup.check("the file system has no problem", has_no_problem);
        }
    };
    Scenario::new(&description(), set_up)
        .envelope(survived())
        .until(Duration::from_secs(2))
        .settle(Duration::from_secs(600))
}

/// Waits until a tester could do all it wanted.
fn judge(client: &mut Client, model: &Shared<Model>) -> Result<(), String> {
    // Blocks of which the server could not read what they were for are free when it begins anew, and counted until then.
    client.kill("store.server");
    model.borrow_mut().is_over = true;
    while !model.borrow().is_done {
        client.sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// What lies on the disk, seen without the server.
fn has_no_problem(end: &End<'_>) -> Result<(), String> {
    let bytes = end.disk("store.data").ok_or("there is no disk")?;
    let mut disk = Disk::memory(bytes.len() as u64);
    disk.write_at(0, &bytes).map_err(|error| error.to_string())?;
    let report = solum_fs::check(disk).1.map_err(|error| error.to_string())?;
    match report.problems.first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(()),
    }
}
