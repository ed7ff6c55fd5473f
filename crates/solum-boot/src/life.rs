//! The life of a machine, as decisions: what PID 1 does next. No I/O and no clock of its own.
//!
//! `step(now, event) -> effects`; the shell around it is [`pid1`](crate::pid1).

use std::net::IpAddr;

use solum_spec::control::{
    ClockReport, EXITED_BY_SIGTERM, Ending, FromMachine, NetworkReport, Outcome, SIGKILL, SIGTERM, Status,
    StorageReport,
};
use solum_spec::description::{Network, Wait, WhenEnded};
use solum_spec::network::Inside;

/// A process that PID 1 itself starts and watches. All others are somebody's orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// What the machine is for. When it ends, the machine ends.
    Program,
    /// The role that configures the network.
    Net,
    /// The role that sets the clock.
    Time,
    /// The role that carries links to other machines.
    Link,
    /// The role that mounts file systems.
    Storage,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Mounts, modules and devices are there.
    Up,
    /// The role `net` configured an interface.
    Network(NetworkReport),
    /// The role `time` set the clock.
    Clock(ClockReport),
    /// The role `storage` has seen to a file system, or to all.
    Storage(StorageReport),
    /// A child ended.
    Ended(Child, Status),
    /// A child could not be started; the text says why.
    NotStarted(Child, String),
    /// The units that are this machine's program have all ended. They may want the machine to start anew.
    UnitsOver(Outcome, Option<Ending>),
    /// Host, a button or a signal to PID 1 ask for the end, and for what follows it.
    EndRequested(Ending),
    /// The host wants the program to get this signal.
    SignalRequested(u8),
    /// PID 1 is the only process left.
    AllGone,
    /// The time that [`Life::deadline`] named is reached.
    DeadlineReached,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the program.
    StartProgram,
    /// Start the role `net`.
    StartNet,
    /// Start the role `link`.
    StartLink,
    /// Start the role `storage`.
    StartStorage,
    /// Start the role `time` with these servers.
    StartTime(Vec<String>),
    /// Send the program a signal.
    SignalProgram(u8),
    /// End the role `time`; it is started again, with other servers.
    StopTime,
    /// Send every process but PID 1 a signal.
    SignalAll(u8),
    /// Tell the host.
    Tell(FromMachine),
    /// The program failed like this; somebody may want to read of it later.
    Remember(Outcome),
    /// What the program started and left behind is in the way of its next start.
    EndLeftOvers,
    /// Flush, unmount, tell the host the outcome, and end like this.
    End(End),
}

/// The end of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// How the program ended.
    pub outcome: Outcome,
    /// What becomes of the machine.
    pub ending: Ending,
    /// Somebody asked for it, and need not be shown why.
    pub asked: bool,
}

/// What distinguishes one machine's life from another's.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What the program waits for.
    pub wait: Vec<Wait>,
    /// How long the program may take to stop, in milliseconds.
    pub grace_ms: u32,
    /// There is a network to configure.
    pub network: bool,
    /// Time servers named in the description.
    pub time_servers: Vec<String>,
    /// There are links to other machines.
    pub links: bool,
    /// What follows when the program ends by itself.
    pub when_ended: WhenEnded,
    /// There are file systems to mount.
    pub storage: bool,
}

/// How long orphans may take to end after the program ended, in milliseconds.
const ORPHAN_GRACE_MS: u64 = 1_000;
/// How long the program may wait for its conditions before somebody is told, in milliseconds: longer than a network takes
/// that answers.
const REMIND_AFTER_MS: u64 = 10_000;
/// Pause before a role that ended is started again, in milliseconds: at first, and at most.
const RESTART_MS: std::ops::RangeInclusive<u64> = 1_000..=60_000;
/// Time servers that are remembered: more than any network has, and a bound on what the role `net` can make PID 1 hold.
const OFFERED_SERVERS_MAX: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// The machine is coming up, or the program's conditions are not met.
    Waiting,
    Running,
    /// The program ended and is started again after a pause.
    Resting {
        outcome: Outcome,
    },
    /// The program was asked to stop and is killed at the deadline, if there still is one.
    Stopping {
        kill_at: Option<u64>,
    },
    /// The program ended; the rest of the processes are being ended.
    Sweeping {
        outcome: Outcome,
        ending: Ending,
        next_at: u64,
        killed: bool,
    },
    Over,
}

