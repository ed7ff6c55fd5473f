//! Ports of a machine that the host makes reachable.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The transport of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of the machine, reachable on the host: `[ADDRESS:]HOST:MACHINE[/tcp|/udp]`.
///
/// Without an address the port is reachable from the host itself only (127.0.0.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Publish {
    /// Where the host listens.
    pub address: IpAddr,
    /// The port on the host.
    pub host_port: u16,
    /// The port in the machine.
    pub machine_port: u16,
    /// TCP unless said otherwise.
    pub protocol: Protocol,
}

impl Publish {
    /// Whether both want the same port of the host: at one address, or one of them at every address.
    pub fn collides_with(&self, other: &Self) -> bool {
        let meet =
            self.address == other.address || self.address.is_unspecified() || other.address.is_unspecified();
        meet && self.address.is_ipv4() == other.address.is_ipv4()
            && (self.host_port, self.protocol) == (other.host_port, other.protocol)
    }
}

/// Why a text is not a published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` {}; write HOST:MACHINE or ADDRESS:HOST:MACHINE, with /udp for UDP, like 8000:8000",
            self.text, self.reason
        )
    }
}

impl std::error::Error for PublishError {}

impl FromStr for Publish {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| PublishError { text: text.to_owned(), reason };
        let (ports, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(wrong("has neither /tcp nor /udp after its ports")),
        };
        let (front, machine) = ports.rsplit_once(':').ok_or_else(|| wrong("names one port only"))?;
        let (address, host) = match front.rsplit_once(':') {
            None => (IpAddr::V4(Ipv4Addr::LOCALHOST), front),
            Some((address, host)) => {
                let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
                (bare.parse().map_err(|_| wrong("does not start with an IP address"))?, host)
            }
        };
        let port = |digits: &str| match digits.parse::<u16>() {
            Ok(0) | Err(_) => Err(wrong("has a port that is not a number from 1 to 65535")),
            Ok(port) => Ok(port),
        };
        Ok(Self { address, host_port: port(host)?, machine_port: port(machine)?, protocol })
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}")?,
            IpAddr::V6(address) => write!(f, "[{address}]")?,
        }
        write!(f, ":{}:{}/{}", self.host_port, self.machine_port, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, full) in [
            ("8000:80", "127.0.0.1:8000:80/tcp"),
            ("8000:8000/udp", "127.0.0.1:8000:8000/udp"),
            ("0.0.0.0:1:2", "0.0.0.0:1:2/tcp"),
            ("[::1]:5000:53/udp", "[::1]:5000:53/udp"),
        ] {
            let publish: Publish = text.parse().unwrap();
            assert_eq!(publish.to_string(), full);
            assert_eq!(full.parse(), Ok(publish));
        }
    }

    #[test]
    fn every_address_collides_with_each_of_its_family() {
        for (one, other, collide) in [
            ("8000:80", "8000:81", true),
            ("8000:80", "8001:80", false),
            ("8000:80", "8000:80/udp", false),
            ("0.0.0.0:8000:80", "127.0.0.1:8000:80", true),
            ("127.0.0.2:8000:80", "127.0.0.1:8000:80", false),
            ("[::]:8000:80", "[::1]:8000:80", true),
            ("[::]:8000:80", "127.0.0.1:8000:80", false),
        ] {
            let (one, other): (Publish, Publish) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.collides_with(&other), collide, "{one} and {other}");
            assert_eq!(other.collides_with(&one), collide, "{other} and {one}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, reason) in [
            ("8000", "names one port only"),
            ("8000:0", "has a port that is not a number from 1 to 65535"),
            ("8000:70000", "has a port that is not a number from 1 to 65535"),
            ("here:1:2", "does not start with an IP address"),
            ("1:2/sctp", "has neither /tcp nor /udp after its ports"),
        ] {
            assert_eq!(text.parse::<Publish>().unwrap_err().reason, reason, "{text}");
        }
    }
}
