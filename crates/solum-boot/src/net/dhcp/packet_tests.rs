//! Packets as servers send them, and as attackers do.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::lease::{Lease, Route, Times};
use super::packet::{MessageType, Reply, Request, broadcast, dhcp_payload};
use super::read;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// A server's message with these options, each as code and data; without an end.
fn reply_bytes(options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![2, 1, 6, 0, 0xca, 0xfe, 0, 7, 0, 0, 0, 0];
    bytes.extend([0; 4]);
    bytes.extend([10, 0, 2, 15]);
    bytes.extend([0; 8]);
    bytes.extend(MAC);
    bytes.extend([0; 10 + 64 + 128]);
    bytes.extend([0x63, 0x82, 0x53, 0x63]);
    for (code, data) in options {
        bytes.extend([*code, data.len() as u8]);
        bytes.extend(*data);
    }
    bytes
}

/// What QEMU's user network answers to a REQUEST.
fn qemu_options() -> Vec<(u8, &'static [u8])> {
    vec![
        (53, &[5]),
        (54, &[10, 0, 2, 2]),
        (1, &[255, 255, 255, 0]),
        (3, &[10, 0, 2, 2]),
        (6, &[10, 0, 2, 3]),
        (51, &[0, 1, 0x51, 0x80]),
    ]
}

/// The options of QEMU with one of them replaced, or added.
fn lease_with(code: u8, data: &[u8]) -> Option<Lease> {
    let mut options = qemu_options();
    options.retain(|(old, _)| *old != code);
    let mut bytes = reply_bytes(&options);
    bytes.extend([code, data.len() as u8]);
    bytes.extend(data);
    bytes.push(255);
    Reply::parse(&bytes, MAC).and_then(|reply| Lease::from_reply(&reply))
}

fn default_route(gateway: &str) -> Route {
    Route { destination: Ipv4Addr::UNSPECIFIED, prefix: 0, gateway: Some(address(gateway)) }
}

#[test]
fn the_answer_of_qemu_is_a_lease() {
    let reply = Reply::parse(&reply_bytes(&qemu_options()), MAC).unwrap();
    assert_eq!((reply.kind, reply.transaction), (MessageType::Ack, 0xcafe_0007));
    let expected = Lease {
        address: address("10.0.2.15"),
        prefix: 24,
        server: address("10.0.2.2"),
        routes: vec![default_route("10.0.2.2")],
        dns: vec![address("10.0.2.3")],
        domain: None,
        mtu: None,
        time_servers: vec![],
        times: Some(Times { renew_s: 43_200, rebind_s: 75_600, end_s: 86_400 }),
    };
    assert_eq!(Lease::from_reply(&reply), Some(expected));
}

#[test]
fn a_request_says_what_rfc_2131_demands() {
    let request = Request {
        kind: MessageType::Request,
        transaction: 0x0102_0304,
        elapsed_s: 9,
        own_address: None,
        requested: Some(address("10.0.2.15")),
        server: Some(address("10.0.2.2")),
    };
    let bytes = request.to_bytes(MAC, "web");
    assert_eq!(bytes[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 9, 0, 0]);
    assert!(bytes[12..28].iter().all(|byte| *byte == 0), "no addresses of a client that has none");
    assert_eq!(bytes[28..34], MAC);
    assert_eq!(bytes[236..243], [0x63, 0x82, 0x53, 0x63, 53, 1, 3]);
    let options = &bytes[240..];
    for part in [
        &[50, 4, 10, 0, 2, 15][..],
        &[54, 4, 10, 0, 2, 2],
        &[61, 7, 1, 0x52, 0x54],
        &[12, 3, b'w', b'e', b'b'],
    ] {
        assert!(options.windows(part.len()).any(|window| window == part), "{part:?} is missing");
    }
    assert!(bytes.len() >= 300, "BOOTP relays drop shorter ones");
    let long_name = "n".repeat(300);
    assert!(request.to_bytes(MAC, &long_name).len() < 576, "a name that fits no option is left out");
}

