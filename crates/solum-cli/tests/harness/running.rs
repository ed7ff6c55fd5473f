//! A `solum` that is about to run, and one that runs.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Finished, Scratch, WORKSPACE};

/// Nothing that is tested takes this long. It only ends what hangs; no check depends on it.
const WATCHDOG: Duration = Duration::from_secs(600);

/// A command to be run.
pub struct Solum<'a> {
    scratch: &'a Scratch,
    command: Command,
    input: Option<Vec<u8>>,
}

impl<'a> Solum<'a> {
    pub(super) fn new<A: AsRef<str>>(scratch: &'a Scratch, arguments: &[A]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solum"));
        command.args(arguments.iter().map(|argument| scratch.expand(argument.as_ref())));
        command.current_dir(Path::new(WORKSPACE).canonicalize().unwrap());
        // What Cargo tells its tests would reach the Cargo that `solum` runs.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        // A test that wants windows brings its own display.
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.env("RUST_BACKTRACE", "1").env("TMPDIR", scratch.path("tmp")).env("TERM", "vt100");
        Self { scratch, command, input: None }
    }

    /// Adds arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments.iter().map(|argument| self.scratch.expand(argument)));
        self
    }

    /// Sets a variable of its environment; `[SCRATCH]` stands for the scratch directory.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, self.scratch.expand(value));
        self
    }

    /// Sets a variable of its environment to what need not be text.
    pub fn env_bytes(mut self, name: &str, value: &OsStr) -> Self {
        self.command.env(name, value);
        self
    }

    /// Has it started with a signal ignored, as nohup(1) and shells do.
    pub fn ignoring(mut self, signal: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' {signal}; exec \"$0\" \"$@\"")]);
        shell.arg(self.command.get_program()).args(self.command.get_args());
        shell.current_dir(self.command.get_current_dir().unwrap());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        self.command = shell;
        self
    }

    /// Gives it something to read.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Finished {
        self.start().finish()
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        self.start_on(stdin, Stdio::piped())
    }

    /// Starts it on other streams than the harness would give it.
    pub fn start_on(mut self, stdin: Stdio, stdout: Stdio) -> Running {
        self.command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let shown = shown(&self.command);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), self.input) {
            // A command that ends without reading everything is judged by what it says, not by this.
            thread::spawn(move || stdin.write_all(&input));
        }
        let stdout: Box<dyn Read + Send> = match child.stdout.take() {
            Some(stdout) => Box::new(stdout),
            None => Box::new(std::io::empty()),
        };
        // The command keeps copies of the streams it was given, and a pipe ends only when all are closed.
        drop(self.command);
        Running {
            stdout: Capture::of(stdout),
            stderr: Capture::of(child.stderr.take().unwrap()),
            _watchdog: watch_over(&child),
            child,
            shown,
        }
    }
}

/// The command as it can be pasted into a shell.
fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    let mut text = String::new();
    if let Some(directory) = command.get_current_dir() {
        let _ = write!(text, "cd {} && ", solum_vm::shell::quote(&[directory]));
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
        }
    }
    words.push(command.get_program().to_string_lossy().into_owned());
    words.extend(command.get_args().map(OsStr::to_string_lossy).map(String::from));
    text + "env " + &solum_vm::shell::quote(&words)
}

/// Ends a child that hangs, or whose test is over.
fn watch_over(child: &Child) -> Sender<()> {
    let (sender, receiver) = channel();
    let pid = Pid::from_child(child);
    // A descriptor of the process, because its number may be another's by then.
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    thread::spawn(move || {
        // Called off by a test that ended before its command, as a failed one does, it ends the command too.
        let _ = receiver.recv_timeout(WATCHDOG);
        let _ = pidfd_send_signal(process, Signal::KILL);
    });
    sender
}

/// A command that runs.
pub struct Running {
    pub(super) child: Child,
    pub stdout: Capture,
    pub stderr: Capture,
    pub shown: String,
    _watchdog: Sender<()>,
}

impl Running {
    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let status = self.child.wait().unwrap();
        Finished { status, shown: self.shown, stdout: self.stdout.finish(), stderr: self.stderr.finish() }
    }

    /// Whether it has ended, which shows when it closes its standard error.
    pub fn has_ended(&self) -> bool {
        self.stderr.has_ended()
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

/// What came out of a pipe so far, and whether that is all.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    ended: bool,
}

impl Captured {
    fn has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.bytes).contains(text)
    }
}

/// A pipe that is being read.
pub struct Capture {
    shared: Arc<(Mutex<Captured>, Condvar)>,
    reader: JoinHandle<()>,
}

impl Capture {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(Captured::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 64 * 1024];
            loop {
                let length = pipe.read(&mut buffer).unwrap_or(0);
                let mut captured = theirs.0.lock().unwrap();
                captured.bytes.extend_from_slice(&buffer[..length]);
                captured.ended = length == 0;
                theirs.1.notify_all();
                if captured.ended {
                    return;
                }
            }
        });
        Self { shared, reader }
    }

    /// What came out so far.
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.shared.0.lock().unwrap().bytes).into_owned()
    }

    /// Waits until this is in it; false if it ends without.
    pub fn wait_for(&self, text: &str) -> bool {
        let (lock, changed) = &*self.shared;
        let waiting = |captured: &mut Captured| !captured.ended && !captured.has(text);
        changed.wait_while(lock.lock().unwrap(), waiting).unwrap().has(text)
    }

    /// Whether this is in it by now.
    pub fn has(&self, text: &str) -> bool {
        self.shared.0.lock().unwrap().has(text)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.0.lock().unwrap().ended
    }

    fn finish(self) -> Vec<u8> {
        self.reader.join().unwrap();
        std::mem::take(&mut self.shared.0.lock().unwrap().bytes)
    }
}
