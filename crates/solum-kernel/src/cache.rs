//! Kernels that were fetched or built, kept for the next time.
//!
//! Below the directory that the caller names: `kernels/NAME/` with a `manifest.json` in each, and `downloads/`. An
//! entry is prepared in `kernels/.staging/PROVIDER/` and appears under its name by one rename, complete or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::download;
use crate::error::Error;
use crate::files;
use crate::kernel::{Kernel, Provider};
use crate::lock::Lock;
use crate::modules::ModuleTree;
use crate::parts::PackageVersion;
use crate::progress::Progress;

const MANIFEST: &str = "manifest.json";
const STAGING: &str = ".staging";
/// The staging directory of what is on its way out.
const REMOVED: &str = "removed";
/// The input that is the name of a distribution's package.
pub(crate) const PACKAGE: &str = "package";
/// The input that is its version.
pub(crate) const PACKAGE_VERSION: &str = "package version";

/// The directory in which kernels are kept.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// One kernel in the cache.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name: provider, version and the beginning of its hash.
    pub name: String,
    /// The directory that it occupies.
    pub directory: PathBuf,
    /// What it says of itself, or `None` where its manifest cannot be read.
    pub manifest: Option<Manifest>,
    /// When it was published.
    pub published: SystemTime,
    /// Bytes that it occupies.
    pub size: u64,
}

/// What an entry says of itself: its file `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which provider made it.
    pub provider: Provider,
    /// The kernel's release, as `uname -r` prints it.
    pub version: String,
    /// The processors it runs on.
    pub architecture: Architecture,
    /// SHA-256, in hexadecimal, of everything that it was made from.
    pub hash: String,
    /// The inputs behind that hash, for people to read.
    pub inputs: BTreeMap<String, String>,
    /// The bootable image.
    pub image: Member,
    /// The uncompressed image that can be entered by PVH.
    pub vmlinux: Option<Member>,
    /// The directory `lib/modules/RELEASE`, relative to the entry.
    pub modules: Option<PathBuf>,
    /// The kernel's configuration, relative to the entry.
    pub config: Option<PathBuf>,
}

/// A file of an entry, with what tells whether it is still the one that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Relative to the entry.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last modified, in nanoseconds since 1970. While this and the size stand, the file is taken to be
    /// unchanged, so that a run need not hash 60 MB.
    pub modified_ns: u64,
}

impl Manifest {
    /// The distribution's package that the kernel came in.
    fn package(&self) -> Option<PackageVersion> {
        let input = |name: &str| self.inputs.get(name).cloned();
        Some(PackageVersion { name: input(PACKAGE)?, version: input(PACKAGE_VERSION)? })
    }
}

impl Member {
    pub(crate) fn of(directory: &Path, path: &str) -> Result<Self, Error> {
        let file = directory.join(path);
        let metadata = fs::metadata(&file).map_err(|error| Error::io("read", &file, error))?;
        Ok(Self {
            path: PathBuf::from(path),
            sha256: files::sha256_of_file(&file)?,
            size: metadata.len(),
            modified_ns: files::modified_ns(&metadata),
        })
    }

