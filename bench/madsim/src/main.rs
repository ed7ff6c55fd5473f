//! What madsim takes for the work of `cargo xtask bench sim`.
//!
//! Written as its documentation does it: nodes with an address each, and no subscriber for its log. Once over TCP, which is
//! the fastest that it has, and once over its own `Endpoint`, which waits for a timer on both sides of each message. (With
//! remote procedure calls on top, that does three quarters as many round trips a second.)
//!
//! madsim's timers wait for a millisecond at least, as tokio's do. So over TCP each of these messages takes a millisecond.

#[cfg(not(madsim))]
compile_error!(
    "madsim is no simulator without `--cfg madsim`: build this where its .cargo/config.toml is, without RUSTFLAGS"
);

mod endpoints;
#[path = "../../src/simulation/mod.rs"]
mod simulation;
#[path = "../../src/simulation/store.rs"]
mod store;
#[path = "../../src/simulation/streams.rs"]
mod streams;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::Config;
use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::{NodeHandle, Runtime};
use madsim::time::{Instant, sleep};
use simulation::{CLIENTS, KEY_VALUE, LATENCY, Outcome, PING_PONG, SEED};
use store::Store;

/// The node of who answers; others have those after it.
const SERVER: u8 = 0;

fn main() -> Outcome {
    let line = match std::env::args().nth(1).as_deref() {
        Some("ping-pong") => simulation::measure(&PING_PONG, ping_pong),
        Some("key-value") => simulation::measure(&KEY_VALUE, key_value),
        Some("ping-pong-endpoint") => simulation::measure(&PING_PONG, endpoints::ping_pong),
        Some("key-value-endpoint") => simulation::measure(&KEY_VALUE, endpoints::key_value),
        _ => Err("write: ping-pong, or key-value, each with or without -endpoint".into()),
    }?;
    println!("{line}");
    Ok(())
}

fn runtime() -> Runtime {
    let mut config = Config::default();
    config.net.send_latency = LATENCY[0]..LATENCY[1];
    Runtime::with_seed_and_config(SEED, config)
}

fn address(node: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + node], 1))
}

fn node(runtime: &Runtime, node: u8) -> NodeHandle {
    runtime.create_node().ip(address(node).ip()).build()
}

/// Runs clients, by their numbers, until all of them are done.
fn run<C: Future<Output = io::Result<()>> + Send + 'static>(
    runtime: &Runtime,
    clients: u8,
    client: impl Fn(u8) -> C,
) -> Outcome<Duration> {
    let clients: Vec<_> = (1..=clients).map(|number| node(runtime, number).spawn(client(number))).collect();
    runtime.block_on(async {
        let start = Instant::now();
        for client in clients {
            client.await??;
        }
        Ok(start.elapsed())
    })
}

fn ping_pong() -> Outcome<Duration> {
    let runtime = runtime();
    node(&runtime, SERVER).spawn(async {
        let (stream, _) = TcpListener::bind(address(SERVER)).await?.accept().await?;
        streams::echo(stream).await
    });
    run(&runtime, 1, |_| async { streams::ping(connect().await?).await })
}

fn key_value() -> Outcome<Duration> {
    let runtime = runtime();
    node(&runtime, SERVER).spawn(serve());
    run(&runtime, CLIENTS, |client| async move { streams::ask(client, connect().await?).await })
}

async fn serve() -> io::Result<Infallible> {
    let listener = TcpListener::bind(address(SERVER)).await?;
    let store = Arc::new(Mutex::new(Store::default()));
    loop {
        let (stream, _) = listener.accept().await?;
        madsim::task::spawn(streams::serve(stream, Arc::clone(&store)));
    }
}

/// A stream to the server, once it listens: before, it would be refused.
async fn connect() -> io::Result<TcpStream> {
    sleep(LATENCY[1]).await;
    TcpStream::connect(address(SERVER)).await
}
