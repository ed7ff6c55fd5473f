//! What is written: whole, or not at all.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use solum_spec::ByteSize;

use super::stage::Stage;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::signals;
use crate::terminal::Spinner;

/// A file or a directory that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Where it is.
    pub path: PathBuf,
    /// How much it takes on its medium; holes take nothing.
    pub taken: ByteSize,
    /// How large it is.
    pub size: ByteSize,
}

impl Product {
    /// Lets `make` write a file or a directory beside `path`, and moves it there when it is whole. What was there is replaced.
    /// Nobody but its owner reads one that is private.
    pub fn make(
        path: &Path,
        is_private: bool,
        make: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let refused = |error: io::Error| Failure::file("cannot write", path, &error);
        // What a link leads to is what is meant; and a device or a pipe is nothing to be replaced.
        let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&resolved).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let message = format!(
                "{} is neither a file nor a directory, and no image is written there",
                path.display()
            );
            return Err(Failure::new(ExitCode::UnusableInput, message)
                .hint("write a file, and then that to a stick or card with `solum flash`".to_owned()));
        }
        let path = resolved.as_path();
        let beside = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(beside).map_err(refused)?;
        let stage = Stage::new(beside).map_err(refused)?;
        let interruptible = signals::making(stage.path().to_owned()).map_err(refused)?;
        let staged = stage.path().join("made");
        let growing = stage.path().to_owned();
        let spinner = Spinner::growing(format!("making {}", path.display()), move || {
            weigh(&growing).map_or(0, |(_, taken)| taken)
        });
        make(&staged)?;
        if is_private {
            hide(&staged).map_err(refused)?;
        }
        let (size, taken) = weigh(&staged).map_err(refused)?;
        // Whoever stops it now has either the old one or the new one.
        drop(interruptible);
        replace(&staged, path, &stage.old()).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => refused(error).hint(format!(
                "it holds something else than an image of this kind; write into it with `--output {}/`",
                path.display()
            )),
            _ => refused(error),
        })?;
        spinner.finish();
        Ok(Self { path: path.to_owned(), taken: ByteSize::bytes(taken), size: ByteSize::bytes(size) })
    }
}

/// A directory cannot be renamed over another that has something in it.
fn replace(made: &Path, path: &Path, old: &Path) -> io::Result<()> {
    sync(made)?;
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    match (is_directory(made), is_directory(path)) {
        (true, true) => {
            // Nobody meant a directory of his own that happens to have this name.
            let is_empty = fs::read_dir(path)?.next().is_none();
            if !is_empty && super::recognise(path).is_err() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            // At no moment is there none.
            if renameat_with(CWD, made, CWD, path, RenameFlags::EXCHANGE).is_ok() {
                return Ok(());
            }
            // Not every file system exchanges.
            fs::rename(path, old)?;
            // Whoever cannot have the new one keeps the old one.
            fs::rename(made, path).inspect_err(|_| drop(fs::rename(old, path)))
        }
        (false, true) => Err(io::ErrorKind::IsADirectory.into()),
        _ => fs::rename(made, path),
    }
}

/// The directory in which it is made is its owner's alone, so nobody has read it until now.
fn hide(path: &Path) -> io::Result<()> {
    for file in files(path)? {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn sync(path: &Path) -> io::Result<()> {
    for file in files(path)? {
        fs::File::open(file)?.sync_all()?;
    }
    Ok(())
}

fn weigh(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = (0, 0);
    for file in files(path)? {
        let found = fs::symlink_metadata(file)?;
        sum = (sum.0 + found.len(), sum.1 + found.blocks() * 512);
    }
    Ok(sum)
}

/// The files at or below a path, in order of their names.
pub fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        found.extend(files(&entry?.path())?);
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), Failure> {
        fs::write(path, text).map_err(|error| Failure::file("cannot write", path, &error))
    }

    #[test]
    fn a_directory_replaces_another_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made/it");
        for (name, text) in [("a", "1"), ("b", "22")] {
            let product = Product::make(&path, false, |staged| {
                fs::create_dir(staged).unwrap();
                // What there is has to be an image.
                write(&staged.join("vmlinuz"), "")?;
                write(&staged.join("initramfs"), "")?;
                write(&staged.join(name), text)
            });
            assert_eq!(product.unwrap().size, ByteSize::bytes(text.len() as u64));
        }
        assert_eq!(files(&path).unwrap(), ["b", "initramfs", "vmlinuz"].map(|name| path.join(name)));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_directory_that_is_no_image_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("mine");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("letter"), "dear").unwrap();
        let made = Product::make(&path, false, |staged| {
            fs::create_dir(staged).unwrap();
            Ok(())
        });
        assert!(made.is_err());
        assert_eq!(fs::read_to_string(path.join("letter")).unwrap(), "dear");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_device_stays_and_a_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(Product::make(&socket, false, |staged| write(staged, "image")).is_err());
        assert!(!fs::metadata(&socket).unwrap().is_file());
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        Product::make(&link, false, |staged| write(staged, "new")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_is_private_is_read_by_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("it");
        Product::make(&path, true, |staged| write(staged, "secret")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_fails_leaves_the_old_one_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("it");
        Product::make(&path, false, |staged| write(staged, "old")).unwrap();
        let failed = Product::make(&path, false, |staged| {
            write(staged, "half")?;
            Err(Failure::new(ExitCode::HostRefuses, "no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
