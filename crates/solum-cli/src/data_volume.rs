//! The file system of a data volume, made as a file by an ordinary user: without loop devices, and without mounting it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mkext4::sink::FileSink;
use mkext4::{Error, FsBuilder, InodeCount, InodeHandle, Layout, Meta, Options, ROOT};
use solum_image::gpt::Guid;
use solum_spec::storage::{DATA_LABEL, DataKind};

use crate::content::{self, Item, Kind};
use crate::driven::Tool;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

const MKFS_BTRFS: Tool =
    Tool { program: "mkfs.btrfs", package: "btrfs-progs", purpose: "to make a data volume with btrfs" };

const BLOCK: u64 = 4096;
/// Blocks that one block of bits accounts for.
const GROUP: u64 = 8 * BLOCK * BLOCK;
/// Inodes of a group: one for each 16 KiB, as mke2fs has it. A volume that grows gets groups like its first, so that one has as
/// many even where the volume is small.
const GROUP_INODES: u64 = GROUP / (16 << 10);
/// Below, the tables of inodes would be a larger part than they are worth.
const SMALL: u64 = 32 << 20;
const MEBIBYTE: u64 = 1 << 20;

/// What a data volume shall be.
#[derive(Clone, Copy, Debug)]
pub struct DataVolume<'a> {
    /// Its file system.
    pub kind: DataKind,
    /// Its size in bytes.
    pub size: u64,
    /// What it holds from the start.
    pub content: Option<&'a Path>,
    /// User and group of everything in it.
    pub owner: (u32, u32),
    /// Its id (`UUID=`).
    pub id: Guid,
    /// The time of everything in it, in seconds since 1970.
    pub epoch_s: u64,
}

/// The files whose content is filled in when the layout is written.
type Files<'i> = Vec<(InodeHandle, &'i Item)>;

