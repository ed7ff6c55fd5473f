//! What can be found wrong with a machine before it is started.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use solum_spec::{ByteSize, Protocol, Publish};

use crate::disk_file::DiskFile;
use crate::error::VmError;
use crate::kernel_file;
use crate::machine::{Boot, Machine, MachineType};

/// Looks at everything the machine takes from the host, and gives back the memory that should be enough for it.
pub(crate) fn check(machine: &Machine) -> Result<ByteSize, VmError> {
    let memory = check_memory(machine)?;
    for (_, share) in &machine.shares {
        std::fs::read_dir(&share.source).map_err(|error| VmError::Share(share.source.clone(), error))?;
    }
    machine.attached.iter().try_for_each(check_disk)?;
    machine.publish.iter().try_for_each(|publish| check_port(machine, publish))?;
    Ok(memory)
}

/// QEMU would say the same in words of its own, after the machine was begun.
fn check_disk(disk: &DiskFile) -> Result<(), VmError> {
    let opened = OpenOptions::new().read(true).write(!disk.read_only).open(&disk.file);
    let kind = opened.and_then(|file| file.metadata()).map(|metadata| metadata.file_type());
    match kind {
        Ok(kind) if kind.is_file() || kind.is_block_device() => Ok(()),
        Ok(_) => Err(VmError::Disk(disk.file.clone(), io::ErrorKind::IsADirectory.into())),
        Err(error) => Err(VmError::Disk(disk.file.clone(), error)),
    }
}

/// Firmware alone takes this much before it can boot anything (OVMF ends in an assertion below 64 MiB).
const FIRMWARE: ByteSize = ByteSize::mebibytes(96);

fn check_memory(machine: &Machine) -> Result<ByteSize, VmError> {
    let (kernel, initramfs) = match &machine.boot {
        Boot::Kernel { kernel, initramfs } => (kernel, initramfs),
        Boot::Firmware(_) if machine.memory < FIRMWARE => {
            let needed = FIRMWARE.as_mebibytes();
            return Err(VmError::MemoryTooSmall { given: machine.memory, needed });
        }
        Boot::Firmware(firmware) => {
            for file in [&firmware.code, &firmware.variables, &firmware.medium.file] {
                File::open(file).map_err(|error| VmError::File(file.clone(), error))?;
            }
            return Ok(machine.memory);
        }
    };
    let head = read_head(kernel).map_err(|error| VmError::File(kernel.clone(), error))?;
    let kernel = kernel_file::footprint(&head).map_err(|what| VmError::NotAKernel(kernel.clone(), what))?;
    let file = File::open(initramfs).and_then(|file| file.metadata());
    let initramfs = file.map_err(|error| VmError::File(initramfs.clone(), error))?.len();
    let enough = enough_memory(kernel, initramfs, machine.machine_type);
    let given = machine.memory;
    if given.as_bytes() < kernel.saturating_add(initramfs).saturating_add(SMALLEST_SYSTEM) {
        return Err(VmError::MemoryTooSmall { given, needed: enough.as_mebibytes() });
    }
    // If this much turns out to be too little, it is not what to recommend.
    Ok(enough.max(ByteSize::bytes(given.as_bytes().saturating_add(given.as_bytes() / 4))))
}

/// Beside kernel and initramfs: with less than that nothing was seen to boot, and the kernel dies without a word.
const SMALLEST_SYSTEM: u64 = 2 << 20;

/// An estimate: the kernel, the initramfs both packed and unpacked (three times as large), and what a system of one small program takes
/// (docs/adr/0005 has the measurements). A microvm's devices have queues eight times as long, full of buffers.
fn enough_memory(kernel: u64, initramfs: u64, machine_type: MachineType) -> ByteSize {
    const SMALL_SYSTEM: u64 = 10 << 20;
    const LONG_QUEUES: u64 = 28 << 20;
    const STEP: u64 = 4 << 20;
    let queues = if machine_type == MachineType::Microvm { LONG_QUEUES } else { 0 };
    let sum = kernel.saturating_add(initramfs.saturating_mul(4)).saturating_add(SMALL_SYSTEM + queues);
    ByteSize::bytes(sum.checked_next_multiple_of(STEP).unwrap_or(sum))
}

fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(kernel_file::HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn check_port(machine: &Machine, publish: &Publish) -> Result<(), VmError> {
    if !machine.network {
        return Err(VmError::PublishNeedsNetwork(*publish));
    }
    if publish.address.is_ipv6() {
        return Err(VmError::PublishNeedsIpv4(*publish));
    }
    try_bind(publish).map_err(|error| VmError::Port(*publish, error))
}

/// Somebody else may take the port before QEMU does; then QEMU's own message is shown.
fn try_bind(publish: &Publish) -> io::Result<()> {
    let address = (publish.address, publish.host_port);
    match publish.protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_to_be_enough_is_estimated_as_enough() {
        const MIB: u64 = 1 << 20;
        // Kernel and the smallest memory seen to boot it, both in MiB, with an initramfs of 0.7 MiB.
        for (kernel, smallest) in [(14, 26), (18, 26), (72, 80)] {
            let enough = enough_memory(kernel * MIB, 7 * MIB / 10, MachineType::Q35).as_mebibytes();
            assert!((smallest..=smallest + 8).contains(&enough), "{enough} MiB for {kernel} MiB");
        }
        assert_eq!(enough_memory(u64::MAX, 1, MachineType::Q35).as_bytes(), u64::MAX);
    }
}