#[test]
fn what_a_server_says_of_a_lease_is_understood() {
    type Check = fn(&Lease) -> bool;
    let table: [(u8, &[u8], Check); 14] = [
        (15, b"a.example\0", |lease| lease.domain.as_deref() == Some("a.example")),
        (15, b"a.example\nnameserver 6.6.6.6", |lease| lease.domain.is_none()),
        (15, b"", |lease| lease.domain.is_none()),
        (26, &[5, 120], |lease| lease.mtu == Some(1400)),
        (26, &[0, 68], |lease| lease.mtu.is_none()),
        (26, &[5], |lease| lease.mtu.is_none()),
        (42, &[10, 0, 0, 1, 10, 0, 0, 2, 9], |lease| {
            lease.time_servers == [address("10.0.0.1"), address("10.0.0.2")]
        }),
        (1, &[255, 255, 240, 0], |lease| lease.prefix == 20),
        (1, &[255, 0, 255, 0], |lease| lease.prefix == 8), // no mask: that of the address's class
        (3, &[255, 255, 255, 255], |lease| lease.routes.is_empty()),
        (58, &[0, 0, 0, 60], |lease| lease.times.is_some_and(|times| times.renew_s == 60)),
        (59, &[0, 2, 0, 0], |lease| lease.times.is_some_and(|times| times.rebind_s == 75_600)), // after the end
        (51, &[255; 4], |lease| lease.times.is_none()),
        (51, &[0, 0, 0, 1], |lease| lease.times == Some(Times { renew_s: 1, rebind_s: 1, end_s: 1 })),
    ];
    for (code, data, check) in table {
        let lease = lease_with(code, data).unwrap_or_else(|| panic!("no lease with option {code} {data:?}"));
        assert!(check(&lease), "option {code} {data:?} gives {lease:?}");
    }
}

#[test]
fn classless_routes_replace_the_router() {
    let routes = |data: &[u8]| lease_with(121, data).unwrap().routes;
    let given = [24, 192, 0, 2, 10, 0, 2, 9, 0, 10, 0, 2, 7, 32, 169, 254, 169, 254, 0, 0, 0, 0];
    let on_link = Route { destination: address("169.254.169.254"), prefix: 32, gateway: None };
    let far = Route { destination: address("192.0.2.0"), prefix: 24, gateway: Some(address("10.0.2.9")) };
    assert_eq!(routes(&given), [far, default_route("10.0.2.7"), on_link]);
    let host_bits = [20, 192, 0, 0xff, 10, 0, 2, 9];
    assert_eq!(routes(&host_bits)[0].destination, address("192.0.240.0"), "host bits are cleared");
    for malformed in [&[33, 1, 2, 3, 4, 5, 10, 0, 2, 9][..], &[24, 192, 0, 2, 10, 0], &[0]] {
        assert_eq!(routes(malformed), [default_route("10.0.2.2")], "{malformed:?} counts as absent");
    }
}

#[test]
fn a_router_outside_the_network_is_reached_on_the_link() {
    let lease = lease_with(1, &[255, 255, 255, 255]).unwrap();
    let on_link = Route { destination: address("10.0.2.2"), prefix: 32, gateway: None };
    assert_eq!((lease.prefix, lease.routes), (32, vec![on_link, default_route("10.0.2.2")]));
}

#[test]
fn a_long_option_may_come_in_parts() {
    let mut options = qemu_options();
    options.extend([(121, &[24, 192, 0, 2, 10][..]), (0, &[]), (121, &[0, 2, 9])]);
    let mut bytes = reply_bytes(&options);
    // A padding byte has no length (RFC 2132 §3.1).
    let padding = bytes.len() - 7;
    bytes.remove(padding + 1);
    let lease = Lease::from_reply(&Reply::parse(&bytes, MAC).unwrap()).unwrap();
    assert_eq!(lease.routes[0].destination, address("192.0.2.0"));
}

