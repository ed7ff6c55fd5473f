//! The network of a machine: interfaces come up, get addresses and routes, and keep them.
//!
//! [`run`] is the whole of the role `net`. What a DHCP client does is decided in `dhcp`, without I/O; this module waits,
//! reads and writes. It needs [`CAPABILITIES`] and a directory to write to, and nothing else.

mod dhcp;
mod interface;
mod message;
mod netlink;
mod packet_socket;
mod resolv;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;
use rustix::thread::CapabilitySet;
use solum_spec::control::NetworkReport;
use solum_spec::description::{Network, StaticNetwork};
use solum_spec::network::Inside;

use dhcp::client::Event;
use dhcp::lease::{Lease, Route};
use interface::{Interface, Surroundings};
use message::{Link, LinkState, Message, Request};
use netlink::{Changes, Netlink};

/// What [`run`] may do beyond an ordinary process (capabilities(7)): configure interfaces, open packet sockets, send from
/// port 68.
pub const CAPABILITIES: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW).union(CapabilitySet::NET_BIND_SERVICE);

/// Index of the loopback interface: always the first one (`LOOPBACK_IFINDEX` in include/net/flow.h).
const LOOPBACK: u32 = 1;

/// Brings the loopback interface up; the kernel then gives it 127.0.0.1/8 and ::1. Needs `CAP_NET_ADMIN`.
///
/// # Errors
///
/// What the kernel says (netlink(7)): the process is not allowed to, or the kernel was built without networking.
pub fn loopback_up() -> io::Result<()> {
    Ok(Netlink::open()?.request(Request::set_up(LOOPBACK))?)
}

/// Brings interfaces up and keeps them configured, for ever. DNS servers are written to `resolv.conf` in `directory`;
/// `report` hears of every address. The interface to other machines of the system, if there is one, is apart from `network`.
///
/// # Errors
///
/// It returns only when it cannot go on: without the right to configure interfaces, or when the kernel has no memory.
/// Whatever happens on the network is no error.
pub fn run(
    network: &Network,
    inside: Option<Inside>,
    directory: &Path,
    report: &mut dyn FnMut(NetworkReport),
) -> io::Result<Infallible> {
    // Before the list of links is read, so that none appears unseen in between.
    let mut changes = Changes::open()?;
    let mut manager = Manager::new(network, inside, directory)?;
    manager.read_everything()?;
    loop {
        manager.tell(report);
        manager.wait(&changes)?;
        manager.take_changes(&mut changes)?;
        manager.step_interfaces();
    }
}

/// Reads bytes as a packet with a DHCP message for the station 00:00:00:00:00:00, as deeply as they can be read.
#[cfg(feature = "fuzzing")]
pub fn read_dhcp(bytes: &[u8]) {
    dhcp::read(bytes, [0; 6]);
}

/// Reads bytes as messages of the kernel.
#[cfg(feature = "fuzzing")]
pub fn read_netlink(bytes: &[u8]) {
    message::messages(bytes).for_each(drop);
}

/// The interfaces of the machine.
struct Manager<'a> {
    network: &'a Network,
    inside: Option<Inside>,
    directory: &'a Path,
    netlink: Netlink,
    interfaces: Vec<Interface>,
    host_name: String,
    started: Instant,
    /// What the file of DNS servers says, once it is there.
    resolv: Option<String>,
}

impl<'a> Manager<'a> {
    fn new(network: &'a Network, inside: Option<Inside>, directory: &'a Path) -> io::Result<Self> {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let (netlink, interfaces, started) = (Netlink::open()?, Vec::new(), Instant::now());
        Ok(Self { network, inside, directory, netlink, interfaces, host_name, started, resolv: None })
    }

    /// Asks the kernel for all that there is.
    fn read_everything(&mut self) -> io::Result<()> {
        let links = self.netlink.links()?;
        self.interfaces.retain(|interface| links.iter().any(|link| link.index == interface.index()));
        for link in &links {
            self.take_link(link);
        }
        let mut messages = Vec::new();
        // A kernel without IPv6 answers with nothing, or refuses.
        let _ = self.netlink.list(Request::all_ipv6_routes(), |message| messages.push(message));
        let _ = self.netlink.list(Request::all_ipv6_addresses(), |message| messages.push(message));
        for message in messages {
            self.take(message);
        }
        Ok(())
    }

