//! A peer that writes garbage into all of the shared memory while we use it. We never panic, never leave our memory, and
//! come back from each call about when we should.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use rustix::mm::{self, MapFlags, ProtFlags};
use solum_link::session::{CallError, Client, Event, Interface, Server};
use solum_link::{
    Broken, End, Frame, Kind, Layout, LinkHost, Pool, Range, Received, SendError, Side, Transport,
    WaitOutcome, Want,
};
use std::cell::Cell;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LAYOUT: Layout = Layout { ring_bytes: 4096, pool_bytes: 8192 };
const TOTAL: usize = 4096 + 2 * 4096 + 8192;
/// How long one attack lasts, and how late a call may come back on a busy machine.
const ATTACK: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(10);

/// All of a link's memory, as an attacker maps it.
struct Everything(*mut u8);

// SAFETY: only reached through atomics.
unsafe impl Send for Everything {}

impl Everything {
    fn of(host: &LinkHost) -> Self {
        let memory = host.descriptors(Side::Client).memory;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping takes nothing from anyone. It is never unmapped.
        let address =
            unsafe { mm::mmap(std::ptr::null_mut(), TOTAL, access, MapFlags::SHARED, memory.as_fd(), 0) };
        Self(address.unwrap().cast())
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < TOTAL / 4);
        // SAFETY: aligned and within the mapping.
        unsafe { AtomicU32::from_ptr(self.0.add(index * 4).cast()) }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        // The constants of Knuth's MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
}

/// Writes until told to stop.
type Attack = fn(&Everything, &mut Random);

/// Anything anywhere.
fn garbage(memory: &Everything, random: &mut Random) {
    let index = random.next() as usize % (TOTAL / 4);
    memory.word(index).store(random.next(), Ordering::Relaxed);
}

/// Positions, sleeps and lives that look possible.
fn plausible_words(memory: &Everything, random: &mut Random) {
    let line = 1 + random.next() as usize % 8;
    let value = match line {
        1..=4 => random.next() % 300 * 32,
        5..=6 => random.next() % 8,
        _ => random.next() % 16,
    };
    memory.word(line * 16).store(value, Ordering::Relaxed);
}

/// Headers that are right, or but for one word, where the victim reads next, and a writer that is always ahead.
fn plausible_frames(memory: &Everything, random: &mut Random) {
    // The reader's position, the writer's, and the first word of the ring.
    let (head, tail, ring) = [(2, 3, 1024), (1, 4, 2048)][random.next() as usize % 2];
    let read = memory.word(head * 16).load(Ordering::Relaxed);
    let position = read.wrapping_add(random.next() % 64 * 32);
    let (kind, has_range) = (1 + random.next() % 7, random.next() % 2);
    let mut header = [
        random.next() % 64,
        kind | has_range << 8,
        random.next() % 8,
        1,
        1,
        has_range * (random.next() % 8192),
        has_range * (random.next() % 8192),
        0x6B6E_694C ^ position,
    ];
    if random.next().is_multiple_of(4) {
        header[random.next() as usize % 8] = random.next() % 128;
    }
    let at = ring + position as usize % 4096 / 32 * 8;
    for (index, word) in header.into_iter().enumerate() {
        memory.word(at + index).store(word, Ordering::Relaxed);
    }
    memory.word(tail * 16).store(read.wrapping_add(2048), Ordering::Relaxed);
    if random.next().is_multiple_of(16) {
        // Another epoch, so that the victim begins anew after each frame that was none.
        for status in [7, 8] {
            memory.word(status * 16).store((1 + random.next() % 16) << 2 | 3, Ordering::Relaxed);
        }
    }
}

const ATTACKS: [Attack; 3] = [garbage, plausible_words, plausible_frames];

fn open(host: &LinkHost, side: Side) -> Option<End> {
    let descriptors = host.descriptors(side);
    let [memory, own, peer] = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell]
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    End::open(memory, own, peer, side).ok()
}

/// Uses one side of a link while it is attacked; the victim is told when it is over.
fn under(attack: Attack, seed: u64, side: Side, victim: impl FnOnce(&LinkHost, End, &dyn Fn() -> bool)) {
    let host = LinkHost::create("hostile", LAYOUT).unwrap();
    host.attach(Side::Client, 1);
    host.attach(Side::Server, 1);
    let (end, _peer) = (open(&host, side).unwrap(), open(&host, side.peer()).unwrap());
    let memory = Everything::of(&host);
    let is_over = Arc::new(AtomicBool::new(false));
    let attacker = {
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || {
            let mut random = Random(seed);
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..64 {
                    attack(&memory, &mut random);
                }
                // On one processor the victim needs its turn.
                thread::yield_now();
            }
        })
    };
    let begin = Instant::now();
    victim(&host, end, &|| begin.elapsed() > ATTACK);
    is_over.store(true, Ordering::Relaxed);
    attacker.join().unwrap();
}

