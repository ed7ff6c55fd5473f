//! Where distributions keep the parts, and in which packages Debian has them.

use std::path::{Path, PathBuf};

use crate::architecture::Architecture;

/// One part of `COUNT` files.
pub(super) struct Table<const COUNT: usize> {
    pub(super) name: &'static str,
    pub(super) purpose: &'static str,
    /// As an SPDX expression.
    pub(super) licence: &'static str,
    /// Debian's package of each file.
    pub(super) packages: [&'static str; COUNT],
    /// Whether each architecture has its own package of these names.
    pub(super) is_native: bool,
    /// Sets of files that belong together, relative to the root of a file system, the preferred one first.
    pub(super) layouts: &'static [[&'static str; COUNT]],
}

impl<const COUNT: usize> Table<COUNT> {
    /// The first layout of which every file exists, each below its own root.
    pub(super) fn complete_layout(&self, roots: [&Path; COUNT]) -> Option<[PathBuf; COUNT]> {
        self.layouts.iter().find_map(|layout| {
            let mut roots = roots.iter();
            let paths = layout.map(|place| roots.next().map(|root| root.join(place)).unwrap_or_default());
            paths.iter().all(|path| path.is_file()).then_some(paths)
        })
    }

    pub(super) fn distinct_packages(&self) -> Vec<&'static str> {
        let mut distinct = Vec::with_capacity(COUNT);
        for package in self.packages {
            if !distinct.contains(&package) {
                distinct.push(package);
            }
        }
        distinct
    }

    /// The places that files of a package are looked for at.
    fn places_of(&self, package: &str) -> impl Iterator<Item = &'static str> {
        let is_of_package = self.packages.map(|name| name == package);
        self.layouts
            .iter()
            .flat_map(move |layout| layout.iter().zip(is_of_package).filter(|(_, is)| *is))
            .map(|(place, _)| *place)
    }
}

/// Every place at which a part may be in a package.
pub(super) fn places_in(package: &str) -> Vec<&'static str> {
    let mut places = Vec::new();
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        places.extend(efi_stub(architecture).places_of(package));
        places.extend(boot_manager(architecture).places_of(package));
        places.extend(firmware(architecture).places_of(package));
    }
    places.extend(E2FSCK.places_of(package));
    places.extend(BIOS_LOADER.places_of(package));
    places.sort_unstable();
    places.dedup();
    places
}

/// For images that UEFI starts.
const FOR_UEFI: &str = "for images that UEFI starts";

/// All distributions install systemd's files where systemd does.
pub(super) fn efi_stub(architecture: Architecture) -> &'static Table<1> {
    const fn table(layouts: &'static [[&'static str; 1]]) -> Table<1> {
        Table {
            name: "EFI stub",
            purpose: FOR_UEFI,
            licence: "LGPL-2.1-or-later",
            packages: ["systemd-boot-efi"],
            is_native: true,
            layouts,
        }
    }
    const X86_64: Table<1> = table(&[["usr/lib/systemd/boot/efi/linuxx64.efi.stub"]]);
    const AARCH64: Table<1> = table(&[["usr/lib/systemd/boot/efi/linuxaa64.efi.stub"]]);
    match architecture {
        Architecture::X86_64 => &X86_64,
        Architecture::Aarch64 => &AARCH64,
    }
}

pub(super) fn boot_manager(architecture: Architecture) -> &'static Table<1> {
    const fn table(layouts: &'static [[&'static str; 1]]) -> Table<1> {
        Table {
            name: "boot manager",
            purpose: "for disk images with two slots",
            licence: "LGPL-2.1-or-later",
            packages: ["systemd-boot-efi"],
            is_native: true,
            layouts,
        }
    }
    const X86_64: Table<1> = table(&[["usr/lib/systemd/boot/efi/systemd-bootx64.efi"]]);
    const AARCH64: Table<1> = table(&[["usr/lib/systemd/boot/efi/systemd-bootaa64.efi"]]);
    match architecture {
        Architecture::X86_64 => &X86_64,
        Architecture::Aarch64 => &AARCH64,
    }
}

