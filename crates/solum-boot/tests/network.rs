//! The role `net` against real interfaces, in network namespaces of its own. Needs root and `ip`; says so otherwise.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use solum_boot::net;
use solum_spec::control::NetworkReport;
use solum_spec::description::{Network, StaticNetwork};

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
        let (sender, receiver) = channel();
        let (namespace, directory) = (self.machine.clone(), self.directory.path().to_owned());
        std::thread::spawn(move || {
            enter(&namespace);
            net::loopback_up().unwrap();
            let Err(error) = net::run(&network, &directory, &mut |report| {
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
        Some(Server(command.stdin(Stdio::null()).spawn().unwrap()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in [&self.machine, &self.outside] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
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
        dns: vec![ip_address("10.7.0.53")],
    }));
    let report = next_ipv4(&reports);
    assert_eq!((report.address, report.gateway), (ip_address("10.7.0.2"), Some(ip_address("10.7.0.1"))));
    assert_eq!(world.resolv(), "nameserver 10.7.0.53\n");
    let taken = world.machine(&["route", "get", "203.0.113.1"]);
    assert!(taken.contains("via 10.7.0.1 dev eth0 src 10.7.0.2"), "{taken}");
}
