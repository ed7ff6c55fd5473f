use super::*;

const SERVER: Session = Session { client: 5, server: 8 };

fn calls() -> Calls {
    Calls::new(5, &Interface { name: "Test".to_owned(), version: 1, fingerprint: 1 })
}

fn at(milliseconds: u64) -> Instant {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *BEGIN.get_or_init(Instant::now) + Duration::from_millis(milliseconds)
}

/// Sends what there is to send; kind, call number and payload of each.
fn flush(calls: &mut Calls, now: Instant) -> Vec<(Kind, u32, Vec<u8>)> {
    let mut sent = Vec::new();
    while let Some(frame) = calls.outgoing(Some(now)) {
        sent.push((frame.kind, frame.call, frame.payload.to_vec()));
        calls.sent(Some(now));
    }
    sent
}

fn come(calls: &mut Calls, kind: Kind, call: u32, session: Session) {
    calls.frame(&mut Received { kind, call, session, payload: vec![call as u8], ..Received::default() });
}

/// Greets the peer and is made welcome.
fn meet(calls: &mut Calls, peer: u32) {
    calls.peer(Some(peer));
    let hello = flush(calls, at(0));
    assert_eq!((hello.len(), hello[0].0), (1, Kind::Hello));
    come(calls, Kind::Welcome, hello[0].1, Session { client: 5, server: peer });
}

fn submit(calls: &mut Calls, retry: bool, deadline: Option<Instant>) -> Ticket {
    let range = Some(Range { offset: 64, length: 64 });
    calls.submit(&Submission { method: 1, retry, payload: b"words", range, deadline })
}

fn numbers(sent: &[(Kind, u32, Vec<u8>)]) -> Vec<u32> {
    assert!(sent.iter().all(|(kind, _, payload)| *kind == Kind::Request && payload == b"words"));
    sent.iter().map(|(_, number, _)| *number).collect()
}

#[test]
fn nothing_is_sent_before_a_welcome_and_answers_come_in_any_order() {
    let mut calls = calls();
    let (first, second) = (submit(&mut calls, false, None), submit(&mut calls, false, None));
    assert_eq!(flush(&mut calls, at(0)), []);
    assert!(!calls.may_use_pool());
    meet(&mut calls, 8);
    assert!(calls.may_use_pool());
    let sent = numbers(&flush(&mut calls, at(0)));
    assert_eq!(sent.len(), 2);
    let first = calls.take(first).unwrap_err();
    come(&mut calls, Kind::Response, sent[1], SERVER);
    assert_eq!(calls.take(second), Ok(Ok(Response { payload: vec![sent[1] as u8], server: 8 })));
    let first = calls.take(first).unwrap_err();
    come(&mut calls, Kind::Response, sent[0], SERVER);
    assert_eq!(calls.take(first), Ok(Ok(Response { payload: vec![sent[0] as u8], server: 8 })));
}

#[test]
fn a_greeting_is_repeated_until_it_is_answered_and_only_its_own_answer_counts() {
    let mut calls = calls();
    calls.peer(Some(8));
    let first = flush(&mut calls, at(0));
    assert_eq!(flush(&mut calls, at(50)), []);
    assert_eq!(calls.wake_at(), Some(at(100)));
    assert_eq!(flush(&mut calls, at(100)), first);
    calls.peer(Some(9));
    let second = flush(&mut calls, at(100));
    come(&mut calls, Kind::Welcome, first[0].1, SERVER);
    assert_eq!(calls.session(), Ok(None));
    come(&mut calls, Kind::Welcome, second[0].1, Session { client: 4, server: 9 });
    assert_eq!(calls.session(), Ok(None));
    let session = Session { client: 5, server: 9 };
    come(&mut calls, Kind::Welcome, second[0].1, session);
    assert_eq!((calls.session(), calls.wake_at()), (Ok(Some(session)), None));
}

#[test]
fn when_the_server_ends_what_was_sent_is_gone_and_what_was_not_waits() {
    let mut calls = calls();
    meet(&mut calls, 8);
    let sent = submit(&mut calls, false, None);
    flush(&mut calls, at(0));
    let unsent = submit(&mut calls, false, None);
    calls.peer(None);
    assert_eq!(calls.take(sent), Ok(Err(CallError::Gone { epoch: 8 })));
    let unsent = calls.take(unsent).unwrap_err();
    meet(&mut calls, 9);
    let number = numbers(&flush(&mut calls, at(0)))[0];
    come(&mut calls, Kind::Response, number, Session { client: 5, server: 9 });
    assert!(calls.take(unsent).unwrap().is_ok());
}

