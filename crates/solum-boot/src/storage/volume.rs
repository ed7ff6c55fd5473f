//! What is on a disk or partition, read from the few bytes that say so. Nothing here believes a length or a place that it
//! read without looking.

use solum_spec::storage::Kind;

/// Reads whole ranges of a device.
pub trait Bytes {
    /// The bytes from this place on, if all of them can be had.
    fn at(&mut self, place: u64, length: usize) -> Option<Vec<u8>>;
}

/// What a file system says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its kind.
    pub kind: Kind,
    /// Its name; empty if it has none.
    pub label: String,
    /// Its identifier, as blkid(8) writes it.
    pub uuid: String,
    /// What it says about its health.
    pub state: State,
    /// How many devices it is spread over.
    pub devices: u64,
}

/// What a file system says about its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is known to be wrong; a journal is replayed by whoever mounts it.
    Clean,
    /// It was not unmounted, and has no journal.
    Unclean,
    /// The kernel has found errors in it.
    Errors,
}

/// Finds out what it is; `None` for none of the kinds that are known.
pub fn identify(device: &mut impl Bytes) -> Option<Volume> {
    // In the order of how hard a mistake is: a boot sector of FAT can be left over below any other file system.
    extended(device).or_else(|| btrfs(device)).or_else(|| iso9660(device)).or_else(|| vfat(device))
}

pub(super) fn u16_at(bytes: &[u8], place: usize) -> u16 {
    bytes.get(place..place + 2).map_or(0, |field| u16::from_le_bytes([field[0], field[1]]))
}

pub(super) fn u32_at(bytes: &[u8], place: usize) -> u32 {
    u32::from(u16_at(bytes, place)) | u32::from(u16_at(bytes, place + 2)) << 16
}

pub(super) fn u64_at(bytes: &[u8], place: usize) -> u64 {
    u64::from(u32_at(bytes, place)) | u64::from(u32_at(bytes, place + 4)) << 32
}

/// Up to the first zero byte, without spaces at the end.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
}

/// As RFC 9562 writes it, with the bytes in this order.
pub(super) fn uuid(bytes: &[u8]) -> String {
    let mut written = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            written.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            written.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    written
}

/// Documentation/filesystems/ext4/super.rst.
fn extended(device: &mut impl Bytes) -> Option<Volume> {
    /// has_journal.
    const COMPAT_JOURNAL: u32 = 0x4;
    /// journal_dev: the journal of another file system.
    const INCOMPAT_JOURNAL_DEVICE: u32 = 0x8;
    /// filetype, recover, meta_bg: what ext3 knows (fs/ext3/super.c of Linux 4.2, `EXT3_FEATURE_INCOMPAT_SUPP`).
    const INCOMPAT_EXT3: u32 = 0x2 | 0x4 | 0x10;
    /// sparse_super, large_file, btree_dir.
    const RO_COMPAT_EXT3: u32 = 0x1 | 0x2 | 0x4;
    let block = device.at(1024, 1024)?;
    if u16_at(&block, 0x38) != 0xef53 {
        return None;
    }
    let [compat, incompat, ro_compat] = [0x5c, 0x60, 0x64].map(|place| u32_at(&block, place));
    if incompat & INCOMPAT_JOURNAL_DEVICE != 0 {
        return None;
    }
    let journal = compat & COMPAT_JOURNAL != 0;
    let kind = if incompat & !INCOMPAT_EXT3 != 0 || ro_compat & !RO_COMPAT_EXT3 != 0 {
        Kind::Ext4
    } else if journal {
        Kind::Ext3
    } else {
        Kind::Ext2
    };
    let state = match u16_at(&block, 0x3a) {
        state if state & 2 != 0 => State::Errors,
        state if state & 1 == 0 && !journal => State::Unclean,
        _ => State::Clean,
    };
    Some(Volume { kind, label: text(&block[0x78..0x88]), uuid: uuid(&block[0x68..0x78]), state, devices: 1 })
}

/// include/uapi/linux/btrfs_tree.h, `struct btrfs_super_block`.
fn btrfs(device: &mut impl Bytes) -> Option<Volume> {
    let block = device.at(0x10000, 4096)?;
    if &block[0x40..0x48] != b"_BHRfS_M" {
        return None;
    }
    let (label, uuid) = (text(&block[0x12b..0x22b]), uuid(&block[0x20..0x30]));
    Some(Volume { kind: Kind::Btrfs, label, uuid, state: State::Clean, devices: u64_at(&block, 0x88) })
}

