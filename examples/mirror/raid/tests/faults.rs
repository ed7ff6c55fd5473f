//! One fault after the other, and what the mirror makes of it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{BLOCK, Cut, Dice, Model, Plate, Plates, at, block, data, disks, options, settle, start};
use raid::{MemberState, Mirror, Notice, Options, Refusal, StartError};
use solum::disk::Driver;
use solum::native::SystemClock;
use solum::{Disk, Error, Link};

const PLATE_BYTES: usize = 64 * 1024;

struct Bench {
    all: Rc<RefCell<Plates>>,
    mirror: Mirror,
    model: Model,
}

impl Bench {
    fn new(members: usize) -> Self {
        let all = Plates::shared(members, PLATE_BYTES);
        let mirror = start(&all, 1);
        let model = Model::new(mirror.shape().bytes / BLOCK as u64);
        let mut bench = Self { all, mirror, model };
        bench.write(0, 12, 1);
        bench.mirror.flush().unwrap();
        bench.model.flush();
        bench
    }

    fn write(&mut self, first: u64, count: u64, number: u64) {
        self.mirror.write_at(first * 512, &data(first, count, number)).unwrap();
        self.model.write(first, count, number);
    }

    fn check(&mut self) {
        self.model.check(&mut self.mirror, "");
    }

    fn settle(&mut self, seconds: u64) {
        settle(&mut self.mirror, at(seconds)).unwrap();
    }

    fn restart(&mut self) {
        self.mirror = start(&self.all, 2);
    }

    fn plate(&self, index: usize) -> std::cell::RefMut<'_, Plate> {
        std::cell::RefMut::map(self.all.borrow_mut(), |all| &mut all.plates[index])
    }

    /// Where the member has a block: it is there only once.
    fn find(&self, index: usize, value: u64) -> u64 {
        let plate = self.plate(index);
        let wanted = block(value);
        let found = plate.seen.chunks(BLOCK).position(|block| block == wanted);
        found.expect("it was written") as u64 * BLOCK as u64
    }

    fn states(&self) -> Vec<MemberState> {
        self.mirror.report().members.into_iter().map(|member| member.state).collect()
    }

    fn is_whole(&mut self) -> bool {
        self.mirror.compare() == Ok(vec![]) && self.states().iter().all(|state| *state == MemberState::InSync)
    }
}

#[test]
fn a_block_that_cannot_be_read_is_read_elsewhere_and_rewritten() {
    let mut bench = Bench::new(3);
    let place = bench.find(0, 1003);
    bench.plate(0).bad_blocks.insert(place);
    bench.check();
    assert_eq!(bench.mirror.report().counters.repaired, 1);
    assert!(bench.plate(0).bad_blocks.is_empty(), "it was rewritten");
    assert!(bench.mirror.take_notices().contains(&Notice::Repaired { port: 0, offset: 3 * 512 }));
    assert!(bench.is_whole());
}

#[test]
fn rot_on_any_member_is_never_served_and_is_repaired_by_a_scrub() {
    for member in 0..3 {
        let mut bench = Bench::new(3);
        let place = bench.find(member, 1005);
        bench.plate(member).rot(place + 17);
        bench.check();
        bench.mirror.scrub().unwrap();
        assert!(bench.is_whole());
        assert_eq!(bench.mirror.report().members[member].repaired, 1);
        assert_eq!(bench.find(member, 1005), place);
    }
}

#[test]
fn a_write_that_a_disk_answered_and_forgot_is_never_missed() {
    for member in 0..3 {
        let mut bench = Bench::new(3);
        bench.plate(member).lose_next = true;
        bench.write(2, 3, 2);
        bench.check();
        bench.restart();
        bench.check();
        bench.settle(1);
        bench.mirror.scrub().unwrap();
        assert!(bench.is_whole());
    }
}

#[test]
fn a_write_that_landed_elsewhere_harms_neither_place() {
    for (member, by) in [(0, 512), (1, 2048), (2, 1024)] {
        let mut bench = Bench::new(3);
        bench.plate(member).misdirect_next = Some(by);
        bench.write(2, 1, 2);
        bench.check();
        bench.mirror.scrub().unwrap();
        assert!(bench.is_whole(), "{member}");
    }
}