/// Whether this is the network that programs wait for. The way to the other machines of a system is not, if there is
/// another.
pub fn is_awaited(report: &NetworkReport, inside: Option<Inside>, network: &Network) -> bool {
    let is_inside = inside.is_some_and(|inside| IpAddr::V4(inside.address) == report.address);
    !is_inside || *network == Network::None
}

/// A role and when it is started again.
#[derive(Clone, Debug, Default)]
struct Role {
    /// Since when it runs.
    started_at: Option<u64>,
    restart_at: Option<u64>,
    pause_ms: u64,
}

/// The state of a machine's life.
#[derive(Clone, Debug)]
pub struct Life {
    terms: Terms,
    phase: Phase,
    up: bool,
    network_ready: bool,
    clock_ready: bool,
    storage_ready: bool,
    /// What DHCP servers offered, the newest first.
    offered_servers: Vec<String>,
    /// When to say what the program waits for.
    remind_at: Option<u64>,
    /// The role `time` was ended because there are new servers.
    time_is_replaced: bool,
    /// What was asked for last, if the end was.
    asked: Option<Ending>,
    /// How often the program was started again.
    restarts: u32,
    program: Role,
    net: Role,
    time: Role,
    link: Role,
}

impl Role {
    fn start(&mut self, now: u64) {
        self.started_at = Some(now);
        self.restart_at = None;
    }

    /// Pauses grow while it keeps failing; one that worked for a good while starts over with a short one.
    fn schedule_restart(&mut self, now: u64) {
        let lasted_ms = self.started_at.take().map_or(0, |at| now.saturating_sub(at));
        let pause_ms = if lasted_ms > *RESTART_MS.end() { 0 } else { self.pause_ms * 2 };
        self.pause_ms = pause_ms.clamp(*RESTART_MS.start(), *RESTART_MS.end());
        self.restart_at = Some(now + self.pause_ms);
    }
}

impl Life {
    /// A machine that is just coming up.
    pub fn new(terms: Terms) -> Self {
        let network_ready = !terms.network;
        let storage_ready = !terms.storage;
        Self {
            terms,
            phase: Phase::Waiting,
            up: false,
            network_ready,
            clock_ready: false,
            storage_ready,
            offered_servers: Vec::new(),
            remind_at: None,
            time_is_replaced: false,
            asked: None,
            restarts: 0,
            program: Role::default(),
            net: Role::default(),
            time: Role::default(),
            link: Role::default(),
        }
    }