/// ECMA-119, 8.4: the primary volume descriptor.
fn iso9660(device: &mut impl Bytes) -> Option<Volume> {
    let block = device.at(0x8000, 2048)?;
    if block[0] != 1 || &block[1..6] != b"CD001" {
        return None;
    }
    // The time of the last change, else that of the making, as digits; blkid(8) puts lines between.
    let is_set =
        |time: &&[u8]| time.iter().all(u8::is_ascii_digit) && time.iter().any(|digit| *digit != b'0');
    let time = [&block[830..846], &block[813..829]].into_iter().find(is_set).unwrap_or_default();
    let mut uuid = String::new();
    for (index, digit) in time.iter().enumerate() {
        if index >= 4 && index % 2 == 0 {
            uuid.push('-');
        }
        uuid.push(char::from(*digit));
    }
    Some(Volume { kind: Kind::Iso9660, label: text(&block[40..72]), uuid, state: State::Clean, devices: 1 })
}

/// Microsoft, "FAT: General Overview of On-Disk Format", version 1.03.
fn vfat(device: &mut impl Bytes) -> Option<Volume> {
    let boot = device.at(0, 512)?;
    let [sector, cluster] = [u64::from(u16_at(&boot, 11)), u64::from(boot[13])];
    let [reserved, fats, entries] =
        [u64::from(u16_at(&boot, 14)), u64::from(boot[16]), u64::from(u16_at(&boot, 17))];
    let is_fat = u16_at(&boot, 510) == 0xaa55
        && [512, 1024, 2048, 4096].contains(&sector)
        && cluster.is_power_of_two()
        && reserved != 0
        && fats != 0
        && (boot[21] == 0xf0 || boot[21] >= 0xf8);
    if !is_fat {
        return None;
    }
    let is_fat32 = u16_at(&boot, 22) == 0;
    let fat_sectors = if is_fat32 { u64::from(u32_at(&boot, 36)) } else { u64::from(u16_at(&boot, 22)) };
    // A master boot record has a signature, too, but neither name of a kind.
    let (extension, name) = if is_fat32 { (64, &boot[82..87]) } else { (36, &boot[54..58]) };
    if fat_sectors == 0 || !name.starts_with(b"FAT") || ![0x28, 0x29].contains(&boot[extension + 2]) {
        return None;
    }
    let data = (reserved + fats * fat_sectors) * sector;
    let (root, length) = if is_fat32 {
        let first = u64::from(u32_at(&boot, 44)).saturating_sub(2);
        (data + first * cluster * sector, cluster * sector)
    } else {
        (data, entries * 32)
    };
    let directory = device.at(root, length.min(0x1_0000) as usize).unwrap_or_default();
    let own = &boot[extension + 7..extension + 18];
    let label = volume_entry(&directory).map_or_else(|| text(own), text);
    let serial = u32_at(&boot, extension + 3);
    Some(Volume {
        kind: Kind::Vfat,
        label: if label == "NO NAME" { String::new() } else { label },
        uuid: format!("{:04x}-{:04x}", serial >> 16, serial & 0xffff),
        state: if boot[extension + 1] & 1 == 0 { State::Clean } else { State::Unclean },
        devices: 1,
    })
}