/// Runs an operation and fails if it took far longer than it may.
fn timely<T>(operation: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let outcome = operation();
    assert!(begin.elapsed() < PATIENCE, "it took {:?}", begin.elapsed());
    outcome
}

fn near() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(2))
}

fn interface() -> Interface {
    Interface { name: "Victim".to_owned(), version: 1, fingerprint: 1 }
}

#[test]
fn an_end_survives_garbage() {
    for (seed, attack) in ATTACKS.into_iter().enumerate() {
        for side in [Side::Client, Side::Server] {
            let mut came = 0;
            under(attack, seed as u64, side, |host, mut end, is_over| {
                let mut received = Received::default();
                let payload = [7; 500];
                while !is_over() {
                    for _ in 0..100 {
                        if timely(|| end.receive_into(&mut received)) == Ok(true) {
                            came += 1;
                            assert!(received.payload.len() <= end.longest_payload());
                            if let Some(range) = received.range {
                                let mut bytes = vec![0; range.length as usize];
                                end.pool().copy_out(range, &mut bytes).unwrap();
                                end.pool().copy_in(range, &bytes).unwrap();
                            }
                        }
                        let frame = Frame { kind: Kind::Request, payload: &payload, ..Frame::default() };
                        let _ = timely(|| end.send(&frame));
                    }
                    let _ = timely(|| end.send_waiting(&Frame::default(), near()));
                    timely(|| end.wait_for(Want::Space, near()));
                    timely(|| end.wait(near()));
                    end.arm_for_poll();
                    end.disarm();
                    // Sizes that are too large must not be believed: the next access would be outside.
                    if let Some(mut second) = open(host, side) {
                        let _ = timely(|| second.receive());
                        let _ = second.pool().copy_in(Range { offset: 8000, length: 192 }, &[1; 192]);
                    }
                }
            });
            // Otherwise the last attack would show nothing.
            assert!(came > 0 || seed != 2, "no frame was taken for one");
        }
    }
}

#[test]
fn a_client_comes_back_from_each_call() {
    for (seed, attack) in ATTACKS.into_iter().enumerate() {
        under(attack, 10 + seed as u64, Side::Client, |_, end, is_over| {
            let mut client = Client::new(end, &interface());
            while !is_over() {
                let _ = timely(|| client.call(1, true, b"words", None, near()));
                let _ = timely(|| client.call(1, false, &[1; 300], None, near()));
                if let Ok(Some(range)) = timely(|| client.allocate(100, near())) {
                    let _ = timely(|| client.call(1, false, b"", Some(range), near()));
                    client.free(range);
                }
            }
        });
    }
}

#[test]
fn a_server_comes_back_from_each_wait() {
    for (seed, attack) in ATTACKS.into_iter().enumerate() {
        under(attack, 20 + seed as u64, Side::Server, |_, end, is_over| {
            let mut server = Server::new(end, interface());
            while !is_over() {
                if let Some(Event::Request { call, payload, .. }) = timely(|| server.next(near())) {
                    server.reply(call, &payload).unwrap();
                }
            }
        });
    }
}

/// A peer that says without end that it lives. Each wait takes a millisecond.
struct Noisy {
    begin: Instant,
    waits: Cell<u64>,
    pool: Pool,
}

impl Noisy {
    fn new() -> Self {
        let (pool, _) = Pool::pair(4096).unwrap();
        Self { begin: Instant::now(), waits: Cell::new(0), pool }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.begin + Duration::from_millis(20))
    }
}

impl Transport for Noisy {
    fn send(&mut self, _: &Frame<'_>) -> Result<(), SendError> {
        Ok(())
    }

    fn receive_into(&mut self, into: &mut Received) -> Result<bool, Broken> {
        *into = Received::default();
        Ok(true)
    }

    fn wait(&mut self, _: Want, _: Option<Instant>) -> WaitOutcome {
        self.waits.set(self.waits.get() + 1);
        assert!(self.waits.get() < 1000, "it waits for ever");
        WaitOutcome::Ready
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_millis(self.waits.get())
    }

    fn epoch(&self) -> u32 {
        1
    }

    fn peer_epoch(&self) -> Option<u32> {
        Some(1)
    }

    fn longest_payload(&self) -> usize {
        100
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }
}

#[test]
fn a_peer_that_never_falls_silent_does_not_postpone_a_deadline() {
    let noisy = Noisy::new();
    let deadline = noisy.deadline();
    assert_eq!(Server::new(noisy, interface()).next(deadline), None);
    let noisy = Noisy::new();
    let deadline = noisy.deadline();
    assert_eq!(Client::new(noisy, &interface()).connect(deadline), Err(CallError::Deadline));
}
