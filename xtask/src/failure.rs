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

    /// The same failure, with the command or the place that helps.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to type or where to look next.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}
