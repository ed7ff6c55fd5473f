//! A crash after every operation on any disk, with whatever the disks lose or tear.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Cut, Dice, Model, Plates, at, data, settle, start};
use raid::Mirror;
use solum::Result;
use solum::disk::Driver;

const PLATE_BYTES: usize = 48 * 1024;

/// Writes, flushes and steps as a client would.
struct Script {
    model: Model,
    number: u64,
    /// The blocks whose write was not answered yet.
    under_way: Vec<u64>,
}

impl Script {
    fn write(&mut self, mirror: &mut Mirror, first: u64, count: u64) -> Result<()> {
        self.number += 1;
        self.model.write(first, count, self.number);
        self.under_way = (first..first + count).collect();
        mirror.write_at(first * 512, &data(first, count, self.number))?;
        self.under_way.clear();
        Ok(())
    }

    /// Writes all of these at once.
    fn batch(&mut self, mirror: &mut Mirror, writes: &[(u64, u64)]) -> Result<()> {
        let mut requests = Vec::new();
        for (first, count) in writes {
            self.number += 1;
            self.model.write(*first, *count, self.number);
            requests.push((*first, data(*first, *count, self.number)));
        }
        self.under_way = writes.iter().flat_map(|(first, count)| *first..first + count).collect();
        common::write_batch(mirror, &requests)?;
        self.under_way.clear();
        Ok(())
    }

    fn flush(&mut self, mirror: &mut Mirror) -> Result<()> {
        mirror.flush()?;
        self.model.flush();
        Ok(())
    }

    fn run(&mut self, mirror: &mut Mirror) -> Result<()> {
        self.write(mirror, 0, 2)?;
        self.flush(mirror)?;
        self.write(mirror, 1, 6)?;
        self.write(mirror, 1, 2)?;
        self.flush(mirror)?;
        self.write(mirror, 0, 8)?;
        self.write(mirror, 3, 1)?;
        self.write(mirror, 3, 2)?;
        mirror.step(at(1))?;
        self.flush(mirror)?;
        self.batch(mirror, &[(0, 2), (2, 3), (12, 2), (20, 1)])?;
        self.flush(mirror)?;
        self.batch(mirror, &[(1, 1), (12, 1), (2, 2)])?;
        self.write(mirror, 16, 3)?;
        // Two rounds of settling clear the intent bits; then they are set anew.
        for seconds in [2, 10, 20, 30] {
            settle(mirror, at(seconds))?;
        }
        self.write(mirror, 2, 4)?;
        self.flush(mirror)?;
        self.write(mirror, 5, 1)?;
        self.write(mirror, 16, 4)
    }
}

fn blocks(all: &Rc<RefCell<Plates>>) -> u64 {
    start(&Rc::new(RefCell::new(all.borrow().clone())), 1).shape().bytes / 512
}

/// Runs the script with a crash before the end of this operation; none if there are not so many.
fn crash_at(fresh: &Plates, blocks: u64, operation: u64) -> (Rc<RefCell<Plates>>, Script, bool) {
    let all = Rc::new(RefCell::new(fresh.clone()));
    let mut script = Script { model: Model::new(blocks), number: 0, under_way: Vec::new() };
    all.borrow_mut().left = Some(operation);
    let outcome = match Mirror::start(common::disks(&all), common::options(), 7) {
        Ok(mut mirror) => script.run(&mut mirror),
        Err(_) => Ok(()),
    };
    let is_over = !all.borrow().has_crashed();
    assert!(!is_over || outcome.is_ok(), "{outcome:?}");
    all.borrow_mut().left = None;
    (all, script, is_over)
}

fn formatted(members: usize) -> Plates {
    let all = Plates::shared(members, PLATE_BYTES);
    drop(start(&all, 1));
    all.replace(Plates::default())
}

