//! What a DHCP server grants.

use std::net::Ipv4Addr;

use super::packet::Reply;

/// How long, in seconds, a lease of unlimited duration says it lasts (RFC 2131 §3.3).
const INFINITE_S: u32 = u32::MAX;

/// An address for a time, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net) struct Lease {
    pub address: Ipv4Addr,
    /// Length of the network prefix in bits.
    pub prefix: u8,
    /// Who granted it, and renews it.
    pub server: Ipv4Addr,
    /// Routes beside the one to the own network.
    pub routes: Vec<Route>,
    pub dns: Vec<Ipv4Addr>,
    /// The domain in which unqualified names are looked up.
    pub domain: Option<String>,
    /// Largest packet in bytes.
    pub mtu: Option<u16>,
    pub time_servers: Vec<Ipv4Addr>,
    /// When it ends; never if `None`.
    pub times: Option<Times>,
}

/// The times of a lease, in seconds after it was asked for (RFC 2131 §4.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Times {
    /// T1: the server that granted it is asked to renew it.
    pub renew_s: u32,
    /// T2: any server is asked.
    pub rebind_s: u32,
    /// The address may not be used any more.
    pub end_s: u32,
}

/// Where packets to a destination go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Route {
    pub destination: Ipv4Addr,
    /// Length of the destination's prefix in bits; 0 is the default route.
    pub prefix: u8,
    /// The next hop; `None` if the destination is on the link (RFC 3442 says 0.0.0.0).
    pub gateway: Option<Ipv4Addr>,
}

impl Lease {
    /// The lease that an offer or an acknowledgement describes; `None` if it cannot be used.
    pub fn from_reply(reply: &Reply) -> Option<Self> {
        let address = reply.your_address;
        let usable = !address.is_unspecified() && !address.is_loopback() && is_unicast(address);
        let server = reply.server.filter(|server| is_unicast(*server) && !server.is_unspecified())?;
        if !usable || reply.lease_s == Some(0) {
            return None;
        }
        let prefix = reply.mask.and_then(prefix_of).unwrap_or_else(|| classful_prefix(address));
        Some(Self {
            address,
            prefix,
            server,
            routes: routes(reply, prefix),
            dns: reply.dns.clone(),
            domain: reply.domain.clone(),
            mtu: reply.mtu,
            time_servers: reply.time_servers.clone(),
            times: times(reply)?,
        })
    }

    /// The default router.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.routes.iter().find(|route| route.prefix == 0).and_then(|route| route.gateway)
    }
}

/// `Some(None)` is a lease without end; `None` a reply without a duration, which RFC 2131 (table 3) does not allow.
fn times(reply: &Reply) -> Option<Option<Times>> {
    let end_s = reply.lease_s?;
    if end_s == INFINITE_S {
        return Some(None);
    }
    // The defaults of §4.4.5; also when the server's own values are out of order. Multiplied wide: a lease may last
    // 136 years.
    let share = |eighths: u64| (u64::from(end_s) * eighths / 8).max(1) as u32;
    let rebind_s = reply.rebind_s.filter(|s| (1..end_s).contains(s)).unwrap_or(share(7));
    let renew_s = reply.renew_s.filter(|s| (1..rebind_s).contains(s)).unwrap_or(share(4).min(rebind_s));
    Some(Some(Times { renew_s, rebind_s, end_s }))
}

/// "If the DHCP server returns both a Classless Static Routes option and a Router option, the DHCP client MUST ignore the
/// Router option" (RFC 3442).
fn routes(reply: &Reply, prefix: u8) -> Vec<Route> {
    let own_network = |gateway: Ipv4Addr| same_network(gateway, reply.your_address, prefix);
    if let Some(routes) = &reply.classless_routes {
        return routes.clone();
    }
    let router = reply.routers.iter().copied().find(|router| is_unicast(*router) && !router.is_unspecified());
    let Some(router) = router else { return Vec::new() };
    let mut routes = Vec::new();
    if !own_network(router) {
        // A router outside the network of the lease is still a neighbour on the link.
        routes.push(Route { destination: router, prefix: 32, gateway: None });
    }
    routes.push(Route { destination: Ipv4Addr::UNSPECIFIED, prefix: 0, gateway: Some(router) });
    routes
}

fn is_unicast(address: Ipv4Addr) -> bool {
    // From 224.0.0.0 on: multicast, reserved, broadcast.
    address.octets()[0] < 224
}

fn same_network(a: Ipv4Addr, b: Ipv4Addr, prefix: u8) -> bool {
    let host_bits = 32_u32.saturating_sub(prefix.into());
    (a.to_bits() ^ b.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
}

/// The length of a mask's prefix; `None` if its ones are not contiguous, or none.
fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let ones = bits.leading_ones();
    (ones > 0 && ones + bits.trailing_zeros() >= 32).then_some(ones as u8)
}

/// The prefix of an address whose mask is not known (RFC 950).
fn classful_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}
