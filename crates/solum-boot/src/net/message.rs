//! The messages of `NETLINK_ROUTE` (rtnetlink(7)), written and read without I/O.
//!
//! The numbers and the layouts are those of the kernel's own headers, as `linux-raw-sys` generates them. Everything
//! is in the byte order of the machine, and padded to four bytes (netlink(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_raw_sys::if_arp;
use linux_raw_sys::net;
use linux_raw_sys::netlink as nl;

/// Length of `struct nlmsghdr` in bytes.
const HEADER: usize = 16;
/// Length of `struct rtattr` in bytes.
const ATTRIBUTE_HEADER: usize = 4;
/// Length of `struct ifinfomsg` in bytes.
const LINK_HEADER: usize = 16;
/// Length of `struct ifaddrmsg` in bytes.
const ADDRESS_HEADER: usize = 8;
/// Length of `struct rtmsg` in bytes.
const ROUTE_HEADER: usize = 12;
/// Length of `struct nduseroptmsg` in bytes.
const ND_OPTION_HEADER: usize = 16;

/// `AF_UNSPEC`, `AF_INET` and `AF_INET6`: one byte in these headers, wider elsewhere.
const ANY_FAMILY: u8 = net::AF_UNSPEC as u8;
const INET: u8 = net::AF_INET as u8;
const INET6: u8 = net::AF_INET6 as u8;

