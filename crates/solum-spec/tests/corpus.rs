//! Every rule of `solum.toml`, by a file that breaks it, with the exact message that its author gets.
//!
//! `corpus/NAME.toml` is broken, `corpus/NAME.txt` is what is said about it. What programs declare of their ports stands
//! in comments: `# program NAME: uses PORT INTERFACE [one|optional|many], serves PORT INTERFACE, …`, where an interface
//! may have a version and a fingerprint, `Files@2#7`. A program without such a comment is plain.
//!
//! `SOLUM_BLESS=1 cargo test -p solum-spec --test corpus` writes the messages anew.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod declared;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use declared::ports;
use solum_spec::system::{Colours, Diagnostic, Draft};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn names(extension: &str) -> BTreeSet<String> {
    let files = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn diagnostics(text: &str) -> Vec<Diagnostic> {
    match Draft::read(text) {
        Err(diagnostics) => diagnostics,
        Ok(draft) => draft.wire(&ports(text)).err().unwrap_or_default(),
    }
}

/// What is said about a text.
fn said(text: &str) -> String {
    let drawn = diagnostics(text)
        .iter()
        .map(|diagnostic| diagnostic.render("solum.toml", text, Colours::None))
        .collect::<Vec<_>>();
    drawn.join("\n")
}

#[test]
fn every_rule_has_its_message() {
    let mut wrong = Vec::new();
    for name in names("toml") {
        let path = directory().join(&name);
        let text = fs::read_to_string(path.with_extension("toml")).unwrap();
        let said = said(&text);
        assert!(!said.is_empty(), "{name}.toml breaks no rule");
        if std::env::var_os("SOLUM_BLESS").is_some() {
            fs::write(path.with_extension("txt"), &said).unwrap();
        }
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{name}: expected\n{expected}\nbut it was\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn no_message_is_without_its_rule() {
    assert_eq!(names("txt"), names("toml"));
    let others = fs::read_dir(directory()).unwrap().count();
    assert_eq!(others, 2 * names("toml").len(), "a file in the corpus is neither .toml nor .txt");
}

#[test]
fn every_message_is_a_sentence_with_a_place() {
    for name in names("toml") {
        let text = fs::read_to_string(directory().join(&name).with_extension("toml")).unwrap();
        let found = diagnostics(&text);
        let mut last = 0;
        for diagnostic in found {
            let Diagnostic { span, message, .. } = &diagnostic;
            assert!(span.end <= text.len(), "{name}: {span:?}");
            assert!(!message.ends_with('.') && !message.contains('\n'), "{name}: {message}");
            assert!(span.start >= last, "{name}: {message} is not in the order of the text");
            last = span.start;
        }
    }
}

#[test]
fn no_beginning_of_a_text_makes_it_panic() {
    for name in names("toml") {
        let text = fs::read_to_string(directory().join(&name).with_extension("toml")).unwrap();
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            said(&text[..end]);
        }
    }
}
