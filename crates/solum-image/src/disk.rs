//! What lies where on a disk that a machine boots from, by UEFI.
//!
//! The partitions' content may be gigabytes, so it does not come through here: the caller gets the frame (tables and boot
//! partition) and the places to copy it to.

use std::fmt;

use crate::executable::Architecture;
use crate::fat::{self, FatError};
use crate::gpt::{self, Guid, TableError, Wanted};
use crate::sparse::Sparse;

/// Size of the boot partition: room for the images of both slots, whatever kernel they have.
pub const ESP_SIZE: u64 = 128 << 20;

/// Name of the data partition, and the label of its file system.
pub use solum_spec::storage::DATA_LABEL;

/// Directory of unified kernel images on the boot partition (UAPI Group, Boot Loader Specification, type 2).
pub const IMAGE_DIRECTORY: &str = "EFI/Linux";

/// The image that is installed when a disk is made.
pub const FIRST_IMAGE: &str = "EFI/Linux/solum_1.efi";

const ESP_LABEL: &str = "SOLUM-ESP";

/// systemd-boot starts what is there without showing a menu; a key held down shows it.
const LOADER: &str = "timeout 0\neditor no\n";

/// Where firmware looks for what to start on a medium that it was told nothing about (UEFI 2.10, 3.5.1.1).
pub const fn default_program(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "EFI/BOOT/BOOTX64.EFI",
        Architecture::Aarch64 => "EFI/BOOT/BOOTAA64.EFI",
    }
}

/// What boots from a disk.
#[derive(Clone, Debug)]
pub struct Boot {
    /// What the machine is.
    pub architecture: Architecture,
    /// systemd-boot, like `systemd-bootx64.efi`.
    pub loader: Vec<u8>,
    /// The unified kernel image.
    pub image: Vec<u8>,
}

/// A partition beside the boot partition. What is in it is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name ([`DATA_LABEL`], [`disk_partition`](solum_spec::storage::disk_partition)).
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What makes one disk differ from another.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Bytes that all ids are derived from, like a hash of all content: two disks with one of them have the same ids.
    pub seed: &'a [u8],
    /// Time stamp of files, in seconds since 1970.
    pub epoch_s: u64,
}

/// Where the content of a partition has to be copied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub offset: u64,
    /// Size of the partition.
    pub size: u64,
}

/// A disk without the content of its further partitions.
#[derive(Debug)]
pub struct Frame {
    /// Tables and boot partition.
    pub image: Sparse,
    /// Where the further partitions are, in the order in which they were given.
    pub places: Vec<Place>,
}

/// Why there can be no such disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The boot partition cannot be made.
    Boot(FatError),
    /// The partitions cannot be laid out.
    Table(TableError),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(error) => error.fmt(f),
            Self::Table(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DiskError {}

impl From<FatError> for DiskError {
    fn from(error: FatError) -> Self {
        Self::Boot(error)
    }
}

impl From<TableError> for DiskError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl DiskError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Boot(FatError::Full { .. }) => {
                Some("keep large files out of the initramfs: put them on the data partition".into())
            }
            Self::Table(TableError::TooLarge { .. }) => Some("make the disk larger".into()),
            _ => None,
        }
    }
}

/// The boot partition of a medium that holds nothing but one image, which firmware starts by itself.
///
/// # Errors
///
/// [`FatError`].
pub fn single_image_esp(
    architecture: Architecture,
    image: Vec<u8>,
    identity: &Identity,
) -> Result<Sparse, FatError> {
    let files = vec![(default_program(architecture).to_owned(), image)];
    fat::write(files, &esp_options(fat::Size::Smallest, identity))
}

/// Lays out a disk of the given size, or of the least that holds all.
///
/// # Errors
///
/// [`DiskError`].
pub fn write(
    boot: Boot,
    extras: &[Extra],
    size: Option<u64>,
    identity: &Identity,
) -> Result<Frame, DiskError> {
    let files = vec![
        (default_program(boot.architecture).to_owned(), boot.loader),
        ("loader/loader.conf".to_owned(), LOADER.into()),
        (FIRST_IMAGE.to_owned(), boot.image),
    ];
    let esp = fat::write(files, &esp_options(fat::Size::Exactly(ESP_SIZE), identity))?;
    let partition = |kind, name: &str, size| Wanted {
        kind,
        id: Guid::derived(identity.seed, &format!("partition {name}")),
        name: name.to_owned(),
        size,
    };
    let mut wanted = vec![partition(gpt::kind::ESP, "esp", ESP_SIZE)];
    wanted.extend(extras.iter().map(|extra| partition(gpt::kind::LINUX_DATA, &extra.name, extra.size)));
    let (mut image, table) = gpt::write(Guid::derived(identity.seed, "disk"), &wanted, size)?;
    let mut places = table.partitions.iter().map(|it| Place { offset: it.offset, size: it.size });
    if let Some(place) = places.next() {
        image.push_image(place.offset, esp);
    }
    Ok(Frame { image, places: places.collect() })
}

