//! Two machines in one process: links, relays, and the network between them.

use solum_link::relay::{Identity, Relay, RemoteLink, Report};
use solum_link::session::{Client, Event, Interface, Server};
use solum_link::stream::{Connection, KeyPair, Known, PublicKey, Refusal};
use solum_link::{End, Layout, LinkHost, Side};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub const LINK: u32 = 3;
pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub fn interface() -> Interface {
    Interface { name: "Echo".to_owned(), version: 1, fingerprint: 42 }
}

pub fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(20))
}

pub fn open(host: &LinkHost, side: Side, epoch: u32) -> End {
    host.attach(side, epoch);
    let descriptors = host.descriptors(side);
    let [memory, own, peer] = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell]
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    End::open(memory, own, peer, side).unwrap()
}

/// A machine with one unit's end of one link.
pub struct Machine {
    pub host: LinkHost,
    keys: KeyPair,
    /// Whom its relay plays.
    plays: Side,
    relay_epoch: u32,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    reports: Receiver<Report>,
    turns: Arc<AtomicU32>,
}

impl Machine {
    pub fn new(plays: Side) -> Self {
        let layout = Layout { ring_bytes: 16 << 10, pool_bytes: 2 << 20 };
        let host = LinkHost::create("test", layout).unwrap();
        Self { host, keys: KeyPair::generate().unwrap(), plays, relay_epoch: 0, running: None }
    }

    /// The same machine, without any memory.
    pub fn reborn(&self) -> Self {
        let mut machine = Self::new(self.plays);
        machine.keys = self.keys.clone();
        machine
    }

    pub fn key(&self) -> PublicKey {
        self.keys.public
    }

