//! Nothing of the machine that a file was written on gets into the file: no package mirror, no path.
//!
//! The words are read from the machine itself each time, so that none of them stands here either.

use super::{Finding, Text};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories that are nobody's in particular; a path into them may be meant for any machine.
const COMMON: &[&str] =
    &["/", "/builds", "/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr/src", "/var/tmp"];

/// Lines that hold one of the words.
pub fn check(texts: &[Text], words: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in texts.iter().filter(|text| !text.path.ends_with(".lock")) {
        for (index, line) in text.content.lines().enumerate() {
            for word in words.iter().filter(|word| holds(line, word)) {
                let message =
                    format!("`{word}` belongs to this machine; use an example name or a relative path");
                findings.push(Finding::at(&text.path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether the word stands in the line, and not as the end of a longer path.
fn holds(line: &str, word: &str) -> bool {
    let continues =
        |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}'));
    line.match_indices(word).any(|(at, _)| !word.starts_with('/') || !continues(&line[..at]))
}

/// What belongs to this machine: the hosts of its package mirrors and registries, and where this checkout lies.
pub fn private_words(root: &Path) -> Vec<String> {
    let mut words: Vec<String> = configuration_files().iter().flat_map(|file| hosts(&read(file))).collect();
    words.extend(root_words(root));
    words.sort();
    words.dedup();
    words
}

fn configuration_files() -> Vec<PathBuf> {
    let apt =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = apt.collect();
    files.push("/etc/apt/sources.list".into());
    files.extend(cargo_home().map(|home| home.join("config.toml")));
    files
}

fn cargo_home() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The hosts of the URLs in a text.
fn hosts(text: &str) -> Vec<String> {
    let after = text.split("://").skip(1);
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '@');
    let hosts = after.map(|rest| rest.split(|c| !is_host(c)).next().unwrap_or("").to_owned());
    hosts.filter(|host| host.contains('.')).collect()
}

/// The checkout's own path, and the directory it shares with its siblings. Neither if it is a common one, or so short
/// (`/src`, `/tmp`) that it may well be meant for any machine.
fn root_words(root: &Path) -> Vec<String> {
    // The root is a component too.
    let is_long = |path: &Path| path.components().count() > 2;
    let is_common = |path: &Path| COMMON.iter().any(|common| Path::new(common) == path);
    let paths = [Some(root), root.parent()].into_iter().flatten();
    paths
        .filter(|path| is_long(path) && !is_common(path))
        .map(|path| format!("{}/", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, texts};
    use super::*;

    #[test]
    fn words_of_this_machine_are_found_outside_of_lock_files() {
        let words = ["mirror.example".to_owned()];
        let line = "see http://mirror.example/debian";
        let findings = check(&texts(&[("README.md", line), ("Cargo.lock", line), ("a.rs", "fine")]), &words);
        assert_eq!(
            shown(&findings),
            ["README.md:1: `mirror.example` belongs to this machine; use an example name or a relative path"]
        );
    }

    #[test]
    fn hosts_are_read_from_any_configuration() {
        let text = "URIs: http://deb.example/debian\nregistry = \"sparse+https://crates.example:8081/index/\"\nfile:///x";
        assert_eq!(hosts(text), ["deb.example", "crates.example:8081"]);
    }

    #[test]
    fn a_common_or_short_directory_is_no_secret() {
        assert_eq!(root_words(Path::new("/tmp/clone")), ["/tmp/clone/"]);
        assert_eq!(root_words(Path::new("/farm/house/main")), ["/farm/house/main/", "/farm/house/"]);
        assert_eq!(root_words(Path::new("/usr/src/solum")), ["/usr/src/solum/"]);
        assert_eq!(root_words(Path::new("/src")), [""; 0]);
    }

    #[test]
    fn a_path_is_meant_from_its_root_on() {
        for (line, expected) in [
            ("see `/farm/house/x`", true),
            ("--dir=/farm/house/x", true),
            ("/farm/house/x", true),
            ("crates/farm/house/x", false),
            ("../farm/house/x", false),
            ("/farm/houses/x", false),
        ] {
            assert_eq!(holds(line, "/farm/house/"), expected, "{line}");
        }
    }
}
