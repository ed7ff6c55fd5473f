//! Links between two machines: relays over loopback.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod world;

use rustix::net::{self, AddressFamily, SocketType};
use solum_link::relay::{Identity, Relay, RemoteLink, Report};
use solum_link::session::{CallError, Event, Interface, Server};
use solum_link::stream::{DEAD_AFTER, HEARTBEAT_EVERY, KeyPair, Refusal};
use solum_link::{End, Frame, Kind, Layout, LinkHost, Received, Session, Side, WaitOutcome, Want};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use world::{Echo, Machine, Rogue, World, interface, open, soon};

#[test]
fn calls_are_answered_in_small_and_in_bulk() {
    let world = World::new();
    let _echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    for index in 0..200_u32 {
        let response = client.call(1, false, &index.to_le_bytes(), None, soon()).unwrap();
        assert_eq!(response.payload, index.to_le_bytes());
    }
    // More than the pool has room for, unless it comes back.
    for length in [0, 1, 5000, 1 << 20, 1 << 20, 1 << 20, 1 << 20] {
        let range = client.allocate(length, soon()).unwrap().unwrap();
        let words: Vec<u8> = (0..length).map(|index| (index * 7) as u8).collect();
        client.pool().copy_in(range, &words).unwrap();
        assert_eq!(client.call(1, false, b"", Some(range), soon()).unwrap().payload, b"turned");
        let mut back = vec![0; length as usize];
        client.pool().copy_out(range, &mut back).unwrap();
        assert!(back.iter().eq(words.iter().rev()), "{length} bytes");
        client.free(range);
    }
}

#[test]
fn many_calls_overlap_and_keep_their_answers() {
    let world = World::new();
    let _echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    let payload = |index: u32| vec![index as u8; (index * 13 % 4000) as usize];
    let tickets: Vec<_> =
        (0..500).map(|index| client.submit(1, false, &payload(index), None, soon())).collect();
    for (index, ticket) in (0..).zip(tickets) {
        assert_eq!(client.complete(ticket).unwrap().payload, payload(index));
    }
}

#[test]
fn a_call_that_was_cut_off_is_gone_or_done_once_the_machines_have_met_again() {
    for retry in [false, true] {
        let world = World::new();
        let mut server = world.server(1);
        let mut client = world.client(1);
        let ticket = client.submit(1, retry, b"words", None, soon());
        while !matches!(server.try_next(), Some(Event::Request { .. })) {
            client.turn();
        }
        world.wire.cut();
        assert!(matches!(server.next(soon()), Some(Event::ClientGone { .. })));
        let _echo = Echo::start(server);
        match client.complete(ticket) {
            Ok(response) => assert!(retry && response.payload == b"words"),
            Err(error) => assert!(!retry && matches!(error, CallError::Gone { .. })),
        }
        assert_eq!(client.call(1, false, b"again", None, soon()).unwrap().payload, b"again");
    }
}

#[test]
fn a_machine_that_vanishes_without_a_word_is_gone_in_time_on_both_sides() {
    let world = World::new();
    let echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    client.call(1, false, b"", None, soon()).unwrap();
    assert!(matches!(echo.event(), Event::ClientCame { .. }));
    let begun = Instant::now();
    world.wire.hold();
    let outcome = client.call(1, false, b"lost", None, soon());
    assert!(matches!(outcome, Err(CallError::Gone { .. })), "{outcome:?}");
    assert!(matches!(echo.event(), Event::ClientGone { .. }));
    let noticed = begun.elapsed();
    let earliest = DEAD_AFTER - HEARTBEAT_EVERY - Duration::from_millis(100);
    assert!(noticed >= earliest && noticed < DEAD_AFTER + Duration::from_secs(2), "{noticed:?}");
    let why = Refusal::Silent;
    assert_eq!(world.front.report(), Report::Down { link: "front to store".to_owned(), why });
}

