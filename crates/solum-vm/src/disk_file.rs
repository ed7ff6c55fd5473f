//! A file of the host that a machine has as a disk.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

/// A file of the host that a machine has as a disk: `FILE[:ro]`. Its bytes are those of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFile {
    /// The file.
    pub file: PathBuf,
    /// The machine may not write.
    pub read_only: bool,
}

impl FromStr for DiskFile {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (file, read_only) = match text.strip_suffix(":ro") {
            Some(file) => (file, true),
            None => (text.strip_suffix(":rw").unwrap_or(text), false),
        };
        Ok(Self { file: file.into(), read_only })
    }
}

/// The names of disks that belong to a system (`solum_spec::control::disk_serial`).
const OF_SYSTEMS: &str = "solum-disk-";
/// A virtio block device's serial number has at most so many bytes (Virtio 1.2, section 5.2.6.1).
const SERIAL_BYTES: usize = 20;

impl DiskFile {
    /// The serial number that the machine sees, after the file's name; none where that says nothing, or another thing.
    pub(crate) fn serial(&self) -> Option<String> {
        let stem = self.file.file_stem()?.to_string_lossy();
        let is_plain = |sign: &char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.');
        let serial: String = stem.chars().filter(is_plain).take(SERIAL_BYTES).collect();
        (!serial.is_empty() && !serial.starts_with(OF_SYSTEMS)).then_some(serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_names_its_disk() {
        for (text, file, read_only, serial) in [
            ("data.img", "data.img", false, Some("data")),
            ("a/b,c d.img:ro", "a/b,c d.img", true, Some("bcd")),
            ("disk:rw", "disk", false, Some("disk")),
            ("solum-disk-0.img", "solum-disk-0.img", false, None),
            (
                "a-name-that-is-longer-than-it-may-be",
                "a-name-that-is-longer-than-it-may-be",
                false,
                Some("a-name-that-is-longe"),
            ),
        ] {
            let disk: DiskFile = text.parse().unwrap();
            assert_eq!((disk.file.to_str(), disk.read_only), (Some(file), read_only));
            assert_eq!(disk.serial().as_deref(), serial, "{text}");
        }
    }
}
