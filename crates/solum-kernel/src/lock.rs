//! Locks between processes: flock(2) on a file, which the kernel gives back however its holder dies.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::Error;
use crate::files;

/// The one right to something, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes it, unless another has it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path, error)),
        }
    }

    /// Takes it when nobody else has it, having called `waiting` if that is not now.
    pub(crate) fn take(path: &Path, waiting: impl FnOnce()) -> Result<Self, Error> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        waiting();
        let file = open(path)?;
        file.lock().map_err(|error| Error::io("lock", path, error))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // To close it would not do while a child that another thread has just forked still has a copy (flock(2)).
        // Failing, the lock ends with this process.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> Result<File, Error> {
    if let Some(directory) = path.parent() {
        files::create_directory(directory)?;
    }
    File::options().create(true).append(true).open(path).map_err(|error| Error::io("lock", path, error))
}
