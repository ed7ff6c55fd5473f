//! What holds whatever happens.

use std::collections::VecDeque;

use proptest::prelude::*;
use solum_spec::control::{SIGKILL, SIGTERM, Status};
use solum_spec::description::{GiveUp, Readiness, Restart, Wait};
use solum_spec::handover::UnitPhase;

use crate::{Command, Effect, Event, KILL_PATIENCE_MS, MachineTerms, PAUSE_MS, Supervisor, UnitTerms};

/// Longest list of units that is tried.
const UNITS_MAX: usize = 5;

/// What the world does next.
#[derive(Clone, Debug)]
enum Happening {
    /// Time passes, and what is due in it becomes due.
    Later(u64),
    /// The next deadline is reached.
    Due,
    /// A start that was asked for succeeds, or not.
    Answer {
        succeeds: bool,
    },
    /// A process ends, if there is one.
    Ends(usize, Status),
    /// A process says something, if there is one.
    Ready(usize),
    Health(usize, bool),
    Command(usize, Command),
    Condition(Wait),
    /// Anything at all, about processes that never were.
    Nonsense(Event),
    StopAll,
}

/// A process as the world knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    /// The supervisor wants it, and was not answered yet.
    Wanted,
    Runs,
    /// It was killed, and ends when the world says so. That may be too late, as in uninterruptible sleep.
    Killed,
}

/// The supervisor and the processes it has; each promise is checked at each step.
struct World {
    supervisor: Supervisor,
    terms: Vec<UnitTerms>,
    now: u64,
    processes: Vec<Option<(u32, Process)>>,
    epochs: Vec<u32>,
    /// What the supervisor last told of each unit.
    phases: Vec<UnitPhase>,
    told: Vec<(UnitPhase, String)>,
    /// Units that ended in a way that meets whoever needs them.
    did_their_work: Vec<bool>,
    over: bool,
}

impl World {
    fn new(terms: Vec<UnitTerms>, give_up: GiveUp) -> Self {
        let count = terms.len();
        Self {
            supervisor: Supervisor::new(terms.clone(), MachineTerms { give_up }),
            terms,
            now: 0,
            processes: vec![None; count],
            epochs: vec![0; count],
            phases: vec![UnitPhase::Waiting; count],
            told: vec![(UnitPhase::Waiting, String::new()); count],
            did_their_work: vec![false; count],
            over: false,
        }
    }

    fn step(&mut self, event: Event) {
        let effects = self.supervisor.step(self.now, event.clone());
        assert!(!self.over || effects.is_empty(), "nothing follows the end: {effects:?}");
        for effect in effects {
            assert!(!self.over, "the end is the last: {effect:?}");
            self.apply(effect);
        }
        for unit in 0..self.terms.len() {
            let (phase, _) = self.supervisor.phase(unit).unwrap();
            assert_eq!(phase, self.phases[unit], "each change is told of, after {event:?}");
        }
        if let Some(deadline) = self.supervisor.deadline() {
            assert!(!self.over, "nothing is due after the end");
            let is_due = event == Event::DeadlineReached;
            assert!(
                !is_due || deadline > self.now,
                "a deadline that was reached is not due again: {deadline}"
            );
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Start { unit, epoch } => {
                assert_eq!(self.processes[unit], None, "no unit is started twice at once");
                assert_ne!(epoch, self.epochs[unit], "each start has its epoch");
                for &need in self.terms[unit].needs.iter().filter(|&&need| need < unit) {
                    let is_met = self.phases[need] == UnitPhase::Running
                        || (self.phases[need] == UnitPhase::Ended && self.did_their_work[need]);
                    assert!(is_met, "{unit} needs {need}, which is {:?}", self.phases[need]);
                }
                self.epochs[unit] = epoch;
                self.did_their_work[unit] = false;
                self.processes[unit] = Some((epoch, Process::Wanted));
            }
            Effect::Signal { unit, number } => {
                let Some((_, process)) = &mut self.processes[unit] else {
                    panic!("signal {number} to {unit}, which has no process");
                };
                assert_ne!(*process, Process::Wanted, "a signal to a process that is not there");
                if number == SIGKILL {
                    *process = Process::Killed;
                }
            }
            Effect::Changed { unit, phase, reason } => {
                let before = std::mem::replace(&mut self.told[unit], (phase, reason));
                assert_ne!(before, self.told[unit], "nothing is told twice");
                if phase == UnitPhase::Pausing {
                    let until = self.supervisor.deadline();
                    assert!(until.is_some_and(|at| at <= self.now + PAUSE_MS.end()), "a pause has its cap");
                }
                self.phases[unit] = phase;
            }
            Effect::GaveUp { unit } => assert_eq!(self.phases[unit], UnitPhase::Failed),
            Effect::RestartMachine { .. } | Effect::Over(_) => {
                self.over = true;
                let mut left = self.processes.iter().flatten();
                let is_killed = left.all(|(_, process)| *process == Process::Killed);
                assert!(is_killed, "at most what does not die is left: {:?}", self.processes);
            }
        }
    }

