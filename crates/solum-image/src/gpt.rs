//! Partition tables: GPT (UEFI Specification 2.10, chapter 5), with the protective MBR in front.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::sparse::number::{put, u32_le, u64_le};
use crate::sparse::{ReadAt, Sparse, Unreadable, read_vec};

/// Bytes in a sector. Disks with others are read through their own controllers; images have these.
pub const SECTOR: u64 = 512;

/// Partitions begin at multiples of this, and disks are as long as one: every erase block and every cloud is content.
pub const ALIGNMENT: u64 = 1 << 20;

const SIGNATURE: &[u8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const HEADER_LENGTH: u32 = 92;
const ENTRY_LENGTH: u32 = 128;
/// The least that the specification asks for (5.3.1: 16 KiB for the array).
const ENTRY_COUNT: u32 = 128;
/// Sectors of the array of entries.
const ARRAY_SECTORS: u64 = ENTRY_COUNT as u64 * ENTRY_LENGTH as u64 / SECTOR;
/// MBR, header, array.
const FIRST_USABLE: u64 = 2 + ARRAY_SECTORS;
/// A name has 36 UTF-16 code units.
const NAME_UNITS: usize = 36;
/// No table of anybody's is longer; a damaged one is not read into memory.
const LONGEST_ARRAY: u64 = 1 << 20;

/// A globally unique identifier, in the order in which it is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// From the number that its digits write.
    pub const fn new(digits: u128) -> Self {
        Self(digits.to_be_bytes())
    }

    /// One that is a function of what it is for: a UUID of version 8 (RFC 9562, section 5.8), from SHA-256.
    ///
    /// `seed` is what makes the image what it is, `purpose` tells its ids apart.
    pub fn derived(seed: &[u8], purpose: &str) -> Self {
        let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(seed).finalize();
        let mut bytes: [u8; 16] = std::array::from_fn(|index| digest[index]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The first three fields are little-endian on disk (Appendix A).
    pub fn to_disk(self) -> [u8; 16] {
        let mut bytes = self.0;
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        bytes
    }

    fn from_disk(bytes: &[u8]) -> Self {
        // Its own inverse.
        Self(Self(std::array::from_fn(|index| bytes[index])).to_disk())
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&index) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Types of partitions: UAPI Group, Discoverable Partitions Specification.
pub mod kind {
    use super::Guid;
    use crate::executable::Architecture;

    /// EFI system partition.
    pub const ESP: Guid = Guid::new(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
    /// Generic Linux data.
    pub const LINUX_DATA: Guid = Guid::new(0x0fc63daf_8483_4772_8e79_3d69d8477de4);
    /// Extended boot loader partition.
    pub const EXTENDED_BOOT: Guid = Guid::new(0xbc13c2ff_59e6_4262_a352_b275fd6f7172);
    /// Root of a machine of this architecture.
    pub const fn root(architecture: Architecture) -> Guid {
        match architecture {
            Architecture::X86_64 => Guid::new(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709),
            Architecture::Aarch64 => Guid::new(0xb921b045_1df0_41c3_af44_4c6f280d3fae),
        }
    }

    /// What people call the type.
    pub fn name(kind: Guid) -> Option<&'static str> {
        [
            (ESP, "EFI system"),
            (LINUX_DATA, "Linux data"),
            (EXTENDED_BOOT, "boot loader"),
            (root(Architecture::X86_64), "root (x86_64)"),
            (root(Architecture::Aarch64), "root (aarch64)"),
            (Guid::new(0xebd0a0a2_b9e5_4433_87c0_68b6b72699c7), "Microsoft data"),
            (Guid::new(0x21686148_6449_6e6f_744e_656564454649), "BIOS boot"),
        ]
        .into_iter()
        .find_map(|(known, name)| (known == kind).then_some(name))
    }
}

/// A partition that a table is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its type, one of [`kind`].
    pub kind: Guid,
    /// Its own id (`PARTUUID`).
    pub id: Guid,
    /// Its name (`PARTLABEL`).
    pub name: String,
    /// Its size in bytes, rounded up to the alignment.
    pub size: u64,
}

/// A partition with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Counted from 1, as the kernel does.
    pub number: u32,
    /// Its type.
    pub kind: Guid,
    /// Its own id.
    pub id: Guid,
    /// Its name.
    pub name: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The disk's id.
    pub disk_id: Guid,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
    /// The first table is damaged, and this is what the one at the end of the disk says.
    pub is_backup: bool,
}

impl Table {
    /// The first partition of a name.
    pub fn named(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name == name)
    }

    /// The first partition of a type.
    pub fn of_kind(&self, kind: Guid) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.kind == kind)
    }
}

