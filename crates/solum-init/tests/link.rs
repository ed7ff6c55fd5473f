//! The role `link` as PID 1 starts it: a process for each of two machines, between which a unit calls another.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use solum_link::session::{CallError, Client, Event, Interface, Server};
use solum_link::stream::KeyPair;
use solum_link::{End, Layout, LinkHost, Side};
use solum_spec::control::encode;
use solum_spec::network::{LINK_PORT, Relay, RelayedLink, Secret};
use solum_spec::plan;

fn interface() -> Interface {
    Interface { name: "Echo".to_owned(), version: 1, fingerprint: 42 }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(20))
}

fn descriptors(host: &LinkHost, side: Side) -> [OwnedFd; 3] {
    let end = host.descriptors(side);
    [end.memory, end.own_bell, end.peer_bell].map(|descriptor| descriptor.try_clone_to_owned().unwrap())
}

fn open(host: &LinkHost, side: Side) -> End {
    host.attach(side, 1);
    let [memory, own, peer] = descriptors(host, side);
    End::open(memory, own, peer, side).unwrap()
}

struct Machine {
    host: LinkHost,
    here: plan::End,
    address: SocketAddrV4,
    keys: KeyPair,
    role: Option<(Child, UnixStream)>,
}

impl Machine {
    fn new(here: plan::End, number: u8) -> Self {
        // Of this process alone: others may run the same test.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = SocketAddrV4::new(Ipv4Addr::new(127, high, low, number), LINK_PORT);
        let host = LinkHost::create("test", Layout::default()).unwrap();
        Self { host, here, address, keys: KeyPair::generate().unwrap(), role: None }
    }

    fn absent(&self) -> Side {
        match self.here {
            plan::End::Client => Side::Server,
            plan::End::Server => Side::Client,
        }
    }

    /// As PID 1 does it.
    fn start(&mut self, epoch: u32, peer: &Self) {
        self.host.attach(self.absent(), epoch);
        let ends = descriptors(&self.host, self.absent());
        let numbers = ends.each_ref().map(AsRawFd::as_raw_fd);
        let link = RelayedLink {
            id: 7,
            name: "web.front to store.files".to_owned(),
            here: self.here,
            peer: peer.address,
            public: peer.keys.public.to_bytes(),
            descriptors: numbers,
        };
        let secret = Secret(self.keys.secret.to_bytes());
        let life = u64::from(self.address.ip().to_bits());
        let configuration = Relay { life, secret, listen: self.address, links: vec![link] };
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_solum-init"));
        command.arg0("solum:link").stdin(Stdio::from(OwnedFd::from(theirs)));
        // SAFETY: fcntl(2) takes integers, and neither allocates nor takes locks.
        unsafe {
            command.pre_exec(move || {
                for number in numbers {
                    rustix::io::fcntl_setfd(
                        std::os::fd::BorrowedFd::borrow_raw(number),
                        rustix::io::FdFlags::empty(),
                    )?;
                }
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        ours.write_all(&encode(&configuration)).unwrap();
        self.role = Some((child, ours));
    }

    fn kill(&mut self) {
        if let Some((mut child, _)) = self.role.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            self.host.detach(self.absent());
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn machines(first: u8) -> Option<(Machine, Machine)> {
    if !rustix::process::getuid().is_root() {
        println!("skipped: a role gives up the rights of root, which this test does not have");
        return None;
    }
    let (mut web, mut store) =
        (Machine::new(plan::End::Client, first), Machine::new(plan::End::Server, first + 1));
    web.start(1, &store);
    store.start(1, &web);
    Some((web, store))
}

/// Answers until the client is gone.
fn serve(mut server: Server<End>) -> Server<End> {
    loop {
        match server.next(soon()) {
            Some(Event::Request { call, payload, .. }) => server.reply(call, &payload).unwrap(),
            Some(Event::ClientGone { .. }) => return server,
            Some(Event::ClientCame { .. }) => {}
            None => panic!("the client neither called nor ended"),
        }
    }
}

#[test]
fn units_of_two_machines_talk_and_a_relay_that_is_killed_costs_one_call() {
    let Some((mut web, store)) = machines(1) else { return };
    let server = Server::new(open(&store.host, Side::Server), interface());
    let serving = std::thread::spawn(|| serve(server));
    let mut client = Client::new(open(&web.host, Side::Client), &interface());
    assert_eq!(client.call(1, false, b"words", None, soon()).unwrap().payload, b"words");
    web.kill();
    let mut server = serving.join().unwrap();
    let ticket = client.submit(1, false, b"lost", None, soon());
    assert_eq!(server.try_next(), None);
    web.start(2, &store);
    let serving = std::thread::spawn(|| serve(server));
    assert_eq!(client.complete(ticket).unwrap().payload, b"lost", "it had not been sent");
    assert!(!matches!(client.call(1, true, b"again", None, soon()), Err(CallError::Deadline)));
    drop(client);
    web.host.detach(Side::Client);
    serving.join().unwrap();
}

#[test]
fn the_role_has_no_rights() {
    let Some((web, store)) = machines(3) else { return };
    // Once it carries calls it has given them up.
    let server = Server::new(open(&store.host, Side::Server), interface());
    let serving = std::thread::spawn(|| serve(server));
    let mut client = Client::new(open(&web.host, Side::Client), &interface());
    client.call(1, false, b"words", None, soon()).unwrap();
    let pid = web.role.as_ref().unwrap().0.id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let has = |line: &str| status.lines().any(|known| known.split_whitespace().eq(line.split_whitespace()));
    for line in [
        "Uid: 65532 65532 65532 65532",
        "Gid: 65532 65532 65532 65532",
        "Groups:",
        "NoNewPrivs: 1",
        "CapEff: 0000000000000000",
        "CapPrm: 0000000000000000",
    ] {
        assert!(has(line), "{line} in {status}");
    }
    drop(client);
    web.host.detach(Side::Client);
    serving.join().unwrap();
}
