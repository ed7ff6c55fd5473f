//! Whether a device may be overwritten. Nothing is done here.

use std::fmt;

use indicatif::HumanBytes;

use super::device::{Device, Use};

/// The image that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// How large it is, without its wrapping.
    pub size: u64,
    /// It is the device itself, or what that shows.
    pub is_the_device: bool,
}

/// Why a device is not overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The image would be written over itself.
    Itself,
    /// A partition of this disk.
    Partition {
        /// The partition.
        name: String,
        /// The whole disk.
        whole: String,
    },
    /// The running system is on it.
    System {
        /// The device.
        name: String,
        /// Which part of the system.
        at: String,
    },
    /// It is used.
    Used(Use),
    /// It cannot be written.
    ReadOnly(String),
    /// Images have sectors of 512 bytes.
    Sectors(u64),
    /// The image does not fit.
    TooSmall {
        /// How large the device is.
        device: u64,
        /// How large the image is.
        image: u64,
    },
}

/// What a running system stands on (Filesystem Hierarchy Standard 3.0).
const SYSTEM: [&str; 8] = ["/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/etc", "/home"];

/// Decides.
pub fn decide(device: &Device, image: &Image) -> Result<(), Refusal> {
    if let Some(whole) = &device.whole {
        return Err(Refusal::Partition { name: device.name.clone(), whole: whole.clone() });
    }
    let system = device.uses.iter().find_map(|found| match found {
        Use::Mounted { at, .. } if SYSTEM.contains(&at.as_str()) => Some(at.clone()),
        _ => None,
    });
    if let Some(at) = system {
        return Err(Refusal::System { name: device.name.clone(), at });
    }
    if image.is_the_device {
        return Err(Refusal::Itself);
    }
    // What is mounted or swap says more than the device above it that holds this one.
    let is_held = |found: &&Use| matches!(found, Use::Held { .. });
    let found = device.uses.iter().find(|found| !is_held(found)).or(device.uses.first());
    if let Some(found) = found {
        return Err(Refusal::Used(found.clone()));
    }
    if device.is_read_only {
        return Err(Refusal::ReadOnly(device.name.clone()));
    }
    if device.size < image.size {
        return Err(Refusal::TooSmall { device: device.size, image: image.size });
    }
    if device.sector > 512 {
        return Err(Refusal::Sectors(device.sector));
    }
    Ok(())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself => {
                f.write_str("the image is what the device shows: it would be written over itself")
            }
            Self::Partition { name, whole } => {
                write!(f, "{name} is a partition of {whole}, and an image has partitions of its own")
            }
            Self::System { name, at } => {
                write!(f, "{name} carries the system that is running: it is mounted at {at}")
            }
            Self::Used(Use::Mounted { what, at }) => write!(f, "{what} is mounted at {at}"),
            Self::Used(Use::Swap { what }) => write!(f, "{what} is swap space in use"),
            Self::Used(Use::Held { what, by }) => {
                write!(f, "{what} is a part of {by} (LVM, RAID or encryption)")
            }
            Self::ReadOnly(name) => write!(f, "{name} cannot be written: it is read-only"),
            Self::Sectors(bytes) => {
                write!(f, "the device has sectors of {bytes} bytes, and images have sectors of 512")
            }
            Self::TooSmall { device, image } => write!(
                f,
                "the device has {} ({device} bytes), and the image needs {} ({image} bytes)",
                HumanBytes(*device),
                HumanBytes(*image)
            ),
        }
    }
}

impl Refusal {
    /// Whether another name would do, and not another state of the host.
    pub fn is_about_the_name(&self) -> bool {
        matches!(self, Self::Itself | Self::Partition { .. })
    }

    /// What to type next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Itself | Self::System { .. } => {
                "name the stick or card; `lsblk` lists the devices".to_owned()
            }
            Self::Partition { whole, .. } => {
                format!("name the whole disk, /dev/{whole}, if all of it may be lost")
            }
            Self::Used(Use::Mounted { at, .. }) => format!("if all of it may be lost: `umount {at}`"),
            Self::Used(Use::Swap { what }) => format!("if all of it may be lost: `swapoff /dev/{what}`"),
            Self::Used(Use::Held { by, .. }) => {
                format!("if all of it may be lost, take {by} apart first; `lsblk` shows it")
            }
            Self::ReadOnly(_) => "look for a small switch at its side".to_owned(),
            Self::Sectors(_) => return None,
            Self::TooSmall { .. } => "take a larger one, or build a smaller image (--data-size)".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stick() -> Device {
        Device { name: "sdb".to_owned(), size: 1 << 30, sector: 512, ..Device::default() }
    }

    const IMAGE: Image = Image { size: 1 << 30, is_the_device: false };

    fn mounted(what: &str, at: &str) -> Use {
        Use::Mounted { what: what.to_owned(), at: at.to_owned() }
    }

    #[test]
    fn a_stick_that_nobody_uses_may_be_written() {
        assert_eq!(decide(&stick(), &IMAGE), Ok(()));
    }

    #[test]
    fn what_is_used_is_not_written() {
        let swap = Use::Swap { what: "sdb2".to_owned() };
        let held = Use::Held { what: "sdb3".to_owned(), by: "dm-0".to_owned() };
        for (uses, expected) in [
            (vec![mounted("sdb1", "/mnt")], Refusal::Used(mounted("sdb1", "/mnt"))),
            (vec![swap.clone()], Refusal::Used(swap.clone())),
            (vec![held.clone()], Refusal::Used(held.clone())),
            (vec![held.clone(), mounted("dm-0", "/mnt")], Refusal::Used(mounted("dm-0", "/mnt"))),
            (
                vec![mounted("sdb1", "/mnt"), held, mounted("dm-0", "/")],
                Refusal::System { name: "sdb".to_owned(), at: "/".to_owned() },
            ),
            (
                vec![mounted("sdb1", "/boot/efi")],
                Refusal::System { name: "sdb".to_owned(), at: "/boot/efi".to_owned() },
            ),
        ] {
            assert_eq!(decide(&Device { uses, ..stick() }, &IMAGE), Err(expected));
        }
    }

    #[test]
    fn what_cannot_hold_the_image_is_not_written() {
        let partition = Device { name: "sdb1".to_owned(), whole: Some("sdb".to_owned()), ..stick() };
        let refused = decide(&partition, &IMAGE).unwrap_err();
        assert_eq!(refused.to_string(), "sdb1 is a partition of sdb, and an image has partitions of its own");
        assert!(refused.hint().unwrap().contains("/dev/sdb,"));
        let small = decide(&Device { size: (1 << 30) - 512, ..stick() }, &IMAGE).unwrap_err();
        assert!(
            small.to_string().contains("(1073741312 bytes)")
                && small.to_string().contains("(1073741824 bytes)")
        );
        let read_only = Device { is_read_only: true, ..stick() };
        assert_eq!(decide(&read_only, &IMAGE), Err(Refusal::ReadOnly("sdb".to_owned())));
        assert_eq!(decide(&Device { sector: 4096, ..stick() }, &IMAGE), Err(Refusal::Sectors(4096)));
        assert_eq!(decide(&stick(), &Image { is_the_device: true, ..IMAGE }), Err(Refusal::Itself));
    }
}
