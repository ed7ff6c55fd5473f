//! What a task says when it cannot go on.

use std::fmt;

/// What every task returns: nothing, or one sentence on what went wrong.
pub type Outcome<T = ()> = Result<T, Failure>;

/// One sentence with what happened and why, and, where there is one, what to type next.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), hint: None }
    }

    /// A failure of which everything was printed when it happened; only the exit status is left to tell it.
    pub fn said_already() -> Self {
        Self::new("")
    }

    /// Prints the failure, and what to do about it, in the one form that all tasks use.
    pub fn print(&self) {
        if !self.sentence.is_empty() {
            eprintln!("error: {self}");
        }
        if let Some(hint) = &self.hint {
            eprintln!(" hint: {hint}");
        }
    }

    /// The same failure, with the command or the place that helps.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}
