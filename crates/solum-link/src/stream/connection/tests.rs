#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::stream::KeyPair;
use std::time::Duration;

const LINK: u32 = 7;

/// Two machines that know each other for one link.
fn machines() -> (Arc<Known>, Arc<Known>) {
    let [one, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let knows = |own: &KeyPair, peer: &KeyPair, life| {
        Arc::new(Known { secret: own.secret.clone(), life, peers: BTreeMap::from([(LINK, peer.public)]) })
    };
    (knows(&one, &other, 11), knows(&other, &one, 22))
}

fn flow(from: &mut Connection, to: &mut Connection, now: Instant) -> Result<(), Refusal> {
    let bytes = from.output().to_vec();
    from.wrote(bytes.len());
    to.received(&bytes, now)
}

/// Two ends of an open connection.
fn open(now: Instant) -> (Connection, Connection) {
    let (one, other) = machines();
    let mut client = Connection::initiate(one, LINK, now).unwrap();
    let mut server = Connection::accept(other, now);
    flow(&mut client, &mut server, now).unwrap();
    assert_eq!((server.link(), server.room()), (None, 0), "a first message alone proves nothing");
    flow(&mut server, &mut client, now).unwrap();
    flow(&mut client, &mut server, now).unwrap();
    (client, server)
}

#[test]
fn both_ends_open_and_carry_bytes_whatever_the_pieces() {
    let now = Instant::now();
    let (mut client, mut server) = open(now);
    assert_eq!((client.link(), server.link()), (Some(LINK), Some(LINK)));
    assert_eq!((client.peer_life(), server.peer_life()), (22, 11));
    let words: Vec<u8> = (0..100_000_u32).map(|index| index as u8).collect();
    client.send(&words, now).unwrap();
    let sealed = client.output().to_vec();
    assert!(sealed.windows(16).all(|window| window != &words[..16]), "it can be read");
    for piece in sealed.chunks(777) {
        server.received(piece, now).unwrap();
    }
    assert_eq!(server.frames(), words);
}

#[test]
fn the_suite_is_the_one_that_other_implementations_speak() {
    let machine = |secret: u8, peer: u8| {
        let (secret, peer) =
            (SecretKey::from_bytes([secret; 32]), SecretKey::from_bytes([peer; 32]).public());
        (secret.to_bytes(), peer.to_bytes())
    };
    let suite: snow::params::NoiseParams = "Noise_KK_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
    let build = |(secret, peer): ([u8; 32], [u8; 32]), ephemeral: &[u8]| {
        let primitives = Box::new(crate::stream::primitives::Primitives);
        let builder = snow::Builder::with_resolver(suite.clone(), primitives)
            .local_private_key(&secret)
            .and_then(|builder| builder.remote_public_key(&peer))
            .and_then(|builder| builder.prologue(b"prologue"))
            .unwrap()
            .fixed_ephemeral_key_for_testing_only(ephemeral);
        if ephemeral[0] == 3 { builder.build_initiator() } else { builder.build_responder() }.unwrap()
    };
    let mut client = build(machine(1, 2), &[3; 32]);
    let mut server = build(machine(2, 1), &[4; 32]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (mut message, mut payload) = ([0; 200], [0; 200]);
    // What snow says with primitives of its own, of another generation.
    let length = client.write_message(b"one", &mut message).unwrap();
    assert_eq!(
        hex(&message[..length]),
        "5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef2234adc35fba050c7ab84d2a8ccbe85a2d466066"
    );
    server.read_message(&message[..length], &mut payload).unwrap();
    let length = server.write_message(b"two", &mut message).unwrap();
    assert_eq!(
        hex(&message[..length]),
        "ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b2b9afd4bbd3a0fc5068e58816b32e1b6d92e9f"
    );
    client.read_message(&message[..length], &mut payload).unwrap();
    let length = client.into_transport_mode().unwrap().write_message(b"three", &mut message).unwrap();
    assert_eq!(hex(&message[..length]), "4a3bc6fe774cdfb0d0d7b0cded971c1bfd54a0496d");
}

#[test]
fn a_peer_without_the_key_is_refused_and_told_so() {
    let now = Instant::now();
    let (one, other) = machines();
    let stranger = Arc::new(Known { secret: KeyPair::generate().unwrap().secret, ..(*one).clone() });
    let mut client = Connection::initiate(stranger, LINK, now).unwrap();
    let mut server = Connection::accept(other, now);
    assert_eq!(flow(&mut client, &mut server, now), Err(Refusal::Key));
    assert_eq!(flow(&mut server, &mut client, now), Err(Refusal::KeyRefused));
    assert_eq!(server.link(), None);
}

#[test]
fn a_server_without_the_key_is_refused() {
    let now = Instant::now();
    let (one, other) = machines();
    let mut client = Connection::initiate(Arc::clone(&one), LINK, now).unwrap();
    // It has seen the greeting and lets it pass, but cannot answer.
    let stranger = Arc::new(Known { secret: KeyPair::generate().unwrap().secret, ..(*other).clone() });
    let mut impostor = Connection::accept(stranger, now);
    assert_eq!(flow(&mut client, &mut impostor, now), Err(Refusal::Key));
    let forged = [&handshake::answer(Verdict::Welcome)[..], &[0, MESSAGE as u8], &[9; MESSAGE]].concat();
    assert_eq!(client.received(&forged, now), Err(Refusal::Key));
}

#[test]
fn another_version_is_refused_by_number_on_both_sides() {
    let now = Instant::now();
    let (one, other) = machines();
    let mut client = Connection::initiate(one, LINK, now).unwrap();
    let mut server = Connection::accept(other, now);
    let mut greeting = client.output().to_vec();
    greeting[5] = 9;
    assert_eq!(server.received(&greeting, now), Err(Refusal::Version(9)));
    let mut answer = server.output().to_vec();
    answer[5] = 9;
    assert_eq!(client.received(&answer, now), Err(Refusal::Version(9)));
    let said = "it speaks version 9 of the stream protocol, we speak 1";
    assert_eq!(Refusal::Version(9).to_string(), said);
}

#[test]
fn a_link_that_is_not_known_is_refused_and_told_so() {
    let now = Instant::now();
    let (one, other) = machines();
    let peers = BTreeMap::from([(8, other.secret.public())]);
    let mut client = Connection::initiate(Arc::new(Known { peers, ..(*one).clone() }), 8, now).unwrap();
    let mut server = Connection::accept(other, now);
    assert_eq!(flow(&mut client, &mut server, now), Err(Refusal::UnknownLink(8)));
    assert_eq!(flow(&mut server, &mut client, now), Err(Refusal::LinkRefused));
}

#[test]
fn a_handshake_for_one_link_opens_no_other() {
    let now = Instant::now();
    let (one, other) = machines();
    let mut client = Connection::initiate(Arc::clone(&one), LINK, now).unwrap();
    let peers = BTreeMap::from([(LINK, one.secret.public()), (8, one.secret.public())]);
    let mut server = Connection::accept(Arc::new(Known { peers, ..(*other).clone() }), now);
    let mut greeting = client.output().to_vec();
    greeting[9] = 8;
    client.wrote(greeting.len());
    assert_eq!(server.received(&greeting, now), Err(Refusal::Key));
}

#[test]
fn a_handshake_that_was_recorded_opens_nothing_when_it_is_played_again() {
    let now = Instant::now();
    let (one, other) = machines();
    let mut client = Connection::initiate(one, LINK, now).unwrap();
    let mut server = Connection::accept(Arc::clone(&other), now);
    let first = client.output().to_vec();
    flow(&mut client, &mut server, now).unwrap();
    flow(&mut server, &mut client, now).unwrap();
    let second = client.output().to_vec();
    flow(&mut client, &mut server, now).unwrap();
    assert_eq!(server.link(), Some(LINK));
    let mut again = Connection::accept(other, now);
    again.received(&first, now).unwrap();
    assert_eq!(again.received(&second, now), Err(Refusal::NotOfThisConnection));
    assert_eq!(again.link(), None);
}

#[test]
fn garbage_is_refused_wherever_it_comes() {
    let now = Instant::now();
    let (one, other) = machines();
    let mut server = Connection::accept(Arc::clone(&other), now);
    assert_eq!(server.received(b"GET / HTTP/1.1\r\n", now), Err(Refusal::NotALink));
    let mut client = Connection::initiate(one, LINK, now).unwrap();
    assert_eq!(client.received(b"HTTP/1.1 400 Bad", now), Err(Refusal::NotALink));
    let (mut client, mut server) = open(now);
    client.send(b"words", now).unwrap();
    let mut sealed = client.output().to_vec();
    sealed[9] ^= 1;
    assert_eq!(server.received(&sealed, now), Err(Refusal::NotOfThisConnection));
    let (_, mut server) = open(now);
    let impossible = Err(Refusal::Malformed("a message of an impossible length"));
    assert_eq!(server.received(&[0, 3, 1, 2, 3], now), impossible);
    let (_, mut server) = open(now);
    assert_eq!(server.received(&[0xFF, 0xFF], now), impossible);
}

#[test]
fn a_record_that_is_left_out_repeated_or_swapped_ends_the_connection() {
    let now = Instant::now();
    for order in [&[1][..], &[0, 0], &[1, 0]] {
        let (mut client, mut server) = open(now);
        let records = [b"one", b"two"].map(|words| {
            client.send(words, now).unwrap();
            let record = client.output().to_vec();
            client.wrote(record.len());
            record
        });
        let bytes: Vec<u8> = order.iter().flat_map(|index| records[*index].clone()).collect();
        assert_eq!(server.received(&bytes, now), Err(Refusal::NotOfThisConnection), "{order:?}");
    }
}

#[test]
fn an_end_in_the_middle_is_told_from_an_end() {
    let now = Instant::now();
    let (mut client, mut server) = open(now);
    assert_eq!(server.closed(), Refusal::Closed);
    client.send(b"words", now).unwrap();
    server.received(&client.output()[..10], now).unwrap();
    assert_eq!(server.closed(), Refusal::Truncated);
}

#[test]
fn a_silent_peer_is_dead_in_time_and_one_that_lives_says_so() {
    let begun = Instant::now();
    let (mut client, mut server) = open(begun);
    let mut now = begun;
    for _ in 0..20 {
        now = client.deadline().min(server.deadline());
        client.time(now).unwrap();
        server.time(now).unwrap();
        flow(&mut client, &mut server, now).unwrap();
        flow(&mut server, &mut client, now).unwrap();
    }
    assert_eq!(now, begun + 20 * HEARTBEAT_EVERY);
    let mut later = now;
    let mut outcome = Ok(());
    for _ in 0..5 {
        later = client.deadline().max(later);
        outcome = outcome.and_then(|()| client.time(later));
        let said = client.output().len();
        client.wrote(said);
    }
    assert_eq!((outcome, later - now), (Err(Refusal::Silent), DEAD_AFTER));
}

#[test]
fn a_handshake_that_is_never_finished_ends() {
    let now = Instant::now();
    let (_, other) = machines();
    let mut server = Connection::accept(other, now);
    assert_eq!(server.time(server.deadline() - Duration::from_millis(1)), Ok(()));
    assert_eq!(server.time(server.deadline()), Err(Refusal::Slow));
    assert_eq!(server.deadline(), now + HANDSHAKE_WITHIN);
}

#[test]
fn no_more_comes_than_is_taken_and_signs_of_life_pass_by() {
    let now = Instant::now();
    let (mut client, mut server) = open(now);
    let mut sent = 0;
    while client.room() > 0 {
        let bytes = vec![5; client.room()];
        client.send(&bytes, now).unwrap();
        sent += bytes.len();
        flow(&mut client, &mut server, now).unwrap();
    }
    assert_eq!((sent, server.frames().len()), (WINDOW, WINDOW));
    assert!(client.send(&[5], now).is_err());
    let later = now + HEARTBEAT_EVERY;
    client.time(later).unwrap();
    assert!(!client.output().is_empty());
    flow(&mut client, &mut server, later).unwrap();
    assert_eq!(server.deadline(), later, "it is heard");
    server.take(WINDOW / 2, later).unwrap();
    flow(&mut server, &mut client, later).unwrap();
    assert_eq!(client.room().min(WINDOW / 2), OUTPUT.min(WINDOW / 2));
}

#[test]
fn a_peer_that_sends_without_leave_or_takes_leave_that_none_gave_is_refused() {
    let now = Instant::now();
    let (mut client, mut server) = open(now);
    client.leave = usize::MAX;
    let outcomes: Vec<_> = (0..=WINDOW / PIECE)
        .map(|_| {
            client.say(Record::Frames(&[0; PIECE]), now).unwrap();
            flow(&mut client, &mut server, now)
        })
        .collect();
    assert_eq!(outcomes.last(), Some(&Err(Refusal::TooMuch)));
    assert_eq!(server.frames().len(), WINDOW);
    let (mut client, mut server) = open(now);
    client.say(Record::Leave(1), now).unwrap();
    assert!(matches!(flow(&mut client, &mut server, now), Err(Refusal::Malformed(_))));
}
