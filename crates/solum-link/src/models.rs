//! Every order in which two sides can meet, within a bound, tried by loom: no wake-up is lost, and no byte of a ring is
//! read before it was written or written before it was read.
//!
//! The code is the one that runs on shared memory; only the words, the bytes, the futex and the bells are loom's, and
//! loom reports whoever sleeps for ever as a deadlock.

use crate::frame::{Frame, HEADER, Kind, Received, Side};
use crate::mapping::OutOfBounds;
use crate::memory::Word;
use crate::ring::{Consumer, Producer, Refusal};
use crate::shared::Shared;
use crate::wake::{self, Reason};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::time::Duration;

/// Room for four frames without payload.
const CAPACITY: u32 = 128;

struct Model {
    words: Vec<AtomicU32>,
    /// Of either side, in pieces of a header's size.
    rings: [Vec<UnsafeCell<[u8; HEADER]>>; 2],
    /// The kernel: who sleeps on a word or a bell does so under its lock.
    kernel: Mutex<[bool; 2]>,
    futexes: [Condvar; 2],
    bells: [Condvar; 2],
}

// SAFETY: loom itself checks each access to the cells.
unsafe impl Sync for Model {}
// SAFETY: as above.
unsafe impl Send for Model {}

fn index(side: Side) -> usize {
    usize::from(side == Side::Server)
}

fn side_of(word: Word) -> Side {
    match word {
        Word::Head(side) | Word::Tail(side) | Word::Armed(side) | Word::Status(side) => side,
    }
}

impl Model {
    fn new() -> Self {
        let ring = || (0..CAPACITY as usize / HEADER).map(|_| UnsafeCell::new([0; HEADER])).collect();
        Self {
            words: Word::ALL.iter().map(|_| AtomicU32::new(0)).collect(),
            rings: [ring(), ring()],
            kernel: Mutex::new([false; 2]),
            futexes: [Condvar::new(), Condvar::new()],
            bells: [Condvar::new(), Condvar::new()],
        }
    }

    fn word(&self, word: Word) -> &AtomicU32 {
        &self.words[Word::ALL.iter().position(|other| *other == word).unwrap()]
    }

    fn piece(&self, producer: Side, position: u32) -> &UnsafeCell<[u8; HEADER]> {
        &self.rings[index(producer)][position as usize % CAPACITY as usize / HEADER]
    }

    /// As `poll` and then reading the bell.
    fn wait_for_bell(&self, side: Side) {
        let mut rung = self.kernel.lock().unwrap();
        while !rung[index(side)] {
            rung = self.bells[index(side)].wait(rung).unwrap();
        }
    }

    fn silence_bell(&self, side: Side) {
        self.kernel.lock().unwrap()[index(side)] = false;
    }
}

impl Shared for Model {
    fn load(&self, word: Word) -> u32 {
        self.word(word).load(Ordering::Acquire)
    }

    fn store(&self, word: Word, value: u32) {
        self.word(word).store(value, Ordering::Release);
    }

    fn swap(&self, word: Word, value: u32) -> u32 {
        self.word(word).swap(value, Ordering::AcqRel)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, producer: Side, position: u32, into: &mut [u8]) -> Result<(), OutOfBounds> {
        if !into.is_empty() {
            // SAFETY: loom fails the test if anybody writes at the same time.
            self.piece(producer, position).with(|piece| into.copy_from_slice(unsafe { &*piece }));
        }
        Ok(())
    }

    fn write(&self, producer: Side, position: u32, from: &[u8]) -> Result<(), OutOfBounds> {
        if !from.is_empty() {
            // SAFETY: loom fails the test if anybody reads or writes at the same time.
            self.piece(producer, position).with_mut(|piece| unsafe { &mut *piece }.copy_from_slice(from));
        }
        Ok(())
    }

    fn futex_wait(&self, word: Word, value: u32, _timeout: Option<Duration>) {
        let kernel = self.kernel.lock().unwrap();
        if self.load(word) == value {
            drop(self.futexes[index(side_of(word))].wait(kernel).unwrap());
        }
    }

    fn futex_wake(&self, word: Word) {
        let _kernel = self.kernel.lock().unwrap();
        self.futexes[index(side_of(word))].notify_one();
    }

