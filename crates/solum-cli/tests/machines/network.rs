//! Addresses and published ports.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

use crate::harness::{Scratch, free_port};
use crate::probe;

#[test]
fn dhcp_gives_address_router_and_name_servers() {
    let scratch = Scratch::new();
    let finished =
        probe(&scratch, &["--wait", "network"], &["network", "then", "look", "/etc/resolv.conf"]).run();
    finished.exits(0).says("").prints(
        "interfaces: eth0 lo\naddress: 10.0.2.15\nrouter: 10.0.2.2\nnameserver 10.0.2.3\n\
         /etc/resolv.conf: link 777 0:0\n",
    );
}

#[test]
fn fixed_addresses_are_set() {
    let scratch = Scratch::new();
    let options =
        ["--wait", "network", "--network", "10.0.2.77/24,gateway=10.0.2.2,dns=10.0.2.3,dns=10.0.2.4"];
    let finished = probe(&scratch, &options, &["network"]).run();
    finished.exits(0).says("").prints(
        "interfaces: eth0 lo\naddress: 10.0.2.77\nrouter: 10.0.2.2\nnameserver 10.0.2.3\nnameserver 10.0.2.4\n",
    );
}

#[test]
fn without_a_network_there_is_loopback_alone() {
    let scratch = Scratch::new();
    let errand = ["network", "then", "resolve", "localhost", "then", "bind", "8000"];
    let finished = probe(&scratch, &["--network", "none"], &errand).run();
    finished.exits(0).says("").prints(
        "interfaces: lo\naddress: NetworkUnreachable\nrouter: none\nlocalhost: 127.0.0.1\nport 8000: Ok(())\n",
    );
}

#[test]
fn routers_give_ipv6_addresses() {
    let scratch = Scratch::new();
    let finished = probe(&scratch, &[], &["ipv6"]).run();
    finished.exits(0).says("").prints("eth0 has an address that begins with fec0\n");
}

#[test]
fn a_published_tcp_port_is_reached_from_the_host() {
    let scratch = Scratch::new();
    for network in ["dhcp", "10.0.2.99/24,gateway=10.0.2.2", "192.168.7.9/24,gateway=192.168.7.1"] {
        let port = free_port();
        let publish = format!("{port}:7");
        let options = ["--wait", "network", "--network", network, "--publish", &publish];
        let running = probe(&scratch, &options, &["tcp", "7"]).start().until_it_prints("listening\n");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"there and back").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        running.finish().exits(0).prints("listening\n").says("");
        assert_eq!(answer, "there and back", "with {network}");
    }
}

#[test]
fn a_published_udp_port_is_reached_from_the_host() {
    let scratch = Scratch::new();
    let port = free_port();
    let options = ["--wait", "network", "--publish", &format!("127.0.0.1:{port}:7/udp")];
    let running = probe(&scratch, &options, &["udp", "7"]).start().until_it_prints("listening\n");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    // Datagrams may be lost, so ask until there is an answer.
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 64];
    let length = loop {
        socket.send(b"ping").unwrap();
        match socket.recv(&mut answer) {
            Ok(length) => break length,
            Err(_) => assert!(!running.has_ended(), "the machine ended without an answer"),
        }
    };
    assert_eq!(&answer[..length], b"ping");
    running.finish().exits(0);
}
