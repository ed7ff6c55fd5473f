//! Ctrl-C, SIGTERM and the hang-up: which of them are one request, and what a request means at the moment.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::{Handle as Listener, Signals};
use signal_hook::low_level::emulate_default_handler;
use solum_kernel::Interrupt;
use solum_vm::Handle;

use crate::container::Container;
use crate::exit_code::ExitCode;
use crate::terminal;

/// What a request means at the moment. Once a signal has been listened to, its default is gone.
enum Stage {
    /// What it means to any process.
    Ordinary,
    /// Getting a kernel, or whatever else runs commands, is to be given up.
    Kernel(Interrupt),
    /// An image is being made, in this directory, which is to be removed.
    Making(PathBuf),
    /// There is a simulation, which is to end: its process.
    Simulation(OwnedFd),
    /// There is a machine, and whoever runs it obeys.
    Machine(Handle),
    /// Podman runs a container, which is to end.
    Container(Container),
}

impl Stage {
    /// In an orderly way.
    fn stop(&self) {
        match self {
            Self::Machine(handle) => handle.stop(),
            Self::Container(container) => container.stop(),
            _ => {}
        }
    }

    fn kill(&self) {
        match self {
            Self::Machine(handle) => handle.kill(),
            Self::Container(container) => container.kill(),
            _ => {}
        }
    }
}

struct State {
    stage: Stage,
    requests: Requests,
    /// The signal of the last request.
    asked: Option<i32>,
}

static STATE: Mutex<State> =
    Mutex::new(State { stage: Stage::Ordinary, requests: Requests::new(), asked: None });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signals so soon after another say the same once more: timeout(1) sends SIGTERM to its command, and at once to the whole
/// group, in which its command is too.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// Tells requests apart.
struct Requests {
    count: u32,
    last: Option<Instant>,
}

impl Requests {
    const fn new() -> Self {
        Self { count: 0, last: None }
    }

    /// A signal came: which request that is, from 1 on; nothing if it belongs to the one before.
    fn hear(&mut self, now: Instant) -> Option<u32> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < ONE_REQUEST) {
            return None;
        }
        self.last = Some(now);
        self.count = self.count.saturating_add(1);
        Some(self.count)
    }
}

/// How long giving up may take: to remove a gigabyte of object files.
const GIVING_UP: Duration = Duration::from_secs(10);

/// While this lives, requests interrupt what goes on; afterwards they mean again what they meant before.
pub struct Interruptible(Option<Stage>);

impl Interruptible {
    fn begin(stage: Stage) -> Self {
        Self(Some(std::mem::replace(&mut state().stage, stage)))
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            state().stage = before;
        }
    }
}

/// Lets the first request raise an interrupt; the second ends this process at once. SIGHUP keeps its default, or its being
/// ignored under `nohup`: whatever commands run end with this process in any case.
pub fn interruptible(interrupt: Interrupt) -> io::Result<Interruptible> {
    let interruptible = Interruptible::begin(Stage::Kernel(interrupt));
    listen(&[SIGINT, SIGTERM])?;
    Ok(interruptible)
}

/// As [`interruptible`], with the hang-up: for what leaves something behind that only this process removes.
pub fn removing(interrupt: Interrupt) -> io::Result<Interruptible> {
    let interruptible = interruptible(interrupt)?;
    listen(&[SIGHUP])?;
    Ok(interruptible)
}

/// Lets the first request stop a container in an orderly way, and the second kill it.
pub fn end_container(container: Container) -> io::Result<Interruptible> {
    let interruptible = Interruptible::begin(Stage::Container(container));
    listen(&[SIGINT, SIGTERM, SIGHUP])?;
    Ok(interruptible)
}

/// Lets a request end this process, and remove the directory in which it makes something.
pub fn making(directory: PathBuf) -> io::Result<Interruptible> {
    let interruptible = Interruptible::begin(Stage::Making(directory));
    listen(&[SIGINT, SIGTERM, SIGHUP])?;
    Ok(interruptible)
}

/// Lets a request end the process of a simulation; a second one ends this process at once.
pub fn end_simulation(process: OwnedFd) -> io::Result<Interruptible> {
    let interruptible = Interruptible::begin(Stage::Simulation(process));
    listen(&[SIGINT, SIGTERM, SIGHUP])?;
    Ok(interruptible)
}

