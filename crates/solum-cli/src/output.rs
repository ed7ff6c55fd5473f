//! What leaves the process: files of which nothing half-written is left behind, files without a name, and JSON.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};

/// The first error of writing to standard output.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints to standard output; what could not be printed is known to [`check_printed`].
pub fn print(text: &str) {
    if let Err(error) = io::stdout().lock().write_all(text.as_bytes()) {
        let _ = LOST.set(error);
    }
}

/// Whether all that was printed has been written. A reader that went away, like `head`, has read what it wanted.
pub fn check_printed() -> Result<(), Failure> {
    let flushed = io::stdout().flush();
    match LOST.get().or(flushed.as_ref().err()) {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::file("cannot write", Path::new("standard output"), error))
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard output; see [`print`].
pub fn print_line(text: &str) {
    print(&format!("{text}\n"));
}

/// Prints a value as JSON, on standard output.
pub fn print_json<T: serde::Serialize>(value: &T) {
    // The values are plain structures with string keys, which have no way not to be JSON.
    print_line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A file in memory, without a name: however this process and those it starts end, nothing is left behind.
pub struct Nameless(fs::File);

impl Nameless {
    /// A file with these bytes.
    pub fn new(bytes: &[u8]) -> io::Result<Self> {
        // Without close-on-exec, so that the path means the same in the processes this one starts.
        let made = match memfd_create("solum", MemfdFlags::NOEXEC_SEAL) {
            // Linux before 6.3 does not know the flag; a later one may insist on it (sysctl vm.memfd_noexec).
            Err(Errno::INVAL) => memfd_create("solum", MemfdFlags::empty()),
            made => made,
        };
        let mut file = fs::File::from(made?);
        file.write_all(bytes)?;
        Ok(Self(file))
    }

    /// A path to it, for this process and those it starts, as long as this value lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// Bytes as a file for QEMU. A dry run is pasted into a shell later, so its file stays, in the cache; any other is gone with its
/// machine.
pub struct Kept {
    path: PathBuf,
    _nameless: Option<Nameless>,
}

impl Kept {
    /// Keeps these bytes. The name says what is inside, so a command that was printed earlier still boots what it was printed for.
    pub fn new(name: &str, bytes: &[u8], suffix: &str, stays: bool) -> Result<Self, Failure> {
        if stays {
            let hash = Sha256::digest(bytes);
            let short = base16ct::lower::encode_string(&hash[..6]);
            let path = Cache::of_user()?.directory("images")?.join(format!("{name}-{short}.{suffix}"));
            // A machine's key may be in it, or what `--env` gives a program, and only this user's QEMU reads it.
            write(&path, bytes, 0o600).map_err(|error| Failure::file("cannot write", &path, &error))?;
            return Ok(Self { path, _nameless: None });
        }
        let file = Nameless::new(bytes).map_err(|error| {
            Failure::new(ExitCode::HostRefuses, format_args!("cannot keep the image: {}", reason(&error)))
        })?;
        Ok(Self { path: file.path(), _nameless: Some(file) })
    }

    /// Where it is, as long as this lives.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a file beside its place, flushes it, and moves it there: afterwards it is there whole, or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // As any program would make it: the user's umask decides.
    write(path, bytes, 0o666).map_err(|error| Failure::file("cannot write", path, &error))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // What a link leads to is what is meant; and a device or a pipe is written to, not replaced.
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = resolved.as_path();
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    let mut file =
        tempfile::Builder::new().prefix(".solum-").permissions(permissions).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|refused| refused.error)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_file_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("out");
        fs::create_dir(&target).unwrap();
        assert!(write_whole(&target, b"bytes").is_err(), "a directory is in the way");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_a_name_is_read_by_the_processes_that_this_one_starts() {
        let file = Nameless::new(b"bytes").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"bytes");
        let read = std::process::Command::new("cat").arg(file.path()).output().unwrap();
        assert_eq!(read.stdout, b"bytes");
    }

    #[test]
    fn an_old_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("out");
        write_whole(&target, b"old and longer").unwrap();
        write_whole(&target, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
