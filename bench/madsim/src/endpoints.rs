//! The work over madsim's own means: messages that are received by tag.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use madsim::net::Endpoint;
use madsim::time::sleep;

use super::simulation::{self, CLIENTS, LATENCY, Outcome, ROUND_TRIPS, SIZE};
use super::store::{self, LONGEST, Store};
use super::{SERVER, address, node, run, runtime};

/// The tag of messages to the server.
const ASKED: u64 = 1;
/// The tag of messages back.
const ANSWERED: u64 = 2;

pub fn ping_pong() -> Outcome<Duration> {
    let runtime = runtime();
    node(&runtime, SERVER).spawn(echo());
    run(&runtime, 1, ping)
}

async fn echo() -> io::Result<Infallible> {
    let (endpoint, mut message) = (Endpoint::bind(address(SERVER)).await?, [0; SIZE]);
    loop {
        let (length, from) = endpoint.recv_from(ASKED, &mut message).await?;
        endpoint.send_to(from, ANSWERED, &message[..length]).await?;
    }
}

async fn ping(client: u8) -> io::Result<()> {
    let endpoint = connect(client).await?;
    let (mut message, mut back) = ([0; SIZE], [0; SIZE]);
    for round in 0..ROUND_TRIPS {
        message[..8].copy_from_slice(&round.to_le_bytes());
        endpoint.send_to(address(SERVER), ASKED, &message).await?;
        endpoint.recv_from(ANSWERED, &mut back).await?;
        assert_eq!(message, back, "what comes back is what was sent");
    }
    Ok(())
}

pub fn key_value() -> Outcome<Duration> {
    let runtime = runtime();
    node(&runtime, SERVER).spawn(serve());
    run(&runtime, CLIENTS, ask)
}

async fn serve() -> io::Result<Infallible> {
    let endpoint = Endpoint::bind(address(SERVER)).await?;
    let (mut store, mut request) = (Store::default(), [0; LONGEST]);
    loop {
        let (length, from) = endpoint.recv_from(ASKED, &mut request).await?;
        let answer = store.answer(&request[..length])?;
        endpoint.send_to(from, ANSWERED, answer.as_ref().map_or(&[], |value| value)).await?;
    }
}

async fn ask(client: u8) -> io::Result<()> {
    let endpoint = connect(client).await?;
    let (mut buffer, mut answer) = ([0; LONGEST], [0; LONGEST]);
    for request in simulation::requests(client) {
        endpoint.send_to(address(SERVER), ASKED, store::encode(request, &mut buffer)).await?;
        let (length, _) = endpoint.recv_from(ANSWERED, &mut answer).await?;
        store::check(request, &answer[..length])?;
    }
    Ok(())
}

/// An endpoint of a client, once the server has one too: what is sent before is lost.
async fn connect(client: u8) -> io::Result<Endpoint> {
    let endpoint = Endpoint::bind(address(client)).await?;
    sleep(LATENCY[1]).await;
    Ok(endpoint)
}
