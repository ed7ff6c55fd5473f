//! `solum build --check`: whether the same inputs give the same bytes.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::image;
use crate::output::print_line;
use crate::terminal::say;

/// Lets two processes make the same, the second one with nothing that the first has compiled, and compares.
pub fn check() -> Result<(), Failure> {
    let place = |what: &str| {
        tempfile::tempdir().map_err(|error| {
            Failure::new(ExitCode::HostRefuses, format!("no place for the {what} images: {}", reason(&error)))
        })
    };
    let (first, second, compiled) = (place("first")?, place("second")?, place("second")?);
    say("building once");
    build(&first, None)?;
    say("building again, with nothing compiled");
    build(&second, Some(compiled.path()))?;
    let refused = |error: io::Error| {
        Failure::new(ExitCode::HostRefuses, format_args!("the images cannot be compared: {}", reason(&error)))
    };
    let names = relative(first.path()).map_err(refused)?;
    if names != relative(second.path()).map_err(refused)? {
        return Err(differs("the two builds made different files"));
    }
    for name in &names {
        let same = first_difference(&first.path().join(name), &second.path().join(name)).map_err(refused)?;
        if let Some(at) = same {
            return Err(differs(&format!("{} differs from byte {at} on", name.display())));
        }
        print_line(&format!("{}: the same", name.display()));
    }
    Ok(())
}

fn differs(what: &str) -> Failure {
    Failure::new(ExitCode::NotReproducible, what).hint(
        "look at what the programs take from their build: times, paths, random numbers, the order of a directory".to_owned(),
    )
}

/// This very command in another process, with another place for what it writes.
fn build(into: &TempDir, compiled: Option<&Path>) -> Result<(), Failure> {
    let itself = env::current_exe().map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("cannot start itself: {}", reason(&error)))
    })?;
    let mut output = OsString::from(into.path());
    output.push("/");
    let mut command = Command::new(itself);
    let mut is_own = true;
    for word in env::args_os().skip(1) {
        is_own &= word != "--";
        if is_own && word == "--check" {
            command.arg("--output").arg(&output);
        } else {
            command.arg(word);
        }
    }
    if let Some(compiled) = compiled {
        command.env("CARGO_TARGET_DIR", compiled);
    }
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("cannot start itself: {}", reason(&error)))
    })?;
    match (status.success(), ExitCode::of_interrupted(status)) {
        (true, _) => Ok(()),
        (_, Some(code)) => Err(Failure::new(code, "the build was interrupted")),
        _ => Err(Failure::new(ExitCode::BuildFailed, "one of the two builds failed")
            .hint("the reason is in its own messages above".to_owned())),
    }
}

fn relative(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let files = image::files(directory)?;
    Ok(files.into_iter().filter_map(|file| Some(file.strip_prefix(directory).ok()?.to_owned())).collect())
}

/// Where two files begin to differ.
fn first_difference(left: &Path, right: &Path) -> io::Result<Option<u64>> {
    const PIECE: usize = 1 << 20;
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let (mut one, mut other) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    let mut at = 0;
    loop {
        one.clear();
        other.clear();
        left.by_ref().take(PIECE as u64).read_to_end(&mut one)?;
        right.by_ref().take(PIECE as u64).read_to_end(&mut other)?;
        if one != other {
            let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
            return Ok(Some(at + same as u64));
        }
        if one.is_empty() {
            return Ok(None);
        }
        at += one.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_found() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = place.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let one = file("a", "abcd");
        for (text, found) in
            [("abcd", None), ("abxd", Some(2)), ("abc", Some(3)), ("abcde", Some(4)), ("", Some(0))]
        {
            assert_eq!(first_difference(&one, &file("b", text)).unwrap(), found, "{text}");
        }
    }
}
