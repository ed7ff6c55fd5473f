//! A kernel, wherever it came from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::config::Configuration;
use crate::error::Error;
use crate::files;
use crate::image::{self, Format};
use crate::modules::{Module, ModuleTree};
use crate::parts::PackageVersion;

/// Where a kernel comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A file that the user named.
    Path,
    /// The file that the running host was started from.
    Host,
    /// The distribution's prebuilt package.
    Debian,
    /// Built here.
    Source,
}

impl Provider {
    /// The word that the command line has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Host => "host",
            Self::Debian => "debian",
            Self::Source => "source",
        }
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Where it comes from.
    pub provider: Provider,
    /// Its release, as `uname -r` prints it on the running system.
    pub version: String,
    /// The processors it runs on.
    pub architecture: Architecture,
    /// The bootable image: a bzImage, or a vmlinux where the user named one.
    pub image: PathBuf,
    /// The uncompressed image, where there is one that a hypervisor can enter directly by PVH. That is the faster
    /// way to boot the same kernel.
    pub vmlinux: Option<PathBuf>,
    /// Its modules, or `None` where it has none: then everything it can do is built in.
    pub modules: Option<ModuleTree>,
    /// Its configuration, where known.
    pub config: Option<PathBuf>,
    /// SHA-256 in hexadecimal: of the image (`path`, `host`), of the package (`debian`), of all inputs (`source`).
    pub hash: String,
    /// The distribution's package that it came in (`debian`).
    pub package: Option<PackageVersion>,
}

impl Kernel {
    /// A kernel in a file that the user named.
    ///
    /// # Errors
    ///
    /// [`Error::NotAKernel`] with the reason, [`Error::Io`].
    pub fn from_path(path: &Path) -> Result<Self, Error> {
        Self::from_file(path, Provider::Path)
    }

    pub(crate) fn from_file(path: &Path, provider: Provider) -> Result<Self, Error> {
        let (inspection, bytes) = image::read(path)?;
        let vmlinux = (inspection.format == Format::Vmlinux { pvh: true }).then(|| path.to_owned());
        Ok(Self {
            provider,
            version: inspection.version,
            architecture: inspection.architecture,
            image: path.to_owned(),
            vmlinux,
            modules: None,
            config: None,
            hash: files::sha256(&bytes),
            package: None,
        })
    }

    /// The modules named and all that they depend on, in the order in which to load them. Those built in are left
    /// out; of a kernel without modules, all are.
    ///
    /// # Errors
    ///
    /// Those of [`ModuleTree::closure`].
    pub fn modules<Name: AsRef<str>>(&self, names: &[Name]) -> Result<Vec<Module>, Error> {
        match &self.modules {
            Some(tree) => tree.closure(names),
            None => Ok(Vec::new()),
        }
    }

    /// Whether a configuration symbol (`"CONFIG_9P_FS"`) is on, built in or as a module; `None` where the kernel's
    /// configuration is not known.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or [`Error::Fragment`] where the configuration cannot be read.
    pub fn has(&self, symbol: &str) -> Result<Option<bool>, Error> {
        let Some(path) = &self.config else { return Ok(None) };
        let configuration = read_configuration(path)?;
        Ok(Some(matches!(configuration.get(symbol), Some("y" | "m"))))
    }
}

/// Reads a fragment or a whole configuration.
pub(crate) fn read_configuration(path: &Path) -> Result<Configuration, Error> {
    Configuration::parse(&files::read_text(path)?).map_err(|error| Error::Fragment {
        path: path.to_owned(),
        line: error.line,
        reason: error.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{bzimage, vmlinux};

    #[test]
    fn a_file_becomes_a_kernel_by_what_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kernel");
        files::write(&path, &bzimage("6.12.1", b"")).unwrap();
        let kernel = Kernel::from_path(&path).unwrap();
        assert_eq!((kernel.version.as_str(), kernel.vmlinux), ("6.12.1", None));
        files::write(&path, &vmlinux("6.12.2")).unwrap();
        let kernel = Kernel::from_path(&path).unwrap();
        assert_eq!((kernel.version.as_str(), kernel.vmlinux), ("6.12.2", Some(path.clone())));
        assert_eq!(kernel.hash.len(), 64);
    }

    #[test]
    fn what_is_no_kernel_is_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("text");
        files::write(&text, b"hello").unwrap();
        let gone = directory.path().join("gone");
        let table = [
            (&text, "is not a kernel: it has neither"),
            (&gone, "No such file or directory"),
            (&directory.path().to_owned(), "is not a kernel: it is a directory"),
        ];
        for (path, message) in table {
            let error = Kernel::from_path(path).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn the_configuration_tells_what_is_on() {
        let directory = tempfile::tempdir().unwrap();
        let (image, config) = (directory.path().join("bzImage"), directory.path().join("config"));
        files::write(&image, &bzimage("6.12.1", b"")).unwrap();
        files::write(&config, b"CONFIG_9P_FS=y\nCONFIG_VIRTIO_NET=m\n# CONFIG_VT is not set\n").unwrap();
        let mut kernel = Kernel::from_path(&image).unwrap();
        assert_eq!(kernel.has("CONFIG_9P_FS").unwrap(), None);
        kernel.config = Some(config);
        let table =
            [("CONFIG_9P_FS", true), ("CONFIG_VIRTIO_NET", true), ("CONFIG_VT", false), ("CONFIG_X", false)];
        for (symbol, on) in table {
            assert_eq!(kernel.has(symbol).unwrap(), Some(on), "{symbol}");
        }
    }
}
