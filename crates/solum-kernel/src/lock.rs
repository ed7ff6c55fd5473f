//! Locks between processes: flock(2) on a file, which the kernel gives back however its holder dies.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::Error;
use crate::files;

/// The one right to something, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, unless another has it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
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
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> Result<File, Error> {
    if let Some(directory) = path.parent() {
        files::create_directory(directory)?;
    }
    File::options().create(true).append(true).open(path).map_err(|error| Error::io("lock", path, error))
}