/// A request to the kernel, being written.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    fn new(kind: u32, flags: u32, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&(kind as u16).to_ne_bytes());
        bytes[6..8].copy_from_slice(&((nl::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self { bytes }
    }

    fn attribute(mut self, kind: u32, data: &[u8]) -> Self {
        self.bytes.extend_from_slice(&((ATTRIBUTE_HEADER + data.len()) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&(kind as u16).to_ne_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes.resize(align(self.bytes.len()), 0);
        self
    }

    /// The whole message, carrying `sequence` so that its answer can be told from others.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    /// Asks for every link.
    pub fn all_links() -> Self {
        Self::new(nl::RTM_GETLINK as u32, nl::NLM_F_DUMP, &[0; LINK_HEADER])
    }

    /// Asks for every IPv6 address.
    pub fn all_ipv6_addresses() -> Self {
        let mut fixed = [0; ADDRESS_HEADER];
        fixed[0] = INET6;
        Self::new(nl::RTM_GETADDR as u32, nl::NLM_F_DUMP, &fixed)
    }

    /// Asks for every IPv6 route.
    pub fn all_ipv6_routes() -> Self {
        let mut fixed = [0; ROUTE_HEADER];
        fixed[0] = INET6;
        Self::new(nl::RTM_GETROUTE as u32, nl::NLM_F_DUMP, &fixed)
    }

    /// Sets a link up.
    pub fn set_up(index: u32) -> Self {
        let up = net::net_device_flags::IFF_UP as u32;
        let mut fixed = [0; LINK_HEADER];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..12].copy_from_slice(&up.to_ne_bytes());
        fixed[12..16].copy_from_slice(&up.to_ne_bytes());
        Self::new(nl::RTM_NEWLINK as u32, nl::NLM_F_ACK, &fixed)
    }

    /// Sets the largest packet of a link, in bytes.
    pub fn set_mtu(index: u32, mtu: u16) -> Self {
        let mut fixed = [0; LINK_HEADER];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        Self::new(nl::RTM_NEWLINK as u32, nl::NLM_F_ACK, &fixed)
            .attribute(nl::IFLA_MTU as u32, &u32::from(mtu).to_ne_bytes())
    }

    /// Adds an address, or renews the lifetime of one that is there.
    pub fn add_address(address: &Address) -> Self {
        let flags = nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_REPLACE;
        let request = Self::address(nl::RTM_NEWADDR as u32, flags, address)
            .attribute(nl::IFA_RT_PRIORITY as u32, &address.metric.to_ne_bytes());
        let Some(valid_s) = address.valid_s else { return request };
        // struct ifa_cacheinfo: preferred lifetime, valid lifetime, two fields that only the kernel writes.
        let mut lifetimes = [0; 16];
        lifetimes[..4].copy_from_slice(&valid_s.to_ne_bytes());
        lifetimes[4..8].copy_from_slice(&valid_s.to_ne_bytes());
        request.attribute(nl::IFA_CACHEINFO as u32, &lifetimes)
    }

    /// Removes an address.
    pub fn remove_address(address: &Address) -> Self {
        Self::address(nl::RTM_DELADDR as u32, nl::NLM_F_ACK, address)
    }

    fn address(kind: u32, flags: u32, address: &Address) -> Self {
        let mut octets = [0; 16];
        let (family, data) = octets_of(address.address, &mut octets);
        let scope = if address.address.is_loopback() { nl::rt_scope_t::RT_SCOPE_HOST } else { UNIVERSE };
        let mut fixed = [family, address.prefix, 0, scope as u8, 0, 0, 0, 0];
        fixed[4..].copy_from_slice(&address.interface.to_ne_bytes());
        // IPv4 takes both: IFA_LOCAL is the own address, IFA_ADDRESS the peer's, equal unless point-to-point.
        Self::new(kind, flags, &fixed)
            .attribute(nl::IFA_LOCAL as u32, data)
            .attribute(nl::IFA_ADDRESS as u32, data)
    }

    /// Adds an IPv4 route, or replaces the one with the same destination and metric.
    pub fn add_route(route: &KernelRoute) -> Self {
        Self::route(nl::RTM_NEWROUTE as u32, nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_REPLACE, route)
    }

    /// Removes an IPv4 route.
    pub fn remove_route(route: &KernelRoute) -> Self {
        Self::route(nl::RTM_DELROUTE as u32, nl::NLM_F_ACK, route)
    }

    fn route(kind: u32, flags: u32, route: &KernelRoute) -> Self {
        let scope = if route.gateway.is_some() { UNIVERSE } else { nl::rt_scope_t::RT_SCOPE_LINK };
        let mut fixed = [0; ROUTE_HEADER];
        fixed[0] = INET;
        fixed[1] = route.prefix;
        fixed[4] = nl::rt_class_t::RT_TABLE_MAIN as u8;
        fixed[5] = nl::RTPROT_DHCP as u8;
        fixed[6] = scope as u8;
        fixed[7] = nl::RTN_UNICAST as u8;
        if route.gateway.is_some() {
            // Taken as a neighbour even if no address of ours has it in its network (a lease of /32, RFC 3442).
            fixed[8..].copy_from_slice(&nl::RTNH_F_ONLINK.to_ne_bytes());
        }
        let mut request = Self::new(kind, flags, &fixed)
            .attribute(nl::rtattr_type_t::RTA_OIF as u32, &route.interface.to_ne_bytes())
            .attribute(nl::rtattr_type_t::RTA_PRIORITY as u32, &route.metric.to_ne_bytes())
            .attribute(nl::rtattr_type_t::RTA_PREFSRC as u32, &route.source.octets());
        if route.prefix > 0 {
            request = request.attribute(nl::rtattr_type_t::RTA_DST as u32, &route.destination.octets());
        }
        if let Some(gateway) = route.gateway {
            request = request.attribute(nl::rtattr_type_t::RTA_GATEWAY as u32, &gateway.octets());
        }
        request
    }
}

const UNIVERSE: nl::rt_scope_t = nl::rt_scope_t::RT_SCOPE_UNIVERSE;

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Index of the interface.
    pub interface: u32,
    pub address: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix: u8,
    /// Metric of the route to the network that the kernel adds by itself.
    pub metric: u32,
    /// Seconds after which the kernel removes it; for ever if `None`.
    pub valid_s: Option<u32>,
}

/// A route of the kernel's main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KernelRoute {
    /// Index of the interface.
    pub interface: u32,
    pub destination: Ipv4Addr,
    /// Length of the destination's prefix in bits; 0 is the default route.
    pub prefix: u8,
    /// The next hop; `None` if the destination is on the link.
    pub gateway: Option<Ipv4Addr>,
    /// The address from which packets are sent.
    pub source: Ipv4Addr,
    /// Of several routes to a destination, the lowest metric is taken.
    pub metric: u32,
}

/// What the kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A link is there, or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(u32),
    /// An IPv6 address of global scope is there and usable.
    Ipv6Address { interface: u32, address: Ipv6Addr, prefix: u8 },
    /// An IPv6 address is gone, or is not to be used any more.
    Ipv6AddressGone { interface: u32, address: Ipv6Addr },
    /// An IPv6 default route is there.
    Ipv6Router { interface: u32, router: Ipv6Addr },
    /// An IPv6 router names DNS servers (RFC 8106); an empty list withdraws them.
    Ipv6Dns { interface: u32, servers: Vec<Ipv6Addr> },
    /// The request with this number was done (`0`) or refused (an errno).
    Done { sequence: u32, errno: i32 },
    /// Anything else.
    Other,
}

