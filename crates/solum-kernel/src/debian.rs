//! The providers `debian` and `debian-pc`: the distribution's prebuilt kernels, for virtual machines and for PCs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::apt::{Apt, Package, compare_versions};
use crate::architecture::Architecture;
use crate::cache::{Cache, Manifest, Member, PACKAGE, PACKAGE_VERSION};
use crate::error::Error;
use crate::files;
use crate::image::{self, Format};
use crate::kernel::{Kernel, Provider};
use crate::progress::Progress;
use crate::tools::Host;

/// What fetching and unpacking take at most; the larger package has about 110 MB, and so has what is in it.
const SPACE_NEEDED: u64 = 400_000_000;

/// Which of Debian's kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// For virtual machines, without drivers of what only PCs have: no graphics, for one.
    Cloud,
    /// For PCs, with drivers of nearly everything, as modules.
    Pc,
}

impl Flavour {
    /// How the names of its packages end.
    fn suffix(self, architecture: Architecture) -> String {
        let kind = match self {
            Self::Cloud => "-cloud",
            Self::Pc => "",
        };
        format!("{kind}-{}", architecture.debian_name())
    }
}

impl Kernel {
    /// A kernel of Debian's from the cache or, where that has none or `refresh` is set, the newest that the package manager
    /// knows.
    ///
    /// # Errors
    ///
    /// [`Error::ProgramMissing`] on hosts without `apt-get`, [`Error::PackageMissing`], [`Error::CommandFailed`] with
    /// what `apt-get` said, [`Error::NoSpace`], [`Error::Io`].
    pub fn from_debian(
        host: &Host,
        cache: &Cache,
        architecture: Architecture,
        flavour: Flavour,
        refresh: bool,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let suffix = flavour.suffix(architecture);
        if let (false, Some(kernel)) = (refresh, newest_cached(cache, &suffix)?) {
            return Ok(kernel);
        }
        let workshop = cache.open_workshop(Provider::Debian, progress)?;
        // Whoever held the workshop until now may have fetched it.
        if let (false, Some(kernel)) = (refresh, newest_cached(cache, &suffix)?) {
            return Ok(kernel);
        }
        let apt = Apt::new(host, progress, cache.root(), "to fetch Debian's kernel package");
        let pattern = format!("linux-image-VERSION{suffix}");
        let package = apt.newest("linux-image-", &pattern, |name| release_in(name, &suffix))?;
        let name = entry_name(&package, flavour);
        if let Some(kernel) = cache.find(&name) {
            return Ok(kernel);
        }
        let bench = workshop.bench()?;
        files::need_space(bench.path(), SPACE_NEEDED)?;
        let unpacked = apt.unpack(&package, bench.path())?;
        let entry = bench.path().join("entry");
        let manifest = arrange(&unpacked, &entry, &package)?;
        workshop.publish(&entry, &name, &manifest)?;
        cache.entry(&name)?.kernel()
    }
}

/// The release in the name of an image package; metapackages, of which "linux-image-6.12-cloud-amd64" is one, name
/// none: a release has a third number. Nor is one followed by the word of another flavour ("-rt").
fn release_in<'name>(name: &'name str, suffix: &str) -> Option<&'name str> {
    let release = name.strip_prefix("linux-image-")?.strip_suffix(suffix)?;
    let numbers =
        release.split('.').take_while(|part| part.starts_with(|first: char| first.is_ascii_digit()));
    let is_this_flavour =
        release.rsplit('-').next().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_digit()));
    (numbers.count() >= 3 && is_this_flavour).then_some(release)
}

fn entry_name(package: &Package, flavour: Flavour) -> String {
    let release = package.name.strip_prefix("linux-image-").unwrap_or(&package.name);
    let provider = match flavour {
        Flavour::Cloud => "debian",
        Flavour::Pc => "debian-pc",
    };
    format!("{provider}-{release}-{}", package.sha256.get(..8).unwrap_or(&package.sha256))
}

fn newest_cached(cache: &Cache, suffix: &str) -> Result<Option<Kernel>, Error> {
    let kernels = cache.list()?.into_iter().filter(|entry| {
        entry.manifest.as_ref().is_some_and(|manifest| {
            let package = manifest.inputs.get(PACKAGE);
            let is_wanted = package.is_some_and(|name| release_in(name, suffix).is_some());
            manifest.provider == Provider::Debian && is_wanted
        })
    });
    let kernels = kernels.filter_map(|entry| entry.kernel().ok());
    Ok(kernels.max_by(|left, right| compare_versions(&left.version, &right.version)))
}

/// Picks from an unpacked package what a machine needs, and unpacks the kernel in its image.
fn arrange(unpacked: &Path, entry: &Path, package: &Package) -> Result<Manifest, Error> {
    files::create_directory(entry)?;
    let packed = file_beginning(&unpacked.join("boot"), "vmlinuz-")?;
    let (inspection, bytes) = image::read(&packed)?;
    let refuse = |reason: String| Error::NotAKernel { path: packed.clone(), reason };
    let mut vmlinux = None;
    if let Some(inner) = image::extract_vmlinux(&bytes).map_err(refuse)?
        && matches!(image::inspect(&inner), Ok(found) if found.format == (Format::Vmlinux { pvh: true }))
    {
        files::write(&entry.join("vmlinux"), &inner)?;
        vmlinux = Some(Member::of(entry, "vmlinux")?);
    }
    files::rename(&packed, &entry.join("vmlinuz"))?;
    let config = file_beginning(&unpacked.join("boot"), "config-")?;
    files::rename(&config, &entry.join("config"))?;
    // Debian 13 moved the modules from /lib to /usr/lib.
    let mut modules = None;
    for place in ["lib/modules", "usr/lib/modules"] {
        let tree = unpacked.join(place).join(&inspection.version);
        if tree.is_dir() {
            files::rename(&tree, &entry.join("modules"))?;
            modules = Some(PathBuf::from("modules"));
        }
    }
    Ok(Manifest {
        provider: Provider::Debian,
        version: inspection.version,
        architecture: inspection.architecture,
        hash: package.sha256.clone(),
        inputs: BTreeMap::from([
            (PACKAGE.to_owned(), package.name.clone()),
            (PACKAGE_VERSION.to_owned(), package.version.clone()),
            ("package sha256".to_owned(), package.sha256.clone()),
        ]),
        image: Member::of(entry, "vmlinuz")?,
        vmlinux,
        modules,
        config: Some(PathBuf::from("config")),
    })
}

fn file_beginning(directory: &Path, prefix: &str) -> Result<PathBuf, Error> {
    let failed = |error| Error::io("list", directory, error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    Err(failed(std::io::Error::other(format!("the package has no file {prefix}*"))))
}

#[cfg(test)]
mod tests;
