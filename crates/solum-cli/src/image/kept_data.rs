//! What a machine wrote to its disk, which a new image in the same place would not have.

use std::fs;
use std::io;
use std::path::Path;

use solum_image::{ReadAt, Window, gpt, wrapping};
use solum_spec::storage::{DATA_LABEL, disk_partition};

use super::recognise::{Kind, recognise};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::sparse_file::SparseFile;

/// Refuses to replace a disk, unless it is one as `solum build` makes them, to which no machine has written.
pub fn refuse_to_lose(path: &Path) -> Result<(), Failure> {
    // What is no file is refused by whoever writes it, and what is an image, but no disk, keeps nothing: an ISO has a table of
    // partitions, too, for firmware that finds it on a stick.
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    if !is_file || recognise(path).is_ok_and(|kind| !matches!(kind, Kind::Disk(_))) {
        return Ok(());
    }
    let looked_at = SparseFile::open(path).and_then(why_not);
    let why = match looked_at.map_err(|error| Failure::file("cannot read", path, &error))? {
        Some(why) => why,
        None => return Ok(()),
    };
    let message = format!("{} is a disk {why}, and a new image would not have that", path.display());
    Err(Failure::new(ExitCode::UnusableInput, message)
        .hint("move it away, name another place with --output, or give it up with --discard-data".to_owned()))
}

/// What is on a disk that may not be lost: the rest of a sentence that begins with it.
fn why_not(file: SparseFile) -> io::Result<Option<String>> {
    let of_others = || Some("of somebody else's".to_owned());
    let Ok((wrapping, disk)) = wrapping::open(file) else { return Ok(of_others()) };
    let table = match gpt::read(&*disk) {
        Ok(table) => table,
        // Any other file is replaced, as `cp` would.
        Err(_) if wrapping == wrapping::Wrapping::Raw => return Ok(None),
        Err(_) => return Ok(of_others()),
    };
    let mut has_volume = false;
    for partition in table.partitions {
        let name = partition.name;
        let content = || Window::new(&*disk, partition.offset, partition.size);
        let is_used = if name == DATA_LABEL {
            has_volume = true;
            content().and_then(|content| is_used(&content))
        } else if name.starts_with(&disk_partition("")) {
            content().and_then(|content| has_data(&content))
        } else {
            Ok(false)
        };
        // Of what cannot be read nobody knows.
        if is_used.unwrap_or(true) {
            return Ok(Some(format!("whose machine has, or may have, written to its partition {name}")));
        }
    }
    Ok(if has_volume { None } else { of_others() })
}

/// Whether a data volume is anything but an ext4 file system that was never mounted. Of Btrfs it cannot be told.
fn is_used(content: &impl ReadAt) -> io::Result<bool> {
    /// Documentation/filesystems/ext4/super.rst: the place of the superblock, its magic number and its place there, and the place of
    /// the time of the last mount.
    const SUPERBLOCK: u64 = 1024;
    const MAGIC: (usize, [u8; 2]) = (0x38, [0x53, 0xef]);
    const MOUNTED: usize = 0x2c;
    let mut superblock = [0; 64];
    content.read_at(SUPERBLOCK, &mut superblock)?;
    let is_new = superblock[MAGIC.0..].starts_with(&MAGIC.1) && superblock[MOUNTED..].starts_with(&[0; 4]);
    Ok(!is_new)
}

/// Whether there is anything but zeros in it.
fn has_data(content: &impl ReadAt) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while let Some(data) = content.next_data(at)? {
        let mut from = data.start.max(at);
        while from < data.end {
            let piece = &mut buffer[..(data.end - from).min(64 << 10) as usize];
            content.read_at(from, piece)?;
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            from += piece.len() as u64;
        }
        at = data.end;
    }
    Ok(false)
}
