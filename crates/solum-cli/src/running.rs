//! What a running system leaves in its directory: `.solum/`, with its disks, a lock, and the socket of its operators.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// The directory beside a description.
pub const STATE: &str = ".solum";
const SOCKET: &str = "operator";
const LOCK: &str = "lock";

/// A system that runs here and nowhere else, as long as this lives.
pub struct Claim {
    state: PathBuf,
    _lock: File,
}

impl Claim {
    /// Claims the system in this directory.
    pub fn new(directory: &Path) -> Result<Self, Failure> {
        let state = state_directory(directory)?;
        let failed = |error: &io::Error| Failure::file("cannot write", &state, error);
        let lock = File::create(state.join(LOCK)).map_err(|error| failed(&error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { state, _lock: lock }),
            Err(_) => Err(Failure::new(
                ExitCode::HostRefuses,
                format_args!("the system in {} runs already", full(directory).display()),
            )
            .hint(format!(
                "look at it with `solum ps -C {0}`, stop it with `solum down -C {0}`",
                directory.display()
            ))),
        }
    }

    /// Where disks are.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The socket for operators.
    pub fn listen(&self) -> Result<UnixListener, Failure> {
        let bound = near(&self.state).and_then(|(_directory, path)| {
            // Nobody else runs here, so what lies there is of a system that was killed.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            UnixListener::bind(&path)
        });
        bound.map_err(|error| Failure::file("cannot listen in", &self.state, &error))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // If it stays, the next system removes it.
        let _ = fs::remove_file(self.state.join(SOCKET));
    }
}

/// The directory beside a description, made if it is missing.
pub fn state_directory(directory: &Path) -> Result<PathBuf, Failure> {
    let state = directory.join(STATE);
    let failed = |error: &io::Error| Failure::file("cannot write", &state, error);
    fs::create_dir_all(&state).map_err(|error| failed(&error))?;
    // What lies in it belongs to this checkout alone.
    let for_git = state.join(".gitignore");
    if !for_git.exists() {
        fs::write(&for_git, "*\n").map_err(|error| failed(&error))?;
    }
    Ok(state)
}

/// A connection to the system that runs in this directory.
pub fn connect(directory: &Path) -> Result<UnixStream, Failure> {
    let connected = near(&directory.join(STATE)).and_then(|(_directory, path)| UnixStream::connect(path));
    connected.map_err(|_| {
        Failure::new(ExitCode::UnusableInput, format_args!("no system runs in {}", full(directory).display()))
            .hint("start it with `solum run DIRECTORY`, or name its directory with -C".to_owned())
    })
}

/// The whole path of a directory, for people: `.` is a different place to each of them.
fn full(directory: &Path) -> PathBuf {
    std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned())
}

/// Tells when the system of a directory is over: whoever runs it has given up its claim, or is gone.
pub fn end_of(directory: &Path) -> Receiver<()> {
    let (sender, receiver) = channel();
    let lock = File::open(directory.join(STATE).join(LOCK));
    // It waits until this process ends, if the system does not.
    thread::spawn(move || {
        // No lock, no claim.
        if let Ok(lock) = lock {
            while flock(&lock, FlockOperation::LockShared) == Err(Errno::INTR) {}
        }
        // Whoever asked may have lost patience.
        let _ = sender.send(());
    });
    receiver
}

/// A short path to the socket, as long as the descriptor is open: the address of a socket has 108 bytes (unix(7)), and a
/// directory may be deeper.
fn near(state: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let directory =
        rustix::fs::open(state, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(SOCKET);
    Ok((directory, path))
}
