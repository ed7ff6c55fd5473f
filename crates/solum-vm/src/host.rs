//! The place `host`: the bare program as a process of this host, with the arguments and the environment it would
//! have in its machine. What it reads and writes are the caller's own standard streams.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use solum_spec::control::{Outcome, PROTOCOL, ToMachine};
use solum_spec::{Bundle, Publish, Share};

use crate::child;
use crate::error::VmError;
use crate::life::{Cause, Effect, Event, Life, Limits};
use crate::report::{Durations, End, Report};
use crate::requests::Requests;

/// A program to run as a process of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// Its environment, in addition to what every program has: PATH, HOME, USER, TMPDIR, TERM.
    pub environment: Vec<(String, String)>,
}

/// Runs a program to its end.
///
/// Blocks the calling thread, which must be one that lives as long: the program is killed by the kernel when it
/// ends. A program whose input is a terminal stays in the terminal's foreground group, where it can read; Ctrl-C
/// reaches it there too. Any other gets a group of its own, which ends with it, as a machine's processes do.
pub fn run(process: &Process, limits: Limits, mut requests: Requests) -> Result<Report, VmError> {
    let mut running = Running::start(process, limits)?;
    while !running.life.is_over() {
        running.turn(&mut requests)?;
    }
    Ok(running.report())
}

/// What has no effect in the place `host`, a sentence each, for the user to know.
pub fn notes(publish: &[Publish], shares: &[Share], bundles: &[Bundle]) -> Vec<String> {
    let ports = publish.iter().filter(|publish| publish.host_port != publish.machine_port).map(|publish| {
        format!(
            "the program opens its ports on the host itself: it is on port {}, not on {}",
            publish.machine_port, publish.host_port
        )
    });
    let files = shares
        .iter()
        .map(|share| (&share.source, &share.target))
        .chain(bundles.iter().map(|bundle| (&bundle.source, &bundle.target)))
        .map(|(source, target)| format!("{} is where it is, not at {target}", source.display()));
    ports.chain(files).collect()
}

struct Running {
    child: Child,
    pid: Pid,
    /// Readable when the child has ended (pidfd_open(2)).
    ended: OwnedFd,
    own_group: bool,
    life: Life,
    start: Instant,
    durations: Durations,
    outcome: Option<Outcome>,
    grace_is_over: bool,
}

impl Running {
    fn start(process: &Process, limits: Limits) -> Result<Self, VmError> {
        let own_group = !io::stdin().is_terminal();
        let mut command = Command::new(&process.program);
        command
            .args(&process.arguments)
            .env_clear()
            .envs(environment(process, |name| std::env::var_os(name)));
        if own_group {
            command.process_group(0);
        }
        child::die_with_us(&mut command);
        let mut child = command.spawn().map_err(|error| VmError::Spawn(process.program.clone(), error))?;
        let pid = Pid::from_child(&child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| {
            // Without it nothing would be told of the program's end.
            let _ = child.kill();
            let _ = child.wait();
            VmError::Host(error.into())
        })?;
        let mut life = Life::new(limits);
        // A process is up as soon as it runs: nobody has to say hello.
        life.step(Duration::ZERO, Event::Hello(PROTOCOL));
        let durations = Durations { started: Some(Duration::ZERO), ..Durations::default() };
        let start = Instant::now();
        Ok(Self { child, pid, ended, own_group, life, start, durations, outcome: None, grace_is_over: false })
    }