/// Why there can be no such table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The name is empty or does not fit into 36 UTF-16 code units.
    BadName(String),
    /// A partition has no bytes.
    Empty(String),
    /// The partitions need more than the disk has.
    TooLarge {
        /// Bytes that a disk with them has.
        needed: u64,
        /// Bytes of the disk.
        given: u64,
    },
    /// More partitions than the table has room for.
    TooMany,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => {
                write!(f, "`{name}` cannot be a partition's name: it has 1 to {NAME_UNITS} characters")
            }
            Self::Empty(name) => write!(f, "the partition {name} has no bytes"),
            Self::TooLarge { needed, given } => {
                write!(f, "the partitions need a disk of {needed} bytes, and it has {given}")
            }
            Self::TooMany => write!(f, "a disk has {ENTRY_COUNT} partitions at most"),
        }
    }
}

impl std::error::Error for TableError {}

/// Lays out partitions one after the other, on a disk of the given size or of the least that holds them. The image holds the
/// tables alone.
///
/// # Errors
///
/// [`TableError`].
pub fn write(
    disk_id: Guid,
    wanted: &[Wanted],
    disk_size: Option<u64>,
) -> Result<(Sparse, Table), TableError> {
    if wanted.len() > ENTRY_COUNT as usize {
        return Err(TableError::TooMany);
    }
    let mut partitions = Vec::new();
    let mut offset = ALIGNMENT;
    for (number, wanted) in (1..).zip(wanted) {
        let Wanted { kind, id, ref name, size } = *wanted;
        if name.is_empty() || name.contains('\0') || name.encode_utf16().count() > NAME_UNITS {
            return Err(TableError::BadName(name.clone()));
        }
        if size == 0 {
            return Err(TableError::Empty(name.clone()));
        }
        let too_large =
            TableError::TooLarge { needed: u64::MAX, given: disk_size.unwrap_or(i64::MAX as u64) };
        // File offsets are signed.
        let end = offset.checked_add(size).filter(|end| *end < i64::MAX as u64 - 2 * ALIGNMENT);
        let end = end.ok_or(too_large)?.next_multiple_of(ALIGNMENT);
        partitions.push(Partition { number, kind, id, name: name.clone(), offset, size: end - offset });
        offset = end;
    }
    let needed = offset + ALIGNMENT;
    let length = disk_size.map_or(needed, |given| given / ALIGNMENT * ALIGNMENT);
    if length < needed {
        return Err(TableError::TooLarge { needed, given: length });
    }
    let table = Table { disk_id, partitions, is_backup: false };
    Ok((tables(&table, length), table))
}

fn tables(table: &Table, length: u64) -> Sparse {
    let last = length / SECTOR - 1;
    let array = array(&table.partitions);
    let array_crc = crc32fast::hash(&array);
    let header = |at: u64, other: u64, array_at: u64| header(table.disk_id, at, other, array_at, array_crc);
    let mut image = Sparse::new(length);
    image.push(0, protective_mbr(last));
    image.push(SECTOR, header(1, last, 2));
    image.push(2 * SECTOR, array.clone());
    image.push((last - ARRAY_SECTORS) * SECTOR, array);
    image.push(last * SECTOR, header(last, 1, last - ARRAY_SECTORS));
    image
}

/// UEFI 2.10, 5.2.3: one partition over all the disk, so that old tools leave it alone.
fn protective_mbr(last: u64) -> Vec<u8> {
    let mut mbr = vec![0; SECTOR as usize];
    put(&mut mbr, 446, &[0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]);
    put(&mut mbr, 454, &1u32.to_le_bytes());
    put(&mut mbr, 458, &u32::try_from(last).unwrap_or(u32::MAX).to_le_bytes());
    put(&mut mbr, 510, &[0x55, 0xaa]);
    mbr
}