    fn ring_bell(&self, of: Side) {
        self.kernel.lock().unwrap()[index(of)] = true;
        self.bells[index(of)].notify_one();
    }
}

/// How a side sleeps.
#[derive(Clone, Copy)]
enum Mode {
    Futex,
    Poll,
}

fn sleep(model: &Model, side: Side, mode: Mode, for_space: bool, ready: impl Fn() -> bool) {
    match mode {
        Mode::Futex => wake::sleep(model, side, for_space, None, ready),
        Mode::Poll => {
            if wake::arm(model, side, for_space, ready) {
                model.wait_for_bell(side);
                wake::disarm(model, side);
                model.silence_bell(side);
            }
        }
    }
}

fn send(model: &Model, producer: &mut Producer, side: Side, mode: Mode, call: u32) {
    let frame = Frame { kind: Kind::Request, call, ..Frame::default() };
    loop {
        match producer.push(model, &frame) {
            Ok(()) => return wake::wake(model, side.peer(), Reason::Frames),
            Err(Refusal::Full) => {
                sleep(model, side, mode, true, || producer.space(model).unwrap() >= HEADER as u32);
            }
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
}

fn receive(model: &Model, consumer: &mut Consumer, side: Side, mode: Mode) -> u32 {
    let mut received = Received::default();
    while !consumer.pop(model, &mut received).unwrap() {
        sleep(model, side, mode, false, || consumer.is_ready(model));
    }
    if consumer.release_much(model) {
        wake::wake(model, side.peer(), Reason::Space);
    }
    received.call
}

fn check(preemptions: usize, run: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// The client sends, the server receives.
fn stream(mode: Mode, frames: u32) {
    let model = Arc::new(Model::new());
    let mut producer = Producer::open(&*model, Side::Client, CAPACITY);
    let mut consumer = Consumer::open(&*model, Side::Server, CAPACITY);
    let reader = {
        let model = Arc::clone(&model);
        thread::spawn(move || {
            for call in 0..frames {
                assert_eq!(receive(&model, &mut consumer, Side::Server, mode), call);
            }
        })
    };
    for call in 0..frames {
        send(&model, &mut producer, Side::Client, mode, call);
    }
    reader.join().unwrap();
}

#[test]
fn a_reader_on_the_futex_misses_no_frame() {
    check(4, || stream(Mode::Futex, 2));
}

#[test]
fn a_reader_on_the_bell_misses_no_frame() {
    check(4, || stream(Mode::Poll, 2));
}

#[test]
fn a_writer_without_space_is_woken_however_it_sleeps() {
    check(2, || stream(Mode::Futex, 5));
    check(2, || stream(Mode::Poll, 5));
}

#[test]
fn question_and_answer_meet() {
    fn round_trip(client: Mode, server: Mode) {
        let model = Arc::new(Model::new());
        // All are open before anything is sent: what was written earlier counts for nothing.
        let mut requests = Producer::open(&*model, Side::Client, CAPACITY);
        let mut responses = Consumer::open(&*model, Side::Client, CAPACITY);
        let mut questions = Consumer::open(&*model, Side::Server, CAPACITY);
        let mut answers = Producer::open(&*model, Side::Server, CAPACITY);
        let echo = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let call = receive(&model, &mut questions, Side::Server, server);
                send(&model, &mut answers, Side::Server, server, call);
            })
        };
        send(&model, &mut requests, Side::Client, client, 7);
        assert_eq!(receive(&model, &mut responses, Side::Client, client), 7);
        echo.join().unwrap();
    }
    check(3, || round_trip(Mode::Futex, Mode::Poll));
    check(3, || round_trip(Mode::Poll, Mode::Futex));
}

#[test]
fn the_end_of_a_peer_is_not_slept_through() {
    fn death(mode: Mode) {
        let model = Arc::new(Model::new());
        let host = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.store(Word::Status(Side::Server), 1);
                wake::wake(&*model, Side::Client, Reason::Life);
            })
        };
        while model.load(Word::Status(Side::Server)) == 0 {
            sleep(&model, Side::Client, mode, false, || model.load(Word::Status(Side::Server)) != 0);
        }
        host.join().unwrap();
    }
    check(5, || death(Mode::Futex));
    check(5, || death(Mode::Poll));
}