    /// Lets the processes be what happens to them.
    fn happen(&mut self, happening: Happening) {
        let count = self.terms.len();
        match happening {
            Happening::Later(ms) => {
                self.now += ms;
                if self.supervisor.deadline().is_some_and(|at| at <= self.now) {
                    self.step(Event::DeadlineReached);
                }
            }
            Happening::Due => {
                if let Some(deadline) = self.supervisor.deadline() {
                    self.now = self.now.max(deadline);
                    self.step(Event::DeadlineReached);
                }
            }
            Happening::Answer { succeeds } => self.answer(succeeds),
            Happening::Ends(unit, status) => self.end(unit % count, status),
            Happening::Ready(unit) => {
                if let Some((epoch, Process::Runs)) = self.processes[unit % count] {
                    self.step(Event::Ready { unit: unit % count, epoch });
                }
            }
            Happening::Health(unit, is_well) => {
                if let Some((epoch, Process::Runs)) = self.processes[unit % count] {
                    let health = if is_well { Ok(()) } else { Err("ill".into()) };
                    self.step(Event::Health { unit: unit % count, epoch, health });
                }
            }
            Happening::Command(unit, command) => self.step(Event::Command { unit: unit % count, command }),
            Happening::Condition(condition) => self.step(Event::ConditionMet(condition)),
            Happening::Nonsense(event) => self.step(event),
            Happening::StopAll => self.step(Event::StopAll),
        }
    }

    fn answer(&mut self, succeeds: bool) {
        let is_wanted = |process: &Option<(u32, Process)>| matches!(process, Some((_, Process::Wanted)));
        let Some(unit) = self.processes.iter().position(is_wanted) else { return };
        let epoch = self.epochs[unit];
        if succeeds {
            self.processes[unit] = Some((epoch, Process::Runs));
            self.step(Event::Started { unit, epoch });
        } else {
            self.processes[unit] = None;
            self.step(Event::StartFailed { unit, epoch, why: "no memory".into() });
        }
    }

    fn end(&mut self, unit: usize, status: Status) {
        let Some((epoch, process)) = self.processes[unit] else { return };
        if process != Process::Wanted {
            let status = if process == Process::Killed { Status::Signaled(SIGKILL) } else { status };
            self.did_their_work[unit] = matches!(status, Status::Exited(0 | 125));
            self.processes[unit] = None;
            self.step(Event::Ended { unit, epoch, status });
        }
    }

    /// Everything is to stop; processes ignore what they are asked, but do die of SIGKILL.
    fn stops(&mut self) {
        self.step(Event::StopAll);
        let all_graces: u64 = self.terms.iter().map(|terms| u64::from(terms.grace_ms.max(1))).sum();
        let limit = self.now + all_graces + KILL_PATIENCE_MS;
        while !self.over {
            let steps_before = self.now;
            let killed: VecDeque<usize> = (0..self.terms.len())
                .filter(|&unit| matches!(self.processes[unit], Some((_, Process::Killed))))
                .collect();
            let is_wanted = self.processes.iter().flatten().any(|(_, process)| *process == Process::Wanted);
            if is_wanted {
                self.answer(true);
            } else if let Some(&unit) = killed.front() {
                self.end(unit, Status::Signaled(SIGKILL));
            } else {
                let deadline = self.supervisor.deadline().expect("a deadline leads to the end");
                self.now = self.now.max(deadline);
                self.step(Event::DeadlineReached);
                assert!(
                    self.now >= steps_before && self.now <= limit,
                    "the graces are all there is to wait for"
                );
            }
        }
    }
}

fn duration_ms() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0), 4 => 1_u32..60_000]
}

