//! Programs that reach past their ports: the system's clocks, randomness, threads, files, sockets, processes, and statics.
//!
//! What is simulated is a function of its description and its seed only if units reach the world through their ports. Three
//! nets catch what does not, and each has holes that another one covers:
//!
//! - **Calls** are noticed while they happen, by this module. On GNU/Linux (x86-64 and ARM64), an executable that is
//!   linked with this crate has C functions of this crate, such as `clock_gettime`, before those of the C library. While a
//!   [`Guard`] is held they write down an [`Escape`], and answer something that is the same each time. Without one they do
//!   what they always did. System calls that a program makes without the C library (rustix does), and calls that the C
//!   library makes of its own, are not noticed; nor is what happens while a panic unwinds.
//! - **Statics** are found in the executable's symbols, by [`statics()`], without running it.
//! - **Whatever else** makes two runs of the same seed differ is found by comparing two runs.
//!
//! A hash map with a random seed is noticed by the number that the standard library counts for each: so it is found
//! whoever made the first one of the thread, though not where it was made. One made by the kernel between two
//! units' turns is no escape.

mod seeds;
mod statics;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod symbols;

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

pub use statics::{Static, Unreadable, statics};

/// Whether calls are noticed at all in this executable.
pub const IS_WATCHING: bool = cfg!(all(
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
));

/// Past which port a program reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A clock was read.
    Clock,
    /// It slept.
    Sleep,
    /// A thread was to begin.
    Thread,
    /// Random bytes were fetched.
    Randomness,
    /// A `HashMap` or a `HashSet` was made, whose order is random.
    Hash,
    /// A file or a directory was opened, looked at or changed.
    File,
    /// A socket was opened, or a name looked up.
    Socket,
    /// Another process was to begin.
    Process,
}

impl What {
    /// What to write instead.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Clock => "plug in a Clock: clock.now(), or clock.wall() for the date",
            Self::Sleep => "plug in a Clock: clock.sleep(duration)",
            Self::Thread => "wait for several ports with Clock::select, or make it a unit of its own",
            Self::Randomness => "plug in an Entropy: entropy.number()",
            Self::Hash => "use BTreeMap or BTreeSet, or a hasher whose seed comes from an Entropy",
            Self::File => "plug in a Disk, or a link to a unit that serves files",
            Self::Socket => "plug in an Http, a Tcp or a Link",
            Self::Process => "make it a unit of its own",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clock => "read the system's clock",
            Self::Sleep => "slept without its clock",
            Self::Thread => "began a thread",
            Self::Randomness => "fetched random bytes from the system",
            Self::Hash => "made a hash map with a random seed",
            Self::File => "used a file of the system",
            Self::Socket => "used the system's network",
            Self::Process => "began a process",
        })
    }
}

/// A unit that reached past its ports.
#[derive(Clone, Debug)]
pub struct Escape {
    /// The number that the unit has in the simulation.
    pub unit: u32,
    /// Past which port.
    pub what: What,
    /// Which function was called, by its name in the C library; of a hash map, in Rust.
    pub call: &'static str,
    /// How often.
    pub times: u64,
    /// What led to the first call.
    trace: Option<Arc<Backtrace>>,
}

impl Escape {
    /// The function and the line of the program, if the executable tells, such as `front::serve (front/src/lib.rs:45:9)`.
    ///
    /// Of a hash map it is not known. This takes a while, as it reads the executable.
    pub fn place(&self) -> Option<String> {
        place(&self.trace.as_ref()?.to_string(), self.call)
    }
}

impl fmt::Display for Escape {
    /// What happened, without who it was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} times)", self.what, self.call, self.times)
    }
}

/// The first frame of a backtrace, as the standard library prints it, behind that of the call and those of Rust's libraries.
fn place(trace: &str, call: &str) -> Option<String> {
    let frames = frames(trace);
    let behind = frames.iter().position(|(function, _)| *function == call).map_or(0, |call| call + 1);
    let is_library = |function: &str, at: Option<&str>| {
        let name = function.trim_start_matches('<');
        // An executable with nothing but lines tells functions without their modules.
        ["std::", "core::", "alloc::", concat!(env!("CARGO_CRATE_NAME"), "::escape::")]
            .iter()
            .any(|library| name.starts_with(library))
            || at.is_some_and(|at| at.starts_with("/rustc/"))
    };
    let (function, at) = frames[behind..].iter().find(|(function, at)| !is_library(function, *at))?;
    Some(at.map_or_else(|| (*function).to_owned(), |at| format!("{function} ({at})")))
}

