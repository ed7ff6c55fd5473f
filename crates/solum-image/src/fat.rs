//! FAT file systems (Microsoft, FAT: General Overview of On-Disk Format, 1.03), as firmware reads them: written once and
//! whole, and read.
//!
//! Every cluster chain is contiguous, every time is the one given, and what is free is a hole.

mod name;
mod reader;

use std::collections::BTreeMap;
use std::fmt;

use crate::sparse::Sparse;
use crate::sparse::number::put;

pub use reader::{Entry, Fat};

const SECTOR: u64 = 512;
const ENTRY_LENGTH: usize = 32;
/// Entries of the root directory of FAT16, which lies in front of the clusters. Some firmware expects just this number.
const ROOT_ENTRIES: u64 = 512;
/// Below so many clusters a volume is FAT12, and from the other number on FAT32. Drivers differ by a few at the borders, so the
/// document advises to stay 16 away.
const FAT16_CLUSTERS: u64 = 4085;
const FAT32_CLUSTERS: u64 = 65525;
const MARGIN: u64 = 16;
const LARGEST_CLUSTER_SECTORS: u64 = 64;
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
/// The last cluster of a chain.
const END_OF_CHAIN: u32 = 0x0fff_ffff;
/// A hard disk.
const MEDIA: u8 = 0xf8;

/// How large a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As small as its content permits, in units of 2 KiB, the block of a CD.
    Smallest,
    /// This many bytes, FAT32 where that is possible.
    Exactly(u64),
}

/// What a volume is, beside its files.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How large it is.
    pub size: Size,
    /// Its label, 11 characters of what short names are made of.
    pub label: &'a str,
    /// Its serial number (`UUID=1234-ABCD` in Linux).
    pub id: u32,
    /// The time stamp of all files, in seconds since 1970. The format begins in 1980.
    pub epoch_s: u64,
}

/// Why there can be no such volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FatError {
    /// A name that FAT does not have, with the path.
    BadName(String),
    /// Two files have this path; upper and lower case are the same.
    Collision(String),
    /// The format cannot express files of 4 GiB or more.
    FileTooLarge(String),
    /// The label is not one.
    BadLabel(String),
    /// The files do not fit.
    Full {
        /// Bytes of content, in whole clusters.
        needed: u64,
        /// Bytes that the volume has for content.
        given: u64,
    },
    /// No FAT file system has this size.
    BadSize(u64),
}

impl fmt::Display for FatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(path) => write!(f, "`{path}` cannot be a path in a FAT file system"),
            Self::Collision(path) => {
                write!(f, "two files want the path {path}, where upper and lower case are the same")
            }
            Self::FileTooLarge(path) => {
                write!(f, "{path} is 4 GiB or larger, which a FAT file system cannot hold")
            }
            Self::BadLabel(label) => write!(f, "`{label}` cannot be the label of a FAT file system"),
            Self::Full { needed, given } => {
                write!(f, "the boot partition has room for {given} bytes, and its files have {needed}")
            }
            Self::BadSize(size) => write!(f, "a FAT file system cannot have {size} bytes"),
        }
    }
}

impl std::error::Error for FatError {}

enum Node {
    File(Vec<u8>),
    Directory(Directory),
}

/// By folded name, so that two spellings of one name meet.
#[derive(Default)]
struct Directory(BTreeMap<String, (String, Node)>);

impl Directory {
    fn insert(&mut self, path: &str, content: Vec<u8>) -> Result<(), FatError> {
        if u32::try_from(content.len()).is_err() {
            return Err(FatError::FileTooLarge(path.to_owned()));
        }
        let mut directory = self;
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            if !name::is_valid(part) {
                break;
            }
            let collision = || FatError::Collision(path.to_owned());
            if parts.peek().is_none() {
                let file = (part.to_owned(), Node::File(content));
                return directory.0.insert(name::fold(part), file).map_or(Ok(()), |_| Err(collision()));
            }
            let next = directory.0.entry(name::fold(part));
            let (_, node) = next.or_insert_with(|| (part.to_owned(), Node::Directory(Self::default())));
            let Node::Directory(child) = node else { return Err(collision()) };
            directory = child;
        }
        Err(FatError::BadName(path.to_owned()))
    }

    /// Entries of 32 bytes, without the label of a root.
    fn entries(&self, is_root: bool) -> u64 {
        let of_names = self.0.values().map(|(name, _)| 1 + name::long_entries(name) as u64);
        of_names.sum::<u64>() + if is_root { 1 } else { 2 }
    }

    /// Clusters of it and all that is in it; the root's own ones only where it has some.
    fn clusters(&self, cluster: u64, is_root: bool, has_own: bool) -> u64 {
        let own = (self.entries(is_root) * ENTRY_LENGTH as u64).div_ceil(cluster);
        let inside = self.0.values().map(|(_, node)| match node {
            Node::File(content) => (content.len() as u64).div_ceil(cluster),
            Node::Directory(directory) => directory.clusters(cluster, false, true),
        });
        inside.sum::<u64>() + if has_own { own } else { 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fat16,
    Fat32,
}

/// Where things are, in sectors.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    kind: Kind,
    total: u64,
    reserved: u64,
    table: u64,
    cluster: u64,
    clusters: u64,
}

