//! What an image is, by its bytes: names can be changed.

use std::fs;
use std::path::Path;

use solum_image::gpt;
use solum_image::oci;
use solum_image::sparse::ReadAt;
use solum_image::uki;
use solum_image::wrapping;
use solum_vm::DiskFormat;

use super::firecracker;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::sparse_file::SparseFile;

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory with a kernel and an initramfs.
    Initramfs,
    /// A directory for Firecracker.
    Firecracker,
    /// A container: a layout directory or an archive.
    Oci,
    /// A unified kernel image.
    Uki,
    /// A CD.
    Iso,
    /// A disk, wrapped like this.
    Disk(DiskFormat),
}

/// Where the name of a CD's descriptors is (ECMA-119, 8.1.2, in sector 16).
const ISO_MAGIC_AT: u64 = 16 * 2048 + 1;
const ISO_MAGIC: &[u8] = b"CD001";

/// Says what is at this path.
pub fn recognise(path: &Path) -> Result<Kind, Failure> {
    let unreadable = |error: std::io::Error| Failure::file("cannot read", path, &error);
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return directory(path).ok_or_else(|| match missing_part(path) {
            Some(missing) => unknown(path, &format!("not a whole image: it has no {missing}")),
            None => within(path),
        });
    }
    file(path)
}

/// What kind of image a directory is.
fn directory(path: &Path) -> Option<Kind> {
    let has = |name: &str| path.join(name).is_file();
    match () {
        () if has("oci-layout") => Some(Kind::Oci),
        () if has(firecracker::CONFIGURATION) => Some(Kind::Firecracker),
        () if has("vmlinuz") && has("initramfs") => Some(Kind::Initramfs),
        () => None,
    }
}

fn file(path: &Path) -> Result<Kind, Failure> {
    let unreadable = |error: std::io::Error| Failure::file("cannot read", path, &error);
    let file = SparseFile::open(path).map_err(unreadable)?;
    if uki::read(&file).is_ok_and(|found| found.is_kernel_image()) {
        return Ok(Kind::Uki);
    }
    let mut magic = [0; 5];
    if file.read_at(ISO_MAGIC_AT, &mut magic).is_ok() && magic == ISO_MAGIC {
        return Ok(Kind::Iso);
    }
    let (wrapping, disk) = wrapping::open(&file).map_err(|why| {
        unknown(path, &format!("damaged: {why}"))
            .hint("make it anew with `solum build`, or fetch it again".to_owned())
    })?;
    let format = match wrapping {
        wrapping::Wrapping::Raw => DiskFormat::Raw,
        wrapping::Wrapping::Qcow2 => DiskFormat::Qcow2,
        wrapping::Wrapping::Vmdk => DiskFormat::Vmdk,
        wrapping::Wrapping::Vhd => DiskFormat::Vhd,
    };
    if gpt::read(&disk).is_ok() {
        return Ok(Kind::Disk(format));
    }
    // An archive has its magic in the header of its first file (POSIX.1-2017, ustar).
    let mut magic = [0; 5];
    if file.read_at(257, &mut magic).is_ok() && magic == *b"ustar" {
        let bytes = fs::read(path).map_err(unreadable)?;
        return match oci::Image::from_archive(&bytes) {
            Ok(_) => Ok(Kind::Oci),
            Err(why) => Err(unknown(path, &format!("an archive, but not of a container: {why}"))),
        };
    }
    Err(unknown(path, "no image that is known here"))
}

/// A directory that is no image may hold some.
fn within(path: &Path) -> Failure {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    // Neither links, which may lead anywhere, nor what is no file: to open it may take for ever.
    let is_image = |entry: &fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => directory(&entry.path()).is_some(),
        Ok(kind) if kind.is_file() => file(&entry.path()).is_ok(),
        _ => false,
    };
    let images = entries.filter(is_image).map(|entry| entry.path());
    match images.min() {
        Some(one) => unknown(path, "a directory with images in it")
            .hint(format!("name one of them, like {}", one.display())),
        None => unknown(path, "a directory without an image in it"),
    }
}

/// What a directory lacks that has a part of an image in it.
pub fn missing_part(path: &Path) -> Option<&'static str> {
    const PARTS: [&str; 2] = ["vmlinuz", "initramfs"];
    let is_there = |name: &&str| path.join(name).is_file();
    let begun = PARTS.iter().chain(&["cmdline"]).any(is_there);
    PARTS.into_iter().find(|name| begun && !is_there(name))
}

/// The words for the kernel that an image has which QEMU boots without firmware, but for those that are about the hypervisor that
/// it was made for.
pub fn kernel_words(image: &Path) -> Result<Vec<String>, Failure> {
    let line = kernel_line_in(image)?;
    Ok(line.split_whitespace().filter(|word| !firecracker::is_own(word)).map(str::to_owned).collect())
}

/// The kernel's command line in a directory.
pub fn kernel_line_in(image: &Path) -> Result<String, Failure> {
    let read = |name: &str| {
        let path = image.join(name);
        fs::read_to_string(&path).map_err(|error| Failure::file("cannot read", &path, &error))
    };
    let line = if image.join("cmdline").is_file() {
        read("cmdline")?
    } else {
        firecracker::line_of(&read(firecracker::CONFIGURATION)?).unwrap_or_default()
    };
    Ok(line.trim_end().to_owned())
}

fn unknown(path: &Path, what: &str) -> Failure {
    Failure::new(ExitCode::UnusableInput, format_args!("{} is {what}", path.display()))
        .hint("`solum build --list` names the formats".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused() {
        let place = tempfile::tempdir().unwrap();
        assert!(recognise(place.path()).is_err());
        for (name, missing) in [("vmlinuz", "initramfs"), ("initramfs", "vmlinuz"), ("cmdline", "vmlinuz")] {
            let part = tempfile::tempdir().unwrap();
            fs::write(part.path().join(name), "").unwrap();
            assert_eq!(missing_part(part.path()), Some(missing));
            assert!(recognise(part.path()).is_err());
        }
        assert_eq!(missing_part(place.path()), None);
        let file = place.path().join("file");
        for bytes in [&b""[..], b"MZ", &[0; 70_000]] {
            fs::write(&file, bytes).unwrap();
            assert!(recognise(&file).is_err(), "{} bytes", bytes.len());
        }
        assert!(recognise(&place.path().join("missing")).is_err());
    }
}
