//! The asking side: one order, and its answers.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use solum_spec::control::{self, Decoder};
use solum_spec::operation::{Answer, Order, VERSION, What};

/// Sends an order to a running system.
///
/// # Errors
///
/// If the system does not listen any more.
pub fn ask(mut stream: UnixStream, what: What) -> io::Result<Answers> {
    stream.write_all(&control::encode(&Order { version: VERSION, what }))?;
    Ok(Answers { stream, decoder: Decoder::new() })
}

/// The answers to an order, as they come.
pub struct Answers {
    stream: UnixStream,
    decoder: Decoder,
}

impl Iterator for Answers {
    type Item = io::Result<Answer>;

    /// Waits for the next answer; nothing if the system has said everything, or is gone.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.decoder.decode() {
                Ok(Some(answer)) => return Some(Ok(answer)),
                Ok(None) => {}
                Err(error) => return Some(Err(io::Error::other(error))),
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.decoder.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