#[test]
fn unusable_offers_are_no_leases() {
    for (code, data) in [(51, &[0; 4][..]), (51, &[1, 2]), (54, &[0; 4]), (54, &[224, 0, 0, 1]), (54, &[10])]
    {
        assert_eq!(lease_with(code, data), None, "option {code} {data:?}");
    }
    for your_address in [[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4]] {
        let mut bytes = reply_bytes(&qemu_options());
        bytes[16..20].copy_from_slice(&your_address);
        assert_eq!(Lease::from_reply(&Reply::parse(&bytes, MAC).unwrap()), None, "{your_address:?}");
    }
}

#[test]
fn what_is_not_for_this_client_is_not_read() {
    let good = reply_bytes(&qemu_options());
    assert!(Reply::parse(&good, MAC).is_some());
    let mut wrong = [0; 6];
    wrong.clone_from_slice(&MAC);
    wrong[5] ^= 1;
    assert_eq!(Reply::parse(&good, wrong), None, "another station's");
    for (offset, byte) in [(0, 1), (2, 16), (236, 0), (242, 1), (242, 99)] {
        let mut bytes = good.clone();
        bytes[offset] = byte;
        assert_eq!(Reply::parse(&bytes, MAC), None, "byte {offset} is {byte}");
    }
    for length in 0..243 {
        assert_eq!(Reply::parse(&good[..length], MAC), None, "{length} bytes");
    }
}

/// An IPv4 packet from a server to a client.
fn from_server(message: &[u8]) -> Vec<u8> {
    let mut packet = broadcast(address("10.0.2.2"), message);
    packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
    packet
}

/// Computes the IPv4 header's checksum again.
fn seal(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let header = usize::from(packet[0] & 15) * 4;
    let sum: u32 =
        packet[..header].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

#[test]
fn a_message_is_found_in_its_packets() {
    let message = reply_bytes(&qemu_options());
    let mut packet = from_server(&message);
    assert_eq!(dhcp_payload(&packet), Some(&message[..]), "whatever the UDP checksum says");
    packet.extend([0; 9]);
    assert_eq!(dhcp_payload(&packet), Some(&message[..]), "Ethernet pads short packets");

    let changes: [(&str, usize, u8); 6] = [
        ("another version", 0, 0x65),
        ("a header longer than the packet's", 0, 0x4f),
        ("a fragment", 6, 0x20),
        ("a later fragment", 7, 1),
        ("not UDP", 9, 6),
        ("another port", 23, 69),
    ];
    for (what, offset, byte) in changes {
        let mut packet = from_server(&message);
        packet[offset] = byte;
        seal(&mut packet);
        assert_eq!(dhcp_payload(&packet), None, "{what}");
    }
    let mut packet = from_server(&message);
    packet[12] ^= 1;
    assert_eq!(dhcp_payload(&packet), None, "a header that was damaged");
    for length in [0, 5, 19, 20, 27, 100] {
        assert_eq!(dhcp_payload(&from_server(&message)[..length]), None, "{length} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_can_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        read(&bytes, MAC);
    }

    #[test]
    fn no_options_can_make_the_parsers_panic(options in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = reply_bytes(&qemu_options());
        bytes.extend(options);
        read(&bytes, MAC);
    }

    #[test]
    fn no_damage_can_make_the_parsers_panic(damage in prop::collection::vec((0_usize..320, any::<u8>()), 1..20)) {
        let mut packet = from_server(&reply_bytes(&qemu_options()));
        for (offset, byte) in damage {
            if let Some(place) = packet.get_mut(offset) {
                *place = byte;
            }
        }
        seal(&mut packet[..64]);
        read(&packet, MAC);
        read(&packet[28..], MAC);
    }
}
