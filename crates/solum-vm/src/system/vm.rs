//! The place `vm`: a virtual machine for each machine of a system. Each is run by a thread of its own; here they come
//! together, so that the system is watched and commanded as one. A machine that vanishes is started again.

mod lives;
mod member;

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use solum_spec::control::FromMachine;
use solum_spec::count;
use solum_spec::handover::UnitPhase;
use solum_spec::keyboard::KeyChange;
use solum_spec::operation::{Answer, LogLine, UnitReport, What};
use solum_spec::plan::Plan;
use solum_supervisor::duration;
use solum_supervisor::log::{LogRing, Source, Stream};
use solum_unit::operator::{Operated, Wish};
use solum_unit::{Keyboards, Operator};

use super::{FAREWELL_PATIENCE, Notice};
use crate::error::VmError;
use crate::machine::Machine;
use crate::network::Network;
use crate::report::{Durations, End, Report};
use crate::requests::{Request, Requests};
use crate::run::Limits;
use lives::{Due, Verdict, verb};
use member::{Event, Member, News, Post};

/// One machine of a system, ready to be booted.
pub struct Booted {
    /// Its name in the system.
    pub name: String,
    /// The virtual machine.
    pub machine: Machine,
    /// How long things may take; the time limit is that of the run, however often the machine is started.
    pub limits: Limits,
}

/// How each machine ended, by its name, in the order of the description.
pub type Reports = Vec<(String, Result<Report, VmError>)>;

struct System {
    plan: Plan,
    members: Vec<Member>,
    reports: Vec<UnitReport>,
    /// How often each unit was started in earlier lives of its machine.
    starts: Vec<u32>,
    logs: Vec<LogRing>,
    /// Between the machines that have an interface for it.
    network: Network,
    post: Post,
    began: Instant,
    /// Everything shall stop.
    is_ending: bool,
}

