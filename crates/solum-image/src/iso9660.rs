//! Reading CDs: ECMA-119, names of Rock Ridge (IEEE P1282, RRIP), and what firmware boots from them (El Torito 1.0).

use crate::sparse::number::{u16_le, u32_le};
use crate::sparse::{ReadAt, Unreadable, read_vec};

const SECTOR: u64 = 2048;
/// The first descriptor (6.2.1: the sectors before it are the system's).
const FIRST_DESCRIPTOR: u64 = 16;
/// No medium has so many; a damaged one might.
const MOST_DESCRIPTORS: u64 = 64;
const MOST_ENTRIES: usize = 1 << 20;
const DEEPEST: usize = 64;
const LARGEST_DIRECTORY: u64 = 64 << 20;
/// Parts of a name and of what else stands beside one.
const MOST_CONTINUATIONS: usize = 16;

const DIRECTORY: u8 = 0x02;
const GOES_ON: u8 = 0x80;

/// What starts from a CD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// PCs without UEFI.
    Bios,
    /// UEFI.
    Uefi,
    /// Another one.
    Other(u8),
}

/// Something that firmware boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootable {
    /// Which firmware.
    pub platform: Platform,
    /// Where it lies, in bytes.
    pub offset: u64,
    /// How much of it is loaded, in bytes; a whole partition may say 0.
    pub size: u64,
}

/// A file or directory on a CD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path from the root, without a slash in front.
    pub path: String,
    /// Its length; 0 for a directory.
    pub size: u64,
    /// It is a directory.
    pub is_directory: bool,
    /// Where its content is, in bytes.
    pub offset: u64,
}

/// A CD that is read.
#[derive(Debug)]
pub struct Volume<R> {
    medium: R,
    id: String,
    size: u64,
    root: (u64, u64),
    bootable: Vec<Bootable>,
}

impl<R: ReadAt> Volume<R> {
    /// Opens a CD.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], if it is none.
    pub fn open(medium: R) -> Result<Self, Unreadable> {
        let none = || Unreadable::malformed("it is not a CD (ISO 9660)");
        let mut primary = None;
        let mut catalogue = None;
        for number in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
            let descriptor = read_vec(&medium, number * SECTOR, SECTOR)?;
            if descriptor[1..6] != *b"CD001" {
                break;
            }
            match descriptor[0] {
                0 if descriptor[7..].starts_with(b"EL TORITO SPECIFICATION") => {
                    catalogue = Some(u64::from(u32_le(&descriptor, 71)) * SECTOR);
                }
                1 if primary.is_none() => primary = Some(descriptor),
                255 => break,
                _ => {}
            }
        }
        let primary = primary.ok_or_else(none)?;
        if u64::from(u16_le(&primary, 128)) != SECTOR {
            return Err(none());
        }
        let bootable = match catalogue {
            Some(place) => read_catalogue(&read_vec(&medium, place, SECTOR)?),
            None => Vec::new(),
        };
        Ok(Self {
            id: String::from_utf8_lossy(&primary[40..72]).trim_end_matches([' ', '\0']).to_owned(),
            size: u64::from(u32_le(&primary, 80)) * SECTOR,
            root: extent(&primary[156..190]),
            bootable,
            medium,
        })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its size in bytes, as it says itself.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What firmware boots from it.
    pub fn bootable(&self) -> &[Bootable] {
        &self.bootable
    }

