//! TCP sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use crate::clock::{Source, Waker};
use crate::error::Result;
use crate::tcp::{Converse, Listen};

pub struct Listener(TcpListener);

impl Listener {
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }
}

impl Listen for Listener {
    fn accept(&mut self) -> Result<Option<Box<dyn Converse>>> {
        loop {
            match self.0.accept() {
                Ok((stream, address)) => {
                    stream.set_nonblocking(true)?;
                    // Answers are written whole; to wait for more would only delay them. A stream works without it too.
                    let _ = stream.set_nodelay(true);
                    return Ok(Some(Box::new(Connection { stream, peer: address.to_string() })));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // The client went away before it was its turn (accept(2)).
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Source for Listener {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        waker.readable(self.0.as_fd());
        false
    }
}

struct Connection {
    stream: TcpStream,
    peer: String,
}

/// Nothing yet is no error.
fn not_yet(outcome: io::Result<usize>) -> Result<Option<usize>> {
    match outcome {
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Converse for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        not_yet(self.stream.read(buffer))
    }

    fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        not_yet(self.stream.write(data))
    }

    fn arm_write<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        waker.writable(self.stream.as_fd());
        false
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}

impl Source for Connection {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        waker.readable(self.stream.as_fd());
        false
    }
}
