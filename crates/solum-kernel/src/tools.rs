//! The programs of the host that are driven: how they are found, run, and how they fail.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::Error;
use crate::job::{Group, Interrupt};

/// The host that kernels are fetched and built on. Tests put a directory of their own in its place.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where its file system begins: `/`.
    pub root: PathBuf,
    /// The directories that programs are looked up in, as `PATH` has them.
    pub path: OsString,
    /// The release of the running kernel, as `uname -r` prints it.
    pub release: String,
    /// Whether this process may change the system: root.
    pub is_root: bool,
    /// The variables of the environment that a build sees, beside `PATH`: where its user and temporary files are.
    pub environment: Vec<(&'static str, OsString)>,
    /// Stops what is done on this host.
    pub interrupt: Interrupt,
}

impl Host {
    /// The host that this process runs on.
    pub fn current() -> Self {
        Self {
            root: PathBuf::from("/"),
            path: std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            is_root: rustix::process::geteuid().is_root(),
            environment: ["HOME", "TMPDIR"]
                .iter()
                .filter_map(|name| Some((*name, std::env::var_os(name)?)))
                .collect(),
            interrupt: Interrupt::default(),
        }
    }

    /// The file that a program's name stands for, if it is installed.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        let is_executable =
            |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
        std::env::split_paths(&self.path).map(|directory| directory.join(program)).find(is_executable)
    }

    /// A command that runs `program`, without input, with messages in English.
    ///
    /// # Errors
    ///
    /// [`Error::ProgramMissing`], with `purpose` saying what it was wanted for.
    pub(crate) fn command(&self, program: &str, purpose: &'static str) -> Result<Command, Error> {
        let file = self
            .find(program)
            .ok_or_else(|| Error::ProgramMissing { program: program.to_owned(), purpose })?;
        let mut command = Command::new(file);
        command.env("PATH", &self.path).env("LC_ALL", "C").stdin(Stdio::null());
        Ok(command)
    }

    /// Like [`Host::command`], with nothing of the caller's environment that could change what is built: `LLVM`,
    /// `KCPPFLAGS`, `CPATH`, `TAR_OPTIONS` and their like do not count among the inputs of a build.
    pub(crate) fn build_command(&self, program: &str, purpose: &'static str) -> Result<Command, Error> {
        let mut command = self.command(program, purpose)?;
        command.env_clear().env("PATH", &self.path).env("LANG", "C").env("LC_ALL", "C");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs a command to its end and gives what it wrote to its standard output.
    ///
    /// # Errors
    ///
    /// [`Error::CommandFailed`] with the last lines it wrote, [`Error::Interrupted`].
    pub(crate) fn output_of(&self, mut command: Command) -> Result<String, Error> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (child, group) = self.start(&mut command)?;
        let output = child.wait_with_output().map_err(|error| not_started(&command, &error))?;
        drop(group);
        self.interrupt.check()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let mut written = String::from_utf8_lossy(&output.stdout).into_owned();
        written.push_str(&String::from_utf8_lossy(&output.stderr));
        Err(failed(&command, output.status, &tail(&written)))
    }

    /// Runs a command to its end, handing over each line that it writes, to either stream, while it runs.
    ///
    /// # Errors
    ///
    /// [`Error::CommandFailed`] with the last lines it wrote, [`Error::Interrupted`].
    pub(crate) fn watch(&self, mut command: Command, mut line: impl FnMut(&str)) -> Result<(), Error> {
        let pipe_failed = |command: &Command, error: &std::io::Error| not_started(command, error);
        // One pipe for both streams keeps their lines in order.
        let (reader, writer) = std::io::pipe().map_err(|error| pipe_failed(&command, &error))?;
        let second = writer.try_clone().map_err(|error| pipe_failed(&command, &error))?;
        command.stdout(writer).stderr(second);
        let (mut child, group) = self.start(&mut command)?;
        // The command holds both ends for writing; as long as it lives, reading never ends.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut written = String::new();
        read_lines(reader, |text| {
            line(text);
            written.push_str(text);
            written.push('\n');
            if written.len() > 1 << 20 {
                written = tail(&written);
            }
        });
        let status = child.wait().map_err(|error| not_started(&command, &error))?;
        drop(group);
        self.interrupt.check()?;
        if status.success() { Ok(()) } else { Err(failed(&command, status, &tail(&written))) }
    }

    fn start(&self, command: &mut Command) -> Result<(Child, Group), Error> {
        let started = self.interrupt.start(command).map_err(|error| not_started(command, &error))?;
        started.ok_or(Error::Interrupted)
    }
}

fn read_lines(reader: impl Read, mut line: impl FnMut(&str)) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
        line(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
}

/// The last lines of a text: enough to hold a compiler's message.
fn tail(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn failed(command: &Command, status: std::process::ExitStatus, output: &str) -> Error {
    if output.contains("No space left on device") {
        let directory = command.get_current_dir().unwrap_or(Path::new("."));
        return Error::NoSpace { path: directory.to_owned(), needed: None, available: None };
    }
    Error::CommandFailed { command: shown(command), status: status.to_string(), output: output.to_owned() }
}

fn not_started(command: &Command, error: &std::io::Error) -> Error {
    Error::CommandFailed { command: shown(command), status: error.to_string(), output: String::new() }
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes an executable shell script. Another process writes it: a file that this one has open for writing, be it
    /// in a child that a parallel test is just starting, cannot be executed (`ETXTBSY`, execve(2)).
    pub(crate) fn install_script(path: &Path, script: &str) {
        let mut install = shell(r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 755 "$2""#);
        install.args(["sh", script]).arg(path);
        assert!(install.status().unwrap().success());
    }

    fn shell(script: &str) -> Command {
        let mut command = Host::current().command("sh", "to test").unwrap();
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_watched_in_order() {
        let mut lines = Vec::new();
        Host::current()
            .watch(shell("echo one; echo two >&2; echo three"), |line| lines.push(line.to_owned()))
            .unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn a_failure_says_what_was_run_and_what_it_wrote() {
        let host = Host::current();
        let by_watching = host.watch(shell("echo no rule; exit 2"), |_| {}).unwrap_err();
        let by_output = host.output_of(shell("echo no rule; exit 2")).unwrap_err();
        for error in [by_watching, by_output] {
            assert_eq!(error.to_string(), "`sh -c echo no rule; exit 2` failed (exit status: 2):\nno rule");
        }
    }

    #[test]
    fn a_full_disk_is_recognised_behind_the_program_that_met_it() {
        let host = Host::current();
        let error =
            host.watch(shell("echo 'ld: final link failed: No space left on device' >&2; exit 1"), |_| {});
        assert!(matches!(error, Err(Error::NoSpace { .. })));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let text: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert!(tail(&text).starts_with("70\n"));
        assert_eq!(tail("one\n"), "one");
    }

    #[test]
    fn a_program_that_is_not_installed_is_named() {
        let error = Host::current().command("no-such-program", "to test").unwrap_err();
        assert_eq!(error.to_string(), "the program no-such-program is needed to test, and is not installed");
    }
}