    /// All files and directories, each directory before what is in it.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn list(&self) -> Result<Vec<Entry>, Unreadable> {
        let mut found = Vec::new();
        self.directory(self.root, "", 0, &mut found)?;
        Ok(found)
    }

    /// The content of the file with this path, if there is one.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn find(&self, path: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let entries = self.list()?;
        let found = entries.iter().find(|entry| entry.path == path && !entry.is_directory);
        Ok(found.map(|entry| read_vec(&self.medium, entry.offset, entry.size)).transpose()?)
    }

    fn directory(
        &self,
        (offset, length): (u64, u64),
        above: &str,
        depth: usize,
        found: &mut Vec<Entry>,
    ) -> Result<(), Unreadable> {
        if length > LARGEST_DIRECTORY || depth > DEEPEST {
            return Err(Unreadable::malformed("its directories have no end"));
        }
        let bytes = read_vec(&self.medium, offset, length)?;
        let mut goes_on = false;
        for sector in bytes.chunks(SECTOR as usize) {
            let mut rest = sector;
            // Records do not reach into the next sector; what is left of one is zero (6.8.1.1).
            while let Some(record) = rest.first().and_then(|length| rest.get(..usize::from(*length))) {
                if record.len() < 34 {
                    break;
                }
                rest = &rest[record.len()..];
                // This directory itself, and the one above it (6.8.2.2).
                let Some(name) = self.name(record).filter(|name| !name.is_empty()) else { continue };
                let path = if above.is_empty() { name } else { format!("{above}/{name}") };
                let place = extent(record);
                let is_directory = record[25] & DIRECTORY != 0;
                // A file of 4 GiB and more is in parts (6.5.1).
                match found.last_mut().filter(|last| goes_on && last.path == path) {
                    Some(last) => last.size = last.size.saturating_add(place.1),
                    None => found.push(Entry {
                        path: path.clone(),
                        size: if is_directory { 0 } else { place.1 },
                        is_directory,
                        offset: place.0,
                    }),
                }
                goes_on = record[25] & GOES_ON != 0;
                if found.len() > MOST_ENTRIES {
                    return Err(Unreadable::malformed("its directories have no end"));
                }
                if is_directory {
                    self.directory(place, &path, depth + 1, found)?;
                }
            }
        }
        Ok(())
    }

    /// The name of Rock Ridge, or else that of ECMA-119 without its version.
    fn name(&self, record: &[u8]) -> Option<String> {
        let length = usize::from(record[32]);
        let own = record.get(33..33 + length)?;
        if matches!(own, [0 | 1]) {
            return None;
        }
        // A name is padded to an even place (9.1.12).
        let area = record.get((33 + length).next_multiple_of(2)..).unwrap_or_default();
        let mut name = Vec::new();
        self.further_name(area, &mut name);
        if !name.is_empty() {
            return Some(String::from_utf8_lossy(&name).into_owned());
        }
        let own = String::from_utf8_lossy(own);
        Some(own.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned())
    }

    /// Gathers the parts of a name (`NM`), which may go on elsewhere (`CE`; IEEE P1281, SUSP, 5.1).
    fn further_name(&self, area: &[u8], name: &mut Vec<u8>) {
        let mut area = area.to_vec();
        for _ in 0..MOST_CONTINUATIONS {
            let mut next = None;
            let mut rest = &area[..];
            while let [first, second, length, ..] = *rest {
                let Some(entry) = rest.get(..usize::from(length)).filter(|entry| entry.len() >= 4) else {
                    break;
                };
                match &[first, second] {
                    b"NM" => name.extend(entry.get(5..).unwrap_or_default()),
                    b"CE" if entry.len() >= 28 => {
                        let place = u64::from(u32_le(entry, 4)) * SECTOR + u64::from(u32_le(entry, 12));
                        next = Some((place, u64::from(u32_le(entry, 20)).min(SECTOR)));
                    }
                    _ => {}
                }
                rest = &rest[entry.len()..];
            }
            let further = next.and_then(|(place, length)| read_vec(&self.medium, place, length).ok());
            let Some(further) = further else { return };
            area = further;
        }
    }
}

/// Where the content of a record is, and how long it is (9.1.3 and 9.1.4).
fn extent(record: &[u8]) -> (u64, u64) {
    (u64::from(u32_le(record, 2)) * SECTOR, u32_le(record, 10).into())
}