#[test]
fn damage_on_all_members_is_an_error_and_a_write_heals_it() {
    let mut bench = Bench::new(3);
    for member in 0..3 {
        let place = bench.find(member, 1004);
        bench.plate(member).rot(place);
    }
    let mut bytes = vec![0; 512];
    assert_eq!(
        bench.mirror.read_at(4 * 512, &mut bytes),
        Err(Error::Device("no member has a good copy of the block at byte 2048".into()))
    );
    assert!(bench.mirror.take_notices().contains(&Notice::Damaged { offset: 2048 }));
    assert_eq!(bench.mirror.report().counters.damaged, 1);
    bench.write(4, 1, 3);
    bench.check();
}

#[test]
fn a_member_that_fails_a_write_is_dropped_before_the_answer_and_the_others_know() {
    let mut bench = Bench::new(3);
    bench.write(0, 2, 3);
    bench.plate(1).fails_writes = true;
    bench.write(0, 2, 2);
    assert!(matches!(&bench.states()[1], MemberState::Out(reason) if reason.contains("cannot be written")));
    // The power is cut right after the answer; the member that was dropped is all that two others agree about.
    let kept = bench.all.borrow().clone();
    for left_out in [0, 2] {
        let mut all = kept.clone();
        all.plates[left_out].is_gone = true;
        all.plates[1].fails_writes = false;
        let outcome = Mirror::start(disks(&Rc::new(RefCell::new(all))), options(), 3).map(drop);
        let expected = Refusal::NoMajority { present: 1, in_sync: 2 };
        assert_eq!(outcome, Err(StartError::Refused(expected)), "without {left_out}");
    }
    bench.all = Rc::new(RefCell::new(kept));
    bench.plate(1).is_gone = true;
    bench.restart();
    bench.check();
}

#[test]
fn a_member_that_comes_back_gets_what_it_missed_and_no_more() {
    let mut bench = Bench::new(3);
    bench.settle(1);
    bench.settle(10);
    bench.settle(20);
    assert_eq!(bench.mirror.report().intended_regions, 0);
    bench.plate(1).is_gone = true;
    bench.write(0, 2, 2);
    bench.mirror.flush().unwrap();
    bench.settle(21);
    bench.plate(1).is_gone = false;
    bench.settle(2000);
    let notices = bench.mirror.take_notices();
    assert!(notices.contains(&Notice::Returned { port: 1, groups: 1 }), "{notices:?}");
    bench.check();
    assert!(bench.is_whole());
}

#[test]
fn a_member_that_was_dropped_gets_what_was_not_flushed_on_it_then() {
    let mut bench = Bench::new(3);
    bench.write(0, 2, 2);
    bench.plate(1).fails_flushes = true;
    bench.mirror.flush().unwrap();
    bench.plate(1).cut(Cut::NoneArrive, &mut Dice(1));
    bench.plate(1).is_gone = true;
    for seconds in [1, 10, 20, 30] {
        bench.settle(seconds);
    }
    assert_eq!(bench.mirror.report().intended_regions, 0);
    bench.plate(1).fails_flushes = false;
    bench.plate(1).is_gone = false;
    bench.settle(2000);
    assert!(bench.is_whole(), "{}", bench.mirror.report());
}

#[test]
fn a_member_that_kept_what_the_others_lost_is_not_believed_when_it_returns() {
    let mut bench = Bench::new(3);
    bench.write(2, 1, 2);
    for (index, plate) in bench.all.borrow_mut().plates.iter_mut().enumerate() {
        plate.cut(if index == 2 { Cut::AllArrive } else { Cut::NoneArrive }, &mut Dice(1));
    }
    bench.plate(2).is_gone = true;
    bench.restart();
    bench.model.blocks[2] = vec![1002];
    bench.check();
    bench.settle(1);
    bench.plate(2).is_gone = false;
    bench.settle(100);
    bench.restart();
    bench.check();
    assert!(bench.is_whole(), "{}", bench.mirror.report());
}

#[test]
fn writes_go_on_while_a_member_is_rebuilt_and_reach_it() {
    let mut bench = Bench::new(3);
    bench.plate(2).is_gone = true;
    bench.write(0, 8, 2);
    bench.plate(2).is_gone = false;
    let mut number = 3;
    let mut now = 100;
    while bench.states()[2] != MemberState::InSync {
        bench.mirror.step(at(now)).unwrap();
        bench.write(number % 11, 1, number);
        bench.check();
        number += 1;
        now += 1;
        assert!(number < 100, "{}", bench.mirror.report());
    }
    assert!(bench.is_whole());
    bench.check();
}

