//! What images need of a kernel.

use std::fs;

use solum_image::initramfs::Module;
use solum_kernel::Provider;
use solum_spec::storage::Kind;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel_choice::{Chosen, EVERY_MODULE};

impl Chosen {
    /// Its release, as `uname -r` prints it.
    pub fn release(&self) -> &str {
        &self.0.version
    }

    /// What tells it from every other kernel, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// Where its package is from, for bills of materials (purl-spec).
    pub fn package_url(&self) -> Option<String> {
        let release = self.release();
        match self.0.provider {
            Provider::Debian => Some(format!("pkg:deb/debian/linux-image-{release}")),
            _ => None,
        }
    }

    /// The image that firmware and boot loaders load.
    pub fn packed(&self) -> Result<Vec<u8>, Failure> {
        let path = &self.0.image;
        fs::read(path).map_err(|error| Failure::file("cannot read", path, &error))
    }

    /// The uncompressed image, which a hypervisor enters directly.
    pub fn unpacked(&self) -> Result<Vec<u8>, Failure> {
        let Some(path) = &self.0.vmlinux else {
            let message =
                format!("{} has no uncompressed image that a hypervisor could enter", self.version());
            return Err(Failure::new(ExitCode::KernelUnavailable, message)
                .hint("build one that has: `solum kernel build`".to_owned()));
        };
        fs::read(path).map_err(|error| Failure::file("cannot read", path, &error))
    }

    /// Whether it shows text on a screen.
    pub fn has_screen(&self) -> bool {
        matches!(self.0.has("CONFIG_VT"), Ok(Some(true)))
    }

    /// Whether it is known to have this neither built in nor as a module.
    pub fn lacks(&self, symbol: &str) -> bool {
        matches!(self.0.has(symbol), Ok(Some(false)))
    }

    /// The modules of a machine whose devices nobody knows yet, and of the file systems that it mounts; `None` is one of any kind.
    pub fn modules_of_images(&self, kinds: &[Option<Kind>]) -> Result<Vec<Module>, Failure> {
        let mut names = EVERY_MODULE.to_vec();
        for kind in kinds {
            names.extend(match kind {
                None => &["ext4", "vfat", "nls_cp437", "nls_ascii", "isofs", "btrfs"][..],
                Some(Kind::Ext2 | Kind::Ext3 | Kind::Ext4) => &["ext4"],
                Some(Kind::Btrfs) => &["btrfs"],
                Some(Kind::Iso9660) => &["isofs"],
                Some(Kind::Vfat) => &["vfat", "nls_cp437", "nls_ascii"],
                Some(Kind::Tmpfs | Kind::Ramfs) => &[],
            });
        }
        self.modules(&names)
    }
}
