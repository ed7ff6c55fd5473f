//! DHCP messages as bytes (RFC 2131 §2, RFC 2132), within the IPv4 and UDP packets that carry them.
//!
//! The fields are read and written by smoltcp's wire formats; what options mean is decided here. Nothing of this can
//! fail on input otherwise than by `None`.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpHardware, DhcpMessageType, DhcpOpCode, DhcpOption, DhcpPacket, EthernetAddress, IpAddress, IpProtocol,
    Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use super::lease::Route;

pub use smoltcp::wire::{DHCP_CLIENT_PORT as CLIENT_PORT, DHCP_SERVER_PORT as SERVER_PORT};

pub use smoltcp::wire::DhcpMessageType as MessageType;

/// The four bytes before the options (RFC 2131 §3).
const MAGIC: u32 = 0x6382_5363;
/// "A DHCP client must be prepared to receive DHCP messages with an 'options' field of at least length 312" (RFC 2131 §2);
/// BOOTP relays drop messages that are shorter than 300 bytes, the size of a BOOTP message (RFC 951 §3).
const MESSAGE_MIN: usize = 300;
/// Fixed fields and magic.
const OPTIONS_START: usize = 240;
/// What a client may announce as the largest message it takes (option 57): an Ethernet packet without its IP and UDP headers.
const MESSAGE_MAX: u16 = 1500 - 28;
/// Hop limit of our packets; the broadcast reaches only neighbours anyway.
const HOPS: u8 = 64;

/// Option codes (RFC 2132, RFC 3442).
mod option {
    pub const MASK: u8 = 1;
    pub const ROUTERS: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const TIME_SERVERS: u8 = 42;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MESSAGE_SIZE: u8 = 57;
    pub const RENEW_TIME: u8 = 58;
    pub const REBIND_TIME: u8 = 59;
    pub const CLIENT: u8 = 61;
    pub const CLASSLESS_ROUTES: u8 = 121;
}

/// What the client asks to be told. Classless routes come before routers, as RFC 3442 demands.
const PARAMETERS: &[u8] = &[
    option::MASK,
    option::CLASSLESS_ROUTES,
    option::ROUTERS,
    option::DNS,
    option::DOMAIN,
    option::MTU,
    option::TIME_SERVERS,
    option::LEASE_TIME,
    option::RENEW_TIME,
    option::REBIND_TIME,
];

/// A message of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `Discover` or `Request`.
    pub kind: MessageType,
    /// Ties the answer to the question.
    pub transaction: u32,
    /// Seconds since the client began.
    pub elapsed_s: u16,
    /// The address that the client has and answers on (`ciaddr`).
    pub own_address: Option<Ipv4Addr>,
    /// The address that it would like (option 50).
    pub requested: Option<Ipv4Addr>,
    /// The server whose offer it takes (option 54).
    pub server: Option<Ipv4Addr>,
}

/// A message of a server, with what this client understands of it. Lists are empty, and the rest is `None`, where the
/// server says nothing or nonsense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `Offer`, `Ack` or `Nak`.
    pub kind: MessageType,
    /// Ties the answer to the question.
    pub transaction: u32,
    /// The address for the client (`yiaddr`).
    pub your_address: Ipv4Addr,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
    /// Option 1.
    pub mask: Option<Ipv4Addr>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 121; given but empty is not the same as absent.
    pub(super) classless_routes: Option<Vec<Route>>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 15.
    pub domain: Option<String>,
    /// Option 26, in bytes.
    pub mtu: Option<u16>,
    /// Option 42.
    pub time_servers: Vec<Ipv4Addr>,
    /// Option 51, in seconds.
    pub lease_s: Option<u32>,
    /// Option 58, in seconds.
    pub renew_s: Option<u32>,
    /// Option 59, in seconds.
    pub rebind_s: Option<u32>,
}

impl Request {
    /// The message as the payload of a UDP packet.
    pub fn to_bytes(&self, mac: [u8; 6], host_name: &str) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS_START];
        let mut packet = DhcpPacket::new_unchecked(&mut bytes);
        packet.set_opcode(DhcpOpCode::Request);
        packet.set_hardware_type(ArpHardware::Ethernet);
        packet.set_hardware_len(6);
        packet.set_transaction_id(self.transaction);
        packet.set_secs(self.elapsed_s);
        packet.set_client_ip(self.own_address.unwrap_or(Ipv4Addr::UNSPECIFIED));
        packet.set_client_hardware_address(EthernetAddress(mac));
        packet.set_magic_number(MAGIC);
        let mut option = |code: u8, data: &[u8]| {
            // One byte for the length: what does not fit is left out, and no option here is as long.
            let Ok(length) = u8::try_from(data.len()) else { return };
            bytes.extend_from_slice(&[code, length]);
            bytes.extend_from_slice(data);
        };
        option(option::MESSAGE_TYPE, &[self.kind.into()]);
        let [a, b, c, d, e, f] = mac;
        option(option::CLIENT, &[1, a, b, c, d, e, f]);
        if let Some(address) = self.requested {
            option(option::REQUESTED_ADDRESS, &address.octets());
        }
        if let Some(server) = self.server {
            option(option::SERVER, &server.octets());
        }
        option(option::MESSAGE_SIZE, &MESSAGE_MAX.to_be_bytes());
        if !host_name.is_empty() {
            option(option::HOST_NAME, host_name.as_bytes());
        }
        option(option::PARAMETERS, PARAMETERS);
        bytes.push(255);
        bytes.resize(bytes.len().max(MESSAGE_MIN), 0);
        bytes
    }
}

