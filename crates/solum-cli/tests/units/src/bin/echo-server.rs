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
    console: Console,
    name: String,
}

impl EchoService for Service {
    fn echo(&mut self, words: String) -> String {
        format!("{}: {words}", self.name)
    }

    fn hang(&mut self) {
        // Who reads this knows that the call is under way.
        let _ = self.console.line("hanging");
        // Nobody waits that long.
        let _ = self.clock.sleep(Duration::from_secs(3600));
    }
}

#[solum::program]
fn echo_server(mut ports: Ports) -> Result<(), solum::Error> {
    ports.console.line("serving")?;
    let Ports { mut echo, console, clock } = ports;
    echo.run(&mut Service { clock, console, name: arguments().join(" ") })
}
