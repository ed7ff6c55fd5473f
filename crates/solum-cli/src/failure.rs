//! What a user sees when something goes wrong: a sentence, a hint, an exit status. Rendered here, and once.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;

pub use solum_spec::reason;

use solum_spec::system::{Colours, Diagnostic};

use crate::exit_code::ExitCode;

/// An error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    message: String,
    hint: Option<String>,
    /// Lines that somebody else said, like the kernel's last ones.
    context: Vec<String>,
    /// What is wrong in a file, and then the message is no more than their number.
    wrong: Option<Box<Wrong>>,
}

/// A text, and what is wrong with it.
#[derive(Debug)]
pub struct Wrong {
    /// What the text is called: the path of its file.
    pub name: String,
    /// The text.
    pub text: String,
    /// What is wrong; never empty.
    pub diagnostics: Vec<Diagnostic>,
}

impl Failure {
    /// A failure that says `message`, one sentence without a full stop.
    pub fn new(code: ExitCode, message: impl Display) -> Self {
        Self {
            code,
            message: without_error_numbers(&message.to_string()),
            hint: None,
            context: Vec::new(),
            wrong: None,
        }
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

    /// The description of a system is wrong.
    pub fn description(wrong: Wrong) -> Self {
        let message = format!("{} has {} errors", wrong.name, wrong.diagnostics.len());
        Self { wrong: Some(Box::new(wrong)), ..Self::new(ExitCode::WrongDescription, message) }
    }

    /// What is wrong in a file, if that is the failure.
    pub fn wrong(&self) -> Option<&Wrong> {
        self.wrong.as_deref()
    }

    /// What happened, in a sentence without its end.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status that the process ends with.
    pub fn status(&self) -> u8 {
        self.code as u8
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
        let text = self.text(stderr.is_terminal());
        // Nobody is left to hear that standard error is closed.
        let _ = stderr.write_all(text.as_bytes());
        self.status()
    }

    fn text(&self, in_colours: bool) -> String {
        let (red, cyan, off) =
            if in_colours { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
        let mut text = String::new();
        if let Some(Wrong { name, text: source, diagnostics }) = self.wrong() {
            let colours = if in_colours { Colours::Terminal } else { Colours::None };
            let drawn: Vec<String> =
                diagnostics.iter().map(|diagnostic| diagnostic.render(name, source, colours)).collect();
            text += &drawn.join("\n");
            if diagnostics.len() == 1 {
                return text;
            }
            text += "\n";
        }
        text += &format!("{red}error{off}: {}\n", self.message);
        for line in &self.context {
            text += &format!("  | {line}\n");
        }
        if let Some(hint) = &self.hint {
            text += &format!("{cyan}hint{off}: {hint}\n");
        }
        text
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
