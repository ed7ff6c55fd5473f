//! What each format is, for people.

use clap::ValueEnum;

use crate::arguments::Format;

impl Format {
    /// How the name of what is made ends.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Initramfs => "boot",
            Self::Uki => "efi",
            Self::Iso => "iso",
            Self::Disk => "img",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::Oci => "oci",
            Self::Firecracker => "firecracker",
        }
    }

    /// Whether it is a directory.
    pub const fn is_directory(self) -> bool {
        matches!(self, Self::Initramfs | Self::Oci | Self::Firecracker)
    }

    /// Its name, as it is typed.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    const fn explanation(self) -> &'static str {
        match self {
            Self::Initramfs => {
                "a directory with vmlinuz, initramfs and the command line: for boot loaders, for network boot, and for \
                 `solum exec`"
            }
            Self::Uki => {
                "one EFI program with kernel, command line and initramfs: for the EFI system partition of a machine that is \
                 there already, and for network boot by UEFI"
            }
            Self::Iso => {
                "a CD that boots by UEFI; written to a USB stick, it boots from there too. Content beside the system \
                 (--iso-content) is read from it when it is needed"
            }
            Self::Disk => {
                "the bytes of a disk: EFI system partition with boot manager and system, and a volume for data that grows with \
                 the disk. For `solum flash`, and for clouds that take raw disks"
            }
            Self::Qcow2 => "the same disk for QEMU, libvirt, Proxmox and OpenStack",
            Self::Vmdk => "the same disk for VMware and VirtualBox",
            Self::Vhd => "the same disk for Hyper-V and Azure, of fixed size",
            Self::Oci => {
                "a container without anything below the program: the layout as a directory, and an archive that `podman load` \
                 and `docker load` read; `solum push` sends either to a registry"
            }
            Self::Firecracker => {
                "a directory with vmlinux, initramfs and the configuration: `firecracker --no-api --config-file FILE`"
            }
        }
    }
}

/// Every format with its suffix and what it is for.
pub fn explain() -> String {
    let width = 72;
    let mut text = String::new();
    for format in Format::value_variants() {
        let mut line = format!("{:<12} NAME.{:<12}", format.name(), format.suffix());
        let indent = " ".repeat(line.len());
        let mut length = 0;
        for word in format.explanation().split_whitespace() {
            if length > 0 && length + 1 + word.len() > width {
                text.push_str(line.trim_end());
                text.push('\n');
                line.clone_from(&indent);
                length = 0;
            }
            line.push_str(if length == 0 { "" } else { " " });
            line.push_str(word);
            length += word.len() + usize::from(length > 0);
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_explained_within_a_terminals_width() {
        let text = explain();
        for format in Format::value_variants() {
            assert!(text.contains(&format!("{:<12} NAME.{}", format.name(), format.suffix())), "{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 104), "{text}");
    }
}
