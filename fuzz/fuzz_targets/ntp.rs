//! An answer of a time server to the question of this client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| solum_boot::time::read_ntp(bytes));
