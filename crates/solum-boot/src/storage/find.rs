//! Which of the machine's disks and partitions is meant. No I/O.

use std::fmt::Write as _;

use solum_spec::storage::{Kind, Source};

use super::volume::Volume;

/// A disk or a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name in `/dev`.
    pub name: String,
    /// The name of the disk that it is, or is on.
    pub disk: String,
    /// Its number on that disk, if it is a partition.
    pub partition: Option<u32>,
    /// Its name in the partition table.
    pub part_label: String,
    /// Its identifier in the partition table.
    pub part_uuid: String,
    /// It cannot be written.
    pub read_only: bool,
    /// The file system on it, if it is one that is known.
    pub volume: Option<Volume>,
}

impl Device {
    fn matches(&self, source: &Source) -> bool {
        let volume = self.volume.as_ref();
        match source {
            Source::Memory => false,
            Source::Label(label) => volume.is_some_and(|volume| volume.label == *label),
            Source::Uuid(uuid) => volume.is_some_and(|volume| volume.uuid.eq_ignore_ascii_case(uuid)),
            Source::PartLabel(label) => self.part_label == *label,
            Source::PartUuid(uuid) => self.part_uuid.eq_ignore_ascii_case(uuid),
            Source::Device(path) => path.strip_prefix("/dev/") == Some(&self.name),
        }
    }

    /// What it is, for people.
    pub fn shown(&self) -> String {
        let mut text = self.name.clone();
        match &self.volume {
            Some(volume) if volume.label.is_empty() => _ = write!(text, " ({}", volume.kind),
            Some(volume) => _ = write!(text, " ({}, label {}", volume.kind, volume.label),
            None => text += " (no known file system",
        }
        if !self.part_label.is_empty() {
            let _ = write!(text, ", partition {}", self.part_label);
        }
        text + ")"
    }
}

/// The device that is meant; none if it is not there (yet).
///
/// # Errors
///
/// More than one would do; the text is for people.
pub fn choose<'a>(devices: &'a [Device], source: &Source) -> Result<Option<&'a Device>, String> {
    let mut found: Vec<&Device> = devices.iter().filter(|device| device.matches(source)).collect();
    // A hybrid image begins with the file system of a CD, and has a partition that is the same. A disk that is mounted as a
    // whole cannot have its other partitions mounted (block/bdev.c, `bd_may_claim`), so it is the partition.
    let has_partition =
        |disk: &Device| found.iter().any(|other| other.partition.is_some() && other.disk == disk.name);
    let hidden: Vec<bool> =
        found.iter().map(|device| device.partition.is_none() && has_partition(device)).collect();
    let mut hidden = hidden.into_iter();
    found.retain(|_| hidden.next() != Some(true));
    found.sort_by_key(|device| (!device.name.starts_with("sr"), &device.name));
    let [first, rest @ ..] = &found[..] else { return Ok(None) };
    let Some(second) = rest.first() else { return Ok(Some(first)) };
    // The same image as a CD and as a stick: its content is the same, and neither can be written.
    let is_copy = |other: &&Device| {
        first.volume == other.volume
            && first
                .volume
                .as_ref()
                .is_some_and(|volume| volume.kind == Kind::Iso9660 && !volume.uuid.is_empty())
    };
    if rest.iter().all(is_copy) {
        return Ok(Some(first));
    }
    if let Some(volume) = first.volume.as_ref().filter(|volume| volume.devices > 1)
        && first.volume == second.volume
    {
        let devices = volume.devices;
        let (one, other) = (&first.name, &second.name);
        return Err(format!(
            "{source} is not one device, because {} and {other} belong to one {} of {devices} devices; leave them all in \
             place, and name one as the source and each other as an option, like /dev/{one}:/PATH:device=/dev/{other}",
            first.shown(),
            volume.kind
        ));
    }
    let identifiers = [first, second].map(|device| device.volume.as_ref().map_or("", |volume| &volume.uuid));
    let advice = match identifiers {
        [one, other] if one != other && !one.is_empty() && !other.is_empty() => {
            format!("name the right one, by UUID={one} or UUID={other}, or take the other away")
        }
        _ => "take one of them away".to_owned(),
    };
    Err(format!(
        "{source} is not clear, because both {} and {} are that; {advice}",
        first.shown(),
        second.shown()
    ))
}