#[test]
fn a_call_with_retry_is_sent_to_each_next_server_first_and_late_answers_are_not_its_own() {
    let mut calls = calls();
    meet(&mut calls, 8);
    let mut repeated = submit(&mut calls, true, None);
    let mut number = numbers(&flush(&mut calls, at(0)))[0];
    let later = submit(&mut calls, false, None);
    for peer in 9..12 {
        // The one after the next dies before anything was sent to it.
        calls.peer(Some(100 + peer));
        calls.peer(None);
        meet(&mut calls, peer);
        let session = Session { client: 5, server: peer };
        come(&mut calls, Kind::Response, number, Session { client: 5, server: peer - 1 });
        come(&mut calls, Kind::Response, number, session);
        let again = numbers(&flush(&mut calls, at(0)))[0];
        come(&mut calls, Kind::Response, number, session);
        repeated = calls.take(repeated).unwrap_err();
        number = again;
    }
    come(&mut calls, Kind::Response, number, Session { client: 5, server: 11 });
    assert!(calls.take(repeated).unwrap().is_ok());
    assert_eq!(calls.take(later), Ok(Err(CallError::Gone { epoch: 9 })));
    assert!(calls.repeated.is_empty());
}

#[test]
fn what_is_repeated_keeps_its_order_and_goes_before_what_was_not_sent() {
    let mut calls = calls();
    meet(&mut calls, 8);
    let call = |calls: &mut Calls, method| {
        let _ = calls.submit(&Submission { method, retry: true, payload: b"", range: None, deadline: None });
    };
    call(&mut calls, 1);
    call(&mut calls, 2);
    flush(&mut calls, at(0));
    call(&mut calls, 3);
    meet(&mut calls, 9);
    let mut methods = Vec::new();
    while let Some(frame) = calls.outgoing(None) {
        methods.push(frame.method);
        calls.sent(None);
    }
    assert_eq!(methods, [1, 2, 3]);
}

#[test]
fn a_server_that_does_not_know_the_session_is_greeted_again() {
    let mut calls = calls();
    meet(&mut calls, 8);
    let ticket = submit(&mut calls, true, None);
    let number = numbers(&flush(&mut calls, at(0)))[0];
    come(&mut calls, Kind::Gone, number, Session { client: 5, server: 7 });
    assert_eq!(flush(&mut calls, at(0)), []);
    come(&mut calls, Kind::Gone, number, SERVER);
    let hello = flush(&mut calls, at(0));
    assert_eq!((hello.len(), hello[0].0), (1, Kind::Hello));
    come(&mut calls, Kind::Welcome, hello[0].1, SERVER);
    let again = numbers(&flush(&mut calls, at(0)))[0];
    assert_ne!(number, again);
    come(&mut calls, Kind::Response, again, SERVER);
    assert!(calls.take(ticket).unwrap().is_ok());
}

#[test]
fn a_deadline_ends_a_call_and_its_late_answer_is_dropped() {
    let mut calls = calls();
    let unsent = submit(&mut calls, true, Some(at(10)));
    assert_eq!(calls.wake_at(), Some(at(10)));
    calls.time(at(9));
    let unsent = calls.take(unsent).unwrap_err();
    calls.time(at(10));
    assert_eq!(calls.take(unsent), Ok(Err(CallError::Deadline)));
    meet(&mut calls, 8);
    assert_eq!(flush(&mut calls, at(10)), []);
    let sent = submit(&mut calls, true, Some(at(20)));
    let number = numbers(&flush(&mut calls, at(10)))[0];
    calls.time(at(20));
    assert_eq!(calls.take(sent), Ok(Err(CallError::Deadline)));
    let other = submit(&mut calls, false, None);
    flush(&mut calls, at(20));
    come(&mut calls, Kind::Response, number, SERVER);
    assert!(calls.take(other).is_err());
    assert_eq!(calls.wake_at(), None);
}

