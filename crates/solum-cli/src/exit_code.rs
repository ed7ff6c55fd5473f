//! Exit statuses of `solum`. They are part of its interface.
//!
//! `solum run` and `solum exec` exit with the program's own status, and with 128 + N where a signal N ended it, as
//! shells do. What Solum itself has to say lies between 100 and 127, where programs rarely are.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How `solum` ends when it is Solum, not the program, that has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Cargo could not build the program or the init.
    BuildFailed = 101,
    /// The program, a file or a share cannot be used as it is.
    UnusableInput = 102,
    /// A tool that Solum drives is missing.
    ToolMissing = 103,
    /// There is no such kernel, or it could not be fetched or built.
    KernelUnavailable = 104,
    /// The machine did not come up, or ended without its program: kernel panic, hang, too little memory. Or a simulation
    /// ended without its answer.
    MachineFailed = 105,
    /// The host refuses something: a port in use, no space, no permission.
    HostRefuses = 106,
    /// The program could not be started in its machine.
    NotStarted = 107,
    /// The description of a system is wrong.
    WrongDescription = 108,
    /// A run of a simulation failed.
    RunFailed = 109,
    /// A registry of images cannot be reached, or refuses.
    RegistryRefuses = 110,
    /// Two builds of the same made different images.
    NotReproducible = 111,
    /// What was read back from a device is not what was written to it.
    NotKept = 112,
    /// `--timeout` was over (the status that timeout(1) uses).
    TimedOut = 124,
    /// The terminal hung up twice and the machine was killed, or once before the program was started (128 + SIGHUP).
    HungUp = 129,
    /// The user asked twice and the machine was killed, or asked before the program was started (128 + SIGINT).
    Interrupted = 130,
    /// As [`Interrupted`](Self::Interrupted), by another process (128 + SIGTERM).
    Terminated = 143,
}

impl ExitCode {
    /// That of a run which a signal put an end to.
    pub fn of_signal(signal: i32) -> Self {
        match signal {
            SIGHUP => Self::HungUp,
            SIGTERM => Self::Terminated,
            _ => Self::Interrupted,
        }
    }

    /// That of a command which the same signal put an end to that reached this process, or is about to; a shell passes such
    /// an end of its command on as 128 + N.
    pub fn of_interrupted(status: ExitStatus) -> Option<Self> {
        let passed_on = status.code().map(|code| code - 128);
        let signal = status.signal().or(passed_on)?;
        matches!(signal, SIGHUP | SIGINT | SIGTERM).then(|| Self::of_signal(signal))
    }
}

/// What `solum --help` says about exit statuses.
pub const HELP: &str = "Exit status: that of the program, or 128 + N if signal N ended it. Else:
    2  the command line is wrong
  101  the program could not be built
  102  the program, a file or a share cannot be used as it is
  103  a tool that Solum drives is missing (see `solum doctor`)
  104  the kernel is not to be had
  105  the machine failed: it did not come up, or ended without its program (or a simulation did)
  106  the host refuses something: a port in use, no space, no permission
  107  the program could not be started in its machine
  108  the description of a system (solum.toml) is wrong
  109  a run of the simulation failed
  110  the registry of images cannot be reached, or refuses
  111  two builds of the same made different images
  112  a device did not keep what was written to it
  124  --timeout was over
  130  Ctrl-C came before the program was started, or a second one killed the machine
       (143 for SIGTERM, 129 for SIGHUP)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_interrupted_a_command_interrupts_its_caller() {
        for (status, code) in [
            (SIGINT, Some(ExitCode::Interrupted)),
            (SIGTERM, Some(ExitCode::Terminated)),
            (130 << 8, Some(ExitCode::Interrupted)),
            (129 << 8, Some(ExitCode::HungUp)),
            (9, None),
            (101 << 8, None),
            (2 << 8, None),
            (0, None),
        ] {
            assert_eq!(ExitCode::of_interrupted(ExitStatus::from_raw(status)), code, "{status:#x}");
        }
    }
}
