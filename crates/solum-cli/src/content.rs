//! A directory of the user's that becomes a file system: what is in it, in an order of its own.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// Something in the directory.
#[derive(Debug)]
pub struct Item {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Its path in the directory.
    pub path: PathBuf,
    /// The lower twelve bits of its mode.
    pub permissions: u16,
    /// What it is.
    pub kind: Kind,
}

/// What something in the directory is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory. What is in it follows.
    Directory,
    /// A file of this length.
    File(u64),
    /// Another name of the file that stands at this index.
    SameAs(usize),
    /// A symbolic link.
    Link(PathBuf),
}

/// What is in a directory, sorted by name, parents in front.
pub fn scan(directory: &Path) -> Result<Vec<Item>, Failure> {
    let metadata =
        fs::metadata(directory).map_err(|error| Failure::file("cannot read", directory, &error))?;
    if !metadata.is_dir() {
        let message = format_args!("{} is not a directory", directory.display());
        return Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("name the directory whose content the image shall have".to_owned()));
    }
    let mut scan = Scan { items: Vec::new(), linked: HashMap::new() };
    scan.directory(directory, Path::new(""))?;
    Ok(scan.items)
}

/// Tells `add` everything about a directory that an image would have of it.
pub fn digest(directory: &Path, add: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
    for item in scan(directory)? {
        add(item.path.as_os_str().as_encoded_bytes());
        add(&item.permissions.to_le_bytes());
        add(format!("{:?}", item.kind).as_bytes());
        if matches!(item.kind, Kind::File(_)) {
            let refused = |error: std::io::Error| Failure::file("cannot read", &item.source, &error);
            let mut hash = Sha256::new();
            std::io::copy(&mut fs::File::open(&item.source).map_err(refused)?, &mut Sink(&mut hash))
                .map_err(refused)?;
            add(&hash.finalize());
        }
    }
    Ok(())
}

/// What is written is hashed.
struct Sink<'a>(&'a mut Sha256);

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Scan {
    items: Vec<Item>,
    /// Files with several names, by device and inode.
    linked: HashMap<(u64, u64), usize>,
}

impl Scan {
    fn directory(&mut self, source: &Path, path: &Path) -> Result<(), Failure> {
        let refused = |error: std::io::Error| Failure::file("cannot read", source, &error);
        let entries = fs::read_dir(source).map_err(refused)?;
        let mut names = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused)?;
        names.sort();
        for name in names {
            self.entry(source.join(&name), path.join(&name))?;
        }
        Ok(())
    }

    fn entry(&mut self, source: PathBuf, path: PathBuf) -> Result<(), Failure> {
        let refused = |error: std::io::Error| Failure::file("cannot read", &source, &error);
        let metadata = fs::symlink_metadata(&source).map_err(refused)?;
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_symlink() {
            Kind::Link(fs::read_link(&source).map_err(refused)?)
        } else if metadata.is_file() {
            self.file(&metadata)
        } else {
            let message = format_args!(
                "{} is neither file, directory nor link, so no image can have it",
                source.display()
            );
            let hint =
                "move it elsewhere: sockets, pipes and devices are made by those who use them".to_owned();
            return Err(Failure::new(ExitCode::UnusableInput, message).hint(hint));
        };
        let is_directory = kind == Kind::Directory;
        let permissions = (metadata.mode() & 0o7777) as u16;
        self.items.push(Item { source: source.clone(), path: path.clone(), permissions, kind });
        if is_directory { self.directory(&source, &path) } else { Ok(()) }
    }

    fn file(&mut self, metadata: &Metadata) -> Kind {
        if metadata.nlink() > 1 {
            let own = self.items.len();
            let first = *self.linked.entry((metadata.dev(), metadata.ino())).or_insert(own);
            if first != own {
                return Kind::SameAs(first);
            }
        }
        Kind::File(metadata.len())
    }
}