    /// When [`Event::DeadlineReached`] is due, in milliseconds of the caller's monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        let phase = match &self.phase {
            Phase::Stopping { kill_at } => *kill_at,
            Phase::Sweeping { next_at, .. } => Some(*next_at),
            Phase::Waiting => self.remind_at,
            Phase::Resting { .. } => self.program.restart_at,
            Phase::Running | Phase::Over => None,
        };
        [phase, self.net.restart_at, self.time.restart_at, self.link.restart_at].into_iter().flatten().min()
    }

    /// Whether the machine only waits for its last processes, so that [`Event::AllGone`] is of interest.
    pub fn is_sweeping(&self) -> bool {
        matches!(self.phase, Phase::Sweeping { .. })
    }

    /// Decides what follows from `event`. `now` is in milliseconds of a monotonic clock.
    pub fn step(&mut self, now: u64, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Up => {
                self.up = true;
                self.remind_at = Some(now + REMIND_AFTER_MS);
                // The program first: what does not wait for the network shall not lose a moment to it.
                self.start_program_if_ready(now, &mut effects);
                if self.terms.storage {
                    effects.push(Effect::StartStorage);
                }
                if self.terms.network {
                    self.net.start(now);
                    effects.push(Effect::StartNet);
                }
            }
            Event::Network(report) => self.network(now, report, &mut effects),
            Event::Clock(report) => {
                self.clock_ready = true;
                effects.push(Effect::Tell(FromMachine::Clock(report)));
            }
            Event::Storage(report) => self.storage(now, report, &mut effects),
            Event::Ended(child, status) => self.ended(now, child, status, &mut effects),
            Event::NotStarted(Child::Program, why) => {
                self.program_over(now, Outcome::NotStarted(why), &mut effects);
            }
            Event::NotStarted(Child::Storage, why) => {
                self.without_storage(now, format!("could not be started: {why}"), &mut effects);
            }
            Event::NotStarted(role, why) => {
                effects.push(Effect::Tell(FromMachine::Warning(format!(
                    "the role {} could not be started: {why}",
                    role.name()
                ))));
                self.schedule_restart(now, role);
            }
            Event::UnitsOver(outcome, Some(ending)) => {
                self.sweep(now, outcome, self.asked.unwrap_or(ending), &mut effects);
            }
            Event::UnitsOver(outcome, None) => self.program_over(now, outcome, &mut effects),
            Event::EndRequested(ending) => self.end_requested(now, ending, &mut effects),
            Event::SignalRequested(signal) => match self.phase {
                Phase::Running | Phase::Stopping { .. } => effects.push(Effect::SignalProgram(signal)),
                Phase::Waiting | Phase::Resting { .. } | Phase::Sweeping { .. } | Phase::Over => {}
            },
            Event::AllGone => self.all_gone(&mut effects),
            Event::DeadlineReached => self.deadline_reached(now, &mut effects),
        }
        self.start_program_if_ready(now, &mut effects);
        effects
    }

    fn is_met(&self, wait: Wait) -> bool {
        match wait {
            Wait::Network => self.network_ready,
            Wait::Clock => self.clock_ready,
        }
    }

    fn start_program_if_ready(&mut self, now: u64, effects: &mut Vec<Effect>) {
        let ready = self.storage_ready && self.terms.wait.iter().all(|wait| self.is_met(*wait));
        if self.phase == Phase::Waiting && self.up && ready {
            self.start_program(now, effects);
            if self.terms.links {
                self.link.start(now);
                effects.push(Effect::StartLink);
            }
        }
    }

    fn storage(&mut self, now: u64, report: StorageReport, effects: &mut Vec<Effect>) {
        match &report {
            StorageReport::Complete => self.storage_ready = true,
            StorageReport::Failed { why, .. } => self.give_up(now, why.clone(), effects),
            StorageReport::Missing { why, .. } => {
                effects.push(Effect::Tell(FromMachine::Warning(why.clone())));
            }
            StorageReport::Mounted { .. } => {}
        }
        effects.push(Effect::Tell(FromMachine::Storage(report)));
    }

    /// The role `storage` is no more. It is not started again: half of its work is done, and only it knows which half.
    fn without_storage(&mut self, now: u64, what: String, effects: &mut Vec<Effect>) {
        if !self.storage_ready {
            let why = format!("the role storage, which mounts the file systems, {what}");
            self.give_up(now, why, effects);
        }
    }

    /// The program cannot be started in this life of the machine. In the next one, what it lacks may be there.
    fn give_up(&mut self, now: u64, why: String, effects: &mut Vec<Effect>) {
        let ending = self.described_ending().unwrap_or(Ending::Reboot);
        self.sweep(now, Outcome::NotStarted(why), ending, effects);
    }

    /// What follows the program's own end; nothing if it is started again.
    fn described_ending(&self) -> Option<Ending> {
        match self.terms.when_ended {
            WhenEnded::PowerOff => Some(Ending::PowerOff),
            WhenEnded::Reboot => Some(Ending::Reboot),
            WhenEnded::Halt => Some(Ending::Halt),
            WhenEnded::Restart => None,
        }
    }

    fn network(&mut self, now: u64, report: NetworkReport, effects: &mut Vec<Effect>) {
        if !self.network_ready {
            self.network_ready = true;
            self.remind_at = Some(now + REMIND_AFTER_MS);
        }
        let has_new = self.remember_servers(&report);
        effects.push(Effect::Tell(FromMachine::Network(report)));
        if self.time.started_at.is_none() && self.time.restart_at.is_none() {
            self.start_time(now, effects);
        } else if has_new && self.time.started_at.is_some() && self.keeps_roles() && !self.time_is_replaced {
            self.time_is_replaced = true;
            effects.push(Effect::StopTime);
        }
    }

    /// Whether the network offers servers that are not known yet. They come first: the network they belong to is there.
    fn remember_servers(&mut self, report: &NetworkReport) -> bool {
        let offered = report.time_servers.iter().map(ToString::to_string);
        let new: Vec<String> = offered.filter(|server| !self.offered_servers.contains(server)).collect();
        let has_new = !new.is_empty();
        self.offered_servers.splice(..0, new);
        self.offered_servers.truncate(OFFERED_SERVERS_MAX);
        has_new
    }

    /// Says what the program still waits for.
    fn remind(&mut self, effects: &mut Vec<Effect>) {
        self.remind_at = None;
        let missing = self.terms.wait.iter().filter(|wait| !self.is_met(**wait));
        let texts = missing.map(|wait| match wait {
            Wait::Network => {
                "the program is started when the network is there, and no interface has an address yet"
            }
            Wait::Clock if !self.network_ready => {
                "the program is started when the clock is set, which needs the network"
            }
            Wait::Clock => {
                "the program is started when the clock is set, and no time server was believed yet"
            }
        });
        effects.extend(texts.map(|text| Effect::Tell(FromMachine::Warning(text.to_owned()))));
    }

    fn start_time(&mut self, now: u64, effects: &mut Vec<Effect>) {
        let servers: Vec<String> =
            self.offered_servers.iter().chain(&self.terms.time_servers).cloned().collect();
        if !servers.is_empty() && self.keeps_roles() {
            self.time.start(now);
            effects.push(Effect::StartTime(servers));
        }
    }

    fn ended(&mut self, now: u64, child: Child, status: Status, effects: &mut Vec<Effect>) {
        if child == Child::Program {
            let killed = matches!(self.phase, Phase::Stopping { kill_at: None });
            self.program_over(now, status.outcome(killed), effects);
        } else if child == Child::Time && std::mem::take(&mut self.time_is_replaced) {
            self.time.started_at = None;
            self.start_time(now, effects);
        } else if child == Child::Storage {
            self.without_storage(now, status.to_string(), effects);
        } else if self.keeps_roles() {
            effects.push(Effect::Tell(FromMachine::Warning(format!(
                "the role {} {status}; it is started again",
                child.name()
            ))));
            self.schedule_restart(now, child);
        }
    }

    fn schedule_restart(&mut self, now: u64, child: Child) {
        match child {
            _ if !self.keeps_roles() => {}
            Child::Net => self.net.schedule_restart(now),
            Child::Time => self.time.schedule_restart(now),
            Child::Link => self.link.schedule_restart(now),
            Child::Program | Child::Storage => {}
        }
    }

    /// Whether a role that ends is started again: not any more when the end has begun.
    fn keeps_roles(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Running | Phase::Resting { .. })
    }

    fn forget_restarts(&mut self) {
        self.net.restart_at = None;
        self.time.restart_at = None;
        self.link.restart_at = None;
    }

    /// Whoever asks last is obeyed, as long as it is not done yet: a person at the power button means it.
    fn end_requested(&mut self, now: u64, ending: Ending, effects: &mut Vec<Effect>) {
        self.asked = Some(ending);
        match &mut self.phase {
            Phase::Waiting => {
                let why = "the machine was asked to stop before its program was started";
                self.sweep(now, Outcome::NotStarted(why.into()), ending, effects);
            }
            Phase::Running => {
                self.forget_restarts();
                self.phase = Phase::Stopping { kill_at: Some(now + u64::from(self.terms.grace_ms)) };
                effects.push(Effect::SignalProgram(SIGTERM));
            }
            Phase::Resting { outcome } => {
                let outcome = outcome.clone();
                self.sweep(now, outcome, ending, effects);
            }
            Phase::Sweeping { ending: planned, .. } => *planned = ending,
            Phase::Stopping { .. } | Phase::Over => {}
        }
    }

    fn start_program(&mut self, now: u64, effects: &mut Vec<Effect>) {
        self.phase = Phase::Running;
        self.program.start(now);
        effects.push(Effect::StartProgram);
    }

    /// What follows when the program has ended.
    fn program_over(&mut self, now: u64, outcome: Outcome, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Resting { .. } | Phase::Sweeping { .. } | Phase::Over) {
            return;
        }
        // To end by the signal that asks for the end, or as a shell does that gets it, is to do as one was asked.
        let obeyed = matches!(
            outcome,
            Outcome::Signaled { signal: SIGTERM, after_grace: false } | Outcome::Exited(EXITED_BY_SIGTERM)
        );
        if outcome != Outcome::Exited(0) && !(obeyed && self.asked.is_some()) {
            effects.push(Effect::Remember(outcome.clone()));
        }
        match self.asked.or(self.described_ending()) {
            Some(ending) => self.sweep(now, outcome, ending, effects),
            None => self.rest(now, outcome, effects),
        }
    }

    fn rest(&mut self, now: u64, outcome: Outcome, effects: &mut Vec<Effect>) {
        effects.push(Effect::EndLeftOvers);
        self.program.schedule_restart(now);
        self.restarts = self.restarts.saturating_add(1);
        effects.push(Effect::Tell(FromMachine::Warning(format!(
            "{outcome}; restart {} follows in {} s",
            self.restarts,
            self.program.pause_ms / 1000
        ))));
        self.phase = Phase::Resting { outcome };
    }

    fn sweep(&mut self, now: u64, outcome: Outcome, ending: Ending, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Sweeping { .. } | Phase::Over) {
            return;
        }
        self.forget_restarts();
        // A repair of a file system ends at the next place where that does no harm (e2fsck(8) on SIGTERM), if it is given time.
        let grace_ms = if self.storage_ready {
            ORPHAN_GRACE_MS
        } else {
            ORPHAN_GRACE_MS.max(self.terms.grace_ms.into())
        };
        self.phase = Phase::Sweeping { outcome, ending, next_at: now + grace_ms, killed: false };
        effects.push(Effect::SignalAll(SIGTERM));
    }

    fn all_gone(&mut self, effects: &mut Vec<Effect>) {
        if let Phase::Sweeping { outcome, ending, .. } = &self.phase {
            let end = End { outcome: outcome.clone(), ending: *ending, asked: self.asked.is_some() };
            effects.push(Effect::End(end));
            self.phase = Phase::Over;
        }
    }

    fn deadline_reached(&mut self, now: u64, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Stopping { kill_at } if kill_at.is_some_and(|at| at <= now) => {
                *kill_at = None;
                effects.push(Effect::SignalProgram(SIGKILL));
            }
            Phase::Sweeping { next_at, killed: killed @ false, .. } if *next_at <= now => {
                *killed = true;
                *next_at = now + ORPHAN_GRACE_MS;
                effects.push(Effect::SignalAll(SIGKILL));
            }
            // A process in uninterruptible sleep does not even die of SIGKILL. The machine ends all the same.
            Phase::Sweeping { next_at, killed: true, .. } if *next_at <= now => self.all_gone(effects),
            Phase::Waiting if self.remind_at.is_some_and(|at| at <= now) => self.remind(effects),
            Phase::Resting { .. } if self.program.restart_at.is_some_and(|at| at <= now) => {
                self.start_program(now, effects);
            }
            _ => {}
        }
        if self.net.restart_at.is_some_and(|at| at <= now) {
            self.net.start(now);
            effects.push(Effect::StartNet);
        }
        if self.time.restart_at.is_some_and(|at| at <= now) {
            self.start_time(now, effects);
        }
        if self.link.restart_at.is_some_and(|at| at <= now) {
            self.link.start(now);
            effects.push(Effect::StartLink);
        }
    }
}

