//! The loop around the supervisor: starts what it decides, and tells it what happened.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::PollFd;
use rustix::process::{Pid, Signal, kill_process_group};
use solum_link::{EndDescriptors, Layout, LinkHost, Side};
use solum_spec::control::{Decoder, Outcome, SIGTERM, Status};
use solum_spec::description::Wait;
use solum_spec::handover::{FromUnit, UnitPhase, UnitState};
use solum_spec::keyboard::KeyChange;
use solum_spec::plan::{self, Plan};
use solum_spec::reason;
use solum_supervisor::log::{LogRing, Source, Stream};
use solum_supervisor::{Command, Effect, Event, MachineTerms, Supervisor, UnitTerms};

use crate::Confinement;
use crate::controller::Controller;
use crate::group::Group;
use crate::start::{Process, Start, start};
use crate::wiring;

/// Bytes read from a unit at once.
const READ_BYTES: usize = 16 * 1024;
/// How often a pipe is read until all is heard that a process wrote before it ended: as much as a pipe holds (pipe(7)), and
/// once more for its end. What a fugitive child goes on writing would never end.
const READS_OF_A_PIPE: usize = 65_536 / READ_BYTES + 1;
/// How often in one turn a unit that never stops talking is read.
const READS_A_TURN: usize = 16;

/// What is real about the place where units run.
pub trait Place {
    /// The executable of a program, to be run.
    fn program(&self, program: &plan::Program) -> io::Result<OwnedFd>;
    /// A disk, for reading and writing.
    fn disk(&self, disk: &plan::Disk) -> io::Result<OwnedFd>;
    /// A listening socket. It is asked for once, so that connections wait while a unit is started anew.
    fn listener(&self, listener: &plan::Listener) -> io::Result<OwnedFd>;
    /// The frames of a screen, and the socket to whoever shows them.
    fn screen(&self, screen: &plan::Screen) -> io::Result<(OwnedFd, OwnedFd)>;
    /// The input events of a keyboard.
    fn keys(&self, keys: &plan::Keys) -> io::Result<OwnedFd>;
    /// Lets this happen at the keyboard of a machine, or at the only one there is.
    ///
    /// # Errors
    ///
    /// A sentence that says why it cannot.
    fn press(&self, _machine: Option<&str>, _keys: &[KeyChange]) -> Result<(), String> {
        Err("whoever wants to press keys here has to sit at the keyboard".into())
    }
    /// Environment that every unit has beside its own.
    fn environment(&self, unit: &plan::Unit) -> Vec<(String, String)>;
    /// How far a unit is shut in; its devices are added.
    fn confinement(&self, index: usize, unit: &plan::Unit) -> Confinement;
}

/// What whoever runs units wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A unit printed something; it is in its log.
    Printed(usize),
    /// A unit does something else now; the reason is the rest of a sentence that begins with its name and a colon.
    Changed(usize, UnitPhase, String),
    /// A unit failed too often.
    GaveUp(usize),
    /// All units have been stopped, and the machine shall start anew.
    RestartMachine(String),
    /// No unit runs, and none will any more.
    Over(Outcome),
}

/// The end of a unit's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitEnd {
    /// Whose process it was.
    pub unit: usize,
    /// Somebody wanted it.
    pub is_asked: bool,
    /// It is a failure, which this sentence names.
    pub failure: Option<String>,
}

/// Units that run, or wait to.
pub struct Runner<P> {
    place: P,
    plan: Plan,
    supervisor: Supervisor,
    slots: Vec<Slot>,
    links: Vec<LinkHost>,
    listeners: Vec<Option<OwnedFd>>,
    begun: Instant,
    news: Vec<News>,
}

struct Slot {
    program: usize,
    running: Option<Running>,
    log: LogRing,
}

struct Running {
    epoch: u32,
    process: Process,
    group: Option<Group>,
    /// Which of its output streams and its control socket have not ended: what has ended can be read for ever.
    open: [bool; 3],
    decoder: Decoder,
    controller: Option<Controller>,
}

