//! `cargo xtask deny`: the dependencies, judged by cargo-deny with `deny.toml`.

use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pinned, so that the verdict depends on this repository alone.
const VERSION: &str = "0.20.2";

/// Checks licences, duplicates and sources; and the advisories, where their database can be had.
pub fn run(workspace: &Workspace) -> Outcome {
    let program = installed(workspace)?;
    shell::run(check(&program, workspace).args(["bans", "licenses", "sources"]))?;
    check_advisories(&mut check(&program, workspace))
}

fn check(program: &Path, workspace: &Workspace) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace.root()).arg("check");
    command
}

/// The advisories come from the network, so their absence is said and is no failure.
fn check_advisories(check: &mut Command) -> Outcome {
    eprintln!("  $ {}", shell::shown(check.arg("advisories")));
    let output = shell::output(check)?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        eprint!("{words}");
        Ok(())
    } else if database_is_missing(&words) {
        eprintln!("  advisories not checked: their database cannot be fetched from here");
        Ok(())
    } else {
        eprint!("{words}");
        Err(Failure::new("a dependency has an advisory against it"))
    }
}

fn database_is_missing(words: &str) -> bool {
    words.contains("failed to fetch advisory database")
}

/// cargo-deny, built once and kept outside of `target` so that `cargo clean` does not cost minutes.
fn installed(workspace: &Workspace) -> Outcome<PathBuf> {
    let directory = cache_directory()?.join("solum/tools").join(format!("cargo-deny-{VERSION}"));
    let program = directory.join("bin/cargo-deny");
    if !program.is_file() {
        eprintln!(
            "  building cargo-deny {VERSION} once (about a minute and a half of CPU time), into {}",
            directory.display()
        );
        let mut command = shell::cargo(workspace.root());
        command.args(["install", "cargo-deny", "--locked", "--version", VERSION, "--root"]).arg(&directory);
        // Unoptimised it is built in half the time, and still checks in seconds.
        command.arg("--debug").env("CARGO_PROFILE_DEV_DEBUG", "false");
        shell::run(&mut command)?;
    }
    Ok(program)
}

fn cache_directory() -> Outcome<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))).ok_or_else(|| {
        Failure::new("neither XDG_CACHE_HOME nor HOME is set, so cargo-deny has no place to be kept")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_database_is_told_from_an_advisory() {
        assert!(database_is_missing(
            "[ERROR] failed to fetch advisory database https://x.example/db with cli"
        ));
        assert!(!database_is_missing("error[vulnerability]: use after free in x"));
    }
}