impl Geometry {
    /// That of a volume with so many sectors, if it is one of its kind.
    fn of_total(kind: Kind, total: u64, cluster: u64) -> Option<Self> {
        let reserved = if kind == Kind::Fat32 { 32 } else { 4 };
        let after_reserved = total.checked_sub(reserved + root_sectors(kind))?;
        let table = table_sectors(kind, after_reserved / cluster);
        let clusters = after_reserved.checked_sub(2 * table)? / cluster;
        let range = match kind {
            Kind::Fat16 => FAT16_CLUSTERS + MARGIN..FAT32_CLUSTERS - MARGIN,
            // The upper four bits of an entry are not its own, and the last numbers have meanings.
            Kind::Fat32 => FAT32_CLUSTERS + MARGIN..0x0fff_fff0,
        };
        let fits = range.contains(&clusters) && u32::try_from(total).is_ok();
        fits.then_some(Self { kind, total, reserved, table, cluster, clusters })
    }

    fn exactly(size: u64) -> Option<Self> {
        let total = size / SECTOR;
        let sizes =
            || std::iter::successors(Some(1), |size| (*size < LARGEST_CLUSTER_SECTORS).then_some(size * 2));
        // Clusters of 4 KiB at most, a page, where there are enough of them.
        let preferred =
            [8, 4, 2, 1].into_iter().find_map(|cluster| Self::of_total(Kind::Fat32, total, cluster));
        preferred
            .or_else(|| sizes().find_map(|cluster| Self::of_total(Kind::Fat32, total, cluster)))
            .or_else(|| sizes().find_map(|cluster| Self::of_total(Kind::Fat16, total, cluster)))
    }

    fn smallest(root: &Directory) -> Option<Self> {
        let mut cluster = 1;
        while cluster <= LARGEST_CLUSTER_SECTORS {
            for kind in [Kind::Fat16, Kind::Fat32] {
                let least = if kind == Kind::Fat32 { FAT32_CLUSTERS } else { FAT16_CLUSTERS } + MARGIN;
                let needed = root.clusters(cluster * SECTOR, true, kind == Kind::Fat32).max(least);
                // The table that `of_total` makes counts the sectors of the tables as if they were clusters.
                let rough = needed * cluster + 36 + root_sectors(kind);
                let tables = 2 * table_sectors(kind, needed + needed / 32 + 8);
                let total = (rough + tables).next_multiple_of(4);
                let geometry = Self::of_total(kind, total, cluster).filter(|it| it.clusters >= needed);
                if kind == Kind::Fat16 && geometry.is_some()
                    || cluster == LARGEST_CLUSTER_SECTORS && geometry.is_some()
                {
                    return geometry;
                }
            }
            cluster *= 2;
        }
        None
    }

    /// First sector after the tables.
    fn root(&self) -> u64 {
        self.reserved + 2 * self.table
    }

    /// First byte of a cluster.
    fn offset(&self, cluster: u32) -> u64 {
        (self.root() + root_sectors(self.kind) + (u64::from(cluster) - 2) * self.cluster) * SECTOR
    }
}

fn root_sectors(kind: Kind) -> u64 {
    if kind == Kind::Fat16 { ROOT_ENTRIES * ENTRY_LENGTH as u64 / SECTOR } else { 0 }
}

fn table_sectors(kind: Kind, clusters: u64) -> u64 {
    let entry = if kind == Kind::Fat32 { 4 } else { 2 };
    ((clusters + 2) * entry).div_ceil(SECTOR)
}

