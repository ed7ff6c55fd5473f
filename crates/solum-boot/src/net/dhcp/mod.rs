//! A DHCPv4 client (RFC 2131): packets, leases, and the decisions, all of it without I/O.

pub(super) mod client;
pub(super) mod lease;
pub(super) mod packet;

/// Reads bytes as deeply as they can be read, as a packet and as a message for the client `mac`.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read(bytes: &[u8], mac: [u8; 6]) {
    for message in packet::dhcp_payload(bytes).into_iter().chain([bytes]) {
        if let Some(reply) = packet::Reply::parse(message, mac) {
            let _ = lease::Lease::from_reply(&reply);
        }
    }
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod packet_tests;
