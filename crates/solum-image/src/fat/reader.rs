//! Reading a volume: what is in it, and the bytes of a file.

use super::name::LongName;
use super::{ATTRIBUTE_DIRECTORY, ATTRIBUTE_LABEL, ENTRY_LENGTH, FAT16_CLUSTERS, FAT32_CLUSTERS};
use crate::sparse::number::{u16_le, u32_le};
use crate::sparse::{ReadAt, Unreadable, read_vec};

/// A damaged volume may have directories that contain themselves.
const DEEPEST: usize = 32;
const MOST_ENTRIES: usize = 65_536;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path from the root, without a slash in front.
    pub path: String,
    /// Its length; 0 for a directory.
    pub size: u32,
    /// It is a directory.
    pub is_directory: bool,
    first: u32,
}

/// A FAT16 or FAT32 volume that is read.
#[derive(Debug)]
pub struct Fat<R> {
    medium: R,
    is_fat32: bool,
    cluster: u64,
    /// Where the fixed root directory of FAT16 is, and its length.
    root: (u64, u64),
    root_cluster: u32,
    data: u64,
    table: Vec<u8>,
    clusters: u64,
    id: u32,
}

impl<R: ReadAt> Fat<R> {
    /// Opens a volume.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], if it is none.
    pub fn open(medium: R) -> Result<Self, Unreadable> {
        let none = || Unreadable::malformed("it is not a FAT file system");
        let boot = read_vec(&medium, 0, 512)?;
        let (sector, cluster) = (u64::from(u16_le(&boot, 11)), u64::from(boot[13]));
        let known = [512, 1024, 2048, 4096].contains(&sector) && cluster.is_power_of_two();
        if boot[510..] != [0x55, 0xaa] || !known {
            return Err(none());
        }
        let reserved = u64::from(u16_le(&boot, 14));
        let root_entries = u64::from(u16_le(&boot, 17));
        let total = [u16_le(&boot, 19).into(), u32_le(&boot, 32)].into_iter().find(|n| *n > 0).unwrap_or(0);
        let table = [u16_le(&boot, 22).into(), u32_le(&boot, 36)].into_iter().find(|n| *n > 0).unwrap_or(0);
        let (total, table, tables) = (u64::from(total), u64::from(table), u64::from(boot[16]));
        let root_sectors = (root_entries * ENTRY_LENGTH as u64).div_ceil(sector);
        let before = reserved + tables * table + root_sectors;
        let clusters = total.checked_sub(before).ok_or_else(none)? / cluster;
        if clusters < FAT16_CLUSTERS || reserved == 0 || tables == 0 {
            return Err(none());
        }
        let is_fat32 = clusters >= FAT32_CLUSTERS;
        let table_length = (table * sector).min((clusters + 2) * if is_fat32 { 4 } else { 2 });
        Ok(Self {
            is_fat32,
            cluster: cluster * sector,
            root: ((reserved + tables * table) * sector, root_entries * ENTRY_LENGTH as u64),
            root_cluster: u32_le(&boot, 44),
            data: before * sector,
            table: read_vec(&medium, reserved * sector, table_length)?,
            clusters,
            id: u32_le(&boot, if is_fat32 { 67 } else { 39 }),
            medium,
        })
    }

    /// Its serial number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// All files and directories, in the order in which they stand there.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn list(&self) -> Result<Vec<Entry>, Unreadable> {
        let root = if self.is_fat32 {
            self.chain(self.root_cluster, None)?
        } else {
            read_vec(&self.medium, self.root.0, self.root.1)?
        };
        let mut found = Vec::new();
        self.directory(&root, "", 0, &mut found)?;
        Ok(found)
    }

    fn directory(
        &self,
        bytes: &[u8],
        above: &str,
        depth: usize,
        found: &mut Vec<Entry>,
    ) -> Result<(), Unreadable> {
        let mut long = LongName::default();
        for entry in bytes.chunks_exact(ENTRY_LENGTH).take_while(|entry| entry[0] != 0) {
            // A deleted one.
            if entry[0] == 0xe5 || long.takes(entry) {
                continue;
            }
            let name = long.finish(entry);
            if entry[11] & ATTRIBUTE_LABEL != 0 || entry[0] == b'.' {
                continue;
            }
            let high = if self.is_fat32 { u32::from(u16_le(entry, 20)) } else { 0 };
            let is_directory = entry[11] & ATTRIBUTE_DIRECTORY != 0;
            let first = high << 16 | u32::from(u16_le(entry, 26));
            let path = if above.is_empty() { name } else { format!("{above}/{name}") };
            let size = if is_directory { 0 } else { u32_le(entry, 28) };
            if found.len() >= MOST_ENTRIES || depth >= DEEPEST {
                return Err(Unreadable::malformed("its FAT file system has no end"));
            }
            found.push(Entry { path: path.clone(), size, is_directory, first });
            if is_directory {
                self.directory(&self.chain(first, None)?, &path, depth + 1, found)?;
            }
        }
        Ok(())
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>, Unreadable> {
        if entry.size == 0 {
            return Ok(Vec::new());
        }
        let mut content = self.chain(entry.first, Some(entry.size.into()))?;
        content.truncate(entry.size as usize);
        Ok(content)
    }

    /// The content of the file with this path, if there is one. Upper and lower case are the same.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn find(&self, path: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let entries = self.list()?;
        let found = entries.iter().find(|entry| super::name::fold(&entry.path) == super::name::fold(path));
        found.map(|entry| self.read(entry)).transpose()
    }

    /// The clusters of a chain, all of them, or those that hold so many bytes.
    fn chain(&self, first: u32, length: Option<u64>) -> Result<Vec<u8>, Unreadable> {
        let damaged = || Unreadable::malformed("its FAT file system is damaged");
        // A directory has 65536 entries at most.
        let most = length.unwrap_or((MOST_ENTRIES * ENTRY_LENGTH) as u64).div_ceil(self.cluster);
        if most > self.clusters {
            return Err(damaged());
        }
        let mut content = Vec::new();
        let mut cluster = first;
        for _ in 0..most {
            let index = u64::from(cluster);
            if !(2..self.clusters + 2).contains(&index) {
                return Err(damaged());
            }
            content.extend(read_vec(&self.medium, self.data + (index - 2) * self.cluster, self.cluster)?);
            cluster = self.next(cluster).ok_or_else(damaged)?;
            let is_end = u64::from(cluster) >= self.clusters + 2;
            if is_end && length.is_none() {
                return Ok(content);
            }
        }
        if length.is_some() { Ok(content) } else { Err(damaged()) }
    }

    fn next(&self, cluster: u32) -> Option<u32> {
        if self.is_fat32 {
            let at = cluster as usize * 4;
            Some(u32_le(self.table.get(at..at + 4)?, 0) & 0x0fff_ffff)
        } else {
            let at = cluster as usize * 2;
            Some(u16_le(self.table.get(at..at + 2)?, 0).into())
        }
    }
}
