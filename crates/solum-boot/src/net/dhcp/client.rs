//! The states of a DHCP client (RFC 2131 §4.4), as decisions: an event and the time come in, effects come out.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::lease::Lease;
use super::packet::{MessageType, Reply, Request};

/// How often a REQUEST is sent before the client begins anew: 60 seconds in all (RFC 2131 §3.1).
const REQUESTS: u32 = 4;
/// How often a lease of before is asked for. A server that does not know it stays silent (RFC 2131 §3.2), and a machine that
/// was moved to another network should not wait long.
const REBOOT_REQUESTS: u32 = 2;
/// The shortest wait between two messages that renew a lease (RFC 2131 §4.4.5).
const RENEW_WAIT_MIN: Duration = Duration::from_secs(60);

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) enum Event<'a> {
    /// The link can carry packets, it seems.
    CarrierUp,
    /// The link can carry packets for certain.
    Running,
    /// The link cannot carry packets any more.
    CarrierDown,
    /// Nothing but the passing of time.
    TimePassed,
    /// A message for this client arrived.
    Received(&'a Reply),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net) enum Effect {
    /// Send to everyone on the link.
    Broadcast(Request),
    /// Send from the client's address to one server.
    Unicast(Request, Ipv4Addr),
    /// Use this lease, and nothing of an earlier one.
    Configure {
        lease: Lease,
        /// Seconds from now until it ends, if it does.
        valid_s: Option<u32>,
    },
    /// Use no lease any more.
    Unconfigure,
}

/// Source of randomness: transaction numbers must not be guessed, and clients must not act in step.
pub(in crate::net) type Random<'a> = &'a mut dyn FnMut() -> u32;

/// The client of one interface. All times are since some moment that stays the same.
#[derive(Debug)]
pub(in crate::net) struct Client {
    phase: Phase,
    /// The lease that is in use.
    held: Option<Held>,
    /// Number of the exchange that is going on.
    transaction: u32,
    /// When the exchange began.
    began: Duration,
    /// Seconds since then, as the messages say. A REQUEST repeats what the DISCOVER said (RFC 2131 §3.1).
    elapsed_s: u16,
    /// When the last message was sent, from which the times of a lease count (RFC 2131 §4.4.5).
    sent: Duration,
    /// Refusals (NAK) since there was a lease.
    refusals: u32,
}