/// El Torito, 2.0: a validation entry, the initial entry, and sections.
fn read_catalogue(catalogue: &[u8]) -> Vec<Bootable> {
    const BOOTABLE: u8 = 0x88;
    let mut found = Vec::new();
    let mut platform = 0;
    for (index, entry) in catalogue.chunks_exact(32).enumerate() {
        match (index, entry[0]) {
            (0, 1) if entry[30..] == [0x55, 0xaa] => platform = entry[1],
            (0, _) => break,
            // The header of a section, and that of the last one.
            (_, 0x90 | 0x91) => platform = entry[1],
            (_, BOOTABLE) => found.push(Bootable {
                platform: match platform {
                    0 => Platform::Bios,
                    0xef => Platform::Uefi,
                    other => Platform::Other(other),
                },
                offset: u64::from(u32_le(entry, 8)) * SECTOR,
                // In sectors of disks.
                size: u64::from(u16_le(entry, 6)) * 512,
            }),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sparse::number::put;

    fn record(extent: u32, size: u32, flags: u8, name: &[u8], area: &[u8]) -> Vec<u8> {
        let mut record = vec![0; 33];
        put(&mut record, 2, &extent.to_le_bytes());
        put(&mut record, 10, &size.to_le_bytes());
        record[25] = flags;
        record[32] = name.len() as u8;
        record.extend(name);
        record.resize(record.len().next_multiple_of(2), 0);
        record.extend(area);
        record[0] = record.len() as u8;
        record
    }

    fn name(text: &str) -> Vec<u8> {
        [b"NM", &[text.len() as u8 + 5, 1, 0][..], text.as_bytes()].concat()
    }

    /// A CD with a directory, a file in it, and a file with two extents.
    pub(crate) fn sample() -> Vec<u8> {
        let mut cd = vec![0; 24 * 2048];
        let sector = |number: usize| number * 2048;
        put(&mut cd, sector(16), b"\x01CD001\x01");
        put(&mut cd, sector(16) + 40, b"SOLUM_X                         ");
        put(&mut cd, sector(16) + 80, &24u32.to_le_bytes());
        put(&mut cd, sector(16) + 128, &2048u16.to_le_bytes());
        put(&mut cd, sector(16) + 156, &record(20, 2048, 2, &[0], &[]));
        put(&mut cd, sector(17), b"\x00CD001\x01EL TORITO SPECIFICATION");
        put(&mut cd, sector(17) + 71, &19u32.to_le_bytes());
        put(&mut cd, sector(18), b"\xffCD001\x01");
        put(&mut cd, sector(19), &[1]);
        put(&mut cd, sector(19) + 30, &[0x55, 0xaa, 0x88, 0, 0, 0, 0, 0, 4, 0, 22]);
        put(&mut cd, sector(19) + 64, &[0x91, 0xef, 1]);
        put(&mut cd, sector(19) + 96, &[0x88, 0, 0, 0, 0, 0, 0, 0, 23]);
        let root = [
            record(20, 2048, 2, &[0], &[]),
            record(20, 2048, 2, &[1], &[]),
            record(21, 2048, 2, b"DIR", &name("a directory")),
            record(22, 100, 0x80, b"BIG.;1", &[]),
            record(23, 11, 0, b"BIG.;1", &[]),
        ];
        put(&mut cd, sector(20), &root.concat());
        put(&mut cd, sector(21), &record(22, 5, 0, b"A.TXT;1", &name("größe.txt")));
        put(&mut cd, sector(22), b"hello");
        cd
    }

    #[test]
    fn names_sizes_and_what_boots_are_read() {
        let cd = sample();
        let volume = Volume::open(&cd).unwrap();
        assert_eq!((volume.id(), volume.size()), ("SOLUM_X", 24 * 2048));
        let boots: Vec<_> = volume.bootable().iter().map(|one| (one.platform, one.offset)).collect();
        assert_eq!(boots, [(Platform::Bios, 22 * 2048), (Platform::Uefi, 23 * 2048)]);
        let told: Vec<_> = volume.list().unwrap().into_iter().map(|one| (one.path, one.size)).collect();
        let expected = [("a directory", 0), ("a directory/größe.txt", 5), ("BIG", 111)];
        assert_eq!(told, expected.map(|(path, size)| (path.to_owned(), size)));
        assert_eq!(volume.find("a directory/größe.txt").unwrap().unwrap(), b"hello");
    }

    #[test]
    fn a_directory_that_contains_itself_is_refused() {
        let mut cd = sample();
        put(&mut cd, 21 * 2048, &record(21, 2048, 2, b"A.TXT;1", &[]));
        assert!(Volume::open(&cd).unwrap().list().is_err());
    }

    #[test]
    fn a_truncated_cd_is_no_panic() {
        let cd = sample();
        for end in (0..cd.len()).step_by(97) {
            if let Ok(volume) = Volume::open(&cd[..end]) {
                let _ = volume.list();
            }
        }
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 16 * 2048..22 * 2048usize, value: u8, at2 in 19 * 2048..22 * 2048usize, value2: u8) {
            let mut cd = sample();
            cd[at] = value;
            cd[at2] ^= value2;
            if let Ok(volume) = Volume::open(&cd) {
                let _ = volume.list();
            }
        }
    }
}
