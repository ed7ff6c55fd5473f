//! A file to be read at any place, whose holes need not be read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use solum_image::sparse::ReadAt;

/// A file as an image. A device is one, too.
pub struct SparseFile {
    file: File,
    length: u64,
}

impl SparseFile {
    /// Opens a file or a device for reading.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // A device has no length but its end.
        let length = rustix::fs::seek(&file, SeekFrom::End(0))?;
        Ok(Self { file, length })
    }
}

impl ReadAt for SparseFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
        if from >= self.length {
            return Ok(None);
        }
        let start = match rustix::fs::seek(&self.file, SeekFrom::Data(from)) {
            Ok(start) => start,
            // Nothing but a hole until the end (lseek(2)).
            Err(Errno::NXIO) => return Ok(None),
            // A device, or a file system without holes.
            Err(Errno::INVAL) => return Ok(Some(from..self.length)),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&self.file, SeekFrom::Hole(start)).unwrap_or(self.length);
        Ok(Some(start..end))
    }
}

/// Copies what is not a hole to a place of a file.
pub fn copy(from: &(impl ReadAt + ?Sized), to: &File, offset: u64) -> io::Result<()> {
    const PIECE: u64 = 1 << 20;
    let mut buffer = vec![0; PIECE as usize];
    let mut at = 0;
    while let Some(data) = from.next_data(at)? {
        at = data.start;
        while at < data.end {
            let length = (data.end - at).min(PIECE);
            let piece = buffer.get_mut(..length as usize).unwrap_or_default();
            from.read_at(at, piece)?;
            // A stretch of zeros that was written is as good as a hole, and takes less.
            if piece.iter().any(|byte| *byte != 0) {
                to.write_all_at(piece, offset + at)?;
            }
            at += length;
        }
    }
    Ok(())
}