/// The IPv4 packet that carries a message to everyone on the link; its source is 0.0.0.0 as long as the client has no address
/// (RFC 2131 §4.1).
pub fn broadcast(source: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let udp = UdpRepr { src_port: CLIENT_PORT, dst_port: SERVER_PORT };
    let ip = Ipv4Repr {
        src_addr: source,
        dst_addr: Ipv4Addr::BROADCAST,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + message.len(),
        hop_limit: HOPS,
    };
    let checksums = ChecksumCapabilities::default();
    let mut bytes = vec![0; ip.buffer_len() + ip.payload_len];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
    ip.emit(&mut packet, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(ip.src_addr),
        &IpAddress::Ipv4(ip.dst_addr),
        message.len(),
        |payload| payload.copy_from_slice(message),
        &checksums,
    );
    bytes
}

/// The DHCP message in an IPv4 packet, if it is one for a client.
///
/// The UDP checksum is not looked at: a packet from another virtual machine of the same host reaches a packet socket before
/// it is computed (`TP_STATUS_CSUMNOTREADY` in packet(7)), and Ethernet has a checksum of its own.
pub fn dhcp_payload(ip_packet: &[u8]) -> Option<&[u8]> {
    let ip = Ipv4Packet::new_checked(ip_packet).ok()?;
    let is_whole = !ip.more_frags() && ip.frag_offset() == 0;
    if ip.version() != 4 || ip.next_header() != IpProtocol::Udp || !ip.verify_checksum() || !is_whole {
        return None;
    }
    let header = usize::from(ip.header_len());
    let udp_bytes = ip_packet.get(header..usize::from(ip.total_len()))?;
    let udp = UdpPacket::new_checked(udp_bytes).ok()?;
    if udp.src_port() != SERVER_PORT || udp.dst_port() != CLIENT_PORT {
        return None;
    }
    udp_bytes.get(8..usize::from(udp.len()))
}

impl Reply {
    /// Reads a message for the client with this Ethernet address.
    pub fn parse(bytes: &[u8], mac: [u8; 6]) -> Option<Self> {
        let packet = DhcpPacket::new_checked(bytes).ok()?;
        let is_ours = packet.opcode() == DhcpOpCode::Reply
            && packet.hardware_len() == 6
            && packet.client_hardware_address() == EthernetAddress(mac)
            && packet.magic_number() == MAGIC;
        if !is_ours {
            return None;
        }
        let options = |code| joined(&packet, code);
        let kind = match DhcpMessageType::from(*options(option::MESSAGE_TYPE)?.first()?) {
            kind @ (MessageType::Offer | MessageType::Ack | MessageType::Nak) => kind,
            _ => return None,
        };
        let addresses = |code| addresses(&options(code).unwrap_or_default());
        let address = |code| addresses(code).first().copied();
        let seconds = |code| options(code)?.try_into().ok().map(u32::from_be_bytes);
        Some(Self {
            kind,
            transaction: packet.transaction_id(),
            your_address: packet.your_ip(),
            server: address(option::SERVER),
            mask: address(option::MASK),
            routers: addresses(option::ROUTERS),
            classless_routes: options(option::CLASSLESS_ROUTES).and_then(|data| classless_routes(&data)),
            dns: addresses(option::DNS),
            domain: options(option::DOMAIN).and_then(domain),
            mtu: options(option::MTU).and_then(mtu),
            time_servers: addresses(option::TIME_SERVERS),
            lease_s: seconds(option::LEASE_TIME),
            renew_s: seconds(option::RENEW_TIME),
            rebind_s: seconds(option::REBIND_TIME),
        })
    }
}

/// The data of every option with this code, one after the other: long options are split (RFC 3396).
fn joined(packet: &DhcpPacket<&[u8]>, code: u8) -> Option<Vec<u8>> {
    let mut found = None;
    for DhcpOption { kind, data } in packet.options() {
        if kind == code {
            found.get_or_insert_with(Vec::new).extend_from_slice(data);
        }
    }
    found
}

fn addresses(data: &[u8]) -> Vec<Ipv4Addr> {
    data.as_chunks::<4>().0.iter().map(|octets| Ipv4Addr::from(*octets)).collect()
}

/// Width of the prefix, its significant octets, the router (RFC 3442); all or nothing.
fn classless_routes(mut data: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    while let [prefix @ 0..=32, rest @ ..] = data {
        let (significant, rest) = rest.split_at_checked(usize::from(prefix.div_ceil(8)))?;
        let (router, rest) = rest.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        octets[..significant.len()].copy_from_slice(significant);
        // "the client must zero the bits outside of the mask" in effect: the kernel refuses such a route otherwise.
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        let destination = Ipv4Addr::from_bits(u32::from_be_bytes(octets) & mask);
        let gateway = Some(Ipv4Addr::from(*router)).filter(|gateway| !gateway.is_unspecified());
        routes.push(Route { destination, prefix: *prefix, gateway });
        data = rest;
    }
    data.is_empty().then_some(routes)
}

/// A domain goes into a file that programs read by lines and words, so it must be a plain name.
fn domain(data: Vec<u8>) -> Option<String> {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    let name = data.get(..end).filter(|name| (1..=253).contains(&name.len()))?;
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte));
    plain.then(|| String::from_utf8_lossy(name).into_owned())
}

/// Every IPv4 host takes packets of 576 bytes (RFC 791); a server that says less is wrong or hostile.
fn mtu(data: Vec<u8>) -> Option<u16> {
    data.try_into().ok().map(u16::from_be_bytes).filter(|mtu| *mtu >= 576)
}
