//! The mirror under every fault that it claims to survive.
//!
//! The unit `user` of the description is played by a tester: it writes blocks, flushes, reads them again, and knows what
//! each may be ([`model`]). Everything else is what ships.
//!
//! # What the mirror claims to survive
//!
//! Of its three members, any one may do all that a bad disk does: fail, fail at a block, lose bits, write elsewhere, tear a
//! block at a loss of power, come back as it was earlier. The others may be slow, and lose what was not flushed. The units
//! may be killed and the machine may lose its power at any moment. No disk is said to be full: a disk of a fixed size
//! that has no room any more fails as it does with an error of the device.
//!
//! What must hold:
//!
//! - What is read is what was written last; after the mirror was started again it is that, or anything that was written since
//!   the last flush that was answered.
//! - No request is answered with an error of the device: there are always two good members.
//! - When nothing goes wrong any more the mirror becomes whole by itself, but for what it never overwrites: a disk both of whose
//!   heads are damaged, which may be anything; and one that comes back as it was before it was made anew, which cannot be told
//!   from a disk that somebody replaced.
//! - After the next two scrubs all members in sync hold the same.
//!
//! A new mirror is made of empty disks only. Should one of them be damaged before it is made, the mirror refuses, and says
//! what to do; the scenario does that ([`operator`]).

mod hasty;
pub mod model;
pub mod operator;
mod tester;

use std::time::Duration;

use solum_sim::{Client, End, Envelope, Fault, Scenario, Setup, Shared, shared};

use model::{BLOCK_BYTES, Model};
use tester::Phase;

/// Whether members flush when they say so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    Honest,
    Hasty,
}

/// The mirror as it ships.
pub fn scenario() -> Scenario {
    simulated(Members::Honest)
}

/// A mirror that acknowledges before it flushes: what it flushes is flushed a little later.
pub fn broken() -> Scenario {
    simulated(Members::Hasty)
}

/// The kinds of faults that the mirror claims to survive.
pub fn survived() -> Envelope {
    let network = [
        Fault::Delay,
        Fault::LostWrites,
        Fault::SlowDisks,
        Fault::UnitCrash,
        Fault::PowerCut,
        Fault::ClockSteps,
        Fault::ClockDrift,
    ];
    let of_one_disk = [
        Fault::TornWrites,
        Fault::MisdirectedWrites,
        Fault::BitRot,
        Fault::LatentErrors,
        Fault::IoErrors,
        Fault::FullDisks,
        Fault::StaleDisks,
    ];
    Envelope::of(network.into_iter().chain(of_one_disk))
}

/// The description that ships, with disks that are small enough for thousands of runs, and so have small blocks.
fn description() -> String {
    let shipped = include_str!("../../solum.toml");
    shipped.replace(r#"{ size = "64 MiB", block-size = "4 KiB" }"#, r#""512 KiB""#)
}

fn simulated(members: Members) -> Scenario {
    let set_up = move |setup: &mut Setup| {
        let model = shared(Model::new());
        let lives = model.clone();
        setup.program("mirror", move |mut ports: mirror::Ports| {
            lives.borrow_mut().mirror_begins();
            if members == Members::Hasty {
                ports.members = ports.members.into_iter().map(hasty::hasty).collect();
            }
            operator::obey(&mut ports.members, &lives);
            operator::read(mirror::mirror(ports), &lives)
        });
        let tested = model.clone();
        setup.program("user", move |ports| tester::tester(ports, &tested));
        let judged = model.clone();
        setup.afterwards("judge", move |client| judge(client, &judged));
        setup.check("the members in sync hold what was read last", move |end| {
            members_hold(end, &model.borrow())
        });
    };
    Scenario::new(&description(), set_up)
        .envelope(survived())
        .until(Duration::from_secs(5))
        // Two scrubs, each an hour after the one before.
        .settle(Duration::from_secs(4 * 3600))
}

/// Why a disk is not used that is as it was before it was made anew.
const FORMER: &str = "another disk was put in its place";

/// Waits until the mirror is whole, and has looked at everything.
fn judge(client: &mut Client, model: &Shared<Model>) -> Result<(), String> {
    let scrubs = |client: &Client| {
        let lines = client.lines("store.mirror");
        lines.iter().filter(|line| line.as_str() == raid::Notice::Scrubbed.to_string()).count()
    };
    let wait_for = |client: &Client, phase: Phase| {
        model.borrow_mut().phase = phase;
        while model.borrow().done != phase {
            client.sleep(Duration::from_secs(1));
        }
    };
    wait_for(client, Phase::Whole);
    // The one that goes on may have passed the damage already.
    let enough = scrubs(client) + 2;
    while scrubs(client) < enough {
        client.sleep(Duration::from_secs(120));
    }
    wait_for(client, Phase::ReadAll);
    Ok(())
}

/// What lies on the disks themselves, seen without the mirror.
fn members_hold(end: &End<'_>, model: &Model) -> Result<(), String> {
    let report = model.report.as_ref().ok_or("nobody knows how the mirror is")?;
    for (member, disk) in report.members.iter().zip(["store.a", "store.b", "store.c"]) {
        let damaged = end.damaged_blocks(disk);
        match &member.state {
            raid::MemberState::InSync => {
                let bytes = end.disk(disk).ok_or_else(|| format!("there is no disk {disk}"))?;
                holds(&bytes, report.bytes, model).map_err(|why| format!("{disk} {why}"))?;
            }
            raid::MemberState::Out(reason) if damaged > 0 || reason == FORMER => {}
            state => return Err(format!("{disk} has {damaged} damaged blocks, and is {state}")),
        }
    }
    Ok(())
}

/// Whether the data of a member is what was read.
fn holds(bytes: &[u8], mirror_bytes: u64, model: &Model) -> Result<(), String> {
    // Behind it there is less than a group left.
    let data_at = data_at(mirror_bytes);
    // What was never written reads as zeros, whatever is there.
    for (block, version) in model.last_read().filter(|(_, version)| *version != 0) {
        let at = data_at + block as usize * BLOCK_BYTES;
        if bytes[at..at + BLOCK_BYTES] != model::content(block, version) {
            return Err(format!(
                "does not hold version {version} of block {block}, which was read from the mirror"
            ));
        }
    }
    Ok(())
}

/// Where the data begins on a member, as the documentation of `raid` has it: after two heads of 8 KiB and, for each group of 256
/// blocks, three records of a header of 64 bytes and 256 checksums.
fn data_at(mirror_bytes: u64) -> usize {
    let groups = mirror_bytes as usize / (256 * BLOCK_BYTES);
    let record = (64 + 8 * 256usize).next_multiple_of(BLOCK_BYTES);
    2 * 8192 + groups * 3 * record
}
