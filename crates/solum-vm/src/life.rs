//! The life of a run as decisions: events go in, effects come out, and nothing here touches the world.

use std::time::Duration;

use solum_spec::control::{Ending, Outcome, PROTOCOL, ToMachine};

use crate::accelerator::Accelerator;
use crate::requests::Request;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole run; then it is stopped as if the user had asked.
    pub timeout: Option<Duration>,
    /// Silence on every channel before PID 1 says hello; `None` for an initramfs that never will.
    pub silence: Option<Duration>,
    /// From a request to stop until the machine is ended by force: the program's grace and time to power off.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let silence = Some(Self::silence_under(Accelerator::Kvm));
        Self { timeout: None, silence, stop: Duration::from_secs(20) }
    }
}

impl Limits {
    /// Silence that only a hang can explain. A kernel says nothing while all goes well, so this is how long a whole boot
    /// may take: many times what it takes, for a host that is busy with other things.
    pub fn silence_under(accelerator: Accelerator) -> Duration {
        match accelerator {
            Accelerator::Kvm => Duration::from_secs(60),
            Accelerator::Tcg => Duration::from_secs(180),
        }
    }
}

/// From the program's end until the machine is ended by force.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(10);

/// For the host to take what the machine wrote last. A reader that is slower than this loses output.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// From a kernel panic, or its last word after it, until the machine is ended by force, if the kernel does not
/// restart by itself.
const PANIC_LIMIT: Duration = Duration::from_secs(5);

/// From the machine's end until the emulator is ended by force. QEMU 7.2 can hang there for ever when a monitor
/// command meets the machine's end (`monitor_cleanup` waits for a dispatcher that is not coming back; seen in 3 of
/// 200 runs), and it has nothing left to do.
const EMULATOR_LIMIT: Duration = Duration::from_secs(1);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes came on some channel.
    Activity,
    /// PID 1 runs and speaks this version of the protocol.
    Hello(u16),
    /// What the machine does when it has ended, if it does not power off.
    Ending(Ending),
    /// The program ended.
    Ended(Outcome),
    /// What came on the control channel is not its protocol.
    Garbled,
    /// Everything the program wrote has reached the host.
    Drained,
    /// The kernel panicked.
    Panicked,
    /// A caller asked for something.
    Requested(Request),
    /// Nobody reads the program's output any more.
    OutputClosed,
    /// Time has passed.
    Tick,
    /// The machine is off, and the emulator is about to end.
    PoweredOff,
    /// The machine is no more, and its channels are read to their ends.
    Gone,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell PID 1.
    Send(ToMachine),
    /// Press the machine's power button.
    PressPowerButton,
    /// Find out when everything the program wrote has arrived; [`Event::Drained`] answers.
    Drain,
    /// Close the control channel: PID 1 waits for that before it powers off, because a machine that is off has
    /// forgotten what its devices had not yet handed over.
    HangUp,
    /// End the machine by force.
    Kill,
}

/// Why a run ended, as far as its events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The program ended.
    Program(Outcome),
    /// The user asked for it, and the machine did not say how the program ended.
    Stopped,
    /// The user asked for a forced end.
    Killed,
    /// The time limit.
    TimedOut(Duration),
    /// Nothing happened for this long before PID 1 said hello.
    Silent(Duration),
    /// PID 1 speaks another version of the control protocol.
    OtherProtocol(u16),
    /// What came on the control channel is not its protocol.
    Garbled,
    /// The kernel panicked.
    Panicked,
    /// It ended, and no event says why.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Up,
    /// `told`: PID 1 has got the request.
    Stopping {
        told: bool,
    },
    Draining,
    Leaving,
    Killing,
    Gone,
}

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Life {
    limits: Limits,
    phase: Phase,
    cause: Option<Cause>,
    last_activity: Duration,
    /// When the machine is ended by force.
    force_at: Option<Duration>,
    /// The size of the terminal, for PID 1 when it listens.
    size: Option<ToMachine>,
    ending: Ending,
}

