//! When to ask which server, whom to believe, and what to do to the clock; as decisions, without I/O.

use std::net::IpAddr;
use std::time::Duration;

use super::exchange::Answer;
use super::is_moment;

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
pub const EARLIEST_S: u64 = 1_767_225_600;

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Nothing but the passing of time.
    TimePassed,
    /// The names of the servers have these addresses, best first.
    Resolved(Vec<IpAddr>),
    /// A question could not be sent.
    Unsent(IpAddr),
    /// A question arrived where no server is.
    Refused(IpAddr),
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
    /// The error that the last round showed, which is to be confirmed.
    suspected_us: Option<i64>,
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
    /// Asked, best first.
    asked: Vec<IpAddr>,
    /// Silent so far.
    silent: Vec<IpAddr>,
    answers: Vec<Sample>,
    /// At least one question went out.
    sent: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    server: IpAddr,
    /// Its place among those that were asked.
    rank: u64,
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
            suspected_us: None,
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
                let asked: Vec<_> = wanted.take(SERVERS_MAX).collect();
                effects.extend(asked.iter().copied().map(Effect::Ask));
                let silent = asked.clone();
                let ends = now + ROUND;
                self.phase = Phase::Asking(Round { ends, asked, silent, answers: Vec::new(), sent: false });
            }
            (Event::Unsent(server), Phase::Asking(round)) => round.silent.retain(|silent| *silent != server),
            (Event::Refused(server), Phase::Asking(round)) => {
                round.silent.retain(|silent| *silent != server);
                round.sent = true;
            }
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
                if u64::try_from(claimed_us / 1_000_000).is_ok_and(is_moment) {
                    let place = round.asked.iter().position(|asked| *asked == server);
                    let rank = place.unwrap_or(round.asked.len()) as u64;
                    round.answers.push(Sample { server, rank, offset_us, travel_us });
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
        let best = best(&round.answers, self.is_set);
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
        let confirms = |suspected_us: i64| suspected_us.abs_diff(sample.offset_us) < STEP_US;
        if at_once && self.is_set && !self.suspected_us.is_some_and(confirms) {
            // Who says another thing each time is asked no more often than others.
            let pause_s = if self.suspected_us.is_none() { CONFIRM_S } else { self.interval_s };
            self.suspected_us = Some(sample.offset_us);
            return pause_s;
        }
        if at_once || error_us >= DRIFT_US {
            self.interval_s = INTERVAL_MIN_S;
        } else if self.is_set {
            self.interval_s = (self.interval_s * 2).min(INTERVAL_MAX_S);
        }
        self.suspected_us = None;
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
/// more servers is not believed. Of two in the middle, the clock itself decides if it was right once, else who was named first.
fn best(answers: &[Sample], is_set: bool) -> Option<Sample> {
    let mut sorted = answers.to_vec();
    sorted.sort_unstable_by_key(|sample| sample.offset_us);
    let middles = sorted.get(sorted.len().saturating_sub(1) / 2..=sorted.len() / 2)?;
    let doubt = |sample: &&Sample| if is_set { sample.offset_us.unsigned_abs() } else { sample.rank };
    let middle = middles.iter().min_by_key(doubt)?.offset_us;
    let agrees = |sample: &&Sample| sample.offset_us.abs_diff(middle) <= sample.travel_us / 2 + STEP_US / 4;
    answers.iter().filter(agrees).min_by_key(|sample| sample.travel_us).copied()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const CLOCK: Duration = Duration::from_secs(EARLIEST_S + 1_000_000);

    fn server(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    fn time(offset_ms: i64) -> Answer {
        Answer::Time { offset_us: offset_ms * 1000, travel_us: 10_000 }
    }

    struct Bench {
        client: Client,
        now: Duration,
    }

    impl Bench {
        fn new() -> Self {
            Self { client: Client::new(), now: Duration::ZERO }
        }

        fn step(&mut self, event: Event) -> Vec<Effect> {
            self.client.step(self.now, CLOCK, event)
        }

        /// Passes the time until something is due; gives the seconds.
        fn pass(&mut self) -> (u64, Vec<Effect>) {
            let due = self.client.deadline().unwrap();
            let waited = due.saturating_sub(self.now);
            self.now = due;
            (waited.as_secs(), self.step(Event::TimePassed))
        }

        /// A round in which servers 1, 2, … say this; gives the seconds before it, and what came of it.
        fn round(&mut self, answers: &[Answer]) -> (u64, Option<Correction>) {
            let (waited, effects) = self.pass();
            assert_eq!(effects, [Effect::Resolve]);
            let servers: Vec<_> = (1..=answers.len() as u8).map(server).collect();
            let mut effects = self.step(Event::Resolved(servers));
            for (position, answer) in answers.iter().enumerate() {
                effects.extend(self.step(Event::Answered(server(position as u8 + 1), *answer)));
            }
            let correction = effects.iter().find_map(|effect| match effect {
                Effect::Correct(correction) => Some(*correction),
                _ => None,
            });
            (waited, correction)
        }
    }

    #[test]
    fn the_first_round_is_at_once_and_later_ones_ever_rarer() {
        let mut bench = Bench::new();
        let (waited, correction) = bench.round(&[time(3)]);
        let expected = Correction { server: server(1), offset_us: 3000, at_once: false, interval_s: 64 };
        assert_eq!((waited, correction), (0, Some(expected)));
        for expected_s in [64, 128, 256, 512, 1024, 1024] {
            assert_eq!(bench.round(&[time(1)]).0, expected_s);
        }
        assert_eq!(bench.round(&[time(30)]).0, 1024);
        assert_eq!(bench.round(&[time(1)]).0, 64, "a clock that drifts is looked at more often");
    }

    #[test]
    fn half_a_second_is_the_limit_of_patience() {
        for (offset_ms, at_once) in
            [(499, false), (500, true), (-499, false), (-500, true), (1_000_000_000, true)]
        {
            let correction = Bench::new().round(&[time(offset_ms)]).1.unwrap();
            assert_eq!(correction.at_once, at_once, "{offset_ms} ms");
        }
    }

    #[test]
    fn a_clock_that_was_right_is_only_moved_when_it_is_confirmed() {
        let mut bench = Bench::new();
        bench.round(&[time(0)]);
        assert_eq!(bench.round(&[time(90_000)]).1, None);
        let (waited, correction) = bench.round(&[time(90_000)]);
        assert_eq!(waited, 16);
        assert!(correction.is_some_and(|correction| correction.at_once && correction.interval_s == 64));

        assert_eq!(bench.round(&[time(90_000)]).1, None);
        assert_eq!(bench.round(&[time(-3_600_000)]).1, None, "another one confirms nothing");
        assert_eq!(bench.round(&[time(7_200_000)]), (64, None), "who wanders is not asked without end");
        assert!(bench.round(&[time(7_200_100)]).1.is_some());

        bench.round(&[time(0)]);
        assert_eq!(bench.round(&[time(90_000)]).1, None);
        assert!(bench.round(&[time(1)]).1.is_some_and(|correction| !correction.at_once), "it was noise");
    }

    #[test]
    fn one_wrong_server_is_outvoted() {
        let wrong = time(7_200_000);
        for answers in [[time(20), wrong, time(25)], [wrong, time(20), time(25)], [time(20), time(25), wrong]]
        {
            let correction = Bench::new().round(&answers).1.unwrap();
            assert!((20_000..=25_000).contains(&correction.offset_us), "{correction:?}");
        }
        let slow = Answer::Time { offset_us: 60_000, travel_us: 900_000 };
        let correction = Bench::new().round(&[slow, time(20)]).1.unwrap();
        assert_eq!(correction.server, server(2), "the shortest way is the most exact");
    }

    #[test]
    fn of_two_that_disagree_the_first_is_believed_until_the_clock_knows_better() {
        let (late, early) = (time(20_000), time(-7_200_000));
        for [first, second] in [[late, early], [early, late]] {
            let mut bench = Bench::new();
            assert_eq!(bench.round(&[first, second]).1.unwrap().server, server(1));
            let near = bench.round(&[time(-7_200_000), time(3)]).1;
            assert_eq!(near.unwrap().server, server(2), "the clock was set by now");
        }
    }

    #[test]
    fn a_time_that_cannot_be_is_not_believed() {
        let back_s = i64::try_from((CLOCK - Duration::from_secs(EARLIEST_S)).as_secs()).unwrap();
        assert!(Bench::new().round(&[time(-back_s * 1000)]).1.is_some());
        assert!(Bench::new().round(&[time(-back_s * 1000 - 1)]).1.is_none());
        for offset_us in [i64::MIN, i64::MAX] {
            assert!(Bench::new().round(&[Answer::Time { offset_us, travel_us: 0 }]).1.is_none());
        }
        let century_ms = 100 * 366 * 86_400_000;
        assert!(Bench::new().round(&[time(century_ms)]).1.is_none());
    }

    #[test]
    fn retries_are_quick_where_nobody_is_burdened_and_slow_elsewhere() {
        let mut bench = Bench::new();
        for expected_s in [0, 1, 2, 4, 8, 16, 32, 64, 64] {
            assert_eq!(bench.pass(), (expected_s, vec![Effect::Resolve]));
            assert_eq!(bench.step(Event::Resolved(vec![])), [Effect::Forget], "no name was resolved");
        }
        let mut bench = Bench::new();
        for expected_s in [0, 16, 32, 64, 128, 256, 512, 1024, 1024] {
            assert_eq!(bench.pass(), (expected_s, vec![Effect::Resolve]));
            assert_eq!(bench.step(Event::Resolved(vec![server(1)])), [Effect::Ask(server(1))]);
            assert_eq!(bench.pass(), (5, vec![Effect::Forget]), "nobody answers");
        }
        let mut refused = Bench::new();
        for expected_s in [0, 16, 32] {
            assert_eq!(refused.pass(), (expected_s, vec![Effect::Resolve]));
            refused.step(Event::Resolved(vec![server(1)]));
            assert_eq!(refused.step(Event::Refused(server(1))), [Effect::Forget], "it got the question");
        }
        let (_, correction) = bench.round(&[time(0)]);
        assert!(correction.is_some());
        assert_eq!(bench.round(&[time(0)]).0, 64, "then all is well again");
    }

    #[test]
    fn a_round_ends_when_everyone_answered_or_its_time_is_over() {
        let mut bench = Bench::new();
        bench.pass();
        let all = (1..=6).map(server).collect();
        let asked = bench.step(Event::Resolved(all));
        assert_eq!(
            asked,
            (1..=4).map(|number| Effect::Ask(server(number))).collect::<Vec<_>>(),
            "not more than four"
        );
        assert_eq!(bench.step(Event::Answered(server(2), time(7))), []);
        assert_eq!(bench.step(Event::Answered(server(2), time(9))), [], "once");
        assert_eq!(bench.step(Event::Answered(server(5), time(9))), [], "who was not asked");
        assert_eq!(bench.step(Event::Unsent(server(3))), []);
        let (waited, effects) = bench.pass();
        assert_eq!(waited, 5);
        assert!(
            matches!(effects[..], [Effect::Forget, Effect::Correct(Correction { offset_us: 7000, .. })]),
            "{effects:?}"
        );
    }

    #[test]
    fn who_says_never_again_is_never_asked_again() {
        let mut bench = Bench::new();
        let (_, correction) = bench.round(&[Answer::GoAway { forever: true }, time(1)]);
        assert_eq!(correction.map(|correction| correction.server), Some(server(2)));
        bench.pass();
        assert_eq!(bench.step(Event::Resolved(vec![server(1), server(2)])), [Effect::Ask(server(2))]);
    }

    #[test]
    fn who_says_less_often_is_asked_less_often() {
        let mut bench = Bench::new();
        bench.round(&[time(0), Answer::GoAway { forever: false }]);
        assert_eq!(bench.round(&[time(0)]).0, 128);
    }
}
