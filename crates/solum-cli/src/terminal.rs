//! The person at the terminal: what is going on, and Ctrl-C.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::exit_code::ExitCode;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use solum_kernel::{Interrupt, Progress, Unit};
use solum_vm::Handle;

/// Says something about Solum's own work, on standard error. The program's output is on standard output.
pub fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    let (dim, off) = if stderr.is_terminal() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    // Nobody is left to hear that standard error is closed.
    let _ = writeln!(stderr, "{dim}solum: {text}{off}");
}

/// A line that shows that something goes on, and vanishes when it is over. Only on a terminal.
pub fn spinner(text: String) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(text);
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Progress of a long task: on a terminal a bar, elsewhere a line for each phase.
pub struct Bars {
    bar: ProgressBar,
}

impl Bars {
    /// Nothing is shown until there is something to show.
    pub fn new() -> Self {
        Self { bar: ProgressBar::hidden() }
    }

    fn style(unit: Unit, has_total: bool) -> ProgressStyle {
        let template = match (unit, has_total) {
            (Unit::Bytes, true) => "{msg} {wide_bar} {bytes}/{total_bytes} {eta}",
            (Unit::Bytes, false) => "{spinner} {msg} {bytes} {elapsed}",
            (Unit::Steps, true) => "{msg} {wide_bar} {pos}/{len} files {elapsed}",
            (Unit::Steps, false) => "{spinner} {msg} {pos} files {elapsed}",
        };
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }
}

impl Progress for Bars {
    fn phase(&self, text: &str) {
        if io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(120));
            self.bar.set_style(Self::style(Unit::Steps, false));
            self.bar.reset();
            self.bar.set_message(text.to_owned());
        } else {
            say(text);
        }
    }

    fn progress(&self, unit: Unit, done: u64, total: Option<u64>) {
        self.bar.set_style(Self::style(unit, total.is_some()));
        if let Some(total) = total {
            self.bar.set_length(total.max(done));
        }
        self.bar.set_position(done);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Whether a person types and reads.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether reading standard input does not stop this process: it is no terminal, or this is its foreground job.
pub fn is_in_foreground() -> bool {
    let foreground = rustix::termios::tcgetpgrp(rustix::stdio::stdin());
    foreground.map_or(true, |group| group == rustix::process::getpgrp())
}

/// What Ctrl-C and SIGTERM mean at the moment. Once a signal has been listened to, its default is gone.
enum Stage {
    /// What they mean to any process.
    Ordinary,
    /// Getting a kernel is to be given up.
    Kernel(Interrupt),
    /// There is a machine, and whoever runs it obeys them.
    Machine,
}

static STAGE: Mutex<Stage> = Mutex::new(Stage::Ordinary);

/// How long giving up may take: to remove a gigabyte of object files.
const GIVING_UP: Duration = Duration::from_secs(10);

fn stage() -> MutexGuard<'static, Stage> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this lives, Ctrl-C and SIGTERM interrupt the getting of a kernel.
pub struct Interruptible;

impl Drop for Interruptible {
    fn drop(&mut self) {
        *stage() = Stage::Ordinary;
    }
}

/// Lets the first Ctrl-C or SIGTERM raise an interrupt; the second ends this process at once. SIGHUP keeps its default,
/// or its being ignored under `nohup`: whatever commands run end with this process in any case.
pub fn interruptible(interrupt: Interrupt) -> io::Result<Interruptible> {
    static LISTENING: Once = Once::new();
    *stage() = Stage::Kernel(interrupt);
    let stoppable = Interruptible;
    let mut result = Ok(());
    LISTENING.call_once(|| result = listen());
    result.map(|()| stoppable)
}

fn listen() -> io::Result<()> {
    let mut signals = Signals::new(heeded(&[SIGINT, SIGTERM]))?;
    thread::spawn(move || signals.forever().for_each(give_up));
    Ok(())
}

fn give_up(signal: i32) {
    match &*stage() {
        Stage::Machine => {}
        Stage::Kernel(interrupt) if !interrupt.is_raised() => {
            say("stopping; once more ends at once");
            interrupt.raise();
            thread::spawn(move || {
                thread::sleep(GIVING_UP);
                let _ = emulate_default_handler(signal);
            });
        }
        // It does not return.
        Stage::Ordinary | Stage::Kernel(_) => {
            let _ = emulate_default_handler(signal);
        }
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

/// Passes on what the user asks of a machine: the first Ctrl-C, SIGTERM or hang-up stops it in an orderly way, the
/// second kills it; a terminal of another size is told on.
pub fn obey_signals(handle: Handle) -> io::Result<()> {
    let mut signals = Signals::new(heeded(&[SIGINT, SIGTERM, SIGHUP, SIGWINCH]))?;
    *stage() = Stage::Machine;
    tell_size(&handle);
    thread::spawn(move || {
        let (mut asked, mut killed) = (false, false);
        for signal in signals.forever() {
            match signal {
                SIGWINCH => tell_size(&handle),
                // A third time: whatever still holds this process up, the user wants it gone.
                _ if killed => std::process::exit(ExitCode::Killed as i32),
                _ if asked => {
                    killed = true;
                    handle.kill();
                }
                _ => {
                    asked = true;
                    say("stopping; once more kills");
                    handle.stop();
                }
            }
        }
    });
    Ok(())
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
}
