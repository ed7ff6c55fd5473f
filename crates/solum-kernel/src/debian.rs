//! The provider `debian`: the distribution's prebuilt kernel for virtual machines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::apt::{Apt, Package, compare_versions};
use crate::architecture::Architecture;
use crate::cache::{Cache, Manifest, Member};
use crate::error::Error;
use crate::files;
use crate::image::{self, Format};
use crate::kernel::{Kernel, Provider};
use crate::progress::Progress;
use crate::tools::Host;

/// What fetching and unpacking take at most; the package has about 35 MB, the entry about 105 MB.
const SPACE_NEEDED: u64 = 300_000_000;

impl Kernel {
    /// Debian's cloud kernel from the cache or, where that has none or `refresh` is set, the newest that the package
    /// manager knows.
    ///
    /// # Errors
    ///
    /// [`Error::ProgramMissing`] on hosts without `apt-get`, [`Error::PackageMissing`], [`Error::CommandFailed`] with
    /// what `apt-get` said, [`Error::NoSpace`], [`Error::Io`].
    pub fn from_debian(
        host: &Host,
        cache: &Cache,
        architecture: Architecture,
        refresh: bool,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        if let (false, Some(kernel)) = (refresh, newest_cached(cache, architecture)?) {
            return Ok(kernel);
        }
        let workshop = cache.open_workshop(Provider::Debian, progress)?;
        // Whoever held the workshop until now may have fetched it.
        if let (false, Some(kernel)) = (refresh, newest_cached(cache, architecture)?) {
            return Ok(kernel);
        }
        let apt = Apt::new(host, progress, cache.root(), "to fetch Debian's kernel package");
        let suffix = format!("-cloud-{}", architecture.debian_name());
        let pattern = format!("linux-image-VERSION{suffix}");
        let package = apt.newest("linux-image-", &pattern, |name| release_in(name, &suffix))?;
        let name = entry_name(&package);
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
/// none: a release has a third number.
fn release_in<'name>(name: &'name str, suffix: &str) -> Option<&'name str> {
    let release = name.strip_prefix("linux-image-")?.strip_suffix(suffix)?;
    let numbers =
        release.split('.').take_while(|part| part.starts_with(|first: char| first.is_ascii_digit()));
    (numbers.count() >= 3).then_some(release)
}

fn entry_name(package: &Package) -> String {
    let release = package.name.strip_prefix("linux-image-").unwrap_or(&package.name);
    format!("debian-{release}-{}", package.sha256.get(..8).unwrap_or(&package.sha256))
}

fn newest_cached(cache: &Cache, architecture: Architecture) -> Result<Option<Kernel>, Error> {
    let kernels = cache.list()?.into_iter().filter(|entry| {
        entry.manifest.as_ref().is_some_and(|manifest| {
            manifest.provider == Provider::Debian && manifest.architecture == architecture
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
            ("package".to_owned(), package.name.clone()),
            ("package version".to_owned(), package.version.clone()),
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
