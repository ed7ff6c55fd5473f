//! The unit's loop, in a world whose time passes only while it waits.

use std::cell::RefCell;
use std::rc::Rc;

use raid::{MemberState, StatusCalls};
use solum_sim::mock::{self, World};

use super::*;

/// Runs the unit for a minute, and gives why it ended and what it said.
fn run(
    members: &[mock::Disk],
    volume: &mock::Serve<Disk>,
    status: &mock::Serve<Status>,
) -> (String, Vec<String>) {
    let mut world = World::new().serve("volume", volume).serve("status", status);
    world.clock.end_at(Duration::from_secs(60));
    for disk in members {
        world = world.disk("members", disk);
    }
    let console = world.console.clone();
    let reason = mirror(world.plug()).expect_err("it serves until its world ends");
    (reason, console.lines())
}

#[test]
fn requests_are_answered_and_other_work_is_done_while_nobody_asks() {
    let (volume, status) = (mock::Serve::new(), mock::Serve::new());
    let report: Rc<RefCell<Option<Report>>> = Rc::default();
    let seen = Rc::clone(&report);
    volume.disk_client(|disk| {
        disk.write_at(0, &[7; 1024]).unwrap();
        let mut block = [0; 512];
        disk.read_at(0, &mut block).unwrap();
        assert_eq!(block, [7; 512]);
    });
    status.client_with_clock(move |link, clock| {
        // The disk's client has the first word.
        clock.sleep(Duration::from_millis(1)).unwrap();
        *seen.borrow_mut() = Some(link.report().unwrap());
    });
    let members: Vec<_> = (0..3).map(|_| mock::Disk::new(4 << 20)).collect();
    let (reason, lines) = run(&members, &volume, &status);
    assert_eq!(reason, Error::Closed.to_string());
    assert!(volume.are_done() && status.are_done());
    let report = report.take().unwrap();
    assert_eq!((report.in_sync, report.intended_regions), (3, 1));
    assert!(report.members.iter().all(|member| member.state == MemberState::InSync));
    assert!(lines[0].starts_with("a new mirror of"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "the whole mirror was read and compared"), "{lines:?}");
}

#[test]
fn too_few_disks_are_told_with_what_to_write_instead() {
    let (reason, _) = run(&[mock::Disk::new(4 << 20)], &mock::Serve::new(), &mock::Serve::new());
    assert!(reason.contains("1 disks are plugged in") && reason.contains("hint: in solum.toml"), "{reason}");
}
