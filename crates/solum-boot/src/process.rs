//! Starting and signalling processes.

use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::PollFd;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, kill_process_group, setrlimit, setsid};
use rustix::termios::{Winsize, tcsetwinsize};
use solum_spec::Description;
use solum_spec::description::Unit;

use crate::devices::Streams;
use crate::life::Child;
use crate::tail::Tail;
use crate::{devices, identity, kernel_log, role};

/// What a program finds in its environment unless its description says otherwise.
const PATH: &str = "/bin:/sbin:/usr/bin:/usr/sbin";

/// Names the machine to its programs, so a program can tell that it runs in one.
pub const MACHINE_VARIABLE: &str = "SOLUM_MACHINE";

/// Descriptors a process may open: few unless it asks (select(2) breaks above 1024), many if it does.
const OPEN_FILES: Rlimit = Rlimit { current: Some(1024), maximum: Some(524_288) };

/// Raises what a kernel starts PID 1 with to what programs expect; children inherit it.
pub fn raise_limits() {
    let _ = setrlimit(Resource::Nofile, OPEN_FILES);
}

/// Signals every process but PID 1.
pub fn signal_all(signal: u8) {
    // SAFETY: kill(2) takes two integers and touches no memory; -1 means every process but PID 1 and the caller.
    unsafe { libc::kill(-1, i32::from(signal)) };
}

/// The processes that PID 1 watches.
#[derive(Default)]
pub struct Processes {
    running: Vec<(Pid, Child)>,
    terminal: Option<File>,
    /// What the terminal's size is, or will be when there is one.
    size: Option<Winsize>,
    /// The way of its standard error, if somebody may want to read the last of it later.
    tail: Option<Tail>,
    /// The program's session, as long as it may have left something behind.
    session: Option<Pid>,
}

impl Processes {
    /// Starts the program of the machine on the streams that the host gave it; `keeps` says that the last of its standard error
    /// is to be known.
    pub fn start_program(&mut self, description: &Description, keeps: bool) -> io::Result<()> {
        // Before the streams are opened again: a port has one opener at a time (drivers/char/virtio_console.c).
        let unwritten = self.tail.take().map(Tail::into_unwritten).unwrap_or_default();
        let Streams { files: [input, output, error], terminal } = devices::open_streams()?;
        let unit = &description.unit;
        let mut command = Command::new(&unit.path);
        command
            .args(&unit.arguments)
            .env_clear()
            .envs(environment(unit, &description.host_name))
            .stdin(input)
            .stdout(output.try_clone()?);
        if keeps {
            let (tail, end) = Tail::new(error, terminal.is_some(), unwritten)?;
            command.stderr(end);
            self.tail = Some(tail);
        } else {
            command.stderr(error);
        }
        if terminal.is_some() {
            self.apply_size(&output);
        }
        // When the leader of a session ends, its controlling terminal hangs up (tty_ioctl(4)) for PID 1 too, which could
        // then not wait for the last output of a serial port. A virtio console has no output to wait for: each write
        // returns when the host has it (drivers/char/virtio_console.c, `put_chars`).
        let is_controlling = terminal == Some(devices::CONSOLE);
        let is_root = unit.user_id == 0;
        if is_root {
            command.current_dir("/");
        } else {
            if let Some(path) = terminal {
                // So that the program may open /dev/stdout and its like again.
                let _ = std::os::unix::fs::chown(path, Some(unit.user_id), Some(unit.user_id));
            }
            command.uid(unit.user_id).gid(unit.user_id).current_dir(identity::HOME);
        }
        // SAFETY: between fork and exec the closure makes three system calls and nothing else; it neither
        // allocates nor takes locks.
        unsafe {
            command.pre_exec(move || {
                setsid()?;
                if is_controlling {
                    // Where it cannot be the program's own terminal, it is still its output.
                    let _ = rustix::process::ioctl_tiocsctty(rustix::stdio::stdin());
                }
                if !is_root {
                    rustix::thread::set_no_new_privs(true)?;
                }
                Ok(())
            });
        }
        self.session = self.spawn(command, Child::Program)?;
        self.terminal = terminal.map(|_| output);
        Ok(())
    }

