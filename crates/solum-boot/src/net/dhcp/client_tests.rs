//! A client from its first message to the end of its lease, with the time and the servers made up.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::client::{Client, Effect, Event};
use super::packet::{MessageType, Reply, Request};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// A client, the time, and random numbers that count.
struct Bench {
    client: Client,
    now: Duration,
    random: u32,
}

impl Bench {
    fn new() -> Self {
        Self { client: Client::new(), now: Duration::from_secs(5), random: 0 }
    }

    fn step(&mut self, event: Event<'_>) -> Vec<Effect> {
        let Self { client, now, random } = self;
        client.step(
            *now,
            &mut || {
                *random += 1;
                *random
            },
            event,
        )
    }

    /// Lets the time pass until something is due.
    fn pass(&mut self) -> Vec<Effect> {
        self.now = self.client.deadline().expect("something is due");
        self.step(Event::TimePassed)
    }

    fn receive(&mut self, reply: &Reply) -> Vec<Effect> {
        self.step(Event::Received(reply))
    }

    /// A client with a lease of this many seconds, obtained now.
    fn bound(lease_s: u32) -> Self {
        let mut bench = Self::new();
        let discover = sent(&bench.step(Event::CarrierUp));
        let request = sent(&bench.receive(&offer(&discover)));
        let effects = bench.receive(&ack(&request, lease_s));
        assert!(matches!(effects[..], [Effect::Configure { .. }]), "{effects:?}");
        bench
    }

    fn seconds(&self) -> u64 {
        self.now.as_secs()
    }
}

/// The one message among the effects.
fn sent(effects: &[Effect]) -> Request {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast(request) | Effect::Unicast(request, _) => Some(request.clone()),
        _ => None,
    });
    let messages: Vec<_> = messages.collect();
    assert_eq!(messages.len(), 1, "{effects:?}");
    messages[0].clone()
}

fn reply(kind: MessageType, transaction: u32) -> Reply {
    Reply {
        kind,
        transaction,
        your_address: ADDRESS,
        server: Some(SERVER),
        mask: None,
        routers: vec![],
        classless_routes: None,
        dns: vec![],
        domain: None,
        mtu: None,
        time_servers: vec![],
        lease_s: Some(3600),
        renew_s: None,
        rebind_s: None,
    }
}

fn offer(to: &Request) -> Reply {
    reply(MessageType::Offer, to.transaction)
}

fn ack(to: &Request, lease_s: u32) -> Reply {
    Reply { lease_s: Some(lease_s), ..reply(MessageType::Ack, to.transaction) }
}

fn nak(to: &Request) -> Reply {
    Reply { your_address: Ipv4Addr::UNSPECIFIED, lease_s: None, ..reply(MessageType::Nak, to.transaction) }
}

fn is_discover(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::Broadcast(Request { kind: MessageType::Discover, .. })])
}

#[test]
fn a_lease_is_had_in_four_messages_without_any_wait() {
    let mut bench = Bench::new();
    let effects = bench.step(Event::CarrierUp);
    assert!(is_discover(&effects), "{effects:?}");
    let discover = sent(&effects);
    assert_eq!((discover.own_address, discover.requested, discover.server), (None, None, None));

    bench.now += Duration::from_secs(2);
    let effects = bench.receive(&offer(&discover));
    let request = sent(&effects);
    assert!(matches!(effects[..], [Effect::Broadcast(_)]));
    assert_eq!((request.requested, request.server, request.own_address), (Some(ADDRESS), Some(SERVER), None));
    assert_eq!(request.transaction, discover.transaction);
    assert_eq!(request.elapsed_s, discover.elapsed_s, "RFC 2131 §3.1: the same 'secs'");

    bench.now += Duration::from_secs(1);
    match &bench.receive(&ack(&request, 3600))[..] {
        [Effect::Configure { lease, valid_s }] => {
            assert_eq!(lease.address, ADDRESS);
            assert_eq!(*valid_s, Some(3599), "it counts from the request, not from the answer");
        }
        other => panic!("{other:?}"),
    }
    assert!(!bench.client.is_listening());
}

