//! Clients and servers over real links, whose sides die and come back.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use solum_link::session::{CallError, Client, Event, Interface, Response, Server};
use solum_link::{End, Layout, LinkHost, SendError, Side, Want};
use std::thread;
use std::time::{Duration, Instant};

fn interface() -> Interface {
    Interface { name: "Echo".to_owned(), version: 1, fingerprint: 42 }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(20))
}

fn host() -> LinkHost {
    LinkHost::create("test", Layout { ring_bytes: 4096, pool_bytes: 1 << 20 }).unwrap()
}

fn open(host: &LinkHost, side: Side, epoch: u32) -> End {
    host.attach(side, epoch);
    let descriptors = host.descriptors(side);
    let [memory, own, peer] = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell]
        .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
    End::open(memory, own, peer, side).unwrap()
}

fn client(host: &LinkHost, epoch: u32) -> Client<End> {
    Client::new(open(host, Side::Client, epoch), &interface())
}

fn server(host: &LinkHost, epoch: u32) -> Server<End> {
    Server::new(open(host, Side::Server, epoch), interface())
}

/// Answers with the request, or with what is in the pool, until the client ends.
fn echo(mut server: Server<End>) {
    loop {
        match server.next(soon()) {
            Some(Event::Request { call, payload, range: None, .. }) => server.reply(call, &payload).unwrap(),
            Some(Event::Request { call, range: Some(range), .. }) => {
                let mut bytes = vec![0; range.length as usize];
                server.pool().copy_out(range, &mut bytes).unwrap();
                bytes.reverse();
                server.pool().copy_in(range, &bytes).unwrap();
                server.reply(call, b"").unwrap();
            }
            Some(Event::ClientCame { .. }) => {}
            Some(Event::ClientGone { .. }) => return,
            None => panic!("the client neither called nor ended"),
        }
    }
}

#[test]
fn calls_are_answered_in_small_and_in_bulk() {
    let host = host();
    let server = server(&host, 1);
    let server = thread::spawn(|| echo(server));
    let mut client = client(&host, 1);
    for index in 0..500_u32 {
        let response = client.call(1, false, &index.to_le_bytes(), None, soon()).unwrap();
        assert_eq!(response.payload, index.to_le_bytes());
    }
    let range = client.allocate(300_000, soon()).unwrap().unwrap();
    client.pool().copy_in(range, &[7; 299_999]).unwrap();
    client.call(1, false, b"", Some(range), soon()).unwrap();
    let mut back = vec![1; 300_000];
    client.pool().copy_out(range, &mut back).unwrap();
    assert!(back[0] == 0 && back[1..].iter().all(|byte| *byte == 7));
    client.free(range);
    assert_eq!(client.allocate(1 << 20, soon()).unwrap().map(|range| range.offset), Some(0));
    drop(client);
    host.detach(Side::Client);
    server.join().unwrap();
}

#[test]
fn more_calls_than_the_ring_holds_overlap() {
    let host = host();
    let server = server(&host, 1);
    let server = thread::spawn(|| echo(server));
    let mut client = client(&host, 1);
    let payload = [3; 700];
    let tickets: Vec<_> = (0..200).map(|_| client.submit(1, false, &payload, None, soon())).collect();
    for ticket in tickets {
        assert_eq!(client.complete(ticket).unwrap().payload, payload);
    }
    drop(client);
    host.detach(Side::Client);
    server.join().unwrap();
}

#[test]
fn without_a_server_a_call_ends_at_its_deadline_and_what_is_too_long_at_once() {
    let host = host();
    let mut client = client(&host, 1);
    let near = Some(Instant::now() + Duration::from_millis(5));
    assert_eq!(client.call(1, true, b"", None, near), Err(CallError::Deadline));
    assert_eq!(client.connect(Some(Instant::now())), Err(CallError::Deadline));
    let server = server(&host, 1);
    let server = thread::spawn(|| echo(server));
    assert_eq!(client.call(1, true, &[0; 1000], None, soon()), Err(CallError::TooLong { max: 992 }));
    drop(client);
    host.detach(Side::Client);
    server.join().unwrap();
}