impl<P: Place> Runner<P> {
    /// Units that do not run yet.
    ///
    /// # Errors
    ///
    /// If there is no memory for their links.
    pub fn new(place: P, plan: Plan) -> io::Result<Self> {
        let links = plan
            .links
            .iter()
            .map(|link| LinkHost::create(&format!("{}-{}", link.client, link.server), Layout::default()))
            .collect::<io::Result<Vec<_>>>()?;
        let slots = plan.units.iter().map(|unit| Slot {
            program: unit.program,
            running: None,
            log: LogRing::new(usize::try_from(unit.log_bytes).unwrap_or(usize::MAX)),
        });
        let supervisor =
            Supervisor::new(plan.units.iter().map(terms).collect(), MachineTerms { give_up: plan.give_up });
        Ok(Self {
            slots: slots.collect(),
            links,
            listeners: plan.listeners.iter().map(|_| None).collect(),
            place,
            supervisor,
            plan,
            begun: Instant::now(),
            news: Vec::new(),
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The place.
    pub fn place(&self) -> &P {
        &self.place
    }

    /// What a unit has printed.
    pub fn log(&self, unit: usize) -> Option<&LogRing> {
        self.slots.get(unit).map(|slot| &slot.log)
    }

    /// What a unit is doing, and why.
    pub fn state(&self, unit: usize) -> Option<(UnitState, &str)> {
        let (phase, why) = self.supervisor.phase(unit)?;
        let name = self.plan.units.get(unit)?.full_name();
        Some((UnitState { unit: name, epoch: self.supervisor.epoch(unit)?, phase }, why))
    }

    /// Which program a unit runs, from its next start at the latest.
    pub fn program(&self, unit: usize) -> Option<usize> {
        self.slots.get(unit).map(|slot| slot.program)
    }

    /// The process of a unit, if it runs.
    pub fn pid(&self, unit: usize) -> Option<Pid> {
        Some(self.slots.get(unit)?.running.as_ref()?.process.pid)
    }

    /// Everything that units stand on is there.
    pub fn up(&mut self) {
        self.happen(Event::Up);
    }

    /// What units may wait for has come about.
    pub fn condition(&mut self, condition: Wait) {
        self.happen(Event::ConditionMet(condition));
    }

    /// Somebody wants something of a unit.
    pub fn command(&mut self, unit: usize, command: Command) {
        self.happen(Event::Command { unit, command });
    }

    /// From its next start the unit runs another program.
    pub fn replace(&mut self, unit: usize, program: usize) {
        if let Some(slot) = self.slots.get_mut(unit) {
            slot.program = program;
            self.happen(Event::Command { unit, command: Command::Replace });
        }
    }

    /// Everything is to stop, in good order.
    pub fn stop_all(&mut self) {
        self.happen(Event::StopAll);
    }

    /// Whether everything was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.supervisor.is_stopping()
    }

    /// Everything is to end now.
    pub fn kill_all(&mut self) {
        for running in self.slots.iter().filter_map(|slot| slot.running.as_ref()) {
            running.kill();
        }
    }

    /// How long [`turn`](Self::turn) may be put off if nothing can be read.
    pub fn patience(&self) -> Option<Duration> {
        if !self.news.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = Duration::from_millis(self.supervisor.deadline()?);
        Some(deadline.saturating_sub(self.begun.elapsed()))
    }

    /// When one of these can be read, a [`turn`](Self::turn) is due.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let running = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        running.flat_map(Running::descriptors).collect()
    }

    /// The links whose other end is on another machine, and what a relay needs that plays whoever is there.
    pub fn remote_ends(&self) -> impl Iterator<Item = (&plan::Link, &plan::Remote, EndDescriptors<'_>)> {
        let links = self.plan.links.iter().zip(&self.links);
        links.filter_map(|(link, host)| {
            let remote = link.remote.as_ref()?;
            Some((link, remote, host.descriptors(absent(remote))))
        })
    }

    /// A relay with this epoch is about to be started, or has ended: all of its process is gone.
    pub fn set_relayed(&self, epoch: Option<u32>) {
        for (link, host) in self.plan.links.iter().zip(&self.links) {
            match (&link.remote, epoch) {
                (Some(remote), Some(epoch)) => host.attach(absent(remote), epoch),
                (Some(remote), None) => host.detach(absent(remote)),
                (None, _) => {}
            }
        }
    }

    /// As [`descriptors`](Self::descriptors), for poll(2).
    pub fn poll_descriptors(&self) -> Vec<PollFd<'_>> {
        let readable = rustix::event::PollFlags::IN;
        self.descriptors()
            .into_iter()
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, readable))
            .collect()
    }

    /// Reads what units print and say, and does what is due. Gives what has happened since the last time.
    pub fn turn(&mut self) -> Vec<News> {
        for unit in 0..self.slots.len() {
            self.listen(unit);
        }
        if self.supervisor.deadline().is_some_and(|deadline| deadline <= self.now()) {
            self.happen(Event::DeadlineReached);
        }
        std::mem::take(&mut self.news)
    }

    /// A process ended that whoever owns this process waited for. Nothing if it was none of the units.
    pub fn ended(&mut self, pid: Pid, status: Status) -> Option<UnitEnd> {
        let whose = |slot: &Slot| slot.running.as_ref().is_some_and(|running| running.process.pid == pid);
        let unit = self.slots.iter().position(whose)?;
        // Whatever it left behind is gone before it is started anew.
        self.slots[unit].running.iter().for_each(Running::kill);
        self.read_output(unit, READS_OF_A_PIPE);
        self.read_messages(unit);
        self.set_attached(unit, None);
        let running = self.slots.get_mut(unit)?.running.take()?;
        let starved = running.group.as_ref().is_some_and(Group::has_starved);
        let status = if starved { Status::OutOfMemory } else { status };
        for stream in [Stream::Output, Stream::Error] {
            self.slots[unit].log.close(Source { unit, stream });
        }
        self.news.push(News::Printed(unit));
        let is_asked = self.supervisor.is_asked_to_stop(unit);
        self.happen(Event::Ended { unit, epoch: running.epoch, status });
        Some(UnitEnd { unit, is_asked, failure: self.failure(unit, status) })
    }

    /// How a unit failed in the end that it just had, as a sentence.
    fn failure(&self, unit: usize, status: Status) -> Option<String> {
        let name = self.plan.units.get(unit)?.full_name();
        Some(match self.supervisor.failure(unit)? {
            Outcome::GivenUp(why) => why.clone(),
            Outcome::Signaled { after_grace: true, .. } => {
                format!("the unit {name} did not stop in time and {status}")
            }
            // It knows more than the outcome: that memory was short.
            _ => format!("the unit {name} {status}"),
        })
    }

    /// Waits for processes of units that ended; for whoever has no other children to wait for.
    pub fn reap(&mut self) {
        for unit in 0..self.slots.len() {
            let Some(pid) = self.pid(unit) else { continue };
            let options = rustix::process::WaitOptions::NOHANG;
            if let Ok(Some((_, status))) = rustix::process::waitpid(Some(pid), options) {
                self.ended(pid, status_of(status));
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn happen(&mut self, event: Event) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.supervisor.step(self.now(), event) {
                events.extend(self.apply(effect));
            }
        }
    }

    fn apply(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Start { unit, epoch } => {
                return Some(match self.start(unit, epoch) {
                    Ok(()) => Event::Started { unit, epoch },
                    Err(why) => Event::StartFailed { unit, epoch, why },
                });
            }
            Effect::Signal { unit, number } => self.signal(unit, number),
            Effect::Changed { unit, phase, reason } => self.news.push(News::Changed(unit, phase, reason)),
            Effect::GaveUp { unit } => self.news.push(News::GaveUp(unit)),
            Effect::RestartMachine { why } => self.news.push(News::RestartMachine(why)),
            // To end by the signal that asks for the end is to do as one was asked.
            Effect::Over(Outcome::Signaled { signal: SIGTERM, .. }) if self.supervisor.is_stopping() => {
                self.news.push(News::Over(Outcome::Exited(0)));
            }
            Effect::Over(outcome) => self.news.push(News::Over(outcome)),
        }
        None
    }

    fn signal(&self, unit: usize, number: u8) {
        let Some(running) = self.slots.get(unit).and_then(|slot| slot.running.as_ref()) else { return };
        match Signal::from_named_raw(i32::from(number)) {
            Some(Signal::KILL) => running.kill(),
            // It may have ended in this moment, which is noticed next. What a plain program started gets it too.
            Some(signal) => drop(kill_process_group(running.process.pid, signal)),
            None => {}
        }
    }

    fn start(&mut self, unit: usize, epoch: u32) -> Result<(), String> {
        self.open_listeners(unit)?;
        let (Some(planned), Some(slot)) = (self.plan.units.get(unit), self.slots.get(unit)) else {
            return Err("there is no such unit".into());
        };
        let Some(program) = self.plan.programs.get(slot.program) else {
            return Err("there is no such program".into());
        };
        self.set_attached(unit, Some(epoch));
        let started = self.process(unit, planned, program, epoch);
        match started {
            Ok(running) => {
                self.slots[unit].running = Some(running);
                Ok(())
            }
            Err(why) => {
                self.set_attached(unit, None);
                Err(format!("{} could not be started: {why}", program.path))
            }
        }
    }

    /// Opens what a unit listens on, the first time.
    fn open_listeners(&mut self, unit: usize) -> Result<(), String> {
        let plugs = self.plan.units.get(unit).map(|unit| unit.plugs.as_slice()).unwrap_or_default();
        for device in plugs.iter().flat_map(|plug| &plug.devices) {
            let plan::Device::Listener(index) = device else { continue };
            let (Some(planned), Some(kept)) =
                (self.plan.listeners.get(*index), self.listeners.get_mut(*index))
            else {
                continue;
            };
            if kept.is_none() {
                let socket = self.place.listener(planned).and_then(not_blocking);
                *kept =
                    Some(socket.map_err(|error| format!("TCP port {}: {}", planned.number, reason(&error)))?);
            }
        }
        Ok(())
    }

    fn process(
        &self,
        unit: usize,
        planned: &plan::Unit,
        program: &plan::Program,
        epoch: u32,
    ) -> Result<Running, String> {
        let said = |error: io::Error| reason(&error);
        let executable = self.place.program(program).map_err(said)?;
        let opened = wiring::open(&self.place, &self.plan, planned, &self.listeners)?;
        let controller = planned.plugs.iter().any(|plug| plug.devices.contains(&plan::Device::Units));
        let controller = controller.then(UnixStream::pair).transpose().map_err(said)?;
        let (ours, theirs) = controller.unzip();
        let grants = wiring::grants(planned, &self.plan, &opened, &self.links, theirs.as_ref());
        let mut confinement = self.place.confinement(unit, planned);
        confinement.ported = program.ported.then(|| wiring::devices(planned, &self.plan));
        if !program.ported {
            // It lives on files.
            confinement.empty_root = None;
        }
        let own_environment = planned.environment.iter().cloned();
        let environment: Vec<_> =
            self.place.environment(planned).into_iter().chain(own_environment).collect();
        let group = confinement.group.as_deref().map(|path| Group::open(path, confinement.memory));
        let group = group.transpose().map_err(|error| format!("its control group: {}", reason(&error)))?;
        let process = start(&Start {
            unit: &planned.full_name(),
            epoch,
            program: executable.as_fd(),
            arguments: &arguments(program, planned)?,
            environment: &pairs(&environment)?,
            grants: &grants,
            confinement: &confinement,
            group: group.as_ref(),
        })
        .map_err(said)?;
        let controller = ours.map(Controller::new).transpose().map_err(said)?;
        Ok(Running { epoch, process, group, open: [true; 3], decoder: Decoder::new(), controller })
    }

    /// Tells the other ends of a unit's links that it is there, or gone.
    fn set_attached(&self, unit: usize, epoch: Option<u32>) {
        let Some(planned) = self.plan.units.get(unit) else { return };
        for device in planned.plugs.iter().flat_map(|plug| &plug.devices) {
            let (link, side) = match device {
                plan::Device::Client(link) => (link, Side::Client),
                plan::Device::Server(link) => (link, Side::Server),
                _ => continue,
            };
            match (self.links.get(*link), epoch) {
                (Some(link), Some(epoch)) => link.attach(side, epoch),
                (Some(link), None) => link.detach(side),
                (None, _) => {}
            }
        }
    }

    fn listen(&mut self, unit: usize) {
        self.read_output(unit, READS_A_TURN);
        self.read_messages(unit);
        self.answer_questions(unit);
    }

    fn read_output(&mut self, unit: usize, reads: usize) {
        let now = self.now();
        let Some(Slot { running: Some(running), log, .. }) = self.slots.get_mut(unit) else { return };
        let mut buffer = [0; READ_BYTES];
        let mut printed = false;
        let streams = running.process.output.iter_mut().zip([Stream::Output, Stream::Error]);
        for ((pipe, stream), open) in streams.zip(&mut running.open) {
            for _ in 0..reads {
                match pipe.read(&mut buffer) {
                    Ok(0) => {
                        *open = false;
                        break;
                    }
                    Ok(length) => {
                        log.write(now, Source { unit, stream }, &buffer[..length]);
                        printed = true;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
        if printed {
            self.news.push(News::Printed(unit));
        }
    }

    fn read_messages(&mut self, unit: usize) {
        let Some(running) = self.slots.get_mut(unit).and_then(|slot| slot.running.as_mut()) else { return };
        let epoch = running.epoch;
        if !running.open[2] {
            return;
        }
        let mut buffer = [0; 4096];
        match running.process.control.read(&mut buffer) {
            Ok(0) => running.open[2] = false,
            Ok(length) => running.decoder.push(&buffer[..length]),
            Err(_) => {}
        }
        let mut messages = Vec::new();
        loop {
            match running.decoder.decode() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                // Nothing that follows can be understood, so it is not heard any more, and nothing of it is kept.
                Err(_) => {
                    running.open[2] = false;
                    let _ = running.process.control.shutdown(std::net::Shutdown::Both);
                    running.decoder = Decoder::new();
                    break;
                }
            }
        }
        for message in messages {
            self.happen(match message {
                FromUnit::Ready => Event::Ready { unit, epoch },
                FromUnit::Health(health) => Event::Health { unit, epoch, health },
            });
        }
    }

    fn answer_questions(&mut self, unit: usize) {
        let Some(running) = self.slots.get_mut(unit).and_then(|slot| slot.running.as_mut()) else { return };
        // Taken out while its questions are answered, which needs all units.
        let mut controller = running.controller.take();
        for question in controller.as_mut().map(Controller::questions).unwrap_or_default() {
            let answer = self.answer(unit, question);
            if let Some(controller) = &mut controller {
                controller.answer(&answer);
            }
        }
        if let Some(running) = self.slots.get_mut(unit).and_then(|slot| slot.running.as_mut()) {
            running.controller = controller;
        }
    }
}

impl Running {
    /// Ends the process, and all that it started.
    fn kill(&self) {
        let _ = kill_process_group(self.process.pid, Signal::KILL);
        self.group.iter().for_each(Group::kill);
    }

    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let [output, errors] = &self.process.output;
        let streams = [output.as_fd(), errors.as_fd(), self.process.control.as_fd()];
        let open = streams.into_iter().zip(self.open).filter_map(|(stream, open)| open.then_some(stream));
        let controller = self.controller.as_ref().and_then(Controller::descriptor);
        open.chain([self.process.ended.as_fd()]).chain(controller)
    }
}

/// The end of a link that is not on this machine.
fn absent(remote: &plan::Remote) -> Side {
    match remote.here {
        plan::End::Client => Side::Server,
        plan::End::Server => Side::Client,
    }
}

/// A unit cannot set this itself.
pub(crate) fn not_blocking(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    Ok(descriptor)
}

/// The status of a process that was waited for.
pub fn status_of(status: rustix::process::WaitStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        // Linux keeps eight bits of a status and seven of a signal (wait(2)), so neither is cut.
        (Some(code), _) => Status::Exited(code as u8),
        (None, signal) => Status::Signaled(signal.unwrap_or_default() as u8),
    }
}

fn terms(unit: &plan::Unit) -> UnitTerms {
    UnitTerms {
        name: unit.full_name(),
        needs: unit.needs.clone(),
        restart: unit.restart,
        ready: unit.ready,
        ready_within_ms: unit.ready_within_ms,
        grace_ms: unit.grace_ms,
        wait: unit.wait.clone(),
        autostart: true,
    }
}

fn arguments(program: &plan::Program, unit: &plan::Unit) -> Result<Vec<CString>, String> {
    std::iter::once(&program.path).chain(&unit.arguments).map(|word| c_string(word)).collect()
}

fn pairs(environment: &[(String, String)]) -> Result<Vec<CString>, String> {
    environment.iter().map(|(name, value)| c_string(&format!("{name}={value}"))).collect()
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("`{text:?}` has a zero byte in it"))
}
