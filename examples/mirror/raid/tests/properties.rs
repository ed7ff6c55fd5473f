//! Anything in any order, with damage to one member at a time: what is read is what was written.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{BLOCK, Cut, Dice, Model, Plate, Plates, at, data, settle, start};
use proptest::prelude::*;
use raid::Mirror;
use solum::disk::Driver;

const PLATE_BYTES: usize = 48 * 1024;

#[derive(Clone, Debug)]
enum Act {
    Write {
        first: u64,
        count: u64,
    },
    /// Each block on its own, the last one first, and all at once.
    Batch {
        first: u64,
        count: u64,
    },
    Flush,
    Read,
    ReadBatch,
    Step,
    Scrub,
    Rot {
        at: u64,
    },
    BadBlock {
        at: u64,
    },
    Lose,
    Misdirect {
        by: u64,
    },
    FailWrites,
    FailFlushes,
    Gone,
    Heal {
        victim: usize,
    },
    Wait {
        seconds: u64,
    },
    PowerCut {
        seed: u64,
    },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0u64..30, 1u64..9).prop_map(|(first, count)| Act::Write { first, count }),
        4 => (0u64..30, 1u64..9).prop_map(|(first, count)| Act::Batch { first, count }),
        4 => Just(Act::Flush),
        2 => Just(Act::Read),
        2 => Just(Act::ReadBatch),
        4 => Just(Act::Step),
        1 => Just(Act::Scrub),
        3 => (0..PLATE_BYTES as u64).prop_map(|at| Act::Rot { at }),
        2 => (0..PLATE_BYTES as u64 / 512).prop_map(|block| Act::BadBlock { at: block * 512 }),
        2 => Just(Act::Lose),
        2 => (1u64..40).prop_map(|blocks| Act::Misdirect { by: blocks * 512 }),
        1 => Just(Act::FailWrites),
        1 => Just(Act::FailFlushes),
        1 => Just(Act::Gone),
        2 => (0usize..3).prop_map(|victim| Act::Heal { victim }),
        2 => (1u64..20).prop_map(|seconds| Act::Wait { seconds }),
        2 => any::<u64>().prop_map(|seed| Act::PowerCut { seed }),
        1 => Just(Act::Restart),
    ]
}

struct Run {
    all: Rc<RefCell<Plates>>,
    mirror: Mirror,
    model: Model,
    victim: usize,
    now: u64,
    number: u64,
}

impl Run {
    fn new() -> Self {
        let all = Plates::shared(3, PLATE_BYTES);
        let mirror = start(&all, 1);
        let model = Model::new(mirror.shape().bytes / BLOCK as u64);
        Self { all, mirror, model, victim: 0, now: 1, number: 0 }
    }