/// Runs the machines to their ends. `plan` is that of all machines together.
///
/// # Errors
///
/// What this host refuses. What becomes of a machine is in its report.
pub fn run(
    machines: Vec<Booted>,
    plan: Plan,
    mut operator: Operator,
    mut requests: Requests,
    observer: &mut dyn FnMut(Notice<'_>),
) -> io::Result<Reports> {
    let (sender, receiver) = channel();
    let mut system = System::new(machines, plan, Post { sender, waker: requests.waker() })?;
    system.boot()?;
    while system.members.iter().any(|member| !member.lives.is_off()) {
        wait(&system, &operator, &requests)?;
        requests.rest();
        system.members.iter_mut().for_each(Member::send_orders);
        while let Some(request) = requests.next() {
            system.request(request);
        }
        system.listen(&receiver, observer);
        system.do_what_is_due(observer);
        operator.turn(&mut system);
    }
    operator.finish(&mut system, FAREWELL_PATIENCE);
    Ok(system.finish())
}

fn wait(system: &System, operator: &Operator, requests: &Requests) -> io::Result<()> {
    let mut descriptors = operator.poll_descriptors();
    let full = system.members.iter().filter_map(Member::full);
    descriptors.extend(full.map(|orders| PollFd::from_borrowed_fd(orders, PollFlags::OUT)));
    descriptors.push(PollFd::from_borrowed_fd(requests.descriptor(), PollFlags::IN));
    let patience = system.patience().and_then(|patience| Timespec::try_from(patience).ok());
    match poll(&mut descriptors, patience.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl System {
    fn new(machines: Vec<Booted>, plan: Plan, post: Post) -> io::Result<Self> {
        let mut cables = 0..;
        let mut members = Vec::new();
        for (index, booted) in machines.into_iter().enumerate() {
            let first = plan.units.iter().position(|unit| unit.machine == booted.name).unwrap_or_default();
            let count = plan.units.iter().filter(|unit| unit.machine == booted.name).count();
            let cable = booted.machine.system_mac.and_then(|_| cables.next());
            members.push(Member::new(booted, index, first..first + count, cable)?);
        }
        let reports = plan.units.iter().map(|unit| UnitReport {
            unit: unit.full_name(),
            program: plan.programs.get(unit.program).map(|program| program.name.clone()).unwrap_or_default(),
            phase: UnitPhase::Waiting,
            reason: STARTING.into(),
            starts: 0,
            pid: None,
            machine_pid: None,
        });
        let reports: Vec<UnitReport> = reports.collect();
        let logs =
            plan.units.iter().map(|unit| LogRing::new(usize::try_from(unit.log_bytes).unwrap_or(usize::MAX)));
        let (logs, starts) = (logs.collect(), vec![0; reports.len()]);
        let network = Network::start(members.iter().filter(|member| member.cable.is_some()).count())?;
        let began = Instant::now();
        Ok(Self { members, reports, starts, logs, plan, network, post, began, is_ending: false })
    }

    fn boot(&mut self) -> io::Result<()> {
        for member in &mut self.members {
            let cable = member.cable.map(|place| self.network.plug(place)).transpose()?;
            member.boot(cable, Duration::ZERO, &self.post)?;
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// How long nothing is due.
    fn patience(&self) -> Option<Duration> {
        let next = self.members.iter().filter_map(|member| member.lives.deadline()).min()?;
        // Rounded up, or the last fraction of a millisecond would be spent turning in circles.
        Some(Duration::from_millis(next.saturating_sub(self.now_ms()) + 1))
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Stop => self.stop(),
            Request::Kill => {
                self.stop_those_away();
                self.members.iter().for_each(|member| member.handle.kill());
            }
            // A key that nobody feels is no reason to say anything.
            Request::Key(machine, key) => drop(self.press(machine.as_deref(), &[key])),
            // The terminal is whoever's who looks on, not a unit's.
            Request::Signal(_) | Request::Resize { .. } => {}
        }
    }

    fn stop(&mut self) {
        self.stop_those_away();
        self.members.iter().for_each(|member| member.handle.stop());
    }

    /// Nothing is started from now on.
    fn stop_those_away(&mut self) {
        self.is_ending = true;
        for index in 0..self.members.len() {
            if self.members[index].lives.stop() {
                self.tell_units(index, UnitPhase::Ended, "its machine has ended");
            }
        }
    }

    fn listen(&mut self, receiver: &Receiver<News>, observer: &mut dyn FnMut(Notice<'_>)) {
        while let Ok(News { machine, life, event }) = receiver.try_recv() {
            let now = self.now_ms();
            let member = &mut self.members[machine];
            if member.life != life {
                continue;
            }
            match event {
                Event::Emulated(pid) => {
                    self.reports[member.units.clone()]
                        .iter_mut()
                        .for_each(|unit| unit.machine_pid = Some(pid));
                }
                Event::Answered(answer) => self.answered(machine, answer, observer),
                Event::Said(FromMachine::Started) => member.lives.came_up(now),
                Event::Said(FromMachine::Warning(text)) => {
                    observer(Notice::Said(&format!("{}: {text}", member.name())));
                }
                Event::Said(_) => {}
                Event::Ended(report) => self.ended(machine, *report, observer),
            }
        }
    }

    fn answered(&mut self, machine: usize, answer: Answer, observer: &mut dyn FnMut(Notice<'_>)) {
        let name = |unit: &str| self.plan.units.iter().position(|known| known.full_name() == unit);
        match answer {
            Answer::Units(changed) => {
                for report in changed {
                    let Some(unit) = name(&report.unit) else { continue };
                    observer(Notice::Changed(unit, report.phase, &report.reason));
                    let starts = self.starts[unit].saturating_add(report.starts);
                    let machine_pid = self.reports[unit].machine_pid;
                    self.reports[unit] = UnitReport { starts, machine_pid, ..report };
                }
            }
            Answer::Line(LogLine { unit, is_error, at_ms, mut bytes }) => {
                let Some(unit) = name(&unit) else { return };
                let stream = if is_error { Stream::Error } else { Stream::Output };
                bytes.push(b'\n');
                let at_ms = self.members[machine].began_ms.saturating_add(at_ms);
                self.logs[unit].write(at_ms, Source { unit, stream }, &bytes);
            }
            Answer::Lost { unit, lines, bytes } => {
                let (lines, bytes) = (count(lines, "line"), count(bytes, "byte"));
                let text =
                    format!("{unit}: {lines} ({bytes}) lost, because output came faster than it was taken");
                observer(Notice::Said(&text));
            }
            Answer::Refused(why) => {
                observer(Notice::Said(&format!("{}: {why}", self.members[machine].name())));
            }
            Answer::Done | Answer::Stopping { .. } => {}
        }
    }

    fn ended(
        &mut self,
        machine: usize,
        report: Result<Report, VmError>,
        observer: &mut dyn FnMut(Notice<'_>),
    ) {
        let now = self.now_ms();
        let member = &mut self.members[machine];
        member.join();
        let verdict = member.lives.ended(now, &report, self.is_ending);
        let (name, what) = (member.name(), verb(&report));
        let why = match &report {
            Ok(report) => report.end.to_string(),
            Err(error) => error.to_string(),
        };
        match verdict {
            Verdict::Off => {
                observer(Notice::Said(&format!("machine {name} is off: {why}")));
                self.tell_units(machine, UnitPhase::Ended, "its machine has ended");
            }
            Verdict::Again { pause_ms } => {
                let again = format!("it is started again in {}", duration(pause_ms));
                observer(Notice::Said(&format!("machine {name} {what}: {why}; {again}")));
                self.tell_units(machine, UnitPhase::Pausing, &format!("its machine {what}; {again}"));
                // Without the pipe, orders are refused until the machine is started.
                let _ = self.members[machine].look_forward();
            }
        }
        self.members[machine].report = Some(report);
    }

    /// The units of a machine do not run, for this reason. What has ended for good is left at that when its machine is off.
    fn tell_units(&mut self, machine: usize, phase: UnitPhase, reason: &str) {
        for unit in self.members[machine].units.clone() {
            let report = &mut self.reports[unit];
            (report.pid, report.machine_pid) = (None, None);
            self.starts[unit] = report.starts;
            let is_over = matches!(report.phase, UnitPhase::Ended | UnitPhase::Failed);
            if !is_over || phase != UnitPhase::Ended {
                (report.phase, report.reason) = (phase, reason.to_owned());
            }
        }
    }

    fn do_what_is_due(&mut self, observer: &mut dyn FnMut(Notice<'_>)) {
        for machine in 0..self.members.len() {
            let now = self.now_ms();
            match self.members[machine].lives.due(now) {
                None => {}
                Some(Due::TimedOut { limit_ms }) => {
                    let end = End::TimedOut(Duration::from_millis(limit_ms));
                    let (kernel_log, durations) = (Vec::new(), Durations::default());
                    self.members[machine].report =
                        Some(Ok(Report { end, reboots: false, kernel_log, durations }));
                    self.tell_units(machine, UnitPhase::Ended, "its machine has ended");
                }
                Some(Due::Start) => {
                    if let Err(error) = self.start_again(machine) {
                        self.ended(machine, Err(VmError::Host(error)), observer);
                    }
                }
            }
        }
    }

    fn start_again(&mut self, machine: usize) -> io::Result<()> {
        self.tell_units(machine, UnitPhase::Waiting, STARTING);
        let now = self.began.elapsed();
        let member = &mut self.members[machine];
        member.began_ms = now.as_millis() as u64;
        let cable = member.cable.map(|place| self.network.plug(place)).transpose()?;
        member.boot(cable, now, &self.post)
    }

    fn finish(self) -> Reports {
        let report = |mut member: Member| {
            member.join();
            Some((member.name().to_owned(), member.report?))
        };
        self.members.into_iter().filter_map(report).collect()
    }

    /// Passes an order on to the machine of a unit. One that is away hears it when it is back.
    fn order(&mut self, unit: usize, what: impl FnOnce(String) -> What) -> Result<(), String> {
        let Some(name) = self.reports.get(unit).map(|report| report.unit.clone()) else { return Ok(()) };
        let member = self.members.iter_mut().find(|member| member.units.contains(&unit));
        member.map_or(Ok(()), |member| member.order(what(name)))
    }
}

/// What units wait for whose machine is not up yet.
const STARTING: &str = "its machine is starting";

impl Operated for System {
    fn units(&self) -> Vec<UnitReport> {
        self.reports.clone()
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        self.plan.find(name)
    }

    fn log(&self, unit: usize) -> Option<&LogRing> {
        self.logs.get(unit)
    }

    fn stop_limit(&self) -> Duration {
        self.members.iter().map(Member::stop_limit).max().unwrap_or_default()
    }

    fn obey(&mut self, wish: Wish) -> Result<(), String> {
        match wish {
            Wish::Start(unit) => self.order(unit, What::Start),
            Wish::Stop(unit) => self.order(unit, What::Stop),
            Wish::Restart(unit) => self.order(unit, What::Restart),
            Wish::Down => {
                self.stop();
                Ok(())
            }
        }
    }

    /// Whether it can be done is the machine's to say, and comes later.
    fn press(&mut self, machine: Option<&str>, keys: &[KeyChange]) -> Result<(), String> {
        let keyboards = Keyboards::new(self.plan.keys.iter().map(|keys| keys.machine.clone()));
        let machine = keyboards.choose(machine)?.to_owned();
        let Some(member) = self.members.iter_mut().find(|member| member.name() == machine) else {
            return Err(format!("there is no machine {machine}"));
        };
        if !member.lives.is_on() {
            // Keys are for what is on the screen now.
            return Err(format!("machine {machine} is off"));
        }
        member.order(What::Press { machine: Some(machine), keys: keys.to_vec() })
    }
}

#[cfg(test)]
mod tests;
