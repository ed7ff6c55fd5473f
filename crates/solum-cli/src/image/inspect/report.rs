//! What there is to say about an image. The names of the fields are the keys of `solum inspect --json`, and stay.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything about an image.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Where it is, as it was typed.
    pub file: String,
    /// `disk`, `iso`, `uki`, `initramfs`, `firecracker`, `oci`; or `kernel` or `archive`, for what is only a part of one.
    pub format: &'static str,
    /// How a disk is wrapped: `raw`, `qcow2`, `vmdk` or `vhd`.
    pub wrapping: Option<&'static str>,
    /// How large it is.
    pub size_bytes: u64,
    /// How much of its medium it takes, where that is known: holes take nothing.
    pub taken_bytes: Option<u64>,
    /// Its partitions.
    pub disk: Option<Disk>,
    /// Its file system, if it is a CD.
    pub cd: Option<Cd>,
    /// What can be booted from it: of a disk, one for each slot.
    pub boots: Vec<Boot>,
    /// What it is, if it is a container.
    pub container: Option<Container>,
    /// What could not be told, and why.
    pub notes: Vec<String>,
    /// What is damaged.
    pub damage: Vec<String>,
    /// Why it cannot boot; what is damaged need not hinder that.
    #[serde(skip)]
    pub unbootable: Option<String>,
    /// The bill of materials of a container.
    #[serde(skip)]
    pub bill_of_materials: Option<Vec<u8>>,
}

/// A disk.
#[derive(Debug, Serialize)]
pub struct Disk {
    /// How large the disk is, without its wrapping.
    pub size_bytes: u64,
    /// Its id.
    pub id: String,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Debug, Serialize)]
pub struct Partition {
    /// Counted from 1.
    pub number: u32,
    /// Its name (`PARTLABEL`).
    pub name: String,
    /// What people call its type.
    #[serde(rename = "type")]
    pub kind: Option<&'static str>,
    /// The id of its type.
    pub type_id: String,
    /// Its own id (`PARTUUID`).
    pub id: String,
    /// Where it begins.
    pub offset_bytes: u64,
    /// How large it is.
    pub size_bytes: u64,
    /// What lies on it.
    pub file_system: Option<FileSystem>,
}

/// A file system.
#[derive(Debug, Serialize)]
pub struct FileSystem {
    /// What Linux calls it.
    pub kind: &'static str,
    /// Its label.
    pub label: Option<String>,
    /// Its id (`UUID`).
    pub id: Option<String>,
    /// How large it is.
    pub size_bytes: Option<u64>,
    /// How much of it is used, its own tables included.
    pub used_bytes: Option<u64>,
}

/// The file system of a CD.
#[derive(Debug, Serialize)]
pub struct Cd {
    /// Its name.
    pub volume_id: String,
    /// How large it says that it is.
    pub size_bytes: u64,
    /// Which firmware boots it: `UEFI`, `BIOS`.
    pub firmware: Vec<String>,
    /// How many files there are beside the system.
    pub files: u64,
    /// How large they are.
    pub content_bytes: u64,
}

/// A kernel and what it boots into.
#[derive(Debug, Default, Serialize)]
pub struct Boot {
    /// Where it is on the medium, or in the directory; nothing, if it is the image itself.
    pub path: Option<String>,
    /// How often it may be tried, if the name of its file counts that (systemd, Automatic Boot Assessment).
    pub tries: Option<Tries>,
    /// What boot menus show.
    pub title: Option<String>,
    /// How large the file is.
    pub size_bytes: Option<u64>,
    /// Its hash.
    pub sha256: Option<String>,
    /// The kernel.
    pub kernel: Option<Kernel>,
    /// The kernel's command line.
    pub command_line: Option<String>,
    /// The initramfs.
    pub initramfs: Option<Initramfs>,
    /// The machine that comes up.
    pub machine: Option<Machine>,
    /// The bill of materials.
    pub sbom: Option<Sbom>,
    /// The text of that.
    #[serde(skip)]
    pub bill_of_materials: Option<Vec<u8>>,
    /// The initramfs as it is there.
    #[serde(skip)]
    pub archive: Vec<u8>,
}

/// How often a slot is tried before it counts as bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tries {
    /// So often it may still be tried.
    pub left: u32,
    /// So often it was tried in vain.
    pub done: u32,
}

/// A kernel.
#[derive(Debug, Serialize)]
pub struct Kernel {
    /// As `uname -r` prints it.
    pub release: Option<String>,
    /// What it runs on.
    pub architecture: Option<&'static str>,
    /// How large it is.
    pub size_bytes: u64,
    /// Its hash.
    pub sha256: String,
}

