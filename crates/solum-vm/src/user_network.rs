//! The network behind a machine with a fixed address: QEMU's user-mode network, laid out around that address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use solum_spec::description::StaticNetwork;

/// QEMU takes no wider network (net/slirp.c, `net_slirp_init`).
const PREFIX_MIN: u8 = 4;
/// Room for the machine and for three addresses of QEMU's own, beside those of the network itself and of all of it.
const PREFIX_MAX: u8 = 29;

/// Why QEMU cannot be the network around an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// The network is wider, or holds fewer addresses, than QEMU can make one.
    Prefix(u8),
    /// The address names the network itself, or everyone in it.
    NoHost(Ipv4Addr),
    /// The router is not in the machine's network, or is the machine itself.
    Gateway {
        /// The router.
        gateway: Ipv4Addr,
        /// The machine.
        address: Ipv4Addr,
        /// Length of the prefix of the machine's network.
        prefix: u8,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "QEMU cannot make a network with a prefix of {prefix} bits"),
            Self::NoHost(address) => {
                write!(f, "{address} is the address of a network, not of a machine in it")
            }
            Self::Gateway { gateway, address, prefix } => {
                write!(f, "the gateway {gateway} is not a neighbour of {address}/{prefix}")
            }
        }
    }
}

impl std::error::Error for NetworkError {}

impl NetworkError {
    /// What to do instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Prefix(_) => {
                format!("write a prefix from {PREFIX_MIN} to {PREFIX_MAX}, like --network 10.0.2.15/24")
            }
            Self::NoHost(address) => {
                format!("take another one, like {}", Ipv4Addr::from(u32::from(*address) ^ 1))
            }
            Self::Gateway { .. } => {
                "leave the gateway out, or name another address of the same network".to_owned()
            }
        }
    }
}

/// The addresses of QEMU's network; [`Display`](fmt::Display) are the options of `-netdev user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserNetwork {
    network: Ipv4Addr,
    prefix: u8,
    /// The router, which is the host too.
    host: Ipv4Addr,
    dns: Ipv4Addr,
    /// The first address that DHCP would give. Nobody asks, but QEMU wants it apart from the others.
    dhcp: Ipv4Addr,
}

impl UserNetwork {
    /// The network in which `fixed` has its address.
    pub(crate) fn around(fixed: &StaticNetwork) -> Result<Self, NetworkError> {
        let StaticNetwork { address, prefix, gateway, dns } = fixed;
        if !(PREFIX_MIN..=PREFIX_MAX).contains(prefix) {
            return Err(NetworkError::Prefix(*prefix));
        }
        let rest = u32::MAX >> prefix;
        let network = u32::from(*address) & !rest;
        let is_host = |other: u32| other & !rest == network && ![0, rest].contains(&(other & rest));
        if !is_host((*address).into()) {
            return Err(NetworkError::NoHost(*address));
        }
        if let Some(gateway) = gateway.filter(|gateway| gateway == address || !is_host((*gateway).into())) {
            return Err(NetworkError::Gateway { gateway, address: *address, prefix: *prefix });
        }
        let neighbour = |server: &IpAddr| match server {
            IpAddr::V4(server) => {
                Some(*server).filter(|server| is_host((*server).into()) && server != address)
            }
            IpAddr::V6(_) => None,
        };
        let wanted_dns = dns.iter().filter_map(neighbour).find(|server| Some(*server) != *gateway);
        let mut taken: Vec<Ipv4Addr> = [Some(*address), *gateway, wanted_dns].into_iter().flatten().collect();
        let mut free = || {
            // In the order of QEMU's own network, where 2 is the router and 3 the DNS server.
            let mut all = (network + 2..network + rest).chain([network + 1]).map(Ipv4Addr::from);
            // The least network has six addresses, and no more than four are taken.
            let chosen = all.find(|other| !taken.contains(other)).unwrap_or(*address);
            taken.push(chosen);
            chosen
        };
        Ok(Self {
            network: network.into(),
            prefix: *prefix,
            host: gateway.unwrap_or_else(&mut free),
            dns: wanted_dns.unwrap_or_else(&mut free),
            dhcp: free(),
        })
    }
}

impl fmt::Display for UserNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, prefix, host, dns, dhcp } = self;
        write!(f, "net={network}/{prefix},host={host},dns={dns},dhcpstart={dhcp}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ADDRESS/PREFIX, a gateway or nothing, DNS servers separated by commas.
    fn around(own: &str, gateway: &str, dns: &str) -> Result<String, NetworkError> {
        let (address, prefix) = own.split_once('/').unwrap();
        let fixed = StaticNetwork {
            address: address.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
            gateway: gateway.parse().ok(),
            dns: dns.split(',').filter_map(|server| server.parse().ok()).collect(),
        };
        UserNetwork::around(&fixed).map(|network| network.to_string())
    }

    #[test]
    fn qemus_own_network_stays_as_it_is() {
        let expected = "net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.4";
        assert_eq!(around("10.0.2.15/24", "10.0.2.2", "10.0.2.3").unwrap(), expected);
        assert_eq!(around("10.0.2.15/24", "", "").unwrap(), expected);
        assert_eq!(around("10.0.2.15/24", "10.0.2.2", "fec0::3,192.0.2.1").unwrap(), expected);
    }

    #[test]
    fn the_network_is_the_one_of_the_address() {
        for (own, gateway, dns, expected) in [
            (
                "192.168.7.2/24",
                "192.168.7.1",
                "",
                "net=192.168.7.0/24,host=192.168.7.1,dns=192.168.7.3,dhcpstart=192.168.7.4",
            ),
            (
                "192.168.7.2/24",
                "",
                "",
                "net=192.168.7.0/24,host=192.168.7.3,dns=192.168.7.4,dhcpstart=192.168.7.5",
            ),
            (
                "10.1.2.3/8",
                "10.9.9.9",
                "10.9.9.9,10.0.0.53",
                "net=10.0.0.0/8,host=10.9.9.9,dns=10.0.0.53,dhcpstart=10.0.0.2",
            ),
            (
                "10.0.0.9/29",
                "",
                "10.0.0.10",
                "net=10.0.0.8/29,host=10.0.0.11,dns=10.0.0.10,dhcpstart=10.0.0.12",
            ),
            (
                "10.0.0.14/29",
                "10.0.0.11",
                "10.0.0.10",
                "net=10.0.0.8/29,host=10.0.0.11,dns=10.0.0.10,dhcpstart=10.0.0.12",
            ),
        ] {
            assert_eq!(around(own, gateway, dns).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_such_a_network_is_refused() {
        assert_eq!(around("10.0.0.1/30", "", ""), Err(NetworkError::Prefix(30)));
        assert_eq!(around("10.0.0.1/3", "", ""), Err(NetworkError::Prefix(3)));
        for address in ["10.0.0.0", "10.0.0.255"] {
            let refused = around(&format!("{address}/24"), "", "").unwrap_err();
            assert_eq!(refused, NetworkError::NoHost(address.parse().unwrap()));
        }
        for gateway in ["10.0.1.1", "10.0.0.5", "10.0.0.255", "10.0.0.0"] {
            let refused = around("10.0.0.5/24", gateway, "").unwrap_err();
            let expected = format!("the gateway {gateway} is not a neighbour of 10.0.0.5/24");
            assert_eq!(refused.to_string(), expected);
        }
    }
}
