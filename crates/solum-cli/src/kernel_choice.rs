//! From `--kernel` to a kernel file and the modules a machine needs.

use std::path::{Path, PathBuf};

use solum_image::Compression;
use solum_image::initramfs::Module;

use crate::arguments::KernelChoice;
use crate::cache::Cache;
use crate::failure::Failure;

/// The kernel that was chosen.
pub struct Chosen(PathBuf);

/// Chooses.
pub fn choose(choice: &KernelChoice, _cache: &Cache) -> Result<Chosen, Failure> {
    Ok(Chosen(choice.kernel.clone().unwrap_or_else(|| "/tmp/vmkernel/bzImage".into()).into()))
}

impl Chosen {
    /// File.
    pub fn image(&self) -> &Path {
        &self.0
    }
    /// Version.
    pub fn version(&self) -> String {
        "?".into()
    }
    /// Modules.
    pub fn modules(&self, _names: &[&str]) -> Result<Vec<Module>, Failure> {
        Ok(vec![])
    }
    /// Every.
    pub fn every_module(&self) -> Result<Vec<Module>, Failure> {
        Ok(vec![])
    }
    /// Compression.
    pub fn compression(&self) -> Compression {
        Compression::Zstd
    }
}
