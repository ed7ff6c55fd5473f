//! What images need that others make, each looked for once, and remembered for the bill of materials.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use solum_kernel::parts::{self, Found};
use solum_kernel::{Architecture, Error};

use crate::cache::Cache;
use crate::failure::Failure;
use crate::kernel_choice;

/// Finds parts.
pub struct Parts<'a> {
    cache: &'a Cache,
    architecture: Architecture,
    used: RefCell<BTreeMap<&'static str, Found>>,
}

impl<'a> Parts<'a> {
    /// None has been looked for.
    pub fn new(cache: &'a Cache) -> Self {
        let architecture = Architecture::of_host().unwrap_or(Architecture::X86_64);
        Self { cache, architecture, used: RefCell::default() }
    }

    /// systemd's EFI stub.
    pub fn efi_stub(&self) -> Result<Vec<u8>, Failure> {
        self.bytes("the EFI stub of systemd", |parts| parts.efi_stub())
    }

    /// systemd's boot manager.
    pub fn boot_manager(&self) -> Result<Vec<u8>, Failure> {
        self.bytes("the boot manager of systemd", |parts| parts.boot_manager())
    }

    /// The program that checks ext file systems.
    pub fn e2fsck(&self) -> Result<Vec<u8>, Failure> {
        self.bytes("e2fsck", |parts| parts.e2fsck())
    }

    /// What PCs without UEFI boot an ISO with: loader, its module, and the first sector of a stick.
    pub fn bios_loader(&self) -> Result<[Vec<u8>; 3], Failure> {
        let found = kernel_choice::part(self.cache, self.architecture, |parts| parts.bios_loader())?;
        let loader = self.read("ISOLINUX", found.loader)?;
        let module = self.read("the module of ISOLINUX", found.module)?;
        let sector = self.read("the first sector of ISOLINUX", found.hybrid_sector)?;
        Ok([loader, module, sector])
    }

    /// The firmware of virtual machines.
    pub fn firmware(&self) -> Result<parts::Firmware, Failure> {
        kernel_choice::part(self.cache, self.architecture, |parts| parts.firmware())
    }

    /// Those that were used, with their names.
    pub fn used(&self) -> BTreeMap<&'static str, Found> {
        self.used.borrow().clone()
    }

    fn bytes(
        &self,
        name: &'static str,
        find: impl FnOnce(parts::Parts<'_>) -> Result<Found, Error>,
    ) -> Result<Vec<u8>, Failure> {
        let known = self.used.borrow().get(name).cloned();
        let found = match known {
            Some(found) => found,
            None => kernel_choice::part(self.cache, self.architecture, find)?,
        };
        self.read(name, found)
    }

    fn read(&self, name: &'static str, found: Found) -> Result<Vec<u8>, Failure> {
        let bytes = read(&found.path)?;
        self.used.borrow_mut().insert(name, found);
        Ok(bytes)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::file("cannot read", path, &error))
}
