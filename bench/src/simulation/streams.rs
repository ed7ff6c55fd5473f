//! The work for simulators whose programs send each other bytes with tokio's traits.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::simulation::{self, ROUND_TRIPS, SIZE};
use super::store::{self, LONGEST, Store};

/// Sends messages, and waits for each to come back.
pub async fn ping(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let (mut message, mut back) = ([0; SIZE], [0; SIZE]);
    for round in 0..ROUND_TRIPS {
        message[..8].copy_from_slice(&round.to_le_bytes());
        stream.write_all(&message).await?;
        stream.flush().await?;
        stream.read_exact(&mut back).await?;
        assert_eq!(message, back, "what comes back is what was sent");
    }
    Ok(())
}

/// Sends every message back, until there are no more.
pub async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut message = [0; SIZE];
    while !is_end(stream.read_exact(&mut message).await)? {
        stream.write_all(&message).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Asks the store all that this client has to ask.
pub async fn ask(client: u8, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let (mut stream, mut buffer) = (BufReader::new(stream), [0; LONGEST]);
    let (mut frame, mut answer) = (Vec::new(), Vec::new());
    for request in simulation::requests(client) {
        send(&mut stream, store::encode(request, &mut buffer), &mut frame).await?;
        receive(&mut stream, &mut answer).await?;
        store::check(request, &answer)?;
    }
    Ok(())
}

/// Answers one client, until it asks no more.
pub async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, store: Arc<Mutex<Store>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut frame, mut request) = (Vec::new(), Vec::new());
    while !is_end(receive(&mut stream, &mut request).await)? {
        let answer = store.lock().unwrap_or_else(PoisonError::into_inner).answer(&request)?;
        send(&mut stream, answer.as_ref().map_or(&[], |value| value), &mut frame).await?;
    }
    Ok(())
}

/// Sends a message after its length, at once.
async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    stream.write_all(frame).await?;
    stream.flush().await
}

/// Receives a message of the length that precedes it.
async fn receive(stream: &mut (impl AsyncRead + Unpin), message: &mut Vec<u8>) -> io::Result<()> {
    let length = stream.read_u32().await?;
    message.resize(length as usize, 0);
    stream.read_exact(message).await?;
    Ok(())
}

/// Whether the other side has nothing more to say.
fn is_end<T>(received: io::Result<T>) -> io::Result<bool> {
    match received {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
        Err(error) => Err(error),
    }
}
