//! What file system a partition holds, by its first blocks.

use std::io;

use crate::iso9660;
use crate::sparse::number::{u16_le, u32_le, u64_le};
use crate::sparse::{ReadAt, read_vec};

/// A file system, as its superblock describes it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FileSystem {
    /// What Linux calls it.
    pub kind: &'static str,
    /// Its label, if it has one.
    pub label: Option<String>,
    /// Its identifier as `UUID=` names it, if it has one.
    pub id: Option<String>,
    /// How large it is in bytes, if it says so.
    pub size: Option<u64>,
    /// How much of that is used, its own tables included, if it says so.
    pub used: Option<u64>,
}

/// What is named without being read: where its magic number is, and what that is.
const NAMED: [(u64, &[u8], &str); 5] = [
    (4086, b"SWAPSPACE2", "swap"),
    (0, b"XFSB", "xfs"),
    (0, b"hsqs", "squashfs"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (3, b"NTFS    ", "ntfs"),
];

/// Says which file system lies on a volume; nothing, if it is none that is known here.
///
/// # Errors
///
/// What the medium says.
pub fn read(volume: &(impl ReadAt + ?Sized)) -> io::Result<Option<FileSystem>> {
    if let Some(found) = at(volume, 1024, 1024)?.as_deref().and_then(ext) {
        return Ok(Some(found));
    }
    if let Some(found) = at(volume, 64 << 10, 4096)?.as_deref().and_then(btrfs) {
        return Ok(Some(found));
    }
    if let Some(found) = at(volume, 0, 512)?.as_deref().and_then(fat) {
        return Ok(Some(found));
    }
    if let Ok(found) = iso9660::Volume::open(volume) {
        let label = Some(found.id().to_owned()).filter(|id| !id.is_empty());
        return Ok(Some(FileSystem {
            kind: "iso9660",
            label,
            size: Some(found.size()),
            ..FileSystem::default()
        }));
    }
    for (place, magic, kind) in NAMED {
        if at(volume, place, magic.len() as u64)?.as_deref() == Some(magic) {
            return Ok(Some(FileSystem { kind, ..FileSystem::default() }));
        }
    }
    Ok(None)
}

/// The bytes at a place, if there are so many.
fn at(volume: &(impl ReadAt + ?Sized), offset: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
    match read_vec(volume, offset, length) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Linux, Documentation/filesystems/ext4/super.rst.
fn ext(block: &[u8]) -> Option<FileSystem> {
    const MAGIC: u16 = 0xef53;
    const HAS_JOURNAL: u32 = 0x4;
    const IS_64_BIT: u32 = 0x80;
    /// Extents, 64-bit numbers, flexible block groups: none of ext3.
    const ONLY_EXT4: u32 = 0x40 | IS_64_BIT | 0x200;
    if u16_le(block, 0x38) != MAGIC {
        return None;
    }
    let (compatible, incompatible) = (u32_le(block, 0x5c), u32_le(block, 0x60));
    let count = |low: usize, high: usize| {
        let high = if incompatible & IS_64_BIT != 0 { u32_le(block, high) } else { 0 };
        u64::from(high) << 32 | u64::from(u32_le(block, low))
    };
    // No file system has blocks of more than 64 KiB.
    let shift = Some(u32_le(block, 0x18)).filter(|shift| *shift <= 6)? + 10;
    let (blocks, free) = (count(0x4, 0x150), count(0xc, 0x158));
    let bytes = |blocks: u64| blocks.checked_mul(1 << shift);
    Some(FileSystem {
        kind: match () {
            () if incompatible & ONLY_EXT4 != 0 => "ext4",
            () if compatible & HAS_JOURNAL != 0 => "ext3",
            () => "ext2",
        },
        label: text(block.get(0x78..0x88)?),
        id: uuid(block.get(0x68..0x78)?),
        size: bytes(blocks),
        used: blocks.checked_sub(free).and_then(bytes),
    })
}

/// Btrfs documentation, "On-disk Format", "Superblock".
fn btrfs(block: &[u8]) -> Option<FileSystem> {
    if block.get(0x40..0x48)? != b"_BHRfS_M" {
        return None;
    }
    Some(FileSystem {
        kind: "btrfs",
        label: text(block.get(0x12b..0x22b)?),
        id: uuid(block.get(0x20..0x30)?),
        size: Some(u64_le(block, 0x70)),
        used: Some(u64_le(block, 0x78)),
    })
}

/// Microsoft, FAT32 File System Specification, "Boot Sector and BPB".
fn fat(sector: &[u8]) -> Option<FileSystem> {
    let is_32 = sector.get(82..87)? == b"FAT32";
    let is_fat = is_32 || matches!(sector.get(54..59)?, b"FAT16" | b"FAT12");
    if !is_fat || sector.get(510..512)? != [0x55, 0xaa] {
        return None;
    }
    let start = if is_32 { 67 } else { 39 };
    let label = text(sector.get(start + 4..start + 15)?).filter(|label| label != "NO NAME");
    let id = u32_le(sector, start);
    let sectors = [u16_le(sector, 19).into(), u32_le(sector, 32)].into_iter().find(|count| *count > 0);
    Some(FileSystem {
        kind: "vfat",
        label,
        id: Some(format!("{:04X}-{:04X}", id >> 16, id & 0xffff)),
        size: sectors.map(|sectors| u64::from(sectors) * u64::from(u16_le(sector, 11))),
        used: None,
    })
}

fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    (bytes != [0; 16]).then(|| crate::gpt::Guid(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparse::Sparse;
    use crate::sparse::number::put;

    fn ext4() -> Vec<u8> {
        let mut volume = vec![0; 64 << 10];
        let block = &mut volume[1024..];
        put(block, 0x38, &0xef53u16.to_le_bytes());
        put(block, 0x4, &100u32.to_le_bytes());
        put(block, 0xc, &90u32.to_le_bytes());
        put(block, 0x18, &2u32.to_le_bytes());
        put(block, 0x60, &0x40u32.to_le_bytes());
        put(block, 0x68, &[0xab; 16]);
        put(block, 0x78, b"solum-data");
        volume
    }

    #[test]
    fn an_extended_file_system_says_how_full_it_is() {
        let found = read(&ext4()).unwrap().unwrap();
        assert_eq!((found.kind, found.label.as_deref()), ("ext4", Some("solum-data")));
        assert_eq!((found.size, found.used), (Some(400 << 10), Some(40 << 10)));
        assert_eq!(found.id.as_deref(), Some("abababab-abab-abab-abab-abababababab"));
    }

    #[test]
    fn btrfs_is_known_by_its_superblock() {
        let mut block = vec![0; 4096];
        put(&mut block, 0x40, b"_BHRfS_M");
        put(&mut block, 0x70, &(1u64 << 30).to_le_bytes());
        put(&mut block, 0x78, &4096u64.to_le_bytes());
        put(&mut block, 0x12b, b"data");
        let mut volume = Sparse::new(1 << 30);
        volume.push(64 << 10, block);
        let found = read(&volume).unwrap().unwrap();
        assert_eq!((found.kind, found.label.as_deref()), ("btrfs", Some("data")));
        assert_eq!((found.size, found.used), (Some(1 << 30), Some(4096)));
    }

    #[test]
    fn an_esp_is_known_by_its_label() {
        let esp = crate::disk::single_image_esp(
            crate::Architecture::X86_64,
            vec![7; 9000],
            &crate::disk::Identity { seed: b"seed", epoch_s: 0 },
        )
        .unwrap();
        let found = read(&esp).unwrap().unwrap();
        assert_eq!(found.kind, "vfat");
        assert!(found.label.is_some() && found.id.is_some(), "{found:?}");
        assert_eq!(found.size, Some(esp.length()));
    }

    #[test]
    fn damage_and_nothing_are_no_panic() {
        assert_eq!(read(&Vec::new()).unwrap(), None);
        assert_eq!(read(&vec![0; 1 << 20]).unwrap(), None);
        let volume = ext4();
        for at in 1024..2048 {
            let mut damaged = volume.clone();
            damaged[at] ^= 0xff;
            let _ = read(&damaged).unwrap();
            assert_eq!(read(&volume[..at].to_vec()).unwrap(), None);
        }
    }
}
