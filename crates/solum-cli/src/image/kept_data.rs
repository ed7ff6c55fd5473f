//! What a machine wrote to its disk, which a new image in the same place would not have.

use std::io;
use std::path::Path;

use solum_image::{ReadAt, Window, gpt, wrapping};
use solum_spec::storage::{DATA_LABEL, disk_partition};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::sparse_file::SparseFile;

/// Refuses to replace a disk that its machine has written to.
pub fn refuse_to_lose(path: &Path) -> Result<(), Failure> {
    // What is no disk keeps nothing.
    let Some(partition) = SparseFile::open(path).ok().and_then(|file| used_partition(file).ok().flatten())
    else {
        return Ok(());
    };
    let message = format!(
        "{} is a disk whose machine has written to its partition {partition}, and a new image would not have that",
        path.display()
    );
    Err(Failure::new(ExitCode::UnusableInput, message)
        .hint("move it away, name another place with --output, or give it up with --discard-data".to_owned()))
}

/// The name of a partition that is no more as it was built.
fn used_partition(file: SparseFile) -> io::Result<Option<String>> {
    let Ok((_, disk)) = wrapping::open(file) else { return Ok(None) };
    let Ok(table) = gpt::read(&*disk) else { return Ok(None) };
    for partition in table.partitions {
        let content = Window::new(&*disk, partition.offset, partition.size)?;
        let is_used = match partition.name.as_str() {
            DATA_LABEL => was_mounted(&content)?,
            name => name.starts_with(&disk_partition("")) && has_data(&content)?,
        };
        if is_used {
            return Ok(Some(partition.name));
        }
    }
    Ok(None)
}

/// Whether a file system was mounted since it was made. Of Btrfs it cannot be told, so it is taken for used.
fn was_mounted(content: &impl ReadAt) -> io::Result<bool> {
    /// Documentation/filesystems/ext4/super.rst: the superblock, its magic number, and the time of the last mount.
    const EXT4: (u64, usize, usize) = (1024, 0x38, 0x2c);
    /// Documentation of Btrfs, On-disk format: the superblock's place and magic number.
    const BTRFS: (u64, &[u8; 8]) = (65536 + 64, b"_BHRfS_M");
    let mut superblock = [0; 64];
    let mut magic = [0; 8];
    if content.length() < BTRFS.0 + 8 {
        return Ok(false);
    }
    content.read_at(EXT4.0, &mut superblock)?;
    content.read_at(BTRFS.0, &mut magic)?;
    let is_ext4 = superblock[EXT4.1..EXT4.1 + 2] == [0x53, 0xef];
    let mounted = superblock[EXT4.2..EXT4.2 + 4] != [0; 4];
    Ok(is_ext4 && mounted || magic == *BTRFS.1)
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
