use super::*;

fn interface() -> Interface {
    Interface { name: "Test".to_owned(), version: 1, fingerprint: 1 }
}

fn reception() -> Reception {
    Reception::new(8, interface())
}

fn hello(reception: &mut Reception, client: u32, greeting: u32, peer: u32) {
    let session = Session { client, server: 0 };
    let payload = interface().hello();
    let mut frame = Received { kind: Kind::Hello, call: greeting, session, payload, ..Received::default() };
    reception.frame(&mut frame, Some(peer));
}

fn request(reception: &mut Reception, number: u32, session: Session) {
    let mut frame = Received { kind: Kind::Request, call: number, session, ..Received::default() };
    reception.frame(&mut frame, Some(session.client));
}

fn sent(reception: &mut Reception) -> Vec<(Kind, u32, u32)> {
    let mut sent = Vec::new();
    while let Some(frame) = reception.outgoing() {
        sent.push((frame.kind, frame.call, frame.session.client));
        reception.sent();
    }
    sent
}

const OURS: Session = Session { client: 5, server: 8 };

#[test]
fn a_guest_is_welcomed_once_however_often_it_greets() {
    let mut reception = reception();
    hello(&mut reception, 5, 1, 5);
    hello(&mut reception, 5, 1, 5);
    assert_eq!(reception.event(), Some(Event::ClientCame { epoch: 5 }));
    assert_eq!(reception.event(), None);
    assert_eq!(sent(&mut reception), [(Kind::Welcome, 1, 5), (Kind::Welcome, 1, 5)]);
}

#[test]
fn another_guest_takes_the_place_and_answers_to_the_first_are_dropped() {
    let mut reception = reception();
    hello(&mut reception, 5, 1, 5);
    request(&mut reception, 3, OURS);
    assert_eq!(reception.event(), Some(Event::ClientCame { epoch: 5 }));
    let Some(Event::Request { call, .. }) = reception.event() else { panic!("no request") };
    assert!(reception.is_wanted(call));
    reception.answer_later(call, b"late");
    hello(&mut reception, 6, 1, 6);
    assert_eq!(reception.event(), Some(Event::ClientGone { epoch: 5 }));
    assert_eq!(reception.event(), Some(Event::ClientCame { epoch: 6 }));
    assert!(!reception.is_wanted(call));
    assert_eq!(sent(&mut reception), [(Kind::Welcome, 1, 6)]);
}

#[test]
fn a_guest_that_greets_anew_waits_for_no_older_answer() {
    let mut reception = reception();
    hello(&mut reception, 5, 1, 5);
    request(&mut reception, 3, OURS);
    reception.event();
    let Some(Event::Request { call, .. }) = reception.event() else { panic!("no request") };
    hello(&mut reception, 5, 2, 5);
    assert!(!reception.is_wanted(call));
}

#[test]
fn a_guest_whose_process_ended_is_gone() {
    let mut reception = reception();
    hello(&mut reception, 5, 1, 5);
    reception.event();
    reception.peer(Some(5));
    assert_eq!(reception.event(), None);
    reception.peer(None);
    assert_eq!(reception.event(), Some(Event::ClientGone { epoch: 5 }));
    reception.peer(None);
    assert_eq!(reception.event(), None);
    assert!(reception.is_idle());
}

#[test]
fn a_request_of_an_unknown_session_is_told_that_it_is_gone() {
    let mut reception = reception();
    request(&mut reception, 3, Session { client: 5, server: 7 });
    assert_eq!(reception.event(), None);
    assert_eq!(sent(&mut reception), [(Kind::Gone, 3, 5)]);
}

#[test]
fn a_client_of_another_interface_is_refused_in_words() {
    let mut reception = reception();
    let payload = Interface { version: 9, ..interface() }.hello();
    let session = Session { client: 5, server: 0 };
    let mut frame = Received { kind: Kind::Hello, call: 1, session, payload, ..Received::default() };
    reception.frame(&mut frame, Some(5));
    assert_eq!(reception.event(), None);
    let frame =
        reception.outgoing().map(|frame| (frame.kind, String::from_utf8_lossy(frame.payload).into_owned()));
    let why = "the client means version 9 of interface Test, the server serves 1".to_owned();
    assert_eq!(frame, Some((Kind::Refused, why)));
}

#[test]
fn a_relay_may_say_that_its_client_is_gone() {
    let mut reception = reception();
    hello(&mut reception, 5, 1, 40);
    reception.event();
    reception.frame(&mut Received { kind: Kind::Gone, session: OURS, ..Received::default() }, Some(40));
    assert_eq!(reception.event(), Some(Event::ClientGone { epoch: 5 }));
}