/// The functions of a backtrace with their places.
fn frames(trace: &str) -> Vec<(&str, Option<&str>)> {
    let mut frames: Vec<(&str, Option<&str>)> = Vec::new();
    for line in trace.lines().map(str::trim) {
        match (line.strip_prefix("at "), line.split_once(": "), frames.last_mut()) {
            (Some(place), _, Some((_, at))) => *at = Some(place),
            (None, Some((number, function)), _) if number.parse::<u32>().is_ok() => {
                frames.push((function, None))
            }
            _ => {}
        }
    }
    frames
}

thread_local! {
    /// Whose code runs on this thread, if it is a unit's.
    static UNIT: Cell<Option<u32>> = const { Cell::new(None) };
    static NOTICED: RefCell<Vec<Escape>> = const { RefCell::new(Vec::new()) };
    /// What the pretended clock shows, in nanoseconds.
    static CLOCK: Cell<u64> = const { Cell::new(0) };
    /// How many random numbers were given out.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// While it is held, what this thread does is a unit's, or nobody's. What was before is so again when it is dropped.
///
/// Guards are dropped in the opposite order in which they were made.
#[derive(Debug)]
#[must_use = "what is noticed is noticed only while it is held"]
pub struct Guard {
    before: Option<u32>,
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl Guard {
    /// From now on the code of this unit runs.
    pub fn enter(unit: u32) -> Self {
        Self::switch(Some(unit))
    }

    /// From now on no unit's code runs: for the simulation's own work in the middle of a call at a port.
    pub fn outside() -> Self {
        Self::switch(None)
    }

    fn switch(unit: Option<u32>) -> Self {
        Self { before: switch(unit), thread: PhantomData }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        switch(self.before);
    }
}

/// Gives the thread to a unit, or to nobody, and says who had it.
fn switch(unit: Option<u32>) -> Option<u32> {
    let before = UNIT.replace(None);
    if let Some(unit) = before {
        let times = seeds::made();
        if times > 0 {
            record(unit, What::Hash, "RandomState::new", times);
        }
    }
    if unit.is_some() {
        seeds::begin();
    }
    UNIT.set(unit);
    before
}

/// What was noticed on this thread since the last time, in the order in which each was first. The pretended clock and
/// randomness begin again with what they began with.
pub fn taken() -> Vec<Escape> {
    CLOCK.set(0);
    RANDOM.set(0);
    NOTICED.take()
}

/// Whether a call gets a pretended answer. If a unit is running that must not make it, it is written down.
///
/// Never panics, as those who call it are called by C: all that it could stumble over is its own.
#[allow(dead_code, reason = "where symbols is left out nobody calls it")]
fn notice(what: What, call: &'static str) -> bool {
    if what == What::Randomness && seeds::is_making() {
        return true;
    }
    let Ok(Some(unit)) = UNIT.try_with(Cell::get) else { return false };
    // A panic hook reads the executable to print a backtrace, which is no doing of the program.
    if std::thread::panicking() {
        return false;
    }
    // What the record itself calls, memory above all, is not the program's.
    UNIT.set(None);
    record(unit, what, call, 1);
    UNIT.set(Some(unit));
    true
}

fn record(unit: u32, what: What, call: &'static str, times: u64) {
    // A thread that ends has nobody left to tell.
    let _ = NOTICED.try_with(|noticed| {
        let mut noticed = noticed.borrow_mut();
        match noticed.iter_mut().find(|escape| escape.unit == unit && escape.call == call) {
            Some(escape) => escape.times = escape.times.saturating_add(times),
            None => {
                let trace = (what != What::Hash).then(|| Arc::new(Backtrace::force_capture()));
                noticed.push(Escape { unit, what, call, times, trace });
            }
        }
    });
}

#[cfg(test)]
mod tests;
