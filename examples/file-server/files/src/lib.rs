//! Serving the interface `Files` from a file system.
//!
//! # When changes last
//!
//! A change is in memory when its call is answered, and on the disk for good when a `sync` was answered that came after
//! it. One client's `sync` makes the changes of all clients last: the file system goes from one whole state to the next.
//! The server may make things last earlier, when memory or room becomes scarce; then too only whole calls.

use std::fmt;

use files_api::{
    Entry, Files, FilesError, FilesService, Kind, LIST_ENTRIES_MAX, Mark, Room, Stat, TRANSFER_BYTES_MAX,
};
use solum::{Console, Disk, Serve};
use solum_fs::{Error, FileSystem, Standing};

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// Where the file system is.
    pub disk: Disk,
    /// What is offered to other units.
    pub files: Serve<Files>,
    /// Where it is told how the disk was found.
    pub console: Console,
}

/// Why the server cannot serve.
#[derive(Debug)]
pub enum Failure {
    /// There is no file system that could be served.
    FileSystem(Error),
    /// A port failed.
    Device(solum::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileSystem(error @ Error::NotFormatted { .. }) => write!(
                f,
                "{error}\nhint: to lose what is on it and make a file system: solum-fs IMAGE format --force"
            ),
            Self::FileSystem(error) => error.fmt(f),
            Self::Device(error) => error.fmt(f),
        }
    }
}

impl From<solum::Error> for Failure {
    fn from(error: solum::Error) -> Self {
        Self::Device(error)
    }
}

/// The program: mounts its disk, or makes a file system on a blank one, and serves it.
///
/// # Errors
///
/// Why it cannot serve.
pub fn files(mut ports: Ports) -> Result<(), Failure> {
    let (file_system, found) = open(ports.disk).map_err(Failure::FileSystem)?;
    let mebibytes = file_system.room().free_bytes >> 20;
    match found {
        Found::Blank => ports.console.line("the disk was blank, and has a file system now")?,
        Found::Whole(entries) => ports.console.line(format_args!("mounted: {entries} entries in /"))?,
        Found::Damaged(damage) => {
            for problem in damage {
                ports.console.line(format_args!("damaged: {problem}"))?;
            }
            ports.console.line("nothing can be changed until what is damaged has been removed")?;
        }
    }
    ports.console.line(format_args!("serving, {mebibytes} MiB are free"))?;
    Ok(ports.files.run(&mut Service::new(file_system))?)
}

/// What a disk was like when it was taken into service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file system that is whole, with so many entries in its root directory.
    Whole(u64),
    /// A blank disk, which was formatted.
    Blank,
    /// A file system with damage: what, and where.
    Damaged(Vec<String>),
}

/// Mounts what is on a disk; makes a file system on a blank one.
///
/// # Errors
///
/// [`Error::NotFormatted`] if there is something else on the disk, and those of [`FileSystem::mount`].
pub fn open(mut disk: Disk) -> solum_fs::Result<(FileSystem, Found)> {
    let is_blank = matches!(solum_fs::probe(&mut disk), Err(Error::NotFormatted { blank: true }));
    if is_blank {
        solum_fs::format(&mut disk)?;
    }
    let mut file_system = FileSystem::mount(disk)?;
    let damage: Vec<String> = file_system.damage().iter().map(ToString::to_string).collect();
    let found = match damage.is_empty() {
        _ if is_blank => Found::Blank,
        true => Found::Whole(file_system.stat("/")?.size),
        false => Found::Damaged(damage),
    };
    Ok((file_system, found))
}

/// Answers the calls of clients.
pub struct Service {
    file_system: FileSystem,
}

impl Service {
    /// A service on this file system.
    pub fn new(file_system: FileSystem) -> Self {
        Self { file_system }
    }

    fn change(
        &mut self,
        change: impl FnOnce(&mut FileSystem) -> solum_fs::Result<()>,
    ) -> Result<Mark, FilesError> {
        change(&mut self.file_system).map_err(told)?;
        let solum_fs::Mark { life, change } = self.file_system.mark();
        Ok(Mark { life, change })
    }
}