/// Builds without Secure Boot, in raw form. The layout of 4 MiB is preferred: it is the only one that is still made.
pub(super) fn firmware(architecture: Architecture) -> &'static Table<2> {
    const fn table(packages: [&'static str; 2], layouts: &'static [[&'static str; 2]]) -> Table<2> {
        Table {
            name: "UEFI firmware",
            purpose: "to run images as UEFI would start them",
            licence: "BSD-2-Clause-Patent",
            packages,
            // Firmware is data to the host: its packages are for all architectures.
            is_native: false,
            layouts,
        }
    }
    const X86_64: Table<2> = table(
        ["ovmf", "ovmf"],
        &[
            ["usr/share/OVMF/OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_VARS_4M.fd"], // Debian
            ["usr/share/edk2/x64/OVMF_CODE.4m.fd", "usr/share/edk2/x64/OVMF_VARS.4m.fd"], // Arch
            ["usr/share/edk2-ovmf/x64/OVMF_CODE.4m.fd", "usr/share/edk2-ovmf/x64/OVMF_VARS.4m.fd"],
            ["usr/share/edk2/ovmf/OVMF_CODE.fd", "usr/share/edk2/ovmf/OVMF_VARS.fd"], // Fedora
            ["usr/share/qemu/ovmf-x86_64-4m-code.bin", "usr/share/qemu/ovmf-x86_64-4m-vars.bin"], // openSUSE
            ["usr/share/OVMF/OVMF_CODE.fd", "usr/share/OVMF/OVMF_VARS.fd"], // Debian 11, Ubuntu 20.04
        ],
    );
    const AARCH64: Table<2> = table(
        ["qemu-efi-aarch64", "qemu-efi-aarch64"],
        &[
            // Debian's plain AAVMF_CODE.fd is a link to one or the other, by release.
            ["usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "usr/share/AAVMF/AAVMF_VARS.fd"],
            ["usr/share/AAVMF/AAVMF_CODE.fd", "usr/share/AAVMF/AAVMF_VARS.fd"],
            ["usr/share/edk2/aarch64/QEMU_CODE.fd", "usr/share/edk2/aarch64/QEMU_VARS.fd"], // Arch
            ["usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "usr/share/edk2/aarch64/vars-template-pflash.raw"], // Fedora
        ],
    );
    match architecture {
        Architecture::X86_64 => &X86_64,
        Architecture::Aarch64 => &AARCH64,
    }
}

pub(super) const E2FSCK: Table<1> = Table {
    name: "static e2fsck",
    purpose: "for machines that mend their data file system",
    licence: "GPL-2.0-only",
    packages: ["e2fsck-static"],
    is_native: true,
    // Debian 13 moved it from /sbin. Where both are one directory, this is the name that dpkg knows in Debian 12.
    layouts: &[["sbin/e2fsck.static"], ["usr/sbin/e2fsck.static"]],
};

pub(super) const BIOS_LOADER: Table<3> = Table {
    name: "ISOLINUX",
    purpose: "for ISO images that a BIOS starts",
    licence: "GPL-2.0-or-later",
    packages: ["isolinux", "syslinux-common", "isolinux"],
    is_native: false,
    layouts: &[
        [
            "usr/lib/ISOLINUX/isolinux.bin",
            "usr/lib/syslinux/modules/bios/ldlinux.c32",
            "usr/lib/ISOLINUX/isohdpfx.bin",
        ], // Debian
        [
            "usr/share/syslinux/isolinux.bin",
            "usr/share/syslinux/ldlinux.c32",
            "usr/share/syslinux/isohdpfx.bin",
        ], // Fedora, openSUSE
        [
            "usr/lib/syslinux/bios/isolinux.bin",
            "usr/lib/syslinux/bios/ldlinux.c32",
            "usr/lib/syslinux/bios/isohdpfx.bin",
        ], // Arch
    ],
};
