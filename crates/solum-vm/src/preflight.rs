//! What can be found wrong with a machine before it is started.

use std::io;
use std::net::{TcpListener, UdpSocket};

use solum_spec::{Protocol, Publish};

use crate::error::VmError;
use crate::machine::Machine;

/// Looks at everything the machine takes from the host.
pub(crate) fn check(machine: &Machine) -> Result<(), VmError> {
    for file in [&machine.kernel, &machine.initramfs] {
        std::fs::File::open(file).map_err(|error| VmError::File(file.clone(), error))?;
    }
    for (_, share) in &machine.shares {
        std::fs::read_dir(&share.source).map_err(|error| VmError::Share(share.source.clone(), error))?;
    }
    machine.publish.iter().try_for_each(|publish| check_port(machine, publish))
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
