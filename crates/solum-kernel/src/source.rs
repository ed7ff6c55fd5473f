//! The provider `source`: a kernel built here, from a release, from the distribution's sources, or from a tree.

mod build;
mod origin;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::architecture::Architecture;
use crate::cache::{Cache, Entry, Manifest};
use crate::config::Configuration;
use crate::download::Mirror;
use crate::error::Error;
use crate::files;
use crate::kernel::{Kernel, Provider, read_configuration};
use crate::progress::Progress;
use crate::tools::Host;
use build::Build;
pub use build::BuildTool;
use origin::Origin;

/// The release that is built where nothing says otherwise and the distribution offers no sources.
pub const PINNED_RELEASE: &str = "6.12.117";

/// Grows with every change here that gives another kernel from the same inputs.
const RECIPE: u32 = 1;

/// What unpacked sources and the objects of a build take at most.
const SPACE_NEEDED: u64 = 3_000_000_000;

/// What a kernel is for: the configuration that a build begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Virtual machines: QEMU's PC and microvm machines, Firecracker.
    #[default]
    Vm,
    /// Computers, and the virtual machines of clouds: what the profile `vm` has, and the drivers of common hardware.
    Pc,
}

impl Profile {
    /// The word that the command line has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Pc => "pc",
        }
    }

    /// Its configuration fragments, with comments; what a later one says stands.
    fn fragments(self) -> &'static [(&'static str, &'static str)] {
        const VM: (&str, &str) = ("vm", include_str!("../profiles/vm.config"));
        const PC: (&str, &str) = ("pc", include_str!("../profiles/pc.config"));
        match self {
            Self::Vm => &[VM],
            Self::Pc => &[VM, PC],
        }
    }

    fn configuration(self) -> Result<Configuration, Error> {
        let mut merged = Configuration::default();
        for (name, text) in self.fragments() {
            let fragment = Configuration::parse(text).map_err(|error| Error::Fragment {
                path: PathBuf::from(format!("profile {name}")),
                line: error.line,
                reason: error.reason,
            })?;
            merged.merge(&fragment);
        }
        Ok(merged)
    }

    /// The SHA-256 of its symbols; comments and order do not count.
    fn hash(self) -> Result<String, Error> {
        Ok(files::sha256(self.configuration()?.to_string().as_bytes()))
    }
}

/// What to build, and from what. The default is the profile `vm` from the distribution's sources, or else from
/// [`PINNED_RELEASE`].
#[derive(Clone, Debug, Default)]
pub struct SourceRequest {
    /// The configuration to begin with.
    pub profile: Profile,
    /// A release of Linux ("6.12.117").
    pub version: Option<String>,
    /// Where releases are fetched from, if not from their publisher.
    pub mirror: Option<Mirror>,
    /// A tree to build, instead of a release. It must be clean, and is not written to.
    pub tree: Option<PathBuf>,
    /// Files with further configuration; later ones win over earlier ones, and all over the profile.
    pub fragments: Vec<PathBuf>,
    /// How many compilers to run at once; else one for each processor.
    pub jobs: Option<NonZeroUsize>,
}

impl SourceRequest {
    fn configuration(&self) -> Result<Configuration, Error> {
        let mut merged = self.profile.configuration()?;
        for path in &self.fragments {
            let fragment = read_configuration(path)?;
            if let Some(symbol) = fragment.first_module() {
                let reason =
                    format!("{symbol}=m asks for a module, but these kernels have none: write {symbol}=y");
                let line =
                    files::read_text(path)?.lines().position(|line| line.contains(symbol)).unwrap_or(0) + 1;
                return Err(Error::Fragment { path: path.clone(), line, reason });
            }
            merged.merge(&fragment);
        }
        Ok(merged)
    }
}

