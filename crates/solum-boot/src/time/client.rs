//! When to ask which server, whom to believe, and what to do to the clock; as decisions, without I/O.

use std::net::IpAddr;
use std::time::Duration;

use super::exchange::Answer;

/// From this error on the clock is set at once, below it runs faster or slower until it is right. It is also the largest
/// error that the kernel takes for that (`MAXPHASE` in include/linux/timex.h).
const STEP_US: u64 = 500_000;
/// How long the answers of one round are awaited.
const ROUND: Duration = Duration::from_secs(5);
/// Servers asked in a round: enough to outvote a wrong one, and few enough to be no burden.
const SERVERS_MAX: usize = 4;
/// Intervals between rounds that succeed, in seconds: from RFC 5905's minimum of 64 to its usual maximum of 1024.
const INTERVAL_MIN_S: u64 = 64;
const INTERVAL_MAX_S: u64 = 1024;
/// An error that is more than noise, in microseconds: so the clock drifts, and is looked at more often.
const DRIFT_US: u64 = 20_000;
/// A first retry when no packet could be sent (no network yet, no name resolved): it burdens no server.
const UNSENT_RETRY_S: u64 = 1;
/// A first retry when nobody answered (RFC 4330 §10: never less than 15 seconds).
const UNANSWERED_RETRY_S: u64 = 16;
/// A step of a clock that was right is made only when a second round, after this time, confirms it.
const CONFIRM_S: u64 = 16;
/// No time before this release of Solum is believed, in seconds since 1970: 2026-01-01T00:00:00Z.
pub(super) const EARLIEST_S: u64 = 1_767_225_600;

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Nothing but the passing of time.
    TimePassed,
    /// The names of the servers have these addresses, best first.
    Resolved(Vec<IpAddr>),
    /// A question could not be sent.
    Unsent(IpAddr),
    /// A server answered.
    Answered(IpAddr, Answer),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Find the addresses of the servers; the answer is [`Event::Resolved`].
    Resolve,
    /// Ask this server.
    Ask(IpAddr),
    /// Answers to earlier questions are not awaited any more.
    Forget,
    /// Correct the clock.
    Correct(Correction),
}

/// How the clock is to be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Correction {
    /// Who was believed.
    pub server: IpAddr,
    /// What to add to the clock, in microseconds.
    pub offset_us: i64,
    /// At once, or by letting it run faster or slower.
    pub at_once: bool,
    /// How long it is until the next one, in seconds.
    pub interval_s: u64,
}

/// The state of the role. All times but those of the clock are since some moment that stays the same.
#[derive(Debug)]
pub(super) struct Client {
    phase: Phase,
    /// Servers that said never to ask again.
    forbidden: Vec<IpAddr>,
    /// The clock was right once.
    is_set: bool,
    /// The last round showed an error that is to be confirmed.
    suspected: bool,
    interval_s: u64,
    retry_s: u64,
}

#[derive(Debug)]
enum Phase {
    /// Until the next round.
    Waiting(Duration),
    Resolving,
    Asking(Round),
}

#[derive(Debug)]
struct Round {
    ends: Duration,
    /// Asked and silent so far.
    silent: Vec<IpAddr>,
    answers: Vec<Sample>,
    /// At least one question went out.
    sent: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    server: IpAddr,
    offset_us: i64,
    travel_us: u64,
}

impl Client {
    /// A client that asks at once.
    pub fn new() -> Self {
        Self {
            phase: Phase::Waiting(Duration::ZERO),
            forbidden: Vec::new(),
            is_set: false,
            suspected: false,
            interval_s: INTERVAL_MIN_S,
            retry_s: 0,
        }
    }

