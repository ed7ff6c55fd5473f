//! A connection and its socket.

use crate::stream::{Connection, Refusal};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// Reads in one turn, so that the other links have theirs.
const READS_A_TURN: usize = 8;
const READ_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    pub(super) connection: Connection,
    is_connecting: bool,
}

impl Socket {
    /// Begins to connect, from an address of this machine.
    pub(super) fn connect(from: IpAddr, address: SocketAddr, connection: Connection) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        // The other machine listens to no other address, and the kernel might choose one.
        net::bind(&socket, &SocketAddr::new(from, 0))?;
        match net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { stream: TcpStream::from(socket), connection, is_connecting: true })
    }

    /// Somebody connected.
    pub(super) fn accepted(stream: TcpStream, connection: Connection) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, connection, is_connecting: false })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn wants_to_write(&self) -> bool {
        self.is_connecting || !self.connection.output().is_empty()
    }

    /// Takes what came, and only then looks at the clock: who was stopped for a while has not heard what was said meanwhile.
    pub(super) fn read(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.is_connecting {
            return self.connection.time(now);
        }
        let mut buffer = vec![0; READ_BYTES];
        for _ in 0..READS_A_TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(self.connection.closed()),
                Ok(length) => self.connection.received(&buffer[..length], now)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Refusal::of_system(&error)),
            }
        }
        self.connection.time(now)
    }

    /// Writes what the kernel takes.
    pub(super) fn write(&mut self) -> Result<(), Refusal> {
        if self.is_connecting {
            match sockopt::socket_error(&self.stream) {
                Ok(Ok(())) if net::getpeername(&self.stream).is_ok_and(|peer| peer.is_some()) => {
                    self.is_connecting = false;
                }
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) | Err(error) => return Err(Refusal::of_system(&error.into())),
            }
        }
        while !self.connection.output().is_empty() {
            match self.stream.write(self.connection.output()) {
                Ok(length) => self.connection.wrote(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Refusal::of_system(&error)),
            }
        }
        Ok(())
    }
}