/// The image of a volume with these files. Directories are made on the way to them.
///
/// # Errors
///
/// [`FatError`].
pub fn write(files: Vec<(String, Vec<u8>)>, options: &Options) -> Result<Sparse, FatError> {
    let label = name::label(options.label).ok_or_else(|| FatError::BadLabel(options.label.to_owned()))?;
    let mut root = Directory::default();
    for (path, content) in files {
        root.insert(&path, content)?;
    }
    let geometry = match options.size {
        Size::Exactly(size) => Geometry::exactly(size).ok_or(FatError::BadSize(size))?,
        Size::Smallest => {
            let bytes = root.clusters(SECTOR, true, true).saturating_mul(SECTOR);
            Geometry::smallest(&root).ok_or(FatError::BadSize(bytes))?
        }
    };
    let cluster = geometry.cluster * SECTOR;
    let needed = root.clusters(cluster, true, geometry.kind == Kind::Fat32);
    let root_is_full = geometry.kind == Kind::Fat16 && root.entries(true) > ROOT_ENTRIES;
    if needed > geometry.clusters || root_is_full {
        return Err(FatError::Full { needed: needed * cluster, given: geometry.clusters * cluster });
    }
    let mut writer = Writer {
        geometry,
        time: name::stamp(options.epoch_s),
        chain: vec![0x0fff_ff00 | u32::from(MEDIA), END_OF_CHAIN],
        image: Sparse::new(geometry.total * SECTOR),
    };
    writer.root(root, label);
    Ok(writer.finish(options.id, label))
}

struct Writer {
    geometry: Geometry,
    /// Time and date, as directories have them.
    time: [u8; 4],
    /// The allocation table up to the last used cluster.
    chain: Vec<u32>,
    image: Sparse,
}

impl Writer {
    /// Takes the next clusters for so many bytes. Nothing has cluster 0.
    fn allocate(&mut self, length: u64) -> u32 {
        let count = length.div_ceil(self.geometry.cluster * SECTOR) as usize;
        if count == 0 {
            return 0;
        }
        let first = self.chain.len() as u32;
        self.chain.extend((1..count as u32).map(|next| first + next));
        self.chain.push(END_OF_CHAIN);
        first
    }

    fn root(&mut self, root: Directory, label: [u8; 11]) {
        let length = root.entries(true) * ENTRY_LENGTH as u64;
        let at = match self.geometry.kind {
            Kind::Fat16 => self.geometry.root() * SECTOR,
            Kind::Fat32 => {
                let first = self.allocate(length);
                self.geometry.offset(first)
            }
        };
        let mut entries = self.entry(label, ATTRIBUTE_LABEL, 0, 0).to_vec();
        // Children of the root say 0 for their parent, wherever it is.
        self.children(root, 0, &mut entries);
        self.image.push(at, entries);
    }

    fn directory(&mut self, directory: Directory, parent: u32) -> u32 {
        let own = self.allocate(directory.entries(false) * ENTRY_LENGTH as u64);
        let mut entries = self.entry(*b".          ", ATTRIBUTE_DIRECTORY, own, 0).to_vec();
        entries.extend(self.entry(*b"..         ", ATTRIBUTE_DIRECTORY, parent, 0));
        self.children(directory, own, &mut entries);
        self.image.push(self.geometry.offset(own), entries);
        own
    }

    fn children(&mut self, directory: Directory, own: u32, entries: &mut Vec<u8>) {
        let mut shorts = name::Shorts::new(directory.0.values().map(|(name, _)| name.as_str()));
        for (name, node) in directory.0.into_values() {
            let short = shorts.of(&name);
            entries.extend(name::long(&name, short));
            entries.extend(match node {
                Node::File(content) => {
                    let length = content.len() as u32;
                    let first = self.allocate(length.into());
                    if first > 0 {
                        self.image.push(self.geometry.offset(first), content);
                    }
                    self.entry(short, ATTRIBUTE_ARCHIVE, first, length)
                }
                Node::Directory(child) => {
                    let first = self.directory(child, own);
                    self.entry(short, ATTRIBUTE_DIRECTORY, first, 0)
                }
            });
        }
    }

