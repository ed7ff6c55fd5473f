//! The one table of programs that do not come from cargo: who needs them, and which Debian package has them.

use crate::shell;
use clap::ValueEnum;
use std::path::Path;

/// What a machine shall be able to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Purpose {
    /// `cargo xtask demo`, and `solum run`
    Demo,
    /// `cargo xtask test`
    Test,
    /// Building a kernel from source
    Kernel,
}

/// How one sees that a need is met; never by asking the package manager, so own builds and other systems count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// A program of this name is in `PATH`.
    Program(&'static str),
    /// A file of this name is in one of the directories for C headers.
    Header(&'static str),
    /// One of these files is there: the first is where Debian has it, the others where other distributions do.
    File(&'static [&'static str]),
}

/// One thing that must be on the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// How one sees that it is there.
    pub sign: Sign,
    /// The Debian package that brings it.
    pub package: &'static str,
    /// Who needs it.
    pub purposes: &'static [Purpose],
    /// What for.
    pub reason: &'static str,
}

use Purpose::{Demo, Kernel, Test};
use Sign::{File, Header, Program};

#[cfg(target_arch = "aarch64")]
const QEMU: Need = Need {
    sign: Program("qemu-system-aarch64"),
    package: "qemu-system-arm",
    purposes: &[Demo, Test],
    reason: "runs the machines",
};
#[cfg(not(target_arch = "aarch64"))]
const QEMU: Need = Need {
    sign: Program("qemu-system-x86_64"),
    package: "qemu-system-x86",
    purposes: &[Demo, Test],
    reason: "runs the machines",
};