    fn hurt(&mut self, hurt: impl FnOnce(&mut Plate)) {
        hurt(&mut self.all.borrow_mut().plates[self.victim]);
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Write { first, count } => {
                let count = count.min(self.model.blocks.len() as u64 - first);
                self.number += 1;
                self.mirror.write_at(first * 512, &data(first, count, self.number)).unwrap();
                self.model.write(first, count, self.number);
            }
            Act::Batch { first, count } => {
                let count = count.min(self.model.blocks.len() as u64 - first);
                self.number += 1;
                let block = |block| (block, data(block, 1, self.number));
                let writes: Vec<_> = (first..first + count).rev().map(block).collect();
                common::write_batch(&mut self.mirror, &writes).unwrap();
                self.model.write(first, count, self.number);
            }
            Act::Flush => {
                self.mirror.flush().unwrap();
                self.model.flush();
            }
            Act::Read => self.model.check(&mut self.mirror, "read"),
            Act::ReadBatch => {
                let blocks = self.model.blocks.len();
                for (index, read) in (0..).zip(common::read_batch(&mut self.mirror, blocks)) {
                    assert!(read == Ok(common::block(self.model.latest(index))), "block {index} of a batch");
                }
            }
            Act::Step => self.mirror.step(at(self.now)).unwrap(),
            Act::Scrub => self.mirror.scrub().unwrap(),
            Act::Rot { at } => self.hurt(|plate| plate.rot(at)),
            Act::BadBlock { at } => self.hurt(|plate| plate.bad_blocks.extend([at])),
            Act::Lose => self.hurt(|plate| plate.lose_next = true),
            Act::Misdirect { by } => self.hurt(|plate| plate.misdirect_next = Some(by)),
            Act::FailWrites => self.hurt(|plate| plate.fails_writes = true),
            Act::FailFlushes => self.hurt(|plate| plate.fails_flushes = true),
            Act::Gone => self.hurt(|plate| plate.is_gone = true),
            Act::Heal { victim } => self.heal(victim),
            Act::Wait { seconds } => {
                self.now += seconds;
                settle(&mut self.mirror, at(self.now)).unwrap();
            }
            Act::PowerCut { seed } => {
                let mut dice = Dice(seed);
                for plate in &mut self.all.borrow_mut().plates {
                    plate.cut(Cut::Blocks, &mut dice);
                }
                self.mirror = start(&self.all, self.number);
                self.model.pin(&mut self.mirror, "after the power cut");
            }
            Act::Restart => {
                self.mirror = start(&self.all, self.number);
                self.model.check(&mut self.mirror, "after the restart");
            }
        }
    }

    /// The damage ends, members become equal, and then another one may be hurt.
    fn heal(&mut self, victim: usize) {
        self.hurt(|plate| {
            plate.fails_writes = false;
            plate.fails_flushes = false;
            plate.is_gone = false;
            plate.lose_next = false;
            plate.misdirect_next = None;
            plate.bad_blocks.clear();
        });
        self.now += 1000;
        settle(&mut self.mirror, at(self.now)).unwrap();
        if self.mirror.report().in_sync < 3 {
            // Both its heads are damaged: it has to be replaced.
            self.hurt(|plate| *plate = Plate::new(PLATE_BYTES));
            self.now += 1000;
            settle(&mut self.mirror, at(self.now)).unwrap();
        }
        assert_eq!(self.mirror.report().in_sync, 3, "{}", self.mirror.report());
        self.mirror.scrub().unwrap();
        assert_eq!(self.mirror.compare(), Ok(vec![]));
        self.model.check(&mut self.mirror, "healed");
        self.victim = victim;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_written_whatever_happens_to_a_minority(
        acts in prop::collection::vec(act(), 1..60)
    ) {
        let mut run = Run::new();
        for act in &acts {
            run.act(act);
        }
        run.heal(0);
        prop_assert_eq!(run.mirror.report().counters.damaged, 0);
    }
}

#[test]
fn a_record_that_could_not_be_read_after_a_power_cut_is_not_believed_later() {
    let mut run = Run::new();
    // The place of a record; the power cut leaves a newer one there than the other members have.
    for act in [
        Act::Write { first: 14, count: 7 },
        Act::BadBlock { at: 24576 },
        Act::PowerCut { seed: 13_329_635_554_269_756_419 },
    ] {
        run.act(&act);
    }
    run.heal(0);
}

#[test]
fn what_was_flushed_stays_if_its_group_is_written_twice_later_and_nothing_of_its_checksums_arrives() {
    let mut run = Run::new();
    for act in [
        Act::Write { first: 18, count: 4 },
        Act::Flush,
        Act::Gone,
        // Of the group of blocks 20 to 23 first others, and then those that were flushed.
        Act::Write { first: 22, count: 5 },
        Act::Write { first: 20, count: 3 },
    ] {
        run.act(&act);
    }
    for seed in 0..2000 {
        let (all, model) = (run.all.borrow().clone(), run.model.clone());
        let mut crashed = Run { all: Rc::new(RefCell::new(all)), model, ..Run::new() };
        crashed.act(&Act::PowerCut { seed });
    }
}
