//! Where sources come from, what identifies them, and how they get onto the bench.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{PINNED_RELEASE, SourceRequest, build};
use crate::apt::{Apt, Package};
use crate::cache::Cache;
use crate::download::{self, Location, Mirror};
use crate::error::Error;
use crate::files;
use crate::progress::Progress;
use crate::tools::Host;

/// Sources, identified but not necessarily here yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A release from a mirror, with the checksum that its publisher states.
    Release { version: String, location: Location, list: PathBuf, sha256: String },
    /// The distribution's package of sources.
    Package(Package),
    /// A directory of the user's.
    Tree { path: PathBuf, fingerprint: String },
}

const PACKAGE_PREFIX: &str = "linux-source-";
const PURPOSE: &str = "to fetch the distribution's kernel sources";

impl Origin {
    /// Decides where the sources come from, and identifies them; of large files nothing is fetched yet.
    pub(super) fn resolve(
        host: &Host,
        cache: &Cache,
        request: &SourceRequest,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        if let Some(tree) = &request.tree {
            return Self::tree(tree);
        }
        let has_wishes = request.version.is_some() || request.mirror.is_some();
        if !has_wishes && host.find("apt-get").is_some() {
            let apt = Apt::new(host, progress, cache.root(), PURPOSE);
            match apt.newest(PACKAGE_PREFIX, "linux-source-VERSION", series_in) {
                Err(Error::PackageMissing { pattern }) => progress.phase(&format!(
                    "the distribution has no package {pattern}: taking Linux {PINNED_RELEASE} from its publisher"
                )),
                found => return found.map(Self::Package),
            }
        }
        let version = request.version.as_deref().unwrap_or(PINNED_RELEASE);
        let mirror = request.mirror.clone().unwrap_or_else(Mirror::publisher);
        Self::release(cache, version, &mirror, progress)
    }

    fn tree(path: &Path) -> Result<Self, Error> {
        let path = path.canonicalize().map_err(|error| Error::io("read", path, error))?;
        let mut hasher = Sha256::new();
        fingerprint(&path, &mut hasher)?;
        let fingerprint = base16ct::lower::encode_string(&hasher.finalize());
        Ok(Self::Tree { path, fingerprint })
    }

    fn release(
        cache: &Cache,
        version: &str,
        mirror: &Mirror,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let directory = series_directory(version)?;
        let file = archive_name(version);
        let list_location = mirror.locate(&directory, "sha256sums.asc");
        // Kept by where it came from: a cached kernel is found again without the network, and what one mirror states
        // says nothing about another's files.
        let list_key = files::sha256(list_location.to_string().as_bytes());
        let list = cache.downloads().join(format!("sha256sums-{}.asc", &list_key[..12]));
        let known = match mirror {
            Mirror::Url(_) => fs::read_to_string(&list).unwrap_or_default(),
            Mirror::Directory(_) => String::new(),
        };
        let sha256 = match download::checksum_in(&known, &file) {
            Some(sha256) => sha256.to_owned(),
            None => {
                progress.phase(&format!("fetching the publisher's checksums from {list_location}"));
                let text = list_location.read_text()?;
                let sha256 = download::checksum_in(&text, &file)
                    .ok_or_else(|| Error::ChecksumMissing {
                        file: file.clone(),
                        list: list_location.to_string(),
                    })?
                    .to_owned();
                files::create_directory(&cache.downloads())?;
                files::write(&list, text.as_bytes())?;
                sha256
            }
        };
        Ok(Self::Release {
            version: version.to_owned(),
            location: mirror.locate(&directory, &file),
            list,
            sha256,
        })
    }

