//! Packages of parts, fetched into the cache: `parts/PACKAGE-VERSION-SHA256/` with the files of the package that are parts, at their
//! places, and a `manifest.json`. An entry appears under its name by one rename, complete or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{PackageVersion, Parts, table};
use crate::apt::{Apt, compare_versions};
use crate::architecture::Architecture;
use crate::cache::Member;
use crate::error::Error;
use crate::files;
use crate::lock::Lock;

const MANIFEST: &str = "manifest.json";
const STAGING: &str = ".staging";

/// What the largest package takes at most, with what is in it.
const SPACE_NEEDED: u64 = 100_000_000;

/// What an entry says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    package: String,
    version: String,
    /// Of the package.
    sha256: String,
    /// Of the host that fetched it: packages of one name differ between architectures.
    architecture: Architecture,
    files: Vec<Member>,
}

/// A package that was fetched.
pub(super) struct Entry {
    pub(super) directory: PathBuf,
    manifest: Manifest,
}

impl Entry {
    pub(super) fn package(&self) -> PackageVersion {
        PackageVersion { name: self.manifest.package.clone(), version: self.manifest.version.clone() }
    }

    /// The hash of one of its files, as it was when it was fetched.
    pub(super) fn sha256_of(&self, path: &Path) -> Option<String> {
        let place = path.strip_prefix(&self.directory).ok()?;
        Some(self.manifest.files.iter().find(|member| member.path == place)?.sha256.clone())
    }

    /// The entry in a directory, if its files are still those that were fetched.
    fn read(directory: PathBuf) -> Option<Self> {
        let manifest: Manifest = serde_json::from_slice(&fs::read(directory.join(MANIFEST)).ok()?).ok()?;
        let is_whole = manifest.files.iter().all(|member| member.check(&directory).is_ok());
        is_whole.then_some(Self { directory, manifest })
    }
}

impl Parts<'_> {
    fn directory(&self) -> PathBuf {
        self.cache.root().join("parts")
    }

    /// The newest of a package's versions in the cache.
    pub(super) fn newest_fetched(&self, package: &str) -> Result<Option<Entry>, Error> {
        let entries = files::entries(&self.directory())?.into_iter().filter_map(Entry::read);
        let entries = entries.filter(|entry| {
            entry.manifest.package == package && Some(entry.manifest.architecture) == Architecture::of_host()
        });
        Ok(entries.max_by(|left, right| compare_versions(&left.manifest.version, &right.manifest.version)))
    }

    /// Fetches a package and keeps the parts in it.
    pub(super) fn fetch(&self, name: &'static str) -> Result<(), Error> {
        let directory = self.directory();
        let _lock = Lock::take(&directory.join(".lock"), || {
            self.progress.phase("waiting for another solum, which is fetching parts of images");
        })?;
        // Whoever held the lock until now may have fetched it.
        if self.newest_fetched(name)?.is_some() {
            return Ok(());
        }
        let staging = directory.join(STAGING);
        files::remove(&staging)?;
        files::create_directory(&staging)?;
        files::need_space(&staging, SPACE_NEEDED)?;
        let purpose = "to fetch what images are made of";
        let apt = Apt::new(self.host, self.progress, self.cache.root(), purpose);
        let package = apt.newest(name, name, |known| (known == name).then_some(known))?;
        let unpacked = apt.unpack(&package, &staging)?;
        let entry = staging.join("entry");
        files::create_directory(&entry)?;
        let mut members = Vec::new();
        for place in table::places_in(name) {
            let (from, to) = (unpacked.join(place), entry.join(place));
            // A link may lead to a file that is none of the parts.
            if from.is_file() {
                if let Some(parent) = to.parent() {
                    files::create_directory(parent)?;
                }
                files::copy(&from, &to)?;
                members.push(Member::of(&entry, place)?);
            }
        }
        let architecture = Architecture::of_host().unwrap_or(self.architecture);
        let label = format!("{name}-{}-{}", package.version, package.sha256.get(..8).unwrap_or_default());
        let manifest = Manifest {
            package: package.name,
            version: package.version,
            sha256: package.sha256,
            architecture,
            files: members,
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::other);
        let text = text.map_err(|error| Error::io("write", Path::new(MANIFEST), error))?;
        files::write(&entry.join(MANIFEST), &text)?;
        files::sync_file_system(&entry)?;
        // A version's epoch ends with a colon, which paths in lists (PATH, QEMU's options) do not bear.
        let place = directory.join(label.replace([':', '/', ','], "_"));
        files::remove(&place)?;
        files::rename(&entry, &place)?;
        files::remove(&staging)?;
        files::sync_file_system(&directory)
    }
}
