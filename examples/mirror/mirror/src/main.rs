//! A unit that mirrors its members and serves the mirror as one disk.

#![allow(clippy::disallowed_methods, reason = "arguments are read here, and nowhere else")]

#[solum::program]
fn mirror(ports: mirror::Ports) -> Result<(), String> {
    mirror::mirror_with(ports, std::env::args().any(|argument| argument == "--force"))
}