    /// What goes into the hash of a kernel's inputs.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Release { version, sha256, .. } => format!("linux-{version}.tar.xz sha256:{sha256}"),
            Self::Package(package) => {
                format!("{} {} sha256:{}", package.name, package.version, package.sha256)
            }
            Self::Tree { path, fingerprint } => format!("{} fingerprint:{fingerprint}", path.display()),
        }
    }

    /// A short name, for people and for the entry of the cache.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Release { version, .. } => version.clone(),
            // "6.12.117-1~deb12u1": what follows the hyphen counts Debian's own revisions.
            Self::Package(package) => package.version.split('-').next().unwrap_or_default().to_owned(),
            Self::Tree { .. } => "tree".to_owned(),
        }
    }

    /// Gets the sources and gives the directory that they are in: below `bench`, or the user's own tree.
    pub(super) fn unpack(
        &self,
        host: &Host,
        cache: &Cache,
        bench: &Path,
        progress: &dyn Progress,
    ) -> Result<PathBuf, Error> {
        let archive = match self {
            Self::Tree { path, .. } => return Ok(path.clone()),
            Self::Release { version, location, list, sha256 } => {
                // Whoever unpacks has the workshop to himself: nobody is at work on these.
                for partial in download::partial_in(&cache.downloads())? {
                    files::remove(&partial)?;
                }
                let archive = cache.downloads().join(archive_name(version));
                progress.phase(&format!("fetching {location}"));
                let fetched = download::fetch_checked(location, &archive, sha256, &host.interrupt, progress);
                if let Err(error) = fetched {
                    if !matches!(error, Error::Interrupted) {
                        // Should the list be what is wrong, the next attempt gets another one.
                        files::remove(list)?;
                    }
                    return Err(error);
                }
                archive
            }
            Self::Package(package) => match installed_archive(host, package) {
                Some(archive) => archive,
                None => {
                    let apt = Apt::new(host, progress, cache.root(), PURPOSE);
                    let unpacked = apt.unpack(package, bench)?;
                    archive_in(&unpacked, &package.name)?.ok_or_else(|| Error::PackageMissing {
                        pattern: format!("{} with sources in it", package.name),
                    })?
                }
            },
        };
        progress.phase("unpacking the sources");
        let tree = bench.join("source");
        files::create_directory(&tree)?;
        build::check_unpacker(host, &archive)?;
        let mut command = host.build_command("tar", "to unpack the kernel's sources")?;
        command.env("XZ_DEFAULTS", "--threads=0").arg("--extract").arg("--strip-components=1");
        command.arg("--file").arg(&archive).arg("--directory").arg(&tree).current_dir(bench);
        host.output_of(command)?;
        Ok(tree)
    }
}

/// The archive of a package that is installed already, in the very same version.
fn installed_archive(host: &Host, package: &Package) -> Option<PathBuf> {
    let archive = archive_in(&host.root, &package.name).ok()??;
    let mut query = host.command("dpkg-query", PURPOSE).ok()?;
    query.args(["--show", "--showformat=${Version}", &package.name]);
    let version = host.output_of(query).ok()?;
    (version == package.version).then_some(archive)
}

/// The archive of a package of sources below the directory that it was unpacked to. Debian has `usr/src/NAME.tar.xz`,
/// Ubuntu `usr/src/NAME/NAME.tar.bz2`; how it is compressed is for `tar` to find out.
fn archive_in(root: &Path, package: &str) -> Result<Option<PathBuf>, Error> {
    let sources = root.join("usr/src");
    let prefix = format!("{package}.tar.");
    for directory in [&sources, &sources.join(package)] {
        let mut found = files::entries(directory)?;
        found.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.is_file() && name.starts_with(&prefix)
        });
        if let Some(archive) = found.into_iter().min() {
            return Ok(Some(archive));
        }
    }
    Ok(None)
}

/// Refuses what is no tree of Linux sources.
pub(super) fn check_tree(path: &Path) -> Result<(), Error> {
    let refuse = |reason: &str| Error::NotATree { path: path.to_owned(), reason: reason.to_owned() };
    if !path.is_dir() {
        return Err(refuse(if path.exists() { "it is no directory" } else { "there is no such directory" }));
    }
    for file in ["Makefile", "Kconfig"] {
        if !path.join(file).is_file() {
            return Err(refuse(&format!("it has no {file}")));
        }
    }
    Ok(())
}

/// The version in the name of a package of sources: "linux-source-6.12", without further words.
fn series_in(name: &str) -> Option<&str> {
    let series = name.strip_prefix(PACKAGE_PREFIX)?;
    series.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(series)
}

