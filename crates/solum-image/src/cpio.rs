//! The archive format of an initramfs: cpio "newc".
//!
//! Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst. Inode numbers are given in order
//! of the paths and every time stamp is 0, so an archive is a function of its contents.

mod reader;

use std::collections::BTreeMap;
use std::fmt;

pub use reader::{Member, MemberKind, begins, read};

const MAGIC: &[u8] = b"070701";
const TRAILER: &str = "TRAILER!!!";

const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;
const TYPE_MASK: u32 = 0o170_000;

/// User and group of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Owner {
    /// Numeric user.
    pub user_id: u32,
    /// Numeric group.
    pub group_id: u32,
}

#[derive(Clone, Debug)]
struct Entry {
    mode: u32,
    owner: Owner,
    content: Vec<u8>,
    /// Made on the way to another entry, so a later explicit directory may replace it.
    implied: bool,
}

/// One thing in a tree.
pub(crate) struct Node<'a> {
    /// Without a slash at its beginning.
    pub path: &'a str,
    pub kind: NodeKind,
    pub permissions: u32,
    pub owner: Owner,
    /// Of a symbolic link, its target.
    pub content: &'a [u8],
}

/// What a thing in a tree is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Directory,
    File,
    Symlink,
}

/// A directory tree that becomes an archive.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

/// Why a tree cannot be an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveError {
    /// Two different things want the same path.
    Collision(String),
    /// The path is empty, or has `.` or `..` in it.
    BadPath(String),
    /// The format cannot express files of 4 GiB or more.
    TooLarge(String),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collision(path) => write!(f, "two files of the image want the path /{path}"),
            Self::BadPath(path) => write!(f, "`{path}` cannot be a path in the image"),
            Self::TooLarge(path) => {
                write!(f, "/{path} is 4 GiB or larger, which an initramfs cannot hold")
            }
        }
    }
}

impl std::error::Error for ArchiveError {}

impl ArchiveError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Collision(_) => Some("give one of them another path".into()),
            Self::BadPath(_) => Some("write an absolute path without `.` and `..`".into()),
            Self::TooLarge(_) => Some("share its directory with --share instead of bundling it".into()),
        }
    }
}

impl Archive {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory. `permissions` are the lower twelve bits of `st_mode` (inode(7)). Directories on the way to an
    /// entry need not be added; they belong to root, mode 755.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::BadPath`], or [`ArchiveError::Collision`] with anything else at that path.
    pub fn directory(&mut self, path: &str, permissions: u32, owner: Owner) -> Result<(), ArchiveError> {
        self.insert(path, TYPE_DIRECTORY | permissions, owner, Vec::new())
    }

    /// Adds a regular file. `permissions` are the lower twelve bits of `st_mode` (inode(7)).
    ///
    /// # Errors
    ///
    /// [`ArchiveError::BadPath`], [`ArchiveError::Collision`], and [`ArchiveError::TooLarge`] from 4 GiB on: the format has
    /// eight hexadecimal digits for the size.
    pub fn file(
        &mut self,
        path: &str,
        permissions: u32,
        owner: Owner,
        content: Vec<u8>,
    ) -> Result<(), ArchiveError> {
        self.insert(path, TYPE_FILE | permissions, owner, content)
    }

    /// Adds a symbolic link, which belongs to root. `target` is not looked at.
    ///
    /// # Errors
    ///
    /// Those of [`file`](Self::file).
    pub fn symlink(&mut self, path: &str, target: &[u8]) -> Result<(), ArchiveError> {
        self.insert(path, TYPE_SYMLINK | 0o777, Owner::default(), target.to_vec())
    }

    fn insert(&mut self, path: &str, mode: u32, owner: Owner, content: Vec<u8>) -> Result<(), ArchiveError> {
        let path = normalise(path)?;
        if u32::try_from(content.len()).is_err() {
            return Err(ArchiveError::TooLarge(path));
        }
        for (slash, _) in path.match_indices('/') {
            let parent = self.entries.entry(path[..slash].to_owned()).or_insert_with(|| Entry {
                mode: TYPE_DIRECTORY | 0o755,
                owner: Owner::default(),
                content: Vec::new(),
                implied: true,
            });
            if parent.mode & TYPE_DIRECTORY == 0 {
                return Err(ArchiveError::Collision(path[..slash].to_owned()));
            }
        }
        let is_directory = mode & TYPE_DIRECTORY != 0;
        match self.entries.get(&path) {
            Some(existing) if !(existing.implied && is_directory) => Err(ArchiveError::Collision(path)),
            _ => {
                self.entries.insert(path, Entry { mode, owner, content, implied: false });
                Ok(())
            }
        }
    }