/// Whether packets get through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    Down,
    /// It is set up, and so is what is below it; most links are ready then.
    Carrier,
    /// The kernel has taken note of the carrier, which can be a second later: now every link is ready.
    Running,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    /// The Ethernet address; `None` if it is no Ethernet interface.
    pub mac: Option<[u8; 6]>,
    pub loopback: bool,
    /// Belongs to a bridge or a bond, which then has the addresses.
    pub enslaved: bool,
    /// The kind of a virtual interface, like `bridge`; `None` for hardware.
    pub kind: Option<String>,
    pub state: LinkState,
}

/// Reads the messages of one datagram; what is malformed ends the iteration.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message> + '_ {
    std::iter::from_fn(move || {
        let length = u32_at(datagram, 0)? as usize;
        let (kind, sequence) = (u16_at(datagram, 4)?, u32_at(datagram, 8)?);
        let payload = datagram.get(HEADER..length)?;
        datagram = datagram.get(align(length)..).unwrap_or_default();
        Some(message(kind.into(), sequence, payload).unwrap_or(Message::Other))
    })
}

fn message(kind: u32, sequence: u32, payload: &[u8]) -> Option<Message> {
    const NEW_LINK: u32 = nl::RTM_NEWLINK as u32;
    const REMOVED_LINK: u32 = nl::RTM_DELLINK as u32;
    const NEW_ADDRESS: u32 = nl::RTM_NEWADDR as u32;
    const REMOVED_ADDRESS: u32 = nl::RTM_DELADDR as u32;
    const NEW_ROUTE: u32 = nl::RTM_NEWROUTE as u32;
    const ND_OPTION: u32 = nl::RTM_NEWNDUSEROPT as u32;
    match kind {
        // Both carry an errno, negated; that of the end of a list is 0.
        nl::NLMSG_ERROR | nl::NLMSG_DONE => {
            let errno = u32_at(payload, 0).unwrap_or(0) as i32;
            Some(Message::Done { sequence, errno: errno.saturating_neg() })
        }
        // Of another family, it is about the link's part in a bridge, and does not tell the whole (rtnetlink(7)).
        NEW_LINK | REMOVED_LINK if *payload.first()? != ANY_FAMILY => None,
        NEW_LINK => link(payload).map(Message::Link),
        REMOVED_LINK => Some(Message::LinkGone(u32_at(payload, 4)?)),
        NEW_ADDRESS => ipv6_address(payload, false),
        REMOVED_ADDRESS => ipv6_address(payload, true),
        NEW_ROUTE => ipv6_router(payload),
        ND_OPTION => ipv6_dns(payload),
        _ => None,
    }
}

fn link(payload: &[u8]) -> Option<Link> {
    const CARRIER: u32 = net::net_device_flags::IFF_UP as u32 | net::net_device_flags::IFF_LOWER_UP as u32;
    const RUNNING: u32 = CARRIER | net::net_device_flags::IFF_RUNNING as u32;
    let flags = u32_at(payload, 8)?;
    let ethernet = u32::from(u16_at(payload, 2)?) == if_arp::ARPHRD_ETHER;
    let mut link = Link {
        index: u32_at(payload, 4)?,
        name: String::new(),
        mac: None,
        loopback: flags & net::net_device_flags::IFF_LOOPBACK as u32 != 0,
        enslaved: false,
        kind: None,
        state: match flags & RUNNING {
            RUNNING => LinkState::Running,
            CARRIER => LinkState::Carrier,
            _ => LinkState::Down,
        },
    };
    for (kind, data) in attributes(payload.get(LINK_HEADER..)?) {
        if kind == nl::IFLA_IFNAME as u32 {
            link.name = text(data);
        } else if kind == nl::IFLA_ADDRESS as u32 && ethernet {
            link.mac = data.try_into().ok();
        } else if kind == nl::IFLA_MASTER as u32 {
            link.enslaved = true;
        } else if kind == nl::IFLA_LINKINFO as u32 {
            link.kind = attributes(data)
                .find(|(kind, _)| *kind == nl::IFLA_INFO_KIND as u32)
                .map(|(_, data)| text(data));
        }
    }
    Some(link)
}

