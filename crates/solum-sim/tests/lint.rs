//! The lint for ported programs: whatever `examples/clippy.toml` forbids is found, with what to write instead.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::process::Command;

/// The file that people put beside their own `solum.toml`.
const RULES: &str = include_str!("../../../examples/clippy.toml");
const CARELESS: &str = include_str!("lint/careless.txt");

/// The values of a key, in the order of the file.
fn values<'a>(rules: &'a str, key: &str) -> Vec<&'a str> {
    let begin = format!("{key} = \"");
    let value = |line: &'a str| line.split_once(&begin)?.1.split_once('"').map(|(value, _)| value);
    rules.lines().filter(|line| !line.starts_with('#')).filter_map(value).collect()
}

fn has_clippy() -> bool {
    Command::new("cargo").args(["clippy", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// What clippy says of the careless program in a directory of its own.
fn complaints(directory: &Path) -> String {
    let manifest = "[package]\nname = \"careless\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n";
    std::fs::create_dir(directory.join("src")).unwrap();
    std::fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(directory.join("src/main.rs"), CARELESS).unwrap();
    std::fs::write(directory.join("clippy.toml"), RULES).unwrap();
    let output = Command::new("cargo")
        .args(["clippy", "--offline", "--quiet", "--color", "never"])
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", directory.join("target"))
        .env_remove("CLIPPY_CONF_DIR")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn all_that_is_forbidden_is_found_with_what_to_write_instead() {
    if !has_clippy() {
        eprintln!("skipped: there is no cargo clippy");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let complaints = complaints(directory.path());
    let (paths, reasons) = (values(RULES, "path"), values(RULES, "reason"));
    assert!(paths.len() > 50 && paths.len() == reasons.len(), "each has a reason");
    let unseen: Vec<_> = paths.iter().filter(|path| !complaints.contains(&format!("`{path}`"))).collect();
    assert!(unseen.is_empty(), "{unseen:?}\n{complaints}");
    let untold: Vec<_> = reasons.iter().filter(|reason| !complaints.contains(*reason)).collect();
    assert!(untold.is_empty(), "{untold:?}\n{complaints}");
    // A path that is nothing's is told by clippy in words of its own.
    assert!(!complaints.contains("does not refer to"), "{complaints}");
}
