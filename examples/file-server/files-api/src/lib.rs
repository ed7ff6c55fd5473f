//! The interface `Files`: files and directories that another unit keeps.
//!
//! # What a call means
//!
//! Each call that changes something happens as a whole or not at all, and its effect is seen at once by every client. It
//! **lasts** only once a later [`sync`](FilesService::sync) was answered. If the server is started again before that, all
//! clients' changes since the last sync are gone together: what is there is what was there after some call, never a
//! mixture.
//!
//! So that a client notices, each change gives a [`Mark`], and `sync` takes one: it answers [`FilesError::Lost`] if the change
//! that the mark stands for did not survive. A client that wants to be sure keeps what it wrote until a sync with its
//! mark was answered, and writes it again when that says `Lost`. [`Client`] keeps the marks.
//!
//! # What is repeated
//!
//! Calls marked `retry` say where and what in full, so doing them twice is doing them once; the link repeats them by itself
//! when the server was started again. Calls marked `once` (making, renaming and removing) would answer something else the
//! second time; when their server dies they answer `Gone`, and whoever called looks what became of it. A repeated write
//! comes after whatever others wrote meanwhile: clients that write into the same file agree among themselves.

mod client;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use client::{CallResult, Client};

/// The most bytes that one call reads or writes: a message of a link has 64 KiB, and the path has to fit in too.
pub const TRANSFER_BYTES_MAX: u32 = 48 * 1024;

/// The most entries that one call lists.
pub const LIST_ENTRIES_MAX: u32 = 128;

/// Stands for all changes until some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which life of the file system it was: a server that starts again begins another.
    pub life: u64,
    /// How many changes there had been, over all lives.
    pub change: u64,
}

/// What a name can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names.
    Directory,
}

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// A file or a directory.
    pub kind: Kind,
    /// Of a file, in bytes; of a directory, in entries.
    pub size: u64,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Without the way to it.
    pub name: String,
    /// What it stands for.
    pub stat: Stat,
}

/// How much room there is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// In all.
    pub total_bytes: u64,
    /// In use.
    pub used_bytes: u64,
    /// Left.
    pub free_bytes: u64,
}

/// Why a call did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilesError {
    /// There is nothing of this name.
    NotFound(String),
    /// There is something of this name already.
    AlreadyExists(String),
    /// This is a file, and a directory is needed.
    NotADirectory(String),
    /// This is a directory, and a file is needed.
    IsADirectory(String),
    /// This directory has entries.
    NotEmpty(String),
    /// The path cannot be used for this; the text says why.
    BadPath(String),
    /// More was asked for than a call, or a file, can hold.
    TooLarge,
    /// The disk is full.
    NoSpace,
    /// The disk cannot be written.
    ReadOnly,
    /// What is on the disk is not what was written; the text says what and where.
    Damaged(String),
    /// The disk failed; the text says how. Of a change, nobody knows whether it will last.
    Disk(String),
    /// The server was started again, and what was not synced before is gone.
    Lost,
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(path) => write!(f, "{path}: there is no such file or directory"),
            Self::AlreadyExists(path) => write!(f, "{path}: it exists already"),
            Self::NotADirectory(path) => write!(f, "{path}: it is a file, and no directory"),
            Self::IsADirectory(path) => write!(f, "{path}: it is a directory, and no file"),
            Self::NotEmpty(path) => write!(f, "{path}: the directory is not empty"),
            Self::BadPath(text) | Self::Damaged(text) | Self::Disk(text) => f.write_str(text),
            Self::TooLarge => f.write_str("it is more than fits"),
            Self::NoSpace => f.write_str("the disk is full"),
            Self::ReadOnly => f.write_str("the disk cannot be written"),
            Self::Lost => f.write_str("the file server was started again: what was not synced is lost"),
        }
    }
}

impl std::error::Error for FilesError {}

/// Files and directories. Paths are names with `/` between them, from the root.
#[solum::interface(version = 1)]
pub trait Files {
    /// Makes an empty file.
    #[once]
    fn create(&mut self, path: String) -> Result<Mark, FilesError>;
    /// Makes an empty directory.
    #[once]
    fn make_directory(&mut self, path: String) -> Result<Mark, FilesError>;
    /// Reads; fewer bytes than were asked for only at the end of the file.
    #[retry]
    fn read(&mut self, path: String, offset: u64, length: u32) -> Result<Vec<u8>, FilesError>;
    /// Writes into a file, which becomes longer if need be.
    #[retry]
    fn write(&mut self, path: String, offset: u64, data: Vec<u8>) -> Result<Mark, FilesError>;
    /// Makes a file shorter, or longer with zeros.
    #[retry]
    fn truncate(&mut self, path: String, size: u64) -> Result<Mark, FilesError>;
    /// Gives another name. A file of that name is replaced, and so is an empty directory by a directory.
    #[once]
    fn rename(&mut self, from: String, to: String) -> Result<Mark, FilesError>;
    /// Removes a file.
    #[once]
    fn remove(&mut self, path: String) -> Result<Mark, FilesError>;
    /// Removes an empty directory.
    #[once]
    fn remove_directory(&mut self, path: String) -> Result<Mark, FilesError>;
    /// Removes a file, or a directory with everything in it, even if that is damaged.
    #[once]
    fn remove_all(&mut self, path: String) -> Result<Mark, FilesError>;
    /// What is in a directory, in the order of the names' bytes: at most `limit` entries behind the name `after`.
    #[retry]
    fn list(&mut self, path: String, after: Option<String>, limit: u32) -> Result<Vec<Entry>, FilesError>;
    /// What a path stands for.
    #[retry]
    fn stat(&mut self, path: String) -> Result<Stat, FilesError>;
    /// How much room there is.
    #[retry]
    fn room(&mut self) -> Room;
    /// Returns when everything until `mark` lasts.
    #[retry]
    fn sync(&mut self, mark: Mark) -> Result<(), FilesError>;
}
