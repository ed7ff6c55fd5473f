//! Processes that must not outlive their parent.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal};

/// Has the kernel kill what this command starts when the thread that starts it ends, however that ends.
pub fn die_with_us(command: &mut Command) {
    signal_with_our_end(command, Signal::KILL);
}

/// As [`die_with_us`], for what has something of its own to end before: it is asked to end (SIGTERM).
pub fn ask_with_our_end(command: &mut Command) {
    signal_with_our_end(command, Signal::TERM);
}

fn signal_with_our_end(command: &mut Command, signal: Signal) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; this makes two system calls.
    unsafe { command.pre_exec(move || be_signalled(parent, signal)) };
}

/// To be called in a child before exec: the kernel kills it when the thread that started it ends
/// (`PR_SET_PDEATHSIG`). Makes two system calls and allocates nothing.
pub(crate) fn die_with(parent: Pid) -> io::Result<()> {
    be_signalled(parent, Signal::KILL)
}

fn be_signalled(parent: Pid, signal: Signal) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    // The parent may have died before that call, and then nobody would send the signal.
    if rustix::process::getppid() != Some(parent) {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
    }
    Ok(())
}
