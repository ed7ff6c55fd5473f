//! What is wanted of a virtual machine.

use std::path::PathBuf;

use solum_spec::description::StaticNetwork;
use solum_spec::machine::DEFAULT_MEMORY;
use solum_spec::{ByteSize, Publish, Share};

use crate::accelerator::Accelerator;
use crate::disk_file::DiskFile;
use crate::qemu;

/// A virtual machine, described completely; nothing else influences its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The name in process lists and messages.
    pub name: String,
    /// The emulator, as a path or as a name looked up in PATH.
    pub emulator: PathBuf,
    /// What it boots.
    pub boot: Boot,
    /// Words added to the kernel's command line, after those Solum writes, so they win.
    pub command_line: Vec<String>,
    /// Main memory.
    pub memory: ByteSize,
    /// Number of virtual CPUs, at least 1.
    pub cpus: u16,
    /// The machine has a network interface behind QEMU's user-mode network.
    pub network: bool,
    /// The interface's fixed address, if it does not ask QEMU's DHCP server for one. QEMU's network is laid out around it.
    pub fixed: Option<StaticNetwork>,
    /// Ports of the machine that the host makes reachable; they need `network`.
    pub publish: Vec<Publish>,
    /// The Ethernet address of its interface in the network of its system, if it has one.
    pub system_mac: Option<[u8; 6]>,
    /// Host directories the machine can mount, each under its 9p tag.
    pub shares: Vec<(String, Share)>,
    /// Files that the machine has as disks, in order; the one at place N has the serial number of [`disk_serial`](solum_spec::control::disk_serial).
    pub disks: Vec<PathBuf>,
    /// Further files that it has as disks, which the user named.
    pub attached: Vec<DiskFile>,
    /// The machine has a screen of this many pixels.
    pub screen: Option<Screen>,
    /// The machine has a keyboard.
    pub keys: bool,
    /// What executes the machine's instructions.
    pub accelerator: Accelerator,
    /// Which computer is emulated.
    pub machine_type: MachineType,
    /// What the program's standard streams are in the machine.
    pub console: Console,
    /// The kernel reports everything it does, not only what went wrong.
    pub verbose_kernel: bool,
}

/// What a machine boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// A kernel that QEMU itself loads, with a command line of ours.
    Kernel {
        /// A bzImage, or an ELF `vmlinux` with a PVH entry.
        kernel: PathBuf,
        /// Any archive the kernel unpacks.
        initramfs: PathBuf,
    },
    /// A medium that firmware finds, with all that is on it. The machine is a [`MachineType::Q35`].
    Firmware(Firmware),
}

/// UEFI, and the medium that it boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The firmware's code, which nobody writes to.
    pub code: PathBuf,
    /// The firmware's variables as they are at the start of every machine.
    pub variables: PathBuf,
    /// What it boots.
    pub medium: Medium,
}

/// A medium to boot from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// The file.
    pub file: PathBuf,
    /// The format of the file.
    pub format: DiskFormat,
    /// How the machine sees it.
    pub bus: Bus,
    /// The machine may not write to it.
    pub read_only: bool,
    /// What the machine writes is forgotten at its end.
    pub snapshot: bool,
}

/// The format of a file that is a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// The bytes of the disk.
    Raw,
    /// That of QEMU.
    Qcow2,
    /// That of VMware.
    Vmdk,
    /// That of Virtual PC, Hyper-V and Azure.
    Vhd,
}

impl DiskFormat {
    /// Its name in QEMU (qemu-block-drivers(7)).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vpc",
        }
    }
}

/// How a machine sees a medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bus {
    /// As a virtio disk.
    #[default]
    Virtio,
    /// As a CD in a drive at an AHCI controller.
    Cd,
    /// As a stick at USB.
    Usb,
    /// As a disk at an AHCI controller.
    Sata,
    /// As an NVMe disk.
    Nvme,
}

/// A screen of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// The socket at which viewers of VNC (RFC 6143) see it.
    pub socket: PathBuf,
}

/// Which computer is emulated (docs/adr/0005 has the measurements).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MachineType {
    /// A PC with PCI and ACPI: every kernel with virtio boots on it.
    #[default]
    Q35,
    /// No PCI, no ACPI: virtio over MMIO, announced on the kernel's command line.
    Microvm,
}

/// Memory from which the longer queues of a microvm do not matter.
const SPACIOUS: ByteSize = ByteSize::mebibytes(96);

impl MachineType {
    /// The fastest machine type that a kernel with this configuration (the text of its `.config`) boots on as
    /// `machine`; without a configuration, the one that every kernel boots on.
    pub fn fastest(kernel_config: Option<&str>, machine: &Machine) -> Self {
        let has = |symbol: &str| {
            kernel_config.is_some_and(|text| text.lines().any(|line| line.strip_suffix("=y") == Some(symbol)))
        };
        // Built in, not a module: only the kernel itself reads device names from its command line.
        let finds_devices = has("CONFIG_VIRTIO_MMIO") && has("CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES");
        // Without ACPI the Intel MP tables are where other processors are found.
        let finds_cpus = machine.cpus == 1 || has("CONFIG_X86_MPPARSE");
        let seat = usize::from(machine.screen.is_some()) + usize::from(machine.keys);
        let devices = 2
            + usize::from(machine.network)
            + usize::from(machine.system_mac.is_some())
            + machine.shares.len()
            + machine.disks.len()
            + machine.attached.len()
            + seat;
        let is_direct = matches!(machine.boot, Boot::Kernel { .. });
        let room = is_direct && devices <= qemu::MICROVM_SLOTS.len();
        // Virtio over MMIO has queues of 1024 buffers where PCI has 128 (hw/virtio/virtio-mmio.c, `QUEUE_NUM_MAX`):
        // 4 MiB for each port of the console device.
        let spacious = machine.memory >= SPACIOUS;
        if finds_devices && finds_cpus && room && spacious { Self::Microvm } else { Self::Q35 }
    }
}

