//! What the source itself must not contain: long functions, and calls for which there is something better.
//!
//! The rules look at tokens, so comments and strings never trip them.

use super::{Finding, Text};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

const LONGEST_FUNCTION_LINES: usize = 70;

/// Which code a ban is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everywhere,
    /// Everything but the file that is a program's beginning.
    OutsideMain,
    /// Libraries, but for their tests.
    Libraries,
    Tests,
    /// What decides and computes, but for its tests.
    Pure,
}

/// A sequence of tokens that may not occur, and what to write in its place.
struct Ban {
    tokens: &'static [&'static str],
    scope: Scope,
    instead: &'static str,
}

/// Where decisions and computations live, as the beginning of a path.
const PURE: &[&str] =
    &["crates/solum-spec/", "crates/solum-image/", "crates/solum-supervisor/", "crates/solum-boot/src/life"];

/// Files in which a ban does not hold, by the first of its tokens, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("crates/solum-cli/src/signals.rs", "process", "a third Ctrl-C ends what does not end by itself"),
    ("crates/solum-boot/src/role.rs", "process", "a role is a process of its own, with nobody to return to"),
    ("crates/solum-vm/tests/fake_machine.rs", "process", "it plays the process that QEMU is"),
    ("crates/solum-vm/tests/fake_machine.rs", "ignore", "no test, but what the tests start in QEMU's place"),
];

/// Crates whose business is to print.
const PROGRAMS: &[&str] = &["solum-cli", "solum-init", "xtask"];

const PASS_ON: &str = "return the value, or report through the callback that the caller gave";
const GIVE_IN: &str = "this code has no I/O and no clock; let the caller pass the bytes or the time in";

const BANS: &[Ban] = &[
    ban(&["process", ":", ":", "exit"], Scope::OutsideMain, "return an error, or an ExitCode from main"),
    ban(&["println", "!"], Scope::Libraries, PASS_ON),
    ban(&["print", "!"], Scope::Libraries, PASS_ON),
    ban(&["eprintln", "!"], Scope::Libraries, PASS_ON),
    ban(&["eprint", "!"], Scope::Libraries, PASS_ON),
    ban(&["dbg", "!"], Scope::Everywhere, "assert what you wanted to see"),
    ban(&["todo", "!"], Scope::Everywhere, "write it, or leave the way to it out"),
    ban(&["unimplemented", "!"], Scope::Everywhere, "return an error that says what is not supported"),
    ban(
        &["ignore", "]"],
        Scope::Everywhere,
        "let the test print `skipped: <reason>` and return when something is absent",
    ),
    ban(
        &["ignore", "="],
        Scope::Everywhere,
        "let the test print `skipped: <reason>` and return when something is absent",
    ),
    ban(
        &["thread", ":", ":", "sleep"],
        Scope::Tests,
        "wait for the event itself: a channel, a pipe, an exit",
    ),
    ban(&["std", ":", ":", "fs"], Scope::Pure, GIVE_IN),
    ban(&["std", ":", ":", "process"], Scope::Pure, GIVE_IN),
    ban(&["std", ":", ":", "env"], Scope::Pure, GIVE_IN),
    ban(&["SystemTime"], Scope::Pure, GIVE_IN),
    ban(&["Instant"], Scope::Pure, GIVE_IN),
];

const fn ban(tokens: &'static [&'static str], scope: Scope, instead: &'static str) -> Ban {
    Ban { tokens, scope, instead }
}

/// Long functions and banned calls.
pub fn check(texts: &[Text]) -> Vec<Finding> {
    texts.iter().filter(|text| text.path.ends_with(".rs")).flat_map(check_file).collect()
}

fn check_file(text: &Text) -> Vec<Finding> {
    let Ok(stream) = text.content.parse::<TokenStream>() else {
        return vec![Finding::at(&text.path, 1, "this is not Rust")];
    };
    let mut walk = Walk { file: File::new(&text.path), findings: Vec::new() };
    walk.stream(stream, walk.file.is_test);
    walk.findings
}

/// What a file's path says of its code.
struct File<'a> {
    path: &'a str,
    is_test: bool,
    is_main: bool,
    is_program: bool,
    is_pure: bool,
}

