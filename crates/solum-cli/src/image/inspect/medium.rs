//! Disks and CDs.

use solum_image::disk::IMAGE_DIRECTORY;
use solum_image::fat::{self, Fat};
use solum_image::gpt::{self, kind};
use solum_image::iso9660::{Platform, Volume};
use solum_image::sparse::Window;
use solum_image::{ReadAt, Unreadable, filesystem, wrapping};

use super::report::{Cd, Disk, FileSystem, Partition, Report};
use super::{boot, is_uki};

/// A disk in any wrapping.
pub fn disk(file: &impl ReadAt, report: &mut Report) -> Result<(), Unreadable> {
    let (_, disk) = wrapping::open(file)?;
    let table = gpt::read(&disk)?;
    if table.is_backup {
        report
            .damage
            .push("its first partition table is damaged; this is what the second one says".to_owned());
    }
    let mut partitions = Vec::new();
    for partition in &table.partitions {
        let file_system = match Window::new(&disk, partition.offset, partition.size) {
            Ok(volume) => filesystem::read(&volume)?,
            Err(_) => {
                let what = format!(
                    "partition {} ends after the disk does: the image is truncated",
                    partition.number
                );
                report.unbootable.get_or_insert_with(|| what.clone());
                report.damage.push(what);
                None
            }
        };
        partitions.push(Partition {
            number: partition.number,
            name: partition.name.clone(),
            kind: kind::name(partition.kind),
            type_id: partition.kind.to_string(),
            id: partition.id.to_string(),
            offset_bytes: partition.offset,
            size_bytes: partition.size,
            file_system: file_system.map(described),
        });
    }
    report.disk = Some(Disk { size_bytes: disk.length(), id: table.disk_id.to_string(), partitions });
    boot_partition(&disk, &table, report);
    Ok(())
}

fn described(found: filesystem::FileSystem) -> FileSystem {
    FileSystem {
        kind: found.kind,
        label: found.label,
        id: found.id,
        size_bytes: found.size,
        used_bytes: found.used,
    }
}

/// The boot partition of a table, if there is one.
fn boot_partition(disk: &impl ReadAt, table: &gpt::Table, report: &mut Report) -> bool {
    let Some(esp) = table.of_kind(kind::ESP) else {
        return false;
    };
    let Ok(volume) = Window::new(disk, esp.offset, esp.size) else { return false };
    boots(&volume, report);
    true
}

/// Every unified kernel image of a boot partition.
fn boots(volume: &impl ReadAt, report: &mut Report) {
    let told = Fat::open(volume).and_then(|fat| {
        let mut entries: Vec<fat::Entry> = fat.list()?;
        entries.retain(|entry| !entry.is_directory && may_start(&entry.path));
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        for entry in &entries {
            let bytes = match fat.read(entry) {
                Ok(bytes) => bytes,
                Err(error) => {
                    report.damage.push(format!("{} cannot be read: {error}", entry.path));
                    continue;
                }
            };
            if is_uki(&bytes) {
                let found = boot::of_uki(&bytes, Some(&entry.path), &mut report.damage, &mut report.notes);
                report.boots.extend(found);
            }
        }
        Ok(())
    });
    if let Err(error) = told {
        report.damage.push(format!("its boot partition cannot be read: {error}"));
    }
    if report.boots.is_empty() {
        report.notes.push("there is no unified kernel image on its boot partition".to_owned());
    }
}

/// Where boot managers (UAPI Group, Boot Loader Specification) and firmware (UEFI 2.10, 3.5.1.1) look.
fn may_start(path: &str) -> bool {
    let path = path.to_lowercase();
    let within = |directory: &str| path.starts_with(&format!("{}/", directory.to_lowercase()));
    path.ends_with(".efi") && (within(IMAGE_DIRECTORY) || within("EFI/BOOT"))
}

/// A CD.
pub fn cd(file: &impl ReadAt, report: &mut Report) -> Result<(), Unreadable> {
    let volume = Volume::open(file)?;
    let entries = volume.list().unwrap_or_else(|error| {
        report.damage.push(error.to_string());
        Vec::new()
    });
    // What a BIOS boots is a part of the system.
    let content = entries.iter().filter(|entry| !entry.is_directory && !entry.path.starts_with("isolinux/"));
    let sizes: Vec<u64> = content.map(|entry| entry.size).collect();
    let mut firmware: Vec<String> = volume
        .bootable()
        .iter()
        .map(|one| match one.platform {
            Platform::Bios => "BIOS".to_owned(),
            Platform::Uefi => "UEFI".to_owned(),
            Platform::Other(number) => format!("platform {number}"),
        })
        .collect();
    firmware.dedup();
    if volume.size() > file.length() {
        let what = "it is shorter than it says: the image is truncated".to_owned();
        report.unbootable = Some(what.clone());
        report.damage.push(what);
    }
    report.cd = Some(Cd {
        volume_id: volume.id().to_owned(),
        size_bytes: volume.size(),
        firmware,
        files: sizes.len() as u64,
        content_bytes: sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size)),
    });
    // Sticks have the boot partition in a table, CDs in the catalogue of what boots; mostly it is the same.
    let in_table = gpt::read(file).is_ok_and(|table| boot_partition(file, &table, report));
    let uefi = volume.bootable().iter().find(|one| one.platform == Platform::Uefi);
    if let Some(found) = uefi.filter(|_| !in_table) {
        let rest = file.length().saturating_sub(found.offset);
        if let Ok(volume) = Window::new(file, found.offset, rest) {
            boots(&volume, report);
        }
    }
    Ok(())
}