impl FilesService for Service {
    fn create(&mut self, path: String) -> Result<Mark, FilesError> {
        self.change(|file_system| file_system.create(&path))
    }

    fn make_directory(&mut self, path: String) -> Result<Mark, FilesError> {
        self.change(|file_system| file_system.make_directory(&path))
    }

    fn read(&mut self, path: String, offset: u64, length: u32) -> Result<Vec<u8>, FilesError> {
        if length > TRANSFER_BYTES_MAX {
            return Err(FilesError::TooLarge);
        }
        self.file_system.read(&path, offset, u64::from(length)).map_err(told)
    }

    fn write(&mut self, path: String, offset: u64, data: Vec<u8>) -> Result<Mark, FilesError> {
        if data.len() > TRANSFER_BYTES_MAX as usize {
            return Err(FilesError::TooLarge);
        }
        self.change(|file_system| file_system.write(&path, offset, &data))
    }

    fn truncate(&mut self, path: String, size: u64) -> Result<Mark, FilesError> {
        self.change(|file_system| file_system.truncate(&path, size))
    }

    fn rename(&mut self, from: String, to: String) -> Result<Mark, FilesError> {
        self.change(|file_system| file_system.rename(&from, &to))
    }

    fn remove(&mut self, path: String) -> Result<Mark, FilesError> {
        self.change(|file_system| file_system.remove(&path))
    }

    fn remove_directory(&mut self, path: String) -> Result<Mark, FilesError> {
        self.change(|file_system| file_system.remove_directory(&path))
    }

    fn remove_all(&mut self, path: String) -> Result<Mark, FilesError> {
        self.change(|file_system| file_system.remove_all(&path))
    }

    fn list(&mut self, path: String, after: Option<String>, limit: u32) -> Result<Vec<Entry>, FilesError> {
        let limit = limit.min(LIST_ENTRIES_MAX) as usize;
        let listed = self.file_system.list(&path, after.as_deref(), limit).map_err(told)?;
        let entry =
            |listed: solum_fs::Listed| Entry { name: listed.name, stat: stat_of(listed.kind, listed.size) };
        Ok(listed.into_iter().map(entry).collect())
    }

    fn stat(&mut self, path: String) -> Result<Stat, FilesError> {
        let solum_fs::Stat { kind, size } = self.file_system.stat(&path).map_err(told)?;
        Ok(stat_of(kind, size))
    }

    fn room(&mut self) -> Room {
        let solum_fs::Room { total_bytes, used_bytes, free_bytes } = self.file_system.room();
        Room { total_bytes, used_bytes, free_bytes }
    }

    fn sync(&mut self, mark: Mark) -> Result<(), FilesError> {
        let mark = solum_fs::Mark { life: mark.life, change: mark.change };
        match self.file_system.standing(mark) {
            Standing::Durable => Ok(()),
            Standing::Pending => self.file_system.sync().map_err(told),
            Standing::Lost => Err(FilesError::Lost),
        }
    }
}

fn stat_of(kind: solum_fs::Kind, size: u64) -> Stat {
    let kind = match kind {
        solum_fs::Kind::File => Kind::File,
        solum_fs::Kind::Directory => Kind::Directory,
    };
    Stat { kind, size }
}

/// An error as a client is told of it.
fn told(error: Error) -> FilesError {
    match error {
        Error::NotFound { path } => FilesError::NotFound(path),
        Error::AlreadyExists { path } => FilesError::AlreadyExists(path),
        Error::NotADirectory { path } => FilesError::NotADirectory(path),
        Error::IsADirectory { path } => FilesError::IsADirectory(path),
        Error::NotEmpty { path } => FilesError::NotEmpty(path),
        error @ (Error::IntoItself { .. } | Error::BadPath { .. }) => FilesError::BadPath(error.to_string()),
        Error::TooLarge => FilesError::TooLarge,
        Error::NoSpace => FilesError::NoSpace,
        Error::ReadOnly => FilesError::ReadOnly,
        Error::Damaged(damage) => FilesError::Damaged(damage.to_string()),
        error => FilesError::Disk(error.to_string()),
    }
}