    fn entry(&self, short: [u8; 11], attribute: u8, first: u32, length: u32) -> [u8; ENTRY_LENGTH] {
        let mut entry = [0; ENTRY_LENGTH];
        put(&mut entry, 0, &short);
        entry[11] = attribute;
        put(&mut entry, 14, &self.time);
        put(&mut entry, 18, &self.time[2..]);
        put(&mut entry, 20, &((first >> 16) as u16).to_le_bytes());
        put(&mut entry, 22, &self.time);
        put(&mut entry, 26, &(first as u16).to_le_bytes());
        put(&mut entry, 28, &length.to_le_bytes());
        entry
    }

    fn finish(mut self, id: u32, label: [u8; 11]) -> Sparse {
        let Geometry { kind, reserved, table, clusters, .. } = self.geometry;
        let entries = self.chain.iter();
        let bytes: Vec<u8> = match kind {
            Kind::Fat16 => entries.flat_map(|entry| (*entry as u16).to_le_bytes()).collect(),
            Kind::Fat32 => entries.flat_map(|entry| entry.to_le_bytes()).collect(),
        };
        self.image.push((reserved + table) * SECTOR, bytes.clone());
        self.image.push(reserved * SECTOR, bytes);
        let boot = boot_sector(&self.geometry, id, label);
        if kind == Kind::Fat32 {
            let information = information(&self.chain, clusters);
            self.image.push(SECTOR, information.clone());
            self.image.push(6 * SECTOR, boot.clone());
            self.image.push(7 * SECTOR, information);
        }
        self.image.push(0, boot);
        self.image
    }
}

/// Chapter 3 of the document.
fn boot_sector(geometry: &Geometry, id: u32, label: [u8; 11]) -> Vec<u8> {
    let Geometry { kind, total, reserved, table, cluster, .. } = *geometry;
    let mut boot = vec![0; SECTOR as usize];
    put(&mut boot, 3, b"MSWIN4.1");
    put(&mut boot, 11, &(SECTOR as u16).to_le_bytes());
    boot[13] = cluster as u8;
    put(&mut boot, 14, &(reserved as u16).to_le_bytes());
    boot[16] = 2;
    boot[21] = MEDIA;
    // Sectors in a track and heads: what every disk of this century says.
    put(&mut boot, 24, &63u16.to_le_bytes());
    put(&mut boot, 26, &255u16.to_le_bytes());
    let own = match kind {
        Kind::Fat16 => {
            put(&mut boot, 17, &(ROOT_ENTRIES as u16).to_le_bytes());
            put(&mut boot, 22, &(table as u16).to_le_bytes());
            36
        }
        Kind::Fat32 => {
            put(&mut boot, 36, &(table as u32).to_le_bytes());
            put(&mut boot, 44, &2u32.to_le_bytes());
            put(&mut boot, 48, &1u16.to_le_bytes());
            put(&mut boot, 50, &6u16.to_le_bytes());
            64
        }
    };
    match u16::try_from(total) {
        Ok(total) if kind == Kind::Fat16 => put(&mut boot, 19, &total.to_le_bytes()),
        _ => put(&mut boot, 32, &(total as u32).to_le_bytes()),
    }
    boot[own] = 0x80;
    boot[own + 2] = 0x29;
    put(&mut boot, own + 3, &id.to_le_bytes());
    put(&mut boot, own + 7, &label);
    put(&mut boot, own + 18, if kind == Kind::Fat16 { b"FAT16   " } else { b"FAT32   " });
    // A BIOS that starts it is told to try the next medium: jmp; int 18h; hlt; jmp.
    let code = own + 26;
    put(&mut boot, 0, &[0xeb, code as u8 - 2, 0x90]);
    put(&mut boot, code, &[0xcd, 0x18, 0xf4, 0xeb, 0xfd]);
    put(&mut boot, 510, &[0x55, 0xaa]);
    boot
}

/// How much is free, which saves a driver the counting (section 5).
fn information(chain: &[u32], clusters: u64) -> Vec<u8> {
    let used = chain.len() as u32 - 2;
    let mut information = vec![0; SECTOR as usize];
    put(&mut information, 0, b"RRaA");
    put(&mut information, 484, b"rrAa");
    put(&mut information, 488, &(clusters as u32 - used).to_le_bytes());
    put(&mut information, 492, &(used + 2).to_le_bytes());
    put(&mut information, 510, &[0x55, 0xaa]);
    information
}

#[cfg(test)]
mod tests;