impl<'a> File<'a> {
    fn new(path: &'a str) -> Self {
        let mut parts = path.split('/');
        let (area, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let owner = if area == "crates" { name } else { area };
        let is_main = path.ends_with("/main.rs") || path.contains("/src/bin/");
        Self {
            path,
            is_test: path.contains("/tests/") || path.ends_with("tests.rs"),
            is_main,
            is_program: is_main || area == "examples" || PROGRAMS.contains(&owner),
            is_pure: PURE.iter().any(|beginning| path.starts_with(beginning)),
        }
    }

    fn is_subject_to(&self, ban: &Ban, is_test: bool) -> bool {
        let is_exception =
            |(path, first, _): &(&str, &str, &str)| *path == self.path && *first == ban.tokens[0];
        if EXCEPTIONS.iter().any(is_exception) {
            return false;
        }
        match ban.scope {
            Scope::Everywhere => true,
            Scope::OutsideMain => !self.is_main,
            Scope::Libraries => !self.is_program && !is_test,
            Scope::Tests => is_test,
            Scope::Pure => self.is_pure && !is_test,
        }
    }
}

struct Walk<'a> {
    file: File<'a>,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn stream(&mut self, stream: TokenStream, is_test: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        // An attribute speaks of the next braces, or of nothing beyond the next semicolon.
        let mut next_is_test = false;
        for (index, token) in tokens.iter().enumerate() {
            self.banned(&tokens[index..], is_test || next_is_test);
            self.function(&tokens[index..]);
            match token {
                TokenTree::Group(group) => {
                    next_is_test |= is_attribute(&tokens, index) && speaks_of_tests(group);
                    self.stream(group.stream(), is_test || next_is_test);
                    next_is_test &= group.delimiter() != Delimiter::Brace;
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => next_is_test = false,
                _ => {}
            }
        }
    }

    fn banned(&mut self, tokens: &[TokenTree], is_test: bool) {
        let line = tokens[0].span().start().line;
        for ban in
            BANS.iter().filter(|ban| self.file.is_subject_to(ban, is_test) && starts_with(tokens, ban.tokens))
        {
            let call = ban.tokens.concat();
            let call = call.trim_end_matches([']', '=']);
            self.findings.push(Finding::at(
                self.file.path,
                line,
                format!("`{call}` is banned here: {}", ban.instead),
            ));
        }
    }

    fn function(&mut self, tokens: &[TokenTree]) {
        let [TokenTree::Ident(keyword), TokenTree::Ident(name), rest @ ..] = tokens else { return };
        if keyword != "fn" {
            return;
        }
        let Some(body) = rest.iter().find_map(body_or_end).flatten() else { return };
        let first = keyword.span().start().line;
        let lines = body.span_close().end().line - first + 1;
        if lines > LONGEST_FUNCTION_LINES {
            let message = format!("`{name}` has {lines} lines, where {LONGEST_FUNCTION_LINES} are the most");
            self.findings.push(Finding::at(self.file.path, first, message));
        }
    }
}

/// The braces of a function's body; or that there is none, only a semicolon.
fn body_or_end(token: &TokenTree) -> Option<Option<&Group>> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(Some(group)),
        TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
        _ => None,
    }
}

fn starts_with(tokens: &[TokenTree], expected: &[&str]) -> bool {
    // `]` stands for the end of the brackets that the tokens are in.
    let (expected, must_end) = match expected {
        [before @ .., "]"] => (before, true),
        all => (all, false),
    };
    let fits = tokens.len() >= expected.len() && (!must_end || tokens.len() == expected.len());
    fits && tokens.iter().zip(expected).all(|(token, expected)| is_word(token, expected))
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Punct(punct) => word.chars().eq([punct.as_char()]),
        _ => false,
    }
}

fn is_attribute(tokens: &[TokenTree], index: usize) -> bool {
    index > 0 && is_word(&tokens[index - 1], "#")
}

