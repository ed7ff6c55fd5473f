//! Reading the user's files that go into an image.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use solum_image::initramfs::{Bundled, BundledContent};
use solum_spec::Bundle;

use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// Reads single files (`--file`) and whole directories (`--dir`).
pub fn read(files: &[Bundle], directories: &[Bundle]) -> Result<Vec<Bundled>, Failure> {
    let mut bundled = Vec::new();
    for Bundle { source, target } in files {
        let metadata =
            fs::metadata(source).map_err(|error| Failure::file("cannot bundle", source, &error))?;
        if metadata.is_dir() {
            return Err(wrong_kind(source, "a directory, and --file takes a file", "--dir"));
        }
        if !metadata.is_file() {
            return Err(not_a_file(source));
        }
        bundled.push(file(source, target, &metadata)?);
    }
    for Bundle { source, target } in directories {
        let metadata =
            fs::metadata(source).map_err(|error| Failure::file("cannot bundle", source, &error))?;
        if !metadata.is_dir() {
            return Err(wrong_kind(source, "a file, and --dir takes a directory", "--file"));
        }
        tree(source, target.trim_end_matches('/'), &mut bundled)?;
    }
    Ok(bundled)
}

/// Reads what a system's units find in their machine: each a file or a directory.
pub fn read_either(bundles: Vec<Bundle>) -> Result<Vec<Bundled>, Failure> {
    let (directories, files): (Vec<_>, Vec<_>) =
        bundles.into_iter().partition(|bundle| bundle.source.is_dir());
    read(&files, &directories)
}

fn not_a_file(path: &Path) -> Failure {
    let message =
        format_args!("{} is neither file, directory nor link, so it cannot be bundled", path.display());
    Failure::new(ExitCode::UnusableInput, message)
}

fn wrong_kind(source: &Path, what: &str, flag: &str) -> Failure {
    Failure::new(ExitCode::UnusableInput, format_args!("{} is {what}", source.display()))
        .hint(format!("use {flag} instead"))
}

fn file(source: &Path, target: &str, metadata: &fs::Metadata) -> Result<Bundled, Failure> {
    let bytes = fs::read(source).map_err(|error| Failure::file("cannot bundle", source, &error))?;
    Ok(Bundled {
        path: target.to_owned(),
        permissions: metadata.permissions().mode() & 0o777,
        content: BundledContent::File(bytes),
    })
}

/// Everything in a directory, and itself.
pub fn tree(source: &Path, target: &str, bundled: &mut Vec<Bundled>) -> Result<(), Failure> {
    let refused = |error: std::io::Error| Failure::file("cannot bundle", source, &error);
    let permissions = fs::metadata(source).map_err(refused)?.permissions().mode() & 0o777;
    bundled.push(Bundled { path: target.to_owned(), permissions, content: BundledContent::Directory });
    for entry in fs::read_dir(source).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Failure::new(
                ExitCode::UnusableInput,
                format_args!("{} has a name that is not UTF-8, so it cannot be bundled", path.display()),
            ));
        };
        let target = format!("{target}/{name}");
        let metadata =
            fs::symlink_metadata(&path).map_err(|error| Failure::file("cannot bundle", &path, &error))?;
        if metadata.is_dir() {
            tree(&path, &target, bundled)?;
        } else if metadata.is_symlink() {
            let link = fs::read_link(&path).map_err(|error| Failure::file("cannot bundle", &path, &error))?;
            let content = BundledContent::Symlink(link.into_os_string().into_vec());
            bundled.push(Bundled { path: target, permissions: 0o777, content });
        } else if metadata.is_file() {
            bundled.push(file(&path, &target, &metadata)?);
        } else {
            return Err(not_a_file(&path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_bundled_whole() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        fs::write(directory.path().join("sub/a"), "x").unwrap();
        std::os::unix::fs::symlink("sub/a", directory.path().join("link")).unwrap();
        let bundle = Bundle { source: directory.path().into(), target: "/data/".into() };
        let mut paths: Vec<String> = read(&[], &[bundle]).unwrap().into_iter().map(|b| b.path).collect();
        paths.sort();
        assert_eq!(paths, ["/data", "/data/link", "/data/sub", "/data/sub/a"]);
    }

    #[test]
    fn a_link_leads_where_it_led_whatever_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let target = std::ffi::OsString::from_vec(b"caf\xe9".to_vec());
        std::os::unix::fs::symlink(&target, directory.path().join("link")).unwrap();
        let bundle = Bundle { source: directory.path().into(), target: "/data".into() };
        let bundled = read(&[], &[bundle]).unwrap();
        let link = bundled.into_iter().find(|bundled| bundled.path == "/data/link").unwrap();
        assert!(matches!(link.content, BundledContent::Symlink(bytes) if bytes == b"caf\xe9"));
    }

    #[test]
    fn the_wrong_flag_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = Bundle { source: directory.path().into(), target: "/data".into() };
        assert!(read(&[bundle], &[]).is_err());
    }
}
