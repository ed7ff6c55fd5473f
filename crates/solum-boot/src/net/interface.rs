//! One Ethernet interface: the shell around its DHCP client, and what the kernel was told because of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use solum_spec::control::NetworkReport;

use super::dhcp::client::{Client, Effect, Event, Random};
use super::dhcp::lease::Lease;
use super::dhcp::packet::{self, Reply, Request as DhcpRequest};
use super::message::{Address, KernelRoute, Link, LinkState, Request};
use super::netlink::Netlink;
use super::packet_socket::{PacketSocket, bind_to_interface};

/// Of two interfaces with a route to the same place, the one that the kernel found first is used. Metric 0 is the
/// kernel's own, and 1024 that of IPv6 routes of the kernel, so there is room around this one.
const METRIC_BASE: u32 = 100;

/// Packets read in one go, so that a flood on one interface does not keep the others waiting.
const PACKETS_MAX: usize = 32;

/// What every interface shares.
pub(super) struct Surroundings<'a> {
    pub netlink: &'a mut Netlink,
    pub random: Random<'a>,
    /// Time since the role started.
    pub now: Duration,
    pub host_name: &'a str,
}

/// An Ethernet interface.
#[derive(Debug)]
pub(super) struct Interface {
    index: u32,
    name: String,
    mac: [u8; 6],
    state: LinkState,
    client: Client,
    /// Open while an answer is awaited.
    socket: Option<PacketSocket>,
    /// Sends from the address that is to be renewed. It also keeps the kernel from answering the server that nobody
    /// listens on the port; answers are read from `socket`.
    renewal: Option<UdpSocket>,
    /// What the kernel was told.
    applied: Option<Applied>,
    pub ipv6: Ipv6,
    /// What was reported, to be reported once.
    reported: Vec<NetworkReport>,
}

#[derive(Debug)]
struct Applied {
    lease: Lease,
    address: Address,
    routes: Vec<KernelRoute>,
}

/// What the kernel learned from router advertisements.
#[derive(Debug, Default)]
pub(super) struct Ipv6 {
    pub addresses: Vec<(Ipv6Addr, u8)>,
    pub router: Option<Ipv6Addr>,
    pub dns: Vec<Ipv6Addr>,
}