#[test]
fn a_unit_that_ends_is_gone_for_the_other_and_the_next_one_serves() {
    let world = World::new();
    let mut first = world.server(1);
    let mut client = world.client(1);
    let ticket = client.submit(1, false, b"words", None, soon());
    while !matches!(first.try_next(), Some(Event::Request { .. })) {
        client.turn();
    }
    drop(first);
    world.store.host.detach(Side::Server);
    let Err(CallError::Gone { epoch: gone }) = client.complete(ticket) else { panic!("it is not gone") };
    let echo = Echo::start(world.server(2));
    client.call(1, false, b"again", None, soon()).unwrap();
    assert_ne!(client.session().unwrap().server, gone, "a server that was started again is another one");
    assert!(matches!(echo.event(), Event::ClientCame { .. }));
    drop(client);
    world.front.host.detach(Side::Client);
    assert!(matches!(echo.event(), Event::ClientGone { .. }));
}

#[test]
fn a_late_answer_is_not_taken_for_one_to_the_client_of_a_machine_that_came_back() {
    let mut world = World::new();
    let mut server = world.server(1);
    let mut first = world.client(1);
    let _ = first.submit(1, false, b"first", None, None);
    let old = loop {
        first.turn();
        if let Some(Event::Request { call, .. }) = server.try_next() {
            break call;
        }
    };
    // The machine loses its power and begins anew, with the same epochs and numbers of calls; the other has not noticed.
    world.wire.hold();
    let front = world.front.reborn();
    drop((first, std::mem::replace(&mut world.front, front)));
    world.wire = world::Wire::to(world.wire.server);
    world.front.start(201, None, world.wire.address, world.store.key());
    let mut second = world.client(1);
    let ticket = second.submit(1, false, b"second", None, soon());
    let new = loop {
        second.turn();
        if let Some(Event::Request { call, payload, .. }) = server.try_next() {
            assert_eq!(payload, b"second");
            break call;
        }
    };
    assert_ne!(old, new);
    server.reply(old, b"for the first").unwrap();
    server.reply(new, b"for the second").unwrap();
    assert_eq!(second.complete(ticket).unwrap().payload, b"for the second");
}

#[test]
fn a_client_is_not_refused_for_ever() {
    let world = World::new();
    let other = Interface { fingerprint: 43, ..interface() };
    let mut wrong = Server::new(open(&world.store.host, Side::Server, 1), other);
    let mut client = world.client(1);
    let ticket = client.submit(1, false, b"words", None, soon());
    let mut ticket = Some(ticket);
    while let Some(waiting) = ticket.take() {
        assert_eq!(wrong.try_next(), None);
        match client.try_complete(waiting) {
            Ok(outcome) => assert!(matches!(outcome, Err(CallError::Refused(_))), "{outcome:?}"),
            Err(waiting) => ticket = Some(waiting),
        }
    }
    drop(wrong);
    world.store.host.detach(Side::Server);
    let _echo = Echo::start(world.server(2));
    // All that the client's end of the link knows is that the same relay is there.
    let end = soon();
    while let Err(error) = client.call(1, false, b"again", None, soon()) {
        assert!(matches!(error, CallError::Refused(_)), "{error:?}");
        assert!(Some(Instant::now()) < end, "it is refused for ever");
        std::thread::yield_now();
    }
}

#[test]
fn the_server_of_a_machine_that_came_back_is_another_one() {
    let mut world = World::new();
    let echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    client.call(1, false, b"", None, soon()).unwrap();
    let before = client.session().unwrap();
    // The machine loses its power and begins anew, with the same epochs; nobody has told the other.
    world.wire.hold();
    let store = world.store.reborn();
    drop((echo, std::mem::replace(&mut world.store, store)));
    let listener = TcpListener::bind(world.wire.server).unwrap();
    let front = world.front.key();
    world.store.start(202, Some(listener), world.wire.address, front);
    let _echo = Echo::start(world.server(1));
    world.wire.release();
    let outcome = client.call(1, true, b"again", None, soon());
    assert_eq!(outcome.unwrap().payload, b"again");
    assert_ne!(client.session().unwrap().server, before.server);
}

