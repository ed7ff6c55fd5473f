//! Finding out what a device is: from sysfs, the table of mounts and that of swap space.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use solum_image::filesystem;

use super::device::{Device, Part, Use};
use crate::sparse_file::SparseFile;

/// Devices that are parts of devices that are parts of devices; there are never so many.
const DEEPEST: usize = 16;

type Number = (u32, u32);

/// Where the facts are.
struct Sources {
    /// `/sys`.
    sys: PathBuf,
    /// `/dev`.
    dev: PathBuf,
    mounts: Vec<Mount>,
    swaps: Vec<Number>,
}

struct Mount {
    number: Number,
    at: String,
}

/// Everything about the device at a path; nothing, if it is no block device.
pub fn find(path: &Path) -> io::Result<Option<Device>> {
    let metadata = fs::metadata(path)?;
    if !metadata.file_type().is_block_device() {
        return Ok(None);
    }
    let number_of = |path: &str| {
        let metadata = fs::metadata(path).ok().filter(|found| found.file_type().is_block_device())?;
        Some(number(metadata.rdev()))
    };
    let sources = Sources {
        sys: "/sys".into(),
        dev: "/dev".into(),
        mounts: mounts(&fs::read_to_string("/proc/self/mountinfo")?, number_of),
        // A kernel without swap has no such file.
        swaps: swaps(&fs::read_to_string("/proc/swaps").unwrap_or_default(), number_of),
    };
    sources.device(number(metadata.rdev())).map(Some)
}

/// Major and minor number of a device.
pub fn number(device: u64) -> Number {
    (rustix::fs::major(device), rustix::fs::minor(device))
}

/// proc_pid_mountinfo(5). The number is that of the device, but for file systems that make up their own, like btrfs.
fn mounts(text: &str, number_of: impl Fn(&str) -> Option<Number>) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for line in text.lines() {
        let (before, after) = line.split_once(" - ").unwrap_or((line, ""));
        let fields: Vec<&str> = before.split(' ').collect();
        let (Some(own), Some(at)) = (fields.get(2).and_then(|text| numbers(text)), fields.get(4)) else {
            continue;
        };
        let at = unescape(at);
        let source = after.split(' ').nth(1).map(unescape);
        let of_source = source.filter(|source| source.starts_with('/')).and_then(|source| number_of(&source));
        mounts.extend(of_source.map(|number| Mount { number, at: at.clone() }));
        mounts.push(Mount { number: own, at });
    }
    mounts
}

/// proc_swaps(5).
fn swaps(text: &str, number_of: impl Fn(&str) -> Option<Number>) -> Vec<Number> {
    let names = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.filter_map(|name| number_of(&unescape(name))).collect()
}

