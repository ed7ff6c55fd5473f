//! Whether the same sources give the same bytes wherever they lie.

use crate::bench::archive::file_in_archive;
use crate::bench::lab::{ALONE, HELLO, Lab, read};
use crate::bench::table::Row;
use crate::failure::{Failure, Outcome};
use crate::shell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two places of different length and depth, because a path that gets into a file may also move what follows it.
const PLACES: [&str; 2] = ["copy-a", "another/place/copy-b"];

/// Copies the sources into two directories, builds in each, and compares.
pub fn measure(lab: &Lab) -> Outcome<Vec<Row>> {
    // Both before the first build: whoever works on the sources meanwhile changes neither.
    let roots = [copy_sources(lab, PLACES[0])?, copy_sources(lab, PLACES[1])?];
    let [first, second] = roots.map(|root| build_in(&root));
    let (first, second) = (first?, second?);
    let names = ["init", "hello's initramfs", "alone's initramfs"];
    let rows = names.iter().zip(first.into_iter().zip(second)).map(|(name, (first, second))| {
        let measured = match differences(&first, &second) {
            0 => format!("{} bytes, identical", first.len()),
            count => format!("{} and {} bytes, {count} of them differ", first.len(), second.len()),
        };
        let figure = format!("{name}, built in two directories");
        Row::judged(&figure, measured, "byte-identical", first == second)
    });
    Ok(rows.collect())
}

/// A directory with all sources, and with `solum`: it looks for init's sources above itself first, and these shall be
/// the copy's.
fn copy_sources(lab: &Lab, place: &str) -> Outcome<PathBuf> {
    let root = lab.workspace.scratch(place)?;
    match fs::remove_dir_all(&root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error)),
        _ => {}
    }
    for file in lab.workspace.files()? {
        copy(&lab.workspace.root().join(&file), &root.join(&file)).map_err(|error| failed(&error))?;
    }
    copy(lab.solum_file(), &root.join(SOLUM)).map_err(|error| failed(&error))?;
    Ok(root)
}

/// Where `solum` lies in a copy.
const SOLUM: &str = "target/solum";

/// Init and both initramfs as they come out of a copy of the sources, which is gone afterwards.
fn build_in(root: &Path) -> Outcome<[Vec<u8>; 3]> {
    let take = |program: &str| {
        let out = root.join("target/initramfs");
        let mut command = Command::new(root.join(SOLUM));
        command.current_dir(root).env("CARGO_TARGET_DIR", root.join("target"));
        shell::capture(command.args(["take", "--compress", "none"]).arg(&out).arg(program))?;
        read(&out)
    };
    let (hello, alone) = (take(HELLO)?, take(ALONE)?);
    let init = file_in_archive(&hello, "init").map(<[u8]>::to_vec);
    let init = init.ok_or_else(|| Failure::new("the initramfs of hello holds no init"))?;
    fs::remove_dir_all(root).map_err(|error| failed(&error))?;
    Ok([init, hello, alone])
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(format!("the sources could not be copied: {error}"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to).map(drop)
}

/// How many bytes differ, those that only one side has among them.
fn differences(first: &[u8], second: &[u8]) -> usize {
    let both = first.iter().zip(second).filter(|(first, second)| first != second).count();
    both + first.len().abs_diff(second.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_byte_is_a_difference_too() {
        for (first, second, count) in [("abc", "abc", 0), ("abc", "axc", 1), ("abc", "ab", 1), ("", "ab", 2)]
        {
            assert_eq!(differences(first.as_bytes(), second.as_bytes()), count, "{first} {second}");
        }
    }
}
