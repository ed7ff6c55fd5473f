//! The disks and partitions that the kernel knows.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::find::Device;
use super::table::Table;
use super::volume::{self, Bytes};

const BLOCK: &str = "/sys/class/block";
/// Block devices that are no disks: loops, memory, mapped ones; and floppies, which take seconds to say that they are empty.
const NO_DISKS: [&str; 5] = ["loop", "ram", "zram", "dm-", "fd"];

impl Bytes for File {
    fn at(&mut self, place: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, place).ok()?;
        Some(bytes)
    }
}

/// All of them, by name.
pub fn devices() -> Vec<Device> {
    names().into_iter().map(device).collect()
}

/// What differs when a disk was plugged in or out, without looking at any: to look at a drive without a medium can be an event
/// of its own. A disk has a number that no other has (Documentation/ABI/testing/sysfs-block, `diskseq`).
pub fn generation() -> Vec<(String, Option<u64>)> {
    let with_number = |name: String| {
        let number = number(&name, "diskseq");
        (name, number)
    };
    names().into_iter().map(with_number).collect()
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(BLOCK).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| !NO_DISKS.iter().any(|prefix| name.starts_with(prefix))).collect();
    names.sort();
    names
}

/// Whether the kernel still knows it.
pub fn exists(name: &str) -> bool {
    Path::new(BLOCK).join(name).exists()
}

/// A number that the kernel tells of a device.
pub fn number(name: &str, attribute: &str) -> Option<u64> {
    fs::read_to_string(Path::new(BLOCK).join(name).join(attribute)).ok()?.trim().parse().ok()
}

/// Sizes in sysfs are in these, whatever a disk's own sectors are (Documentation/ABI/stable/sysfs-block).
const SIZE_UNIT: u64 = 512;

/// How many bytes a device has.
pub fn bytes(name: &str) -> u64 {
    number(name, "size").unwrap_or(0).saturating_mul(SIZE_UNIT)
}

/// How many bytes a sector of a disk has.
pub fn sector(disk: &str) -> u64 {
    number(disk, "queue/logical_block_size").unwrap_or(0).clamp(SIZE_UNIT, 1 << 16)
}

/// The partition table of a disk, if it is one that is valid.
pub fn table(file: &mut File, disk: &str) -> Option<Table> {
    Table::read(file, sector(disk))
}

fn device(name: String) -> Device {
    let directory = Path::new(BLOCK).join(&name);
    let partition = number(&name, "partition").and_then(|number| u32::try_from(number).ok());
    // The entry is a link to …/block/DISK, or to …/block/DISK/PARTITION.
    let place = fs::read_link(&directory).unwrap_or_else(|_| PathBuf::new());
    let parent = place.parent().and_then(Path::file_name).map(|disk| disk.to_string_lossy().into_owned());
    let disk = parent.filter(|_| partition.is_some()).unwrap_or_else(|| name.clone());
    let uevent = fs::read_to_string(directory.join("uevent")).unwrap_or_default();
    let said =
        |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
    let open = |name: &str| File::open(Path::new("/dev").join(name)).ok();
    let volume = open(&name).and_then(|mut file| volume::identify(&mut file));
    // Not every kernel says it.
    let from_table = || table(&mut open(&disk)?, &disk)?.identifier(partition?);
    let part_uuid = Some(said("PARTUUID=")).filter(|uuid| !uuid.is_empty()).or_else(from_table);
    Device {
        part_uuid: part_uuid.unwrap_or_default(),
        partition,
        disk,
        part_label: said("PARTNAME="),
        read_only: number(&name, "ro") == Some(1),
        volume,
        name,
    }
}