/// An initramfs.
#[derive(Debug, Serialize)]
pub struct Initramfs {
    /// How its archives are compressed.
    pub compression: Vec<&'static str>,
    /// How large it is.
    pub size_bytes: u64,
    /// How large it is when it is unpacked.
    pub unpacked_bytes: u64,
    /// Its hash.
    pub sha256: String,
}

/// A bill of materials.
#[derive(Debug, Serialize)]
pub struct Sbom {
    /// How many things it names.
    pub components: usize,
}

/// What comes up.
#[derive(Debug, Default, Serialize)]
pub struct Machine {
    /// Its name.
    pub name: Option<String>,
    /// The system that it belongs to.
    pub system: Option<String>,
    /// The memory that it was described with.
    pub memory_bytes: Option<u64>,
    /// The processors that it was described with.
    pub cpus: Option<u16>,
    /// PID 1.
    pub init: Option<Executable>,
    /// The programs.
    pub programs: Vec<Executable>,
    /// What runs.
    pub units: Vec<Unit>,
    /// The kernel's modules, in the order in which they are loaded.
    pub modules: Vec<File>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// The disks of a machine of a system.
    pub disks: BTreeMap<String, u64>,
    /// How it gets its addresses.
    pub network: Option<String>,
    /// The Ethernet address of the interface that leads to the other machines of its system.
    pub mac: Option<String>,
    /// Its NTP servers, beside those that DHCP offers.
    pub time_servers: Vec<String>,
    /// What it does when its program ended by itself: `poweroff`, `reboot`, `restart` or `halt`.
    pub when_ended: Option<String>,
    /// The certificates of authorities are there.
    pub has_ca_certificates: bool,
    /// The user's files.
    pub files: Vec<File>,
}

/// An executable.
#[derive(Clone, Debug, Serialize)]
pub struct Executable {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Its version, if the bill of materials knows it.
    pub version: Option<String>,
    /// How large it is.
    pub size_bytes: u64,
    /// Its hash.
    pub sha256: String,
}

/// A unit.
#[derive(Debug, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// The name of its program.
    pub program: String,
    /// The program's arguments.
    pub arguments: Vec<String>,
    /// The names of its variables. Values may be secrets, and are not told.
    pub environment: Vec<String>,
    /// It runs as root.
    pub root: bool,
    /// The most memory that it may have.
    pub memory_bytes: Option<u64>,
    /// The units that have to be ready before it.
    pub needs: Vec<String>,
    /// What is plugged into its ports.
    pub ports: BTreeMap<String, Vec<String>>,
}

/// A file.
#[derive(Debug, Serialize)]
pub struct File {
    /// Where it is.
    pub path: String,
    /// How large it is.
    pub size_bytes: u64,
}

/// Something that is mounted.
#[derive(Debug, Serialize)]
pub struct Mount {
    /// Where it is: `LABEL=…`, a device, `memory`, or `host` for a directory of the host's.
    pub source: String,
    /// Where the machine sees it.
    pub path: String,
    /// What Linux calls its file system, if that is not found out.
    pub kind: Option<&'static str>,
    /// The machine cannot write to it.
    pub read_only: bool,
    /// It is made as large as its disk permits.
    pub grow: bool,
    /// Nothing starts without it.
    pub required: bool,
}

/// A container.
#[derive(Debug, Serialize)]
pub struct Container {
    /// What it is called.
    pub reference: Option<String>,
    /// What it is called for ever.
    pub digest: String,
    /// How much a registry stores for it.
    pub size_bytes: u64,
    /// When it was made.
    pub created: String,
    /// What it runs on, as Go names it.
    pub architecture: String,
    /// What is started, with its arguments.
    pub command: Vec<String>,
    /// Who runs it.
    pub user: String,
    /// Where it starts.
    pub directory: String,
    /// Its variables' names. Values may be secrets, and are not told.
    pub environment: Vec<String>,
    /// Where it listens.
    pub ports: Vec<String>,
    /// What is said about it.
    pub labels: BTreeMap<String, String>,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
    /// Its files.
    pub files: Vec<File>,
    /// The certificates of authorities are there.
    pub has_ca_certificates: bool,
    /// The bill of materials.
    pub sbom: Option<Sbom>,
}

/// A layer.
#[derive(Debug, Serialize)]
pub struct Layer {
    /// Its hash.
    pub digest: String,
    /// How large it is, compressed.
    pub size_bytes: u64,
}
