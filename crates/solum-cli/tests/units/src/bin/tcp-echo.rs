//! Says what it is told, once for each connection. Who tells it a number is answered after so many lines were printed.

use solum::{Console, Error, Health, Tcp};
use units::flood;

#[derive(solum::Ports)]
struct Ports {
    tcp: Tcp,
    health: Health,
    console: Console,
}

#[solum::program]
fn tcp_echo(mut ports: Ports) -> Result<(), Error> {
    ports.console.line("listening")?;
    ports.health.ready()?;
    loop {
        let mut stream = ports.tcp.accept(None)?;
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer, None)?;
        flood(&mut ports.console, &String::from_utf8_lossy(&buffer[..length]))?;
        stream.write_all(&buffer[..length], None)?;
    }
}