#[test]
fn discovers_are_repeated_ever_more_slowly() {
    let mut bench = Bench::new();
    let mut before = bench.now;
    let first = sent(&bench.step(Event::CarrierUp));
    for (count, middle_s) in [4, 8, 16, 32, 64, 64, 64].into_iter().enumerate() {
        let effects = bench.pass();
        assert!(is_discover(&effects), "{effects:?}");
        let waited_ms = (bench.now - before).as_millis();
        let expected = (middle_s - 1) * 1000..=(middle_s + 1) * 1000;
        assert!(expected.contains(&waited_ms), "wait {count} was {waited_ms} ms");
        let message = sent(&effects);
        assert_eq!(message.transaction, first.transaction);
        assert_eq!(u64::from(message.elapsed_s), (bench.now - Duration::from_secs(5)).as_secs());
        before = bench.now;
    }
}

#[test]
fn a_first_message_that_went_out_early_is_sent_again_when_the_link_runs() {
    let mut bench = Bench::new();
    let first = sent(&bench.step(Event::CarrierUp));
    bench.now += Duration::from_millis(900);
    assert_eq!(sent(&bench.step(Event::Running)), first);
    assert_eq!(bench.step(Event::Running), [], "once");
    let request = sent(&bench.receive(&offer(&first)));
    assert_eq!(bench.step(Event::Running), [], "an offer has shown that packets get through");
    bench.receive(&ack(&request, 8000));
    assert_eq!(bench.step(Event::Running), []);

    bench.step(Event::CarrierDown);
    let request = sent(&bench.step(Event::CarrierUp));
    assert_eq!(sent(&bench.step(Event::Running)), request);
}

#[test]
fn what_was_not_asked_for_changes_nothing() {
    let mut bench = Bench::new();
    let stray = Reply { transaction: 77, ..reply(MessageType::Ack, 0) };
    assert_eq!(bench.receive(&stray), [], "before the link is up");
    let discover = sent(&bench.step(Event::CarrierUp));
    assert_eq!(bench.receive(&ack(&discover, 60)), [], "an acknowledgement of nothing");
    assert_eq!(bench.receive(&Reply { transaction: 77, ..offer(&discover) }), [], "another exchange");
    assert_eq!(bench.receive(&Reply { server: None, ..offer(&discover) }), [], "an offer of nobody");
    assert_eq!(bench.receive(&Reply { lease_s: Some(0), ..offer(&discover) }), [], "an offer for no time");

    let request = sent(&bench.receive(&offer(&discover)));
    assert_eq!(bench.receive(&Reply { server: Some(OTHER), ..offer(&discover) }), [], "a second offer");
    assert_eq!(
        bench.receive(&Reply { server: Some(OTHER), ..ack(&request, 60) }),
        [],
        "another server's yes"
    );
    assert_eq!(bench.receive(&Reply { server: Some(OTHER), ..nak(&request) }), [], "another server's no");
    assert_eq!(bench.receive(&Reply { server: None, ..nak(&request) }), [], "nobody's no");

    assert_eq!(bench.receive(&ack(&request, 60)).len(), 1);
    assert_eq!(bench.receive(&nak(&request)), [], "a no to a lease that is not being renewed");
}

#[test]
fn a_request_without_answer_is_repeated_and_then_given_up() {
    let mut bench = Bench::new();
    let discover = sent(&bench.step(Event::CarrierUp));
    let request = sent(&bench.receive(&offer(&discover)));
    let began = bench.seconds();
    for _ in 1..4 {
        assert_eq!(sent(&bench.pass()), request);
    }
    let effects = bench.pass();
    assert!(is_discover(&effects), "{effects:?}");
    assert_ne!(sent(&effects).transaction, request.transaction);
    assert!((56..=64).contains(&(bench.seconds() - began)), "a minute, RFC 2131 §3.1");
    assert_eq!(bench.receive(&ack(&request, 60)), [], "too late");
}

