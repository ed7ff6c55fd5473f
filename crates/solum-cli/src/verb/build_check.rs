//! `solum build --check`: whether the same inputs give the same bytes.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use solum_kernel::Interrupt;
use tempfile::TempDir;

use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::output::print_line;
use crate::system::{self, Described};
use crate::terminal::say;
use crate::{built, image, signals};

/// Names a directory to a build that is checked: there it keeps the keys of a system, and not in the system's own.
pub const KEYS: &str = "SOLUM_CHECK_KEYS";

/// Lets two processes make the same, the second one with nothing that the first has compiled, and compares. `given` is what is
/// built.
pub fn check(given: &Path) -> Result<(), Failure> {
    let place = tempfile::tempdir().map_err(|error| no_place(&error))?;
    let interrupt = Interrupt::default();
    let listening = signals::removing(interrupt.clone()).map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("cannot listen to signals: {}", reason(&error)))
    })?;
    let checked = Check { place: place.path(), interrupt }.all(given);
    remove(place);
    drop(listening);
    checked
}

fn no_place(error: &io::Error) -> Failure {
    Failure::new(ExitCode::HostRefuses, format_args!("no place for the images: {}", reason(error)))
}

/// Whoever was killed may make a last file in a directory that is just being removed, and then it is not empty.
fn remove(place: TempDir) {
    const TRIES: u32 = 50;
    const AGAIN: Duration = Duration::from_millis(20);
    let path = place.keep();
    for _ in 0..TRIES {
        if fs::remove_dir_all(&path).is_ok() {
            return;
        }
        thread::sleep(AGAIN);
    }
    say(&format!("warning: {} could not be removed", path.display()));
}

/// Two builds in one place.
struct Check<'a> {
    place: &'a Path,
    interrupt: Interrupt,
}

impl Check<'_> {
    fn all(&self, given: &Path) -> Result<(), Failure> {
        let make = |name: &str| {
            let path = self.place.join(name);
            fs::create_dir(&path).map(|()| path).map_err(|error| no_place(&error))
        };
        let (first, second, keys) = (make("first")?, make("second")?, make("keys")?);
        if system::is_described(given) {
            // Keys that were made for the first build are an input of the second, and not of any other.
            built::copy_keys(&Described::read(given)?.directory, &keys)?;
        }
        say("building once");
        self.build(&first, &keys, None)?;
        say("building again, with nothing compiled");
        self.build(&second, &keys, Some(&make("compiled")?))?;
        compare(&first, &second)
    }

    /// This very command in another process, with another place for what it writes.
    fn build(&self, into: &Path, keys: &Path, compiled: Option<&Path>) -> Result<(), Failure> {
        let cannot_start = |error: io::Error| {
            Failure::new(ExitCode::HostRefuses, format_args!("cannot start itself: {}", reason(&error)))
        };
        let mut output = OsString::from(into);
        output.push("/");
        let mut command = Command::new(env::current_exe().map_err(cannot_start)?);
        let mut is_own = true;
        for word in env::args_os().skip(1) {
            is_own &= word != "--";
            if is_own && word == "--check" {
                command.arg("--output").arg(&output);
            } else {
                command.arg(word);
            }
        }
        command.env(KEYS, keys);
        if let Some(compiled) = compiled {
            command.env("CARGO_TARGET_DIR", compiled);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let Some(status) = self.interrupt.run(&mut command).map_err(cannot_start)? else {
            let code = signals::asked().unwrap_or(ExitCode::Interrupted);
            return Err(Failure::new(code, "the check was interrupted"));
        };
        match (status.success(), ExitCode::of_interrupted(status)) {
            (true, _) => Ok(()),
            (_, Some(code)) => Err(Failure::new(code, "the build was interrupted")),
            _ => Err(Failure::new(ExitCode::BuildFailed, "one of the two builds failed")
                .hint("the reason is in its own messages above".to_owned())),
        }
    }
}

fn compare(first: &Path, second: &Path) -> Result<(), Failure> {
    let refused = |error: io::Error| {
        Failure::new(ExitCode::HostRefuses, format_args!("the images cannot be compared: {}", reason(&error)))
    };
    let names = relative(first).map_err(refused)?;
    if names != relative(second).map_err(refused)? {
        return Err(differs("the two builds made different files"));
    }
    for name in &names {
        let same = first_difference(&first.join(name), &second.join(name)).map_err(refused)?;
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
