//! The role `net` against real interfaces, in network namespaces of its own. Needs root and `ip`; says so otherwise.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use solum_boot::net;
use solum_spec::control::NetworkReport;
use solum_spec::description::{Network, StaticNetwork};
use solum_spec::network::Inside;

/// Guards against a hang; no test is expected to come near it.
const HANG: Duration = Duration::from_secs(60);

/// A machine's network namespace and that of the network around it, joined by pairs of virtual Ethernet interfaces.
struct World {
    machine: String,
    outside: String,
    directory: tempfile::TempDir,
}

impl World {
    /// `None`, and a line that says why, where there is no right to make one.
    fn new(test: &str) -> Option<Self> {
        let name = |side: &str| format!("solum-{test}-{side}-{}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        let world = Self { machine: name("m"), outside: name("o"), directory };
        for namespace in [&world.machine, &world.outside] {
            let made = Command::new("ip").args(["netns", "add", namespace]).output();
            match made {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    println!(
                        "skipped: no network namespace: {}",
                        String::from_utf8_lossy(&output.stderr).trim()
                    );
                    return None;
                }
                Err(error) => {
                    println!("skipped: ip(8) cannot be run: {error}");
                    return None;
                }
            }
        }
        Some(world)
    }

    /// Joins both sides by a pair; `address` (with prefix) is that of the outside's end.
    fn join(&self, machine_end: &str, outside_end: &str, address: &str) {
        let Self { machine, outside, .. } = self;
        ip(&[
            "-n",
            outside,
            "link",
            "add",
            outside_end,
            "type",
            "veth",
            "peer",
            "name",
            machine_end,
            "netns",
            machine,
        ]);
        ip(&["-n", outside, "address", "add", address, "dev", outside_end]);
        ip(&["-n", outside, "link", "set", outside_end, "up"]);
    }

    /// Runs the role in the machine; gives what it reports.
    fn run(&self, network: Network) -> Receiver<NetworkReport> {
        self.run_inside(network, None)
    }

    /// The same, in a machine with an interface to others of its system.
    fn run_inside(&self, network: Network, inside: Option<Inside>) -> Receiver<NetworkReport> {
        let (sender, receiver) = channel();
        let (namespace, directory) = (self.machine.clone(), self.directory.path().to_owned());
        std::thread::spawn(move || {
            enter(&namespace);
            net::loopback_up().unwrap();
            let Err(error) = net::run(&network, inside, &directory, &mut |report| {
                let _ = sender.send(report);
            });
            panic!("the role ended: {error}");
        });
        receiver
    }

    fn machine(&self, arguments: &[&str]) -> String {
        ip(&[&["-n", self.machine.as_str()], arguments].concat())
    }

    fn resolv(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("resolv.conf")).unwrap()
    }

    /// A DHCP server of Debian's on one of the outside's ends.
    fn dnsmasq(&self, interface: &str, range: &str, options: &[&str]) -> Option<Server> {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.outside,
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
        ]);
        command.args([
            "--port=0",
            "--bind-interfaces",
            "--no-ping",
            "--log-facility=-",
            "--pid-file",
            "--user=root",
        ]);
        command.args([&format!("--interface={interface}"), &format!("--dhcp-range={range}")]);
        let leases = self.directory.path().join(format!("leases-{interface}"));
        command.arg(format!("--dhcp-leasefile={}", leases.display()));
        command.args(options.iter().map(|option| format!("--dhcp-option={option}")));
        if Command::new("dnsmasq").arg("--version").output().is_err() {
            println!("skipped: dnsmasq is not installed");
            return None;
        }
        Some(Server(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in [&self.machine, &self.outside] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
        }
    }
}

/// A DHCP server that does what the test tells it, one message at a time.
struct Script {
    socket: UdpSocket,
    own: Ipv4Addr,
    /// When leases are to be renewed, if not at the half of their time.
    renew_s: Option<u32>,
}

/// What a client sent.
#[derive(Debug)]
struct Question {
    bytes: Vec<u8>,
    from: IpAddr,
}

impl Question {
    /// DISCOVER is 1, REQUEST is 3 (RFC 2132 §9.6).
    fn kind(&self) -> u8 {
        self.option(53).unwrap()[0]
    }

