//! TCP sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::net::{SocketFlags, accept_with};

use super::time::is_ready;
use crate::clock::{Source, Waker};
use crate::error::Result;
use crate::tcp::{Converse, Listen};

pub struct Listener(TcpListener);

impl Listener {
    /// The socket does not block already: its flags are the supervisor's business.
    pub fn new(socket: OwnedFd) -> Self {
        Self(TcpListener::from(socket))
    }
}

impl Listen for Listener {
    fn accept(&mut self) -> Result<Option<Box<dyn Converse>>> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match accept_with(&self.0, flags).map_err(io::Error::from) {
                Ok(stream) => {
                    let stream = TcpStream::from(stream);
                    // Answers are written whole; to wait for more would only delay them. A stream works without it too.
                    let _ = stream.set_nodelay(true);
                    let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
                    return Ok(Some(Box::new(Connection { stream, peer })));
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
        is_ready(self.0.as_fd(), PollFlags::IN)
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
        is_ready(self.stream.as_fd(), PollFlags::OUT)
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}

impl Source for Connection {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        waker.readable(self.stream.as_fd());
        is_ready(self.stream.as_fd(), PollFlags::IN)
    }
}