fn unit_terms(unit: usize) -> impl Strategy<Value = UnitTerms> {
    let needs = prop::collection::vec(0..=unit, 0..3);
    let restart = prop_oneof![Just(Restart::Always), Just(Restart::OnFailure), Just(Restart::Never)];
    let ready = prop_oneof![Just(Readiness::Start), Just(Readiness::Told)];
    let wait = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![Wait::Network]),
        1 => Just(vec![Wait::Network, Wait::Clock])
    ];
    (needs, restart, ready, duration_ms(), duration_ms(), wait, prop::bool::weighted(0.8)).prop_map(
        move |(needs, restart, ready, ready_within_ms, grace_ms, wait, autostart)| UnitTerms {
            name: format!("unit{unit}"),
            needs,
            restart,
            ready,
            ready_within_ms,
            grace_ms,
            wait,
            autostart,
        },
    )
}

fn terms() -> impl Strategy<Value = Vec<UnitTerms>> {
    (1..=UNITS_MAX).prop_flat_map(|count| (0..count).map(unit_terms).collect::<Vec<_>>())
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        3 => Just(Status::Exited(0)),
        3 => Just(Status::Exited(1)),
        1 => Just(Status::Exited(125)),
        2 => Just(Status::Signaled(11)),
        2 => Just(Status::Signaled(SIGTERM)),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![Just(Command::Start), Just(Command::Stop), Just(Command::Restart), Just(Command::Replace),]
}

/// Events about epochs that never were, and about units that are not there.
fn nonsense() -> impl Strategy<Value = Event> {
    let place = prop_oneof![(0..UNITS_MAX, Just(u32::MAX)), (Just(usize::MAX), 0_u32..4)];
    (place, 0..6, status()).prop_map(|((unit, epoch), kind, status)| match kind {
        0 => Event::Started { unit, epoch },
        1 => Event::StartFailed { unit, epoch, why: "nonsense".into() },
        2 => Event::Ready { unit, epoch },
        3 => Event::Health { unit, epoch, health: Err("nonsense".into()) },
        4 => Event::Ended { unit, epoch, status },
        _ => Event::Command { unit: usize::MAX, command: Command::Restart },
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let unit = 0..UNITS_MAX;
    prop_oneof![
        4 => (0_u64..40_000).prop_map(Happening::Later),
        8 => Just(Happening::Due),
        10 => prop::bool::weighted(0.9).prop_map(|succeeds| Happening::Answer { succeeds }),
        8 => (unit.clone(), status()).prop_map(|(unit, status)| Happening::Ends(unit, status)),
        8 => unit.clone().prop_map(Happening::Ready),
        3 => (unit.clone(), any::<bool>()).prop_map(|(unit, well)| Happening::Health(unit, well)),
        4 => (unit, command()).prop_map(|(unit, command)| Happening::Command(unit, command)),
        2 => prop_oneof![Just(Wait::Network), Just(Wait::Clock)].prop_map(Happening::Condition),
        2 => nonsense().prop_map(Happening::Nonsense),
    ]
}

fn give_up() -> impl Strategy<Value = GiveUp> {
    prop_oneof![Just(GiveUp::Degrade), Just(GiveUp::RestartMachine)]
}

proptest! {
    /// Whatever happens: no unit is started twice at once or before what it needs is ready, no pause is longer than its
    /// cap, no deadline comes back, and each change of phase is told of. And when everything is to stop, it does, within
    /// the sum of the graces.
    #[test]
    fn whatever_happens_the_promises_are_kept(
        terms in terms(),
        give_up in give_up(),
        happenings in prop::collection::vec(happening(), 0..300),
        stop in prop::option::of(0_usize..300),
    ) {
        let mut world = World::new(terms, give_up);
        world.step(Event::Up);
        for (place, happening) in happenings.into_iter().enumerate() {
            if stop == Some(place) {
                world.happen(Happening::StopAll);
            }
            world.happen(happening);
        }
        if !world.over {
            world.stops();
        }
    }

    /// A unit that fails without end is started a bounded number of times, and then never again.
    #[test]
    fn a_unit_that_always_fails_is_given_up(terms in unit_terms(0), statuses in prop::collection::vec(1_u8..120, 1..9)) {
        let terms = UnitTerms { wait: vec![], autostart: true, ..terms };
        let mut world = World::new(vec![terms], GiveUp::Degrade);
        world.step(Event::Up);
        let mut statuses = statuses.into_iter().cycle();
        for _ in 0..100 {
            world.happen(Happening::Answer { succeeds: true });
            if let Some(status) = statuses.next() {
                world.happen(Happening::Ends(0, Status::Exited(status)));
            }
            world.happen(Happening::Due);
        }
        prop_assert!(world.over);
        prop_assert!(world.epochs[0] <= crate::FAILURES_MAX);
    }
}
