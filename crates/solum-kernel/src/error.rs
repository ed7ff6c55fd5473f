//! Everything that can go wrong on the way to a kernel, as sentences.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::architecture::Architecture;
use crate::config::Unmet;

/// Why there is no kernel. The text says what happened and why; [`Error::hint`] says what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    Io {
        /// What was attempted, as a verb phrase: "read", "create the directory".
        action: &'static str,
        /// The file it concerned.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file system is full, or would be before the task is done.
    NoSpace {
        /// A path on that file system.
        path: PathBuf,
        /// Bytes that the task needs, where that is known in advance.
        needed: Option<u64>,
        /// Bytes that there are.
        available: Option<u64>,
    },
    /// A file that was named as a kernel is none.
    NotAKernel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The running host keeps no kernel file where distributions put it.
    HostKernelMissing {
        /// The release of the running kernel, as `uname -r` prints it.
        release: String,
        /// The places that were looked at.
        searched: Vec<PathBuf>,
    },
    /// A file could not be had from a mirror.
    Mirror {
        /// The URL or path.
        location: String,
        /// Why, as a clause: "the server answered 404 Not Found".
        cause: String,
    },
    /// A download does not have the checksum that its publisher states, twice in a row.
    Checksum {
        /// The URL or path that it came from.
        location: String,
        /// The SHA-256 that the publisher states, in hexadecimal.
        expected: String,
        /// The SHA-256 that the file has.
        actual: String,
    },
    /// The publisher's list of checksums does not name the file.
    ChecksumMissing {
        /// The file that was looked for.
        file: String,
        /// The URL or path of the list.
        list: String,
    },
    /// A program that this task drives is not installed.
    ProgramMissing {
        /// The program's name.
        program: String,
        /// What it was wanted for, as a clause: "to fetch Debian's kernel package".
        purpose: &'static str,
    },
    /// Building a kernel needs tools that are not installed.
    BuildToolsMissing {
        /// The missing tools, each a program or a C header.
        tools: Vec<String>,
        /// The Debian packages that bring them.
        packages: Vec<String>,
    },
    /// A program ended with an error.
    CommandFailed {
        /// The command line, as a person would type it.
        command: String,
        /// How it ended: "exit status: 2".
        status: String,
        /// The last lines that it wrote.
        output: String,
    },
    /// A directory that was named as a tree of Linux sources is none.
    NotATree {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The task was told to stop, by [`Interrupt::raise`](crate::Interrupt::raise).
    Interrupted,
    /// A part of images is neither installed, nor could it be fetched.
    PartMissing {
        /// What it is: "EFI stub".
        part: &'static str,
        /// Why it could not be fetched, as a clause.
        cause: String,
        /// The Debian packages that have it.
        packages: Vec<String>,
    },
    /// The package manager knows no such package.
    PackageMissing {
        /// The names that would have done, as a pattern.
        pattern: String,
    },
    /// A line of a configuration fragment is none.
    Fragment {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The final configuration of the kernel differs from what was asked for.
    NotHonoured {
        /// Every symbol it concerns.
        symbols: Vec<Unmet>,
    },
    /// A kernel of that architecture cannot be had this way.
    ArchitectureUnsupported {
        /// The architecture.
        architecture: Architecture,
        /// What cannot be done with it.
        task: &'static str,
    },
    /// A version number that is none.
    VersionInvalid {
        /// What was given.
        version: String,
    },
    /// The kernel has no such module, neither as a file nor built in.
    ModuleMissing {
        /// The module's name.
        module: String,
        /// The kernel's release.
        version: String,
    },
    /// A module file cannot be read.
    ModuleCorrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The cache has no such entry.
    EntryUnknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// An entry of the cache does not hold what its manifest says.
    EntryCorrupt {
        /// The entry's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Makes the error of a failed file operation; a full file system gets its own.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path: path.to_owned(), needed: None, available: None }
            }
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }

    /// What to do about it, where something can be done: a sentence, usually with a command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSpace { .. } => "free some space there, or keep the cache elsewhere: SOLUM_CACHE=DIR; \
                 `solum kernel remove` deletes kernels that are no longer wanted"
                .into(),
            Self::NotAKernel { .. } => {
                "name a bzImage (distributions call it vmlinuz) or an uncompressed vmlinux".into()
            }
            Self::HostKernelMissing { .. } => "take the distribution's prebuilt kernel instead: --kernel debian".into(),
            Self::Mirror { .. } => {
                "check the version and the mirror: a mirror holds v6.x/linux-6.12.1.tar.xz with sha256sums.asc \
                 beside it; another one is chosen with --mirror URL or --mirror DIR"
                    .into()
            }
            Self::Checksum { .. } => "try again later, or use another mirror: --mirror URL".into(),
            Self::ChecksumMissing { .. } => "use a mirror that has the publisher's sha256sums.asc".into(),
            Self::ProgramMissing { .. } => {
                "this needs a Debian-like host; elsewhere, build a kernel (`solum kernel build`) or name one \
                 (--kernel FILE)"
                    .into()
            }
            Self::BuildToolsMissing { packages, .. } | Self::PartMissing { packages, .. } => {
                format!("on Debian: sudo apt-get install -y --no-install-recommends {}", packages.join(" "))
            }
            Self::NotATree { .. } => "name the directory into which a release of Linux was unpacked".into(),
            // The lists were refreshed before this was said.
            Self::PackageMissing { .. } => {
                "this distribution does not have it: build a kernel (`solum kernel build`) or name one (--kernel FILE)"
                    .into()
            }
            Self::NotHonoured { .. } => "a symbol is dropped when something that it depends on is off: name that too \
                 (`make menuconfig` shows it under /)"
                .into(),
            Self::VersionInvalid { .. } => "versions look like 6.12.117".into(),
            Self::ModuleMissing { .. } => "use a kernel that has it: `solum kernel build` makes one".into(),
            Self::ModuleCorrupt { .. } => {
                "if the file belongs to the cache, `solum kernel remove` its entry; it is fetched again".into()
            }
            Self::EntryUnknown { .. } => "`solum kernel list` shows them".into(),
            Self::EntryCorrupt { name, .. } => format!("solum kernel remove {name}"),
            Self::Fragment { .. } => "lines are CONFIG_NAME=y, CONFIG_NAME=n, or `# CONFIG_NAME is not set`".into(),
            Self::Io { .. }
            | Self::CommandFailed { .. }
            | Self::Interrupted
            | Self::ArchitectureUnsupported { .. } => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, source } => write!(out, "cannot {action} {}: {source}", path.display()),
            Self::NoSpace { path, needed, available } => write_no_space(out, path, needed.zip(*available)),
            Self::NotAKernel { path, reason } => write!(out, "{} is not a kernel: {reason}", path.display()),
            Self::HostKernelMissing { release, searched } => {
                let places: Vec<_> = searched.iter().map(|path| path.display().to_string()).collect();
                write!(
                    out,
                    "this host keeps no file of its kernel {release}: looked for {}",
                    places.join(" and ")
                )
            }
            Self::Mirror { location, cause } => write!(out, "cannot get {location}: {cause}"),
            Self::Checksum { location, expected, actual } => write!(
                out,
                "{location} is damaged or forged: its publisher states the SHA-256 {expected}, it has {actual}"
            ),
            Self::ChecksumMissing { file, list } => write!(out, "{list} states no checksum for {file}"),
            Self::ProgramMissing { program, purpose } => {
                write!(out, "the program {program} is needed {purpose}, and is not installed")
            }
            Self::BuildToolsMissing { tools, .. } => {
                write!(out, "building a kernel needs tools that are not installed: {}", tools.join(", "))
            }
            Self::CommandFailed { command, status, output } => {
                write!(out, "`{command}` failed ({status})")?;
                if output.is_empty() { Ok(()) } else { write!(out, ":\n{output}") }
            }
            Self::NotATree { path, reason } => {
                write!(out, "{} is not a tree of Linux sources: {reason}", path.display())
            }
            Self::Interrupted => write!(out, "getting a kernel was interrupted"),
            Self::PartMissing { part, cause, .. } => {
                write!(out, "the {part} is not installed, and {cause}")
            }
            Self::PackageMissing { pattern } => write!(out, "the package manager knows no package {pattern}"),
            Self::Fragment { path, line, reason } => write!(out, "{}, line {line}: {reason}", path.display()),
            Self::NotHonoured { symbols } => {
                let symbols: Vec<_> = symbols.iter().map(Unmet::to_string).collect();
                write!(out, "the kernel's configuration did not honour: {}", symbols.join("; "))
            }
            Self::ArchitectureUnsupported { architecture, task } => {
                write!(out, "cannot {task} for {architecture}")
            }
            Self::VersionInvalid { version } => {
                write!(out, "`{version}` is not the version of a Linux release")
            }
            Self::ModuleMissing { module, version } => {
                write!(
                    out,
                    "the kernel {version} has no module {module}, and does not have it built in either"
                )
            }
            Self::ModuleCorrupt { path, reason } => {
                write!(out, "the module {} cannot be used: {reason}", path.display())
            }
            Self::EntryUnknown { name, known } if known.is_empty() => {
                write!(out, "there is no kernel {name} in the cache, which is empty")
            }
            Self::EntryUnknown { name, known } => {
                write!(out, "there is no kernel {name} in the cache, which has {}", known.join(", "))
            }
            Self::EntryCorrupt { name, reason } => {
                write!(out, "the cached kernel {name} is damaged: {reason}")
            }
        }
    }
}

/// `amounts` are the bytes needed and those there are.
fn write_no_space(out: &mut fmt::Formatter<'_>, path: &Path, amounts: Option<(u64, u64)>) -> fmt::Result {
    write!(out, "there is no space left for {}", path.display())?;
    match amounts {
        Some((needed, available)) => {
            write!(out, ": {} MB needed, {} MB free", needed / 1_000_000, available / 1_000_000)
        }
        None => Ok(()),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
