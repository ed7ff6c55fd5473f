//! A packet of the network, then as a DHCP message, then as a lease.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solum_boot::net::read_dhcp(bytes));