#[test]
fn an_empty_disk_takes_the_place_of_a_member_while_the_mirror_serves() {
    let mut bench = Bench::new(3);
    let old = bench.plate(1).clone();
    let spare = Plates::shared(1, PLATE_BYTES);
    let disk = disks(&spare).remove(0);
    bench.mirror.replace(1, disk).unwrap();
    bench.write(3, 2, 2);
    bench.settle(1);
    bench.check();
    assert!(bench.is_whole(), "{}", bench.mirror.report());
    let fresh = spare.borrow().plates[0].clone();
    *bench.plate(1) = fresh;
    bench.restart();
    bench.settle(2);
    assert!(bench.is_whole());
    // The old one is a member no more.
    *bench.plate(1) = old;
    bench.restart();
    bench.settle(3);
    assert!(matches!(&bench.states()[1], MemberState::Out(reason) if reason.contains("another disk")));
    bench.check();
}

#[test]
fn what_is_not_empty_and_no_member_is_left_alone() {
    let mut bench = Bench::new(3);
    let mut foreign = Plate::new(PLATE_BYTES);
    foreign.seen[100] = 7;
    foreign.durable[100] = 7;
    *bench.plate(0) = foreign.clone();
    bench.restart();
    bench.settle(1);
    bench.write(0, 2, 2);
    bench.check();
    assert!(matches!(&bench.states()[0], MemberState::Out(reason) if reason.contains("neither empty nor")));
    assert!(bench.plate(0).seen == foreign.seen);
}

/// What is on a member now, before a write that later nobody intends any more.
fn old_image(bench: &mut Bench, member: usize) -> Plate {
    for seconds in [1, 10, 20, 30] {
        bench.settle(seconds);
    }
    let old = bench.plate(member).clone();
    bench.write(0, 8, 2);
    bench.mirror.flush().unwrap();
    for seconds in [40, 50, 60] {
        bench.settle(seconds);
    }
    assert_eq!(bench.mirror.report().intended_regions, 0);
    old
}

#[test]
fn an_old_image_of_a_member_loses_and_is_made_anew() {
    for restarts in 0..4 {
        let mut bench = Bench::new(3);
        let old = old_image(&mut bench, 0);
        for _ in 0..restarts {
            bench.restart();
        }
        *bench.plate(0) = old;
        bench.restart();
        bench.check();
        bench.settle(1);
        let notices = bench.mirror.take_notices();
        let is_anew = notices.iter().any(|notice| matches!(notice, Notice::Replaced { port: 0, .. }));
        assert!(is_anew, "after {restarts} restarts: {notices:?}");
        assert!(bench.is_whole());
        bench.check();
    }
}

#[test]
fn of_a_pair_an_old_image_is_refused() {
    for restarts in 0..2 {
        let mut bench = Bench::new(2);
        let old = old_image(&mut bench, 0);
        for _ in 0..restarts {
            bench.restart();
        }
        *bench.plate(0) = old;
        let outcome = Mirror::start(disks(&bench.all), options(), 3).map(drop);
        let expected = Refusal::NoMajority { present: 1, in_sync: 2 };
        assert_eq!(outcome, Err(StartError::Refused(expected)), "after {restarts} restarts");
        let mut mirror = Mirror::start(disks(&bench.all), forced(), 4).unwrap();
        settle(&mut mirror, at(1)).unwrap();
        bench.model.check(&mut mirror, "by force");
        assert_eq!((mirror.compare(), mirror.report().in_sync), (Ok(vec![]), 2));
    }
}

#[test]
fn an_old_image_of_a_member_that_was_away_is_made_anew() {
    let mut bench = Bench::new(3);
    let old = old_image(&mut bench, 1);
    bench.plate(1).is_gone = true;
    bench.write(9, 1, 3);
    bench.mirror.flush().unwrap();
    *bench.plate(1) = old;
    bench.settle(2000);
    let notices = bench.mirror.take_notices();
    assert!(notices.iter().any(|notice| matches!(notice, Notice::Replaced { port: 1, .. })), "{notices:?}");
    assert!(bench.is_whole(), "{}", bench.mirror.report());
    bench.check();
}