/// Begins with what is left, checks everything, lets members become equal, and checks again.
fn check(all: &Rc<RefCell<Plates>>, model: &Model, context: &str) {
    let mut mirror = start(all, 99);
    let mut model = model.clone();
    model.pin(&mut mirror, context);
    settle(&mut mirror, at(1)).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(mirror.compare(), Ok(vec![]), "{context}: members are equal");
    model.check(&mut mirror, context);
    mirror.flush().unwrap();
    drop(mirror);
    model.check(&mut start(all, 100), context);
}

#[test]
fn a_mirror_that_was_not_made_to_the_end_is_made_again() {
    let mut dice = Dice(5);
    for members in [2, 3, 8] {
        let empty = Plates::shared(members, PLATE_BYTES).replace(Plates::default());
        for operation in 1.. {
            let all = Rc::new(RefCell::new(empty.clone()));
            all.borrow_mut().left = Some(operation);
            if Mirror::start(common::disks(&all), common::options(), 7).is_ok() {
                assert!(operation as usize > 4 * members);
                break;
            }
            all.borrow_mut().left = None;
            for sample in 0..40 {
                let left = Rc::new(RefCell::new(all.borrow().clone()));
                for plate in &mut left.borrow_mut().plates {
                    plate.cut(Cut::Tear, &mut dice);
                }
                let outcome = Mirror::start(common::disks(&left), common::options(), 9);
                assert!(outcome.is_ok(), "{members}, {operation}, {sample}: {}", outcome.err().unwrap());
            }
        }
    }
}

/// Begins, and stops at this operation.
fn begin_and_stop_at(all: &Rc<RefCell<Plates>>, operation: u64) {
    all.borrow_mut().left = Some(operation);
    if let Ok(mut mirror) = Mirror::start(common::disks(all), common::options(), 7 + operation) {
        let _ = mirror.write_at(0, &data(0, 1, operation));
    }
    all.borrow_mut().left = None;
}

#[test]
fn a_head_that_only_the_memory_of_a_disk_had_is_made_to_last_before_the_next_one() {
    let mut dice = Dice(11);
    for members in [2, 3] {
        let fresh = formatted(members);
        for (first, second) in (1..20).flat_map(|first| (1..20).map(move |second| (first, second))) {
            let all = Rc::new(RefCell::new(fresh.clone()));
            // The process ends, and the disks go on; then it ends again.
            begin_and_stop_at(&all, first);
            begin_and_stop_at(&all, second);
            for _ in 0..10 {
                let left = Rc::new(RefCell::new(all.borrow().clone()));
                for plate in &mut left.borrow_mut().plates {
                    plate.cut(Cut::Blocks, &mut dice);
                }
                let outcome = Mirror::start(common::disks(&left), common::options(), 99);
                assert!(outcome.is_ok(), "{members}, {first}, {second}: {}", outcome.err().unwrap());
            }
        }
    }
}

fn subsets(members: usize) -> Vec<Vec<usize>> {
    let mut subsets = vec![(0..members).collect()];
    if members == 3 {
        subsets.extend((0..3).map(|left_out| (0..3).filter(|index| *index != left_out).collect()));
    }
    subsets
}

fn only(all: &Plates, kept: &[usize]) -> Rc<RefCell<Plates>> {
    let mut all = all.clone();
    for (index, plate) in all.plates.iter_mut().enumerate() {
        plate.is_gone = !kept.contains(&index);
    }
    Rc::new(RefCell::new(all))
}

fn crash_everywhere(members: usize, cuts: &[Cut], samples: u64) -> u64 {
    let fresh = formatted(members);
    let blocks = blocks(&Rc::new(RefCell::new(fresh.clone())));
    let mut dice = Dice(members as u64);
    for operation in 1.. {
        let (all, Script { model, .. }, is_over) = crash_at(&fresh, blocks, operation);
        if is_over {
            return operation;
        }
        for sample in 0..samples {
            let mut left = all.borrow().clone();
            for plate in &mut left.plates {
                // Each disk loses and tears on its own.
                plate.cut(cuts[dice.below(cuts.len() as u64) as usize], &mut dice);
            }
            for kept in subsets(members) {
                let context = format!("crash at {operation}, sample {sample}, with {kept:?}");
                check(&only(&left, &kept), &model, &context);
            }
        }
    }
    unreachable!()
}

