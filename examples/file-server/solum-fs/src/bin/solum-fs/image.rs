//! A file of the host as a disk.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use solum::Disk;
use solum::disk::{Driver, Geometry};

use super::command::Failure;

/// What is going to be done with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    /// It may not exist yet, and has this many bytes then.
    Create(Option<u64>),
}

struct Image {
    file: File,
    bytes: u64,
    is_writable: bool,
}

/// Opens a disk file, so that nobody else does at the same time.
pub fn open(path: &Path, access: Access) -> Result<Disk, Failure> {
    let is_writable = access != Access::Read;
    let failed = |error: io::Error| Failure::Image { path: path.to_owned(), reason: error.to_string() };
    let mut options = OpenOptions::new();
    options.read(true).write(is_writable);
    let file = match (access, options.open(path)) {
        (Access::Create(Some(bytes)), Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            let file = options.create_new(true).open(path).map_err(failed)?;
            file.set_len(bytes).map_err(failed)?;
            file
        }
        (Access::Create(None), Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::SizeMissing(path.to_owned()));
        }
        (_, opened) => opened.map_err(failed)?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Failure::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let bytes = length(&file).map_err(failed)?;
    if let Access::Create(Some(wanted)) = access
        && wanted != bytes
    {
        return Err(Failure::OtherSize { path: path.to_owned(), bytes });
    }
    Ok(Disk::new(Box::new(Image { file, bytes: bytes / 512 * 512, is_writable })))
}

fn length(mut file: &File) -> io::Result<u64> {
    let kind = file.metadata()?.file_type();
    if kind.is_block_device() {
        return io::Seek::seek(&mut file, io::SeekFrom::End(0));
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is neither a file nor a block device"));
    }
    Ok(file.metadata()?.len())
}

impl Driver for Image {
    fn geometry(&self) -> Geometry {
        Geometry { bytes: self.bytes, block_bytes: 512, writable: self.is_writable }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> solum::Result<()> {
        Ok(self.file.read_exact_at(buffer, offset)?)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> solum::Result<()> {
        Ok(self.file.write_all_at(data, offset)?)
    }

    fn flush(&mut self) -> solum::Result<()> {
        Ok(self.file.sync_data()?)
    }

    fn discard(&mut self, _: u64, _: u64) -> solum::Result<()> {
        Ok(())
    }
}
