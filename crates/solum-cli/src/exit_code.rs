//! Exit statuses of `solum`. They are part of its interface.
//!
//! `solum run` and `solum exec` exit with the program's own status, and with 128 + N where a signal N ended it, as
//! shells do. What Solum itself has to say lies between 100 and 127, where programs rarely are.

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
    /// The machine did not come up, or ended without its program: kernel panic, hang, too little memory.
    MachineFailed = 105,
    /// The host refuses something: a port in use, no space, no permission.
    HostRefuses = 106,
    /// The program could not be started in its machine.
    NotStarted = 107,
    /// The description of a system is wrong.
    WrongDescription = 108,
    /// `--timeout` was over (the status that timeout(1) uses).
    TimedOut = 124,
    /// The user asked twice and the machine was killed, or asked before there was a machine (128 + SIGINT).
    Killed = 130,
}

/// What `solum --help` says about exit statuses.
pub const HELP: &str = "Exit status: that of the program, or 128 + N if signal N ended it. Else:
    2  the command line is wrong
  101  the program could not be built
  102  the program, a file or a share cannot be used as it is
  103  a tool that Solum drives is missing (see `solum doctor`)
  104  the kernel is not to be had
  105  the machine failed: it did not come up, or ended without its program
  106  the host refuses something: a port in use, no space, no permission
  107  the program could not be started in its machine
  108  the description of a system (solum.toml) is wrong
  124  --timeout was over
  130  a second Ctrl-C killed the machine, or the first one ended the getting of a kernel";
