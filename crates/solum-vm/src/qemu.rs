//! A machine as a QEMU command line.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::os::fd::RawFd;

use solum_spec::control::{PORT_NAME, STREAM_PORTS, disk_serial};

use crate::accelerator::Accelerator;
use crate::error::VmError;
use crate::kernel_line::{self, Control};
use crate::machine::{Boot, Bus, Console, Firmware, Machine, MachineType, Medium};
use crate::user_network::{NetworkError, UserNetwork};

/// The slots for virtio devices that a microvm without ACPI has (hw/i386/microvm.c, `microvm_devices_init`), but for
/// slot 3: its interrupt is number 8, which the clock has and does not share (drivers/rtc/rtc-cmos.c).
pub(crate) const MICROVM_SLOTS: [u8; 7] = [0, 1, 2, 4, 5, 6, 7];
/// Where slot 0 is.
pub(crate) const MICROVM_SLOT_ADDRESS: u64 = 0xfeb0_0000;
/// How much of the address space each takes.
pub(crate) const MICROVM_SLOT_BYTES: u64 = 512;
/// The interrupt of slot 0; each has one of its own.
pub(crate) const MICROVM_FIRST_INTERRUPT: u8 = 5;

/// How the machine's channels reach the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// For a person at a shell: console and kernel log share QEMU's standard streams, Ctrl-A X ends it.
    ByHand,
    /// For [`run`](crate::run()): connected sockets that QEMU inherits.
    Sockets(Sockets),
}

/// Descriptor numbers in the QEMU process, each a connected stream socket.
///
/// Inherited sockets need no directory, have no permissions to get wrong, no path that can be too long, and no
/// moment in which the peer is not yet there; and their end of file says that QEMU is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sockets {
    /// The kernel's log, the machine's first serial port.
    pub kernel_log: RawFd,
    /// The control channel of [`solum_spec::control`].
    pub control: RawFd,
    /// QMP, QEMU's own monitor protocol.
    pub monitor: RawFd,
    /// Standard input, output and error under [`Console::Streams`]. A terminal uses QEMU's own streams.
    pub streams: Option<[RawFd; 3]>,
    /// The cable to the network of the machine's system.
    pub network: Option<RawFd>,
}

/// The command that runs `machine`, the emulator first.
pub fn command(machine: &Machine, channels: &Channels) -> Result<Vec<OsString>, VmError> {
    let mut command = Command {
        words: vec![machine.emulator.clone().into()],
        bus: machine.machine_type,
        virtio_devices: 0,
    };
    command.computer(machine);
    match &machine.boot {
        Boot::Kernel { kernel, initramfs } => {
            command.option("-kernel", kernel);
            command.option("-initrd", initramfs);
            let control = match channels {
                Channels::ByHand => Control::Missing,
                Channels::Sockets(_) => Control::Attached,
            };
            command.option("-append", kernel_line::compose(machine, control)?);
        }
        Boot::Firmware(firmware) => command.firmware(firmware),
    }
    command.channels(machine.console, channels);
    command.virtio("rng", "");
    command.network(machine)?;
    command.system_network(machine, channels);
    command.shares(machine);
    command.disks(machine);
    command.seat(machine);
    Ok(command.words)
}

struct Command {
    words: Vec<OsString>,
    bus: MachineType,
    /// Virtio devices so far.
    virtio_devices: usize,
}

impl Command {
    fn flag(&mut self, name: &str) {
        self.words.push(name.into());
    }

    fn option(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.words.push(name.into());
        self.words.push(value.as_ref().to_owned());
    }

    /// A virtio device on the bus of this machine type; `properties` start with a comma.
    fn virtio(&mut self, kind: &str, properties: impl Display) {
        let device = match self.bus {
            MachineType::Q35 => format!("virtio-{kind}-pci{properties}"),
            MachineType::Microvm => {
                // One device too many gets none, and QEMU says so.
                let slot = MICROVM_SLOTS.get(self.virtio_devices).copied().unwrap_or(u8::MAX);
                format!("virtio-{kind}-device{properties},bus=virtio-mmio-bus.{slot}")
            }
        };
        self.virtio_devices += 1;
        self.option("-device", device);
    }

