//! A directory of a test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread;

use tempfile::TempDir;

use super::{Solum, elf};

/// What stands for the scratch directory in arguments and in what is expected.
pub const PLACEHOLDER: &str = "[SCRATCH]";

/// A directory that is gone after the test, unless the test failed: then it is what the failure can be looked at in.
pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    /// A new one, with an empty `tmp` in it for the commands under test.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("solum-test-").tempdir().unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        Self { directory }
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, and the directories on the way to it.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes an executable file.
    pub fn executable(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Makes a directory.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The names in one of its directories, in order.
    pub fn names(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// `solum` with these arguments, in which `[SCRATCH]` stands for this directory.
    pub fn solum<A: AsRef<str>>(&self, arguments: &[A]) -> Solum<'_> {
        // Building PID 1 is said once, and it should not be in the middle of what a test compares.
        static PID_1_IS_BUILT: Once = Once::new();
        PID_1_IS_BUILT.call_once(|| {
            let scratch = Self::new();
            scratch.file("program", elf::program());
            Solum::new(&scratch, &["take", "[SCRATCH]/out", "[SCRATCH]/program"]).run();
        });
        Solum::new(self, arguments)
    }

    /// `solum` for what boots no machine, and so needs no PID 1.
    pub fn solum_without_init<A: AsRef<str>>(&self, arguments: &[A]) -> Solum<'_> {
        Solum::new(self, arguments)
    }

    /// Puts the directory in the place of `[SCRATCH]`.
    pub fn expand(&self, text: &str) -> String {
        text.replace(PLACEHOLDER, &self.directory.path().to_string_lossy())
    }

    /// The reverse: what the command said, independent of where the test ran.
    pub fn contract(&self, text: &str) -> String {
        text.replace(&*self.directory.path().to_string_lossy(), PLACEHOLDER)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.directory.disable_cleanup(true);
        }
    }
}
