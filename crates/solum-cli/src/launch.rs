//! Carrying out a run: from a plan to an exit status.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use solum_spec::control::{FromMachine, Outcome, StorageReport};
use solum_spec::description::Network;
use solum_spec::{Machine, Share};
use solum_vm::accelerator::{self, Requested};
use solum_vm::{
    Accelerator, Boot, Console, End, Limits, MachineType, Notice, Report, Streams, VmError, host,
};

use crate::arguments::{self, Around, MachineKind, Run};
use crate::assemble;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print_json, print_line};
use crate::program::Found;
use crate::signals;
use crate::terminal::{self, Spinner, say};

/// What is to be booted, and the virtual machine that is to do it.
pub struct Launch<'a> {
    /// The machine's name.
    pub name: String,
    /// What it boots.
    pub boot: Boot,
    /// The kernel's configuration, where it is known.
    pub kernel_config: Option<String>,
    /// What the user wants of the virtual machine.
    pub around: &'a Around,
    /// Directories it sees.
    pub shares: &'a [Share],
    /// How it gets its addresses.
    pub network: &'a Network,
    /// How long the program may take to stop.
    pub grace_seconds: u32,
    /// The initramfs has an init that speaks on the control channel, so silence means that the boot hangs.
    pub says_hello: bool,
    /// Its output is a console even where nobody sits at a terminal.
    pub has_console: bool,
}

/// The machine's devices, as far as they decide which kernel modules it needs.
pub fn devices(
    around: &Around,
    shares: &[Share],
    network: &Network,
    kernel_config: Option<&str>,
) -> solum_vm::Machine {
    let mut machine = solum_vm::Machine::new("", "", "");
    machine.cpus = around.cpus();
    machine.memory = around.memory();
    machine.network = *network != Network::None;
    if let Network::Static(fixed) = network {
        machine.fixed = Some(fixed.clone());
    }
    machine.shares =
        shares.iter().enumerate().map(|(index, share)| (assemble::share_tag(index), share.clone())).collect();
    machine.attached.clone_from(&around.disks);
    machine.machine_type = match around.machine {
        MachineKind::Auto => MachineType::fastest(kernel_config, &machine),
        MachineKind::Q35 => MachineType::Q35,
        MachineKind::Microvm => MachineType::Microvm,
    };
    machine
}

/// The accelerator that the user wants.
pub fn requested(around: &Around) -> Requested {
    match around.accel {
        arguments::Accelerator::Auto => Requested::Auto,
        arguments::Accelerator::Kvm => Requested::Exactly(Accelerator::Kvm),
        arguments::Accelerator::Tcg => Requested::Exactly(Accelerator::Tcg),
    }
}

/// A name for messages, out of a file's.
pub fn file_stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "machine".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

impl Launch<'_> {
    /// Boots the machine, or prints how it would be booted; gives back the exit status.
    pub fn boot(&self) -> Result<u8, Failure> {
        let machine = self.machine();
        if self.around.dry_run {
            return print_command(&machine, self.around.json);
        }
        let mut machine = machine;
        machine.console =
            if terminal::is_interactive() || self.has_console { Console::Terminal } else { Console::Streams };
        let begun = Instant::now();
        loop {
            let report = self.boot_once(&machine, begun)?;
            // Who asked for the end does not want another beginning.
            if !report.reboots || self.around.no_reboot || signals::asked().is_some() {
                return conclude(report, self.around.verbose);
            }
            say(&format!("the machine reboots; {}", report.end));
        }
    }

    /// From power-on to power-off or reset.
    fn boot_once(&self, machine: &solum_vm::Machine, begun: Instant) -> Result<Report, Failure> {
        let (handle, requests) = solum_vm::requests().map_err(host_refuses)?;
        signals::obey(handle).map_err(host_refuses)?;
        // The machine needs a moment more than its program to be gone.
        let stop = Duration::from_secs(u64::from(self.grace_seconds) + 10);
        let silence = self.says_hello.then(|| Limits::silence_under(machine.accelerator));
        let whole = limits(self.around, stop);
        // All lives of the machine together have the time that was given.
        let timeout = whole.timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        let limits = Limits { silence, timeout, ..whole };
        let spinner = Spinner::new(format!("booting {}", self.name));
        let verbose = self.around.verbose;
        let mut observer = |notice: Notice<'_>| {
            if matches!(notice, Notice::Message(FromMachine::Started)) {
                spinner.finish();
            }
            tell(notice, verbose);
        };
        // While this lives, the machine gets what is typed; the next one gets the rest.
        let (_alive, input) = input_of_one_life().map_err(host_refuses)?;
        let streams = Streams { input, output: Box::new(io::stdout()), error: Box::new(io::stderr()) };
        let report = solum_vm::run(machine, limits, streams, requests, &mut observer);
        spinner.finish();
        let mut report = report.map_err(failed_to_run)?;
        if let (End::TimedOut(_), Some(whole)) = (&report.end, whole.timeout) {
            report.end = End::TimedOut(whole);
        }
        Ok(report)
    }

    fn machine(&self) -> solum_vm::Machine {
        let choice = accelerator::choose(requested(self.around), &accelerator::facts());
        if self.around.verbose {
            say(&format!("accelerator: {}", choice.reason));
        }
        let mut machine = devices(self.around, self.shares, self.network, self.kernel_config.as_deref());
        machine.name.clone_from(&self.name);
        machine.boot.clone_from(&self.boot);
        machine.command_line.clone_from(&self.around.append);
        machine.publish.clone_from(&self.around.publish);
        machine.accelerator = choice.accelerator;
        machine.verbose_kernel = self.around.verbose;
        machine
    }
}

