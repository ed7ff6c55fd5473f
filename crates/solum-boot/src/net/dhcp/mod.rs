//! A DHCPv4 client (RFC 2131): packets, leases, and the decisions, all of it without I/O.

pub(super) mod client;
pub(super) mod lease;
pub mod packet;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod packet_tests;
