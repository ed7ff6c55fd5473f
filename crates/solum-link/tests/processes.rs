//! Two processes, one of which is killed. This process is the supervisor and the other end; the child is this very test
//! program, started again with the name of one test.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use solum_link::session::{CallError, Client, Event, Interface, Server};
use solum_link::{End, Layout, LinkHost, Side};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

const ROLE: &str = "SOLUM_LINK_TEST_ROLE";
const DESCRIPTORS: &str = "SOLUM_LINK_TEST_DESCRIPTORS";

const ECHO: u16 = 1;
/// Never answered.
const HANG: u16 = 2;

fn interface() -> Interface {
    Interface { name: "Echo".to_owned(), version: 1, fingerprint: 42 }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

fn open(host: &LinkHost, side: Side, epoch: u32) -> End {
    host.attach(side, epoch);
    let descriptors = host.descriptors(side);
    let [memory, own, peer] = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell]
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    End::open(memory, own, peer, side).unwrap()
}

/// Another process at one end of the link.
struct Unit {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Unit {
    fn start(host: &LinkHost, side: Side, epoch: u32, role: &str) -> Self {
        host.attach(side, epoch);
        let descriptors = host.descriptors(side);
        // A duplicate without close-on-exec is inherited.
        let inherited = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell]
            .map(|descriptor| rustix::io::dup(descriptor).unwrap());
        let numbers = inherited.iter().map(|descriptor| descriptor.as_raw_fd().to_string());
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_other_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(DESCRIPTORS, numbers.collect::<Vec<_>>().join(","))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "it ended before it said {word}");
        }
    }

    /// `kill -9`, and then what a supervisor does.
    fn kill(mut self, host: &LinkHost, side: Side) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        host.detach(side);
    }
}

fn say(word: &str) {
    use io::Write;
    writeln!(io::stdout().lock(), "{word}").unwrap();
}

/// Does nothing, unless a test started it as the other process.
#[test]
fn the_other_process() {
    let Ok(role) = env::var(ROLE) else { return };
    let numbers = env::var(DESCRIPTORS).unwrap();
    let mut descriptors = numbers.split(',').map(|number| {
        let number: RawFd = number.parse().unwrap();
        // SAFETY: inherited for this purpose, and taken only here.
        unsafe { OwnedFd::from_raw_fd(number) }
    });
    let [memory, own, peer] = [(); 3].map(|()| descriptors.next().unwrap());
    match role.as_str() {
        "server" => serve(Server::new(End::open(memory, own, peer, Side::Server).unwrap(), interface())),
        "client" => flood(Client::new(End::open(memory, own, peer, Side::Client).unwrap(), &interface())),
        other => panic!("{other}"),
    }
}

fn serve(mut server: Server<End>) {
    loop {
        if let Some(Event::Request { call, method, payload, .. }) = server.next(None) {
            match method {
                ECHO => server.reply(call, &payload).unwrap(),
                _ => say("hanging"),
            }
        }
    }
}

fn flood(mut client: Client<End>) {
    client.connect(None).unwrap();
    say("flooding");
    loop {
        let tickets: Vec<_> = (0..20).map(|_| client.submit(ECHO, false, &[5; 400], None, None)).collect();
        for ticket in tickets {
            assert_eq!(client.complete(ticket).unwrap().payload, [5; 400]);
        }
    }
}

#[test]
fn who_waits_for_a_server_that_is_killed_is_told_at_once() {
    for spin in [Duration::ZERO, Duration::from_micros(50)] {
        let host = LinkHost::create("processes", Layout::default()).unwrap();
        let mut end = open(&host, Side::Client, 1);
        end.spin_at_most(spin);
        let mut client = Client::new(end, &interface());
        let mut server = Unit::start(&host, Side::Server, 1, "server");
        assert_eq!(client.call(ECHO, false, b"words", None, soon()).unwrap().payload, b"words");
        let caller = thread::spawn(move || {
            let outcome = client.call(HANG, false, b"", None, soon());
            (client, outcome)
        });
        server.wait_for("hanging");
        server.kill(&host, Side::Server);
        let (mut client, outcome) = caller.join().unwrap();
        assert_eq!(outcome, Err(CallError::Gone { epoch: 1 }));
        let server = Unit::start(&host, Side::Server, 2, "server");
        assert_eq!(client.call(ECHO, false, b"again", None, soon()).unwrap().payload, b"again");
        server.kill(&host, Side::Server);
    }
}

#[test]
fn a_server_outlives_clients_that_are_killed_in_the_middle_of_anything() {
    let host = LinkHost::create("processes", Layout { ring_bytes: 4096, pool_bytes: 0 }).unwrap();
    let mut server = Server::new(open(&host, Side::Server, 1), interface());
    for epoch in 1..=8 {
        let mut client = Unit::start(&host, Side::Client, epoch, "client");
        assert_eq!(server.next(soon()), Some(Event::ClientCame { epoch }));
        let mut answered = 0;
        while answered < 500 + epoch * 37 {
            let Some(Event::Request { call, payload, .. }) = server.next(soon()) else {
                panic!("no request")
            };
            server.reply(call, &payload).unwrap();
            answered += 1;
        }
        client.wait_for("flooding");
        client.kill(&host, Side::Client);
        loop {
            match server.next(soon()) {
                Some(Event::Request { call, payload, .. }) => server.reply(call, &payload).unwrap(),
                event => break assert_eq!(event, Some(Event::ClientGone { epoch })),
            }
        }
    }
}