fn ipv6_address(payload: &[u8], removed: bool) -> Option<Message> {
    const UNUSABLE: u32 = nl::IFA_F_TENTATIVE | nl::IFA_F_DADFAILED | nl::IFA_F_DEPRECATED;
    let [INET6, prefix, flags, scope, ..] = *payload else { return None };
    let interface = u32_at(payload, 4)?;
    let mut flags = u32::from(flags);
    let mut address = None;
    for (kind, data) in attributes(payload.get(ADDRESS_HEADER..)?) {
        if kind == nl::IFA_ADDRESS as u32 {
            address = ipv6(data);
        } else if kind == nl::IFA_FLAGS as u32 {
            flags = u32_at(data, 0)?;
        }
    }
    let address = address.filter(|_| scope == UNIVERSE as u8)?;
    Some(if removed || flags & UNUSABLE != 0 {
        Message::Ipv6AddressGone { interface, address }
    } else {
        Message::Ipv6Address { interface, address, prefix }
    })
}

fn ipv6_router(payload: &[u8]) -> Option<Message> {
    let [INET6, 0, ..] = *payload else { return None };
    let (mut interface, mut router) = (None, None);
    for (kind, data) in attributes(payload.get(ROUTE_HEADER..)?) {
        if kind == nl::rtattr_type_t::RTA_OIF as u32 {
            interface = u32_at(data, 0);
        } else if kind == nl::rtattr_type_t::RTA_GATEWAY as u32 {
            router = ipv6(data);
        }
    }
    Some(Message::Ipv6Router { interface: interface?, router: router? })
}

/// The recursive DNS server option (RFC 8106 §5.1): type 25, length in units of eight bytes, two reserved bytes, the
/// lifetime in seconds, addresses.
fn ipv6_dns(payload: &[u8]) -> Option<Message> {
    const RDNSS: u8 = 25;
    if *payload.first()? != INET6 {
        return None;
    }
    let interface = u32_at(payload, 4)?;
    let option = payload.get(ND_OPTION_HEADER..)?;
    let [RDNSS, length, ..] = *option else { return None };
    let option = option.get(..usize::from(length) * 8)?;
    let lifetime_s = u32::from_be_bytes(option.get(4..8)?.try_into().ok()?);
    let servers =
        if lifetime_s == 0 { Vec::new() } else { option[8..].chunks_exact(16).filter_map(ipv6).collect() };
    Some(Message::Ipv6Dns { interface, servers })
}

/// Type and data of each attribute; what is malformed ends the iteration.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        // The two upper bits say how the data is encoded (NLA_F_NESTED, NLA_F_NET_BYTEORDER), not what it is.
        let kind = u32::from(u16_at(bytes, 2)? & 0x3fff);
        let data = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some((kind, data))
    })
}

fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn ipv6(data: &[u8]) -> Option<Ipv6Addr> {
    data.first_chunk::<16>().copied().map(Ipv6Addr::from)
}

fn text(data: &[u8]) -> String {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    String::from_utf8_lossy(&data[..end]).into_owned()
}

