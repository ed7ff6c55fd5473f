//! What there is to know about a device before it is overwritten: plain data.

use indicatif::HumanBytes;

/// A block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// What the kernel calls it, like `sdb`.
    pub name: String,
    /// Its major and minor number.
    pub number: (u32, u32),
    /// Of all that were ever plugged in since the host's start, the how manieth its disk is, if the kernel counts them (since 5.15).
    pub sequence: Option<u64>,
    /// Of a partition, the disk that it is a part of.
    pub whole: Option<String>,
    /// How large it is.
    pub size: u64,
    /// The least that it reads and writes at once.
    pub sector: u64,
    /// It cannot be written.
    pub is_read_only: bool,
    /// It can be taken out.
    pub is_removable: bool,
    /// How it is attached, like `USB`.
    pub bus: Option<&'static str>,
    /// Who made it.
    pub vendor: Option<String>,
    /// What its maker calls it.
    pub model: Option<String>,
    /// The file that a loop device shows.
    pub backing_file: Option<String>,
    /// What is on it.
    pub partitions: Vec<Part>,
    /// Who uses it, or a partition of it.
    pub uses: Vec<Use>,
}

/// A partition, or the file system on a whole device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What the kernel calls it.
    pub name: String,
    /// How large it is.
    pub size: u64,
    /// What file system it has, if that is known.
    pub kind: Option<&'static str>,
    /// The label of that.
    pub label: Option<String>,
}

/// Somebody uses a device, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is mounted.
    Mounted {
        /// The device or partition.
        what: String,
        /// Where.
        at: String,
    },
    /// It is swap space.
    Swap {
        /// The device or partition.
        what: String,
    },
    /// It is a part of another device: LVM, RAID, encryption.
    Held {
        /// The device or partition.
        what: String,
        /// The other device.
        by: String,
    },
}

impl Device {
    /// Whether it is the one that was looked at before: names and numbers go to others when something is plugged in.
    pub fn is_still(&self, before: &Self) -> bool {
        let made = |device: &Self| {
            (device.number, device.sequence, device.size, device.vendor.clone(), device.model.clone())
        };
        made(self) == made(before)
    }
}

/// What a person needs to see to know that it is the right one: a line each.
pub fn describe(device: &Device) -> Vec<String> {
    let maker = [&device.vendor, &device.model].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    let mut facts = vec![format!("/dev/{}", device.name)];
    facts.extend(Some(maker).filter(|maker| !maker.is_empty()));
    facts.push(HumanBytes(device.size).to_string());
    facts.extend(device.bus.map(str::to_owned));
    facts.push(if device.is_removable { "removable" } else { "not removable" }.to_owned());
    facts.extend(device.backing_file.as_ref().map(|file| format!("shows {file}")));
    let mut lines = vec![facts.join(", ")];
    for part in &device.partitions {
        let mut facts = vec![part.name.clone(), HumanBytes(part.size).to_string()];
        facts.extend(part.kind.map(str::to_owned));
        facts.extend(part.label.as_ref().map(|label| format!("`{label}`")));
        let mounted = device.uses.iter().filter_map(|found| match found {
            Use::Mounted { what, at } if *what == part.name => Some(format!("mounted at {at}")),
            _ => None,
        });
        facts.extend(mounted);
        lines.push(format!("  {}", facts.join(", ")));
    }
    if device.partitions.is_empty() {
        lines.push("  nothing known is on it".to_owned());
    }
    // Labels and models are somebody else's words: they must not reach the terminal as orders.
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    lines.into_iter().map(|line| line.chars().map(plain).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_stick_in_the_same_place_is_another_device() {
        let stick = Device { number: (8, 16), sequence: Some(9), size: 8 << 30, ..Device::default() };
        assert!(
            Device { uses: vec![Use::Swap { what: "sdb".to_owned() }], ..stick.clone() }.is_still(&stick)
        );
        for other in [
            Device { sequence: Some(10), ..stick.clone() },
            Device { size: 4 << 30, ..stick.clone() },
            Device { model: Some("Stick".to_owned()), ..stick.clone() },
        ] {
            assert!(!other.is_still(&stick), "{other:?}");
        }
    }

    #[test]
    fn a_person_sees_what_it_is() {
        let device = Device {
            name: "sdb".to_owned(),
            size: 8 << 30,
            is_removable: true,
            bus: Some("USB"),
            vendor: Some("Acme".to_owned()),
            model: Some("Stick\x1b[2J".to_owned()),
            partitions: vec![Part {
                name: "sdb1".to_owned(),
                size: 4 << 30,
                kind: Some("vfat"),
                label: Some("PHOTOS".to_owned()),
            }],
            uses: vec![Use::Mounted { what: "sdb1".to_owned(), at: "/media/me".to_owned() }],
            ..Device::default()
        };
        assert_eq!(
            describe(&device),
            [
                "/dev/sdb, Acme Stick\u{fffd}[2J, 8.00 GiB, USB, removable",
                "  sdb1, 4.00 GiB, vfat, `PHOTOS`, mounted at /media/me"
            ]
        );
        let empty = Device { partitions: Vec::new(), ..device };
        assert_eq!(describe(&empty)[1], "  nothing known is on it");
    }
}