#[test]
fn heads_that_reached_nobody_make_no_member_old() {
    for operation in 1..8 {
        let mut bench = Bench::new(2);
        for seconds in [1, 10, 20, 30] {
            bench.settle(seconds);
        }
        for member in 0..2 {
            bench.plate(member).fails_writes = true;
        }
        for _ in 0..3 {
            assert!(bench.mirror.write_at(0, &data(0, 1, 2)).is_err());
        }
        for member in 0..2 {
            bench.plate(member).fails_writes = false;
        }
        bench.all.borrow_mut().left = Some(operation);
        assert!(bench.mirror.write_at(0, &data(0, 1, 3)).is_err());
        bench.all.borrow_mut().left = None;
        bench.model.blocks[0].push(3000);
        bench.restart();
        bench.model.pin(&mut bench.mirror, &format!("crash at {operation}"));
        bench.settle(40);
        assert!(bench.is_whole());
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_tried_less_and_less_often() {
    let mut bench = Bench::new(3);
    bench.plate(1).fails_writes = true;
    bench.write(0, 2, 2);
    for seconds in 1..1000 {
        bench.settle(seconds);
    }
    let notices = bench.mirror.take_notices();
    let drops = notices.iter().filter(|notice| matches!(notice, Notice::Dropped { port: 1, .. })).count();
    assert!((10..30).contains(&drops), "dropped {drops} times");
    bench.plate(1).fails_writes = false;
    bench.settle(1070);
    assert!(bench.is_whole(), "{}", bench.mirror.report());
    // Once it was in sync again, it is given the chance of any other.
    bench.plate(1).fails_writes = true;
    bench.write(0, 2, 3);
    bench.plate(1).fails_writes = false;
    bench.settle(1072);
    assert!(bench.is_whole(), "{}", bench.mirror.report());
}

#[test]
fn if_all_members_fail_a_write_it_is_an_error_and_nobody_is_dropped() {
    let mut bench = Bench::new(3);
    for member in 0..3 {
        bench.plate(member).fails_writes = true;
    }
    assert!(bench.mirror.write_at(0, &data(0, 2, 2)).is_err());
    for member in 0..3 {
        bench.plate(member).fails_writes = false;
    }
    assert!(bench.is_whole());
    bench.check();
    bench.write(0, 2, 3);
    bench.check();
}

#[test]
fn if_more_than_half_fail_at_once_the_mirror_stops_rather_than_promise() {
    let mut bench = Bench::new(3);
    bench.plate(0).fails_writes = true;
    bench.plate(2).fails_writes = true;
    assert!(bench.mirror.write_at(0, &data(0, 1, 2)).is_err());
    assert!(bench.mirror.stopped().is_some());
    assert!(bench.mirror.read_at(0, &mut [0; 512]).is_err());
    assert_eq!(bench.mirror.next_step(), None);
    bench.plate(0).fails_writes = false;
    bench.plate(2).fails_writes = false;
    bench.restart();
    bench.model.blocks[0].push(2000);
    bench.model.pin(&mut bench.mirror, "");
    bench.settle(1);
    assert!(bench.is_whole(), "{}", bench.mirror.report());
}

#[test]
fn members_may_fail_one_after_the_other_until_one_is_left_which_may_begin_alone() {
    let mut bench = Bench::new(3);
    bench.plate(0).is_gone = true;
    bench.write(0, 2, 2);
    bench.plate(2).fails_flushes = true;
    bench.mirror.flush().unwrap();
    assert_eq!(bench.mirror.report().in_sync, 1);
    bench.write(1, 2, 3);
    bench.mirror.flush().unwrap();
    bench.plate(2).is_gone = true;
    bench.restart();
    bench.check();
    for member in [0, 2] {
        bench.plate(member).is_gone = false;
        bench.plate(member).fails_flushes = false;
    }
    bench.plate(1).is_gone = true;
    let outcome = Mirror::start(disks(&bench.all), options(), 3).map(drop);
    assert!(matches!(outcome, Err(StartError::Refused(Refusal::NoMajority { .. }))), "{outcome:?}");
    bench.plate(1).is_gone = false;
    bench.restart();
    bench.settle(1);
    bench.check();
    assert!(bench.is_whole(), "{}", bench.mirror.report());
}

#[test]
fn a_read_goes_on_without_a_member_that_is_gone() {
    let mut bench = Bench::new(3);
    bench.plate(0).is_gone = true;
    bench.check();
    assert!(matches!(bench.states()[0], MemberState::Out(_)));
    bench.plate(0).is_gone = false;
    bench.settle(100);
    assert!(bench.is_whole());
}

fn forced() -> Options {
    Options { force: true, ..options() }
}

#[test]
fn two_halves_of_a_pair_begin_alone_only_by_force_and_never_together_again() {
    let mut bench = Bench::new(2);
    bench.settle(1);
    bench.plate(1).is_gone = true;
    let outcome = Mirror::start(disks(&bench.all), options(), 3).map(drop);
    assert_eq!(outcome, Err(StartError::Refused(Refusal::NoMajority { present: 1, in_sync: 2 })));
    let mut first = Mirror::start(disks(&bench.all), forced(), 4).unwrap();
    first.write_at(0, &data(0, 1, 5)).unwrap();
    drop(first);
    let mut one_alone = Rc::new(RefCell::new(bench.all.borrow().clone()));
    bench.plate(1).is_gone = false;
    bench.plate(0).is_gone = true;
    let mut second = Mirror::start(disks(&bench.all), forced(), 5).unwrap();
    second.write_at(0, &data(0, 1, 6)).unwrap();
    drop(second);
    bench.plate(0).is_gone = false;
    let outcome = Mirror::start(disks(&bench.all), forced(), 6).map(drop);
    assert!(matches!(outcome, Err(StartError::Refused(Refusal::BothRanAlone { .. }))), "{outcome:?}");
    // If only one did, the other gets what it missed.
    Rc::get_mut(&mut one_alone).unwrap().get_mut().plates[1].is_gone = false;
    let mut mirror = start(&one_alone, 7);
    settle(&mut mirror, at(1)).unwrap();
    bench.model.blocks[0] = vec![5000];
    bench.model.check(&mut mirror, "");
    assert_eq!((mirror.compare(), mirror.report().in_sync), (Ok(vec![]), 2));
}

#[test]
fn after_a_quiet_stop_nothing_is_compared_and_after_another_only_what_was_written() {
    let mut bench = Bench::new(3);
    bench.write(40, 1, 2);
    for seconds in [1, 10, 20] {
        bench.settle(seconds);
    }
    bench.restart();
    assert_eq!(bench.mirror.report().groups_to_compare, 0);
    bench.write(41, 1, 3);
    bench.restart();
    assert_eq!(bench.mirror.report().groups_to_compare, 1);
    bench.settle(30);
    bench.check();
    assert!(bench.is_whole());
}

#[test]
fn a_disk_that_became_shorter_is_no_member() {
    let mut bench = Bench::new(3);
    bench.plate(2).seen.truncate(PLATE_BYTES / 2);
    bench.restart();
    bench.settle(1);
    bench.check();
    assert!(matches!(&bench.states()[2], MemberState::Out(reason) if reason.contains("are needed")));
}

#[test]
fn a_damaged_head_costs_nothing_if_the_other_is_whole() {
    let mut bench = Bench::new(3);
    for head in [100, 8192 + 100] {
        bench.plate(0).rot(head);
        bench.restart();
        assert_eq!(bench.mirror.report().in_sync, 3);
        bench.check();
        bench.restart();
    }
}

#[test]
fn a_discarded_region_reads_as_zeros_even_after_a_crash() {
    let mut bench = Bench::new(3);
    bench.mirror.discard(0, 5 * 512).unwrap();
    for values in &mut bench.model.blocks[..4] {
        *values = vec![0];
    }
    bench.check();
    for plate in &mut bench.all.borrow_mut().plates {
        plate.cut(Cut::Blocks, &mut Dice(3));
    }
    bench.restart();
    bench.check();
    bench.write(1, 2, 2);
    bench.check();
    bench.settle(1);
    assert!(bench.is_whole());
}

#[test]
fn a_discarded_region_reads_as_zeros_also_together_with_another_if_the_members_take_no_notice() {
    let mut bench = Bench::new(3);
    for plate in &mut bench.all.borrow_mut().plates {
        plate.ignores_discards = true;
    }
    bench.mirror.discard(0, 4 * 512).unwrap();
    for values in &mut bench.model.blocks[..4] {
        *values = vec![0];
    }
    bench.check();
}

#[test]
fn disks_that_cannot_be_a_mirror_are_refused() {
    let one = Mirror::start(vec![Disk::memory(1 << 20)], options(), 1).map(drop);
    assert_eq!(one, Err(StartError::Members(1)));
    let small = Mirror::start(vec![Disk::memory(1 << 20), Disk::memory(16384)], options(), 1).map(drop);
    assert!(matches!(small, Err(StartError::Unfit { port: 1, .. })), "{small:?}");
}

#[test]
fn at_the_other_end_of_a_link_it_is_a_disk_like_any_other() {
    let all = Plates::shared(3, PLATE_BYTES);
    let clock = Rc::new(SystemClock);
    let link = Link::<Disk>::local(Box::new(start(&all, 1)), clock.clone());
    let mut disk = Disk::new(solum::served_disk::linked(link.into_caller(), clock).unwrap());
    assert_eq!(disk.block_size(), 512);
    disk.write_at(512, &data(1, 2, 9)).unwrap();
    disk.flush().unwrap();
    let mut bytes = vec![1; 2048];
    disk.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [block(0), data(1, 2, 9), block(0)].concat());
    assert!(matches!(disk.write_at(100, &[0; 512]), Err(Error::Misaligned { .. })));
}

#[test]
fn a_disk_that_missed_a_write_is_not_believed_after_the_next_one_was_cut_off() {
    for sample in 0..200 {
        let mut bench = Bench::new(3);
        bench.plate(0).lose_next = true;
        bench.write(2, 1, 2);
        bench.mirror.flush().unwrap();
        bench.model.flush();
        bench.write(2, 1, 3);
        for (index, plate) in bench.all.borrow_mut().plates.iter_mut().enumerate() {
            plate.cut(
                if index == 0 { Cut::NoneArrive } else { Cut::Blocks },
                &mut Dice(sample + index as u64),
            );
        }
        bench.restart();
        bench.model.pin(&mut bench.mirror, &format!("sample {sample}"));
    }
}

#[test]
fn what_is_written_again_and_again_waits_for_the_disks_only_after_a_flush() {
    let mut bench = Bench::new(3);
    // One group was changed since the last flush, and the others before.
    bench.write(4, 8, 2);
    bench.mirror.flush().unwrap();
    bench.model.flush();
    bench.write(0, 4, 2);
    let mut operations = Vec::new();
    for number in 3..7 {
        let before = bench.all.borrow().operations;
        for group in 0..3 {
            bench.write(group * 4, 4, number);
        }
        operations.push(bench.all.borrow().operations - before);
    }
    // Data and checksums of three groups on three members, and nothing else.
    assert_eq!(operations[1..], [18, 18, 18], "{operations:?}");
    bench.check();
}

#[test]
fn requests_of_a_batch_fail_and_are_repaired_each_on_its_own() {
    let mut bench = Bench::new(3);
    let [first, second] = [bench.find(0, 1003), bench.find(0, 1006)];
    bench.plate(0).bad_blocks.insert(first);
    bench.plate(0).rot(second);
    for index in 0..3 {
        let place = bench.find(index, 1009);
        bench.plate(index).bad_blocks.insert(place);
    }
    let read = common::read_batch(&mut bench.mirror, 12);
    for (index, outcome) in (0..).zip(read) {
        match index {
            9 => assert!(matches!(outcome, Err(Error::Device(_))), "nobody has it"),
            _ => assert!(outcome == Ok(block(1000 + index)), "block {index}"),
        }
    }
    assert_eq!(bench.mirror.report().counters.repaired, 2);
    let all = [(0, data(0, 2, 7)), (1, data(1, 1, 8)), (9, data(9, 1, 8))];
    common::write_batch(&mut bench.mirror, &all).unwrap();
    bench.model.write(0, 2, 7);
    bench.model.write(1, 1, 8);
    bench.model.write(9, 1, 8);
    bench.check();
    assert!(bench.is_whole(), "of what overlaps all have the same");
}

#[test]
fn a_batch_goes_on_without_members_that_are_gone() {
    let mut bench = Bench::new(3);
    bench.plate(0).is_gone = true;
    let read = common::read_batch(&mut bench.mirror, 12);
    assert!((0..).zip(read).all(|(index, outcome)| outcome == Ok(block(1000 + index))));
    assert!(matches!(bench.states()[0], MemberState::Out(_)), "it is not asked again");
    bench.plate(1).fails_writes = true;
    common::write_batch(&mut bench.mirror, &[(2, data(2, 1, 9)), (40, data(40, 2, 9))]).unwrap();
    bench.model.write(2, 1, 9);
    bench.model.write(40, 2, 9);
    bench.check();
    assert_eq!(bench.states().iter().filter(|state| **state == MemberState::InSync).count(), 1);
}

#[test]
fn damaged_checksum_records_are_repaired_when_they_are_read() {
    for place in 0..3 {
        let mut bench = Bench::new(3);
        for seconds in [1, 10, 20, 30] {
            bench.settle(seconds);
        }
        bench.plate(1).rot(16384 + place * 512 + 70);
        bench.restart();
        assert_eq!(bench.mirror.report().groups_to_compare, 0);
        bench.check();
        assert!(bench.is_whole(), "place {place}");
    }
}

#[test]
fn a_member_that_failed_while_heads_were_written_still_gets_only_what_it_missed() {
    let mut bench = Bench::new(3);
    bench.plate(2).is_gone = true;
    bench.write(0, 2, 2);
    bench.plate(2).is_gone = false;
    let mut now = 100;
    // Until nothing but the change of membership is left to do.
    while bench.states()[2] != (MemberState::Rebuilding { groups_left: 0 }) {
        bench.mirror.step(at(now)).unwrap();
        now += 1;
    }
    bench.plate(1).fails_writes = true;
    bench.mirror.step(at(now)).unwrap();
    assert!(matches!(bench.states()[1], MemberState::Out(_)), "{}", bench.mirror.report());
    bench.plate(1).fails_writes = false;
    bench.settle(1000);
    let notices = bench.mirror.take_notices();
    assert!(notices.iter().any(|notice| matches!(notice, Notice::Returned { port: 1, .. })), "{notices:?}");
    assert!(bench.is_whole());
}

#[test]
fn intent_is_given_up_only_for_what_is_on_the_plates() {
    for operation in 1..12 {
        let mut bench = Bench::new(3);
        bench.write(2, 3, 2);
        bench.settle(1);
        bench.settle(10);
        bench.all.borrow_mut().left = Some(operation);
        let _ = settle(&mut bench.mirror, at(20));
        bench.all.borrow_mut().left = None;
        for (index, plate) in bench.all.borrow_mut().plates.iter_mut().enumerate() {
            plate.cut(if index == 2 { Cut::LastArrives } else { Cut::AllArrive }, &mut Dice(1));
        }
        bench.restart();
        bench.settle(30);
        assert!(bench.is_whole(), "crash at {operation}");
    }
}

#[test]
fn a_member_is_in_sync_only_when_what_it_got_is_on_its_plates() {
    for operation in 1..12 {
        let mut bench = Bench::new(3);
        bench.plate(0).is_gone = true;
        bench.write(0, 12, 2);
        // Intent bits would have it compared anyway.
        for seconds in [1, 10, 20, 30] {
            bench.settle(seconds);
        }
        assert_eq!(bench.mirror.report().intended_regions, 0);
        bench.plate(0).is_gone = false;
        let mut now = 1000;
        while bench.states()[0] != (MemberState::Rebuilding { groups_left: 0 }) {
            bench.mirror.step(at(now)).unwrap();
            now += 1;
        }
        bench.all.borrow_mut().left = Some(operation);
        let _ = bench.mirror.step(at(now));
        bench.all.borrow_mut().left = None;
        for (index, plate) in bench.all.borrow_mut().plates.iter_mut().enumerate() {
            plate.cut(if index == 0 { Cut::LastArrives } else { Cut::AllArrive }, &mut Dice(1));
        }
        bench.restart();
        bench.settle(now + 1000);
        assert!(bench.is_whole(), "crash at {operation}");
    }
}
