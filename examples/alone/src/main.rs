//! One file that is all of its machine: the image holds the kernel and this executable.
//!
//! Started as an ordinary process it just runs, so it can be tried without a machine too. With `--stay` it runs
//! until the power button is pressed (or Ctrl-C, as a process).

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a plain program")]

use std::io;
use std::net::UdpSocket;
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let machine = solum::machine::boot();
    println!(
        "Alone in {} with {} files in the root directory.",
        if machine.is_own() { "a machine of my own" } else { "a process of somebody else's machine" },
        std::fs::read_dir("/").map_or(0, Iterator::count)
    );
    println!("The network {}.", if loopback_works().is_ok() { "is there" } else { "is missing" });
    let status = match std::env::args().nth(1).as_deref() {
        Some("--stay") => {
            let shutdown = machine.shutdown()?;
            println!("Staying until I am asked to end.");
            shutdown.wait();
            println!("Asked to end, and ending.");
            ExitCode::SUCCESS
        }
        Some("--panic") => panic!("as I was told to"),
        Some(status) => status.parse::<u8>().map_or(ExitCode::FAILURE, ExitCode::from),
        None => ExitCode::SUCCESS,
    };
    Ok(status)
}

/// Sends a datagram to itself.
fn loopback_works() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"alone", socket.local_addr()?)?;
    socket.recv(&mut [0; 8]).map(drop)
}
