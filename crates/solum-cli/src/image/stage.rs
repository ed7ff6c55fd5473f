//! Where an image is made, until it is whole.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What such a directory is called, before letters that only it has.
const PREFIX: &str = ".solum-making-";
/// What was replaced, for as long as nothing else has its name.
const OLD: &str = "old";

/// A directory beside the place of an image, removed with this. One whose maker was killed is removed by the next.
#[derive(Debug)]
pub struct Stage {
    directory: TempDir,
    /// Locked, which says that somebody makes something there.
    _held: File,
}

impl Stage {
    /// Makes one in this directory.
    pub fn new(beside: &Path) -> io::Result<Self> {
        // Whoever may not look or remove makes his image all the same.
        let _ = remove_orphans(beside);
        loop {
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside)?;
            // Until it is locked, another may take it for one that is left over.
            let held = match File::open(directory.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                held => held?,
            };
            // File systems without locks exist. Nobody takes a directory there for one that is left over.
            let _ = held.lock();
            if fs::exists(directory.path())? {
                return Ok(Self { directory, _held: held });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where `replace` puts what was there.
    pub fn old(&self) -> PathBuf {
        self.path().join(OLD)
    }
}

fn remove_orphans(beside: &Path) -> io::Result<()> {
    for entry in fs::read_dir(beside)? {
        let entry = entry?;
        let is_stage = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_stage || !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let directory = File::open(&path)?;
        match directory.try_lock() {
            // An image that was to be replaced, and nothing came in its place: its owner decides.
            Ok(()) if fs::exists(path.join(OLD))? => {}
            Ok(()) => fs::remove_dir_all(&path)?,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_one_left_is_removed_by_the_next() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join(".solum-making-killed")).unwrap();
        fs::write(place.path().join(".solum-making-killed/made"), "half").unwrap();
        drop(Stage::new(place.path()).unwrap());
        assert_eq!(names(place.path()), [""; 0]);
    }

    #[test]
    fn what_another_makes_stays() {
        let place = tempfile::tempdir().unwrap();
        let other = Stage::new(place.path()).unwrap();
        fs::write(other.path().join("made"), "half").unwrap();
        drop(Stage::new(place.path()).unwrap());
        assert_eq!(fs::read_to_string(other.path().join("made")).unwrap(), "half");
    }

    #[test]
    fn what_is_not_ours_or_was_the_users_stays() {
        let place = tempfile::tempdir().unwrap();
        for path in [".solum", ".solum-mine", ".solum-making-killed/old"] {
            fs::create_dir_all(place.path().join(path)).unwrap();
        }
        fs::write(place.path().join(".solum-making-file"), "").unwrap();
        drop(Stage::new(place.path()).unwrap());
        assert_eq!(
            names(place.path()),
            [".solum", ".solum-making-file", ".solum-making-killed", ".solum-mine"]
        );
    }
}