#[test]
fn three_members_lose_nothing_that_was_flushed_wherever_the_power_is_cut() {
    let operations =
        crash_everywhere(3, &[Cut::Blocks, Cut::NoneArrive, Cut::AllArrive, Cut::LastArrives], 6);
    assert!(operations > 100, "{operations}");
}

#[test]
fn two_members_lose_nothing_that_was_flushed_wherever_the_power_is_cut() {
    let operations =
        crash_everywhere(2, &[Cut::Blocks, Cut::NoneArrive, Cut::AllArrive, Cut::LastArrives], 6);
    assert!(operations > 70, "{operations}");
}

#[test]
fn a_process_that_dies_loses_nothing_that_was_answered() {
    let fresh = formatted(3);
    let blocks = blocks(&Rc::new(RefCell::new(fresh.clone())));
    for operation in 1.. {
        let (all, script, is_over) = crash_at(&fresh, blocks, operation);
        if is_over {
            return;
        }
        // Of the disks nothing is lost; only the write that was under way may be there or not.
        let mut model = script.model;
        for (index, values) in (0..).zip(&mut model.blocks) {
            let keep = if script.under_way.contains(&index) { values.len().min(2) } else { 1 };
            values.drain(..values.len() - keep);
        }
        check(&all, &model, &format!("process dies at {operation}"));
    }
}

#[test]
fn a_crash_while_the_last_one_is_repaired_costs_nothing_either() {
    crash_again_and_again(3);
}

#[test]
fn nor_do_crashes_in_a_row_while_a_pair_begins() {
    crash_again_and_again(2);
}

fn crash_again_and_again(members: usize) {
    let fresh = formatted(members);
    let blocks = blocks(&Rc::new(RefCell::new(fresh.clone())));
    let mut dice = Dice(5);
    for operation in (1..).step_by(3) {
        let (all, Script { model, .. }, is_over) = crash_at(&fresh, blocks, operation);
        if is_over {
            return;
        }
        for sample in 0..8 {
            let left = Rc::new(RefCell::new(all.borrow().clone()));
            for round in 0..3 {
                for plate in &mut left.borrow_mut().plates {
                    plate.cut(Cut::Blocks, &mut dice);
                }
                // Half of them while it begins.
                let most = [8, 40][dice.below(2) as usize];
                left.borrow_mut().left = Some(1 + dice.below(most));
                if let Ok(mut mirror) = Mirror::start(common::disks(&left), common::options(), round) {
                    let _ = settle(&mut mirror, at(1));
                }
                left.borrow_mut().left = None;
            }
            for plate in &mut left.borrow_mut().plates {
                plate.cut(Cut::Blocks, &mut dice);
            }
            check(&left, &model, &format!("crashes from {operation} on, sample {sample}"));
        }
    }
}

#[test]
fn what_was_read_after_a_crash_stays_after_the_next() {
    let fresh = formatted(3);
    let blocks = blocks(&Rc::new(RefCell::new(fresh.clone())));
    let mut dice = Dice(6);
    for operation in (1..).step_by(2) {
        let (all, Script { mut model, .. }, is_over) = crash_at(&fresh, blocks, operation);
        if is_over {
            return;
        }
        for plate in &mut all.borrow_mut().plates {
            plate.cut(Cut::Blocks, &mut dice);
        }
        let mut mirror = start(&all, 3);
        model.pin(&mut mirror, "first");
        drop(mirror);
        for plate in &mut all.borrow_mut().plates {
            plate.cut(Cut::Blocks, &mut dice);
        }
        check(&all, &model, &format!("crash at {operation}, and again"));
    }
}

