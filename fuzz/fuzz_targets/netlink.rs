//! A datagram of the kernel.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solum_boot::net::read_netlink(bytes));