    /// When [`Event::TimePassed`] is due.
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Waiting(until) => Some(*until),
            Phase::Resolving => None,
            Phase::Asking(round) => Some(round.ends),
        }
    }

    /// Takes an event at the time `now`; `clock` is what the clock says, as time since 1970.
    pub fn step(&mut self, now: Duration, clock: Duration, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match (event, &mut self.phase) {
            (Event::TimePassed, Phase::Waiting(until)) if now >= *until => {
                self.phase = Phase::Resolving;
                effects.push(Effect::Resolve);
            }
            (Event::Resolved(servers), Phase::Resolving) => {
                let wanted = servers.into_iter().filter(|server| !self.forbidden.contains(server));
                let silent: Vec<_> = wanted.take(SERVERS_MAX).collect();
                effects.extend(silent.iter().copied().map(Effect::Ask));
                self.phase =
                    Phase::Asking(Round { ends: now + ROUND, silent, answers: Vec::new(), sent: false });
            }
            (Event::Unsent(server), Phase::Asking(round)) => round.silent.retain(|silent| *silent != server),
            (Event::Answered(server, answer), Phase::Asking(round)) => {
                let asked = round.silent.iter().position(|silent| *silent == server);
                if let Some(position) = asked {
                    round.silent.swap_remove(position);
                    round.sent = true;
                    self.take(server, answer, clock);
                }
            }
            _ => {}
        }
        self.end_round(now, &mut effects);
        effects
    }

    fn take(&mut self, server: IpAddr, answer: Answer, clock: Duration) {
        let Phase::Asking(round) = &mut self.phase else { return };
        match answer {
            Answer::Time { offset_us, travel_us } => {
                let clock_us = i128::try_from(clock.as_micros()).unwrap_or(i128::MAX);
                let claimed_us = clock_us.saturating_add(offset_us.into());
                if claimed_us >= i128::from(EARLIEST_S) * 1_000_000 {
                    round.answers.push(Sample { server, offset_us, travel_us });
                }
            }
            Answer::GoAway { forever: true } => self.forbidden.push(server),
            Answer::GoAway { forever: false } => self.interval_s = (self.interval_s * 2).min(INTERVAL_MAX_S),
        }
    }

    /// Ends a round in which everyone answered, or whose time is over.
    fn end_round(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Phase::Asking(round) = &self.phase else { return };
        if !round.silent.is_empty() && now < round.ends {
            return;
        }
        let sent = round.sent || !round.silent.is_empty();
        let best = best(&round.answers);
        effects.push(Effect::Forget);
        let pause_s = match best {
            Some(sample) => self.believe(sample, effects),
            None => self.retry(sent),
        };
        self.phase = Phase::Waiting(now + Duration::from_secs(pause_s));
    }

    /// Corrects the clock; gives the seconds until the next round.
    fn believe(&mut self, sample: Sample, effects: &mut Vec<Effect>) -> u64 {
        self.retry_s = 0;
        let error_us = sample.offset_us.unsigned_abs();
        let at_once = error_us >= STEP_US;
        if at_once && self.is_set && !self.suspected {
            self.suspected = true;
            return CONFIRM_S;
        }
        if at_once || error_us >= DRIFT_US {
            self.interval_s = INTERVAL_MIN_S;
        } else if self.is_set {
            self.interval_s = (self.interval_s * 2).min(INTERVAL_MAX_S);
        }
        self.suspected = false;
        self.is_set = true;
        let Sample { server, offset_us, .. } = sample;
        effects.push(Effect::Correct(Correction { server, offset_us, at_once, interval_s: self.interval_s }));
        self.interval_s
    }

    /// The seconds until nobody's answer is awaited again: more each time.
    fn retry(&mut self, sent: bool) -> u64 {
        let (first, last) =
            if sent { (UNANSWERED_RETRY_S, INTERVAL_MAX_S) } else { (UNSENT_RETRY_S, INTERVAL_MIN_S) };
        self.retry_s = (self.retry_s * 2).clamp(first, last);
        self.retry_s
    }
}

/// Of the answers that agree with the middle one, the one that travelled the shortest: so one wrong clock among three or
/// more servers is not believed.
fn best(answers: &[Sample]) -> Option<Sample> {
    let mut offsets: Vec<i64> = answers.iter().map(|sample| sample.offset_us).collect();
    offsets.sort_unstable();
    let middle = *offsets.get(offsets.len().saturating_sub(1) / 2)?;
    let agrees = |sample: &&Sample| sample.offset_us.abs_diff(middle) <= sample.travel_us / 2 + STEP_US / 4;
    answers.iter().filter(agrees).min_by_key(|sample| sample.travel_us).copied()
}