#[test]
fn a_disk_that_tears_blocks_is_outvoted() {
    let fresh = formatted(3);
    let blocks = blocks(&Rc::new(RefCell::new(fresh.clone())));
    let mut dice = Dice(8);
    for operation in 1.. {
        let (all, Script { model, .. }, is_over) = crash_at(&fresh, blocks, operation);
        if is_over {
            return;
        }
        for tearing in 0..3 {
            let left = Rc::new(RefCell::new(all.borrow().clone()));
            for (index, plate) in left.borrow_mut().plates.iter_mut().enumerate() {
                plate.cut(if index == tearing { Cut::Tear } else { Cut::AllArrive }, &mut dice);
            }
            check(&left, &model, &format!("crash at {operation}, {tearing} tears"));
        }
    }
}

#[test]
fn blocks_that_were_not_being_written_survive_tearing_on_all_members() {
    let fresh = formatted(3);
    let blocks = blocks(&Rc::new(RefCell::new(fresh.clone())));
    let mut dice = Dice(9);
    for operation in 1.. {
        let (all, Script { model, .. }, is_over) = crash_at(&fresh, blocks, operation);
        if is_over {
            return;
        }
        for sample in 0..4 {
            let left = Rc::new(RefCell::new(all.borrow().clone()));
            for plate in &mut left.borrow_mut().plates {
                plate.cut(Cut::Tear, &mut dice);
            }
            let context = format!("crash at {operation}, sample {sample}");
            let mut mirror = start(&left, 99);
            let mut bytes = vec![0; 512];
            for (index, values) in model.blocks.iter().enumerate() {
                mirror.read_at(index as u64 * 512, &mut bytes).unwrap();
                if let [value] = values[..] {
                    assert!(bytes == common::block(value), "{context}: block {index}");
                }
            }
            settle(&mut mirror, at(1)).unwrap();
            assert_eq!(mirror.compare(), Ok(vec![]), "{context}");
        }
    }
}

/// Brings an empty disk up to date while a client writes.
fn rebuild(mirror: &mut Mirror, script: &mut Script) -> Result<()> {
    for step in 0.. {
        if mirror.report().in_sync == 3 {
            break;
        }
        mirror.step(at(1))?;
        if step % 3 == 0 {
            script.write(mirror, step % 20, 2)?;
        }
        if step % 7 == 1 {
            script.flush(mirror)?;
        }
    }
    script.write(mirror, 0, 8)
}

#[test]
fn a_crash_while_an_empty_disk_is_filled_costs_nothing() {
    let all = Rc::new(RefCell::new(formatted(3)));
    let blocks = blocks(&all);
    let mut before = Script { model: Model::new(blocks), number: 0, under_way: Vec::new() };
    let mut mirror = start(&all, 7);
    before.run(&mut mirror).unwrap();
    before.flush(&mut mirror).unwrap();
    drop(mirror);
    all.borrow_mut().plates[1] = common::Plate::new(PLATE_BYTES);
    let mut dice = Dice(11);
    for operation in 1.. {
        let crashed = Rc::new(RefCell::new(all.borrow().clone()));
        crashed.borrow_mut().left = Some(operation);
        let mut script = Script { model: before.model.clone(), number: 100, under_way: Vec::new() };
        let outcome = Mirror::start(common::disks(&crashed), common::options(), 8)
            .map(|mut mirror| rebuild(&mut mirror, &mut script));
        if !crashed.borrow().has_crashed() {
            assert_eq!(outcome, Ok(Ok(())));
            return;
        }
        crashed.borrow_mut().left = None;
        for sample in 0..8 {
            let mut left = crashed.borrow().clone();
            for plate in &mut left.plates {
                let cuts = [Cut::Blocks, Cut::NoneArrive, Cut::AllArrive, Cut::LastArrives];
                plate.cut(cuts[dice.below(4) as usize], &mut dice);
            }
            check(
                &Rc::new(RefCell::new(left)),
                &script.model,
                &format!("crash at {operation}, sample {sample}"),
            );
        }
    }
}