/// The longest wait between two looks at the clock.
const FOREVER: Duration = Duration::from_secs(3600);

impl Life {
    /// A run at its start, at time zero.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Starting,
            cause: None,
            last_activity: Duration::ZERO,
            force_at: None,
            size: None,
            ending: Ending::PowerOff,
        }
    }

    /// The machine is gone.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// What becomes of the machine, by its own word.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// What ended the run.
    pub fn cause(&self) -> Cause {
        self.cause.clone().unwrap_or(Cause::Unknown)
    }

    /// How long to wait at most before the next [`Event::Tick`].
    pub fn patience(&self, now: Duration) -> Duration {
        let silence = self.silence_at().map(|(at, _)| at);
        let timeout = self.timeout_at().map(|(at, _)| at);
        let next = [self.force_at, silence, timeout].into_iter().flatten().min();
        next.map_or(FOREVER, |at| at.saturating_sub(now))
    }

    /// Takes one event at time `now` since the start, and says what to do.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        if self.is_over() {
            return Vec::new();
        }
        match event {
            Event::Activity => self.active(now),
            Event::Hello(protocol) => return self.hello(now, protocol),
            Event::Ending(ending) => self.ending = ending,
            Event::Ended(outcome) => return self.ended(now, outcome),
            Event::Drained if self.phase == Phase::Draining => return self.hang_up(now),
            Event::Drained => {}
            Event::Garbled => return self.kill(now, Cause::Garbled),
            Event::Panicked => self.panicked(now),
            Event::PoweredOff => self.powered_off(now),
            Event::Requested(request) => return self.requested(now, request),
            Event::OutputClosed => return self.stop(now, Cause::Stopped),
            Event::Tick => return self.tick(now),
            Event::Gone => self.phase = Phase::Gone,
        }
        Vec::new()
    }

    fn active(&mut self, now: Duration) {
        self.last_activity = now;
        // A kernel that panicked prints its whole log once more, which takes a busy host a while.
        if self.phase == Phase::Leaving && self.cause == Some(Cause::Panicked) {
            self.force_at = Some(now + PANIC_LIMIT);
        }
    }

    fn hello(&mut self, now: Duration, protocol: u16) -> Vec<Effect> {
        self.last_activity = now;
        if protocol != PROTOCOL {
            return self.kill(now, Cause::OtherProtocol(protocol));
        }
        let mut effects: Vec<Effect> = self.size.take().map(Effect::Send).into_iter().collect();
        match self.phase {
            Phase::Starting => self.phase = Phase::Up,
            Phase::Stopping { told: false } => {
                self.phase = Phase::Stopping { told: true };
                effects.push(Effect::Send(ToMachine::Stop));
            }
            _ => {}
        }
        effects
    }

    fn ended(&mut self, now: Duration, outcome: Outcome) -> Vec<Effect> {
        if !matches!(self.phase, Phase::Starting | Phase::Up | Phase::Stopping { .. }) {
            return Vec::new();
        }
        // What the program says of itself is more than that it was asked to stop; a timeout stays a timeout.
        if matches!(self.cause, None | Some(Cause::Stopped)) {
            self.cause = Some(Cause::Program(outcome));
        }
        self.phase = Phase::Draining;
        self.force_at = Some(now + DRAIN_LIMIT);
        vec![Effect::Drain]
    }

    fn hang_up(&mut self, now: Duration) -> Vec<Effect> {
        self.phase = Phase::Leaving;
        // What stands still is not waited for: everything is written, and nothing more is to come.
        let limit = if self.ending == Ending::Halt { EMULATOR_LIMIT } else { POWER_OFF_LIMIT };
        self.force_at = Some(now + limit);
        vec![Effect::HangUp]
    }

    fn panicked(&mut self, now: Duration) {
        if self.phase != Phase::Killing {
            self.cause.get_or_insert(Cause::Panicked);
            self.phase = Phase::Leaving;
            self.force_at = Some(now + PANIC_LIMIT);
        }
    }

    fn powered_off(&mut self, now: Duration) {
        if self.phase != Phase::Killing {
            self.phase = Phase::Leaving;
            self.force_at = Some(now + EMULATOR_LIMIT);
        }
    }

    fn requested(&mut self, now: Duration, request: Request) -> Vec<Effect> {
        let told = match request {
            Request::Stop => return self.stop(now, Cause::Stopped),
            Request::Kill => return self.kill(now, Cause::Killed),
            Request::Signal(signal) => ToMachine::Signal(signal),
            Request::Resize { rows, columns } => ToMachine::Resize { rows, columns },
            // The machine of a single program has no keyboard.
            Request::Key(..) => return Vec::new(),
        };
        match (self.phase, told) {
            (Phase::Up | Phase::Stopping { told: true }, told) => return vec![Effect::Send(told)],
            (Phase::Starting, ToMachine::Resize { .. }) => self.size = Some(told),
            _ => {}
        }
        Vec::new()
    }

    fn stop(&mut self, now: Duration, cause: Cause) -> Vec<Effect> {
        let effect = match self.phase {
            Phase::Up => Effect::Send(ToMachine::Stop),
            // PID 1 would have said hello before it did anything that has to be ended in good order.
            Phase::Starting if self.limits.silence.is_some() => return self.kill(now, cause),
            // Of an initramfs that is not ours nobody knows how far it is; a kernel with a button driver may react.
            Phase::Starting => Effect::PressPowerButton,
            _ => return Vec::new(),
        };
        self.phase = Phase::Stopping { told: self.phase == Phase::Up };
        self.cause.get_or_insert(cause);
        self.force_at = Some(now + self.limits.stop);
        vec![effect]
    }

    fn kill(&mut self, now: Duration, cause: Cause) -> Vec<Effect> {
        if cause == Cause::Killed && self.cause == Some(Cause::Stopped) {
            // The second request is the one that was carried out.
            self.cause = None;
        }
        self.cause.get_or_insert(cause);
        self.phase = Phase::Killing;
        // SIGKILL cannot be refused, but a process in an uninterruptible wait takes its time: ask again.
        self.force_at = Some(now + PANIC_LIMIT);
        vec![Effect::Kill]
    }

    fn silence_at(&self) -> Option<(Duration, Duration)> {
        let limit = self.limits.silence?;
        (self.phase == Phase::Starting).then_some((self.last_activity + limit, limit))
    }

    fn timeout_at(&self) -> Option<(Duration, Duration)> {
        let limit = self.limits.timeout?;
        matches!(self.phase, Phase::Starting | Phase::Up).then_some((limit, limit))
    }

    fn tick(&mut self, now: Duration) -> Vec<Effect> {
        if self.force_at.is_some_and(|at| at <= now) {
            return match self.phase {
                Phase::Draining => self.hang_up(now),
                _ => self.kill(now, Cause::Unknown),
            };
        }
        if let Some((_, limit)) = self.silence_at().filter(|(at, _)| *at <= now) {
            return self.kill(now, Cause::Silent(limit));
        }
        if let Some((_, limit)) = self.timeout_at().filter(|(at, _)| *at <= now) {
            return self.stop(now, Cause::TimedOut(limit));
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn life() -> Life {
        let limits = Limits { timeout: Some(300 * SECOND), silence: Some(60 * SECOND), stop: 20 * SECOND };
        Life::new(limits)
    }

    /// A run of an initramfs that need not be ours.
    fn foreign() -> Life {
        Life::new(Limits { timeout: Some(300 * SECOND), silence: None, stop: 20 * SECOND })
    }

    /// Plays events at seconds, and gives back all effects.
    fn play(life: &mut Life, events: &[(u32, Event)]) -> Vec<Effect> {
        events.iter().flat_map(|(second, event)| life.step(*second * SECOND, event.clone())).collect()
    }

    fn exited() -> Event {
        Event::Ended(Outcome::Exited(3))
    }

    const STOP: Event = Event::Requested(Request::Stop);
    const KILL: Event = Event::Requested(Request::Kill);
    const HELLO: Event = Event::Hello(PROTOCOL);

    #[test]
    fn from_hello_to_the_end() {
        let mut life = life();
        let effects =
            play(&mut life, &[(1, HELLO), (2, exited()), (2, Event::Drained), (3, Event::PoweredOff)]);
        assert_eq!(effects, [Effect::Drain, Effect::HangUp]);
        assert!(!life.is_over());
        assert_eq!(play(&mut life, &[(3, Event::Gone), (4, KILL), (400, Event::Tick)]), []);
        assert!(life.is_over());
        assert_eq!(life.cause(), Cause::Program(Outcome::Exited(3)));
    }

    #[test]
    fn a_machine_that_stands_still_is_ended_soon() {
        let mut life = life();
        let halts = Event::Ending(Ending::Halt);
        let effects =
            play(&mut life, &[(1, HELLO), (2, halts), (2, exited()), (3, Event::Drained), (4, Event::Tick)]);
        assert_eq!(effects, [Effect::Drain, Effect::HangUp, Effect::Kill]);
        assert_eq!((life.cause(), life.ending()), (Cause::Program(Outcome::Exited(3)), Ending::Halt));
    }

    #[test]
    fn a_second_request_is_what_ended_the_run() {
        let mut life = life();
        let effects = play(&mut life, &[(1, HELLO), (2, STOP), (3, KILL)]);
        assert_eq!(effects, [Effect::Send(ToMachine::Stop), Effect::Kill]);
        assert_eq!(life.cause(), Cause::Killed);
    }

    #[test]
    fn a_kernel_that_panicked_may_finish_its_report() {
        let mut life = life();
        assert_eq!(play(&mut life, &[(1, Event::Panicked), (5, Event::Activity), (9, Event::Tick)]), []);
        assert_eq!(play(&mut life, &[(10, Event::Tick)]), [Effect::Kill]);
        assert_eq!(life.cause(), Cause::Panicked);
    }

    #[test]
    fn a_request_to_stop_goes_to_whoever_listens() {
        for (before, effect) in
            [(vec![], Effect::PressPowerButton), (vec![(1, HELLO)], Effect::Send(ToMachine::Stop))]
        {
            let mut life = foreign();
            play(&mut life, &before);
            assert_eq!(play(&mut life, &[(2, STOP), (3, STOP)]), [effect]);
            assert_eq!(play(&mut life, &[(21, Event::Tick)]), []);
            assert_eq!(play(&mut life, &[(22, Event::Tick)]), [Effect::Kill]);
            assert_eq!(life.cause(), Cause::Stopped);
        }
    }

    #[test]
    fn a_machine_in_which_nobody_can_be_asked_yet_is_ended_at_once() {
        let mut life = life();
        assert_eq!(play(&mut life, &[(1, Event::Activity), (2, STOP), (2, STOP)]), [Effect::Kill]);
        assert_eq!(play(&mut life, &[(2, Event::Gone)]), []);
        assert_eq!(life.cause(), Cause::Stopped);
    }

    #[test]
    fn an_early_request_is_passed_on_at_hello() {
        let mut life = foreign();
        let effects = play(&mut life, &[(1, STOP), (2, HELLO), (3, exited())]);
        assert_eq!(effects, [Effect::PressPowerButton, Effect::Send(ToMachine::Stop), Effect::Drain]);
        assert_eq!(life.cause(), Cause::Program(Outcome::Exited(3)));
    }

    #[test]
    fn limits_are_kept_and_named() {
        let silent = [(30, Event::Activity), (89, Event::Tick), (90, Event::Tick)];
        let unsigned = [(1, HELLO), (2, exited()), (31, Event::Tick), (32, Event::Tick), (42, Event::Tick)];
        let timed_out = [(1, HELLO), (299, Event::Tick), (300, Event::Tick), (305, exited())];
        for (events, effects, cause) in [
            (&silent[..2], vec![], Cause::Unknown),
            (&silent[..], vec![Effect::Kill], Cause::Silent(60 * SECOND)),
            (&unsigned[..3], vec![Effect::Drain], Cause::Program(Outcome::Exited(3))),
            (&unsigned[..4], vec![Effect::Drain, Effect::HangUp], Cause::Program(Outcome::Exited(3))),
            (
                &unsigned[..],
                vec![Effect::Drain, Effect::HangUp, Effect::Kill],
                Cause::Program(Outcome::Exited(3)),
            ),
            (
                &timed_out[..],
                vec![Effect::Send(ToMachine::Stop), Effect::Drain],
                Cause::TimedOut(300 * SECOND),
            ),
        ] {
            let mut life = life();
            assert_eq!(play(&mut life, events), effects, "{events:?}");
            assert_eq!(life.cause(), cause, "{events:?}");
        }
    }

    #[test]
    fn patience_reaches_exactly_to_the_next_limit() {
        let mut life = life();
        assert_eq!(life.patience(10 * SECOND), 50 * SECOND);
        play(&mut life, &[(20, HELLO)]);
        assert_eq!(life.patience(20 * SECOND), 280 * SECOND);
        play(&mut life, &[(30, STOP)]);
        assert_eq!(life.patience(31 * SECOND), 19 * SECOND);
        assert_eq!(life.patience(99 * SECOND), Duration::ZERO);
        let unlimited = Limits { timeout: None, silence: None, stop: SECOND };
        assert_eq!(Life::new(unlimited).patience(Duration::ZERO), FOREVER);
    }

    #[test]
    fn a_panic_and_an_end_without_qemus_end_are_forced() {
        for (event, cause, limit) in [
            (Event::Panicked, Cause::Panicked, PANIC_LIMIT),
            (Event::PoweredOff, Cause::Unknown, EMULATOR_LIMIT),
        ] {
            let mut life = life();
            assert_eq!(play(&mut life, &[(1, HELLO), (2, event)]), []);
            assert_eq!(life.patience(2 * SECOND), limit);
            assert_eq!(play(&mut life, &[(7, Event::Tick)]), [Effect::Kill]);
            assert_eq!(life.cause(), cause);
        }
    }

    #[test]
    fn messages_wait_for_a_listener_and_the_last_word_is_the_first_cause() {
        let mut life = life();
        let resize = |rows| Event::Requested(Request::Resize { rows, columns: 2 });
        assert_eq!(play(&mut life, &[(1, resize(1)), (1, resize(2))]), []);
        let effects = play(&mut life, &[(1, HELLO), (2, resize(3))]);
        let sent = |rows| Effect::Send(ToMachine::Resize { rows, columns: 2 });
        assert_eq!(effects, [sent(2), sent(3)], "of what was said too early, the newest");
        assert_eq!(play(&mut life, &[(3, Event::Garbled), (4, exited()), (5, STOP)]), [Effect::Kill]);
        assert_eq!(life.cause(), Cause::Garbled);
        // A process that does not die of it is killed again.
        assert_eq!(play(&mut life, &[(8, Event::Tick)]), [Effect::Kill]);
    }

    #[test]
    fn another_protocol_and_a_closed_output() {
        let mut other = life();
        assert_eq!(play(&mut other, &[(1, Event::Hello(PROTOCOL + 1))]), [Effect::Kill]);
        assert_eq!(other.cause(), Cause::OtherProtocol(PROTOCOL + 1));
        let mut unread = life();
        let effects = play(&mut unread, &[(1, HELLO), (2, Event::OutputClosed), (2, Event::OutputClosed)]);
        assert_eq!(effects, [Effect::Send(ToMachine::Stop)]);
    }
}