#[test]
fn a_lease_is_renewed_then_rebound_then_given_up() {
    let mut bench = Bench::bound(8000);
    let began = bench.seconds();

    let effects = bench.pass();
    assert!((3750..=4000).contains(&(bench.seconds() - began)), "T1, or a little earlier");
    let Effect::Unicast(renewal, SERVER) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!((renewal.own_address, renewal.requested, renewal.server), (Some(ADDRESS), None, None));
    assert!(bench.client.is_renewing() && bench.client.is_listening());

    let mut waits = Vec::new();
    let effects = loop {
        let before = bench.now;
        let effects = bench.pass();
        waits.push((bench.now - before).as_secs());
        if matches!(effects[..], [Effect::Broadcast(_)]) {
            break effects;
        }
        assert!(matches!(effects[..], [Effect::Unicast(_, SERVER)]), "{effects:?}");
    };
    assert!((1500..1640).contains(&waits[0]), "half the time that is left: {waits:?}");
    let last = waits.len() - 1;
    assert!(waits[..last].iter().all(|wait| *wait >= 60), "never sooner than a minute: {waits:?}");
    assert_eq!(bench.seconds() - began, 7000, "T2");
    assert_eq!(sent(&effects).own_address, Some(ADDRESS));

    let effects = loop {
        let effects = bench.pass();
        if !matches!(effects[..], [Effect::Broadcast(Request { kind: MessageType::Request, .. })]) {
            break effects;
        }
    };
    assert_eq!(bench.seconds() - began, 8000, "the end");
    assert_eq!(effects[0], Effect::Unconfigure);
    assert!(is_discover(&effects[1..]), "{effects:?}");
}