/// Refuses a link that is absolute or leads out of the directory: on another machine it would lead elsewhere.
pub fn check_links(directory: &Path, items: &[Item]) -> Result<(), Failure> {
    let root =
        fs::canonicalize(directory).map_err(|error| Failure::file("cannot read", directory, &error))?;
    for item in items {
        let Kind::Link(target) = &item.kind else { continue };
        let why = if target.is_absolute() {
            "an absolute path, which is another one in the machine"
        } else if leads_out(&root, item, target) {
            "a path outside of the directory"
        } else {
            continue;
        };
        let message = format_args!("the link {} leads to {}: {why}", item.source.display(), target.display());
        let hint =
            "make it a relative link to something in the directory, or copy what it leads to".to_owned();
        return Err(Failure::new(ExitCode::UnusableInput, message).hint(hint));
    }
    Ok(())
}

fn leads_out(root: &Path, item: &Item, target: &Path) -> bool {
    // By way of other links it may lead elsewhere than its text says, if it leads anywhere.
    if let Ok(real) = fs::canonicalize(&item.source) {
        return !real.starts_with(root);
    }
    let mut depth = item.path.components().count() - 1;
    for part in target.components() {
        match part {
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    false
}

/// Bytes of all files, each rounded up to whole blocks.
pub fn bytes(items: &[Item], block: u64) -> u64 {
    let of_item = |item: &Item| match &item.kind {
        Kind::File(length) => length.next_multiple_of(block),
        Kind::Directory => block,
        _ => 0,
    };
    items.iter().map(of_item).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn message(result: Result<impl std::fmt::Debug, Failure>) -> String {
        format!("{:?}", result.unwrap_err())
    }

    #[test]
    fn a_directory_is_told_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("b")).unwrap();
        fs::write(root.join("b/z"), "12345").unwrap();
        fs::hard_link(root.join("b/z"), root.join("c")).unwrap();
        fs::write(root.join("a"), "").unwrap();
        symlink("b/z", root.join("d")).unwrap();
        let items = scan(root).unwrap();
        let told: Vec<_> = items.iter().map(|item| (item.path.to_str().unwrap(), &item.kind)).collect();
        let link = Kind::Link("b/z".into());
        let expected = [
            ("a", &Kind::File(0)),
            ("b", &Kind::Directory),
            ("b/z", &Kind::File(5)),
            ("c", &Kind::SameAs(2)),
            ("d", &link),
        ];
        assert_eq!(told, expected);
        assert_eq!(bytes(&items, 4096), 2 * 4096);
        assert!(check_links(root, &items).is_ok());
    }

    #[test]
    fn what_no_image_can_have_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(directory.path().join("ear")).unwrap();
        assert!(message(scan(directory.path())).contains("/ear is neither file"));
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(message(scan(&file)).contains("is not a directory"));
        assert!(message(scan(Path::new("/nowhere"))).contains("/nowhere"));
    }

    #[test]
    fn links_that_lead_out_are_refused() {
        for (link, target, why) in [
            ("l", "/etc/passwd", Some("an absolute path")),
            ("l", "..", Some("outside")),
            ("l", "../nowhere", Some("outside")),
            ("a/l", "../../nowhere", Some("outside")),
            ("a/l", "../nowhere", None),
            ("a/l", "up/../x", Some("outside")),
            ("a/l", "up/a", None),
        ] {
            let outer = tempfile::tempdir().unwrap();
            let root = outer.path().join("content");
            fs::create_dir_all(root.join("a")).unwrap();
            fs::write(outer.path().join("x"), "").unwrap();
            symlink("..", root.join("a/up")).unwrap();
            symlink(target, root.join(link)).unwrap();
            let checked = check_links(&root, &scan(&root).unwrap());
            match why {
                Some(why) => assert!(message(checked).contains(why), "{link} -> {target}"),
                None => assert!(checked.is_ok(), "{link} -> {target}: {checked:?}"),
            }
        }
    }
}
