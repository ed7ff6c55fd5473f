//! A relay: carries the links of one machine to others. It holds the end of each link whose unit is elsewhere, and plays
//! that unit to the one that is here.
//!
//! The machine of a link's client connects to the machine of its server, and again when that connection is lost. Meanwhile a
//! client's calls wait or are [`Gone`](crate::session::CallError::Gone), and a server's client is gone.

mod alias;
mod arrival;
mod bridge;
mod item;
mod redial;
mod report;
mod socket;

pub use redial::{FIRST_DELAY, LONGEST_DELAY};
pub use report::Report;

use crate::end::{Armed, End};
use crate::frame::Side;
use crate::stream::{Connection, Known, PublicKey, Refusal, SecretKey};
use bridge::Bridge;
use redial::Redial;
use report::{LinkReports, Strangers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket::Socket;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections whose peer has not proved who it is: so many for each link that an address may connect for, since a machine
/// that noticed a loss before we did tries again.
const GUESTS_A_LINK: usize = 2;
/// Connections taken in one turn, so that the links have theirs.
const ACCEPTS_A_TURN: usize = 64;

/// The machine that a relay works for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its key.
    pub secret: SecretKey,
    /// A number that this life of the machine has and no other.
    pub life: u64,
    /// Its address, from which it connects. Nobody listens to another one.
    pub address: IpAddr,
}

/// A link to another machine.
#[derive(Debug)]
pub struct RemoteLink {
    /// Its number, which is the same on both machines.
    pub id: u32,
    /// Its name, for people.
    pub name: String,
    /// Whom the relay plays: the server, if the client is here, and the other way round.
    pub side: Side,
    /// Where the relay of the other machine listens.
    pub peer: SocketAddr,
    /// What the other machine is known by.
    pub key: PublicKey,
    /// The end that belongs to the unit that is elsewhere.
    pub end: End,
}

struct Line {
    id: u32,
    name: String,
    peer: SocketAddr,
    bridge: Bridge<End>,
    socket: Option<Socket>,
    /// Only where the client is.
    redial: Option<Redial>,
    is_up: bool,
    reports: LinkReports,
}

/// The links of one machine to others.
pub struct Relay {
    /// For connections that are made.
    calling: Arc<Known>,
    /// For connections that come: a machine is not called by the one that it calls itself.
    called: Arc<Known>,
    listener: Option<TcpListener>,
    /// From where it connects.
    address: IpAddr,
    lines: Vec<Line>,
    guests: Vec<(Socket, SocketAddr)>,
    strangers: Strangers,
    reports: Vec<Report>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Relay").field("links", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay that is not connected yet. It needs a listener if the server of one of its links is here.
    ///
    /// # Errors
    ///
    /// If the listener cannot be used without waiting.
    pub fn new(
        identity: &Identity,
        listener: Option<TcpListener>,
        links: Vec<RemoteLink>,
    ) -> io::Result<Self> {
        if let Some(listener) = &listener {
            listener.set_nonblocking(true)?;
        }
        let known = |side: Side| {
            let of_side = links.iter().filter(|link| link.side == side);
            let peers = of_side.map(|link| (link.id, link.key)).collect();
            Arc::new(Known { secret: identity.secret.clone(), life: identity.life, peers })
        };
        let now = Instant::now();
        let (calling, called) = (known(Side::Server), known(Side::Client));
        let lines = links.into_iter().map(|link| Line::new(link, now)).collect();
        let (guests, reports, strangers) = (Vec::new(), Vec::new(), Strangers::new(now));
        let address = identity.address;
        Ok(Self { calling, called, listener, address, lines, guests, strangers, reports })
    }

    /// Does all that can be done without waiting.
    pub fn turn(&mut self) {
        let now = Instant::now();
        self.welcome_guests(now);
        for line in &mut self.lines {
            if let Err(why) = line.turn(self.address, &self.calling, now, &mut self.reports) {
                line.down(&why, now, &mut self.reports);
            }
        }
    }