#[test]
fn any_server_may_rebind_but_only_its_own_renews() {
    let mut bench = Bench::bound(8000);
    let renewal = sent(&bench.pass());
    assert_eq!(bench.receive(&Reply { server: Some(OTHER), ..ack(&renewal, 8000) }), []);
    let rebinding = loop {
        if let [Effect::Broadcast(message)] = &bench.pass()[..] {
            break message.clone();
        }
    };
    let asked = bench.now;
    bench.now += Duration::from_secs(1);
    let effects = bench.receive(&Reply { server: Some(OTHER), ..ack(&rebinding, 600) });
    let [Effect::Configure { lease, valid_s: Some(599) }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(lease.server, OTHER);
    let effects = bench.pass();
    assert!(matches!(effects[..], [Effect::Unicast(_, OTHER)]), "{effects:?}");
    assert!((bench.now - asked).as_secs() <= 300, "T1 of the new lease, from when it was asked for");
}

#[test]
fn a_refused_lease_is_given_up_and_a_refusing_server_is_given_time() {
    let mut bench = Bench::bound(8000);
    let renewal = sent(&bench.pass());
    let effects = bench.receive(&nak(&renewal));
    assert_eq!(effects[0], Effect::Unconfigure);
    assert!(is_discover(&effects[1..]), "at once, the first time: {effects:?}");

    let mut discover = sent(&effects);
    for middle_s in [4, 8, 16] {
        let request = sent(&bench.receive(&offer(&discover)));
        assert_eq!(bench.receive(&nak(&request)), [], "silence after refusal");
        assert_eq!(bench.receive(&offer(&discover)), [], "and no offer is taken");
        let before = bench.seconds();
        discover = sent(&bench.pass());
        assert!((middle_s - 1..=middle_s + 1).contains(&(bench.seconds() - before)));
    }
    let request = sent(&bench.receive(&offer(&discover)));
    assert_eq!(bench.receive(&ack(&request, 60)).len(), 1);
}

#[test]
fn a_link_that_comes_back_has_its_lease_confirmed() {
    let mut bench = Bench::bound(8000);
    assert_eq!(bench.step(Event::CarrierDown), [], "the address stays");
    assert!(!bench.client.is_listening());
    bench.now += Duration::from_secs(100);
    let effects = bench.step(Event::CarrierUp);
    let request = sent(&effects);
    assert!(matches!(effects[..], [Effect::Broadcast(_)]));
    let asked = (request.kind, request.requested, request.server, request.own_address);
    assert_eq!(asked, (MessageType::Request, Some(ADDRESS), None, None), "RFC 2131 §4.3.2, INIT-REBOOT");
    assert_eq!(bench.step(Event::CarrierUp), [], "once is enough");
    let effects = bench.receive(&Reply { server: Some(OTHER), ..ack(&request, 8000) });
    assert!(matches!(effects[..], [Effect::Configure { .. }]), "{effects:?}");
}

#[test]
fn in_another_network_a_new_lease_is_had() {
    let mut bench = Bench::bound(8000);
    bench.step(Event::CarrierDown);
    let request = sent(&bench.step(Event::CarrierUp));
    let effects = bench.receive(&nak(&request));
    assert_eq!(effects[0], Effect::Unconfigure);
    assert!(is_discover(&effects[1..]), "{effects:?}");
}

#[test]
fn where_nobody_knows_the_lease_it_is_kept_until_there_is_another() {
    let mut bench = Bench::bound(8000);
    bench.step(Event::CarrierDown);
    let request = sent(&bench.step(Event::CarrierUp));
    assert_eq!(sent(&bench.pass()).requested, request.requested);
    let effects = bench.pass();
    assert!(is_discover(&effects), "without giving up the address: {effects:?}");
    let discover = sent(&effects);
    let elsewhere = Ipv4Addr::new(192, 168, 7, 7);
    let request = sent(&bench.receive(&Reply { your_address: elsewhere, ..offer(&discover) }));
    let effects = bench.receive(&Reply { your_address: elsewhere, ..ack(&request, 60) });
    let [Effect::Configure { lease, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(lease.address, elsewhere);
}

#[test]
fn a_lease_ends_also_where_there_is_no_link() {
    let mut bench = Bench::bound(600);
    bench.step(Event::CarrierDown);
    assert_eq!(bench.pass(), [Effect::Unconfigure]);
    assert_eq!(bench.seconds(), 605);
    assert_eq!(bench.client.deadline(), None);
    assert!(is_discover(&bench.step(Event::CarrierUp)));
}

#[test]
fn a_lease_for_ever_needs_nothing() {
    let bench = Bench::bound(u32::MAX);
    assert_eq!(bench.client.deadline(), None);
}

#[derive(Clone, Debug)]
enum Happening {
    Up,
    Running,
    Down,
    Due,
    Later(u32),
    Reply { kind: u8, current: bool, server: bool, lease_s: u32, address: u8 },
}

fn happening() -> impl Strategy<Value = Happening> {
    let reply = (0..4_u8, prop::bool::weighted(0.9), prop::bool::weighted(0.8), 0..4_u8, 0..3_u8);
    let reply = reply.prop_map(|(kind, current, server, lease, address)| Happening::Reply {
        kind,
        current,
        server,
        lease_s: [0, 1, 100, u32::MAX][usize::from(lease)],
        address,
    });
    prop_oneof![
        1 => Just(Happening::Up),
        1 => Just(Happening::Running),
        1 => Just(Happening::Down),
        5 => Just(Happening::Due),
        2 => (0..5000_u32).prop_map(Happening::Later),
        9 => reply,
    ]
}

proptest! {
    /// Whatever happens: a lease is given up when it ends and not twice, nothing is due in the past (which would be a
    /// busy loop), and an answer never causes more than one message (which would be a storm).
    #[test]
    fn whatever_happens_the_promises_are_kept(happenings in prop::collection::vec(happening(), 0..200)) {
        let mut bench = Bench::new();
        let mut transaction = 0;
        let mut end: Option<Option<Duration>> = None;
        for happening in happenings {
            let effects = match happening {
                Happening::Up => bench.step(Event::CarrierUp),
                Happening::Running => bench.step(Event::Running),
                Happening::Down => bench.step(Event::CarrierDown),
                Happening::Due => {
                    bench.now = bench.client.deadline().unwrap_or(bench.now).max(bench.now);
                    bench.step(Event::TimePassed)
                }
                Happening::Later(ms) => {
                    bench.now += Duration::from_millis(ms.into());
                    bench.step(Event::TimePassed)
                }
                Happening::Reply { kind, current, server, lease_s, address } => {
                    let kinds = [MessageType::Offer, MessageType::Ack, MessageType::Nak, MessageType::Discover];
                    bench.receive(&Reply {
                        your_address: [ADDRESS, OTHER, Ipv4Addr::UNSPECIFIED][usize::from(address)],
                        server: Some(if server { SERVER } else { OTHER }),
                        lease_s: Some(lease_s),
                        ..reply(kinds[usize::from(kind)], if current { transaction } else { 0 })
                    })
                }
            };
            let mut messages = 0;
            for effect in effects {
                match effect {
                    Effect::Broadcast(request) | Effect::Unicast(request, _) => {
                        transaction = request.transaction;
                        messages += 1;
                    }
                    Effect::Configure { valid_s, .. } => {
                        end = Some(valid_s.map(|valid_s| bench.now + Duration::from_secs(valid_s.into())));
                    }
                    Effect::Unconfigure => prop_assert!(end.take().is_some(), "given up twice"),
                }
            }
            prop_assert!(messages <= 1);
            if let Some(Some(end)) = end {
                prop_assert!(bench.now <= end + Duration::from_secs(1), "used after its end");
            }
            bench.step(Event::TimePassed);
            prop_assert!(bench.client.deadline().is_none_or(|deadline| deadline > bench.now), "due in the past");
        }
    }
}