/// The states of RFC 2131, figure 5.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// No carrier.
    Idle,
    /// Any server is asked for an offer.
    Selecting(Attempt),
    /// The server of an offer is asked for it.
    Requesting(Lease, Attempt),
    /// Any server is asked to confirm the lease (INIT-REBOOT).
    Rebooting(Attempt),
    /// Nothing to do until T1.
    Bound,
    /// The server of the lease is asked to renew it; again at this time.
    Renewing(Duration),
    /// Any server is asked to renew it; again at this time.
    Rebinding(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attempt {
    /// Messages sent.
    count: u32,
    /// When the next one is due.
    again: Duration,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    /// T1, T2 and the end; `None` if the lease lasts for ever.
    deadlines: Option<Deadlines>,
}

#[derive(Clone, Copy, Debug)]
struct Deadlines {
    renew: Duration,
    rebind: Duration,
    end: Duration,
}

impl Client {
    /// A client whose link is down and that has no lease.
    pub fn new() -> Self {
        let zero = Duration::ZERO;
        Self {
            phase: Phase::Idle,
            held: None,
            transaction: 0,
            began: zero,
            elapsed_s: 0,
            sent: zero,
            refusals: 0,
        }
    }

    /// Takes an event at the time `now`; the effects are to be applied in order.
    pub fn step(&mut self, now: Duration, random: Random<'_>, event: Event<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.expire(now, random, &mut effects);
        match event {
            Event::CarrierUp if self.phase == Phase::Idle => effects.push(self.begin(now, random)),
            Event::CarrierUp => {}
            Event::CarrierDown => self.phase = Phase::Idle,
            Event::Running => effects.extend(self.send_first_again(now, random)),
            Event::TimePassed => effects.extend(self.send_due(now, random)),
            Event::Received(reply) if reply.transaction == self.transaction => {
                self.receive(now, random, reply, &mut effects);
            }
            Event::Received(_) => {}
        }
        effects
    }

    /// When [`Event::TimePassed`] is due, if ever.
    pub fn deadline(&self) -> Option<Duration> {
        let held = self.held.as_ref().and_then(|held| held.deadlines);
        let phase = match &self.phase {
            Phase::Idle => None,
            Phase::Selecting(attempt) | Phase::Requesting(_, attempt) | Phase::Rebooting(attempt) => {
                Some(attempt.again)
            }
            Phase::Bound => held.map(|deadlines| deadlines.renew),
            Phase::Renewing(again) | Phase::Rebinding(again) => Some(*again),
        };
        [phase, held.map(|deadlines| deadlines.end)].into_iter().flatten().min()
    }

    /// Whether an answer is awaited.
    pub fn is_listening(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Bound)
    }

    /// Whether the exchange is about an address that is in use.
    pub fn is_renewing(&self) -> bool {
        matches!(self.phase, Phase::Renewing(_) | Phase::Rebinding(_))
    }

    /// Gives up a lease that has ended.
    fn expire(&mut self, now: Duration, random: Random<'_>, effects: &mut Vec<Effect>) {
        let end = self.held.as_ref().and_then(|held| held.deadlines).map(|deadlines| deadlines.end);
        if end.is_none_or(|end| now < end) {
            return;
        }
        self.held = None;
        effects.push(Effect::Unconfigure);
        if matches!(self.phase, Phase::Bound | Phase::Rebooting(_) | Phase::Renewing(_) | Phase::Rebinding(_))
        {
            effects.push(self.discover(now, random, 0));
        }
    }

    /// Begins when the link comes up: with the lease of before, if there is one.
    fn begin(&mut self, now: Duration, random: Random<'_>) -> Effect {
        if self.held.is_none() {
            return self.discover(now, random, 0);
        }
        self.new_exchange(now, random);
        self.reboot(now, random, 0)
    }

    /// The first message may have been lost in the link that was not ready (`linkwatch_do_dev` in net/core/link_watch.c: until
    /// then, the queue drops what it gets), and the next one would be seconds later.
    fn send_first_again(&mut self, now: Duration, random: Random<'_>) -> Option<Effect> {
        match self.phase {
            Phase::Selecting(attempt) if attempt.count == 1 => Some(self.discover(now, random, 1)),
            Phase::Rebooting(attempt) if attempt.count == 1 => Some(self.reboot(now, random, 1)),
            _ => None,
        }
    }

    fn new_exchange(&mut self, now: Duration, random: Random<'_>) {
        self.transaction = random();
        self.began = now;
    }

    fn count_elapsed(&mut self, now: Duration) {
        self.elapsed_s = now.saturating_sub(self.began).as_secs().try_into().unwrap_or(u16::MAX);
    }

    /// Sends what is due at this time.
    fn send_due(&mut self, now: Duration, random: Random<'_>) -> Option<Effect> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => None,
            Phase::Selecting(attempt) => Some(self.discover(now, random, attempt.count)),
            Phase::Requesting(offer, attempt) if attempt.count < REQUESTS => {
                Some(self.request(now, random, offer, attempt.count))
            }
            Phase::Rebooting(attempt) if attempt.count < REBOOT_REQUESTS => {
                Some(self.reboot(now, random, attempt.count))
            }
            // The address stays in use until its lease ends, or another one is granted (RFC 2131 §3.2).
            Phase::Requesting(..) | Phase::Rebooting(_) => Some(self.discover(now, random, 0)),
            Phase::Bound => {
                self.new_exchange(now, random);
                self.renew(now)
            }
            Phase::Renewing(_) | Phase::Rebinding(_) => self.renew(now),
        }
    }

    /// Asks everyone for an offer. The first message goes out at once: the random delay of RFC 2131 §4.4.1 is against
    /// many machines that start in the same moment, and would cost every start seconds.
    fn discover(&mut self, now: Duration, random: Random<'_>, sent: u32) -> Effect {
        if sent == 0 {
            self.new_exchange(now, random);
        }
        self.count_elapsed(now);
        self.phase = Phase::Selecting(attempt(now, random, sent));
        Effect::Broadcast(self.message(now, MessageType::Discover))
    }

    /// Asks for the offer.
    fn request(&mut self, now: Duration, random: Random<'_>, offer: Lease, sent: u32) -> Effect {
        let mut message = self.message(now, MessageType::Request);
        message.requested = Some(offer.address);
        message.server = Some(offer.server);
        self.phase = Phase::Requesting(offer, attempt(now, random, sent));
        Effect::Broadcast(message)
    }

    /// Asks for the lease that is held.
    fn reboot(&mut self, now: Duration, random: Random<'_>, sent: u32) -> Effect {
        self.count_elapsed(now);
        let mut message = self.message(now, MessageType::Request);
        message.requested = self.held.as_ref().map(|held| held.lease.address);
        self.phase = Phase::Rebooting(attempt(now, random, sent));
        Effect::Broadcast(message)
    }

    /// Asks to renew the lease: its server until T2, then everyone.
    fn renew(&mut self, now: Duration) -> Option<Effect> {
        self.count_elapsed(now);
        let mut message = self.message(now, MessageType::Request);
        let held = self.held.as_ref()?;
        let deadlines = held.deadlines?;
        message.own_address = Some(held.lease.address);
        // "wait one-half of the remaining time until T2 [or the end], down to a minimum of 60 seconds" (RFC 2131 §4.4.5).
        let again = |end: Duration| end.min(now + (end.saturating_sub(now) / 2).max(RENEW_WAIT_MIN));
        if now < deadlines.rebind {
            let server = held.lease.server;
            self.phase = Phase::Renewing(again(deadlines.rebind));
            Some(Effect::Unicast(message, server))
        } else {
            self.phase = Phase::Rebinding(again(deadlines.end));
            Some(Effect::Broadcast(message))
        }
    }

    /// A message of the exchange that is going on.
    fn message(&mut self, now: Duration, kind: MessageType) -> Request {
        self.sent = now;
        Request {
            kind,
            transaction: self.transaction,
            elapsed_s: self.elapsed_s,
            own_address: None,
            requested: None,
            server: None,
        }
    }

    fn receive(&mut self, now: Duration, random: Random<'_>, reply: &Reply, effects: &mut Vec<Effect>) {
        let asked = match &self.phase {
            Phase::Idle | Phase::Bound => return,
            Phase::Selecting(_) => {
                // The first usable offer is as good as any (RFC 2131 §4.4.1 leaves the choice to the client).
                let offer = if reply.kind == MessageType::Offer { Lease::from_reply(reply) } else { None };
                effects.extend(offer.map(|offer| self.request(now, random, offer, 0)));
                return;
            }
            Phase::Requesting(offer, _) => Some(offer.server),
            Phase::Renewing(_) => self.held.as_ref().map(|held| held.lease.server),
            Phase::Rebooting(_) | Phase::Rebinding(_) => None,
        };
        // Who was not asked has no say.
        if reply.server.is_none() || asked.is_some() && reply.server != asked {
            return;
        }
        match reply.kind {
            MessageType::Ack => {
                effects.extend(Lease::from_reply(reply).and_then(|lease| self.bind(now, random, lease)))
            }
            MessageType::Nak => self.refused(now, random, effects),
            _ => {}
        }
    }

    /// The lease was granted, or renewed; nothing happens if the answer took so long that it is over already.
    ///
    /// The address is not probed with ARP first, as RFC 2131 §3.1 recommends: each start would have to wait for the silence of
    /// others, and servers probe what they offer.
    fn bind(&mut self, now: Duration, random: Random<'_>, lease: Lease) -> Option<Effect> {
        let deadlines = lease.times.map(|times| {
            let after = |s: u32| self.sent + Duration::from_secs(s.into());
            // "some random fuzz" (RFC 2131 §4.4.5), so that machines that started together do not renew together.
            let fuzz =
                Duration::from_millis(u64::from(random()) % (u64::from(times.renew_s) * 1000 / 16 + 1));
            Deadlines {
                renew: after(times.renew_s).saturating_sub(fuzz),
                rebind: after(times.rebind_s),
                end: after(times.end_s),
            }
        });
        if deadlines.is_some_and(|deadlines| deadlines.end <= now) {
            return None;
        }
        let left = |deadlines: Deadlines| deadlines.end.saturating_sub(now).as_secs();
        let valid_s = deadlines.map(|deadlines| left(deadlines).try_into().unwrap_or(u32::MAX).max(1));
        self.held = Some(Held { lease: lease.clone(), deadlines });
        self.phase = Phase::Bound;
        self.refusals = 0;
        Some(Effect::Configure { lease, valid_s })
    }

    /// A server said no. The first time the client begins anew at once; a server that offers and then refuses, again and
    /// again, is given time.
    fn refused(&mut self, now: Duration, random: Random<'_>, effects: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Requesting(..)) && self.held.take().is_some() {
            effects.push(Effect::Unconfigure);
        }
        if self.refusals == 0 {
            effects.push(self.discover(now, random, 0));
        } else {
            self.transaction = random();
            let again = now + backoff(self.refusals - 1, random());
            self.phase = Phase::Selecting(Attempt { count: 0, again });
        }
        self.refusals = self.refusals.saturating_add(1);
    }
}

/// The attempt that is made now, after `sent` others.
fn attempt(now: Duration, random: Random<'_>, sent: u32) -> Attempt {
    Attempt { count: sent.saturating_add(1), again: now + backoff(sent, random()) }
}

/// How long an answer is awaited after `sent` earlier messages: 4, 8, 16, 32, then always 64 seconds, each longer or
/// shorter by up to one (RFC 2131 §4.1).
fn backoff(sent: u32, random: u32) -> Duration {
    let middle_ms = 4000 << sent.min(4);
    Duration::from_millis(middle_ms - 1000 + u64::from(random % 2001))
}
