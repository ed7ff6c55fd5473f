//! The flags of `solum build`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use solum_image::oci::Reference;
use solum_spec::storage::DataKind;
use solum_spec::{ByteSize, Protocol};

use super::{Inside, KernelChoice, ModuleChoice, Program};

/// `solum build`
#[derive(Debug, Args)]
#[command(mut_arg("program", |program| {
    // An argument that is changed becomes the last one, unless all say which they are.
    program.index(1).required(false).default_value(".")
}))]
pub struct Build {
    #[command(flatten)]
    pub program: Program,
    /// Arguments of the program
    #[arg(last = true, index = 2)]
    pub arguments: Vec<String>,
    /// What is made; several are separated by commas, and --list explains each
    #[arg(
        long = "format",
        value_enum,
        value_delimiter = ',',
        value_name = "FORMAT",
        required_unless_present = "list"
    )]
    pub formats: Vec<Format>,
    /// Where it is written: a file, or a directory if there are several [default: NAME with the format's suffix, here]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Explains every format, and makes nothing
    #[arg(long)]
    pub list: bool,
    /// Makes everything twice, the programs too, and compares; nothing is written
    #[arg(long, conflicts_with = "output")]
    pub check: bool,
    /// Replaces disks although their machines have written to them
    #[arg(long)]
    pub discard_data: bool,
    /// What it boots on: virtual machines, or PCs as well, which takes a kernel with many drivers
    #[arg(long = "for", value_enum, default_value = "vm", value_name = "WHAT", help_heading = "Image")]
    pub computer: Computer,
    /// Adds words to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true, help_heading = "Image")]
    pub append: Vec<String>,
    /// What an ISO holds beside the system: a directory, which the machine sees at /iso
    #[arg(long, value_name = "DIR", help_heading = "Image")]
    pub iso_content: Option<PathBuf>,
    /// Makes an ISO that PCs without UEFI boot too
    #[arg(long, help_heading = "Image")]
    pub bios: bool,
    /// The size of the medium that an ISO has to fit on, like 700M
    #[arg(long, value_name = "SIZE", help_heading = "Image")]
    pub medium_size: Option<ByteSize>,
    /// How large a disk's data volume is in the image; the first boot makes it as large as the disk permits
    /// [default: 64 MiB; for btrfs 128 MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Image")]
    pub data_size: Option<ByteSize>,
    /// The file system of a disk's data volume [default: ext4]
    #[arg(long, value_enum, value_name = "KIND", help_heading = "Image")]
    pub data_file_system: Option<DataFileSystem>,
    /// A directory whose content a disk's data volume starts with; the machine keeps it at /perm
    #[arg(long, value_name = "DIR", help_heading = "Image")]
    pub data: Option<PathBuf>,
    /// Memory of the machine, for formats that say it [default: 128 MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Image")]
    pub memory: Option<ByteSize>,
    /// Number of processors, for formats that say it [default: 1]
    #[arg(long, value_name = "N", help_heading = "Image")]
    pub cpus: Option<u16>,
    /// What a container is called where it is loaded [default: localhost/NAME:latest]
    #[arg(long, value_name = "NAME[:TAG]", help_heading = "Container")]
    pub tag: Option<Reference>,
    /// A port on which a container listens; may be given several times
    #[arg(long = "expose", value_name = "PORT[/udp]", help_heading = "Container")]
    pub exposed: Vec<Exposed>,
    /// A label of a container; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, help_heading = "Container")]
    pub labels: Vec<(String, String)>,
    /// Adds the time zone data of this host to a container
    #[arg(long, help_heading = "Container")]
    pub time_zones: bool,
    #[command(flatten)]
    pub kernel: KernelChoice,
    #[command(flatten)]
    pub modules: ModuleChoice,
    #[command(flatten)]
    pub inside: Inside,
    /// Says what Solum decides
    #[arg(long, short)]
    pub verbose: bool,
}

/// What a machine or a program can be made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    /// A kernel and an initramfs.
    Initramfs,
    /// A unified kernel image.
    Uki,
    /// A CD, which is a USB stick too.
    Iso,
    /// A disk, as its bytes.
    Disk,
    /// A disk for QEMU.
    Qcow2,
    /// A disk for VMware and VirtualBox.
    Vmdk,
    /// A disk for Hyper-V and Azure.
    Vhd,
    /// A container.
    Oci,
    /// A machine for Firecracker.
    Firecracker,
}

/// What an image boots on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Computer {
    /// Virtual machines with virtio devices.
    Vm,
    /// PCs, and virtual machines that are like them.
    Pc,
}

/// The file system of a data volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DataFileSystem {
    /// The fourth extended file system.
    Ext4,
    /// Btrfs.
    Btrfs,
}

impl From<DataFileSystem> for DataKind {
    fn from(kind: DataFileSystem) -> Self {
        match kind {
            DataFileSystem::Ext4 => Self::Ext4,
            DataFileSystem::Btrfs => Self::Btrfs,
        }
    }
}

/// A port that a container listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// Its number.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
}

impl FromStr for Exposed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((port, "udp")) => (port, Protocol::Udp),
            Some((_, other)) => return Err(format!("`{other}` is neither tcp nor udp")),
        };
        match port.parse() {
            Ok(port) if port != 0 => Ok(Self { port, protocol }),
            _ => Err(format!("`{port}` is no port number")),
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no label; write NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        assert_eq!("80".parse(), Ok(Exposed { port: 80, protocol: Protocol::Tcp }));
        assert_eq!("80/tcp".parse(), Ok(Exposed { port: 80, protocol: Protocol::Tcp }));
        assert_eq!("53/udp".parse(), Ok(Exposed { port: 53, protocol: Protocol::Udp }));
        for wrong in ["0", "x", "80/sctp", "70000", ""] {
            assert!(wrong.parse::<Exposed>().is_err(), "{wrong}");
        }
    }
}