impl DataVolume<'_> {
    /// Makes the file system in a file, which is then as long as the volume, with holes where it is empty.
    ///
    /// An ext4 volume is the same to the byte each time. A btrfs volume is not: mkfs.btrfs draws the id of the device by
    /// lot, and writes the time.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let items = self.content.map(content::scan).transpose()?.unwrap_or_default();
        match self.kind {
            DataKind::Ext4 => self.ext4(&items, path),
            DataKind::Btrfs => self.btrfs(&items, path),
        }
    }

    fn ext4(&self, items: &[Item], path: &Path) -> Result<(), Failure> {
        self.check_most()?;
        let size = self.size / BLOCK * BLOCK;
        let (layout, files) = match self.ext4_layout(items, size) {
            Ok(made) => made,
            Err(Refused::Name(failure)) => return Err(failure),
            Err(Refused::Size(why)) => return Err(self.too_large(items, &why)),
        };
        let refused = |error: Error| match error {
            Error::Io(error) => Failure::file("cannot write", path, &error),
            error => Failure::new(ExitCode::HostRefuses, format_args!("the data volume failed: {error}")),
        };
        let sink = FileSink::create(path, layout.image_len()).map_err(|error| refused(error.into()))?;
        let mut writer = layout.writer(sink).map_err(refused)?;
        for (handle, item) in files {
            let unreadable = |error: std::io::Error| Failure::file("cannot read", &item.source, &error);
            let mut file = File::open(&item.source).map_err(unreadable)?;
            writer.fill(handle, &mut file).map_err(|error| {
                let message = format_args!("{} could not be copied: {error}", item.source.display());
                Failure::new(ExitCode::UnusableInput, message)
                    .hint("does something write to it? build again when it is at rest".to_owned())
            })?;
        }
        writer.finish().map_err(refused)?;
        Ok(())
    }

    /// Lays out a volume of a size, and says which files have to be filled in.
    fn ext4_layout<'i>(&self, items: &'i [Item], size: u64) -> Result<(Layout, Files<'i>), Refused> {
        // The file system's own time stamps have 32 bits.
        let epoch = self.epoch_s.min(u32::MAX.into()) as i64;
        let mut options = Options::new(size, self.id.0, epoch);
        options.label = Some(DATA_LABEL.to_owned());
        if size >= SMALL {
            let inodes = size.div_ceil(GROUP).saturating_mul(GROUP_INODES);
            options.inodes = u32::try_from(inodes).map_or(InodeCount::Auto, InodeCount::Exact);
        }
        let meta = |permissions| Meta::new(permissions, self.owner.0, self.owner.1, (epoch, 0));
        let size_refused = |error: Error| Refused::Size(error.to_string());
        let mut builder = FsBuilder::new(options).map_err(size_refused)?;
        builder.set_meta(ROOT, meta(0o755)).map_err(size_refused)?;
        let mut handles: Vec<InodeHandle> = Vec::with_capacity(items.len());
        let mut directories = std::collections::HashMap::from([(Path::new(""), ROOT)]);
        let mut files = Vec::new();
        for item in items {
            let parent =
                item.path.parent().and_then(|parent| directories.get(parent)).copied().unwrap_or(ROOT);
            let name = utf8(item.path.file_name().map(Path::new).unwrap_or(&item.path), item)?;
            let made = match &item.kind {
                Kind::Directory => builder.mkdir(parent, name, meta(item.permissions)),
                Kind::File(length) => builder.file(parent, name, meta(item.permissions), *length),
                Kind::SameAs(first) => {
                    builder.hardlink(parent, name, handles[*first]).map(|()| handles[*first])
                }
                Kind::Link(target) => builder.symlink(parent, name, utf8(target, item)?, meta(0o777)),
            };
            let handle = made.map_err(|error| {
                let message =
                    format_args!("{} cannot be in an ext4 file system: {error}", item.source.display());
                Refused::Name(Failure::new(ExitCode::UnusableInput, message))
            })?;
            handles.push(handle);
            match item.kind {
                Kind::Directory => drop(directories.insert(&item.path, handle)),
                Kind::File(length) if length > 0 => files.push((handle, item)),
                _ => {}
            }
        }
        let layout = builder.seal().map_err(size_refused)?;
        Ok((layout, files))
    }

    /// Blocks are counted in 32 bits here.
    fn check_most(&self) -> Result<(), Failure> {
        const MOST: u64 = BLOCK << 32;
        if self.size < MOST {
            return Ok(());
        }
        let message =
            format!("a data volume of {} is too large: it has to be smaller than 16 TiB", shown(self.size));
        Err(Failure::new(ExitCode::UnusableInput, message).hint(
            "take a smaller --data-size; the first boot makes it as large as its disk permits".to_owned(),
        ))
    }

    /// The content does not fit. Which size would do is found by trying.
    fn too_large(&self, items: &[Item], why: &str) -> Failure {
        let content = content::bytes(items, BLOCK);
        let mut needed = content.next_multiple_of(MEBIBYTE).max(MEBIBYTE);
        while needed < 1 << 44 && self.ext4_layout(items, needed).is_err() {
            needed += (needed / 16).next_multiple_of(MEBIBYTE);
        }
        let given = shown(self.size);
        let message = match self.content {
            Some(content) => format!(
                "the content of {} does not fit into a data volume of {given}: it needs {}",
                content.display(),
                shown(needed)
            ),
            None => format!("a data volume of {given} is too small for ext4: {why}"),
        };
        Failure::new(ExitCode::UnusableInput, message)
            .hint(format!("give the data volume {} or more with --data-size, or with `data.size` in solum.toml; it grows with its disk", shown(needed)))
    }

    fn btrfs(&self, items: &[Item], path: &Path) -> Result<(), Failure> {
        let needed = content::bytes(items, BLOCK).next_multiple_of(MEBIBYTE);
        if needed >= self.size {
            let given = shown(self.size);
            let message =
                format_args!("{} of content do not fit into a data volume of {given}", shown(needed));
            return Err(Failure::new(ExitCode::UnusableInput, message)
                .hint(format!("give the data volume {} or more", shown(needed + needed / 2))));
        }
        self.check_owners(items)?;
        let command = MKFS_BTRFS.command()?;
        let made = File::create(path).and_then(|file| file.set_len(self.size));
        made.map_err(|error| Failure::file("cannot write", path, &error))?;
        let mut command = command;
        command.args(["--quiet", "--force", "--label", DATA_LABEL, "--uuid", &self.id.to_string()]);
        if let Some(content) = self.content {
            command.arg("--rootdir").arg(content);
        }
        command.arg(path).env("SOURCE_DATE_EPOCH", self.epoch_s.to_string());
        MKFS_BTRFS.run(command)
    }

    /// mkfs.btrfs copies the owners of files, too, and only root could give them others before.
    fn check_owners(&self, items: &[Item]) -> Result<(), Failure> {
        let (user, group) = self.owner;
        for item in items {
            let metadata = fs::symlink_metadata(&item.source)
                .map_err(|error| Failure::file("cannot read", &item.source, &error))?;
            if (metadata.uid(), metadata.gid()) != self.owner {
                let message = format_args!(
                    "{} belongs to {}:{}, and in a btrfs volume it would not belong to {user}:{group}",
                    item.source.display(),
                    metadata.uid(),
                    metadata.gid()
                );
                let hint = format!("take ext4, or type: chown -R {user}:{group} DIRECTORY");
                return Err(Failure::new(ExitCode::UnusableInput, message).hint(hint));
            }
        }
        Ok(())
    }
}

enum Refused {
    /// Something in it cannot be expressed.
    Name(Failure),
    /// It does not fit.
    Size(String),
}

fn utf8<'a>(text: &'a Path, item: &Item) -> Result<&'a str, Refused> {
    text.to_str().ok_or_else(|| {
        let message = format_args!("{} has a name or a target that is not UTF-8", item.source.display());
        let failure = Failure::new(ExitCode::UnusableInput, message).hint("rename it".to_owned());
        Refused::Name(failure)
    })
}

fn shown(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(MEBIBYTE))
}

#[cfg(test)]
mod tests;