#[test]
fn a_server_that_reads_slowly_stops_the_client_far_away() {
    let world = World::new();
    let mut server = world.server(1);
    let mut client = world.client(1);
    let connected = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.connect(soon()));
        assert!(matches!(server.next(soon()), Some(Event::ClientCame { .. })));
        waiting.join().unwrap()
    });
    let session = connected.unwrap();
    let payload = [7; 3000];
    let kind = solum_link::Kind::Request;
    let mut sent = 0_u32;
    // Nothing more goes in once everything between the two is full, which is not much.
    loop {
        let frame =
            solum_link::Frame { kind, call: 1000 + sent, session, payload: &payload, ..Default::default() };
        match client.transport().send(&frame) {
            Ok(()) => sent += 1,
            Err(_) => {
                let patience = Some(Instant::now() + Duration::from_millis(300));
                let outcome = client.transport().wait_for(Want::Space, patience);
                if outcome == solum_link::WaitOutcome::Deadline {
                    break;
                }
            }
        }
    }
    let bytes = sent as usize * payload.len();
    assert!(bytes > 200 << 10 && bytes < 1 << 20, "{bytes} bytes are under way");
    for _ in 0..sent {
        let event = server.next(soon());
        assert!(matches!(&event, Some(Event::Request { payload, .. }) if payload.len() == 3000), "{event:?}");
    }
    assert!(server.next(Some(Instant::now() + Duration::from_millis(50))).is_none());
}