fn octets_of(address: IpAddr, buffer: &mut [u8; 16]) -> (u8, &[u8]) {
    match address {
        IpAddr::V4(address) => {
            buffer[..4].copy_from_slice(&address.octets());
            (INET, &buffer[..4])
        }
        IpAddr::V6(address) => {
            *buffer = address.octets();
            (INET6, buffer)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(bytes: &[u8]) -> Message {
        let mut found = messages(bytes);
        let message = found.next().unwrap();
        assert_eq!(found.next(), None);
        message
    }

    fn link_message(flags: u32, kind: Option<&str>) -> Vec<u8> {
        let mut fixed = [0; LINK_HEADER];
        fixed[2..4].copy_from_slice(&(if_arp::ARPHRD_ETHER as u16).to_ne_bytes());
        fixed[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
        let mut message = Request::new(nl::RTM_NEWLINK as u32, 0, &fixed)
            .attribute(nl::IFLA_IFNAME as u32, b"eth0\0")
            .attribute(nl::IFLA_ADDRESS as u32, &[2, 0, 0, 0, 0, 9]);
        if let Some(kind) = kind {
            let nested = Request::new(0, 0, &[]).attribute(nl::IFLA_INFO_KIND as u32, kind.as_bytes());
            message = message.attribute(nl::IFLA_LINKINFO as u32, &nested.bytes[HEADER..]);
        }
        message.finish(0)
    }

    #[test]
    fn a_link_with_carrier_is_running_a_little_later() {
        const UP: u32 = 1;
        const RUNNING: u32 = 0x40;
        const LOWER_UP: u32 = 0x1_0000;
        let table = [
            (UP | RUNNING | LOWER_UP, LinkState::Running),
            (UP | LOWER_UP, LinkState::Carrier),
            (UP | RUNNING, LinkState::Down),
            (RUNNING | LOWER_UP, LinkState::Down),
            (0, LinkState::Down),
        ];
        for (flags, state) in table {
            let expected = Link {
                index: 7,
                name: "eth0".into(),
                mac: Some([2, 0, 0, 0, 0, 9]),
                loopback: false,
                enslaved: false,
                kind: None,
                state,
            };
            assert_eq!(one(&link_message(flags, None)), Message::Link(expected), "flags {flags:#x}");
        }
        let mut of_bridge = link_message(0, None);
        of_bridge[HEADER] = net::AF_BRIDGE as u8;
        assert_eq!(one(&of_bridge), Message::Other);
        let Message::Link(bridge) = one(&link_message(0, Some("bridge\0"))) else { panic!("no link") };
        assert_eq!(bridge.kind.as_deref(), Some("bridge"));
    }

    #[test]
    fn only_usable_global_ipv6_addresses_count() {
        const GLOBAL: u8 = 0;
        const LINK: u8 = 253;
        let address: Ipv6Addr = "2001:db8::5".parse().unwrap();
        let message = |kind, scope: u8, flags: u32| {
            let mut fixed = [INET6, 64, 0, scope, 0, 0, 0, 0];
            fixed[4..].copy_from_slice(&3_u32.to_ne_bytes());
            let message = Request::new(kind as u32, 0, &fixed)
                .attribute(nl::IFA_ADDRESS as u32, &address.octets())
                .attribute(nl::IFA_FLAGS as u32, &flags.to_ne_bytes());
            one(&message.finish(0))
        };
        let gone = Message::Ipv6AddressGone { interface: 3, address };
        let there = Message::Ipv6Address { interface: 3, address, prefix: 64 };
        assert_eq!(message(nl::RTM_NEWADDR, GLOBAL, 0), there);
        assert_eq!(message(nl::RTM_NEWADDR, LINK, 0), Message::Other);
        assert_eq!(message(nl::RTM_NEWADDR, GLOBAL, nl::IFA_F_TENTATIVE), gone, "somebody else may have it");
        assert_eq!(message(nl::RTM_NEWADDR, GLOBAL, nl::IFA_F_DEPRECATED), gone);
        assert_eq!(message(nl::RTM_DELADDR, GLOBAL, 0), gone);
        assert_eq!(message(nl::RTM_DELADDR, LINK, 0), Message::Other);
    }

    #[test]
    fn dns_servers_of_a_router_are_read_and_withdrawn() {
        let server: Ipv6Addr = "2001:db8::53".parse().unwrap();
        let message = |lifetime_s: u32, length: u8| {
            let mut fixed = vec![0; ND_OPTION_HEADER];
            fixed[0] = INET6;
            fixed[4..8].copy_from_slice(&3_u32.to_ne_bytes());
            fixed.extend([25, length, 0, 0]);
            fixed.extend(lifetime_s.to_be_bytes());
            fixed.extend(server.octets());
            one(&Request::new(nl::RTM_NEWNDUSEROPT as u32, 0, &fixed).finish(0))
        };
        assert_eq!(message(600, 3), Message::Ipv6Dns { interface: 3, servers: vec![server] });
        assert_eq!(message(0, 3), Message::Ipv6Dns { interface: 3, servers: vec![] });
        assert_eq!(message(600, 0), Message::Other, "shorter than its own header");
        assert_eq!(message(600, 4), Message::Other, "longer than the message");
    }

    #[test]
    fn several_messages_are_read_up_to_the_first_broken_one() {
        let refused = Request::new(nl::NLMSG_ERROR, 0, &(-17_i32).to_ne_bytes()).finish(5);
        let done = Request::new(nl::NLMSG_DONE, 0, &0_i32.to_ne_bytes()).finish(6);
        let mut broken = Request::all_links().finish(7);
        broken[..4].copy_from_slice(&3_u32.to_ne_bytes());
        let datagram = [refused, done, broken, Request::all_links().finish(8)].concat();
        let found: Vec<_> = messages(&datagram).collect();
        assert_eq!(
            found,
            [Message::Done { sequence: 5, errno: 17 }, Message::Done { sequence: 6, errno: 0 }]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u16..80) {
            for _ in messages(&bytes) {}
            let request = Request::new(kind.into(), 0, &bytes);
            for _ in messages(&request.finish(0)) {}
        }
    }
}
