//! Disks, in every wrapping.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use solum_image::disk::{self, Boot, Extra, Frame};
use solum_image::gpt::Guid;
use solum_image::sparse::ReadAt;
use solum_image::wrapping::{qcow2, vhd, vmdk};
use solum_spec::storage::{self, DataKind};

use super::{ARCHITECTURE, Maker, data_file_system, mounting, mounts};
use crate::arguments::Format;
use crate::data_volume::DataVolume;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::sparse_file::{self, SparseFile};

/// A disk that boots by UEFI and keeps data. `name` is what its file will be called, which one format says inside.
pub fn make(maker: &Maker<'_>, format: Format, path: &Path, name: &str) -> Result<(), Failure> {
    // Once: it reads all content.
    let seed = maker.seed()?;
    if format == Format::Disk {
        return raw(maker, &seed, path);
    }
    let beside = path.with_extension("raw");
    raw(maker, &seed, &beside)?;
    let wrapped = || {
        let disk = SparseFile::open(&beside)?;
        let mut sink = File::create(path)?;
        match format {
            Format::Qcow2 => qcow2::write(&disk, &mut sink),
            Format::Vmdk => vmdk::write(&disk, name, &mut sink),
            _ => {
                let options = vhd::Options { id: Guid::derived(&seed, "disk"), epoch_s: maker.epoch_s };
                vhd::write(&disk, &options, &mut sink)
            }
        }?;
        fs::remove_file(&beside)
    };
    wrapped().map_err(|error: io::Error| Failure::file("cannot write", path, &error))
}

fn raw(maker: &Maker<'_>, seed: &[u8], path: &Path) -> Result<(), Failure> {
    let kind = maker.data.kind;
    if kind == DataKind::Btrfs {
        let hint = "take a kernel that has it: `--kernel debian`, or one for PCs with `--for pc`";
        maker.refuse_without("CONFIG_BTRFS_FS", "mount Btrfs", hint)?;
    }
    let contents = match mounts(&maker.contents, storage::PERMANENT) {
        true => maker.contents.clone(),
        false => mounting(&maker.contents, data_file_system(kind)),
    };
    let size = maker.data.size.unwrap_or_else(|| kind.default_size());
    let boot = Boot {
        architecture: ARCHITECTURE,
        loader: maker.parts.boot_manager()?,
        image: maker.unified(contents)?,
    };
    // The data volume is the last one, so that it can grow.
    let mut extras: Vec<Extra> = maker
        .disks
        .iter()
        .map(|disk| Extra { name: storage::disk_partition(&disk.name), size: disk.bytes })
        .collect();
    extras.push(Extra { name: storage::DATA_LABEL.to_owned(), size: size.as_bytes() });
    let Frame { image, places } = disk::write(boot, &extras, None, &maker.identity(seed))
        .map_err(|error| Failure::new(ExitCode::UnusableInput, &error).hint(error.hint()))?;
    let Some(place) = places.last() else {
        return Err(Failure::new(ExitCode::UnusableInput, "the disk has no place for data"));
    };
    let volume = path.with_extension("data");
    let owner = maker.contents.description.unit.user_id;
    DataVolume {
        kind,
        size: place.size,
        content: maker.data.content.as_deref(),
        owner: (owner, owner),
        id: Guid::derived(seed, "data volume"),
        epoch_s: maker.epoch_s,
    }
    .write(&volume)?;
    let written = || {
        let disk = File::create(path)?;
        disk.set_len(image.length())?;
        sparse_file::copy(&image, &disk, 0)?;
        sparse_file::copy(&SparseFile::open(&volume)?, &disk, place.offset)?;
        fs::remove_file(&volume)
    };
    written().map_err(|error: io::Error| Failure::file("cannot write", path, &error))
}