/// The directory entry that is the volume's name, and no part of a long name.
fn volume_entry(directory: &[u8]) -> Option<&[u8]> {
    let entries = directory.chunks_exact(32).take_while(|entry| entry[0] != 0);
    entries
        .map(|entry| (entry, entry[11]))
        .find(|(entry, kind)| entry[0] != 0xe5 && kind & 0x3f == 0x08)
        .map(|(entry, _)| &entry[..11])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Bytes for Vec<u8> {
        fn at(&mut self, place: u64, length: usize) -> Option<Vec<u8>> {
            let place = usize::try_from(place).ok()?;
            self.get(place..place.checked_add(length)?).map(<[u8]>::to_vec)
        }
    }

    fn put(disk: &mut [u8], place: usize, bytes: &[u8]) {
        disk[place..place + bytes.len()].copy_from_slice(bytes);
    }

    fn ext(compat: u32, incompat: u32, ro_compat: u32, state: u16) -> Vec<u8> {
        let mut disk = vec![0; 0x12000];
        put(&mut disk, 1024 + 0x38, &0xef53u16.to_le_bytes());
        put(&mut disk, 1024 + 0x3a, &state.to_le_bytes());
        for (place, bits) in [(0x5c, compat), (0x60, incompat), (0x64, ro_compat)] {
            put(&mut disk, 1024 + place, &bits.to_le_bytes());
        }
        put(&mut disk, 1024 + 0x68, &(0..16).collect::<Vec<u8>>());
        put(&mut disk, 1024 + 0x78, b"data");
        disk
    }

    fn fat(name: &[u8], extension: usize) -> Vec<u8> {
        let mut disk = vec![0; 0x12000];
        put(&mut disk, 11, &512u16.to_le_bytes());
        disk[13] = 1;
        put(&mut disk, 14, &2u16.to_le_bytes());
        disk[16] = 2;
        put(&mut disk, 17, &16u16.to_le_bytes());
        disk[21] = 0xf8;
        if extension == 64 {
            put(&mut disk, 36, &3u32.to_le_bytes());
            put(&mut disk, 44, &3u32.to_le_bytes());
        } else {
            put(&mut disk, 22, &3u16.to_le_bytes());
        }
        disk[extension + 2] = 0x29;
        put(&mut disk, extension + 3, &0xabcd_1234u32.to_le_bytes());
        put(&mut disk, extension + 7, b"NO NAME    ");
        put(&mut disk, extension + 18, name);
        put(&mut disk, 510, &[0x55, 0xaa]);
        disk
    }

    #[test]
    fn the_extended_file_systems_are_told_apart() {
        for (compat, incompat, ro_compat, state, kind, expected) in [
            (0, 2, 3, 1, Kind::Ext2, State::Clean),
            (0, 2, 3, 0, Kind::Ext2, State::Unclean),
            (4, 6, 3, 0, Kind::Ext3, State::Clean),
            (4, 0x42, 3, 1, Kind::Ext4, State::Clean),
            (4, 2, 0x8, 3, Kind::Ext4, State::Errors),
        ] {
            let found = identify(&mut ext(compat, incompat, ro_compat, state)).unwrap();
            assert_eq!((found.kind, found.state), (kind, expected));
            assert_eq!(found.label, "data");
            assert_eq!(found.uuid, "00010203-0405-0607-0809-0a0b0c0d0e0f");
        }
        assert_eq!(identify(&mut ext(0, 8, 0, 1)), None, "a journal is no file system");
    }

    #[test]
    fn fat_is_named_by_its_root_directory_else_by_its_boot_sector() {
        for (name, extension, root) in [(b"FAT16   ", 36, 8 * 512), (b"FAT32   ", 64, 9 * 512)] {
            let mut disk = fat(name, extension);
            let found = identify(&mut disk).unwrap();
            assert_eq!(
                (found.kind, found.label.as_str(), found.uuid.as_str()),
                (Kind::Vfat, "", "abcd-1234")
            );
            // A part of a long name, which has the bit of a volume's name among its own; then the name itself.
            put(&mut disk, root, b"\x41long name  \x0f");
            put(&mut disk, root + 32, b"PHOTOS     \x08");
            assert_eq!(identify(&mut disk).unwrap().label, "PHOTOS");
            disk[extension + 1] = 1;
            assert_eq!(identify(&mut disk).unwrap().state, State::Unclean);
        }
        let mut record = vec![0; 512];
        put(&mut record, 510, &[0x55, 0xaa]);
        assert_eq!(identify(&mut record), None, "a master boot record is no file system");
    }

    #[test]
    fn cds_and_btrfs_are_known() {
        let mut disk = vec![0; 0x12000];
        put(&mut disk, 0x8000, b"\x01CD001\x01");
        put(&mut disk, 0x8000 + 40, b"HOLIDAYS                        ");
        put(&mut disk, 0x8000 + 813, b"2026112120193400");
        put(&mut disk, 0x8000 + 830, b"0000000000000000");
        let found = identify(&mut disk).unwrap();
        assert_eq!((found.kind, found.label.as_str()), (Kind::Iso9660, "HOLIDAYS"));
        assert_eq!(found.uuid, "2026-11-21-20-19-34-00");
        put(&mut disk, 0x10040, b"_BHRfS_M");
        put(&mut disk, 0x1012b, b"pool");
        put(&mut disk, 0x10088, &2u64.to_le_bytes());
        let found = identify(&mut disk).unwrap();
        assert_eq!((found.kind, found.label.as_str(), found.devices), (Kind::Btrfs, "pool", 2));
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_can_make_it_panic(
            start in 0usize..6,
            length in 0usize..0x12000,
            changes in proptest::collection::vec((0usize..0x12000, any::<u8>()), 0..64),
            head in proptest::collection::vec((0usize..512, any::<u8>()), 0..32),
        ) {
            let mut disk = match start {
                0 => ext(4, 0x42, 3, 1),
                1 => fat(b"FAT16   ", 36),
                2 => fat(b"FAT32   ", 64),
                _ => vec![0xff; 0x12000],
            };
            for (place, byte) in changes.into_iter().chain(head) {
                disk[place] = byte;
            }
            disk.truncate(length);
            let _ = identify(&mut disk);
        }
    }
}
