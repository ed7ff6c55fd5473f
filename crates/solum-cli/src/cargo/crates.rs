//! Which crates are in an executable, told by the build that made it. What else Cargo knows of a package (what its tests need, for
//! one) may not be downloaded on the next host, and the same inputs have to give the same bill of materials there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, Metadata, MetadataCommand};
use serde::Deserialize;

/// The index of crates that name no other place. So it ends in package ids and lock files, whatever crates are downloaded from.
const CRATES_IO: &str = "/crates.io-index";

/// A crate that a program is compiled from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub licence: Option<String>,
    /// It comes from crates.io, not from beside the program or elsewhere.
    pub is_from_crates_io: bool,
    /// It is the program's own.
    pub is_root: bool,
}

/// What an executable was built from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The manifest that Cargo was given.
    pub(super) manifest: PathBuf,
    /// The target triple.
    pub(super) target: String,
    /// The executable.
    pub(super) executable: PathBuf,
    /// The id of the package that the executable is of.
    pub(super) own: String,
    /// All that was compiled for it, for this target and for the host.
    pub(super) compiled: Vec<Compiled>,
}

/// Something that Cargo compiled, or found compiled.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    /// Its package, as a Package ID Specification.
    package: String,
    /// The package's manifest.
    manifest: PathBuf,
    /// What came of it.
    files: Vec<PathBuf>,
}

impl From<&Artifact> for Compiled {
    fn from(artifact: &Artifact) -> Self {
        Self {
            package: artifact.package_id.repr.clone(),
            manifest: artifact.manifest_path.clone().into(),
            files: artifact.filenames.iter().map(|file| file.clone().into()).collect(),
        }
    }
}

impl Origin {
    /// The crates that are in the executable: its own, and those that were compiled for it, but for what ran on this host.
    pub fn crates(&self) -> Vec<Crate> {
        let mut licences = Licences { directory: parent(&self.manifest), known: BTreeMap::new() };
        let directory = directory_of(&self.target);
        let places: Vec<PathBuf> = match licences.read(&self.manifest) {
            Some(metadata) => {
                let places = [Some(metadata.target_directory), metadata.build_directory];
                places.into_iter().flatten().map(|place| place.join(directory).into()).collect()
            }
            // Where the executable is, there is the rest.
            None => {
                let above = self.executable.ancestors().find(|path| path.ends_with(directory));
                above.map(Path::to_owned).into_iter().collect()
            }
        };
        let crates: BTreeSet<Crate> = linked(&self.compiled, &places)
            .map(|compiled| {
                let (name, version) = name_and_version(&compiled.package);
                Crate {
                    name: name.to_owned(),
                    version: version.to_owned(),
                    licence: licences.of(compiled),
                    is_from_crates_io: is_crates_io(&compiled.package),
                    is_root: compiled.package == self.own,
                }
            })
            .collect();
        crates.into_iter().collect()
    }
}

/// What lies below one of these places. Where a target is named, Cargo keeps apart what runs on the host: build scripts,
/// procedural macros, and all that they need (The Cargo Book, "Build Cache").
fn linked<'a>(compiled: &'a [Compiled], places: &[PathBuf]) -> impl Iterator<Item = &'a Compiled> {
    compiled
        .iter()
        .filter(move |one| one.files.iter().any(|file| places.iter().any(|place| file.starts_with(place))))
}

/// The directory that Cargo has for a target: its name, or that of the file that describes it.
fn directory_of(target: &str) -> &str {
    match target.strip_suffix(".json") {
        Some(file) => file.rsplit('/').next().unwrap_or(file),
        None => target,
    }
}

/// Both are in every package id: `SOURCE#NAME@VERSION`, or `SOURCE#VERSION` where the name ends the source (The Cargo Book,
/// "Package ID Specifications"); before Cargo 1.77 it was `NAME VERSION (SOURCE)`.
fn name_and_version(package: &str) -> (&str, &str) {
    let Some((source, end)) = package.rsplit_once('#') else {
        let mut words = package.split(' ');
        return (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    };
    end.split_once('@').unwrap_or_else(|| {
        let path = source.split('?').next().unwrap_or(source).trim_end_matches('/');
        let name = path.rsplit('/').next().unwrap_or(path);
        (name.strip_suffix(".git").unwrap_or(name), end)
    })
}

fn source(package: &str) -> &str {
    package.split_once(" (").map_or(package, |(_, source)| source)
}

fn is_crates_io(package: &str) -> bool {
    let source = source(package).split(['#', ')']).next().unwrap_or_default();
    source.starts_with("registry+") && source.ends_with(CRATES_IO)
}

/// The licences of packages by their manifests, each of which was there to be compiled.
struct Licences<'a> {
    /// Where Cargo is started: elsewhere it may be another toolchain's, which rustup would download.
    directory: &'a Path,
    known: BTreeMap<PathBuf, Option<String>>,
}