#[test]
fn a_call_to_a_server_that_ends_is_gone_or_done_by_the_next_one() {
    for retry in [false, true] {
        let host = host();
        let mut first = server(&host, 1);
        let mut client = client(&host, 1);
        let caller = thread::spawn(move || {
            let outcome = client.call(1, retry, b"words", None, soon());
            (client, outcome)
        });
        assert_eq!(first.next(soon()), Some(Event::ClientCame { epoch: 1 }));
        assert!(matches!(first.next(soon()), Some(Event::Request { .. })));
        drop(first);
        host.detach(Side::Server);
        let second = server(&host, 2);
        let second = thread::spawn(|| echo(second));
        let (mut client, outcome) = caller.join().unwrap();
        match outcome {
            Ok(Response { payload, server }) => {
                assert!(retry && payload == b"words");
                assert_eq!(server, 2, "it tells that the server was replaced");
            }
            Err(error) => assert!(!retry && error == CallError::Gone { epoch: 1 }),
        }
        assert_eq!(client.call(1, false, b"again", None, soon()).unwrap().payload, b"again");
        assert_eq!(client.session().map(|session| session.server), Some(2));
        drop(client);
        host.detach(Side::Client);
        second.join().unwrap();
    }
}

#[test]
fn a_client_that_comes_after_another_gets_no_answer_of_the_first() {
    let host = host();
    let mut server = server(&host, 1);
    let mut first = client(&host, 1);
    let _ = first.submit(1, false, b"first", None, None);
    assert_eq!(server.next(soon()), Some(Event::ClientCame { epoch: 1 }));
    first.turn();
    let Some(Event::Request { call: old, .. }) = server.next(soon()) else { panic!("no request") };
    drop(first);
    host.detach(Side::Client);
    let mut second = client(&host, 2);
    let ticket = second.submit(1, false, b"second", None, None);
    assert_eq!(server.next(soon()), Some(Event::ClientGone { epoch: 1 }));
    assert_eq!(server.next(soon()), Some(Event::ClientCame { epoch: 2 }));
    second.turn();
    server.reply(old, b"for the first").unwrap();
    let Some(Event::Request { call, payload, .. }) = server.next(soon()) else { panic!("no request") };
    assert_eq!(payload, b"second");
    server.reply(call, b"for the second").unwrap();
    assert_eq!(second.complete(ticket).unwrap().payload, b"for the second");
}

#[test]
fn a_client_of_another_interface_is_refused() {
    let host = host();
    let mut server = server(&host, 1);
    let mut client = Client::new(open(&host, Side::Client, 1), &Interface { fingerprint: 43, ..interface() });
    let ticket = client.submit(1, true, b"", None, None);
    assert_eq!(server.try_next(), None);
    let why = "client and server were built with different declarations of interface Echo, both of version 1";
    assert_eq!(client.complete(ticket), Err(CallError::Refused(why.to_owned())));
}

#[test]
fn a_client_that_leaves_its_answers_stops_being_read_and_harms_nobody() {
    let host = host();
    let mut server = server(&host, 1);
    let mut client = client(&host, 1);
    let _ = client.submit(1, false, &[1; 900], None, None);
    assert_eq!(server.next(soon()), Some(Event::ClientCame { epoch: 1 }));
    client.turn();
    let mut answered = 0;
    while server.want() == Want::Any {
        if let Some(Event::Request { call, payload, .. }) = server.try_next() {
            server.reply(call, &payload).unwrap();
            answered += 1;
        }
        // The client's own turn would take the answers; this only sends.
        let end = client.transport();
        let session = solum_link::Session { client: 1, server: 1 };
        let kind = solum_link::Kind::Request;
        let frame = solum_link::Frame {
            kind,
            call: 100 + answered,
            session,
            payload: &[1; 900],
            ..Default::default()
        };
        assert!(matches!(end.send(&frame), Ok(()) | Err(SendError::Full)));
    }
    assert!((4..=5).contains(&answered), "{answered}");
    assert_eq!(server.next(Some(Instant::now())), None);
    client.turn();
    assert!(matches!(server.next(soon()), Some(Event::Request { .. })));
}
