//! The one layer of an image: what lies where in the container.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Builder, EntryType, Header};

use super::document::media_type;
use super::{Blob, CERTIFICATES_PATH, Contents, Image};
use crate::cpio::{Archive, ArchiveError, Node, NodeKind, Owner};
use crate::initramfs::{add_bundled, program_path};

/// Home and name of a user, as in our machines (`solum_boot::identity`).
pub fn person(user_id: u32) -> (&'static str, &'static str) {
    if user_id == 0 { ("/root", "root") } else { ("/home/app", "app") }
}

/// Where a program starts, as in our machines.
pub fn start_directory(user_id: u32) -> &'static str {
    if user_id == 0 { "/" } else { person(user_id).0 }
}

/// The layer, not compressed. `/etc/hosts`, `/etc/resolv.conf`, `/dev`, `/proc` and `/sys` are the runtime's.
pub fn tar(contents: Contents) -> Result<Vec<u8>, ArchiveError> {
    let user_id = contents.user_id;
    let (root, owner) = (Owner::default(), Owner { user_id, group_id: user_id });
    let mut tree = Archive::new();
    tree.file(&program_path(&contents.name), 0o755, root, contents.program)?;
    add_bundled(&mut tree, contents.bundled, owner)?;
    let (home, user) = person(user_id);
    let mut passwd = "root:x:0:0::/root:\n".to_owned();
    let mut group = "root:x:0:\n".to_owned();
    if user_id != 0 {
        passwd += &format!("{user}:x:{user_id}:{user_id}::{home}:\n");
        group += &format!("{user}:x:{user_id}:\n");
    }
    let mut files = vec![("/etc/passwd", passwd.into_bytes()), ("/etc/group", group.into_bytes())];
    files.extend(contents.certificates.map(|bytes| (CERTIFICATES_PATH, bytes)));
    for (path, bytes) in files {
        // What the user brings stays as it is, as in our machines.
        if !tree.has(path) {
            tree.file(path, 0o644, root, bytes)?;
        }
    }
    for (path, permissions, owner) in [(home, 0o700, owner), ("/tmp", 0o1777, root)] {
        if !tree.has(path) {
            tree.directory(path, permissions, owner)?;
        }
    }
    let zones = contents.time_zones.into_iter().filter(|zone| !tree.has(&zone.path)).collect();
    add_bundled(&mut tree, zones, root)?;
    // Writing to memory has no way to fail but a path that is too long, and those get an entry of their own.
    write(&tree).map_err(|error| ArchiveError::BadPath(error.to_string()))
}

fn write(tree: &Archive) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for Node { path, kind, permissions, owner, content } in tree.nodes() {
        let mut header = Header::new_gnu();
        header.set_mode(permissions);
        header.set_uid(owner.user_id.into());
        header.set_gid(owner.group_id.into());
        header.set_mtime(0);
        header.set_size(0);
        match kind {
            NodeKind::Directory => {
                header.set_entry_type(EntryType::Directory);
                builder.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            NodeKind::File => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content)?;
            }
            NodeKind::Symlink => {
                use std::os::unix::ffi::OsStrExt;
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, path, std::ffi::OsStr::from_bytes(content))?;
            }
        }
    }
    builder.into_inner()
}

/// Something in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: String,
    /// The lower twelve bits of `st_mode` (inode(7)).
    pub permissions: u32,
    /// Whose it is.
    pub user_id: u64,
    /// How long it is.
    pub size: u64,
}

impl Image {
    /// Everything in the layers, in their order.
    ///
    /// # Errors
    ///
    /// A layer is not what its media type says.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for layer in &self.layers {
            each(layer, |entry, _| {
                entries.push(entry);
                Ok(())
            })?;
        }
        Ok(entries)
    }

    /// The bytes of a file in the layers.
    ///
    /// # Errors
    ///
    /// Those of [`entries`](Self::entries).
    pub fn file(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let mut found = None;
        for layer in &self.layers {
            each(layer, |entry, content| {
                if entry.path == path {
                    let mut bytes = Vec::new();
                    content.read_to_end(&mut bytes)?;
                    found = Some(bytes);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

fn each(layer: &Blob, mut look: impl FnMut(Entry, &mut dyn Read) -> io::Result<()>) -> io::Result<()> {
    let unpacked: Box<dyn Read> = match layer.media_type.as_str() {
        media_type::LAYER_GZIP => Box::new(GzDecoder::new(layer.bytes.as_slice())),
        media_type::LAYER => Box::new(layer.bytes.as_slice()),
        other => return Err(io::Error::other(format!("a layer of the type {other} cannot be read"))),
    };
    let mut archive = tar::Archive::new(unpacked);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let header = entry.header();
        let (permissions, user_id, size) = (header.mode()?, header.uid()?, header.size()?);
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_matches('/').to_owned();
        look(Entry { path: format!("/{path}"), permissions, user_id, size }, &mut entry)?;
    }
    Ok(())
}