    /// Starts a role of this very executable. `channel` is its standard input: its configuration comes from
    /// there, and its reports go there. It inherits these other descriptors under their numbers.
    pub fn start_role(&mut self, child: Child, channel: OwnedFd, inherited: &[RawFd]) -> io::Result<()> {
        let log = || kernel_log::open().map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(role::process_name(child))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(channel))
            .stdout(log())
            .stderr(log());
        let inherited = inherited.to_vec();
        // SAFETY: between fork and exec the closure makes system calls and nothing else; it neither allocates nor takes
        // locks. fcntl(2) takes integers, and a descriptor that were closed by now would be refused.
        unsafe {
            command.pre_exec(move || {
                for descriptor in &inherited {
                    if libc::fcntl(*descriptor, libc::F_SETFD, 0) != 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        self.spawn(command, child).map(drop)
    }

    fn spawn(&mut self, mut command: Command, child: Child) -> io::Result<Option<Pid>> {
        let process = command.spawn()?;
        // PID 1 reaps whatever ends, so nobody waits for this handle.
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        self.running.extend(pid.map(|pid| (pid, child)));
        Ok(pid)
    }

    /// Ends what the program started and left behind in its process group.
    pub fn end_left_overs(&mut self) {
        if let Some(session) = self.session.take() {
            // Mostly there is nobody.
            let _ = kill_process_group(session, Signal::KILL);
        }
    }

    /// What to wait on for the program's standard error.
    pub fn poll_descriptor(&self) -> Option<PollFd<'_>> {
        self.tail.as_ref().and_then(Tail::poll_descriptor)
    }

    /// Carries the program's standard error on.
    pub fn turn(&mut self) {
        self.tail.iter_mut().for_each(Tail::turn);
    }

    /// The last that the program wrote to its standard error, once it has ended.
    pub fn last_words(&mut self) -> &[u8] {
        self.tail.as_mut().map_or(&[], Tail::last_words)
    }

    /// Notes that a process ended. `None` if it was an orphan, which nobody misses.
    pub fn ended(&mut self, pid: Pid) -> Option<Child> {
        let index = self.running.iter().position(|(running, _)| *running == pid)?;
        Some(self.running.swap_remove(index).1)
    }

    /// Sends a child a signal, if it runs.
    pub fn signal(&self, child: Child, signal: u8) {
        let Some(signal) = Signal::from_named_raw(i32::from(signal)) else { return };
        for (pid, _) in self.running.iter().filter(|(_, running)| *running == child) {
            // It may have ended in this moment; that will be noticed.
            let _ = kill_process(*pid, signal);
        }
    }

    /// Gives the program's terminal the size of the terminal that shows it.
    pub fn resize_terminal(&mut self, rows: u16, columns: u16) {
        self.size = Some(Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
        if let Some(terminal) = &self.terminal {
            self.apply_size(terminal);
        }
    }

    fn apply_size(&self, terminal: &File) {
        if let Some(size) = self.size {
            // A program on a terminal of an unknown size is better than none.
            let _ = tcsetwinsize(terminal, size);
        }
    }

    /// Waits until all output has left PID 1, and all that went to a serial terminal the machine, for so long at most. What went to a
    /// virtio console or to the host's ports has been handed over already.
    pub fn drain(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        self.terminal.iter().for_each(devices::let_flow);
        self.tail.iter_mut().for_each(|tail| tail.drain(patience));
        if let Some(terminal) = &self.terminal {
            devices::drain(terminal, end.saturating_duration_since(Instant::now()));
        }
    }
}

fn environment(unit: &Unit, host_name: &str) -> Vec<(String, String)> {
    // A later value of the same name wins.
    system_environment(unit.user_id == 0, host_name)
        .into_iter()
        .chain(unit.environment.iter().cloned())
        .collect()
}

/// What every program finds in its environment unless its description says otherwise.
pub fn system_environment(is_root: bool, host_name: &str) -> Vec<(String, String)> {
    let (home, user) = if is_root { ("/root", "root") } else { (identity::HOME, identity::USER) };
    let defaults = [
        ("PATH", PATH),
        ("HOME", home),
        ("USER", user),
        ("TMPDIR", "/tmp"),
        ("TERM", "linux"),
        (MACHINE_VARIABLE, host_name),
    ];
    defaults.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
