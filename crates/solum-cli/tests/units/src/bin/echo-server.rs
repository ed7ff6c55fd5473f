//! Serves `Echo`.

use std::time::Duration;

use solum::{Clock, Console, Serve};
use units::{Echo, EchoService, arguments};

#[derive(solum::Ports)]
struct Ports {
    echo: Serve<Echo>,
    console: Console,
    clock: Clock,
}

struct Service {
    clock: Clock,
    name: String,
}

impl EchoService for Service {
    fn echo(&mut self, words: String) -> String {
        format!("{}: {words}", self.name)
    }

    fn hang(&mut self) {
        // Nobody waits that long.
        let _ = self.clock.sleep(Duration::from_secs(3600));
    }
}

#[solum::program]
fn echo_server(mut ports: Ports) -> Result<(), solum::Error> {
    ports.console.line("serving")?;
    ports.echo.run(&mut Service { clock: ports.clock, name: arguments().join(" ") })
}