    fn turn(&mut self, requests: &mut Requests) -> Result<(), VmError> {
        let patience = self.life.patience(self.start.elapsed()) + Duration::from_millis(1);
        let timeout = Timespec::try_from(patience).ok();
        let mut descriptors = [
            PollFd::from_borrowed_fd(requests.descriptor(), PollFlags::IN),
            PollFd::new(&self.ended, PollFlags::IN),
        ];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(VmError::Host(error.into())),
        }
        requests.rest();
        while let Some(request) = requests.next() {
            self.happened(Event::Requested(request));
        }
        if let Some(status) = self.child.try_wait()? {
            self.end(status);
        }
        self.happened(Event::Tick);
        Ok(())
    }

    fn end(&mut self, status: ExitStatus) {
        if self.own_group {
            // Whatever the program left behind; usually there is nothing, and that is no error.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        self.outcome = Some(outcome(status, self.grace_is_over));
        self.durations.total = self.start.elapsed();
        self.durations.ended = Some(self.durations.total);
        self.happened(Event::Gone);
    }

    fn happened(&mut self, event: Event) {
        for effect in self.life.step(self.start.elapsed(), event) {
            match effect {
                Effect::Send(ToMachine::Stop) => self.signal(Signal::TERM),
                Effect::Send(ToMachine::Signal(number)) => {
                    if let Some(signal) = Signal::from_named_raw(i32::from(number)) {
                        self.signal(signal);
                    }
                }
                Effect::Kill => {
                    self.grace_is_over = self.life.cause() == Cause::Stopped;
                    self.signal(Signal::KILL);
                }
                // The terminal is the program's own, and a process has neither power button nor channel.
                Effect::Send(ToMachine::Resize { .. })
                | Effect::PressPowerButton
                | Effect::Drain
                | Effect::HangUp => {}
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // It may have ended in this moment, which is noticed next.
        let _ = kill_process(self.pid, signal);
    }

    fn report(self) -> Report {
        let end = match (self.life.cause(), self.outcome) {
            (Cause::Killed, _) => End::Killed,
            (Cause::TimedOut(limit), _) => End::TimedOut(limit),
            (_, Some(outcome)) => End::Program(outcome),
            (_, None) => End::Vanished,
        };
        Report { end, reboots: false, kernel_log: Vec::new(), durations: self.durations }
    }
}

fn outcome(status: ExitStatus, after_grace: bool) -> Outcome {
    match (status.code(), status.signal()) {
        // Linux keeps eight bits of a status and seven of a signal (wait(2)), so neither is cut.
        (Some(code), _) => Outcome::Exited(code as u8),
        (None, signal) => Outcome::Signaled { signal: signal.unwrap_or(0) as u8, after_grace },
    }
}

/// The same names as in a machine, with this host's values.
fn environment(process: &Process, host: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
    let defaults = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/"),
        ("USER", "root"),
        ("TMPDIR", "/tmp"),
        ("TERM", "linux"),
    ];
    let common = defaults.into_iter().map(|(name, value)| (name.into(), host(name).unwrap_or(value.into())));
    let own = process.environment.iter().map(|(name, value)| (name.into(), value.into()));
    common.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::requests;

    fn shell(script: &str) -> Process {
        Process {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into(), "sh".into(), "an argument".into()],
            environment: vec![("GREETING".into(), "good day".into())],
        }
    }

    fn ends(script: &str) -> End {
        let (_handle, requests) = requests().unwrap();
        run(&shell(script), Limits::default(), requests).unwrap().end
    }

    #[test]
    fn status_arguments_and_environment() {
        assert_eq!(ends("exit 7"), End::Program(Outcome::Exited(7)));
        assert_eq!(ends("kill -SEGV $$"), End::Program(Outcome::Signaled { signal: 11, after_grace: false }));
        let script = r#"test "$1" = "an argument" && test "$GREETING" = "good day" && test -n "$HOME""#;
        assert_eq!(ends(script), End::Program(Outcome::Exited(0)));
        assert_eq!(
            ends("test -z \"$CARGO_PKG_NAME\""),
            End::Program(Outcome::Exited(0)),
            "nothing else is passed"
        );
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        let (_handle, requests) = requests().unwrap();
        let process = Process { program: "/no/such/program".into(), ..shell("") };
        let error = run(&process, Limits::default(), requests).unwrap_err();
        assert!(error.to_string().starts_with("/no/such/program cannot be started: "), "{error}");
    }

    #[test]
    fn a_request_to_stop_is_sigterm_and_then_sigkill() {
        let directory = tempfile::tempdir().unwrap();
        let ready = directory.path().join("ready");
        let fifo = ready.to_str().unwrap();
        assert!(Command::new("mkfifo").arg(&ready).status().unwrap().success());
        // The fifo opens when both ends are there, so the request is never made before the trap is set.
        for (trap, stop, end) in [
            ("trap 'exit 3' TERM", Duration::MAX, Outcome::Exited(3)),
            ("trap '' TERM", Duration::ZERO, Outcome::Signaled { signal: 9, after_grace: true }),
        ] {
            let (handle, requests) = requests().unwrap();
            let fifo_end = ready.clone();
            let asker = std::thread::spawn(move || {
                drop(std::fs::File::open(fifo_end));
                handle.stop();
            });
            let process = shell(&format!("{trap}; : >'{fifo}'; while :; do :; done"));
            let stop = stop.min(Duration::from_secs(3600));
            let report = run(&process, Limits { stop, ..Limits::default() }, requests).unwrap();
            asker.join().unwrap();
            assert_eq!(report.end, End::Program(end), "{trap}");
        }
    }

    #[test]
    fn time_limit_and_force() {
        let (_handle, nothing) = requests().unwrap();
        let limits = Limits { timeout: Some(Duration::ZERO), ..Limits::default() };
        let report = run(&shell("while :; do :; done"), limits, nothing).unwrap();
        assert_eq!(report.end, End::TimedOut(Duration::ZERO));
        let (handle, kill) = requests().unwrap();
        handle.kill();
        assert_eq!(run(&shell("while :; do :; done"), Limits::default(), kill).unwrap().end, End::Killed);
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let publish = ["80:8000".parse().unwrap(), "8000:8000".parse().unwrap()];
        let notes = notes(&publish, &["src:/data".parse().unwrap()], &[]);
        let expected = [
            "the program opens its ports on the host itself: it is on port 8000, not on 80",
            "src is where it is, not at /data",
        ];
        assert_eq!(notes, expected);
    }
}