    /// Waits until the kernel or a server says something, or something is due.
    fn wait(&self, changes: &Changes) -> io::Result<()> {
        let mut waiting = vec![PollFd::new(changes, PollFlags::IN)];
        let sockets = self.interfaces.iter().filter_map(Interface::socket);
        waiting.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::IN)));
        let deadline = self.interfaces.iter().filter_map(Interface::deadline).min();
        let timeout = deadline
            .and_then(|deadline| Timespec::try_from(deadline.saturating_sub(self.started.elapsed())).ok());
        match rustix::event::poll(&mut waiting, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn take_changes(&mut self, changes: &mut Changes) -> io::Result<()> {
        match changes.read() {
            Ok(messages) => {
                for message in messages {
                    self.take(message);
                }
                Ok(())
            }
            Err(Errno::NOBUFS) => self.read_everything(),
            Err(errno) => Err(errno.into()),
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Link(link) => self.take_link(&link),
            Message::LinkGone(index) => self.interfaces.retain(|interface| interface.index() != index),
            Message::Ipv6Address { interface, address, prefix } => {
                if let Some(interface) = self.interface(interface)
                    && !interface.ipv6.addresses.contains(&(address, prefix))
                {
                    interface.ipv6.addresses.push((address, prefix));
                }
            }
            Message::Ipv6AddressGone { interface, address } => {
                if let Some(interface) = self.interface(interface) {
                    interface.ipv6.addresses.retain(|(known, _)| *known != address);
                }
            }
            Message::Ipv6Router { interface, router } => {
                if let Some(interface) = self.interface(interface) {
                    interface.ipv6.router = Some(router);
                }
            }
            Message::Ipv6Dns { interface, servers } => {
                if let Some(interface) = self.interface(interface) {
                    interface.ipv6.dns = servers;
                }
            }
            Message::Done { .. } | Message::Other => {}
        }
    }

    fn interface(&mut self, index: u32) -> Option<&mut Interface> {
        self.interfaces.iter_mut().find(|interface| interface.index() == index)
    }

    fn take_link(&mut self, link: &Link) {
        let Some(mac) = ethernet_address(link) else {
            self.interfaces.retain(|interface| interface.index() != link.index);
            return;
        };
        let (network, random) = (self.network, &mut random);
        let now = self.started.elapsed();
        let mut with = Surroundings { netlink: &mut self.netlink, random, now, host_name: &self.host_name };
        let position = self.interfaces.iter().position(|interface| interface.index() == link.index);
        let before = &self.interfaces[..position.unwrap_or(self.interfaces.len())];
        let inside = self.inside;
        let is_inside = |mac: [u8; 6]| inside.is_some_and(|inside| inside.mac == mac);
        let is_first = before.iter().all(|interface| is_inside(interface.mac()));
        if position.is_none() {
            if !is_inside(mac) && !is_wanted(network, is_first) {
                return;
            }
            prepare(with.netlink, link);
            self.interfaces.push(Interface::new(link, mac));
        }
        let position = position.unwrap_or(self.interfaces.len() - 1);
        let interface = &mut self.interfaces[position];
        interface.rename(link, mac);
        match network {
            _ if is_inside(mac) => {
                if let Some(inside) = inside.filter(|_| link.state != LinkState::Down) {
                    interface.configure(with.netlink, fixed_lease(inside.address, inside.prefix), None);
                }
            }
            Network::Static(fixed) if link.state != LinkState::Down => {
                interface.configure(with.netlink, lease(fixed), None)
            }
            Network::Automatic => interface.follow(&mut with, link.state),
            Network::Static(_) | Network::None => {}
        }
    }

    fn step_interfaces(&mut self) {
        let mut with = Surroundings {
            netlink: &mut self.netlink,
            random: &mut random,
            now: self.started.elapsed(),
            host_name: &self.host_name,
        };
        for interface in &mut self.interfaces {
            interface.receive(&mut with);
            interface.step(&mut with, Event::TimePassed);
        }
    }

    /// Tells the programs of the machine, and then its host, what is new.
    fn tell(&mut self, report: &mut dyn FnMut(NetworkReport)) {
        let fixed = match self.network {
            Network::Static(fixed) => &fixed.dns[..],
            Network::Automatic | Network::None => &[],
        };
        // There is one interface where addresses are fixed, and a server of its link is reached through it.
        let is_inside = |mac: [u8; 6]| self.inside.is_some_and(|inside| inside.mac == mac);
        let first = self.interfaces.iter().find(|interface| !is_inside(interface.mac()));
        let fixed = fixed.iter().filter_map(|server| match (server, first) {
            (IpAddr::V6(server), Some(interface)) => Some(interface.zoned(server)),
            (IpAddr::V6(server), None) if server.is_unicast_link_local() => None,
            _ => Some(server.to_string()),
        });
        let servers: Vec<String> = fixed.chain(self.interfaces.iter().flat_map(Interface::dns)).collect();
        let domains: Vec<&str> = self.interfaces.iter().filter_map(Interface::domain).collect();
        let resolv = resolv::text(&servers, &domains);
        // A file that could not be written is tried again at the next event.
        if self.resolv.as_ref() != Some(&resolv) && resolv::write(self.directory, &resolv).is_ok() {
            self.resolv = Some(resolv);
        }
        for interface in &mut self.interfaces {
            interface.news().into_iter().for_each(&mut *report);
        }
    }
}

