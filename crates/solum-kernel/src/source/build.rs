//! From a tree and a configuration to a kernel, by the kernel's own Makefile.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Profile;
use crate::cache::Member;
use crate::config::Configuration;
use crate::error::Error;
use crate::files;
use crate::image::{self, Format};
use crate::kernel::read_configuration;
use crate::progress::{Progress, Unit};
use crate::tools::Host;

/// How many files `make` reports for a profile alone; with further fragments, an estimate.
fn steps_expected(profile: Profile) -> u64 {
    match profile {
        Profile::Vm => 1900,
        Profile::Pc => 3300,
    }
}

/// Spares the compiler work and changes no code: no warnings, that nobody here would read, and no garbage collection,
/// which by default begins at 128 MB (gcc(1), `ggc-min-heapsize`, in kB).
const COMPILER_OPTIONS: &str = "-w --param=ggc-min-heapsize=1000000";

const PURPOSE: &str = "to build a kernel";

/// Programs that every build runs (Documentation/process/changes.rst), each with the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("make", "make"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("strip", "binutils"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
];

/// C headers that the programs of the build itself include; `objtool` reads ELF files.
const HEADERS: &[(&str, &str)] = &[("stdio.h", "libc6-dev"), ("gelf.h", "libelf-dev")];

/// The program that compresses the image, by the symbol that asks for it.
const COMPRESSORS: &[(&str, &str, &str)] = &[
    ("CONFIG_KERNEL_ZSTD", "zstd", "zstd"),
    ("CONFIG_KERNEL_LZ4", "lz4", "lz4"),
    ("CONFIG_KERNEL_LZO", "lzop", "lzop"),
    ("CONFIG_KERNEL_BZIP2", "bzip2", "bzip2"),
];

/// The program that `tar` unpacks an archive with, by the end of the archive's name.
const UNPACKERS: &[(&str, &str, &str)] = &[
    ("xz", "xz", "xz-utils"),
    ("lzma", "xz", "xz-utils"),
    ("zst", "zstd", "zstd"),
    ("gz", "gzip", "gzip"),
    ("bz2", "bzip2", "bzip2"),
    ("lz", "lzip", "lzip"),
];

/// Something that has to be installed before a kernel can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildTool {
    /// The name of a program, or of a C header.
    pub name: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
    /// Whether it is there.
    pub is_installed: bool,
}

impl BuildTool {
    /// Everything that builds with the profile `vm` need, in the order in which to tell of it.
    ///
    /// # Errors
    ///
    /// [`Error::Fragment`], should the profile be malformed.
    pub fn all(host: &Host) -> Result<Vec<Self>, Error> {
        Ok(tools(host, &Profile::Vm.configuration()?))
    }
}

fn tools(host: &Host, configuration: &Configuration) -> Vec<BuildTool> {
    let compressors = COMPRESSORS
        .iter()
        .filter(|(symbol, _, _)| configuration.get(symbol) == Some("y"))
        .map(|(_, program, package)| (*program, *package));
    let programs = PROGRAMS.iter().copied().chain(compressors);
    let programs =
        programs.map(|(name, package)| BuildTool { name, package, is_installed: host.find(name).is_some() });
    let headers = HEADERS.iter().map(|(name, package)| BuildTool {
        name,
        package,
        is_installed: has_header(host, name),
    });
    programs.chain(headers).collect()
}

/// Checks that everything a build runs is installed.
///
/// # Errors
///
/// [`Error::BuildToolsMissing`] with all that is missing, so that one command mends it.
pub(super) fn check_tools(host: &Host, configuration: &Configuration) -> Result<(), Error> {
    let mut missing = tools(host, configuration);
    missing.retain(|tool| !tool.is_installed);
    if missing.is_empty() { Ok(()) } else { Err(without(&missing)) }
}

/// Checks that what `tar` needs for this archive is installed.
///
/// # Errors
///
/// [`Error::BuildToolsMissing`].
pub(super) fn check_unpacker(host: &Host, archive: &Path) -> Result<(), Error> {
    let extension = archive.extension().unwrap_or_default();
    match UNPACKERS.iter().find(|(end, _, _)| extension == *end) {
        Some((_, name, package)) if host.find(name).is_none() => {
            Err(without(&[BuildTool { name, package, is_installed: false }]))
        }
        _ => Ok(()),
    }
}

fn without(missing: &[BuildTool]) -> Error {
    let mut packages: Vec<String> = missing.iter().map(|tool| tool.package.to_owned()).collect();
    packages.sort();
    packages.dedup();
    Error::BuildToolsMissing { tools: missing.iter().map(|tool| tool.name.to_owned()).collect(), packages }
}

