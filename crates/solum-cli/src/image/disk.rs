//! Disks, in every wrapping.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use solum_image::disk::{self, Boot, Extra, Frame};
use solum_image::sparse::ReadAt;
use solum_spec::storage;

use super::{ARCHITECTURE, Maker, data_file_system, mounting, mounts};
use crate::arguments::Format;
use crate::data_volume::{self, DataVolume};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::sparse_file::SparseFile;

/// A disk that boots by UEFI and keeps data.
pub fn make(maker: &Maker<'_>, format: Format, path: &Path) -> Result<(), Failure> {
    if format == Format::Disk {
        return raw(maker, path);
    }
    let beside = path.with_extension("raw");
    raw(maker, &beside)?;
    let refused = |error: io::Error| Failure::file("cannot write", path, &error);
    let disk = SparseFile::open(&beside).map_err(refused)?;
    let seed = maker.seed()?;
    match format {
        Format::Qcow2 => wrap::qcow2(&disk, path),
        Format::Vmdk => wrap::vmdk(&disk, path, &seed),
        _ => wrap::vhd(&disk, path, &seed, maker.epoch_s),
    }
    .map_err(refused)?;
    fs::remove_file(&beside).map_err(refused)
}
