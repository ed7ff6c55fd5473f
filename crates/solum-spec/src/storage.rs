//! File systems that a machine mounts, beside those that every machine has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, share};

/// Where a machine keeps what outlives it.
pub const PERMANENT: &str = "/perm";

/// The label of the data volume that an image brings.
pub const DATA_LABEL: &str = "solum-data";

/// Where a machine sees the medium that it was booted from, if that has content beside the system.
pub const ISO: &str = "/iso";

/// Where PID 1 keeps its own state below [`PERMANENT`]; nobody else reads it.
pub const PRIVATE: &str = "/perm/.solum";

/// The file below [`PERMANENT`] that says what failed last. Units have directories there, and none can have this name.
pub const LAST_PANIC: &str = "last-panic";

/// The program of a machine that checks and repairs its ext2, ext3 and ext4 file systems, if the image has it: one static
/// file.
pub const E2FSCK: &str = "/sbin/e2fsck";

/// The name of the partition that is this disk of a machine, where disks are partitions.
pub fn disk_partition(disk: &str) -> String {
    format!("solum-disk-{disk}")
}

/// A file system to be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where it is.
    pub source: Source,
    /// Where the machine sees it; absolute.
    pub target: String,
    /// Its kind, as Linux calls it; `None` is found out.
    pub kind: Option<Kind>,
    /// The machine may not write.
    pub read_only: bool,
    /// Further mount options (mount(8)), separated by commas.
    pub options: String,
    /// The program is not started without it. Otherwise a warning is all.
    pub required: bool,
    /// It is made as large as its partition, and that as large as its disk, when it is mounted.
    pub grow: bool,
}

/// Where a file system is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// In memory: nothing outlives the machine.
    Memory,
    /// On the partition or disk whose file system has this label.
    Label(String),
    /// On the partition or disk whose file system has this identifier.
    Uuid(String),
    /// On the partition with this name in its partition table (GPT).
    PartLabel(String),
    /// On the partition with this identifier in its partition table.
    PartUuid(String),
    /// On this block device.
    Device(String),
}

/// The kinds of file systems that are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The second extended file system.
    Ext2,
    /// The third.
    Ext3,
    /// The fourth.
    Ext4,
    /// Btrfs.
    Btrfs,
    /// That of CDs (ECMA-119).
    Iso9660,
    /// FAT with long names.
    Vfat,
    /// Memory with a limit.
    Tmpfs,
    /// Memory without a limit.
    Ramfs,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Ext2,
        Self::Ext3,
        Self::Ext4,
        Self::Btrfs,
        Self::Iso9660,
        Self::Vfat,
        Self::Tmpfs,
        Self::Ramfs,
    ];

    /// Its name in Linux.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Iso9660 => "iso9660",
            Self::Vfat => "vfat",
            Self::Tmpfs => "tmpfs",
            Self::Ramfs => "ramfs",
        }
    }

    /// Whether it forgets everything with the machine.
    pub const fn is_memory(self) -> bool {
        matches!(self, Self::Tmpfs | Self::Ramfs)
    }
}

/// The file system of a data volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "system", derive(schemars::JsonSchema), schemars(inline))]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// The fourth extended file system.
    #[default]
    Ext4,
    /// Btrfs, for kernels that have it.
    Btrfs,
}

impl DataKind {
    /// As the kind of any file system.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Ext4 => Kind::Ext4,
            Self::Btrfs => Kind::Btrfs,
        }
    }

    /// The size of a volume if nobody asks for another: Btrfs refuses to be smaller than 109 MiB.
    pub const fn default_size(self) -> ByteSize {
        match self {
            Self::Ext4 => ByteSize::mebibytes(64),
            Self::Btrfs => ByteSize::mebibytes(128),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Label(label) => write!(f, "LABEL={label}"),
            Self::Uuid(uuid) => write!(f, "UUID={uuid}"),
            Self::PartLabel(label) => write!(f, "PARTLABEL={label}"),
            Self::PartUuid(uuid) => write!(f, "PARTUUID={uuid}"),
            Self::Device(path) => f.write_str(path),
        }
    }
}

/// Why a text does not describe a file system; the text says what is wrong and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystemError(String);

impl fmt::Display for FileSystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FileSystemError {}

impl FileSystem {
    /// What is known of a file system by its source and place alone: it is needed, it may be written, and its kind is found
    /// out. `tmpfs` and `ramfs` are sources too.
    ///
    /// # Errors
    ///
    /// The source is of none of the forms, or the place is one that the machine itself needs.
    pub fn new(source: &str, target: &str) -> Result<Self, FileSystemError> {
        let target = share::place(target)
            .map_err(|reason| FileSystemError(format!("`{target}` {reason}; write another path")))?;
        let kind = source.parse::<Kind>().ok().filter(|kind| kind.is_memory());
        let source = if kind.is_some() { Source::Memory } else { source.parse()? };
        Ok(Self {
            source,
            target,
            kind,
            read_only: false,
            options: String::new(),
            required: true,
            grow: false,
        })
    }