#[test]
fn strangers_are_refused_and_disturb_nobody() {
    let mut store = Machine::new(Side::Client);
    let mut front = Machine::new(Side::Server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    store.start(1, Some(listener), address, front.key());
    let mut stranger = TcpStream::connect(address).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let refused = |report: Report| match report {
        Report::Refused { why, .. } => why,
        other => panic!("{other}"),
    };
    assert_eq!(refused(store.report()), Refusal::NotALink);
    assert_eq!(stranger.read(&mut [0; 10]).unwrap_or(0), 0);
    let mut short = TcpStream::connect(address).unwrap();
    short.write_all(b"SLNK\0").unwrap();
    drop(short);
    assert_eq!(refused(store.report()), Refusal::Truncated);
    let mut impostor = Machine::new(Side::Server);
    impostor.start(2, None, address, store.key());
    assert_eq!(refused(store.report()), Refusal::Key);
    let why = Refusal::KeyRefused;
    assert_eq!(impostor.report(), Report::Down { link: "front to store".to_owned(), why });
    impostor.stop();
    // One that says nothing keeps nobody out.
    let _silent = TcpStream::connect(address).unwrap();
    front.start(3, None, address, store.key());
    let _echo = Echo::start(solum_link::session::Server::new(
        world::open(&store.host, Side::Server, 1),
        world::interface(),
    ));
    let end = world::open(&front.host, Side::Client, 1);
    let mut client = solum_link::session::Client::new(end, &world::interface());
    assert_eq!(client.call(1, true, b"words", None, soon()).unwrap().payload, b"words");
}

#[test]
fn a_recorded_handshake_does_not_take_the_place_of_a_connection() {
    let world = World::new();
    let echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    client.call(1, false, b"", None, soon()).unwrap();
    assert!(matches!(echo.event(), Event::ClientCame { .. }));
    let recorded = world.wire.recorded();
    let mut again = TcpStream::connect(world.wire.server).unwrap();
    again.write_all(&recorded).unwrap();
    let Report::Refused { why, .. } = world.store.report() else { panic!("it was not refused") };
    assert_eq!(why, Refusal::NotOfThisConnection);
    client.call(1, false, b"", None, soon()).unwrap();
    assert!(echo.events.try_recv().is_err(), "the client was never gone");
}

#[test]
fn a_relay_that_is_killed_is_replaced_and_nobody_waits_for_ever() {
    let mut world = World::new();
    let _echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    client.call(1, false, b"", None, soon()).unwrap();
    world.front.stop();
    assert!(!client.transport().peer_alive());
    world.front.start(200, None, world.wire.address, world.store.key());
    assert_eq!(client.call(1, true, b"again", None, soon()).unwrap().payload, b"again");
}

#[test]
fn relays_sleep_while_nothing_happens() {
    let world = World::new();
    let _echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    client.call(1, false, b"", None, soon()).unwrap();
    let before = world.front.turns() + world.store.turns();
    world.front.quiet(Duration::from_secs(1));
    let turns = world.front.turns() + world.store.turns() - before;
    // Each wakes every 20 ms to see whether the test is over.
    assert!(turns < 200, "{turns}");
}

#[test]
fn relays_sleep_while_a_server_reads_nothing() {
    let world = World::new();
    let mut server = world.server(1);
    let mut client = world.client(1);
    let tickets: Vec<_> = (0..400).map(|_| client.submit(1, false, &[7; 3000], None, soon())).collect();
    while !matches!(server.try_next(), Some(Event::ClientCame { .. })) {
        client.turn();
    }
    // Until everything between the two is full.
    for _ in 0..50 {
        client.turn();
        client.transport().wait_for(Want::Space, Some(Instant::now() + Duration::from_millis(20)));
    }
    let before = world.front.turns() + world.store.turns();
    world.front.quiet(Duration::from_secs(1));
    let turns = world.front.turns() + world.store.turns() - before;
    assert!(turns < 300, "{turns}");
    let _echo = Echo::start(server);
    for ticket in tickets {
        assert_eq!(client.complete(ticket).unwrap().payload.len(), 3000);
    }
}

/// The bytes of a frame, as `Header::encode` writes them.
fn frame(kind: u8, length: u32, session: [u32; 2], range: Option<[u32; 2]>) -> Vec<u8> {
    let word = u32::from(kind) | u32::from(range.is_some()) << 8;
    let [offset, bytes] = range.unwrap_or_default();
    let words = [length, word, 1, session[0], session[1], offset, bytes, 0x6B6E_694C];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_machine_that_sends_what_is_no_frame_loses_its_connection_and_nothing_else_happens() {
    let mut world = World::new();
    let _echo = Echo::start(world.server(1));
    let mut client = world.client(1);
    client.call(1, false, b"", None, soon()).unwrap();
    // It would take the connection back.
    world.front.stop();
    let known = world.front.known_as(1, world.store.key());
    for (bytes, expected) in [
        (vec![0xFF; 64], "what is no frame"),
        (frame(4, 0, [1, 1], Some([0, 1])), "bulk data with a frame that has none"),
        (frame(5, 1 << 30, [1, 1], None), "a frame that is longer than the link"),
        (frame(5, 0, [1, 1], Some([0, 1 << 30])), "a call with more data than the link has memory for"),
    ] {
        let mut rogue = Rogue::connect(world.wire.server, known.clone());
        rogue.send(&bytes);
        let why = loop {
            match world.store.report() {
                // The true machine and the rogue take turns.
                Report::Down { why: Refusal::Malformed(what), .. } => break what,
                Report::Down { .. } | Report::Up { .. } => {}
                report @ Report::Refused { .. } => panic!("{report}"),
            }
        };
        assert_eq!(why, expected);
    }
    world.front.start(200, None, world.wire.address, world.store.key());
    assert_eq!(client.call(1, true, b"words", None, soon()).unwrap().payload, b"words");
}

#[test]
fn a_request_of_a_session_that_is_not_known_is_answered_by_gone() {
    let mut world = World::new();
    let _server = world.server(1);
    world.front.stop();
    let mut rogue = Rogue::connect(world.wire.server, world.front.known_as(1, world.store.key()));
    // Its data is taken off the connection, and goes nowhere.
    rogue.send(&[frame(5, 3, [4, 9], Some([0, 100])), vec![1; 103]].concat());
    assert_eq!(rogue.receive(32)[12..20], frame(4, 0, [4, 9], None)[12..20]);
    rogue.send(&frame(5, 0, [5, 9], None));
    assert_eq!(rogue.receive(32)[12..20], frame(4, 0, [5, 9], None)[12..20]);
}

/// A greeting as `Interface::hello` writes it.
fn hello() -> Vec<u8> {
    let Interface { name, version, fingerprint } = interface();
    [&1_u16.to_le_bytes()[..], &version.to_le_bytes(), &fingerprint.to_le_bytes(), name.as_bytes()].concat()
}

#[test]
fn a_machine_that_begins_two_calls_with_one_number_has_to_begin_anew() {
    let mut world = World::new();
    let mut server = world.server(1);
    world.front.stop();
    let mut rogue = Rogue::connect(world.wire.server, world.front.known_as(1, world.store.key()));
    for _ in 0..2 {
        rogue.send(&[frame(1, hello().len() as u32, [4, 0], None), hello()].concat());
        assert!(matches!(server.next(soon()), Some(Event::ClientCame { .. })));
        assert_eq!(server.try_next(), None, "the welcome went out");
        let welcome = rogue.receive(32);
        assert_eq!(welcome[4..8], frame(2, 0, [4, 1], None)[4..8]);
        let request = [frame(5, 0, [4, 1], Some([0, 100])), vec![1; 100]].concat();
        rogue.send(&request);
        assert!(matches!(server.next(soon()), Some(Event::Request { .. })));
        rogue.send(&request);
        assert!(matches!(server.next(soon()), Some(Event::ClientGone { .. })));
        let (heard, gone) = (rogue.receive(32), frame(4, 0, [4, 1], None));
        assert_eq!((&heard[4..8], &heard[12..20]), (&gone[4..8], &gone[12..20]));
    }
}

#[test]
fn a_client_that_begins_two_calls_with_one_number_has_to_begin_anew() {
    let world = World::new();
    let mut server = world.server(1);
    let mut client = open(&world.front.host, Side::Client, 1);
    let greeting = hello();
    let session = Session { client: 1, server: 0 };
    let greeting = Frame { kind: Kind::Hello, call: 1, session, payload: &greeting, ..Frame::default() };
    // Until the machines are connected nobody hears it.
    while server.next(Some(Instant::now() + Duration::from_millis(20))).is_none() {
        client.send(&greeting).unwrap();
    }
    assert_eq!(server.try_next(), None, "the welcome went out");
    let welcome = hear(&mut client, Kind::Welcome);
    let request = Frame { kind: Kind::Request, call: 7, session: welcome.session, ..Frame::default() };
    client.send(&request).unwrap();
    assert!(matches!(server.next(soon()), Some(Event::Request { .. })));
    client.send(&request).unwrap();
    assert!(matches!(server.next(soon()), Some(Event::ClientGone { .. })));
    hear(&mut client, Kind::Gone);
}

/// The next frame of that kind.
fn hear(end: &mut End, kind: Kind) -> Received {
    loop {
        while let Some(received) = end.receive().unwrap() {
            if received.kind == kind {
                return received;
            }
        }
        assert_eq!(end.wait(soon()), WaitOutcome::Ready);
    }
}

/// Connects from another address of this machine.
fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    net::bind(&socket, &SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    net::connect(&socket, &to).unwrap();
    socket.into()
}

#[test]
fn only_the_addresses_of_machines_that_may_connect_are_heard() {
    let mut world = World::new();
    world.front.stop();
    let mut stranger = connect_from(2, world.wire.server);
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "it is not heard");
    assert_eq!(world.refusal_of(&stranger), Refusal::Stranger);
}

#[test]
fn a_machine_that_connects_again_and_again_loses_its_oldest_attempts() {
    let mut world = World::new();
    world.front.stop();
    let attempts: Vec<_> = (0..3).map(|_| connect_from(1, world.wire.server)).collect();
    assert_eq!(world.refusal_of(&attempts[0]), Refusal::Crowd);
}

#[test]
fn a_flood_of_connections_is_taken_in_turns() {
    let host = LinkHost::create("test", Layout::default()).unwrap();
    let (key, peer) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap().public);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let end = open(&host, Side::Client, 1);
    let from = SocketAddr::from(([127, 0, 0, 1], 1));
    let link = RemoteLink { id: 1, name: "a".to_owned(), side: Side::Client, peer: from, key: peer, end };
    let identity = Identity { secret: key.secret.clone(), life: 1, address: world::LOCALHOST };
    let mut relay = Relay::new(&identity, Some(listener), vec![link]).unwrap();
    let flood: Vec<TcpStream> = (0..100).map(|_| connect_from(2, address)).collect();
    let mut ended = 0;
    for turn in 1..=2 {
        relay.turn();
        ended = flood
            .iter()
            .filter(|stream| {
                stream.set_nonblocking(true).unwrap();
                matches!(stream.peek(&mut [0]), Ok(0))
            })
            .count();
        assert!(turn == 2 || (1..100).contains(&ended), "{ended}");
    }
    assert_eq!(ended, 100);
}