impl Child {
    /// The word for it in messages, and the name a role is started by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Net => "net",
            Self::Time => "time",
            Self::Link => "link",
            Self::Storage => "storage",
        }
    }
}

#[cfg(test)]
#[path = "life_endings.rs"]
mod endings;

#[cfg(test)]
#[path = "life_storage.rs"]
mod storage;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn terms() -> Terms {
        Terms {
            wait: vec![],
            grace_ms: 10_000,
            network: true,
            time_servers: vec![],
            links: false,
            when_ended: WhenEnded::PowerOff,
            storage: false,
        }
    }

    fn off(outcome: Outcome, asked: bool) -> Effect {
        Effect::End(End { outcome, ending: Ending::PowerOff, asked })
    }

    fn report() -> NetworkReport {
        NetworkReport {
            interface: "eth0".into(),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 2, 15)),
            prefix: 24,
            gateway: None,
            time_servers: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2))],
        }
    }

    fn running() -> Life {
        let mut life = Life::new(terms());
        assert_eq!(life.step(0, Event::Up), [Effect::StartProgram, Effect::StartNet]);
        life
    }

    #[test]
    fn the_program_starts_without_waiting_for_the_network() {
        running();
    }

    #[test]
    fn the_program_waits_for_what_it_was_told_to() {
        let mut life = Life::new(Terms { wait: vec![Wait::Network, Wait::Clock], ..terms() });
        assert_eq!(life.step(0, Event::Up), [Effect::StartNet]);
        let clock = ClockReport { server: "10.0.2.2".into(), offset_ms: 3 };
        let effects = life.step(1, Event::Network(report()));
        assert_eq!(effects[1], Effect::StartTime(vec!["10.0.2.2".into()]));
        assert!(!effects.contains(&Effect::StartProgram));
        assert!(life.step(2, Event::Clock(clock)).contains(&Effect::StartProgram));
    }

    #[test]
    fn a_machine_without_network_waits_for_none() {
        let mut life = Life::new(Terms { wait: vec![Wait::Network], network: false, ..terms() });
        assert_eq!(life.step(0, Event::Up), [Effect::StartProgram]);
    }

    #[test]
    fn the_way_to_other_machines_is_awaited_only_if_there_is_no_other_network() {
        let address = Ipv4Addr::new(10, 83, 0, 1);
        let inside = Some(Inside { mac: [0; 6], address, prefix: 16 });
        let inner = NetworkReport { address: address.into(), ..report() };
        assert!(!is_awaited(&inner, inside, &Network::Automatic));
        assert!(is_awaited(&inner, inside, &Network::None) && is_awaited(&inner, None, &Network::Automatic));
        assert!(is_awaited(&report(), inside, &Network::Automatic));
    }

    #[test]
    fn a_relay_comes_with_the_units_and_is_started_again_when_it_ends() {
        let mut life = Life::new(Terms { links: true, ..terms() });
        let effects = life.step(0, Event::Up);
        assert_eq!(effects, [Effect::StartProgram, Effect::StartLink, Effect::StartNet]);
        let effects = life.step(5_000, Event::Ended(Child::Link, Status::Signaled(11)));
        let warning =
            "the role link was ended by signal 11 (SIGSEGV, a bad memory access); it is started again";
        assert_eq!(effects, [Effect::Tell(FromMachine::Warning(warning.into()))]);
        assert_eq!(life.deadline(), Some(6_000));
        assert_eq!(life.step(6_000, Event::DeadlineReached), [Effect::StartLink]);
        life.step(7_000, Event::EndRequested(Ending::PowerOff));
        assert_eq!(life.step(7_001, Event::Ended(Child::Link, Status::Exited(1))), []);
    }

    #[test]
    fn the_programs_end_is_the_machines() {
        let mut life = running();
        let ended = Event::Ended(Child::Program, Status::Exited(3));
        assert_eq!(life.step(5, ended), [Effect::Remember(Outcome::Exited(3)), Effect::SignalAll(SIGTERM)]);
        assert_eq!(life.step(6, Event::Ended(Child::Net, Status::Signaled(SIGTERM))), []);
        assert_eq!(life.step(7, Event::AllGone), [off(Outcome::Exited(3), false)]);
        assert_eq!(life.deadline(), None);
    }

    #[test]
    fn roles_are_restarted_with_growing_pauses() {
        let mut life = running();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            life.step(now, Event::Ended(Child::Net, Status::Signaled(11)));
            let due = life.deadline().unwrap();
            pauses.push(due - now);
            now = due;
            assert_eq!(life.step(now, Event::DeadlineReached), [Effect::StartNet]);
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn a_role_that_worked_for_long_is_restarted_soon() {
        let mut life = running();
        for ended_at in [0, 5_000] {
            life.step(ended_at, Event::Ended(Child::Net, Status::Exited(1)));
            let due = life.deadline().unwrap();
            life.step(due, Event::DeadlineReached);
        }
        life.step(500_000, Event::Ended(Child::Net, Status::Exited(1)));
        assert_eq!(life.deadline(), Some(501_000));
    }

    #[test]
    fn no_role_is_restarted_while_the_program_stops() {
        let mut life = running();
        life.step(0, Event::Network(report()));
        life.step(1, Event::Ended(Child::Time, Status::Exited(1)));
        assert_eq!(life.step(2, Event::EndRequested(Ending::PowerOff)), [Effect::SignalProgram(SIGTERM)]);
        assert_eq!(life.step(3, Event::Ended(Child::Net, Status::Exited(1))), []);
        life.step(4, Event::NotStarted(Child::Net, "no memory".into()));
        assert_eq!(life.step(5_000, Event::DeadlineReached), []);
        assert_eq!(life.deadline(), Some(10_002), "nothing but the end of the grace is waited for");
    }

    fn offers(last: u8) -> Event {
        let server = IpAddr::V4(Ipv4Addr::new(10, 0, 2, last));
        Event::Network(NetworkReport { time_servers: vec![server], ..report() })
    }

    #[test]
    fn new_time_servers_are_asked_at_once_and_first() {
        let mut life = running();
        assert_eq!(life.step(1, offers(2))[1..], [Effect::StartTime(vec!["10.0.2.2".into()])]);
        assert_eq!(life.step(2, offers(2)).len(), 1, "nothing is new");
        assert_eq!(life.step(3, offers(3))[1..], [Effect::StopTime]);
        assert_eq!(life.step(4, offers(4)).len(), 1, "it is ending already");
        let servers = ["10.0.2.4", "10.0.2.3", "10.0.2.2"].map(str::to_owned).to_vec();
        let ended = Event::Ended(Child::Time, Status::Signaled(SIGTERM));
        assert_eq!(life.step(5, ended.clone()), [Effect::StartTime(servers)], "and nobody is warned");
        assert!(matches!(life.step(6, ended)[..], [Effect::Tell(FromMachine::Warning(_))]));
    }

    #[test]
    fn what_the_program_waits_for_is_said_after_a_while() {
        let warns = |effects: &[Effect], words: &[&str]| {
            assert_eq!(effects.len(), words.len(), "{effects:?}");
            for (effect, word) in effects.iter().zip(words) {
                let Effect::Tell(FromMachine::Warning(text)) = effect else { panic!("{effect:?}") };
                assert!(text.contains(word), "{text}");
            }
        };
        let mut life = Life::new(Terms { wait: vec![Wait::Network, Wait::Clock], ..terms() });
        life.step(0, Event::Up);
        assert_eq!(life.deadline(), Some(10_000));
        warns(
            &life.step(10_000, Event::DeadlineReached),
            &["no interface has an address", "needs the network"],
        );
        assert_eq!(life.deadline(), None, "once is enough");
        life.step(20_000, Event::Network(report()));
        warns(&life.step(30_000, Event::DeadlineReached), &["no time server was believed"]);
        let mut life = running();
        assert_eq!(life.deadline(), None);
        assert_eq!(life.step(10_000, Event::DeadlineReached), []);
    }

    #[test]
    fn time_servers_are_not_collected_without_end() {
        let mut life = running();
        for last in 0..=255 {
            life.step(0, offers(last));
        }
        assert_eq!(life.offered_servers.len(), OFFERED_SERVERS_MAX);
    }

    #[test]
    fn a_stop_before_the_start_ends_the_machine() {
        let mut life = Life::new(Terms { wait: vec![Wait::Network], ..terms() });
        life.step(0, Event::Up);
        assert_eq!(life.step(1, Event::EndRequested(Ending::PowerOff)), [Effect::SignalAll(SIGTERM)]);
        assert_eq!(life.step(1, Event::Network(report())).len(), 1, "the program is not started any more");
        assert!(matches!(
            life.step(2, Event::AllGone)[..],
            [Effect::End(End { outcome: Outcome::NotStarted(_), ending: Ending::PowerOff, asked: true })]
        ));
    }

    #[test]
    fn a_program_that_cannot_start_ends_the_machine() {
        let mut life = running();
        let why = Event::NotStarted(Child::Program, "no such file".into());
        let outcome = Outcome::NotStarted("no such file".into());
        assert_eq!(life.step(1, why), [Effect::Remember(outcome.clone()), Effect::SignalAll(SIGTERM)]);
        assert_eq!(life.step(2, Event::AllGone), [off(outcome, false)]);
    }

    #[test]
    fn signals_reach_a_running_program_only() {
        let mut life = Life::new(terms());
        assert_eq!(life.step(0, Event::SignalRequested(10)), []);
        let mut life = running();
        assert_eq!(life.step(0, Event::SignalRequested(10)), [Effect::SignalProgram(10)]);
    }
}