    fn computer(&mut self, machine: &Machine) {
        self.option("-name", format!("solum-{}", escape(&machine.name)));
        self.option(
            "-machine",
            match self.bus {
                MachineType::Q35 if has_sata(machine) => "q35,smm=off,vmport=off",
                MachineType::Q35 => "q35,smm=off,sata=off,vmport=off",
                MachineType::Microvm => "microvm,acpi=off,rtc=on,auto-kernel-cmdline=off",
            },
        );
        let (accelerator, cpu) = match machine.accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            Accelerator::Tcg => ("tcg", "max"),
        };
        self.option("-accel", accelerator);
        self.option("-cpu", cpu);
        self.option("-smp", machine.cpus.to_string());
        self.option("-m", format!("{}M", machine.memory.as_mebibytes()));
        // No default devices, no configuration files of the host: the same command is the same machine everywhere.
        for flag in ["-nodefaults", "-no-user-config", "-no-reboot"] {
            self.flag(flag);
        }
        match &machine.screen {
            Some(screen) => {
                let mut display = OsString::from("vnc=unix:");
                display.push(escape_path(screen.socket.as_os_str()));
                self.option("-display", display);
            }
            None => self.option("-display", "none"),
        }
    }

    fn firmware(&mut self, firmware: &Firmware) {
        // What the firmware writes to its variables is kept apart and forgotten: each start is the first one.
        for (file, access) in [(&firmware.code, "readonly=on"), (&firmware.variables, "snapshot=on")] {
            let mut drive = OsString::from(format!("if=pflash,format=raw,{access},file="));
            drive.push(escape_path(file.as_os_str()));
            self.option("-drive", drive);
        }
        let Medium { file, format, bus, read_only, snapshot } = &firmware.medium;
        let is_unwritable = *read_only && matches!(bus, Bus::Sata | Bus::Nvme);
        let snapshot = if *snapshot || is_unwritable { "on" } else { "off" };
        let media = match (bus, read_only) {
            (Bus::Cd, _) => "media=cdrom,readonly=on,",
            // Disks of these kinds can be written to, or QEMU refuses them; nothing of it reaches the file.
            (Bus::Sata | Bus::Nvme, true) => "",
            (_, true) => "readonly=on,",
            (_, false) => "",
        };
        let mut drive = OsString::from(format!(
            "if=none,id=medium,{media}format={},cache=writeback,discard=unmap,snapshot={snapshot},file=",
            format.name()
        ));
        drive.push(escape_path(file.as_os_str()));
        self.option("-drive", drive);
        match bus {
            Bus::Virtio => self.virtio("blk", ",drive=medium,bootindex=0"),
            Bus::Cd => self.option("-device", "ide-cd,drive=medium,bootindex=0"),
            Bus::Sata => self.option("-device", "ide-hd,drive=medium,bootindex=0"),
            Bus::Nvme => self.option("-device", "nvme,drive=medium,serial=solum-medium,bootindex=0"),
            Bus::Usb => {
                self.option("-device", "qemu-xhci");
                self.option("-device", "usb-storage,drive=medium,bootindex=0,removable=on");
            }
        }
    }

    fn seat(&mut self, machine: &Machine) {
        if let Some(screen) = &machine.screen {
            self.virtio("gpu", format_args!(",xres={},yres={}", screen.width, screen.height));
        }
        if machine.keys {
            self.virtio("keyboard", "");
        }
    }

    fn channels(&mut self, console: Console, channels: &Channels) {
        self.virtio("serial", "");
        match channels {
            Channels::ByHand => {
                self.option("-chardev", "stdio,id=console,mux=on,signal=off");
                self.option("-serial", "chardev:console");
                self.option("-device", "virtconsole,chardev=console");
            }
            Channels::Sockets(sockets) => self.sockets(console, sockets),
        }
    }

    fn sockets(&mut self, console: Console, sockets: &Sockets) {
        self.socket("kernel", sockets.kernel_log);
        self.option("-serial", "chardev:kernel");
        self.socket("monitor", sockets.monitor);
        self.option("-mon", "chardev=monitor,mode=control");
        match (console, sockets.streams) {
            (Console::Streams, Some(descriptors)) => {
                for (number, (name, descriptor)) in STREAM_PORTS.iter().zip(descriptors).enumerate() {
                    self.port(&format!("stream{number}"), name, descriptor);
                }
            }
            _ => {
                self.option("-chardev", "stdio,id=console,signal=off");
                self.option("-device", "virtconsole,chardev=console");
            }
        }
        self.port("control", PORT_NAME, sockets.control);
    }

    fn socket(&mut self, id: &str, descriptor: RawFd) {
        self.option("-chardev", format!("socket,id={id},fd={descriptor}"));
    }

    fn port(&mut self, id: &str, name: &str, descriptor: RawFd) {
        self.socket(id, descriptor);
        self.option("-device", format!("virtserialport,chardev={id},name={name}"));
    }

    fn network(&mut self, machine: &Machine) -> Result<(), NetworkError> {
        if !machine.network {
            return Ok(());
        }
        let mut backend = "user,id=net0".to_owned();
        // Without an address QEMU takes the first one that its DHCP server gives (qemu(1), `hostfwd`).
        let mut address = String::new();
        if let Some(fixed) = &machine.fixed {
            backend += &format!(",{}", UserNetwork::around(fixed)?);
            address = fixed.address.to_string();
        }
        for publish in &machine.publish {
            backend += &format!(
                ",hostfwd={}:{}:{}-{address}:{}",
                publish.protocol, publish.address, publish.host_port, publish.machine_port
            );
        }
        self.option("-netdev", backend);
        // No boot ROM: it would have to be installed, and would offer to boot from the network.
        let rom = if self.bus == MachineType::Q35 { ",romfile=" } else { "" };
        self.virtio("net", format_args!(",netdev=net0{rom}"));
        Ok(())
    }

    /// Without a cable there is no interface either: a machine that is run alone reaches nobody.
    fn system_network(&mut self, machine: &Machine, channels: &Channels) {
        let cable = match channels {
            Channels::ByHand => None,
            Channels::Sockets(sockets) => sockets.network,
        };
        let (Some(cable), Some(mac)) = (cable, machine.system_mac) else { return };
        self.option("-netdev", format!("socket,id=net1,fd={cable}"));
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let rom = if self.bus == MachineType::Q35 { ",romfile=" } else { "" };
        self.virtio("net", format_args!(",netdev=net1,mac={mac}{rom}"));
    }

    fn disks(&mut self, machine: &Machine) {
        for (index, file) in machine.disks.iter().enumerate() {
            // A flush of the guest is one of the host, and what the guest discards takes no place (qemu-block-drivers(7)).
            let mut backend = OsString::from(format!(
                "if=none,id=disk{index},format=raw,cache=writeback,discard=unmap,file="
            ));
            backend.push(escape_path(file.as_os_str()));
            self.option("-drive", backend);
            self.virtio("blk", format_args!(",drive=disk{index},serial={}", disk_serial(index)));
        }
        for (index, disk) in machine.attached.iter().enumerate() {
            let read_only = if disk.read_only { "on" } else { "off" };
            let mut backend = OsString::from(format!(
                "if=none,id=attached{index},format=raw,cache=writeback,discard=unmap,readonly={read_only},file="
            ));
            backend.push(escape_path(disk.file.as_os_str()));
            self.option("-drive", backend);
            let serial = disk.serial().map(|serial| format!(",serial={serial}")).unwrap_or_default();
            self.virtio("blk", format_args!(",drive=attached{index}{serial}"));
        }
    }

    fn shares(&mut self, machine: &Machine) {
        for (tag, share) in &machine.shares {
            let mut backend =
                OsString::from(format!("local,id={tag},security_model=none,multidevs=remap,path="));
            backend.push(escape_path(share.source.as_os_str()));
            if share.read_only {
                backend.push(",readonly=on");
            }
            self.option("-fsdev", backend);
            self.virtio("9p", format_args!(",fsdev={tag},mount_tag={tag}"));
        }
    }
}

