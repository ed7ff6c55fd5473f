//! What a command did, and the checks of it.

use std::process::ExitStatus;
use std::thread;

/// Lines of an output that are shown when a check fails, from its beginning and from its end.
const SHOWN_LINES: usize = 40;
/// Characters of a line that are shown.
const SHOWN_COLUMNS: usize = 300;

/// A command that has ended. Each check shows everything when it fails.
pub struct Finished {
    pub status: ExitStatus,
    pub shown: String,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Its standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// It exited with this status.
    #[track_caller]
    pub fn exits(&self, status: i32) -> &Self {
        self.check(self.status.code() == Some(status), &format!("it should exit with {status}"))
    }

    /// It printed exactly this.
    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        self.check(self.stdout == text.as_bytes(), &format!("its standard output should be {text:?}"))
    }

    /// It said exactly this on standard error.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        self.check(self.stderr == text.as_bytes(), &format!("its standard error should be {text:?}"))
    }

    /// This is somewhere in its standard error.
    #[track_caller]
    pub fn mentions(&self, text: &str) -> &Self {
        self.check(self.stderr().contains(text), &format!("its standard error should mention {text:?}"))
    }

    /// Something holds of it, or else everything is shown.
    #[track_caller]
    pub fn check(&self, holds: bool, what: &str) -> &Self {
        assert!(holds, "{what}\n{}", self.account());
        self
    }

    /// Everything there is to know, and how to see it again.
    pub fn account(&self) -> String {
        let test = thread::current().name().unwrap_or("main").to_owned();
        format!(
            "  command: {}\n  replay:  cargo test --package solum-cli --test {} -- --exact {test}\n  ended:   {}\n{}{}",
            self.shown,
            env!("CARGO_CRATE_NAME"),
            self.status,
            shown("stdout", &self.stdout),
            shown("stderr", &self.stderr),
        )
    }
}

/// The beginning and, because that is where the reason mostly is, the end.
fn shown(name: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let left_out = lines.len().saturating_sub(2 * SHOWN_LINES);
    let mut shown = format!("  {name}:  {} bytes\n", bytes.len());
    for (number, line) in lines.iter().enumerate() {
        if left_out > 0 && number == SHOWN_LINES {
            shown += &format!("    … {left_out} lines …\n");
        }
        if number < SHOWN_LINES || number >= SHOWN_LINES + left_out {
            let cut: String = line.chars().take(SHOWN_COLUMNS).collect();
            shown += &format!("    | {cut}\n");
        }
    }
    shown
}
