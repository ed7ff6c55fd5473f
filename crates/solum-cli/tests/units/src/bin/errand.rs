//! Does what its first argument says, and has nothing plugged in.

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

fn flood_when_ready(ports: &mut Ports, lines: &str) -> Result<(), Error> {
    ports.health.ready()?;
    flood(&mut ports.console, lines)
}