    /// The file, if it is still the one that was published.
    pub(crate) fn check(&self, directory: &Path) -> Result<PathBuf, String> {
        let file = directory.join(&self.path);
        let metadata = fs::metadata(&file).map_err(|error| format!("{}: {error}", self.path.display()))?;
        if metadata.len() != self.size {
            return Err(format!("{} has {} of {} bytes", self.path.display(), metadata.len(), self.size));
        }
        if files::modified_ns(&metadata) == self.modified_ns {
            return Ok(file);
        }
        match files::sha256_of_file(&file) {
            Ok(sha256) if sha256 == self.sha256 => Ok(file),
            Ok(_) => Err(format!("{} was changed", self.path.display())),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Entry {
    /// The kernel of this entry, after a check that its files are those that were published.
    ///
    /// # Errors
    ///
    /// [`Error::EntryCorrupt`] with what is wrong.
    pub fn kernel(&self) -> Result<Kernel, Error> {
        let corrupt = |reason: String| Error::EntryCorrupt { name: self.name.clone(), reason };
        let manifest =
            self.manifest.as_ref().ok_or_else(|| corrupt(format!("it has no readable {MANIFEST}")))?;
        let image = manifest.image.check(&self.directory).map_err(corrupt)?;
        let vmlinux = manifest.vmlinux.as_ref().map(|member| member.check(&self.directory));
        let modules = manifest.modules.as_ref().map(|modules| {
            ModuleTree::open(&self.directory.join(modules), &manifest.version)
                .map_err(|error| corrupt(error.to_string()))
        });
        Ok(Kernel {
            provider: manifest.provider,
            version: manifest.version.clone(),
            architecture: manifest.architecture,
            image,
            vmlinux: vmlinux.transpose().map_err(corrupt)?,
            modules: modules.transpose()?,
            config: manifest.config.as_ref().map(|config| self.directory.join(config)),
            hash: manifest.hash.clone(),
            package: manifest.package(),
        })
    }
}

impl Cache {
    /// The cache below `root`, which need not exist yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The directory that was given to [`Cache::new`].
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn kernels(&self) -> PathBuf {
        self.root.join("kernels")
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Everything in the cache, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the directory cannot be listed; one that does not exist is empty.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let kernels = self.kernels();
        let failed = |error| Error::io("list", &kernels, error);
        let listing = match fs::read_dir(&kernels) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut entries = Vec::new();
        for found in listing {
            let found = found.map_err(failed)?;
            let name = found.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && found.path().is_dir() {
                entries.push(self.read(&name));
            }
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    /// The entry of that name.
    ///
    /// # Errors
    ///
    /// [`Error::EntryUnknown`] with the names there are.
    pub fn entry(&self, name: &str) -> Result<Entry, Error> {
        let entries = self.list()?;
        let known = entries.iter().map(|entry| entry.name.clone()).collect();
        entries
            .into_iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| Error::EntryUnknown { name: name.to_owned(), known })
    }

    /// Removes an entry and gives the bytes that it occupied.
    ///
    /// # Errors
    ///
    /// [`Error::EntryUnknown`], [`Error::Io`].
    pub fn remove(&self, name: &str) -> Result<u64, Error> {
        let entry = self.entry(name)?;
        // First out of sight by one rename, then file by file: no one meets half an entry.
        let _lock = Lock::take(&self.lock_path(REMOVED), || {})?;
        let staging = self.staging(REMOVED);
        files::create_directory(&staging)?;
        let grave = tempfile::tempdir_in(&staging).map_err(|error| Error::io("write to", &staging, error))?;
        files::rename(&entry.directory, &grave.path().join("entry"))?;
        files::remove(&staging)?;
        Ok(entry.size)
    }

    fn read(&self, name: &str) -> Entry {
        let directory = self.kernels().join(name);
        let manifest_path = directory.join(MANIFEST);
        let manifest = fs::read(&manifest_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let published = fs::metadata(&manifest_path).and_then(|metadata| metadata.modified());
        Entry {
            name: name.to_owned(),
            size: files::size_of_tree(&directory),
            directory,
            manifest,
            published: published.unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// The kernel of an entry that is expected to be there; `None` where it is not, or is damaged.
    pub(crate) fn find(&self, name: &str) -> Option<Kernel> {
        self.kernels().join(name).is_dir().then(|| self.read(name).kernel().ok())?
    }

    /// Removes what processes that died left unfinished, and gives the bytes that it occupied. What a living one is
    /// at work on stays: it holds a lock, which the kernel takes from the dead.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn sweep(&self) -> Result<u64, Error> {
        let mut freed = 0;
        for found in files::entries(&self.kernels().join(STAGING))? {
            let name = found.file_name();
            let name = name.and_then(|name| name.to_str()).unwrap_or_default();
            if files::entries(&found)?.is_empty() {
                continue;
            }
            if let Some(_lock) = Lock::try_take(&self.lock_path(name))? {
                freed += files::size_of_tree(&found);
                files::remove(&found)?;
            }
        }
        let downloads = download::partial_in(&self.downloads())?;
        if !downloads.is_empty()
            && let Some(_lock) = Lock::try_take(&self.lock_path(Provider::Source.name()))?
        {
            for file in downloads {
                freed += files::size_of_tree(&file);
                files::remove(&file)?;
            }
        }
        Ok(freed)
    }

    fn staging(&self, name: &str) -> PathBuf {
        self.kernels().join(STAGING).join(name)
    }

    /// The lock of whoever works in the staging directory of that name.
    fn lock_path(&self, name: &str) -> PathBuf {
        self.kernels().join(format!(".lock-{name}"))
    }

    /// Takes the one right to add kernels of a provider, waiting for another process to give it back, and clears what
    /// an interrupted one left behind. Whoever waits for the minutes of a build still gets a prebuilt kernel at once.
    pub(crate) fn open_workshop(
        &self,
        provider: Provider,
        progress: &dyn Progress,
    ) -> Result<Workshop, Error> {
        let lock = Lock::take(&self.lock_path(provider.name()), || {
            progress.phase("waiting for another solum, which is getting a kernel");
        })?;
        let staging = self.staging(provider.name());
        files::remove(&staging)?;
        files::create_directory(&staging)?;
        Ok(Workshop { kernels: self.kernels(), staging, _lock: lock })
    }
}

/// The right to add kernels of a provider; given back when dropped.
pub(crate) struct Workshop {
    kernels: PathBuf,
    staging: PathBuf,
    _lock: Lock,
}

impl Workshop {
    /// A fresh directory on the file system of the cache, which vanishes unless what is in it gets published.
    pub(crate) fn bench(&self) -> Result<tempfile::TempDir, Error> {
        tempfile::tempdir_in(&self.staging).map_err(|error| Error::io("write to", &self.staging, error))
    }

    /// Makes a prepared directory the entry `name`, replacing one that was there.
    pub(crate) fn publish(&self, prepared: &Path, name: &str, manifest: &Manifest) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(manifest)
            .map_err(|error| Error::io("write", Path::new(MANIFEST), io::Error::other(error)))?;
        text.push(b'\n');
        files::write(&prepared.join(MANIFEST), &text)?;
        files::sync_file_system(prepared)?;
        let place = self.kernels.join(name);
        if place.exists() {
            files::rename(&place, &self.bench()?.keep().join("replaced"))?;
        }
        files::rename(prepared, &place)?;
        files::sync_file_system(&self.kernels)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::image::tests::bzimage;
    use crate::progress::Silent;

    /// Publishes a small entry, as a provider does.
    pub(crate) fn publish(cache: &Cache, name: &str, provider: Provider, version: &str) {
        let workshop = cache.open_workshop(provider, &Silent).unwrap();
        let bench = workshop.bench().unwrap();
        let prepared = bench.path().join("entry");
        files::create_directory(&prepared).unwrap();
        files::write(&prepared.join("bzImage"), &bzimage(version, b"kernel")).unwrap();
        files::write(&prepared.join("config"), b"CONFIG_NET=y\n").unwrap();
        let manifest = Manifest {
            provider,
            version: version.into(),
            architecture: Architecture::X86_64,
            hash: "00".into(),
            inputs: BTreeMap::new(),
            image: Member::of(&prepared, "bzImage").unwrap(),
            vmlinux: None,
            modules: None,
            config: Some("config".into()),
        };
        workshop.publish(&prepared, name, &manifest).unwrap();
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        (directory, cache)
    }

    #[test]
    fn an_entry_is_found_listed_and_removed() {
        let (_directory, cache) = cache();
        assert!(cache.list().unwrap().is_empty());
        publish(&cache, "debian-6.12", Provider::Debian, "6.12");
        publish(&cache, "debian-6.1", Provider::Debian, "6.1");
        let names: Vec<_> = cache.list().unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["debian-6.1", "debian-6.12"]);
        assert_eq!(cache.find("debian-6.12").unwrap().version, "6.12");
        assert!(cache.remove("debian-6.12").unwrap() > 1000);
        assert!(cache.find("debian-6.12").is_none());
        let error = cache.remove("debian-6.12").unwrap_err();
        assert_eq!(error.to_string(), "there is no kernel debian-6.12 in the cache, which has debian-6.1");
    }

    #[test]
    fn nothing_outside_the_cache_can_be_removed() {
        let (directory, cache) = cache();
        publish(&cache, "debian-6.1", Provider::Debian, "6.1");
        for name in ["..", ".", ".staging", "../downloads", ""] {
            assert!(matches!(cache.remove(name), Err(Error::EntryUnknown { .. })), "{name}");
        }
        assert!(directory.path().join("kernels/debian-6.1").exists());
    }

    #[test]
    fn a_changed_or_shortened_image_is_noticed() {
        let (directory, cache) = cache();
        publish(&cache, "one", Provider::Source, "6.12");
        let image = directory.path().join("kernels/one/bzImage");
        let whole = fs::read(&image).unwrap();
        let mut changed = whole.clone();
        changed[0x300] = b'7';
        let table = [(changed, "bzImage was changed"), (whole[..9].to_vec(), "bzImage has 9 of 1056 bytes")];
        for (bytes, reason) in table {
            fs::write(&image, bytes).unwrap();
            let error = cache.entry("one").unwrap().kernel().unwrap_err();
            assert_eq!(error.to_string(), format!("the cached kernel one is damaged: {reason}"));
            assert!(cache.find("one").is_none());
        }
        fs::write(&image, whole).unwrap();
        assert!(cache.find("one").is_some(), "the same bytes with another time are the same kernel");
    }

    #[test]
    fn an_entry_without_manifest_is_shown_and_can_be_removed() {
        let (directory, cache) = cache();
        publish(&cache, "one", Provider::Source, "6.12");
        fs::write(directory.path().join("kernels/one/manifest.json"), "{").unwrap();
        let entry = cache.entry("one").unwrap();
        assert!(entry.manifest.is_none());
        assert!(matches!(entry.kernel(), Err(Error::EntryCorrupt { .. })));
        cache.remove("one").unwrap();
        assert!(cache.list().unwrap().is_empty());
    }

    #[test]
    fn publishing_again_replaces() {
        let (directory, cache) = cache();
        publish(&cache, "one", Provider::Source, "6.11");
        publish(&cache, "one", Provider::Source, "6.12");
        assert_eq!(cache.find("one").unwrap().version, "6.12");
        drop(cache.open_workshop(Provider::Source, &Silent).unwrap());
        assert_eq!(fs::read_dir(directory.path().join("kernels/.staging/source")).unwrap().count(), 0);
    }

    #[test]
    fn what_an_interrupted_process_left_is_cleared() {
        let (directory, cache) = cache();
        let left = directory.path().join("kernels/.staging/source/tmp1/tree");
        files::create_directory(&left).unwrap();
        drop(cache.open_workshop(Provider::Source, &Silent).unwrap());
        assert!(!left.exists());
    }

    #[test]
    fn what_the_dead_left_is_swept_and_what_the_living_do_stays() {
        let (directory, cache) = cache();
        assert_eq!(cache.sweep().unwrap(), 0);
        assert!(!directory.path().join("kernels").exists(), "sweeping makes nothing");
        publish(&cache, "one", Provider::Source, "6.12");
        let staging = directory.path().join("kernels/.staging");
        let left = |name: &str| {
            files::create_directory(&staging.join(name).join("tmp1")).unwrap();
            files::write(&staging.join(name).join("tmp1/object"), &[0; 1000]).unwrap();
        };
        let download = directory.path().join("downloads/.tmpA");
        files::create_directory(&cache.downloads()).unwrap();
        for name in ["source", "debian", "removed"] {
            left(name);
        }
        files::write(&download, &[0; 1000]).unwrap();
        files::write(&cache.downloads().join("linux-6.12.tar.xz"), &[0; 1000]).unwrap();
        assert_eq!(cache.sweep().unwrap(), 4000);
        assert!(!download.exists() && cache.find("one").is_some());
        assert!(cache.downloads().join("linux-6.12.tar.xz").exists());

        let living = cache.open_workshop(Provider::Source, &Silent).unwrap();
        left("source");
        left("debian");
        files::write(&download, &[0; 1000]).unwrap();
        assert_eq!(cache.sweep().unwrap(), 1000);
        assert!(staging.join("source/tmp1").exists() && download.exists());
        drop(living);
        assert_eq!(cache.sweep().unwrap(), 2000);
    }
}
