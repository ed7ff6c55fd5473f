//! What goes wrong, as values.

use std::fmt;

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing of that name.
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// There is something of that name already.
    AlreadyExists {
        /// What is in the way.
        path: String,
    },
    /// A file was named where a directory is needed.
    NotADirectory {
        /// The file.
        path: String,
    },
    /// A directory was named where a file is needed.
    IsADirectory {
        /// The directory.
        path: String,
    },
    /// The directory has entries.
    NotEmpty {
        /// The directory.
        path: String,
    },
    /// A directory cannot be moved into itself.
    IntoItself {
        /// Where it was to go.
        path: String,
    },
    /// The path is none.
    BadPath {
        /// As it was given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file would be longer than [`FILE_BYTES_MAX`](crate::FILE_BYTES_MAX).
    TooLarge,
    /// The disk is full. What is there can still be read and removed.
    NoSpace,
    /// The disk cannot be written.
    ReadOnly,
    /// What the disk holds is not what was written to it.
    Damaged(Damage),
    /// There is no file system on the disk.
    NotFormatted {
        /// Whether the disk looks as if it had never been used, so that nothing is lost by formatting it.
        blank: bool,
    },
    /// There is a file system that cannot be used on this disk or with this library; the text says why.
    Unusable(String),
    /// The disk failed.
    Disk(solum::Error),
}

/// The result of most operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something on the disk that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file or directory that it is a part of; empty if it is a part of none.
    pub path: String,
    /// What it was.
    pub piece: Piece,
    /// Where it is, in blocks of 4096 bytes from the beginning of the disk.
    pub block: u64,
    /// What is wrong with it.
    pub defect: Defect,
}

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// Where everything begins.
    Superblock,
    /// Names in a directory.
    Directory,
    /// Where the content of a file is.
    Index,
    /// Content of a file.
    Content,
}

/// What can be wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// The disk cannot read it.
    Unreadable,
    /// Its bytes are not those that were written: they rotted, or the write was lost, or went elsewhere.
    Checksum,
    /// Its checksum is right, but its content makes no sense.
    Malformed,
    /// It is referred to by two places.
    UsedTwice,
    /// It refers to a block that the disk does not have.
    OutOfRange,
    /// It is said to be newer than the whole file system.
    FromTheFuture,
    /// It lies behind the end of its file.
    BeyondTheEnd,
    /// What is counted is not what there is.
    Count,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path } => write!(f, "{path}: there is no such file or directory"),
            Self::AlreadyExists { path } => write!(f, "{path}: it exists already"),
            Self::NotADirectory { path } => write!(f, "{path}: it is a file, and no directory"),
            Self::IsADirectory { path } => write!(f, "{path}: it is a directory, and no file"),
            Self::NotEmpty { path } => write!(f, "{path}: the directory is not empty"),
            Self::IntoItself { path } => write!(f, "{path}: a directory cannot be moved into itself"),
            Self::BadPath { path, reason } => write!(f, "{path:?} is no path: {reason}"),
            Self::TooLarge => f.write_str("the file would be longer than a file can be"),
            Self::NoSpace => f.write_str("the disk is full"),
            Self::ReadOnly => f.write_str("the disk cannot be written"),
            Self::Damaged(damage) => damage.fmt(f),
            Self::NotFormatted { blank: true } => {
                f.write_str("the disk is blank: there is no file system on it")
            }
            Self::NotFormatted { blank: false } => {
                f.write_str("there is no file system on the disk, but the disk is not blank either")
            }
            Self::Unusable(reason) => f.write_str(reason),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<solum::Error> for Error {
    fn from(error: solum::Error) -> Self {
        Self::Disk(error)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} in block {} {}", self.piece, self.block, self.defect)
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superblock => "the superblock",
            Self::Directory => "the directory",
            Self::Index => "the index of the content",
            Self::Content => "the content",
        })
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "cannot be read",
            Self::Checksum => "is damaged: its bytes are not those that were written",
            Self::Malformed => "makes no sense, though its checksum is right",
            Self::UsedTwice => "is used by something else too",
            Self::OutOfRange => "refers to a block that the disk does not have",
            Self::FromTheFuture => "is newer than the file system itself",
            Self::BeyondTheEnd => "lies behind the end of the file",
            Self::Count => "does not have as many entries as are counted",
        })
    }
}

/// What goes wrong below the level of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Damaged { piece: Piece, block: u64, defect: Defect },
    NoSpace,
    Disk(solum::Error),
}

impl From<solum::Error> for Fault {
    fn from(error: solum::Error) -> Self {
        Self::Disk(error)
    }
}

/// Says in which file or directory it was.
pub(crate) trait At<T> {
    fn at(self, path: &str) -> Result<T>;
}

impl<T> At<T> for Result<T, Fault> {
    fn at(self, path: &str) -> Result<T> {
        self.map_err(|fault| match fault {
            Fault::Damaged { piece, block, defect } => {
                Error::Damaged(Damage { path: path.to_owned(), piece, block, defect })
            }
            Fault::NoSpace => Error::NoSpace,
            Fault::Disk(error) => Error::Disk(error),
        })
    }
}
