//! Small file operations with errors that name the file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::error::Error;

pub(crate) fn create_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|error| Error::io("create the directory", path, error))
}

/// Writes a file that is on the disk when this returns.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error: io::Error| Error::io("write", path, error))
}

pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|error| Error::io("move a finished file to", to, error))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).map(drop).map_err(|error| Error::io("copy a file to", to, error))
}

/// Removes a file or a whole directory; that there is none is no error.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Waits until everything written to the file system that `directory` is on has reached the disk. One call for
/// a thousand modules, that would take seconds one by one.
pub(crate) fn sync_file_system(directory: &Path) -> Result<(), Error> {
    let sync = || rustix::fs::syncfs(File::open(directory)?).map_err(io::Error::from);
    sync().map_err(|error| Error::io("write", directory, error))
}

/// Refuses to begin what would fill the disk.
pub(crate) fn need_space(directory: &Path, needed: u64) -> Result<(), Error> {
    let status =
        rustix::fs::statvfs(directory).map_err(|error| Error::io("examine", directory, error.into()))?;
    let available = status.f_bavail.saturating_mul(status.f_frsize);
    match available < needed {
        true => Err(Error::NoSpace {
            path: directory.to_owned(),
            needed: Some(needed),
            available: Some(available),
        }),
        false => Ok(()),
    }
}

/// What a directory has in it; one that does not exist is empty.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::io("list", directory, error);
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

/// Bytes of all files below a path. What vanishes meanwhile does not count.
pub fn size_of_tree(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries.flatten().map(|entry| size_of_tree(&entry.path())).sum()
}

/// When a file was last modified, in nanoseconds since 1970; 0 where the file system does not tell.
pub(crate) fn modified_ns(metadata: &fs::Metadata) -> u64 {
    let since_epoch = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_epoch.and_then(|duration| u64::try_from(duration.as_nanos()).ok()).unwrap_or(0)
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of_file(path: &Path) -> Result<String, Error> {
    let hash = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(base16ct::lower::encode_string(&hasher.finalize())),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    hash().map_err(|error| Error::io("read", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_file_is_that_of_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path, b"abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of_file(&path).unwrap(), abc);
        assert_eq!(sha256(b"abc"), abc);
    }

    #[test]
    fn more_space_than_there_is_is_refused_with_both_numbers() {
        let directory = tempfile::tempdir().unwrap();
        assert!(need_space(directory.path(), 1).is_ok());
        let error = need_space(directory.path(), u64::MAX).unwrap_err();
        assert!(error.to_string().contains("MB needed"), "{error}");
    }

    #[test]
    fn removing_what_is_not_there_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        remove(&path).unwrap();
        create_directory(&path).unwrap();
        write(&path.join("file"), b"12345").unwrap();
        assert_eq!(size_of_tree(directory.path()), 5);
        remove(&directory.path().join("a")).unwrap();
        assert_eq!(size_of_tree(directory.path()), 0);
    }
}