fn has_header(host: &Host, header: &str) -> bool {
    let Ok(mut command) = host.build_command("gcc", PURPOSE) else { return false };
    command.args(["-E", "-x", "c", "-include", header, "/dev/null"]);
    host.output_of(command).is_ok()
}

/// The first line of what the compiler says of itself.
pub(super) fn compiler_version(host: &Host) -> Result<String, Error> {
    let mut command = host.build_command("gcc", PURPOSE)?;
    command.arg("--version");
    Ok(host.output_of(command)?.lines().next().unwrap_or_default().to_owned())
}

/// One build.
pub(super) struct Build<'run> {
    pub(super) host: &'run Host,
    pub(super) tree: &'run Path,
    /// Where everything is written.
    pub(super) bench: &'run Path,
    pub(super) profile: Profile,
    pub(super) jobs: Option<NonZeroUsize>,
    pub(super) progress: &'run dyn Progress,
}

/// What a build made, in the directory it was told.
pub(super) struct Built {
    pub(super) version: String,
    pub(super) image: Member,
    pub(super) vmlinux: Option<Member>,
    pub(super) config: PathBuf,
}

impl Build<'_> {
    /// Configures, checks, compiles, and puts the result into the directory `entry`.
    pub(super) fn run(&self, wanted: &Configuration, entry: &Path) -> Result<Built, Error> {
        self.progress.phase("configuring the kernel");
        let objects = self.bench.join("build");
        files::create_directory(&objects)?;
        self.configure(wanted, &objects)?;
        self.progress.phase("compiling the kernel");
        self.compile(&objects)?;
        files::create_directory(entry)?;
        self.collect(&objects, entry)
    }

    /// `allnoconfig` with our symbols as its presets (Documentation/kbuild/kconfig.rst, `KCONFIG_ALLCONFIG`): what
    /// nobody named is off, also where Kconfig's default is on.
    fn configure(&self, wanted: &Configuration, objects: &Path) -> Result<(), Error> {
        let fragment = self.bench.join("wanted.config");
        files::write(&fragment, wanted.to_string().as_bytes())?;
        let mut command = self.make(objects)?;
        command.env("KCONFIG_ALLCONFIG", &fragment).arg("allnoconfig");
        self.host.watch(command, |_| {})?;
        let symbols = wanted.unmet_in(&read_configuration(&objects.join(".config"))?);
        if symbols.is_empty() { Ok(()) } else { Err(Error::NotHonoured { symbols }) }
    }

    fn compile(&self, objects: &Path) -> Result<(), Error> {
        let mut command = self.make(objects)?;
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok());
        command.arg(format!("--jobs={}", jobs.map_or(1, NonZeroUsize::get))).arg("bzImage");
        let (mut done, expected) = (0, steps_expected(self.profile));
        self.host.watch(command, |line| {
            // "  CC      kernel/fork.o": two blanks, the tool, the file.
            if line.starts_with("  ") {
                done += 1;
                self.progress.progress(Unit::Steps, done, Some(expected.max(done)));
            }
        })
    }

    fn make(&self, objects: &Path) -> Result<Command, Error> {
        let mut command = self.host.build_command("make", PURPOSE)?;
        // The same inputs give the same kernel (Documentation/kbuild/reproducible-builds.rst).
        command
            .env("KBUILD_BUILD_TIMESTAMP", "Thu Jan 1 00:00:00 UTC 1970")
            .env("KBUILD_BUILD_USER", "solum")
            .env("KBUILD_BUILD_HOST", "solum")
            .env("KBUILD_BUILD_VERSION", "1")
            .env("KCFLAGS", COMPILER_OPTIONS)
            .current_dir(self.bench)
            .arg("-C")
            .arg(self.tree)
            .arg(format!("O={}", objects.display()))
            .arg("ARCH=x86_64");
        Ok(command)
    }

    fn collect(&self, objects: &Path, entry: &Path) -> Result<Built, Error> {
        files::copy(&objects.join("arch/x86/boot/bzImage"), &entry.join("bzImage"))?;
        files::copy(&objects.join(".config"), &entry.join("config"))?;
        let (inspection, _) = image::read(&entry.join("bzImage"))?;
        let mut strip = self.host.build_command("strip", PURPOSE)?;
        strip.arg("-o").arg(entry.join("vmlinux")).arg(objects.join("vmlinux")).current_dir(self.bench);
        self.host.output_of(strip)?;
        let (uncompressed, _) = image::read(&entry.join("vmlinux"))?;
        let vmlinux = match uncompressed.format {
            Format::Vmlinux { pvh: true } => Some(Member::of(entry, "vmlinux")?),
            _ => {
                files::remove(&entry.join("vmlinux"))?;
                None
            }
        };
        let image = Member::of(entry, "bzImage")?;
        Ok(Built { version: inspection.version, image, vmlinux, config: PathBuf::from("config") })
    }
}
