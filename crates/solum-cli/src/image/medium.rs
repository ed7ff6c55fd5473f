//! CDs and sticks.

use std::path::Path;

use solum_image::disk;
use solum_image::gpt::Guid;
use solum_spec::ByteSize;
use solum_spec::storage::{self, FileSystem, Kind, Source};

use super::{ARCHITECTURE, Maker, mounting};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::iso::{Bios, Iso};

/// A CD that boots by UEFI, from a stick too.
pub fn iso(maker: &Maker<'_>, path: &Path) -> Result<(), Failure> {
    let seed = maker.seed()?;
    let volume = volume_name(&seed);
    let contents = match &maker.iso_content {
        None => maker.contents.clone(),
        Some(_) => {
            maker.refuse_without(
                "CONFIG_ISO9660_FS",
                "read a CD",
                "take another kernel: `--kernel debian`, or build one anew with `solum kernel build`",
            )?;
            mounting(&maker.contents, content_of(&volume))
        }
    };
    // Before the bill of materials is written into the image.
    let loader = maker.bios.then(|| maker.parts.bios_loader()).transpose()?;
    let image = maker.unified(contents.clone())?;
    let boot_partition = disk::single_image_esp(ARCHITECTURE, image, &maker.identity(&seed))
        .map_err(|error| Failure::new(ExitCode::UnusableInput, error))?;
    let bios = match loader {
        None => None,
        Some(loader) => {
            Some((loader, maker.kernel()?.packed()?, maker.initramfs(contents)?, maker.kernel_line()?))
        }
    };
    let bios = bios.as_ref().map(|([loader, module, hybrid_sector], kernel, initramfs, line)| Bios {
        loader,
        module,
        hybrid_sector,
        kernel,
        initramfs,
        command_line: line,
    });
    Iso {
        esp: &boot_partition.to_vec(),
        content: maker.iso_content.as_deref(),
        volume_id: &volume,
        id: Guid::derived(&seed, "disk"),
        epoch_s: maker.epoch_s,
        bios,
        medium: maker.medium.map(ByteSize::as_bytes),
    }
    .write(path)
}

/// The name by which the machine finds the very medium that it was booted from: capital letters, digits and underscores
/// (ECMA-119, 7.4.1).
fn volume_name(seed: &[u8; 32]) -> String {
    format!("SOLUM_{}", base16ct::upper::encode_string(&seed[..6]))
}

fn content_of(volume: &str) -> FileSystem {
    FileSystem {
        source: Source::Label(volume.to_owned()),
        target: storage::ISO.to_owned(),
        kind: Some(Kind::Iso9660),
        read_only: true,
        options: String::new(),
        required: true,
        grow: false,
    }
}