/// What there is to choose from, for people.
pub fn list(devices: &[Device]) -> String {
    let has_partitions =
        |disk: &str| devices.iter().any(|device| device.partition.is_some() && device.disk == disk);
    let worth_a_word = |device: &&Device| device.volume.is_some() || !has_partitions(&device.name);
    let shown: Vec<String> = devices.iter().filter(worth_a_word).map(Device::shown).collect();
    if shown.is_empty() { "no disk at all".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::volume::State;

    fn device(name: &str, disk: &str, partition: Option<u32>, kind: Kind, label: &str, uuid: &str) -> Device {
        let volume = Volume { kind, label: label.into(), uuid: uuid.into(), state: State::Clean, devices: 1 };
        let volume = Some(volume);
        Device { name: name.into(), disk: disk.into(), partition, volume, ..Device::default() }
    }

    fn name(devices: &[Device], source: &str) -> Result<Option<String>, String> {
        choose(devices, &source.parse().unwrap()).map(|found| found.map(|device| device.name.clone()))
    }

    #[test]
    fn every_kind_of_name_finds_its_device() {
        let mut data = device("vda2", "vda", Some(2), Kind::Ext4, "data", "aa-bb");
        data.part_label = "solum-data".into();
        data.part_uuid = "11-22".into();
        let boot = device("vda1", "vda", Some(1), Kind::Vfat, "ESP", "ABCD-1234");
        let devices = [Device { name: "vda".into(), disk: "vda".into(), ..Device::default() }, boot, data];
        for (source, found) in [
            ("LABEL=data", Some("vda2")),
            ("LABEL=DATA", None),
            ("UUID=AA-bb", Some("vda2")),
            ("UUID=abcd-1234", Some("vda1")),
            ("PARTLABEL=solum-data", Some("vda2")),
            ("PARTUUID=11-22", Some("vda2")),
            ("/dev/vda", Some("vda")),
            ("/dev/vdb", None),
        ] {
            assert_eq!(name(&devices, source), Ok(found.map(str::to_owned)), "{source}");
        }
        assert_eq!(list(&devices), "vda1 (vfat, label ESP), vda2 (ext4, label data, partition solum-data)");
        assert_eq!(list(&devices[..1]), "vda (no known file system)");
        assert_eq!(list(&[]), "no disk at all");
    }

    #[test]
    fn two_of_one_name_are_an_error_that_names_both() {
        let devices = [
            device("vdb", "vdb", None, Kind::Ext4, "data", "bb"),
            device("vda1", "vda", Some(1), Kind::Ext4, "data", "aa"),
        ];
        let error = name(&devices, "LABEL=data").unwrap_err();
        assert_eq!(
            error,
            "LABEL=data is not clear, because both vda1 (ext4, label data) and vdb (ext4, label data) are that; name the \
             right one, by UUID=aa or UUID=bb, or take the other away"
        );
        let copies = [
            device("vdb", "vdb", None, Kind::Ext4, "data", "aa"),
            device("vda", "vda", None, Kind::Ext4, "data", "aa"),
        ];
        assert!(name(&copies, "UUID=aa").unwrap_err().ends_with("; take one of them away"));
    }

    #[test]
    fn nobody_is_told_to_take_a_part_of_a_file_system_away() {
        let mut devices =
            ["vda", "vdb", "vdc"].map(|name| device(name, name, None, Kind::Btrfs, "pool", "aa"));
        devices.iter_mut().for_each(|one| one.volume.as_mut().unwrap().devices = 3);
        for source in ["LABEL=pool", "UUID=aa"] {
            let said = "is not one device, because vda (btrfs, label pool) and vdb belong to one btrfs of 3 devices; leave them \
                        all in place, and name one as the source and each other as an option, like \
                        /dev/vda:/PATH:device=/dev/vdb";
            assert_eq!(name(&devices, source), Err(format!("{source} {said}")));
        }
        assert_eq!(name(&devices, "/dev/vdb"), Ok(Some("vdb".into())));
    }

    #[test]
    fn a_hybrid_image_is_mounted_from_its_partition_and_a_cd_before_a_stick() {
        let whole = device("sda", "sda", None, Kind::Iso9660, "SOLUM", "2026");
        let part = device("sda1", "sda", Some(1), Kind::Iso9660, "SOLUM", "2026");
        let cd = device("sr0", "sr0", None, Kind::Iso9660, "SOLUM", "2026");
        let newer = device("sr0", "sr0", None, Kind::Iso9660, "SOLUM", "2027");
        assert_eq!(name(&[whole.clone(), part.clone()], "LABEL=SOLUM"), Ok(Some("sda1".into())));
        assert_eq!(name(&[whole.clone(), part.clone(), cd], "LABEL=SOLUM"), Ok(Some("sr0".into())));
        assert_eq!(name(std::slice::from_ref(&whole), "LABEL=SOLUM"), Ok(Some("sda".into())));
        assert!(name(&[whole, part, newer], "LABEL=SOLUM").is_err());
    }
}
