//! What images need of a kernel.

use std::fs;

use solum_image::initramfs::Module;
use solum_kernel::hardware;
use solum_kernel::parts::PackageVersion;
use solum_spec::storage::FileSystem;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel_choice::{Chosen, EVERY_DEVICE, file_system_modules};
use crate::kernel_modules::Modules;

impl Chosen {
    /// Its release, as `uname -r` prints it.
    pub fn release(&self) -> &str {
        &self.0.version
    }

    /// What tells it from every other kernel, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// The distribution's package that it came in, if it did.
    pub fn package(&self) -> Option<&PackageVersion> {
        self.0.package.as_ref()
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

    /// The modules for what an image boots on, UEFI among it, and for the file systems that its machine mounts.
    pub fn modules_of_image(
        &self,
        wanted: &Modules,
        file_systems: &[FileSystem],
    ) -> Result<Vec<Module>, Failure> {
        let mut modules = match wanted {
            Modules::VirtualMachines => self.modules(&[&EVERY_DEVICE, hardware::FIRMWARE].concat())?,
            other => self.modules_for(other)?,
        };
        // What they need may be there already, and comes before them in either list.
        for module in self.modules(&file_system_modules(file_systems))? {
            if modules.iter().all(|known| known.name != module.name) {
                modules.push(module);
            }
        }
        Ok(modules)
    }
}