/// `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`; not `#[cfg(not(test))]`.
fn speaks_of_tests(attribute: &Group) -> bool {
    let words = attribute.stream().to_string();
    let mut words = words.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let is_conditional = match words.next() {
        Some("test") => return true,
        Some("cfg") => true,
        _ => false,
    };
    let rest: Vec<&str> = words.collect();
    is_conditional && rest.contains(&"test") && !rest.contains(&"not")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, texts};
    use super::*;

    const LIBRARY: &str = "crates/solum-vm/src/x.rs";

    fn findings(path: &str, code: &str) -> Vec<String> {
        shown(&check(&texts(&[(path, code)])))
    }

    /// Whether one ban, and one only, is found.
    fn is_banned(path: &str, code: &str) -> bool {
        let findings = findings(path, code);
        assert!(findings.len() < 2, "{findings:?}");
        findings.len() == 1
    }

    #[test]
    fn bans_hold_where_they_should() {
        let spec = "crates/solum-spec/src/size.rs";
        let sleep = "fn wait() { std::thread::sleep(a_while()) }";
        let cases = [
            (LIBRARY, "fn f() { std::process::exit(1) }", true),
            ("crates/solum-cli/src/main.rs", "fn main() { std::process::exit(1) }", false),
            ("crates/solum-cli/src/run.rs", "fn f() { std::process::exit(1) }", true),
            (LIBRARY, "fn f() { println!(\"x\") }", true),
            (LIBRARY, "fn f() { writeln!(out, \"x\") }", false),
            (LIBRARY, "// println!(\"x\")\n/// `println!()`\nfn f() { g(\"println!()\") }", false),
            ("crates/solum-cli/src/run.rs", "fn f() { println!(\"x\") }", false),
            ("examples/hello/src/lib.rs", "fn f() { println!(\"x\") }", false),
            (LIBRARY, "fn f() { match x { _ => todo!() } }", true),
            (LIBRARY, "fn f() -> u8 { unimplemented!() }", true),
            (LIBRARY, "#[test]\n#[ignore]\nfn f() {}", true),
            (LIBRARY, "#[test]\n#[ignore = \"slow\"]\nfn f() {}", true),
            (LIBRARY, sleep, false),
            ("crates/solum-cli/tests/boot.rs", sleep, true),
            (spec, "use std::fs;", true),
            (spec, "fn now() { Instant::now() }", true),
            (spec, "#[cfg(test)]\nmod tests { use std::fs; }", false),
            (LIBRARY, "use std::fs;", false),
            ("crates/solum-boot/src/life.rs", "use std::fs;", true),
            ("crates/solum-boot/src/role.rs", "fn f() { std::process::exit(1) }", false),
            ("crates/solum-boot/src/role.rs", "fn f() { println!() }", true),
        ];
        for (path, code, expected) in cases {
            assert_eq!(is_banned(path, code), expected, "{path}: {code}");
        }
    }

    #[test]
    fn test_code_ends_with_its_braces() {
        let code = "#[cfg(test)]\nmod tests { fn f() { println!() } }\nfn g() { println!() }";
        assert_eq!(
            findings(LIBRARY, code),
            [format!("{LIBRARY}:3: `println!` is banned here: {PASS_ON}")],
            "the first is a test's, the second is not"
        );
        let code = "#[cfg(test)]\nuse x::y;\nfn g() { println!() }";
        assert!(is_banned(LIBRARY, code), "the attribute ends with the semicolon");
        assert!(is_banned(LIBRARY, "#[cfg(not(test))]\nfn g() { println!() }"));
    }

    #[test]
    fn a_function_may_have_70_lines_and_no_more() {
        let function = |lines: usize| {
            format!("fn long<T>(t: T) -> [u8; 2]\nwhere T: X {{\n{}}}", "a();\n".repeat(lines - 3))
        };
        assert_eq!(findings(LIBRARY, &function(70)), [""; 0]);
        assert_eq!(
            findings(LIBRARY, &function(71)),
            [format!("{LIBRARY}:1: `long` has 71 lines, where 70 are the most")]
        );
        let declared = format!("trait X {{ fn f();\n{}fn g() {{ }} }}", "\n".repeat(99));
        assert_eq!(findings(LIBRARY, &declared), [""; 0], "a declaration has no body");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert_eq!(findings(LIBRARY, "fn f( {"), [format!("{LIBRARY}:1: this is not Rust")]);
    }
}