/// UEFI 2.10, 5.3.3.
fn array(partitions: &[Partition]) -> Vec<u8> {
    let mut array = vec![0; (ARRAY_SECTORS * SECTOR) as usize];
    for (entry, partition) in array.chunks_exact_mut(ENTRY_LENGTH as usize).zip(partitions) {
        put(entry, 0, &partition.kind.to_disk());
        put(entry, 16, &partition.id.to_disk());
        put(entry, 32, &(partition.offset / SECTOR).to_le_bytes());
        put(entry, 40, &((partition.offset + partition.size) / SECTOR - 1).to_le_bytes());
        for (place, unit) in entry[56..].chunks_exact_mut(2).zip(partition.name.encode_utf16()) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    array
}

/// UEFI 2.10, 5.3.2.
fn header(disk_id: Guid, at: u64, other: u64, array_at: u64, array_crc: u32) -> Vec<u8> {
    let last = at.max(other);
    let mut header = vec![0; SECTOR as usize];
    put(&mut header, 0, SIGNATURE);
    put(&mut header, 8, &REVISION.to_le_bytes());
    put(&mut header, 12, &HEADER_LENGTH.to_le_bytes());
    put(&mut header, 24, &at.to_le_bytes());
    put(&mut header, 32, &other.to_le_bytes());
    put(&mut header, 40, &FIRST_USABLE.to_le_bytes());
    put(&mut header, 48, &(last - ARRAY_SECTORS - 1).to_le_bytes());
    put(&mut header, 56, &disk_id.to_disk());
    put(&mut header, 72, &array_at.to_le_bytes());
    put(&mut header, 80, &ENTRY_COUNT.to_le_bytes());
    put(&mut header, 84, &ENTRY_LENGTH.to_le_bytes());
    put(&mut header, 88, &array_crc.to_le_bytes());
    let crc = crc32fast::hash(&header[..HEADER_LENGTH as usize]);
    put(&mut header, 16, &crc.to_le_bytes());
    header
}

/// Reads the table of a disk, its copy at the end if the first one is damaged.
///
/// # Errors
///
/// [`Unreadable`], with what is wrong with the first one.
pub fn read(disk: &(impl ReadAt + ?Sized)) -> Result<Table, Unreadable> {
    let last = (disk.length() / SECTOR).saturating_sub(1);
    match read_at(disk, 1) {
        Ok((disk_id, partitions)) => Ok(Table { disk_id, partitions, is_backup: false }),
        Err(first @ Unreadable::Malformed(_)) => match read_at(disk, last) {
            Ok((disk_id, partitions)) => Ok(Table { disk_id, partitions, is_backup: true }),
            Err(Unreadable::Io(error)) => Err(Unreadable::Io(error)),
            Err(Unreadable::Malformed(_)) => Err(first),
        },
        Err(error) => Err(error),
    }
}

fn read_at(disk: &(impl ReadAt + ?Sized), at: u64) -> Result<(Guid, Vec<Partition>), Unreadable> {
    let mut header = read_vec(disk, at.saturating_mul(SECTOR), SECTOR)?;
    if !header.starts_with(SIGNATURE) {
        return Err(Unreadable::malformed("it has no GUID partition table"));
    }
    let damaged = || Unreadable::malformed("its partition table is damaged");
    let length = u32_le(&header, 12) as usize;
    let crc = u32_le(&header, 16);
    if !(HEADER_LENGTH as usize..=SECTOR as usize).contains(&length) {
        return Err(damaged());
    }
    put(&mut header, 16, &[0; 4]);
    if crc32fast::hash(&header[..length]) != crc || u64_le(&header, 24) != at {
        return Err(damaged());
    }
    let (count, entry_length) = (u64::from(u32_le(&header, 80)), u64::from(u32_le(&header, 84)));
    let array_length = count.saturating_mul(entry_length);
    if entry_length < u64::from(ENTRY_LENGTH) || array_length > LONGEST_ARRAY {
        return Err(damaged());
    }
    let array = read_vec(disk, u64_le(&header, 72).saturating_mul(SECTOR), array_length)?;
    if crc32fast::hash(&array) != u32_le(&header, 88) {
        return Err(damaged());
    }
    let entries = (1..).zip(array.chunks_exact(entry_length as usize));
    let used = entries.filter(|(_, entry)| entry[..16] != [0; 16]);
    let partitions = used
        .map(|(number, entry)| read_entry(number, entry).ok_or_else(damaged))
        .collect::<Result<_, _>>()?;
    Ok((Guid::from_disk(&header[56..72]), partitions))
}

fn read_entry(number: u32, entry: &[u8]) -> Option<Partition> {
    let (first, last) = (u64_le(entry, 32), u64_le(entry, 40));
    let sectors = last.checked_add(1)?.checked_sub(first)?;
    let units = entry[56..128].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    Some(Partition {
        number,
        kind: Guid::from_disk(&entry[..16]),
        id: Guid::from_disk(&entry[16..32]),
        name: char::decode_utf16(units.take_while(|unit| *unit != 0))
            .map(|c| c.unwrap_or('\u{fffd}'))
            .collect(),
        offset: first.checked_mul(SECTOR)?,
        size: sectors.checked_mul(SECTOR)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted(name: &str, size: u64) -> Wanted {
        Wanted { kind: kind::LINUX_DATA, id: Guid::derived(b"seed", name), name: name.into(), size }
    }

    fn small() -> (Sparse, Table) {
        write(Guid::derived(b"seed", "disk"), &[wanted("esp", 3 << 20), wanted("solum-data", 1)], None)
            .unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_from_either_table() {
        let (image, table) = small();
        assert_eq!(image.length(), 6 << 20);
        assert_eq!(table.named("solum-data").unwrap().offset, 4 << 20);
        assert_eq!(read(&image).unwrap(), table);
        let mut bytes = image.to_vec();
        bytes[SECTOR as usize * 2 + 60] ^= 1;
        assert_eq!(read(&bytes).unwrap(), Table { is_backup: true, ..table });
        let end = bytes.len() - 500;
        bytes[end] ^= 1;
        assert_eq!(read(&bytes).unwrap_err().to_string(), "its partition table is damaged");
    }

    #[test]
    fn a_guid_is_a_uuid_of_version_8_and_has_its_order_on_disk() {
        let id = Guid::derived(b"a", "b");
        assert_eq!((id.0[6] >> 4, id.0[8] >> 6), (8, 2));
        assert_ne!(id, Guid::derived(b"", "ba"));
        assert_eq!(kind::ESP.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(kind::ESP.to_disk()[..6], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8]);
    }

    #[test]
    fn impossible_tables_are_refused() {
        let disk = Guid::default();
        let long = "n".repeat(37);
        assert_eq!(write(disk, &[wanted(&long, 1)], None).unwrap_err(), TableError::BadName(long));
        assert_eq!(write(disk, &[wanted("a", 0)], None).unwrap_err(), TableError::Empty("a".into()));
        let given = Some(3 << 20);
        let needed = 4 << 20;
        let error = TableError::TooLarge { needed, given: 3 << 20 };
        assert_eq!(write(disk, &[wanted("a", 2 << 20)], given).unwrap_err(), error);
        assert!(write(disk, &[wanted("a", 1 << 20)], given).is_ok());
        assert!(matches!(write(disk, &[wanted("a", u64::MAX)], None), Err(TableError::TooLarge { .. })));
        assert_eq!(write(disk, &vec![wanted("a", 1); 129], None).unwrap_err(), TableError::TooMany);
    }

    #[test]
    fn no_disk_at_all_is_refused() {
        for bytes in [vec![], vec![0; 511], vec![0; 5000]] {
            assert!(matches!(read(&bytes), Err(Unreadable::Malformed(_))));
        }
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in 0usize..1536, value: u8, length in 0usize..(6 << 20)) {
            let (image, table) = small();
            let mut bytes = image.to_vec();
            bytes[at] = value;
            prop_assert_eq!(read(&bytes).unwrap().partitions, table.partitions);
            bytes.truncate(length);
            let _ = read(&bytes);
        }
    }
}