    fn option(&self, code: u8) -> Option<&[u8]> {
        let mut options = &self.bytes[240..];
        while let [found, length, rest @ ..] = options {
            let (data, rest) = rest.split_at_checked((*length).into())?;
            if *found == code {
                return Some(data);
            }
            options = rest;
        }
        None
    }

    /// The address that the client says it has.
    fn own_address(&self) -> &[u8] {
        &self.bytes[12..16]
    }
}

impl Script {
    /// On an outside's end of the world, with this address.
    fn new(world: &World, interface: &str, own: Ipv4Addr) -> Self {
        let (namespace, interface) = (world.outside.clone(), interface.to_owned());
        let socket = std::thread::spawn(move || {
            enter(&namespace);
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67)).unwrap();
            socket.set_broadcast(true).unwrap();
            socket.set_read_timeout(Some(HANG)).unwrap();
            let everyone = format!("255.255.255.255/32 dev {interface}");
            ip(&[&["route", "add"], &everyone.split(' ').collect::<Vec<_>>()[..]].concat());
            socket
        });
        Self { socket: socket.join().unwrap(), own, renew_s: None }
    }

    fn hear(&self) -> Question {
        let mut bytes = vec![0; 1500];
        let (length, from) = loop {
            match self.socket.recv_from(&mut bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        bytes.truncate(length);
        Question { bytes, from: from.ip() }
    }

    /// Hears until a message of this kind comes.
    fn hear_kind(&self, kind: u8) -> Question {
        loop {
            let question = self.hear();
            if question.kind() == kind {
                return question;
            }
        }
    }

    /// Answers with OFFER (2), ACK (5) or NAK (6).
    fn say(&self, to: &Question, kind: u8, address: Ipv4Addr, lease_s: u32) {
        let mut bytes = to.bytes[..240].to_vec();
        bytes[0] = 2;
        bytes[16..20].copy_from_slice(&address.octets());
        bytes.extend([53, 1, kind, 54, 4]);
        bytes.extend(self.own.octets());
        if kind != 6 {
            bytes.extend([1, 4, 255, 255, 255, 0, 3, 4]);
            bytes.extend(self.own.octets());
            bytes.extend([51, 4]);
            bytes.extend(lease_s.to_be_bytes());
            if let Some(renew_s) = self.renew_s {
                bytes.extend([58, 4]);
                bytes.extend(renew_s.to_be_bytes());
            }
        }
        bytes.push(255);
        self.socket.send_to(&bytes, (Ipv4Addr::BROADCAST, 68)).unwrap();
    }

    /// Grants a lease from the first message on. Offers may be lost: this end of the pair can be ready later than the other.
    fn grant(&self, address: Ipv4Addr, lease_s: u32) {
        loop {
            let question = self.hear();
            if question.kind() == 3 && question.option(54).is_some() {
                return self.say(&question, 5, address, lease_s);
            }
            self.say(&question, 2, address, lease_s);
        }
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Moves this thread into a namespace.
fn enter(namespace: &str) {
    let file = std::fs::File::open(Path::new("/run/netns").join(namespace)).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn next_ipv4(reports: &Receiver<NetworkReport>) -> NetworkReport {
    loop {
        let report = reports.recv_timeout(HANG).unwrap();
        if report.address.is_ipv4() {
            return report;
        }
    }
}

#[test]
fn two_interfaces_get_leases_one_of_them_appearing_later() {
    let Some(world) = World::new("two") else { return };
    world.join("eth0", "out0", "10.7.0.1/24");
    let options = [
        "option:router,10.7.0.1",
        "option:dns-server,10.7.0.53",
        "option:domain-name,a.example",
        "option:mtu,1400",
    ];
    let Some(_first) = world.dnsmasq("out0", "10.7.0.50,10.7.0.50,2m", &options) else { return };
    let reports = world.run(Network::Automatic);

    let report = next_ipv4(&reports);
    assert_eq!(
        (report.interface.as_str(), report.address, report.prefix),
        ("eth0", ip_address("10.7.0.50"), 24)
    );
    assert_eq!(report.gateway, Some(ip_address("10.7.0.1")));
    assert_eq!(world.resolv(), "nameserver 10.7.0.53\nsearch a.example\n");
    assert!(world.machine(&["link", "show", "eth0"]).contains("mtu 1400"));
    assert!(world.machine(&["address", "show", "lo"]).contains("127.0.0.1/8"));

    world.join("eth1", "out1", "10.8.0.1/24");
    let options =
        ["option:router,10.8.0.1", "option:classless-static-route,192.0.2.0/24,10.8.0.9,0.0.0.0/0,10.8.0.2"];
    let _second = world.dnsmasq("out1", "10.8.0.50,10.8.0.50,2m", &options).unwrap();
    let report = next_ipv4(&reports);
    assert_eq!((report.interface.as_str(), report.address), ("eth1", ip_address("10.8.0.50")));
    assert_eq!(report.gateway, Some(ip_address("10.8.0.2")), "classless routes count, not the router option");
    let routes = world.machine(&["route", "show"]);
    assert!(routes.contains("192.0.2.0/24 via 10.8.0.9 dev eth1"), "{routes}");
    let taken = world.machine(&["route", "get", "203.0.113.1"]);
    assert!(taken.contains("dev eth0"), "the interface that was there first is preferred: {taken}");
}

fn ip_address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn fixed_addresses_are_set_on_the_first_interface() {
    let Some(world) = World::new("fixed") else { return };
    world.join("eth0", "out0", "10.7.0.1/24");
    let reports = world.run(Network::Static(StaticNetwork {
        address: Ipv4Addr::new(10, 7, 0, 2),
        prefix: 24,
        gateway: Some(Ipv4Addr::new(10, 7, 0, 1)),
        dns: vec![ip_address("10.7.0.53"), ip_address("fe80::53")],
    }));
    let report = next_ipv4(&reports);
    assert_eq!((report.address, report.gateway), (ip_address("10.7.0.2"), Some(ip_address("10.7.0.1"))));
    assert_eq!(world.resolv(), "nameserver 10.7.0.53\nnameserver fe80::53%eth0\n");
    let taken = world.machine(&["route", "get", "203.0.113.1"]);
    assert!(taken.contains("via 10.7.0.1 dev eth0 src 10.7.0.2"), "{taken}");
}

const OWN: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 50);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 51);

#[test]
fn a_lease_is_renewed_in_place_and_a_refused_one_replaced() {
    let Some(world) = World::new("renew") else { return };
    world.join("eth0", "out0", "10.7.0.1/24");
    let script = Script { renew_s: Some(1), ..Script::new(&world, "out0", OWN) };
    let reports = world.run(Network::Automatic);
    script.grant(FIRST, 300);
    assert_eq!(next_ipv4(&reports).address, FIRST);

    let renewal = script.hear();
    assert_eq!(
        (renewal.kind(), renewal.from),
        (3, IpAddr::V4(FIRST)),
        "T1: from the address, to the server alone"
    );
    assert_eq!(
        (renewal.own_address(), renewal.option(50), renewal.option(54)),
        (&FIRST.octets()[..], None, None)
    );
    assert!(world.machine(&["address", "show", "eth0"]).contains("10.7.0.50/24"), "the address stays");
    script.say(&renewal, 5, FIRST, 300);

    let renewal = script.hear();
    assert_eq!((renewal.kind(), renewal.own_address()), (3, &FIRST.octets()[..]), "and again");
    script.say(&renewal, 6, Ipv4Addr::UNSPECIFIED, 0);
    script.grant(SECOND, 3600);
    assert_eq!(next_ipv4(&reports).address, SECOND);
    let addresses = world.machine(&["-4", "address", "show", "eth0"]);
    assert!(addresses.contains("10.7.0.51/24") && !addresses.contains("10.7.0.50/24"), "{addresses}");
}

#[test]
fn a_lease_that_nobody_renews_ends() {
    let Some(world) = World::new("end") else { return };
    world.join("eth0", "out0", "10.7.0.1/24");
    let script = Script::new(&world, "out0", OWN);
    let reports = world.run(Network::Automatic);
    script.grant(FIRST, 4);
    assert_eq!(next_ipv4(&reports).address, FIRST);
    let discover = script.hear_kind(1);
    assert_eq!(discover.own_address(), [0; 4]);
    let addresses = world.machine(&["-4", "address", "show", "eth0"]);
    assert!(!addresses.contains("10.7.0.50"), "{addresses}");
    assert_eq!(world.resolv(), "");
}

#[test]
fn a_cable_that_was_pulled_has_the_lease_confirmed() {
    let Some(world) = World::new("cable") else { return };
    world.join("eth0", "out0", "10.7.0.1/24");
    let script = Script::new(&world, "out0", OWN);
    let reports = world.run(Network::Automatic);
    script.grant(FIRST, 3600);
    assert_eq!(next_ipv4(&reports).address, FIRST);
    ip(&["-n", &world.outside, "link", "set", "out0", "down"]);
    // The kernel reports changes of the carrier with delay, and not at all when they cancel out (net/core/link_watch.c).
    while !world.machine(&["link", "show", "eth0"]).contains("NO-CARRIER") {}
    ip(&["-n", &world.outside, "link", "set", "out0", "up"]);
    ip(&["-n", &world.outside, "route", "add", "255.255.255.255/32", "dev", "out0"]);
    let question = script.hear();
    assert_eq!(
        (question.kind(), question.option(50), question.option(54)),
        (3, Some(&FIRST.octets()[..]), None)
    );
    std::thread::spawn(move || {
        let mut question = question;
        loop {
            script.say(&question, if question.kind() == 1 { 2 } else { 5 }, SECOND, 3600);
            question = script.hear();
        }
    });
    assert_eq!(next_ipv4(&reports).address, SECOND, "a server may give another one");
}

#[test]
fn ipv6_addresses_and_dns_servers_come_from_the_router() {
    let Some(world) = World::new("slaac") else { return };
    world.join("eth0", "out0", "2001:db8:7::1/64");
    let options = ["option6:dns-server,[2001:db8:7::53]"];
    let Some(_router) = world.dnsmasq("out0", "2001:db8:7::,ra-stateless", &options) else { return };
    let reports = world.run(Network::Automatic);
    let report = reports.recv_timeout(HANG).unwrap();
    assert_eq!((report.interface.as_str(), report.prefix), ("eth0", 64));
    let IpAddr::V6(address) = report.address else { panic!("{report:?}") };
    assert_eq!(address.segments()[..4], [0x2001, 0xdb8, 7, 0]);
    assert!(
        matches!(report.gateway, Some(IpAddr::V6(router)) if router.is_unicast_link_local()),
        "{report:?}"
    );
    assert_eq!(world.resolv(), "nameserver 2001:db8:7::53\n");
}

#[test]
fn bridges_and_their_members_are_left_alone() {
    let Some(world) = World::new("bridge") else { return };
    world.machine(&["link", "add", "br0", "type", "bridge"]);
    world.join("port0", "out0", "10.6.0.1/24");
    world.machine(&["link", "set", "port0", "master", "br0"]);
    world.join("eth0", "out1", "10.7.0.1/24");
    let script = Script::new(&world, "out1", OWN);
    let reports = world.run(Network::Automatic);
    script.grant(FIRST, 3600);
    assert_eq!(next_ipv4(&reports).interface, "eth0");
    for name in ["br0", "port0"] {
        assert!(world.machine(&["link", "show", name]).contains("state DOWN"), "{name} was set up");
    }
}

#[test]
fn the_interface_to_other_machines_is_known_by_its_address_and_the_other_asks_as_ever() {
    for outside_is_fixed in [false, true] {
        let Some(world) = World::new("inside") else { return };
        // Whichever comes first.
        world.join("eth0", "out0", "10.83.0.2/16");
        world.join("eth1", "out1", "10.7.0.1/24");
        world.machine(&["link", "set", "eth0", "address", "52:54:00:53:00:01"]);
        let script = Script::new(&world, "out1", OWN);
        let address = Ipv4Addr::new(10, 83, 0, 1);
        let inside = Inside { mac: [0x52, 0x54, 0, 0x53, 0, 1], address, prefix: 16 };
        let network = match outside_is_fixed {
            true => Network::Static(StaticNetwork { address: FIRST, prefix: 24, gateway: None, dns: vec![] }),
            false => Network::Automatic,
        };
        let reports = world.run_inside(network, Some(inside));
        if !outside_is_fixed {
            script.grant(FIRST, 3600);
        }
        let mut found: Vec<_> = (0..2).map(|_| next_ipv4(&reports)).collect();
        found.sort_by(|one, other| one.interface.cmp(&other.interface));
        let found: Vec<_> = found.iter().map(|report| (report.interface.as_str(), report.address)).collect();
        assert_eq!(found, [("eth0", IpAddr::V4(address)), ("eth1", FIRST.into())]);
        assert!(!world.machine(&["route"]).contains("default via 10.83"));
    }
}
