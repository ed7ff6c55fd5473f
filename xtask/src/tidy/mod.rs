//! `cargo xtask tidy`: the rules of this project that no compiler checks.
//!
//! A rule is a function from texts to findings. Reading the texts is done here, once, so that every rule can be
//! tested with a few lines.

mod adr;
mod architecture;
mod code;
mod leaks;
mod length;
mod links;
mod manifest;

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;
use std::fmt;
use std::fs;

/// A file that git tracks.
pub struct Text {
    /// Relative to the workspace's root, with `/`.
    pub path: String,
    /// All of it, if it is text.
    pub content: String,
}

/// One place where a rule does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// A finding in a line, counted from one.
    pub fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks every rule, and prints each place where one does not hold.
pub fn run(workspace: &Workspace) -> Outcome {
    let texts = read_texts(workspace)?;
    let crates = architecture::Crate::of_workspace(workspace)?;
    let mut findings = architecture::check(&texts, &crates);
    findings.extend(adr::check(&texts));
    findings.extend(code::check(&texts));
    findings.extend(leaks::check(&texts, &leaks::private_words(workspace.root())));
    findings.extend(length::check(&texts));
    findings.extend(links::check(&texts));
    findings.extend(manifest::check(&texts));
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files hold to the rules", texts.len());
            Ok(())
        }
        1 => Err(Failure::new("one rule does not hold")),
        count => Err(Failure::new(format!("rules do not hold in {count} places"))),
    }
}

fn read_texts(workspace: &Workspace) -> Outcome<Vec<Text>> {
    let mut texts = Vec::new();
    for path in workspace.files()? {
        let bytes = fs::read(workspace.root().join(&path))
            .map_err(|error| Failure::new(format!("{path} could not be read: {error}")))?;
        // A picture has nothing to be looked at, but a link may lead to it.
        let content = String::from_utf8(bytes).unwrap_or_default();
        texts.push(Text { path, content });
    }
    Ok(texts)
}

/// Small inputs for the rules' tests.
#[cfg(test)]
mod samples {
    use super::{Finding, Text};

    pub fn texts(files: &[(&str, &str)]) -> Vec<Text> {
        files
            .iter()
            .map(|(path, content)| Text { path: (*path).to_owned(), content: (*content).to_owned() })
            .collect()
    }

    pub fn shown(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(Finding::to_string).collect()
    }
}