    pub fn start(&mut self, life: u64, listener: Option<TcpListener>, peer: SocketAddr, key: PublicKey) {
        self.relay_epoch += 1;
        let end = open(&self.host, self.plays, self.relay_epoch);
        let identity = Identity { secret: self.keys.secret.clone(), life, address: LOCALHOST };
        let name = "front to store".to_owned();
        let link = RemoteLink { id: LINK, name, side: self.plays, peer, key, end };
        let mut relay = Relay::new(&identity, listener, vec![link]).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let (say, reports) = channel();
        let turns = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&turns);
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                relay.turn();
                count.fetch_add(1, Ordering::Relaxed);
                for report in relay.reports() {
                    let _ = say.send(report);
                }
                relay.wait(None, Some(Duration::from_millis(20))).unwrap();
            }
        });
        self.running = Some(Running { stop, thread, reports, turns });
    }

    /// The relay ends, as if it had been killed.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.store(true, Ordering::Relaxed);
            running.thread.join().unwrap();
            self.host.detach(self.plays);
        }
    }

    /// How often the relay looked for something to do.
    pub fn turns(&self) -> u32 {
        self.running.as_ref().unwrap().turns.load(Ordering::Relaxed)
    }

    /// Gives the relay so much time, in which it is to say nothing.
    pub fn quiet(&self, time: Duration) {
        assert!(self.running.as_ref().unwrap().reports.recv_timeout(time).is_err());
    }

    pub fn known_as(&self, life: u64, peer: PublicKey) -> Arc<Known> {
        Arc::new(Known { secret: self.keys.secret.clone(), life, peers: [(LINK, peer)].into() })
    }

    pub fn report(&self) -> Report {
        self.running.as_ref().unwrap().reports.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The network: what passes can be cut or held.
pub struct Wire {
    pub address: SocketAddr,
    pub server: SocketAddr,
    /// What the client's machine has said, from the beginning.
    said: Arc<Mutex<Vec<u8>>>,
    is_held: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_held = Arc::new(AtomicBool::new(false));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::new(Mutex::new(Vec::new()));
        let (held, known, record) = (Arc::clone(&is_held), Arc::clone(&streams), Arc::clone(&said));
        thread::spawn(move || {
            for one in listener.incoming().flatten() {
                let Ok(other) = TcpStream::connect(server) else { continue };
                known.lock().unwrap().extend([one.try_clone().unwrap(), other.try_clone().unwrap()]);
                for (from, to, record) in [(&one, &other, Some(&record)), (&other, &one, None)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (held, record) = (Arc::clone(&held), record.cloned());
                    thread::spawn(move || pass(from, to, &held, record.as_deref()));
                }
            }
        });
        Self { address, server, said, is_held, streams }
    }

    pub fn recorded(&self) -> Vec<u8> {
        self.said.lock().unwrap().clone()
    }

    pub fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on nothing passes and nobody is told.
    pub fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    /// What is sent from now on passes.
    pub fn release(&self) {
        self.is_held.store(false, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_held: &AtomicBool, record: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if let Some(record) = record {
            record.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
        if !is_held.load(Ordering::Relaxed) && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    if !is_held.load(Ordering::Relaxed) {
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// A client's machine and a server's, connected.
pub struct World {
    pub front: Machine,
    pub store: Machine,
    pub wire: Wire,
}

impl World {
    pub fn new() -> Self {
        let (mut front, mut store) = (Machine::new(Side::Server), Machine::new(Side::Client));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Wire::to(listener.local_addr().unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        store.start(100, Some(listener), nowhere, front.key());
        front.start(200, None, wire.address, store.key());
        Self { front, store, wire }
    }

    pub fn client(&self, epoch: u32) -> Client<End> {
        Client::new(open(&self.front.host, Side::Client, epoch), &interface())
    }

    /// Why the server's relay refused this connection. It may have told of others before.
    pub fn refusal_of(&self, connection: &TcpStream) -> Refusal {
        let address = connection.local_addr().unwrap();
        loop {
            match self.store.report() {
                Report::Refused { from, why, .. } if from == address => return why,
                _ => {}
            }
        }
    }

    pub fn server(&self, epoch: u32) -> Server<End> {
        Server::new(open(&self.store.host, Side::Server, epoch), interface())
    }
}

/// Answers with the request, or turns round what is in the pool, until it is told to stop; says who came and went.
pub fn echo(mut server: Server<End>, events: Sender<Event>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match server.next(Some(Instant::now() + Duration::from_millis(20))) {
            Some(Event::Request { call, payload, range: None, .. }) => server.reply(call, &payload).unwrap(),
            Some(Event::Request { call, range: Some(range), .. }) => {
                let mut bytes = vec![0; range.length as usize];
                server.pool().copy_out(range, &mut bytes).unwrap();
                bytes.reverse();
                server.pool().copy_in(range, &bytes).unwrap();
                server.reply(call, b"turned").unwrap();
            }
            Some(event) => {
                let _ = events.send(event);
            }
            None => {}
        }
    }
}

/// A server in a thread of its own.
pub struct Echo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pub events: Receiver<Event>,
}

impl Echo {
    pub fn start(server: Server<End>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (say, events) = channel();
        let is_over = Arc::clone(&stop);
        let thread = thread::spawn(move || echo(server, say, &is_over));
        Self { stop, thread: Some(thread), events }
    }

    pub fn event(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A machine that has its key and does what it likes.
pub struct Rogue {
    stream: TcpStream,
    connection: Connection,
}

impl Rogue {
    pub fn connect(address: SocketAddr, known: Arc<Known>) -> Self {
        let connection = Connection::initiate(known, LINK, Instant::now()).unwrap();
        let mut rogue = Self { stream: TcpStream::connect(address).unwrap(), connection };
        while rogue.connection.link().is_none() {
            rogue.exchange();
        }
        rogue.write();
        rogue
    }

    fn write(&mut self) {
        self.stream.write_all(self.connection.output()).unwrap();
        self.connection.wrote(usize::MAX);
    }

    fn exchange(&mut self) {
        self.write();
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer).unwrap();
        assert!(length > 0, "the connection ended");
        self.connection.received(&buffer[..length], Instant::now()).unwrap();
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.connection.send(bytes, Instant::now()).unwrap();
        self.write();
    }

    /// The next bytes of frames.
    pub fn receive(&mut self, length: usize) -> Vec<u8> {
        while self.connection.frames().len() < length {
            self.exchange();
        }
        let bytes = self.connection.frames()[..length].to_vec();
        self.connection.take(length, Instant::now()).unwrap();
        bytes
    }
}
