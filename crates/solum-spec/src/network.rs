//! The network between the machines of one system: who has which address, and which key is known by whom.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use crate::plan::End;

/// The addresses of systems are within this network.
const NETWORK: [u8; 2] = [10, 83];
/// The length of its prefix in bits.
pub const PREFIX: u8 = 16;
/// Where the relay of each machine listens.
pub const LINK_PORT: u16 = 7083;

/// A secret key (X25519). It is in the image of its machine alone, and never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Both halves of a machine's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// For the machine itself.
    pub secret: Secret,
    /// For those that it speaks with.
    pub public: [u8; 32],
}

/// A machine's place in the network of its system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemNetwork {
    /// Its own address.
    pub address: Ipv4Addr,
    /// Length of the network prefix in bits.
    pub prefix: u8,
    /// The Ethernet address by which it knows its interface.
    pub mac: [u8; 6],
    /// The host names and addresses of all machines.
    pub hosts: Vec<(String, Ipv4Addr)>,
    /// Where the relay of each machine listens.
    pub port: u16,
    /// Its own key.
    pub secret: Secret,
    /// The machines at the other ends of its links.
    pub peers: Vec<Peer>,
}

/// The interface that leads to the other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Its Ethernet address, by which it is found.
    pub mac: [u8; 6],
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network prefix in bits.
    pub prefix: u8,
}

impl SystemNetwork {
    /// What whoever configures interfaces has to know, and no key.
    pub fn inside(&self) -> Inside {
        let Self { mac, address, prefix, .. } = *self;
        Inside { mac, address, prefix }
    }
}

/// A machine at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub machine: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it is known by.
    pub public: [u8; 32],
}

/// The address of the machine with this place in the description; nothing, if there are more than fit.
pub fn address(machine: usize) -> Option<Ipv4Addr> {
    let [high, low] = number(machine)?;
    Some(Ipv4Addr::new(NETWORK[0], NETWORK[1], high, low))
}

/// The Ethernet address of the machine with this place in the description: in the range that QEMU gives its machines.
pub fn mac(machine: usize) -> Option<[u8; 6]> {
    let [high, low] = number(machine)?;
    Some([0x52, 0x54, 0x00, b'S', high, low])
}

/// The first is 1: 0 is the network itself, and the last one everybody.
fn number(machine: usize) -> Option<[u8; 2]> {
    let number = u16::try_from(machine).ok()?.checked_add(1)?;
    (number != u16::MAX).then(|| number.to_be_bytes())
}

/// What the role `link` is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// A number that this life of the machine has and no other.
    pub life: u64,
    /// The machine's key.
    pub secret: Secret,
    /// Where it listens.
    pub listen: SocketAddrV4,
    /// What it carries.
    pub links: Vec<RelayedLink>,
}

/// One link to another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedLink {
    /// Its number, the same on both machines.
    pub id: u32,
    /// Its name, for people.
    pub name: String,
    /// Which end is on this machine. The relay plays the other one.
    pub here: End,
    /// Where the other machine listens.
    pub peer: SocketAddrV4,
    /// What the other machine is known by.
    pub public: [u8; 32],
    /// Numbers of inherited descriptors: the memory, the bell of the end that the relay plays, the bell of the unit here.
    pub descriptors: [i32; 3],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_has_an_address_of_its_own() {
        assert_eq!(address(0), Some(Ipv4Addr::new(10, 83, 0, 1)));
        assert_eq!(address(256), Some(Ipv4Addr::new(10, 83, 1, 1)));
        assert_eq!(mac(1), Some([0x52, 0x54, 0, 0x53, 0, 2]));
        assert_eq!(address(65_533), Some(Ipv4Addr::new(10, 83, 255, 254)));
        assert_eq!((address(65_534), mac(65_534), address(usize::MAX)), (None, None, None));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret([7; 32])), "Secret");
    }
}
