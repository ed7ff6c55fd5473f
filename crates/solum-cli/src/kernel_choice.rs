//! From `--kernel` to a kernel file and the modules a machine needs.

use std::path::Path;

use solum_image::Compression;
use solum_image::initramfs::Module;
use solum_kernel::parts::Parts;
use solum_kernel::{
    Architecture, Error, Host, Kernel, ModuleTree, Presence, Profile, Selection, SourceRequest,
};
use solum_spec::storage::{FileSystem, Kind, Source};

use crate::arguments::KernelChoice;
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::signals::{self, interruptible};
use crate::terminal::Bars;

/// Modules for every device that Solum's virtual machines can have.
pub const EVERY_DEVICE: [&str; 11] = [
    "virtio_pci",
    "virtio_mmio",
    "virtio_console",
    "virtio_rng",
    "virtio_net",
    "virtio_blk",
    "9pnet_virtio",
    "9p",
    "button",
    "evdev",
    "i6300esb",
];

/// Modules for every file system that a machine mounts.
const EVERY_FILE_SYSTEM: [&str; 8] =
    ["crc32c_generic", "ext4", "btrfs", "isofs", "vfat", "nls_cp437", "nls_iso8859-1", "nls_ascii"];

/// Modules for the file systems that a description names: any of them, where it leaves the kind open.
pub fn file_system_modules(file_systems: &[FileSystem]) -> Vec<&'static str> {
    // ext4 and libcrc32c ask for a checksum by what it is called, and no modprobe is in the machine to find who makes it.
    let mut names = Vec::new();
    for one in file_systems.iter().filter(|one| one.source != Source::Memory) {
        let is_it = |kinds: &[Kind]| one.kind.is_none_or(|kind| kinds.contains(&kind));
        for (kinds, modules) in [
            (&[Kind::Ext2, Kind::Ext3, Kind::Ext4][..], &["crc32c_generic", "ext4"][..]),
            (&[Kind::Btrfs], &["crc32c_generic", "btrfs"]),
            (&[Kind::Iso9660], &["isofs"]),
            // Its names are in the character sets that the kernel was configured with (CONFIG_FAT_DEFAULT_CODEPAGE).
            (&[Kind::Vfat], &["vfat", "nls_cp437", "nls_iso8859-1", "nls_ascii"]),
        ] {
            if is_it(kinds) {
                names.extend(modules);
            }
        }
    }
    names
}

/// The kernel that was chosen.
pub struct Chosen(pub(crate) Kernel);

/// Finds the kernel, fetching or building it if it must be.
pub fn choose(choice: &KernelChoice, cache: &Cache) -> Result<Chosen, Failure> {
    let selection = match (choice.kernel.as_deref(), &choice.kernel_version) {
        (Some(word), _) => Selection::parse(word),
        (None, Some(_)) => Selection::Source,
        (None, None) => Selection::Default,
    };
    if choice.kernel_version.is_some() && !matches!(selection, Selection::Source | Selection::SourcePc) {
        return Err(Failure::new(
            ExitCode::UnusableInput,
            "--kernel-version chooses what is built from source, but another kernel was asked for",
        )
        .hint("leave --kernel out, or write --kernel source".to_owned()));
    }
    let request = SourceRequest { version: choice.kernel_version.clone(), ..SourceRequest::default() };
    resolve(&selection, &request, cache).map(Chosen)
}

/// As [`choose`], for machines with screens. Where the choice is left open, it is a kernel that can show something: one built
/// here, else the distribution's for PCs.
pub fn choose_for_screens(choice: &KernelChoice, cache: &Cache) -> Result<Chosen, Failure> {
    if choice.kernel.is_some() || choice.kernel_version.is_some() {
        return choose(choice, cache);
    }
    let built = Kernel::newest_built(&solum_kernel::Cache::new(cache.root()), Profile::Vm);
    match built.map_err(|error| failed(&error))?.map(Chosen) {
        Some(built) if built.missing_drivers(true, true).is_empty() => Ok(built),
        _ => resolve(&Selection::DebianPc, &SourceRequest::default(), cache).map(Chosen),
    }
}

/// As [`choose`], for images that start on computers. Where the choice is left open, it is a `pc` kernel if one was built here,
/// else the distribution's for PCs, of which an image needs [`modules`](Chosen::modules_for), too.
pub fn choose_for_computers(choice: &KernelChoice, cache: &Cache) -> Result<Chosen, Failure> {
    if choice.kernel.is_some() || choice.kernel_version.is_some() {
        return choose(choice, cache);
    }
    resolve(&Selection::DefaultPc, &SourceRequest::default(), cache).map(Chosen)
}

/// The kernel that a word of the command line stands for.
pub fn named(word: &str, cache: &Cache) -> Result<Chosen, Failure> {
    resolve(&Selection::parse(word), &SourceRequest::default(), cache).map(Chosen)
}

/// Resolves a selection, showing what goes on.
pub fn resolve(selection: &Selection, request: &SourceRequest, cache: &Cache) -> Result<Kernel, Failure> {
    if let Selection::Path(path) = selection {
        is_there(path)?;
    }
    showing(|host, bars| selection.resolve(host, &solum_kernel::Cache::new(cache.root()), request, bars))
}