/// A manifest, as far as its licence. A published one says it itself; others may leave it to their workspace.
#[derive(Deserialize)]
struct Manifest {
    package: Licensed,
}

#[derive(Deserialize)]
struct Licensed {
    license: Option<toml::Value>,
}

impl Licences<'_> {
    fn of(&mut self, compiled: &Compiled) -> Option<String> {
        let manifest = &compiled.manifest;
        let is_published =
            ["registry+", "sparse+"].iter().any(|kind| source(&compiled.package).starts_with(kind));
        if !is_published && !self.known.contains_key(manifest) {
            self.read(manifest);
        }
        let own = || {
            let text = std::fs::read_to_string(manifest).ok()?;
            let manifest: Manifest = toml::from_str(&text).ok()?;
            Some(manifest.package.license?.as_str()?.to_owned())
        };
        // Cargo is asked about each once, even if it has no answer.
        self.known.entry(manifest.clone()).or_insert_with(own).clone()
    }

    /// Asks Cargo for the packages of a workspace. Nothing is resolved, so nothing has to be downloaded.
    fn read(&mut self, manifest: &Path) -> Option<Metadata> {
        let mut command = MetadataCommand::new();
        let metadata = command.manifest_path(manifest).current_dir(self.directory).no_deps().exec().ok()?;
        let packages = metadata.packages.iter();
        self.known.extend(packages.map(|one| (one.manifest_path.clone().into(), one.license.clone())));
        Some(metadata)
    }
}

fn parent(manifest: &Path) -> &Path {
    manifest.parent().unwrap_or(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_ids_have_names_and_versions() {
        for (package, name, version) in [
            ("registry+https://host.example/crates.io-index#a@1.0.0+b", "a", "1.0.0+b"),
            ("path+file:///home/a%20b#0.1.0", "a%20b", "0.1.0"),
            ("path+file:///home/b/#c@0.1.0", "c", "0.1.0"),
            ("git+https://host.example/a/b.git?rev=1#0.2.0", "b", "0.2.0"),
            ("a 1.0.0 (registry+https://host.example/crates.io-index)", "a", "1.0.0"),
        ] {
            assert_eq!(name_and_version(package), (name, version), "{package}");
        }
        assert!(is_crates_io("registry+https://host.example/crates.io-index#a@1.0.0"));
        assert!(is_crates_io("a 1.0.0 (registry+https://host.example/crates.io-index)"));
        assert!(!is_crates_io("registry+https://host.example/index#a@1.0.0"));
        assert!(!is_crates_io("git+https://host.example/crates.io-index#a@1.0.0"));
    }

    #[test]
    fn what_runs_on_the_host_is_not_linked() {
        let one = |package: &str, file: &str| Compiled {
            package: package.to_owned(),
            manifest: PathBuf::new(),
            files: vec![file.into()],
        };
        let compiled = [
            one("app", "/t/x86_64-unknown-linux-musl/release/app"),
            one("always", "/t/x86_64-unknown-linux-musl/release/deps/libalways.rlib"),
            one("elsewhere", "/b/x86_64-unknown-linux-musl/release/deps/libelsewhere.rlib"),
            one("tool", "/t/release/deps/libtool.rlib"),
            one("script", "/t/release/build/script-1/build-script-build"),
            one("derive", "/b/release/deps/libderive.so"),
        ];
        let places = ["/t", "/b"].map(|place| Path::new(place).join("x86_64-unknown-linux-musl"));
        let names: Vec<&str> = linked(&compiled, &places).map(|one| one.package.as_str()).collect();
        assert_eq!(names, ["app", "always", "elsewhere"]);
        assert_eq!(directory_of("of/my.own.json"), "my.own");
        assert_eq!(directory_of("thumbv8m.main-none-eabi"), "thumbv8m.main-none-eabi");
    }
}
