//! What turmoil takes for the work of `cargo xtask bench sim`.
//!
//! Written as its documentation does it: a host for the server, clients that come to an end, its defaults but for the
//! latency and the seed, and no subscriber for its log. Over UDP the ping-pong takes as long, to 2 %.
//!
//! turmoil's clock goes in ticks of a millisecond, its delays are drawn in whole milliseconds, and tokio's timers, which it
//! rests on, know nothing shorter. So each of these messages arrives one tick after it was sent.

#[path = "../simulation/mod.rs"]
mod simulation;
#[path = "../simulation/store.rs"]
mod store;
#[path = "../simulation/streams.rs"]
mod streams;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use simulation::{CLIENTS, KEY_VALUE, LATENCY, Outcome, PING_PONG, SEED};
use store::Store;
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

const SERVER: &str = "server";
const PORT: u16 = 9000;

fn main() -> Outcome {
    let line = match std::env::args().nth(1).as_deref() {
        Some("ping-pong") => simulation::measure(&PING_PONG, ping_pong),
        Some("key-value") => simulation::measure(&KEY_VALUE, key_value),
        _ => Err("write: ping-pong, or key-value".into()),
    }?;
    println!("{line}");
    Ok(())
}

fn simulator<'a>() -> Sim<'a> {
    Builder::new()
        .rng_seed(SEED)
        .min_message_latency(LATENCY[0])
        .max_message_latency(LATENCY[1])
        // The default ends a run after ten seconds, lest one hang for ever.
        .simulation_duration(Duration::from_secs(3600))
        .build()
}

fn ping_pong() -> Outcome<Duration> {
    let mut simulator = simulator();
    simulator.host(SERVER, || async {
        let (stream, _) = TcpListener::bind(("0.0.0.0", PORT)).await?.accept().await?;
        Ok(streams::echo(stream).await?)
    });
    simulator.client("client", async {
        let stream = TcpStream::connect((SERVER, PORT)).await?;
        Ok(streams::ping(stream).await?)
    });
    run(simulator)
}

fn key_value() -> Outcome<Duration> {
    let mut simulator = simulator();
    simulator.host(SERVER, || async {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        let store = Arc::new(Mutex::new(Store::default()));
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(streams::serve(stream, Arc::clone(&store)));
        }
    });
    for client in 1..=CLIENTS {
        simulator.client(format!("client-{client}"), async move {
            let stream = TcpStream::connect((SERVER, PORT)).await?;
            Ok(streams::ask(client, stream).await?)
        });
    }
    run(simulator)
}

fn run(mut simulator: Sim<'_>) -> Outcome<Duration> {
    simulator.run().map_err(|error| error.to_string())?;
    Ok(simulator.elapsed())
}