/// Finds parts of images, or fetches them, showing what goes on.
pub fn part<T>(
    cache: &Cache,
    architecture: Architecture,
    find: impl FnOnce(Parts<'_>) -> Result<T, Error>,
) -> Result<T, Failure> {
    let cache = solum_kernel::Cache::new(cache.root());
    showing(|host, progress| find(Parts { host, cache: &cache, architecture, progress }))
}

/// Does what takes long on this host: with bars, and so that a signal ends it.
pub fn showing<T>(task: impl FnOnce(&Host, &Bars) -> Result<T, Error>) -> Result<T, Failure> {
    let bars = Bars::new();
    let host = Host::current();
    let interruptible = interruptible(host.interrupt.clone()).map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("cannot listen to signals: {}", reason(&error)))
    })?;
    let done = task(&host, &bars);
    drop((bars, interruptible));
    // The signal may have come too late to stop anything but what follows.
    if host.interrupt.is_raised() {
        return Err(failed(&Error::Interrupted));
    }
    done.map_err(|error| failed(&error))
}

/// A word that is no provider is a path, and whoever mistyped either should hear of both.
fn is_there(path: &Path) -> Result<(), Failure> {
    let Err(error) = path.metadata() else { return Ok(()) };
    let shown = path.display();
    let message = match path.components().count() {
        1 if !path.is_absolute() => format!(
            "`{shown}` is not a kernel provider, and as the path of a kernel file it cannot be used: {}",
            reason(&error)
        ),
        _ => format!("the kernel file {shown} cannot be used: {}", reason(&error)),
    };
    Err(Failure::new(ExitCode::UnusableInput, message)
        .hint("give a provider (debian, source or host) or the path of a kernel file".to_owned()))
}

/// What a user is told when there is no kernel.
pub fn failed(error: &Error) -> Failure {
    let code = match error {
        Error::Io { source, .. } if crate::failure::is_about_the_name(source) => ExitCode::UnusableInput,
        Error::Io { .. } | Error::NoSpace { .. } => ExitCode::HostRefuses,
        Error::BuildToolsMissing { .. } | Error::ProgramMissing { .. } | Error::PartMissing { .. } => {
            ExitCode::ToolMissing
        }
        Error::Fragment { .. } | Error::EntryUnknown { .. } | Error::NotATree { .. } => {
            ExitCode::UnusableInput
        }
        Error::Interrupted => signals::asked().unwrap_or(ExitCode::Interrupted),
        _ => ExitCode::KernelUnavailable,
    };
    Failure::new(code, error).hint(error.hint())
}

impl Chosen {
    /// Its modules, where it has any.
    pub fn tree(&self) -> Option<&ModuleTree> {
        self.0.modules.as_ref()
    }

    /// The file to boot: uncompressed where there is one, because that is the faster way into the same kernel.
    pub fn image(&self) -> &Path {
        self.0.vmlinux.as_deref().unwrap_or(&self.0.image)
    }

    /// What it is, for people.
    pub fn version(&self) -> String {
        format!("Linux {} ({})", self.0.version, self.0.provider)
    }

    /// Its configuration, where that is known.
    pub fn config(&self) -> Option<String> {
        self.0.config.as_deref().and_then(|path| std::fs::read_to_string(path).ok())
    }

    /// These modules and what they need, in the order of loading. What the kernel does not have at all is left
    /// out: the machine will say which device it misses.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<Module>, Failure> {
        let Some(tree) = &self.0.modules else { return Ok(Vec::new()) };
        let loadable: Vec<&str> =
            names.iter().copied().filter(|name| tree.presence(name) == Some(Presence::Loadable)).collect();
        let modules = tree.closure(&loadable).map_err(|error| failed(&error))?;
        Ok(modules.into_iter().map(|module| Module { name: module.name, bytes: module.bytes }).collect())
    }

    /// Whether it has the 9p file system over virtio, built in or as modules; yes where that is not known.
    pub fn can_mount_shares(&self) -> bool {
        ["CONFIG_9P_FS", "CONFIG_NET_9P_VIRTIO"]
            .iter()
            .all(|symbol| !matches!(self.0.has(symbol), Ok(Some(false))))
    }

    /// The drivers of a virtual screen and a virtual keyboard that this kernel is known not to have.
    pub fn missing_drivers(&self, has_screen: bool, has_keys: bool) -> Vec<&'static str> {
        let wanted = [("CONFIG_DRM_VIRTIO_GPU", has_screen), ("CONFIG_VIRTIO_INPUT", has_keys)];
        let is_missing = |symbol| matches!(self.0.has(symbol), Ok(Some(false)));
        wanted
            .into_iter()
            .filter(|(symbol, wanted)| *wanted && is_missing(symbol))
            .map(|(symbol, _)| symbol)
            .collect()
    }

    /// The modules of everything that Solum's machines can have, so that an initramfs written for later boots anywhere.
    pub fn every_module(&self) -> Result<Vec<Module>, Failure> {
        self.modules(&[&EVERY_DEVICE[..], &EVERY_FILE_SYSTEM].concat())
    }

    /// How this kernel's initramfs is compressed: not at all where its configuration says that it cannot unpack.
    pub fn compression(&self) -> Compression {
        match self.0.has("CONFIG_RD_ZSTD") {
            Ok(Some(false)) => Compression::None,
            _ => Compression::Zstd,
        }
    }
}