/// The Ethernet address, if this is an interface to configure: hardware, or the end of a pair that leads out of a container.
/// Bridges, bonds, tunnels and their members are a program's own.
fn ethernet_address(link: &Link) -> Option<[u8; 6]> {
    let is_way_out = matches!(link.kind.as_deref(), None | Some("veth" | "macvlan"));
    link.mac.filter(|_| is_way_out && !link.loopback && !link.enslaved)
}

fn is_wanted(network: &Network, is_first: bool) -> bool {
    match network {
        Network::None => false,
        Network::Automatic => true,
        Network::Static(_) => is_first,
    }
}

/// Sets a link up, and what the kernel does for it by itself.
fn prepare(netlink: &mut Netlink, link: &Link) {
    // Addresses from router advertisements (RFC 4862); and among several interfaces, none without carrier. Both are there or
    // not as the kernel was built (Documentation/networking/ip-sysctl.rst), and none is worth failing for.
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/accept_ra", link.name), "1");
    let _ = std::fs::write(format!("/proc/sys/net/ipv4/conf/{}/ignore_routes_with_linkdown", link.name), "1");
    // A refusal is followed by a change of the link, or by no carrier ever.
    let _ = netlink.request(Request::set_up(link.index));
}

/// Fixed addresses are a lease that never ends.
fn lease(fixed: &StaticNetwork) -> Lease {
    let default =
        |gateway| Route { destination: std::net::Ipv4Addr::UNSPECIFIED, prefix: 0, gateway: Some(gateway) };
    Lease {
        routes: fixed.gateway.into_iter().map(default).collect(),
        ..fixed_lease(fixed.address, fixed.prefix)
    }
}

fn fixed_lease(address: std::net::Ipv4Addr, prefix: u8) -> Lease {
    Lease {
        address,
        prefix: prefix.min(32),
        server: address,
        routes: Vec::new(),
        dns: Vec::new(),
        domain: None,
        mtu: None,
        time_servers: Vec::new(),
        times: None,
    }
}

/// Randomness that does not wait for the kernel to have gathered enough of it: it need not be secret, only not the same.
fn random() -> u32 {
    let mut bytes = [0; 4];
    let _ = rustix::rand::getrandom(&mut bytes, GetRandomFlags::INSECURE);
    u32::from_ne_bytes(bytes)
}