/// Passes on what the user asks of a machine: the first request stops it in an orderly way, the second kills it; a terminal
/// of another size is told on.
pub fn obey(handle: Handle) -> io::Result<()> {
    tell_size(&handle);
    state().stage = Stage::Machine(handle);
    listen(&[SIGINT, SIGTERM, SIGHUP, SIGWINCH])
}

/// How the last request ends this process, if it is what ends it; nothing if there was none.
pub fn asked() -> Option<ExitCode> {
    state().asked.map(ExitCode::of_signal)
}

fn listen(signals: &[i32]) -> io::Result<()> {
    static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);
    let mut listener = LISTENER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(listener) = &*listener {
        return heeded(signals).into_iter().try_for_each(|signal| listener.add_signal(signal));
    }
    let mut signals = Signals::new(heeded(signals))?;
    *listener = Some(signals.handle());
    thread::spawn(move || signals.forever().for_each(heard));
    Ok(())
}

fn heard(signal: i32) {
    let mut state = state();
    if signal == SIGWINCH {
        if let Stage::Machine(handle) = &state.stage {
            tell_size(handle);
        }
        return;
    }
    let Some(request) = state.requests.hear(Instant::now()) else { return };
    state.asked = Some(signal);
    match (&state.stage, request) {
        (Stage::Kernel(interrupt), 1) => {
            terminal::say_stopping("stopping; once more ends at once");
            interrupt.raise();
            thread::spawn(move || {
                thread::sleep(GIVING_UP);
                let _ = emulate_default_handler(signal);
            });
        }
        (Stage::Making(directory), _) => {
            let _ = fs::remove_dir_all(directory);
            terminal::say("interrupted; the image in the making was not written");
            std::process::exit(ExitCode::of_signal(signal) as i32)
        }
        (Stage::Simulation(process), 1) => {
            // A process that has ended needs no killing.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        (Stage::Simulation(_), _) => std::process::exit(ExitCode::of_signal(signal) as i32),
        // It does not return.
        (Stage::Ordinary | Stage::Kernel(_), _) => drop(emulate_default_handler(signal)),
        (Stage::Machine(_) | Stage::Container(_), 1) => {
            terminal::say_stopping("stopping; once more kills");
            state.stage.stop();
        }
        (Stage::Machine(_) | Stage::Container(_), 2) => {
            terminal::say_stopping("killing");
            state.stage.kill();
        }
        (Stage::Container(container), _) => {
            container.abandon();
            std::process::exit(ExitCode::of_signal(signal) as i32)
        }
        // A third time: whatever still holds this process up, the user wants it gone.
        (Stage::Machine(_), _) => std::process::exit(ExitCode::of_signal(signal) as i32),
    }
}

/// Without what whoever started Solum had it ignore: nohup(1) the hang-up, a shell without job control Ctrl-C for what runs
/// in its background (POSIX XCU 2.11).
fn heeded(signals: &[i32]) -> Vec<i32> {
    static IGNORED: OnceLock<u64> = OnceLock::new();
    // Read once: a handler of our own is not ignored any more.
    let ignored =
        IGNORED.get_or_init(|| ignored_signals(&fs::read_to_string("/proc/self/status").unwrap_or_default()));
    signals.iter().copied().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
}

/// The set of ignored signals in the text of `/proc/self/status`, signal 1 as the lowest bit (proc_pid_status(5)).
fn ignored_signals(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

fn tell_size(handle: &Handle) {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        handle.resize(size.ws_row, size.ws_col);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tsolum\nSigBlk:\t00000000000000ff\nSigIgn:\t0000000000001001\nSigCgt:\t0000\n";
        assert_eq!(ignored_signals(status), 1 << (SIGHUP - 1) | 1 << 12);
        assert_eq!(ignored_signals("SigIgn:\tnonsense\n"), 0);
        assert_eq!(ignored_signals(""), 0);
    }

    #[test]
    fn signals_that_follow_each_other_closely_are_one_request() {
        let begun = Instant::now();
        let mut requests = Requests::new();
        let heard: Vec<_> = [0, 1, 499, 500, 999, 1_000, 5_000]
            .into_iter()
            .map(|ms| requests.hear(begun + Duration::from_millis(ms)))
            .collect();
        assert_eq!(heard, [Some(1), None, None, Some(2), None, Some(3), Some(4)]);
    }
}