fn print_command(machine: &solum_vm::Machine, json: bool) -> Result<u8, Failure> {
    let words = solum_vm::qemu::command(machine, &solum_vm::qemu::Channels::ByHand).map_err(failed_to_run)?;
    print_words(&words, json);
    Ok(0)
}

fn print_words(words: &[OsString], json: bool) {
    if json {
        print_json(&words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>());
    } else {
        print_line(&solum_vm::shell::quote(words));
    }
}

/// Runs the program as a process of this host, with the arguments and environment it would have in its machine.
pub fn on_host(program: &Found, machine: &Machine, arguments: &Run) -> Result<u8, Failure> {
    if arguments.around.dry_run {
        let own = [program.path.clone().into_os_string()].into_iter();
        print_words(
            &own.chain(machine.arguments.iter().map(Into::into)).collect::<Vec<_>>(),
            arguments.around.json,
        );
        return Ok(0);
    }
    let inside = &arguments.inside;
    let bundles = [inside.files.as_slice(), inside.directories.as_slice()].concat();
    for note in host::notes(&machine.publish, &machine.shares, &bundles) {
        say(&format!("note: {note}"));
    }
    for disk in &arguments.around.disks {
        say(&format!("note: {} is a file here, and no disk", disk.file.display()));
    }
    for file_system in &inside.file_systems {
        say(&format!("note: {} is not mounted at {}", file_system.source, file_system.target));
    }
    let process = host::Process {
        program: program.path.clone(),
        arguments: machine.arguments.clone(),
        environment: machine.environment.clone(),
    };
    let (handle, requests) = solum_vm::requests().map_err(host_refuses)?;
    signals::obey(handle).map_err(host_refuses)?;
    let limits = limits(&arguments.around, Duration::from_secs(inside.grace_seconds().into()));
    let report = host::run(&process, limits, requests).map_err(failed_to_run)?;
    conclude(report, arguments.around.verbose)
}

fn limits(around: &Around, stop: Duration) -> Limits {
    let timeout = around.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    Limits { timeout, stop, ..Limits::default() }
}

/// Standard input, and what ends the reading when it is dropped.
fn input_of_one_life() -> io::Result<(PipeWriter, Option<Box<dyn Read + Send>>)> {
    let (end, alive) = io::pipe()?;
    // A job in the background that reads from the terminal would be stopped by it (termios(3), SIGTTIN).
    let reads = terminal::is_in_foreground();
    Ok((alive, reads.then(|| Box::new(Input { end }) as _)))
}

/// Standard input until the other end of the pipe is closed: a machine that is gone shall take nothing from its next life.
struct Input {
    end: PipeReader,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        let mut ready = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
        poll(&mut ready, None)?;
        if !ready[1].revents().is_empty() {
            return Ok(0);
        }
        // Not by `Stdin`, whose buffer would hold back what the poll above then waits for.
        Ok(rustix::io::read(&stdin, buffer)?)
    }
}

fn tell(notice: Notice<'_>, verbose: bool) {
    match notice {
        Notice::Message(FromMachine::Warning(text)) => say(&format!("warning: {text}")),
        Notice::Message(FromMachine::Network(report)) if verbose => {
            say(&format!("network: {} has {}/{}", report.interface, report.address, report.prefix));
        }
        Notice::Message(FromMachine::Clock(report)) if verbose => {
            say(&format!("clock: set from {}, it was wrong by {} ms", report.server, report.offset_ms));
        }
        Notice::Message(FromMachine::Storage(StorageReport::Mounted { target, what })) if verbose => {
            say(&format!("storage: {target} is {what}"));
        }
        Notice::KernelLine(line) if verbose => say(&format!("kernel: {line}")),
        _ => {}
    }
}

/// Turns the end of a system into an exit status, or into what the user is told.
pub fn conclude_system(end: End) -> Result<u8, Failure> {
    let durations = solum_vm::Durations::default();
    conclude(Report { end, reboots: false, kernel_log: Vec::new(), durations }, false)
}