fn numbers(text: &str) -> Option<Number> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Blanks are written as octal numbers.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[3..]);
            }
            None => {
                bytes.push(b'\\');
                bytes.extend(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn text(path: PathBuf) -> Option<String> {
    let text = fs::read_to_string(path).ok()?.trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

fn figure(path: PathBuf) -> Option<u64> {
    text(path)?.parse().ok()
}

fn name(directory: &Path) -> String {
    // The kernel writes `!` where a name has a slash (Documentation/ABI, sysfs-block).
    directory.file_name().unwrap_or_default().to_string_lossy().replace('!', "/")
}

/// The devices in a directory, in order.
fn within(directory: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(directory).into_iter().flatten();
    let mut found: Vec<PathBuf> = found.filter_map(|entry| entry.ok()?.path().canonicalize().ok()).collect();
    found.sort();
    found
}

impl Sources {
    fn device(&self, number: Number) -> io::Result<Device> {
        let link = self.sys.join(format!("dev/block/{}:{}", number.0, number.1));
        let directory = link.canonicalize()?;
        let is_partition = directory.join("partition").exists();
        let whole = directory.parent().filter(|_| is_partition).map(Path::to_owned);
        let disk = whole.as_deref().unwrap_or(&directory);
        let parts: Vec<PathBuf> =
            within(&directory).into_iter().filter(|path| path.join("partition").exists()).collect();
        let mut uses = Vec::new();
        for path in [&directory].into_iter().chain(&parts) {
            self.uses(path, 0, &mut uses);
        }
        let of_disk = |file: &str| text(disk.join(file));
        let mut partitions: Vec<Part> = parts.iter().map(|path| self.part(path)).collect();
        if partitions.is_empty() {
            let own = self.part(&directory);
            partitions.extend(Some(own).filter(|own| own.kind.is_some()));
        }
        Ok(Device {
            name: name(&directory),
            number,
            sequence: figure(disk.join("diskseq")),
            whole: whole.as_deref().map(name),
            // In sectors of 512 bytes, whatever the device has (Documentation/ABI/stable/sysfs-block).
            size: figure(directory.join("size")).unwrap_or(0).saturating_mul(512),
            sector: figure(disk.join("queue/logical_block_size")).unwrap_or(512),
            is_read_only: figure(directory.join("ro")) == Some(1),
            is_removable: figure(disk.join("removable")) == Some(1),
            bus: bus(disk),
            // That of a virtio device is a number, which tells nobody anything.
            vendor: of_disk("device/vendor").filter(|vendor| !vendor.starts_with("0x")),
            model: of_disk("device/model").or_else(|| of_disk("device/name")),
            backing_file: of_disk("loop/backing_file"),
            partitions,
            uses,
        })
    }

    fn part(&self, directory: &Path) -> Part {
        let name = name(directory);
        // Who may not read it learns its size alone.
        let volume = SparseFile::open(&self.dev.join(&name)).ok();
        let found = volume.and_then(|volume| filesystem::read(&volume).ok().flatten());
        Part {
            size: figure(directory.join("size")).unwrap_or(0).saturating_mul(512),
            kind: found.as_ref().map(|found| found.kind),
            label: found.and_then(|found| found.label),
            name,
        }
    }

    /// Who uses the device of this directory, or one that it is a part of.
    fn uses(&self, directory: &Path, depth: usize, uses: &mut Vec<Use>) {
        let what = name(directory);
        if let Some(number) = text(directory.join("dev")).and_then(|text| numbers(&text)) {
            let here = self.mounts.iter().filter(|mount| mount.number == number);
            for mount in here {
                let found = Use::Mounted { what: what.clone(), at: mount.at.clone() };
                if !uses.contains(&found) {
                    uses.push(found);
                }
            }
            if self.swaps.contains(&number) {
                uses.push(Use::Swap { what: what.clone() });
            }
        }
        for holder in within(&directory.join("holders")) {
            uses.push(Use::Held { what: what.clone(), by: name(&holder) });
            if depth < DEEPEST {
                self.uses(&holder, depth + 1, uses);
                let parts = within(&holder).into_iter().filter(|path| path.join("partition").exists());
                parts.for_each(|part| self.uses(&part, depth + 1, uses));
            }
        }
    }
}

/// How a disk is attached: by the directories that lead to it.
fn bus(disk: &Path) -> Option<&'static str> {
    let path = disk.to_string_lossy();
    let known = [
        ("/usb", "USB"),
        ("/mmc", "SD or MMC card"),
        ("/nvme", "NVMe"),
        ("/ata", "SATA"),
        ("/virtio", "virtio"),
        ("/virtual/", "virtual"),
    ];
    known.into_iter().find_map(|(part, name)| path.contains(part).then_some(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A made-up sysfs: a USB stick with two partitions, one of them below an encrypted device.
    fn sources(mountinfo: &str) -> (tempfile::TempDir, Sources) {
        let place = tempfile::tempdir().unwrap();
        let sys = place.path().to_owned();
        let usb = sys.join("devices/pci0/usb2/2-1/block/sdb");
        let crypt = sys.join("devices/virtual/block/dm-0");
        let files = [
            (usb.clone(), "8:16", "2048"),
            (usb.join("sdb1"), "8:17", "1000"),
            (usb.join("sdb2"), "8:18", "900"),
            (crypt.clone(), "254:0", "900"),
        ];
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        for (directory, number, size) in &files {
            fs::create_dir_all(directory.join("holders")).unwrap();
            fs::write(directory.join("dev"), format!("{number}\n")).unwrap();
            fs::write(directory.join("size"), format!("{size}\n")).unwrap();
            fs::write(directory.join("ro"), "0\n").unwrap();
            symlink(directory, sys.join("dev/block").join(number)).unwrap();
        }
        for part in ["sdb1", "sdb2"] {
            fs::write(usb.join(part).join("partition"), "1\n").unwrap();
        }
        symlink(&crypt, usb.join("sdb2/holders/dm-0")).unwrap();
        fs::write(usb.join("removable"), "1\n").unwrap();
        fs::write(usb.join("diskseq"), "9\n").unwrap();
        fs::create_dir_all(usb.join("device")).unwrap();
        fs::write(usb.join("device/model"), "Stick   \n").unwrap();
        let number_of = |path: &str| (path == "/dev/sdb1").then_some((8, 17));
        let sources = Sources {
            dev: sys.join("no-devices"),
            sys,
            mounts: mounts(mountinfo, number_of),
            swaps: swaps("Filename Type Size\n/dev/sdb1 partition 9 0 -2\n/a/file file 9 0 -2\n", number_of),
        };
        (place, sources)
    }

    const MOUNTS: &str = "27 1 254:0 / / rw,relatime - ext4 /dev/mapper/root rw\n\
        30 27 0:40 / /media/my\\040stick rw shared:1 - btrfs /dev/sdb1 rw\n\
        31 27 0:41 / /tmp rw - tmpfs tmpfs rw\n\
        nonsense\n";

    #[test]
    fn a_stick_is_known_with_all_who_use_it() {
        let (_place, sources) = sources(MOUNTS);
        let device = sources.device((8, 16)).unwrap();
        assert_eq!((&*device.name, device.whole.as_deref()), ("sdb", None));
        assert_eq!((device.size, device.is_removable, device.bus), (1 << 20, true, Some("USB")));
        assert_eq!(device.model.as_deref(), Some("Stick"));
        let names: Vec<_> = device.partitions.iter().map(|part| (&*part.name, part.size)).collect();
        assert_eq!(names, [("sdb1", 512_000), ("sdb2", 460_800)]);
        let text = |text: &str| text.to_owned();
        assert_eq!(
            device.uses,
            [
                Use::Mounted { what: text("sdb1"), at: text("/media/my stick") },
                Use::Swap { what: text("sdb1") },
                Use::Held { what: text("sdb2"), by: text("dm-0") },
                Use::Mounted { what: text("dm-0"), at: text("/") },
            ]
        );
    }

    #[test]
    fn a_partition_names_its_disk() {
        let (_place, sources) = sources("");
        let device = sources.device((8, 18)).unwrap();
        assert_eq!((&*device.name, device.whole.as_deref()), ("sdb2", Some("sdb")));
        assert_eq!(device.sequence, Some(9), "that of its disk");
        assert!(sources.device((9, 9)).is_err());
    }

    #[test]
    fn what_is_no_block_device_is_none() {
        assert_eq!(find(Path::new("/dev/null")).unwrap(), None);
        assert_eq!(find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap(), None);
        assert!(find(Path::new("/dev/no-such-device")).is_err());
    }
}