    /// Takes options as they are written: `ro`, `rw`, `grow`, `nofail` and `type=KIND` have a meaning here, all others are the
    /// file system's own.
    ///
    /// # Errors
    ///
    /// A kind that is none, or that does not fit the source.
    pub fn with_options(mut self, options: &str) -> Result<Self, FileSystemError> {
        let mut own = Vec::new();
        for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                None if option == "ro" => self.read_only = true,
                None if option == "rw" => self.read_only = false,
                None if option == "grow" => self.grow = true,
                None if option == "nofail" => self.required = false,
                Some(("type", kind)) => self = self.with_kind(kind)?,
                _ => own.push(option),
            }
        }
        self.options = own.join(",");
        Ok(self)
    }

    /// Takes the kind as it is written.
    ///
    /// # Errors
    ///
    /// It is none, or does not fit the source.
    pub fn with_kind(mut self, text: &str) -> Result<Self, FileSystemError> {
        let kind: Kind = text.parse().map_err(|()| {
            let all = Kind::ALL.map(Kind::name).join(", ");
            FileSystemError(format!("`{text}` is no kind of file system; write one of {all}"))
        })?;
        if kind.is_memory() != (self.source == Source::Memory) {
            let why = format!(
                "{} cannot be of the kind {kind}; memory is `tmpfs` or `ramfs`, as the source",
                self.source
            );
            return Err(FileSystemError(why));
        }
        self.kind = Some(kind);
        Ok(self)
    }
}

impl FromStr for Source {
    type Err = FileSystemError;

    fn from_str(text: &str) -> Result<Self, FileSystemError> {
        let wrong = || {
            FileSystemError(format!(
                "`{text}` does not say where a file system is; write LABEL=…, UUID=…, PARTLABEL=…, PARTUUID=…, /dev/…, tmpfs \
                 or ramfs"
            ))
        };
        match text.split_once('=') {
            Some((_, "")) => Err(wrong()),
            Some(("LABEL", label)) => Ok(Self::Label(label.to_owned())),
            Some(("UUID", uuid)) => Ok(Self::Uuid(uuid.to_ascii_lowercase())),
            Some(("PARTLABEL", label)) => Ok(Self::PartLabel(label.to_owned())),
            Some(("PARTUUID", uuid)) => Ok(Self::PartUuid(uuid.to_ascii_lowercase())),
            None if text.strip_prefix("/dev/").is_some_and(|name| !name.is_empty()) => {
                Ok(Self::Device(text.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}

/// `SOURCE:/PATH[:OPTIONS]`, as on the command line.
impl FromStr for FileSystem {
    type Err = FileSystemError;

    fn from_str(text: &str) -> Result<Self, FileSystemError> {
        let without_path = || {
            FileSystemError(format!(
                "`{text}` has no `:/path` for the machine; write SOURCE:/path[:options], like LABEL=photos:/photos:ro"
            ))
        };
        let (source, rest) = text.split_once(":/").ok_or_else(without_path)?;
        let (target, options) = rest.split_once(':').unwrap_or((rest, ""));
        Self::new(source, &format!("/{target}"))?.with_options(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FileSystem, String> {
        text.parse().map_err(|error: FileSystemError| error.to_string())
    }

    #[test]
    fn sources_and_options_are_read() {
        let plain = read("LABEL=photos:/photos").unwrap();
        assert_eq!((plain.source, plain.target.as_str()), (Source::Label("photos".into()), "/photos"));
        assert!(plain.required && !plain.read_only && !plain.grow && plain.kind.is_none());
        let full = read("PARTUUID=AB-01:/data/:type=ext4,ro,nofail,grow,noatime,commit=30").unwrap();
        assert_eq!((full.source, full.target.as_str()), (Source::PartUuid("ab-01".into()), "/data"));
        assert!(!full.required && full.read_only && full.grow);
        assert_eq!((full.kind, full.options.as_str()), (Some(Kind::Ext4), "noatime,commit=30"));
        let memory = read("tmpfs:/cache:size=10M").unwrap();
        assert_eq!((memory.source, memory.kind), (Source::Memory, Some(Kind::Tmpfs)));
        assert_eq!(read("/dev/vda1:/x").unwrap().source, Source::Device("/dev/vda1".into()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("LABEL=a", "has no `:/path`"),
            ("LABEL=:/a", "does not say where a file system is"),
            ("photos:/a", "does not say where a file system is"),
            ("/dev/:/a", "does not say where a file system is"),
            ("LABEL=a:/", "would replace the machine's root directory"),
            ("LABEL=a:/proc/x", "lies where the kernel or PID 1 puts its own files"),
            ("LABEL=a:/a:type=zfs", "is no kind of file system"),
            ("LABEL=a:/a:type=tmpfs", "cannot be of the kind tmpfs"),
            ("tmpfs:/a:type=ext4", "cannot be of the kind ext4"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