impl Kernel {
    /// A kernel built from source: the cached one if there is one of the very same inputs, else a new one.
    ///
    /// # Errors
    ///
    /// Nearly every [`Error`]; among them [`Error::NotATree`], [`Error::BuildToolsMissing`], [`Error::Mirror`], [`Error::Checksum`],
    /// [`Error::NotHonoured`] with every symbol of the configuration that Kconfig dropped, and
    /// [`Error::CommandFailed`] with the compiler's last lines. After any of them the cache is as it was.
    pub fn from_source(
        host: &Host,
        cache: &Cache,
        request: &SourceRequest,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let architecture = Architecture::X86_64;
        if let Some(other) = Architecture::of_host().filter(|host| *host != architecture) {
            return Err(Error::ArchitectureUnsupported { architecture: other, task: "build a kernel" });
        }
        let configuration = request.configuration()?;
        if let Some(tree) = &request.tree {
            origin::check_tree(tree)?;
        }
        build::check_tools(host, &configuration)?;
        let compiler = build::compiler_version(host)?;
        let origin = Origin::resolve(host, cache, request, progress)?;
        let inputs = BTreeMap::from([
            ("architecture".to_owned(), architecture.to_string()),
            ("compiler".to_owned(), compiler),
            ("configuration".to_owned(), files::sha256(configuration.to_string().as_bytes())),
            ("profile".to_owned(), request.profile.name().to_owned()),
            ("profile configuration".to_owned(), request.profile.hash()?),
            ("recipe".to_owned(), RECIPE.to_string()),
            ("source".to_owned(), origin.identity()),
        ]);
        let hash = hash_of(&inputs);
        let name = format!("source-{}-{}-{}", request.profile.name(), origin.label(), &hash[..12]);
        if let Some(kernel) = cache.find(&name) {
            return Ok(kernel);
        }
        let workshop = cache.open_workshop(Provider::Source, progress)?;
        // Whoever held the workshop until now may have built it.
        if let Some(kernel) = cache.find(&name) {
            return Ok(kernel);
        }
        let bench = workshop.bench()?;
        files::need_space(bench.path(), SPACE_NEEDED)?;
        let tree = origin.unpack(host, cache, bench.path(), progress)?;
        let entry = bench.path().join("entry");
        let (profile, jobs) = (request.profile, request.jobs);
        let built = Build { host, tree: &tree, bench: bench.path(), profile, jobs, progress }
            .run(&configuration, &entry)?;
        let manifest = Manifest {
            provider: Provider::Source,
            version: built.version,
            architecture,
            hash,
            inputs,
            image: built.image,
            vmlinux: built.vmlinux,
            modules: None,
            config: Some(built.config),
        };
        workshop.publish(&entry, &name, &manifest)?;
        cache.entry(&name)?.kernel()
    }

    /// Whether the cache has a kernel that was built with the profile `vm`, but none with this version's profile: an older Solum built it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the cache cannot be listed.
    pub fn is_built_for_older_profile(cache: &Cache) -> Result<bool, Error> {
        let is_built = |entry: &Entry| {
            entry.manifest.as_ref().is_some_and(|manifest| {
                manifest.provider == Provider::Source
                    && manifest.inputs.get("profile").map(String::as_str) == Some(Profile::Vm.name())
            })
        };
        Ok(Self::newest_built(cache, Profile::Vm)?.is_none() && cache.list()?.iter().any(is_built))
    }

    /// The newest kernel that was built with this version of a profile, if the cache has one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the cache cannot be listed.
    pub fn newest_built(cache: &Cache, profile: Profile) -> Result<Option<Self>, Error> {
        let profile = profile.hash()?;
        let architecture = Architecture::of_host();
        let mut entries = cache.list()?;
        entries.retain(|entry| {
            entry.manifest.as_ref().is_some_and(|manifest| {
                manifest.provider == Provider::Source
                    && Some(manifest.architecture) == architecture
                    && manifest.inputs.get("profile configuration") == Some(&profile)
            })
        });
        entries.sort_by_key(|entry| entry.published);
        Ok(entries.iter().rev().find_map(|entry| entry.kernel().ok()))
    }
}

/// One hash over names and values, each preceded by its length, so that no two sets of inputs run together.
fn hash_of(inputs: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in inputs {
        text.push_str(&format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    files::sha256(text.as_bytes())
}

#[cfg(test)]
mod tests;
