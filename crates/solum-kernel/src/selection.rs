//! Which kernel a user asked for.

use std::path::PathBuf;

use crate::architecture::Architecture;
use crate::cache::Cache;
use crate::debian::Flavour;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::progress::Progress;
use crate::source::{Profile, SourceRequest};
use crate::tools::Host;

/// A provider, or the choice left open: what `--kernel` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// A kernel built here if the cache has one, else the distribution's: nobody waits for a build.
    #[default]
    Default,
    /// The running host's.
    Host,
    /// The distribution's prebuilt package for virtual machines.
    Debian,
    /// The distribution's prebuilt package for PCs, with drivers of nearly everything.
    DebianPc,
    /// Built here, for virtual machines where nothing else is requested.
    Source,
    /// Built here, for computers.
    SourcePc,
    /// For computers, the choice between the two left open: one built here if the cache has one, else the distribution's.
    DefaultPc,
    /// A file.
    Path(PathBuf),
}

impl Selection {
    /// Reads what a user typed: the name of a provider, or else a path. A file of such a name is meant by `./debian`.
    pub fn parse(text: &str) -> Self {
        match text {
            "host" => Self::Host,
            "debian" => Self::Debian,
            "debian-pc" => Self::DebianPc,
            "source" => Self::Source,
            "source-pc" => Self::SourcePc,
            "pc" => Self::DefaultPc,
            path => Self::Path(PathBuf::from(path)),
        }
    }

    /// Finds, fetches or builds the kernel. `request` says what to build, should it come to that.
    ///
    /// # Errors
    ///
    /// Those of the provider.
    pub fn resolve(
        &self,
        host: &Host,
        cache: &Cache,
        request: &SourceRequest,
        progress: &dyn Progress,
    ) -> Result<Kernel, Error> {
        if !matches!(self, Self::Host | Self::Path(_)) {
            // What interrupted runs left takes space and does no other harm: no reason to go without a kernel.
            let _ = cache.sweep();
        }
        match self {
            Self::Default => default_kernel(host, cache, progress),
            Self::Host => Kernel::from_host(host),
            Self::Debian => prebuilt(host, cache, Flavour::Cloud, progress),
            Self::DebianPc => prebuilt(host, cache, Flavour::Pc, progress),
            Self::Source => Kernel::from_source(host, cache, request, progress),
            Self::SourcePc => {
                let request = SourceRequest { profile: Profile::Pc, ..request.clone() };
                Kernel::from_source(host, cache, &request, progress)
            }
            Self::DefaultPc => kernel_for_pcs(host, cache, progress),
            Self::Path(path) => Kernel::from_path(path),
        }
    }
}

/// The kernel for those who did not ask for one: a `vm` kernel that was built here, else the distribution's.
///
/// # Errors
///
/// Those of [`Kernel::from_debian`].
pub fn default_kernel(host: &Host, cache: &Cache, progress: &dyn Progress) -> Result<Kernel, Error> {
    match Kernel::newest_built(cache, Profile::Vm)? {
        Some(kernel) => Ok(kernel),
        None => prebuilt(host, cache, Flavour::Cloud, progress),
    }
}

/// As [`default_kernel`], for computers: a `pc` kernel that was built here, else the distribution's for PCs, of which a machine
/// needs the modules of its devices, too.
///
/// # Errors
///
/// Those of [`Kernel::from_debian`].
pub fn kernel_for_pcs(host: &Host, cache: &Cache, progress: &dyn Progress) -> Result<Kernel, Error> {
    match Kernel::newest_built(cache, Profile::Pc)? {
        Some(kernel) => Ok(kernel),
        None => prebuilt(host, cache, Flavour::Pc, progress),
    }
}

fn prebuilt(host: &Host, cache: &Cache, flavour: Flavour, progress: &dyn Progress) -> Result<Kernel, Error> {
    let architecture = Architecture::of_host().unwrap_or(Architecture::X86_64);
    Kernel::from_debian(host, cache, architecture, flavour, false, progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_told_from_paths() {
        let table = [
            ("default", Selection::Path("default".into())),
            ("host", Selection::Host),
            ("debian", Selection::Debian),
            ("debian-pc", Selection::DebianPc),
            ("source", Selection::Source),
            ("source-pc", Selection::SourcePc),
            ("pc", Selection::DefaultPc),
            ("./debian", Selection::Path("./debian".into())),
            ("/boot/vmlinuz", Selection::Path("/boot/vmlinuz".into())),
        ];
        for (text, selection) in table {
            assert_eq!(Selection::parse(text), selection);
        }
    }
}
