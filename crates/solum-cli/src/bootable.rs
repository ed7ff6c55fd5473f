//! From an image to what a virtual machine boots.

use std::fs;
use std::path::Path;

use solum_image::Architecture;
use solum_image::disk::{self, Identity};
use solum_spec::ByteSize;
use solum_spec::machine::DEFAULT_MEMORY;
use solum_vm::{Boot, Bus, DiskFormat, Firmware, Medium};

use crate::arguments::Run;
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::image::{ImageKind as Kind, kernel_words};
use crate::launch::file_stem;
use crate::output::Kept;
use crate::parts::Parts;

/// What a virtual machine boots, as long as this lives.
pub struct Bootable {
    /// What it boots.
    pub boot: Boot,
    /// The image's own words for the kernel's command line, where it is not on a medium with the kernel.
    pub words: Vec<String>,
    /// Firmware boots it, which needs memory of its own.
    is_by_firmware: bool,
    _medium: Option<Kept>,
}

/// Firmware keeps itself and the whole image in memory until the kernel has unpacked both: with 128 MiB it is too small for a
/// kernel of the distribution's.
const MEMORY: ByteSize = ByteSize::mebibytes(256);

impl Bootable {
    /// What to boot of an image of this kind, attached as the arguments say.
    pub fn new(image: &Path, kind: Kind, arguments: &Run) -> Result<Self, Failure> {
        let raw = DiskFormat::Raw;
        match kind {
            Kind::Initramfs => Self::directly(image, "vmlinuz"),
            Kind::Firecracker => Self::directly(image, "vmlinux"),
            Kind::Uki => {
                let bytes = fs::read(image).map_err(|error| Failure::file("cannot read", image, &error))?;
                // Firmware starts it from a medium that holds nothing else.
                let identity = Identity { seed: b"solum run", epoch_s: 0 };
                let medium = disk::single_image_esp(Architecture::HOST, bytes, &identity)
                    .map_err(|error| Failure::new(ExitCode::UnusableInput, error))?;
                let stays = arguments.around.dry_run;
                let kept = Kept::new(&file_stem(image), &medium.to_vec(), "esp", stays)?;
                let bootable = Self::from_medium(kept.path(), raw, false, arguments)?;
                Ok(Self { _medium: Some(kept), ..bootable })
            }
            Kind::Iso => Self::from_medium(image, raw, true, arguments),
            Kind::Disk(format) => Self::from_medium(image, format, false, arguments),
            Kind::Oci => {
                let message = format!("{} is a container, and no machine boots it", image.display());
                Err(Failure::new(ExitCode::UnusableInput, message)
                    .hint("run it alone: Podman does that".to_owned()))
            }
        }
    }

    /// The memory of a machine that was described with so much, unless the user says how much it has.
    pub fn memory(&self, described: Option<ByteSize>) -> ByteSize {
        let wanted = described.unwrap_or(DEFAULT_MEMORY);
        if self.is_by_firmware { wanted.max(MEMORY) } else { wanted }
    }

    /// A kernel and an initramfs: nothing is to be found by firmware.
    fn directly(image: &Path, kernel: &str) -> Result<Self, Failure> {
        let boot = Boot::Kernel { kernel: image.join(kernel), initramfs: image.join("initramfs") };
        Ok(Self { boot, words: kernel_words(image)?, is_by_firmware: false, _medium: None })
    }

    fn from_medium(file: &Path, format: DiskFormat, is_iso: bool, arguments: &Run) -> Result<Self, Failure> {
        let cache = Cache::of_user()?;
        let firmware = Parts::new(&cache).firmware()?;
        let boot = Boot::Firmware(Firmware {
            code: firmware.code.path,
            variables: firmware.variables.path,
            medium: Medium {
                file: file.to_owned(),
                format,
                bus: arguments.attach.map_or_else(Bus::default, Into::into),
                read_only: is_iso,
                snapshot: arguments.snapshot,
            },
        });
        Ok(Self { boot, words: Vec::new(), is_by_firmware: true, _medium: None })
    }
}