/// Turns the end of a machine of a system into an exit status, or into what the user is told. What a machine of one program
/// is given by flags is said in the description of a system.
pub fn conclude_machine(name: &str, report: Result<Report, VmError>) -> Result<u8, Failure> {
    // All machines that a `count` makes are described together.
    let name = name.split('.').next().unwrap_or(name);
    let more = |text: &str| format!("write {text} below [machine.{name}] in solum.toml");
    let more_memory = match &report {
        Err(VmError::MemoryTooSmall { needed, .. }) => Some(more(&format!("`memory = \"{needed} MiB\"`"))),
        Ok(Report { end: End::OutOfMemory(worth_a_try), .. }) => {
            Some(more(&format!("`memory = \"{} MiB\"`", worth_a_try.as_mebibytes())))
        }
        Ok(Report { end: End::MemoryTooSmall(_), .. }) => Some(more("more `memory`")),
        _ => None,
    };
    let concluded = report.map_err(failed_to_run).and_then(|report| conclude(report, false));
    concluded.map_err(|failure| match more_memory {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// As [`conclude_machine`], of a machine whose image is there already: what it has around it is given by flags.
pub fn conclude_image(_: &str, report: Result<Report, VmError>) -> Result<u8, Failure> {
    report.map_err(failed_to_run).and_then(|report| conclude(report, false))
}

/// Turns the end of a run into an exit status, or into what the user is told.
fn conclude(report: Report, verbose: bool) -> Result<u8, Failure> {
    if verbose {
        let seconds = |duration: Option<Duration>| {
            duration.map_or_else(|| "never".to_owned(), |duration| format!("{:.2} s", duration.as_secs_f64()))
        };
        let times = &report.durations;
        say(&format!(
            "PID 1 after {}, program after {}, ended after {}, machine gone after {}",
            seconds(times.hello),
            seconds(times.started),
            seconds(times.ended),
            seconds(Some(times.total))
        ));
    }
    match &report.end {
        End::Program(Outcome::Exited(status)) => return Ok(*status),
        End::Program(Outcome::Signaled { signal, .. }) => {
            say(&report.end.to_string());
            return Ok(128u8.saturating_add(*signal));
        }
        End::OutOfMemory(_) => {
            say(&report.end.to_string());
            report.end.hint().iter().for_each(|hint| say(&format!("hint: {hint}")));
            // As after any other SIGKILL.
            return Ok(128 + 9);
        }
        _ => {}
    }
    let code = exit_code(&report.end, report.durations.started.is_some(), signals::asked());
    let last_lines = match &report.end {
        End::KernelPanic(_)
        | End::MemoryTooSmall(_)
        | End::NotBootable
        | End::Vanished
        | End::NoProgress(..) => last_lines(report.kernel_log, verbose),
        _ => Vec::new(),
    };
    Err(Failure::new(code, &report.end).hint(report.end.hint()).context(last_lines))
}

/// The exit status after an end that is not the program's own; `asked` is that of the user's last request.
fn exit_code(end: &End, was_started: bool, asked: Option<ExitCode>) -> ExitCode {
    match (end, asked) {
        (End::Killed, _) => asked.unwrap_or(ExitCode::Interrupted),
        (End::TimedOut(_), _) => ExitCode::TimedOut,
        (End::Stopped | End::Program(Outcome::NotStarted(_)), Some(asked)) if !was_started => asked,
        (End::Program(Outcome::NotStarted(_)), _) => ExitCode::NotStarted,
        _ => ExitCode::MachineFailed,
    }
}

/// A panic makes the kernel print its whole log again; its end is what tells. With --verbose all of it was shown.
fn last_lines(mut log: Vec<String>, verbose: bool) -> Vec<String> {
    const LINES: usize = 20;
    if verbose {
        return Vec::new();
    }
    let panic = log.iter().rposition(|line| line.contains("Kernel panic"));
    let last = log.len().saturating_sub(LINES);
    log.split_off(panic.map_or(last, |panic| panic.min(last)))
}

fn failed_to_run(error: VmError) -> Failure {
    let code = match &error {
        VmError::Line(_)
        | VmError::Network(_)
        | VmError::Share(..)
        | VmError::Disk(..)
        | VmError::File(..) => ExitCode::UnusableInput,
        VmError::NotAKernel(..) => ExitCode::KernelUnavailable,
        VmError::NoEmulator(_) => ExitCode::ToolMissing,
        VmError::Refused(_) | VmError::MemoryTooSmall { .. } => ExitCode::MachineFailed,
        _ => ExitCode::HostRefuses,
    };
    Failure::new(code, &error).hint(error.hint())
}

fn host_refuses(error: io::Error) -> Failure {
    failed_to_run(VmError::Host(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_before_the_program_is_started_decides_the_exit_status() {
        let not_started = || End::Program(Outcome::NotStarted("no such file".into()));
        for (end, was_started, asked, code) in [
            (End::Stopped, false, Some(ExitCode::Interrupted), ExitCode::Interrupted),
            (End::Stopped, false, Some(ExitCode::Terminated), ExitCode::Terminated),
            (End::Stopped, false, None, ExitCode::MachineFailed),
            (End::Stopped, true, Some(ExitCode::Interrupted), ExitCode::MachineFailed),
            (not_started(), false, Some(ExitCode::HungUp), ExitCode::HungUp),
            (not_started(), false, None, ExitCode::NotStarted),
            (End::Killed, true, Some(ExitCode::Terminated), ExitCode::Terminated),
            (End::Vanished, false, Some(ExitCode::Interrupted), ExitCode::MachineFailed),
        ] {
            assert_eq!(exit_code(&end, was_started, asked), code, "{end:?} {was_started} {asked:?}");
        }
    }
}