#[test]
fn a_range_comes_back_only_when_no_server_can_use_it() {
    let range = Range { offset: 64, length: 64 };
    let mut calls = calls();
    meet(&mut calls, 8);
    for ending in [0, 1] {
        let ticket = submit(&mut calls, false, Some(at(10)));
        let number = numbers(&flush(&mut calls, at(0)))[0];
        calls.free(range);
        assert_eq!(calls.settled(), None, "the call is under way");
        calls.time(at(10));
        assert_eq!(calls.take(ticket), Ok(Err(CallError::Deadline)));
        assert_eq!(calls.settled(), None, "the server may still write");
        match ending {
            0 => come(&mut calls, Kind::Response, number, SERVER),
            _ => calls.peer(None),
        }
        assert_eq!(calls.settled(), Some(range));
        assert_eq!(calls.settled(), None);
    }
}

#[test]
fn a_forgotten_call_leaves_nothing_behind() {
    let mut calls = calls();
    let unsent = submit(&mut calls, false, None);
    calls.forget(unsent);
    meet(&mut calls, 8);
    assert_eq!(flush(&mut calls, at(0)), []);
    let sent = submit(&mut calls, false, None);
    let number = numbers(&flush(&mut calls, at(0)))[0];
    calls.forget(sent);
    come(&mut calls, Kind::Response, number, SERVER);
    assert!(calls.calls.is_empty() && calls.limbo.is_empty() && calls.repeated.is_empty());
}

/// Greets whoever is there, and is refused.
fn be_refused(calls: &mut Calls, now: Instant) {
    let hello = flush(calls, now);
    assert_eq!((hello.len(), hello[0].0), (1, Kind::Hello));
    let (kind, call, payload) = (Kind::Refused, hello[0].1, b"no".to_vec());
    calls.frame(&mut Received { kind, call, session: SERVER, payload, ..Received::default() });
    calls.time(now);
}

#[test]
fn who_was_refused_greets_again_and_later_each_time() {
    let mut calls = calls();
    calls.peer(Some(8));
    let mut now = 0;
    for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
        be_refused(&mut calls, at(now));
        assert_eq!(calls.wake_at(), Some(at(now + pause)));
        calls.time(at(now + pause - 1));
        assert_eq!(flush(&mut calls, at(now + pause - 1)), []);
        now += pause;
        calls.time(at(now));
        assert!(!calls.is_refused());
    }
    // The same peer, if it is a relay, may speak for another server now.
    let ticket = submit(&mut calls, false, None);
    let hello = flush(&mut calls, at(now));
    come(&mut calls, Kind::Welcome, hello[0].1, SERVER);
    let number = numbers(&flush(&mut calls, at(now)))[0];
    come(&mut calls, Kind::Response, number, SERVER);
    assert!(matches!(calls.take(ticket), Ok(Ok(_))));
}

#[test]
fn a_refusal_lasts_until_another_server_comes() {
    let mut calls = calls();
    let ticket = submit(&mut calls, true, None);
    calls.peer(Some(8));
    be_refused(&mut calls, at(0));
    let refused = || Ok(Err(CallError::Refused("no".to_owned())));
    assert_eq!(calls.take(ticket), refused());
    let ticket = submit(&mut calls, true, None);
    assert_eq!(calls.take(ticket), refused());
    let _ = submit(&mut calls, true, None);
    meet(&mut calls, 9);
    assert!(calls.session().unwrap().is_some());
}

#[test]
fn a_broken_link_ends_all_calls_until_it_is_sound() {
    let mut calls = calls();
    meet(&mut calls, 8);
    let sent = submit(&mut calls, true, None);
    flush(&mut calls, at(0));
    let unsent = submit(&mut calls, true, None);
    calls.broken();
    calls.peer(Some(9));
    let later = submit(&mut calls, true, None);
    for ticket in [sent, unsent, later] {
        assert_eq!(calls.take(ticket), Ok(Err(CallError::Broken)));
    }
    assert_eq!(flush(&mut calls, at(0)), []);
    calls.sound();
    meet(&mut calls, 9);
}

#[test]
fn what_is_too_long_ends_alone() {
    let mut calls = calls();
    meet(&mut calls, 8);
    let (long, short) = (submit(&mut calls, true, None), submit(&mut calls, true, None));
    assert!(calls.outgoing(None).is_some());
    calls.not_sent(CallError::TooLong { max: 3 });
    assert_eq!(calls.take(long), Ok(Err(CallError::TooLong { max: 3 })));
    assert_eq!(flush(&mut calls, at(0)).len(), 1);
    assert!(calls.take(short).is_err());
}