impl Interface {
    /// The interface of a link, which must have this Ethernet address.
    pub fn new(link: &Link, mac: [u8; 6]) -> Self {
        Self {
            index: link.index,
            name: link.name.clone(),
            mac,
            state: LinkState::Down,
            client: Client::new(),
            socket: None,
            renewal: None,
            applied: None,
            ipv6: Ipv6::default(),
            reported: Vec::new(),
        }
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    pub fn socket(&self) -> Option<&PacketSocket> {
        self.socket.as_ref()
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.client.deadline()
    }

    /// Takes what is new about the link's names.
    pub fn rename(&mut self, link: &Link, mac: [u8; 6]) {
        self.name.clone_from(&link.name);
        self.mac = mac;
    }

    /// Tells the DHCP client what became of the link.
    pub fn follow(&mut self, with: &mut Surroundings<'_>, state: LinkState) {
        match (std::mem::replace(&mut self.state, state), state) {
            (LinkState::Down, LinkState::Carrier | LinkState::Running) => self.step(with, Event::CarrierUp),
            (LinkState::Carrier, LinkState::Running) => self.step(with, Event::Running),
            (_, LinkState::Down) => self.step(with, Event::CarrierDown),
            _ => {}
        }
    }

    /// Hands an event to the DHCP client, and does what it says.
    pub fn step(&mut self, with: &mut Surroundings<'_>, event: Event<'_>) {
        for effect in self.client.step(with.now, with.random, event) {
            match effect {
                // A message that could not be sent is like one that was lost: the client sends it again.
                Effect::Broadcast(request) => drop(self.broadcast(with, &request)),
                Effect::Unicast(request, server) => drop(self.unicast(with, &request, server)),
                Effect::Configure { lease, valid_s } => self.configure(with.netlink, lease, valid_s),
                Effect::Unconfigure => self.unconfigure(with.netlink),
            }
        }
        if !self.client.is_listening() {
            self.socket = None;
        }
        if !self.client.is_renewing() {
            self.renewal = None;
        }
    }

    /// Reads what arrived.
    pub fn receive(&mut self, with: &mut Surroundings<'_>) {
        for _ in 0..PACKETS_MAX {
            let Some(socket) = &self.socket else { return };
            match socket.receive() {
                Ok(Some(ip_packet)) => {
                    let message = packet::dhcp_payload(&ip_packet);
                    if let Some(reply) = message.and_then(|message| Reply::parse(message, self.mac)) {
                        self.step(with, Event::Received(&reply));
                    }
                }
                Ok(None) => return,
                // The link is down (packet(7)): the kernel reports that too, and the next message opens a new socket.
                Err(_) => self.socket = None,
            }
        }
    }

    fn broadcast(&mut self, with: &Surroundings<'_>, request: &DhcpRequest) -> io::Result<()> {
        let source = request.own_address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let message = packet::broadcast(source, &request.to_bytes(self.mac, with.host_name));
        Ok(self.listen()?.broadcast(&message)?)
    }

    fn unicast(
        &mut self,
        with: &Surroundings<'_>,
        request: &DhcpRequest,
        server: Ipv4Addr,
    ) -> io::Result<()> {
        self.listen()?;
        let own = request.own_address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let socket = match self.renewal.take() {
            Some(socket) => socket,
            None => {
                let socket = UdpSocket::bind((own, packet::CLIENT_PORT))?;
                bind_to_interface(&socket, self.index)?;
                socket
            }
        };
        let socket = self.renewal.insert(socket);
        socket.send_to(&request.to_bytes(self.mac, with.host_name), (server, packet::SERVER_PORT))?;
        Ok(())
    }

    fn listen(&mut self) -> io::Result<&PacketSocket> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => PacketSocket::open(self.index)?,
        };
        Ok(self.socket.insert(socket))
    }

    /// Tells the kernel to use a lease. What it refuses (a packet size beyond the hardware's, a route without sense) is the
    /// server's mistake, and the rest is used.
    pub fn configure(&mut self, netlink: &mut Netlink, lease: Lease, valid_s: Option<u32>) {
        let metric = METRIC_BASE.saturating_add(self.index);
        let address = Address {
            interface: self.index,
            address: IpAddr::V4(lease.address),
            prefix: lease.prefix,
            metric,
            valid_s,
        };
        let routes = lease.routes.iter().map(|route| KernelRoute {
            interface: self.index,
            destination: route.destination,
            prefix: route.prefix,
            gateway: route.gateway,
            source: lease.address,
            metric,
        });
        let routes: Vec<_> = routes.collect();
        match self.applied.take() {
            Some(old) if (old.lease.address, old.lease.prefix) == (lease.address, lease.prefix) => {
                for route in old.routes.iter().filter(|route| !routes.contains(route)) {
                    let _ = netlink.request(Request::remove_route(route));
                }
            }
            Some(old) => remove(netlink, &old),
            None => {}
        }
        if let Some(mtu) = lease.mtu {
            let _ = netlink.request(Request::set_mtu(self.index, mtu));
        }
        let _ = netlink.request(Request::add_address(&address));
        for route in &routes {
            let _ = netlink.request(Request::add_route(route));
        }
        self.applied = Some(Applied { lease, address, routes });
    }

    fn unconfigure(&mut self, netlink: &mut Netlink) {
        if let Some(applied) = self.applied.take() {
            remove(netlink, &applied);
        }
    }

    /// The DNS servers that belong to this interface.
    pub fn dns(&self) -> impl Iterator<Item = String> + '_ {
        let ipv4 = self.applied.iter().flat_map(|applied| applied.lease.dns.iter().map(Ipv4Addr::to_string));
        ipv4.chain(self.ipv6.dns.iter().map(|server| self.zoned(server)))
    }

    /// An address as this interface's programs have to write it.
    pub fn zoned(&self, address: &Ipv6Addr) -> String {
        with_zone(address, &self.name)
    }

    /// The domain in which names are looked up.
    pub fn domain(&self) -> Option<&str> {
        self.applied.as_ref()?.lease.domain.as_deref()
    }

    /// What is to be reported and was not yet.
    pub fn news(&mut self) -> Vec<NetworkReport> {
        let interface = || self.name.clone();
        let ipv4 = self.applied.iter().map(|Applied { lease, .. }| NetworkReport {
            interface: interface(),
            address: IpAddr::V4(lease.address),
            prefix: lease.prefix,
            gateway: lease.gateway().map(IpAddr::V4),
            time_servers: lease.time_servers.iter().copied().map(IpAddr::V4).collect(),
        });
        let ipv6 = self.ipv6.addresses.iter().map(|(address, prefix)| NetworkReport {
            interface: interface(),
            address: IpAddr::V6(*address),
            prefix: *prefix,
            gateway: self.ipv6.router.map(IpAddr::V6),
            time_servers: Vec::new(),
        });
        let current: Vec<_> = ipv4.chain(ipv6).collect();
        let news = current.iter().filter(|report| !self.reported.contains(report)).cloned().collect();
        self.reported = current;
        news
    }
}

/// An address as resolv.conf has it: one that is valid on its link only names the link (RFC 4007, section 11).
fn with_zone(address: &Ipv6Addr, interface: &str) -> String {
    if address.is_unicast_link_local() { format!("{address}%{interface}") } else { address.to_string() }
}

/// With the address go the routes that have it as their source (`fib_sync_down_addr` in net/ipv4/fib_semantics.c).
fn remove(netlink: &mut Netlink, applied: &Applied) {
    let _ = netlink.request(Request::remove_address(&applied.address));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_one_link_names_it() {
        for (address, expected) in [
            ("fe80::1", "fe80::1%eth0"),
            ("febf::1", "febf::1%eth0"),
            ("fec0::1", "fec0::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(with_zone(&address.parse().unwrap(), "eth0"), expected);
        }
    }
}