fn archive_name(version: &str) -> String {
    format!("linux-{version}.tar.xz")
}

/// The directory in which a mirror has a release: "v6.x".
fn series_directory(version: &str) -> Result<String, Error> {
    let is_number =
        |part: &str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = version.split('.').collect();
    match parts.as_slice() {
        [major, _] | [major, _, _] if parts.iter().all(|part| is_number(part)) => Ok(format!("v{major}.x")),
        _ => Err(Error::VersionInvalid { version: version.to_owned() }),
    }
}

/// Identifies a tree by the names, sizes and times of its files: to read a gigabyte at each run would take too long.
fn fingerprint(directory: &Path, hasher: &mut Sha256) -> Result<(), Error> {
    let failed = |error| Error::io("list", directory, error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        entries.push(entry.map_err(failed)?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| entry.file_name() != ".git") {
        let metadata = entry.metadata().map_err(failed)?;
        hasher.update(entry.file_name().as_bytes());
        if metadata.is_dir() {
            hasher.update(b"\0{");
            fingerprint(&entry.path(), hasher)?;
            hasher.update(b"}");
        } else {
            hasher.update(format!("\0{} {}\0", metadata.len(), files::modified_ns(&metadata)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_releases_are_taken() {
        for (version, directory) in [("6.12.117", "v6.x"), ("6.12", "v6.x"), ("5.10.1", "v5.x")] {
            assert_eq!(series_directory(version).unwrap(), directory);
        }
        for version in ["", "6", "6.12.1.1", "latest", "6.x", "6..1", "../6.1", "6.12-rc1", "6.12.12345"] {
            assert!(matches!(series_directory(version), Err(Error::VersionInvalid { .. })), "{version}");
        }
    }

    #[test]
    fn packages_of_sources_are_told_from_their_relatives() {
        let table =
            [("linux-source-6.12", Some("6.12")), ("linux-source", None), ("linux-source-6.12-rt", None)];
        for (name, series) in table {
            assert_eq!(series_in(name), series, "{name}");
        }
    }

    #[test]
    fn a_tree_is_another_one_when_a_file_of_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["Makefile", "Kconfig"] {
            files::write(&directory.path().join(file), b"1").unwrap();
        }
        let first = Origin::tree(directory.path()).unwrap();
        assert_eq!(Origin::tree(directory.path()).unwrap(), first);
        files::create_directory(&directory.path().join("kernel")).unwrap();
        let second = Origin::tree(directory.path()).unwrap();
        assert_ne!(second, first);
        files::write(&directory.path().join("Makefile"), b"12").unwrap();
        assert_ne!(Origin::tree(directory.path()).unwrap(), second);
    }

    #[test]
    fn a_directory_that_is_no_tree_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("Makefile");
        let refused = |path: &Path| check_tree(path).unwrap_err().to_string();
        assert!(refused(directory.path()).ends_with("is not a tree of Linux sources: it has no Makefile"));
        assert!(refused(&file).ends_with("there is no such directory"));
        files::write(&file, b"").unwrap();
        assert!(refused(&file).ends_with("it is no directory"));
        assert!(refused(directory.path()).ends_with("it has no Kconfig"));
    }

    #[test]
    fn an_archive_of_sources_is_found_however_it_is_compressed() {
        for name in ["x.tar.xz", "x.tar.zst", "x.tar.gz", "x.tar.bz2", "x/x.tar.bz2"] {
            let root = tempfile::tempdir().unwrap();
            assert_eq!(archive_in(root.path(), "x").unwrap(), None);
            let archive = root.path().join("usr/src").join(name);
            files::create_directory(archive.parent().unwrap()).unwrap();
            files::write(&root.path().join("usr/src/x-rt.tar.xz"), b"").unwrap();
            assert_eq!(archive_in(root.path(), "x").unwrap(), None);
            files::write(&archive, b"").unwrap();
            assert_eq!(archive_in(root.path(), "x").unwrap(), Some(archive));
        }
    }
}
