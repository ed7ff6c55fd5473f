//! The provider `host`: the kernel that the running host was started from.

use std::path::PathBuf;

use crate::error::Error;
use crate::kernel::{Kernel, Provider};
use crate::modules::ModuleTree;
use crate::tools::Host;

impl Kernel {
    /// The kernel of the running host, with its modules, from where distributions keep them.
    ///
    /// # Errors
    ///
    /// [`Error::HostKernelMissing`] where the host keeps none (containers and small VMs do not), [`Error::Io`] where
    /// the file may not be read (Ubuntu gives it to root alone), [`Error::NotAKernel`].
    pub fn from_host(host: &Host) -> Result<Self, Error> {
        let release = &host.release;
        let searched: Vec<PathBuf> = [
            format!("boot/vmlinuz-{release}"),            // Debian, Fedora, openSUSE
            format!("usr/lib/modules/{release}/vmlinuz"), // Arch, Fedora
            format!("lib/modules/{release}/vmlinuz"),
        ]
        .iter()
        .map(|place| host.root.join(place))
        .collect();
        let Some(image) = searched.iter().find(|place| place.is_file()) else {
            return Err(Error::HostKernelMissing { release: release.clone(), searched });
        };
        let mut kernel = Self::from_file(image, Provider::Host)?;
        let modules = host.root.join("lib/modules").join(release);
        if modules.is_dir() {
            kernel.modules = Some(ModuleTree::open(&modules, release)?);
        }
        let config = host.root.join(format!("boot/config-{release}"));
        kernel.config = config.is_file().then_some(config);
        Ok(kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use crate::image::tests::bzimage;

    fn host(root: &std::path::Path) -> Host {
        Host { root: root.to_owned(), release: "6.1.0-50-amd64".into(), ..Host::current() }
    }

    #[test]
    fn image_modules_and_configuration_are_found() {
        let root = tempfile::tempdir().unwrap();
        files::create_directory(&root.path().join("boot")).unwrap();
        files::create_directory(&root.path().join("lib/modules/6.1.0-50-amd64/kernel")).unwrap();
        files::write(&root.path().join("boot/config-6.1.0-50-amd64"), b"").unwrap();
        files::write(&root.path().join("boot/vmlinuz-6.1.0-50-amd64"), &bzimage("6.1.0-50-amd64", b""))
            .unwrap();
        let kernel = Kernel::from_host(&host(root.path())).unwrap();
        assert_eq!(kernel.provider, Provider::Host);
        assert_eq!(kernel.version, "6.1.0-50-amd64");
        assert!(kernel.modules.is_some() && kernel.config.is_some());
    }

    #[test]
    fn a_host_without_kernel_is_told_of_another_way() {
        let root = tempfile::tempdir().unwrap();
        let error = Kernel::from_host(&host(root.path())).unwrap_err();
        assert!(error.to_string().contains("keeps no file of its kernel 6.1.0-50-amd64"), "{error}");
        assert!(error.hint().unwrap().contains("--kernel debian"));
    }
}
