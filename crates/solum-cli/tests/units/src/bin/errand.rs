//! Does what its first argument says, and has nothing plugged in.

use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::time::Duration;

use solum::{Clock, Console, Error, Health};
use units::{arguments, flood, ignore_requests_to_end};

#[derive(solum::Ports)]
struct Ports {
    clock: Clock,
    console: Console,
    health: Health,
}

#[solum::program]
fn errand(mut ports: Ports) -> Result<(), Error> {
    let arguments = arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stay", words @ ..] => {
            ports.console.line(words.join(" "))?;
            ports.health.ready()?;
            stay(&ports)
        }
        ["never-ready"] => stay(&ports),
        ["stubborn"] => {
            ignore_requests_to_end();
            ports.health.ready()?;
            ports.console.line("not hearing")?;
            stay(&ports)
        }
        ["unhealthy", why] => {
            ports.health.ready()?;
            ports.health.unhealthy(*why)?;
            stay(&ports)
        }
        ["babble"] => ports.console.line(babble()),
        ["flood", lines] => flood_when_ready(&mut ports, lines),
        ["exit", status] => {
            ports.console.line("ending")?;
            std::process::exit(status.parse().unwrap_or(1))
        }
        ["open"] => {
            let opened = std::fs::File::open("/etc/passwd");
            ports.console.line(opened.map_or_else(|error| error.to_string(), |_| "opened".into()))?;
            drop(std::net::UdpSocket::bind("127.0.0.1:0"));
            ports.console.line("and has a socket")
        }
        other => Err(Error::Refused(format!("there is no errand {other:?}"))),
    }
}

fn stay(ports: &Ports) -> Result<(), Error> {
    loop {
        ports.clock.sleep(Duration::from_secs(3600))?;
    }
}

/// Tells the supervisor what is no message, until it hears no more.
fn babble() -> String {
    // Behind the handover (solum_spec::handover::DESCRIPTOR).
    const CONTROL: i32 = 4;
    // SAFETY: the descriptor was handed to this process, and stays open as long as it runs.
    let mut control = ManuallyDrop::new(unsafe { File::from_raw_fd(CONTROL) });
    loop {
        if let Err(error) = control.write_all(&[0xff; 4096]) {
            return format!("not heard any more: {}", error.kind());
        }
    }
}

fn flood_when_ready(ports: &mut Ports, lines: &str) -> Result<(), Error> {
    ports.health.ready()?;
    flood(&mut ports.console, lines)
}