    /// Waits until there is something to do, or that descriptor can be read; not longer than that.
    ///
    /// # Errors
    ///
    /// If the kernel cannot wait.
    pub fn wait(&mut self, other: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> io::Result<()> {
        let armed: Vec<Armed> = self.lines.iter_mut().map(Line::arm).collect();
        let timeout = if armed.contains(&Armed::Ready) { Some(Duration::ZERO) } else { self.patience(limit) };
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        let mut polled = self.poll_descriptors();
        polled.extend(other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN)));
        let outcome = poll(&mut polled, timeout.as_ref());
        for line in &mut self.lines {
            line.bridge.end().disarm();
        }
        match outcome {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What happened since the last time.
    pub fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    fn patience(&self, limit: Option<Duration>) -> Option<Duration> {
        let sockets = self.lines.iter().filter_map(|line| line.socket.as_ref());
        let sockets = sockets.chain(self.guests.iter().map(|(socket, _)| socket));
        let dead = sockets.map(|socket| socket.connection.deadline());
        let redial = self.lines.iter().filter_map(|line| line.redial.as_ref()?.at());
        let next = dead.chain(redial).min();
        let next = next.map(|at| at.saturating_duration_since(Instant::now()));
        next.into_iter().chain(limit).min()
    }

    fn poll_descriptors(&self) -> Vec<PollFd<'_>> {
        let readable = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let sockets = self.lines.iter().filter_map(|line| line.socket.as_ref());
        let sockets = sockets.chain(self.guests.iter().map(|(socket, _)| socket)).map(|socket| {
            let write = if socket.wants_to_write() { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::from_borrowed_fd(socket.descriptor(), PollFlags::IN | write)
        });
        let bells = self.lines.iter().map(|line| readable(line.bridge.bell()));
        sockets.chain(bells).chain(self.listener.iter().map(|listener| readable(listener.as_fd()))).collect()
    }

    /// Takes who connected, and hears them until they have proved who they are.
    fn welcome_guests(&mut self, now: Instant) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(Ok((stream, from))) = self.listener.as_ref().map(TcpListener::accept) else { break };
            let of_address = |other: &SocketAddr| other.ip().to_canonical() == from.ip().to_canonical();
            let calling = self.lines.iter().filter(|line| line.redial.is_none() && of_address(&line.peer));
            let places = calling.count() * GUESTS_A_LINK;
            if places == 0 {
                self.reports.extend(self.strangers.refused(from, Refusal::Stranger, now));
                continue;
            }
            let mut guests = self.guests.iter().enumerate().filter(|(_, (_, other))| of_address(other));
            let oldest = guests.next().map(|(index, _)| index);
            if let Some(oldest) = oldest.filter(|_| guests.count() + 1 >= places) {
                // The newest attempt is the one that the machine still knows of.
                let (_, oldest) = self.guests.remove(oldest);
                self.reports.extend(self.strangers.refused(oldest, Refusal::Crowd, now));
            }
            let connection = Connection::accept(Arc::clone(&self.called), now);
            self.guests.extend(Socket::accepted(stream, connection).ok().map(|socket| (socket, from)));
        }
        for (mut guest, from) in std::mem::take(&mut self.guests) {
            let outcome = guest.read(now);
            let written = guest.write();
            if let Err(why) = outcome.and(written) {
                self.reports.extend(self.strangers.refused(from, why, now));
                continue;
            }
            match guest.connection.link() {
                None => self.guests.push((guest, from)),
                Some(link) => {
                    if let Some(line) = self.lines.iter_mut().find(|line| line.id == link) {
                        line.connected(guest, now, &mut self.reports);
                    }
                }
            }
        }
    }
}

impl Line {
    fn new(link: RemoteLink, now: Instant) -> Self {
        let RemoteLink { id, name, side, peer, key: _, end } = link;
        Self {
            id,
            name,
            peer,
            bridge: Bridge::new(end, side),
            socket: None,
            redial: (side == Side::Server).then(|| Redial::new(now)),
            is_up: false,
            reports: LinkReports::new(now),
        }
    }

    fn turn(
        &mut self,
        from: IpAddr,
        known: &Arc<Known>,
        now: Instant,
        reports: &mut Vec<Report>,
    ) -> Result<(), Refusal> {
        if let Some(redial) = &mut self.redial
            && redial.at().is_some_and(|at| at <= now)
        {
            redial.trying();
            let connection = Connection::initiate(Arc::clone(known), self.id, now)?;
            let socket = Socket::connect(from, self.peer, connection);
            self.socket = Some(socket.map_err(|error| Refusal::of_system(&error))?);
        }
        let Some(socket) = &mut self.socket else {
            return self.bridge.turn(None, now);
        };
        let heard = socket.read(now);
        if socket.connection.link().is_none() {
            heard.and_then(|()| socket.write())?;
            return self.bridge.turn(None, now);
        }
        if !self.is_up {
            self.is_up = true;
            self.redial.iter_mut().for_each(|redial| redial.up(now));
            reports.extend(self.reports.up(&self.name));
        }
        loop {
            self.bridge.turn(Some(&mut socket.connection), now)?;
            socket.write()?;
            if !self.bridge.is_due(&socket.connection) {
                // What came before the end was heard.
                return heard;
            }
        }
    }

    /// Somebody has connected and proved to be the other machine. It would not, if its last connection were alive.
    fn connected(&mut self, socket: Socket, now: Instant, reports: &mut Vec<Report>) {
        if self.socket.is_some() {
            self.down(&Refusal::Replaced, now, reports);
        }
        self.socket = Some(socket);
    }

    fn down(&mut self, why: &Refusal, now: Instant, reports: &mut Vec<Report>) {
        self.socket = None;
        self.is_up = false;
        self.bridge.down();
        self.redial.iter_mut().for_each(|redial| redial.failed(now));
        reports.extend(self.reports.down(&self.name, why, now));
    }

    fn arm(&mut self) -> Armed {
        let connection = self.socket.as_ref().map(|socket| &socket.connection);
        let connection = connection.filter(|connection| connection.link().is_some());
        let want = self.bridge.want(connection);
        self.bridge.end().arm_for(want)
    }
}
