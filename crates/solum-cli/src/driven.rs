//! Tools that make parts of images, driven as a person would: found, run to their end, their last lines kept.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};

/// Lines of a tool that failed which a user is shown.
const LAST_LINES: usize = 8;

/// A tool, and where a Debian has it from.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The name of the program.
    pub program: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// What it is needed for: "to make ISO images".
    pub purpose: &'static str,
}

impl Tool {
    /// Where it is installed. A user's PATH on Debian lacks the directories of tools for disks.
    pub fn find(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .chain(extra)
            .map(|dir| dir.join(self.program))
            .find(|file| file.is_file())
    }

    /// A command that runs it, without input, with messages in English.
    pub fn command(&self) -> Result<Command, Failure> {
        let Some(file) = self.find() else {
            let message =
                format_args!("{} is not installed, and it is needed {}", self.program, self.purpose);
            let hint = format!("apt-get install {}", self.package);
            return Err(Failure::new(ExitCode::ToolMissing, message).hint(hint));
        };
        let mut command = Command::new(file);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        Ok(command)
    }

    /// Runs such a command to its end.
    pub fn run(&self, mut command: Command) -> Result<(), Failure> {
        // Whatever ends this process, nobody waits for what the tool makes.
        solum_vm::die_with_us(&mut command);
        let output = command.output().map_err(|error| {
            let message = format_args!("{} cannot be started: {}", self.program, reason(&error));
            Failure::new(ExitCode::HostRefuses, message)
        })?;
        if output.status.success() {
            return Ok(());
        }
        if let Some(code) = ExitCode::of_interrupted(output.status) {
            return Err(Failure::new(code, format_args!("{} was interrupted", self.program)));
        }
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let lines: Vec<String> =
            said.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].to_vec();
        Err(Failure::new(ExitCode::HostRefuses, format_args!("{} failed: {}", self.program, output.status))
            .context(last))
    }
}