/// Everything that is needed beyond cargo and a C linker (without which cargo could not have built this).
pub const NEEDS: &[Need] = &[
    QEMU,
    Need {
        sign: Program("go"),
        package: "golang-go",
        purposes: &[Test],
        reason: "the tests run a static Go program as a machine",
    },
    Need {
        sign: Program("git"),
        package: "git",
        purposes: &[Test],
        reason: "`tidy` looks at the files git tracks",
    },
    Need {
        sign: Program("ip"),
        package: "iproute2",
        purposes: &[Test],
        reason: "the tests of the network make network namespaces",
    },
    Need {
        sign: Program("dnsmasq"),
        package: "dnsmasq-base",
        purposes: &[Test],
        reason: "the DHCP server that the tests lease addresses from",
    },
    Need {
        sign: Program("Xvfb"),
        package: "xvfb",
        purposes: &[Test],
        reason: "the display that the tests open windows on",
    },
    Need {
        sign: Program("chromium"),
        package: "chromium",
        purposes: &[Test],
        reason: "the browser that the tests open timelines of simulations in",
    },
    Need {
        sign: Program("qemu-img"),
        package: "qemu-utils",
        purposes: &[Test],
        reason: "the tests compare the disks that Solum makes with what QEMU reads",
    },
    Need {
        sign: Program("fsck.vfat"),
        package: "dosfstools",
        purposes: &[Test],
        reason: "the tests have boot partitions checked",
    },
    Need {
        sign: Program("mtype"),
        package: "mtools",
        purposes: &[Test],
        reason: "the tests read boot partitions with it",
    },
    Need {
        sign: Program("sgdisk"),
        package: "gdisk",
        purposes: &[Test],
        reason: "the tests have partition tables checked",
    },
    Need {
        sign: Program("e2fsck"),
        package: "e2fsprogs",
        purposes: &[Test],
        reason: "the tests have data volumes checked",
    },
    Need {
        sign: Program("mkfs.btrfs"),
        package: "btrfs-progs",
        purposes: &[Test],
        reason: "the tests make data volumes with btrfs",
    },
    Need { sign: Program("xorriso"), package: "xorriso", purposes: &[Test], reason: "makes ISO images" },
    Need {
        sign: Program("podman"),
        package: "podman",
        purposes: &[Test],
        reason: "the tests load and run container images",
    },
    Need {
        sign: Program("crun"),
        package: "crun",
        purposes: &[Test],
        reason: "what Podman starts containers with",
    },
    Need {
        sign: Program("docker-registry"),
        package: "docker-registry",
        purposes: &[Test],
        reason: "the registry that the tests push images to",
    },
    Need {
        sign: Program("openssl"),
        package: "openssl",
        purposes: &[Test],
        reason: "makes the certificate of the registry that the tests push images to",
    },
    // Solum fetches these by itself where they are missing; the tests shall not depend on the network for that.
    Need {
        sign: File(&[
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
            "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        ]),
        package: "ovmf",
        purposes: &[Test],
        reason: "the firmware that the tests start images with",
    },
    Need {
        sign: File(&[
            "/usr/lib/systemd/boot/efi/linuxx64.efi.stub",
            "/usr/lib/systemd/boot/efi/linuxaa64.efi.stub",
        ]),
        package: "systemd-boot-efi",
        purposes: &[Test],
        reason: "images that UEFI starts begin with it",
    },
    Need {
        sign: File(&["/sbin/e2fsck.static", "/usr/sbin/e2fsck.static"]),
        package: "e2fsck-static",
        purposes: &[Test],
        reason: "machines mend their data file systems with it",
    },
    Need {
        sign: File(&["/usr/lib/ISOLINUX/isolinux.bin", "/usr/share/syslinux/isolinux.bin"]),
        package: "isolinux",
        purposes: &[Test],
        reason: "ISO images that a BIOS starts begin with it",
    },
    Need {
        sign: File(&["/usr/lib/syslinux/modules/bios/ldlinux.c32", "/usr/share/syslinux/ldlinux.c32"]),
        package: "syslinux-common",
        purposes: &[Test],
        reason: "ISO images that a BIOS starts go on with it",
    },
    Need { sign: Program("make"), package: "make", purposes: &[Kernel], reason: "drives the kernel's build" },
    Need { sign: Program("flex"), package: "flex", purposes: &[Kernel], reason: "the kernel's Kconfig" },
    Need { sign: Program("bison"), package: "bison", purposes: &[Kernel], reason: "the kernel's Kconfig" },
    Need { sign: Program("bc"), package: "bc", purposes: &[Kernel], reason: "the kernel's timeconst.h" },
    Need {
        sign: Program("xz"),
        package: "xz-utils",
        purposes: &[Kernel],
        reason: "unpacks the kernel's source",
    },
    Need { sign: Program("zstd"), package: "zstd", purposes: &[Kernel], reason: "packs the kernel's image" },
    Need {
        sign: Header("gelf.h"),
        package: "libelf-dev",
        purposes: &[Kernel],
        reason: "objtool reads ELF files",
    },
];

/// The needs of these purposes that this machine does not meet.
pub fn missing(purposes: &[Purpose]) -> Vec<Need> {
    missing_where(purposes, is_met)
}

fn missing_where(purposes: &[Purpose], is_met: impl Fn(Sign) -> bool) -> Vec<Need> {
    let wanted = |need: &&Need| need.purposes.iter().any(|purpose| purposes.contains(purpose));
    NEEDS.iter().filter(wanted).filter(|need| !is_met(need.sign)).copied().collect()
}

fn is_met(sign: Sign) -> bool {
    match sign {
        Program(name) => shell::find_program(name).is_some(),
        File(places) => places.iter().any(|place| Path::new(place).is_file()),
        Header(name) => {
            let multiarch = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
            ["/usr/include", "/usr/local/include", &multiarch]
                .iter()
                .any(|dir| Path::new(dir).join(name).is_file())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_purpose_gets_its_own_needs_only() {
        let nothing_is_there = |_| false;
        let demo = missing_where(&[Demo], nothing_is_there);
        assert_eq!(demo, [QEMU]);
        let both = missing_where(&[Demo, Test], nothing_is_there);
        assert!(both.iter().any(|need| need.package == "golang-go"));
        assert!(!both.iter().any(|need| need.package == "flex"));
    }

    #[test]
    fn what_is_there_is_not_missing() {
        let all_but_go = |sign| sign != Program("go");
        let missing: Vec<_> =
            missing_where(&[Demo, Test, Kernel], all_but_go).iter().map(|n| n.package).collect();
        assert_eq!(missing, ["golang-go"]);
    }

    #[test]
    fn each_package_stands_in_one_row() {
        let packages: HashSet<_> = NEEDS.iter().map(|need| need.package).collect();
        assert_eq!(packages.len(), NEEDS.len());
    }
}