fn has_sata(machine: &Machine) -> bool {
    matches!(&machine.boot, Boot::Firmware(firmware) if matches!(firmware.medium.bus, Bus::Cd | Bus::Sata))
}

/// In QEMU's option lists a comma is written twice (qemu(1), `-drive file=`).
fn escape(text: &str) -> String {
    text.replace(',', ",,")
}

fn escape_path(path: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let doubled = path.as_bytes().iter().flat_map(|&byte| vec![byte; if byte == b',' { 2 } else { 1 }]);
    OsString::from_vec(doubled.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;
    use solum_spec::description::StaticNetwork;

    fn machine() -> Machine {
        Machine::new("hello", "vmlinuz", "hello.cpio")
    }

    fn shown(machine: &Machine, channels: &Channels) -> String {
        // One option a line, so that a difference is easy to read.
        shell::quote(&command(machine, channels).unwrap()).replace(" -", "\n-")
    }

    #[test]
    fn by_hand_it_is_one_terminal() {
        let expected = "\
qemu-system-x86_64
-name solum-hello
-machine q35,smm=off,sata=off,vmport=off
-accel tcg
-cpu max
-smp 1
-m 128M
-nodefaults
-no-user-config
-no-reboot
-display none
-kernel vmlinuz
-initrd hello.cpio
-append 'rdinit=/init quiet loglevel=4 console=uart8250,io,0x3f8,115200 8250.nr_uarts=1 panic=-1 panic_print=0x20 reboot=t i8042.noaux i8042.nokbd no_timer_check noapictimer solum.control=none'
-device virtio-serial-pci
-chardev stdio,id=console,mux=on,signal=off
-serial chardev:console
-device virtconsole,chardev=console
-device virtio-rng-pci";
        assert_eq!(shown(&machine(), &Channels::ByHand), expected);
    }

    #[test]
    fn everything_at_once_on_a_microvm() {
        let mut machine = machine();
        machine.machine_type = MachineType::Microvm;
        machine.console = Console::Streams;
        machine.accelerator = Accelerator::Kvm;
        machine.network = true;
        machine.publish = vec!["8000:80".parse().unwrap(), "0.0.0.0:53:5353/udp".parse().unwrap()];
        machine.shares = vec![("share0".into(), ".:/src".parse().unwrap())];
        let sockets =
            Sockets { kernel_log: 3, control: 4, monitor: 5, streams: Some([6, 7, 8]), network: Some(9) };
        machine.system_mac = Some([0x52, 0x54, 0, 0x53, 0, 1]);
        let expected = "\
-device virtio-serial-device,bus=virtio-mmio-bus.0
-chardev socket,id=kernel,fd=3
-serial chardev:kernel
-chardev socket,id=monitor,fd=5
-mon chardev=monitor,mode=control
-chardev socket,id=stream0,fd=6
-device virtserialport,chardev=stream0,name=org.solum.stdin
-chardev socket,id=stream1,fd=7
-device virtserialport,chardev=stream1,name=org.solum.stdout
-chardev socket,id=stream2,fd=8
-device virtserialport,chardev=stream2,name=org.solum.stderr
-chardev socket,id=control,fd=4
-device virtserialport,chardev=control,name=org.solum.control
-device virtio-rng-device,bus=virtio-mmio-bus.1
-netdev user,id=net0,hostfwd=tcp:127.0.0.1:8000-:80,hostfwd=udp:0.0.0.0:53-:5353
-device virtio-net-device,netdev=net0,bus=virtio-mmio-bus.2
-netdev socket,id=net1,fd=9
-device virtio-net-device,netdev=net1,mac=52:54:00:53:00:01,bus=virtio-mmio-bus.4
-fsdev local,id=share0,security_model=none,multidevs=remap,path=.
-device virtio-9p-device,fsdev=share0,mount_tag=share0,bus=virtio-mmio-bus.5";
        let shown = shown(&machine, &Channels::Sockets(sockets));
        assert!(shown.ends_with(expected), "{shown}");
        assert!(
            shown.contains(
                "\n-machine microvm,acpi=off,rtc=on,auto-kernel-cmdline=off\n-accel kvm\n-cpu host\n"
            )
        );
        assert!(shown.contains("solum.end=reboot virtio_mmio.device=512@0xfeb00000:5 "), "{shown}");
        assert!(shown.contains(" virtio_mmio.device=512@0xfeb00e00:12'"), "{shown}");
    }

    #[test]
    fn a_screen_and_a_keyboard_are_devices_like_others() {
        let mut machine = machine();
        machine.screen = Some(crate::Screen { width: 1024, height: 768, socket: "a,b.vnc".into() });
        machine.keys = true;
        let shown = shown(&machine, &Channels::ByHand);
        assert!(shown.contains("\n-display vnc=unix:a,,b.vnc\n"), "{shown}");
        let devices = "\n-device virtio-gpu-pci,xres=1024,yres=768\n-device virtio-keyboard-pci";
        assert!(shown.ends_with(devices), "{shown}");
        assert!(machine.kernel_modules().ends_with(&[
            "virtio-gpu",
            "virtio_input",
            "evdev",
            "button",
            "evdev"
        ]));
    }

    #[test]
    fn attached_disks_follow_those_of_a_system() {
        let mut machine = machine();
        machine.disks.push("own".into());
        machine.attached = vec!["my,data.img".parse().unwrap(), "photos:ro".parse().unwrap()];
        let expected = "\
-drive if=none,id=attached0,format=raw,cache=writeback,discard=unmap,readonly=off,file=my,,data.img
-device virtio-blk-pci,drive=attached0,serial=mydata
-drive if=none,id=attached1,format=raw,cache=writeback,discard=unmap,readonly=on,file=photos
-device virtio-blk-pci,drive=attached1,serial=photos";
        let shown = shown(&machine, &Channels::ByHand);
        assert!(shown.ends_with(expected), "{shown}");
        assert!(machine.kernel_modules().contains(&"virtio_blk"));
    }

    #[test]
    fn published_ports_lead_to_the_machines_own_address() {
        let mut machine = machine();
        machine.network = true;
        machine.publish.push("8000:80".parse().unwrap());
        assert!(shown(&machine, &Channels::ByHand).contains("hostfwd=tcp:127.0.0.1:8000-:80\n"));
        let address = [192, 168, 7, 77].into();
        machine.fixed = Some(StaticNetwork { address, prefix: 24, gateway: None, dns: vec![] });
        let shown = shown(&machine, &Channels::ByHand);
        let network = ",net=192.168.7.0/24,host=192.168.7.2,dns=192.168.7.3,dhcpstart=192.168.7.4";
        assert!(
            shown.contains(&format!("{network},hostfwd=tcp:127.0.0.1:8000-192.168.7.77:80\n")),
            "{shown}"
        );
    }

    #[test]
    fn paths_with_commas_survive() {
        let mut machine = machine();
        machine.shares.push(("share0".into(), "a,b:/data:ro".parse().unwrap()));
        let shown = shown(&machine, &Channels::ByHand);
        let line = "-fsdev local,id=share0,security_model=none,multidevs=remap,path=a,,b,readonly=on";
        assert!(shown.contains(line), "{shown}");
    }
}
