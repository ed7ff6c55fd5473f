//! The socket to the kernel's network configuration.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_raw_sys::netlink as nl;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::message::{Link, Message, Request, messages};

/// Larger than any message of the kernel: it fills its buffers up to a page, or up to what the reader offers
/// (`netlink_dump` in net/netlink/af_netlink.c, at most 32 KiB).
const RECEIVE: usize = 32 * 1024;

/// What is reported without being asked for. Every one is among the first 31 groups, for which the mask in the address is
/// enough.
const GROUPS: u32 = nl::RTMGRP_LINK
    | nl::RTMGRP_IPV6_IFADDR
    | nl::RTMGRP_IPV6_ROUTE
    | 1 << (nl::rtnetlink_groups::RTNLGRP_ND_USEROPT as u32 - 1);

/// Sends requests and waits for their answers.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub fn open() -> Result<Self, Errno> {
        Ok(Self { socket: socket(0, SocketFlags::CLOEXEC)?, sequence: 0 })
    }

    /// Sends a request and waits until the kernel did it.
    pub fn request(&mut self, request: Request) -> Result<(), Errno> {
        self.list(request, |_| ())
    }

    /// Sends a request and hands each message of the answer to `each`.
    pub fn list(&mut self, request: Request, mut each: impl FnMut(Message)) -> Result<(), Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.socket, &request.finish(self.sequence), SendFlags::empty(), &kernel)?;
        let mut buffer = vec![0; RECEIVE];
        loop {
            let Some(length) = receive(&self.socket, &mut buffer)? else { continue };
            for message in messages(&buffer[..length]) {
                match message {
                    Message::Done { sequence, errno } if sequence == self.sequence => {
                        return if errno == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(errno)) };
                    }
                    message => each(message),
                }
            }
        }
    }

    /// Every link there is.
    pub fn links(&mut self) -> Result<Vec<Link>, Errno> {
        let mut links = Vec::new();
        self.list(Request::all_links(), |message| {
            if let Message::Link(link) = message {
                links.push(link);
            }
        })?;
        Ok(links)
    }
}

/// Hears of changes.
#[derive(Debug)]
pub(super) struct Changes {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Changes {
    pub fn open() -> Result<Self, Errno> {
        let socket = socket(GROUPS, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        Ok(Self { socket, buffer: vec![0; RECEIVE] })
    }

    /// Messages that have arrived; none if there is nothing to read. `Errno::NOBUFS`: some were lost, ask for everything
    /// again (netlink(7)).
    pub fn read(&mut self) -> Result<impl Iterator<Item = Message> + '_, Errno> {
        let length = match receive(&self.socket, &mut self.buffer) {
            Ok(length) => length.unwrap_or(0),
            Err(Errno::AGAIN) => 0,
            Err(errno) => return Err(errno),
        };
        Ok(messages(&self.buffer[..length]))
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn socket(groups: u32, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// The length of one datagram of the kernel; `None` for one of another process.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
    loop {
        match rustix::net::recvfrom(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _, sender)) => {
                let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
                return Ok(sender.is_some_and(|sender| sender.pid() == 0).then_some(length));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