/// What the program's standard streams are in the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// `/dev/hvc0`: a terminal, both ways. The kernel's driver moves 16 bytes at a time and QEMU drops what
    /// nobody reads in time (hw/char/virtio-console.c, `flush_buf`), so it is for people, not for data.
    #[default]
    Terminal,
    /// Three virtio-serial ports, [`STREAM_PORTS`](solum_spec::control::STREAM_PORTS): byte streams with
    /// back-pressure, an end of input, and standard error apart from standard output.
    Streams,
}

/// The emulator for machines of this architecture.
pub const DEFAULT_EMULATOR: &str = "qemu-system-x86_64";

impl Machine {
    /// A machine with one CPU, [`DEFAULT_MEMORY`] and nothing else.
    pub fn new(name: impl Into<String>, kernel: impl Into<PathBuf>, initramfs: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            emulator: DEFAULT_EMULATOR.into(),
            boot: Boot::Kernel { kernel: kernel.into(), initramfs: initramfs.into() },
            command_line: Vec::new(),
            memory: DEFAULT_MEMORY,
            cpus: 1,
            network: false,
            fixed: None,
            publish: Vec::new(),
            system_mac: None,
            shares: Vec::new(),
            disks: Vec::new(),
            attached: Vec::new(),
            screen: None,
            keys: false,
            accelerator: Accelerator::Tcg,
            machine_type: MachineType::default(),
            console: Console::default(),
            verbose_kernel: false,
        }
    }

    /// Names of the kernel modules this machine's devices need, as `modprobe` knows them; what a kernel has built
    /// in is simply not among its modules.
    pub fn kernel_modules(&self) -> Vec<&'static str> {
        let mut names = match self.machine_type {
            MachineType::Q35 => vec!["virtio_pci"],
            MachineType::Microvm => vec!["virtio_mmio"],
        };
        names.extend(["virtio_console", "virtio_rng"]);
        if self.network || self.system_mac.is_some() {
            names.push("virtio_net");
        }
        if !self.disks.is_empty() || !self.attached.is_empty() {
            names.push("virtio_blk");
        }
        if !self.shares.is_empty() {
            names.extend(["9pnet_virtio", "9p"]);
        }
        if self.screen.is_some() {
            names.push("virtio-gpu");
        }
        if self.keys {
            names.extend(["virtio_input", "evdev"]);
        }
        if self.machine_type == MachineType::Q35 {
            names.extend(["button", "evdev"]);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_type_is_one_that_works() {
        const MMIO: &str = "CONFIG_VIRTIO_MMIO=y\nCONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y\n";
        let many = format!("{MMIO}CONFIG_X86_MPPARSE=y\n");
        let module = MMIO.replace("MMIO=y", "MMIO=m");
        let off = "CONFIG_VIRTIO_MMIO=y\n# CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is not set\n";
        for (config, cpus, shares, expected) in [
            (None, 1, 0, MachineType::Q35),
            (Some(MMIO), 1, 0, MachineType::Microvm),
            (Some(MMIO), 2, 0, MachineType::Q35),
            (Some(&*many), 2, 0, MachineType::Microvm),
            (Some(&*module), 1, 0, MachineType::Q35),
            (Some(off), 1, 0, MachineType::Q35),
            (Some(MMIO), 1, 5, MachineType::Microvm),
            (Some(MMIO), 1, 6, MachineType::Q35),
        ] {
            let share = ("share".to_owned(), ".:/src".parse().unwrap());
            let machine = Machine { cpus, shares: vec![share; shares], ..Machine::new("m", "k", "i") };
            let found = MachineType::fastest(config, &machine);
            assert_eq!(found, expected, "{config:?}, {cpus} CPUs, {shares} shares");
        }
    }

    #[test]
    fn little_memory_is_not_spent_on_queues() {
        let config = "CONFIG_VIRTIO_MMIO=y\nCONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y";
        let mut machine = Machine::new("m", "k", "i");
        for (mebibytes, expected) in [(32, MachineType::Q35), (96, MachineType::Microvm)] {
            machine.memory = ByteSize::mebibytes(mebibytes);
            assert_eq!(MachineType::fastest(Some(config), &machine), expected);
        }
    }

    #[test]
    fn modules_follow_the_devices() {
        let mut machine = Machine::new("m", "k", "i");
        let names = ["virtio_pci", "virtio_console", "virtio_rng", "button", "evdev"];
        assert_eq!(machine.kernel_modules(), names);
        machine.machine_type = MachineType::Microvm;
        machine.network = true;
        machine.shares.push(("share0".into(), ".:/src".parse().unwrap()));
        let names = ["virtio_mmio", "virtio_console", "virtio_rng", "virtio_net", "9pnet_virtio", "9p"];
        assert_eq!(machine.kernel_modules(), names);
    }
}
