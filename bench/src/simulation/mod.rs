//! What every simulator is given to do, and how each tells what it took: shared by `sim-solum`, `sim-madsim` and
//! `sim-turmoil`, so that they differ in the simulator alone.

use std::error::Error;
use std::time::{Duration, Instant};

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The same for everybody, always: a run is a function of it.
pub const SEED: u64 = 4;
/// A message takes at least, and at most, this long.
pub const LATENCY: [Duration; 2] = [Duration::from_micros(100), Duration::from_millis(1)];
/// What a message of the ping-pong holds, and what a value of the key-value store is.
pub const SIZE: usize = 64;
/// Round trips of the ping-pong.
pub const ROUND_TRIPS: u64 = 100_000;
/// Who asks the key-value store.
pub const CLIENTS: u8 = 4;
/// All that they ask; each its share, one after the other.
const REQUESTS: u64 = 100_000;
const KEYS: u64 = 100;

/// What is done, and how much of it.
pub struct Work {
    pub name: &'static str,
    pub operations: u64,
    /// Messages that arrive.
    pub events: u64,
}

/// One asks, another answers with the same: two messages.
pub const PING_PONG: Work = Work { name: "ping-pong", operations: ROUND_TRIPS, events: 2 * ROUND_TRIPS };
/// Some ask, another answers with what it keeps: two messages.
pub const KEY_VALUE: Work = Work { name: "key-value", operations: REQUESTS, events: 2 * REQUESTS };

pub type Value = [u8; SIZE];

/// What a client asks of the key-value store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    Put(u8, Value),
    Get(u8),
}

/// The requests of one client, half of them to write.
pub fn requests(client: u8) -> impl Iterator<Item = Request> {
    let mut state = SEED ^ u64::from(client) << 32;
    (0..REQUESTS / u64::from(CLIENTS)).map(move |_| {
        let random = next(&mut state);
        let key = ((random >> 1) % KEYS) as u8;
        if random & 1 == 0 { Request::Put(key, value(key, random)) } else { Request::Get(key) }
    })
}

/// A value that says which key it belongs to.
fn value(key: u8, random: u64) -> Value {
    let mut value = [key; SIZE];
    value[1..9].copy_from_slice(&random.to_le_bytes());
    value
}

/// Whether it is one of the values that are written for this key.
pub fn is_of(value: &Value, key: u8) -> bool {
    value[0] == key
}

/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Does the work, which returns how long it took by the simulation's clock, and says what it took, in a line of JSON.
pub fn measure(work: &Work, run: impl FnOnce() -> Outcome<Duration>) -> Outcome<String> {
    let (start, processor) = (Instant::now(), processor_seconds());
    let simulated = run()?.as_secs_f64();
    let (wall, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
    let Work { name, operations, events } = work;
    let rate = *operations as f64 / wall;
    let memory = peak_memory_kib()?;
    Ok(format!(
        "{{\"workload\": \"{name}\", \"operations\": {operations}, \"events\": {events}, \
         \"wall_seconds\": {wall:.6}, \"processor_seconds\": {processor:.6}, \
         \"simulated_seconds\": {simulated:.9}, \"operations_per_second\": {rate:.0}, \
         \"peak_memory_kib\": {memory}}}"
    ))
}

/// Of all threads of this process, in user and in kernel mode.
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that this process ever had (`VmHWM`, proc_pid_status(5)).
fn peak_memory_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("the kernel does not tell how much memory was used")?.parse()?)
}