    /// Whether there is anything at this path but a directory that is only on the way.
    pub(crate) fn has(&self, path: &str) -> bool {
        normalise(path).is_ok_and(|path| self.entries.get(&path).is_some_and(|entry| !entry.implied))
    }

    /// Everything in the tree, each directory before what is in it: for formats other than this one.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.entries.iter().map(|(path, entry)| Node {
            path,
            kind: match entry.mode & TYPE_MASK {
                TYPE_DIRECTORY => NodeKind::Directory,
                TYPE_SYMLINK => NodeKind::Symlink,
                _ => NodeKind::File,
            },
            permissions: entry.mode & !TYPE_MASK,
            owner: entry.owner,
            content: &entry.content,
        })
    }

    /// The archive's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let contents: usize = self.entries.iter().map(|(path, e)| 120 + path.len() + e.content.len()).sum();
        let mut out = Vec::with_capacity(contents + 128);
        for (inode, (path, entry)) in (1..).zip(&self.entries) {
            write_entry(&mut out, inode, path, entry);
        }
        let trailer = Entry { mode: 0, owner: Owner::default(), content: Vec::new(), implied: false };
        write_entry(&mut out, 0, TRAILER, &trailer);
        out
    }
}

fn normalise(path: &str) -> Result<String, ArchiveError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let bad = parts.is_empty() || parts.iter().any(|part| [".", ".."].contains(part) || part.contains('\0'));
    if bad { Err(ArchiveError::BadPath(path.to_owned())) } else { Ok(parts.join("/")) }
}

fn write_entry(out: &mut Vec<u8>, inode: u32, path: &str, entry: &Entry) {
    let is_directory = entry.mode & TYPE_DIRECTORY != 0;
    let fields = [
        inode,
        entry.mode,
        entry.owner.user_id,
        entry.owner.group_id,
        if is_directory { 2 } else { 1 },
        0, // mtime
        entry.content.len() as u32,
        0, // device the archive came from: major, minor
        0,
        0, // device a node stands for: major, minor
        0,
        path.len() as u32 + 1,
        0, // checksum, unused in newc
    ];
    out.extend_from_slice(MAGIC);
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(&entry.content);
    pad(out);
}

/// Names and contents begin at multiples of four bytes.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Owner = Owner { user_id: 0, group_id: 0 };

    #[test]
    fn one_file_has_the_documented_bytes() {
        let mut archive = Archive::new();
        archive.file("/a", 0o644, Owner { user_id: 7, group_id: 9 }, b"hey".to_vec()).unwrap();
        let bytes = archive.to_bytes();
        let header = "070701\
            00000001\
            000081A4\
            00000007\
            00000009\
            00000001\
            00000000\
            00000003\
            00000000\
            00000000\
            00000000\
            00000000\
            00000002\
            00000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..116], b"a\0hey\0");
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let mut forwards = Archive::new();
        let mut backwards = Archive::new();
        let files = ["/b/c", "/a", "/b-d", "/b/a/z"];
        for path in files {
            forwards.file(path, 0o644, ROOT, path.into()).unwrap();
        }
        for path in files.iter().rev() {
            backwards.file(path, 0o644, ROOT, (*path).into()).unwrap();
        }
        assert_eq!(forwards.to_bytes(), backwards.to_bytes());
    }

    #[test]
    fn parents_are_implied() {
        let mut archive = Archive::new();
        archive.directory("/home/app", 0o700, Owner { user_id: 1000, group_id: 1000 }).unwrap();
        archive.file("/bin/app", 0o755, ROOT, vec![1; 5]).unwrap();
        archive.symlink("/etc/resolv.conf", b"/run/net/resolv.conf").unwrap();
        let names: Vec<&String> = archive.entries.keys().collect();
        assert_eq!(names, ["bin", "bin/app", "etc", "etc/resolv.conf", "home", "home/app"]);
    }

    #[test]
    fn collisions_and_bad_paths_are_refused() {
        let mut archive = Archive::new();
        archive.file("/a", 0o644, ROOT, vec![]).unwrap();
        assert_eq!(archive.file("a", 0o644, ROOT, vec![]), Err(ArchiveError::Collision("a".into())));
        assert_eq!(archive.file("/a/b", 0o644, ROOT, vec![]), Err(ArchiveError::Collision("a".into())));
        archive.file("/d/e", 0o644, ROOT, vec![]).unwrap();
        assert_eq!(archive.directory("/d", 0o700, ROOT), Ok(()), "an implied directory may be given rights");
        assert_eq!(archive.file("/d", 0o644, ROOT, vec![]), Err(ArchiveError::Collision("d".into())));
        for bad in ["", "/", "/a/../b", "./a"] {
            assert_eq!(archive.file(bad, 0o644, ROOT, vec![]), Err(ArchiveError::BadPath(bad.into())));
        }
    }
}