fn esp_options(size: fat::Size, identity: &Identity) -> fat::Options<'static> {
    let [a, b, c, d, ..] = Guid::derived(identity.seed, "boot file system").0;
    fat::Options { size, label: ESP_LABEL, id: u32::from_be_bytes([a, b, c, d]), epoch_s: identity.epoch_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::Fat;
    use crate::sparse::{ReadAt, Window};

    const IDENTITY: Identity = Identity { seed: b"content", epoch_s: 1_763_763_013 };

    fn boot() -> Boot {
        Boot { architecture: Architecture::X86_64, loader: vec![1; 1000], image: vec![2; 5000] }
    }

    #[test]
    fn a_disk_boots_an_image_and_has_places_for_the_rest() {
        let extras = [
            Extra { name: solum_spec::storage::disk_partition("a"), size: 1 << 20 },
            Extra { name: DATA_LABEL.into(), size: (64 << 20) + 1 },
        ];
        let frame = write(boot(), &extras, None, &IDENTITY).unwrap();
        let table = gpt::read(&frame.image).unwrap();
        let names: Vec<&str> = table.partitions.iter().map(|partition| partition.name.as_str()).collect();
        assert_eq!(names, ["esp", "solum-disk-a", "solum-data"]);
        assert_ne!(table.partitions[1].id, table.partitions[2].id);
        assert_eq!(frame.places[0], Place { offset: 129 << 20, size: 1 << 20 });
        assert_eq!(frame.places[1], Place { offset: 130 << 20, size: 65 << 20 });
        assert_eq!(frame.image.length(), 196 << 20);
        let esp = table.of_kind(gpt::kind::ESP).unwrap();
        let fat = Fat::open(Window::new(&frame.image, esp.offset, esp.size).unwrap()).unwrap();
        assert_eq!(fat.find("EFI/BOOT/BOOTX64.EFI").unwrap().unwrap(), vec![1; 1000]);
        assert_eq!(fat.find(FIRST_IMAGE).unwrap().unwrap(), vec![2; 5000]);
    }

    #[test]
    fn the_seed_is_all_that_ids_depend_on() {
        let one = write(boot(), &[], None, &IDENTITY).unwrap().image;
        assert!(one == write(boot(), &[], None, &IDENTITY).unwrap().image);
        let other = write(boot(), &[], None, &Identity { seed: b"other", ..IDENTITY }).unwrap().image;
        let (one, other) = (gpt::read(&one).unwrap(), gpt::read(&other).unwrap());
        assert_ne!(one.disk_id, other.disk_id);
        assert_ne!(one.partitions[0].id, other.partitions[0].id);
        assert_ne!(one.disk_id, one.partitions[0].id);
    }

    #[test]
    fn an_image_larger_than_the_boot_partition_is_refused() {
        let large = Boot { image: vec![0; ESP_SIZE as usize], ..boot() };
        let error = write(large, &[], None, &IDENTITY).unwrap_err();
        assert!(matches!(error, DiskError::Boot(FatError::Full { .. })) && error.hint().is_some());
        let extras = [Extra { name: DATA_LABEL.into(), size: 1 << 30 }];
        let error = write(boot(), &extras, Some(1 << 30), &IDENTITY).unwrap_err();
        assert!(matches!(error, DiskError::Table(TableError::TooLarge { .. })));
    }

    #[test]
    fn a_medium_with_one_image_starts_it_by_itself() {
        let esp = single_image_esp(Architecture::Aarch64, vec![3; 3 << 20], &IDENTITY).unwrap();
        assert!(esp.length() < 7 << 19, "{}", esp.length());
        let fat = Fat::open(&esp).unwrap();
        assert_eq!(fat.find("EFI/BOOT/BOOTAA64.EFI").unwrap().unwrap().len(), 3 << 20);
    }
}
