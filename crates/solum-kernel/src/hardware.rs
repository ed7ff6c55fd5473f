//! The modules that computers need, of a kernel that has its drivers as modules: in sets by what they are for, and the
//! hardware of a machine as the kernel names it, for [`ModuleTree::serving`](crate::ModuleTree::serving).
//!
//! A name in a set that a kernel does not have, or has built in, is no error: ask
//! [`ModuleTree::presence`](crate::ModuleTree::presence).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::files;

/// File systems, and the tables of characters without which Linux does not mount vfat.
pub const FILE_SYSTEMS: &[&str] =
    &["crc32c_generic", "ext4", "isofs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1"];

/// Whatever the machine, what is plugged into it or pressed on it while it runs: sticks, keyboards, the power button.
pub const PLUGGED_IN: &[&str] =
    &["sd_mod", "sr_mod", "usb_storage", "uas", "hid_generic", "usbhid", "button", "evdev"];

/// UEFI's variables, and the last words of a kernel that panicked, which are kept there.
pub const FIRMWARE: &[&str] = &["efivarfs", "efi_pstore"];

/// Controllers of disks, sticks and cards.
pub const DISKS: &[&str] = &[
    "vmd",
    "nvme",
    "ahci",
    "ata_piix",
    "xhci_pci",
    "ehci_pci",
    "ohci_pci",
    "uhci_hcd",
    "sdhci_pci",
    "sdhci_acpi",
    "mmc_block",
];

/// Common Ethernet chips. `realtek` drives what is beside an r8169.
pub const ETHERNET: &[&str] =
    &["e1000", "e1000e", "igb", "igc", "realtek", "r8169", "tg3", "atl1c", "alx", "r8152", "ax88179_178a"];

/// What virtual machines have: those of QEMU, VMware, Hyper-V and Xen, and of the clouds that are built on them.
pub const HYPERVISORS: &[&str] = &[
    "virtio_pci",
    "virtio_mmio",
    "virtio_console",
    "virtio_rng",
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "ena",
    "gve",
    "vmw_pvscsi",
    "vmxnet3",
    "hv_vmbus",
    "hv_storvsc",
    "hv_netvsc",
    "hv_utils",
    "hyperv_keyboard",
    "xen_blkfront",
    "xen_netfront",
];

/// Watchdogs of mainboards, and the buses on which two of them are found.
pub const WATCHDOGS: &[&str] = &["i2c_i801", "lpc_ich", "wdat_wdt", "iTCO_wdt", "sp5100_tco", "i6300esb"];

/// Everything above: what an image needs to start on common computers.
pub fn common_computers() -> impl Iterator<Item = &'static str> {
    [DISKS, HYPERVISORS, PLUGGED_IN, FILE_SYSTEMS, FIRMWARE, ETHERNET, WATCHDOGS]
        .into_iter()
        .flatten()
        .copied()
}

/// What a machine needs beside the drivers of the hardware it was seen to have.
pub fn beside_hardware() -> impl Iterator<Item = &'static str> {
    [PLUGGED_IN, FILE_SYSTEMS, FIRMWARE].into_iter().flatten().copied()
}

/// The hardware of the running host, as the kernel names it; `root` is where its file system begins.
///
/// # Errors
///
/// [`Error::Io`] where `/sys/devices` cannot be listed.
pub fn of_host(root: &Path) -> Result<Vec<String>, Error> {
    let mut ids = BTreeSet::new();
    let devices = root.join("sys/devices");
    if !devices.is_dir() {
        let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io("list", &devices, gone));
    }
    collect(&devices, &mut ids)?;
    Ok(ids.into_iter().collect())
}

/// The hardware that a text lists, a line each, as `cat` prints the files `modalias`. Empty lines and those that begin with `#`
/// do not count.
///
/// # Errors
///
/// The number of the first line that names no hardware, counted from 1, and the line.
pub fn parse(text: &str) -> Result<Vec<String>, (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| match line.split_once(':') {
            Some((kind, _))
                if kind.starts_with(|first: char| first.is_ascii_alphabetic()) && !kind.contains(' ') =>
            {
                Ok(line.to_owned())
            }
            _ => Err((index + 1, line)),
        })
        .collect()
}

/// Links are not followed: all of `/sys/devices` is a tree without them, and they lead round in circles.
fn collect(directory: &Path, ids: &mut BTreeSet<String>) -> Result<(), Error> {
    for path in files::entries(directory)? {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            collect(&path, ids)?;
        } else if metadata.is_file() && path.file_name().is_some_and(|name| name == "modalias") {
            // What vanishes meanwhile was unplugged.
            let text = fs::read_to_string(&path).unwrap_or_default();
            ids.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_hardware_is_read_once_each_and_links_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let bus = root.path().join("sys/devices/pci0000:00");
        for (place, id) in
            [("0000:00:1f.2", "pci:a"), ("0000:00:1f.2/usb1", "usb:b"), ("0000:00:02.0", "pci:a")]
        {
            let directory = bus.join(place);
            files::create_directory(&directory).unwrap();
            files::write(&directory.join("modalias"), format!("{id}\n").as_bytes()).unwrap();
        }
        let elsewhere = root.path().join("sys/elsewhere");
        files::create_directory(&elsewhere).unwrap();
        files::write(&elsewhere.join("modalias"), b"pci:elsewhere\n").unwrap();
        for target in [&bus, &elsewhere] {
            let link = bus.join(target.file_name().unwrap()).with_extension("link");
            std::os::unix::fs::symlink(target, link).unwrap();
        }
        assert_eq!(of_host(root.path()).unwrap(), ["pci:a", "usb:b"]);
        assert!(of_host(&root.path().join("gone")).is_err());
    }

    #[test]
    fn a_list_of_hardware_is_read_with_care() {
        assert_eq!(parse("# a PC\n\npci:v1d2\n  usb:v3 \n").unwrap(), ["pci:v1d2", "usb:v3"]);
        for text in ["pci:v1\nnonsense\n", "pci:v1\n00:1f.2 SATA: Intel\n"] {
            assert_eq!(parse(text).unwrap_err().0, 2, "{text}");
        }
    }

    #[test]
    fn no_module_is_in_two_sets() {
        let names: Vec<_> = common_computers().collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
