//! The machine's network as its program sees it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::Duration;

/// Takes a port and gives it back.
pub fn bind(port: u16) -> Result<(), io::ErrorKind> {
    TcpListener::bind(("0.0.0.0", port)).map(drop).map_err(|error| error.kind())
}

/// Takes one connection and sends back what comes, until its end.
pub fn answer_once_by_tcp(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("listening");
    let (mut stream, _) = listener.accept()?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    stream.write_all(&received)
}

/// Takes one datagram and sends it back.
pub fn answer_once_by_udp(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    println!("listening");
    let mut datagram = [0; 2048];
    let (length, sender) = socket.recv_from(&mut datagram)?;
    socket.send_to(&datagram[..length], sender).map(drop)
}

/// Interfaces, own address, default router, name servers.
pub fn describe() -> io::Result<()> {
    let mut interfaces: Vec<String> = fs::read_dir("/sys/class/net")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    interfaces.sort();
    println!("interfaces: {}", interfaces.join(" "));
    println!("address: {}", own_address().map_or_else(|error| format!("{:?}", error.kind()), |own| own));
    println!("router: {}", default_router().unwrap_or_else(|| "none".into()));
    let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    for line in resolv.lines().filter(|line| line.starts_with("nameserver")) {
        println!("{line}");
    }
    Ok(())
}

/// The address that this machine would send from. Nothing is sent: connecting a datagram socket only looks for a route.
fn own_address() -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // TEST-NET-3 (RFC 5737) is nobody's.
    socket.connect("203.0.113.1:9")?;
    Ok(socket.local_addr()?.ip().to_string())
}

/// From /proc/net/route: the gateway of destination 0, in hexadecimal and in the machine's byte order (proc(5)).
fn default_router() -> Option<String> {
    let table = fs::read_to_string("/proc/net/route").ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let gateway = u32::from_str_radix(fields.get(2)?, 16).ok()?;
        let address = std::net::Ipv4Addr::from(gateway.to_ne_bytes());
        (*fields.get(1)? == "00000000" && gateway != 0).then(|| address.to_string())
    })
}

/// Waits until an Ethernet interface has an IPv6 address beyond its own link (scopes: proc(5), `if_inet6`).
pub fn wait_for_ipv6() -> io::Result<()> {
    const LINK_LOCAL: &str = "20";
    loop {
        let table = fs::read_to_string("/proc/net/if_inet6")?;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        if let Some(fields) = lines.find(|fields| fields[5] != "lo" && fields[3] != LINK_LOCAL) {
            println!("{} has an address that begins with {}", fields[5], &fields[0][..4]);
            return Ok(());
        }
        // The kernel announces it over netlink only, which the standard library does not speak.
        thread::park_timeout(Duration::from_millis(50));
    }
}

/// What a name stands for.
pub fn resolve(name: &str) {
    let addresses =
        (name, 0).to_socket_addrs().map(|found| found.map(|a| a.ip().to_string()).collect::<Vec<_>>());
    match addresses {
        Ok(mut addresses) => {
            addresses.sort();
            println!("{name}: {}", addresses.join(" "));
        }
        Err(error) => println!("{name}: {error}"),
    }
}

/// Answers everybody who asks for the time that it is this moment, for ever (RFC 5905 section 7.3).
pub fn tell_time(moment: u32) -> io::Result<()> {
    const FROM_1900_TO_1970: u32 = 2_208_988_800;
    let socket = UdpSocket::bind("127.0.0.1:123")?;
    println!("telling the time");
    loop {
        let mut packet = [0; 48];
        let (_, sender) = socket.recv_from(&mut packet)?;
        let asked_at: [u8; 8] = packet[40..48].try_into().unwrap();
        let now = (moment + FROM_1900_TO_1970).to_be_bytes();
        let mut answer = [0; 48];
        // No leap second, version 4, a server; of stratum 1.
        answer[..4].copy_from_slice(&[0x24, 1, 6, 0xec]);
        answer[12..16].copy_from_slice(b"TEST");
        answer[24..32].copy_from_slice(&asked_at);
        for at in [16, 32, 40] {
            answer[at..at + 4].copy_from_slice(&now);
        }
        socket.send_to(&answer, sender)?;
    }
}
