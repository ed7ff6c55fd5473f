//! What a user sees when something goes wrong: a sentence, a hint, an exit status. Rendered here, and once.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;

pub use solum_spec::reason;

use crate::exit_code::ExitCode;

/// An error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    message: String,
    hint: Option<String>,
    /// Lines that somebody else said, like the kernel's last ones.
    context: Vec<String>,
}

impl Failure {
    /// A failure that says `message`, one sentence without a full stop.
    pub fn new(code: ExitCode, message: impl Display) -> Self {
        Self { code, message: without_error_numbers(&message.to_string()), hint: None, context: Vec::new() }
    }

    /// Adds what to type next.
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds lines that somebody else said.
    pub fn context(mut self, lines: Vec<String>) -> Self {
        self.context = lines;
        self
    }

    /// The host refused something to do with a file.
    pub fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let code = if is_about_the_name(error) { ExitCode::UnusableInput } else { ExitCode::HostRefuses };
        let hint = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Some("free some space; SOLUM_CACHE=/path puts Solum's own files elsewhere".to_owned())
            }
            _ => None,
        };
        Self::new(code, format_args!("{what} {}: {}", path.display(), reason(error))).hint(hint)
    }

    /// Prints the failure and gives back the process's exit status.
    pub fn report(&self) -> u8 {
        let mut stderr = std::io::stderr().lock();
        let (red, cyan, off) =
            if stderr.is_terminal() { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
        let mut text = format!("{red}error{off}: {}\n", self.message);
        for line in &self.context {
            text += &format!("  | {line}\n");
        }
        if let Some(hint) = &self.hint {
            text += &format!("{cyan}hint{off}: {hint}\n");
        }
        // Nobody is left to hear that standard error is closed.
        let _ = stderr.write_all(text.as_bytes());
        self.code as u8
    }
}

/// Whether the system refused because of what the user named, and not because of what it is asked to do there.
pub fn is_about_the_name(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory)
}

/// Rust adds ` (os error 2)` to what the system says, and libraries hand that on; nobody types it anywhere.
fn without_error_numbers(message: &str) -> String {
    let mut parts = message.split(" (os error ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_errors_are_left_out() {
        let text = "cannot read a (os error 2): denied (os error 13), and (os errors) stay";
        assert_eq!(without_error_numbers(text), "cannot read a: denied, and (os errors) stay");
        assert_eq!(without_error_numbers("plain"), "plain");
    }
}
