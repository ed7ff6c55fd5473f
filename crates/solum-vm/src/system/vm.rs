//! The place `vm`: a virtual machine for each machine of a system. Each is run by a thread of its own; here they come
//! together, so that the system is watched and commanded as one.

use std::io::{self, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use solum_spec::control::{self, Decoder, FromMachine};
use solum_spec::count;
use solum_spec::handover::UnitPhase;
use solum_spec::keyboard::KeyChange;
use solum_spec::operation::{Answer, LogLine, Order, UnitReport, VERSION, What};
use solum_spec::plan::Plan;
use solum_supervisor::log::{LogRing, Source, Stream};
use solum_unit::operator::{Operated, Wish};
use solum_unit::{Keyboards, Operator};

use super::{FAREWELL_PATIENCE, Notice};
use crate::error::VmError;
use crate::machine::Machine;
use crate::network::Network;
use crate::report::Report;
use crate::requests::{Handle, Request, Requests, Waker, requests};
use crate::run::{Limits, Streams};

/// One machine of a system, ready to be booted.
pub struct Booted {
    /// Its name in the system.
    pub name: String,
    /// The virtual machine.
    pub machine: Machine,
    /// How long things may take.
    pub limits: Limits,
}

/// How each machine ended, by its name, in the order of the description.
pub type Reports = Vec<(String, Result<Report, VmError>)>;

/// Something that one of the machines did.
enum Event {
    Answered(Answer),
    Said(FromMachine),
    Ended(Box<Result<Report, VmError>>),
}

struct Member {
    name: String,
    /// Where its units begin among all.
    first_unit: usize,
    units: usize,
    handle: Handle,
    /// How long it may take to stop.
    stop: Duration,
    orders: PipeWriter,
    thread: Option<JoinHandle<()>>,
    report: Option<Result<Report, VmError>>,
}

struct System {
    plan: Plan,
    members: Vec<Member>,
    reports: Vec<UnitReport>,
    logs: Vec<LogRing>,
    /// Between the machines that have an interface for it.
    _network: Network,
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
    let mut system = System::start(machines, plan, &sender, &requests.waker())?;
    drop(sender);
    while system.members.iter().any(|member| member.report.is_none()) {
        wait(&operator, &requests)?;
        requests.rest();
        while let Some(request) = requests.next() {
            system.request(request);
        }
        system.listen(&receiver, observer);
        operator.turn(&mut system);
    }
    operator.finish(&mut system, FAREWELL_PATIENCE);
    Ok(system.finish())
}

fn wait(operator: &Operator, requests: &Requests) -> io::Result<()> {
    let mut descriptors = operator.poll_descriptors();
    descriptors.push(PollFd::from_borrowed_fd(requests.descriptor(), PollFlags::IN));
    match poll(&mut descriptors, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl System {
    fn start(
        machines: Vec<Booted>,
        plan: Plan,
        sender: &Sender<(usize, Event)>,
        waker: &Waker,
    ) -> io::Result<Self> {
        let wired = machines.iter().filter(|booted| booted.machine.system_mac.is_some()).count();
        let (network, cables) = Network::start(wired)?;
        let mut cables = cables.into_iter();
        let mut members = Vec::new();
        for (index, booted) in machines.into_iter().enumerate() {
            let first_unit =
                plan.units.iter().position(|unit| unit.machine == booted.name).unwrap_or_default();
            let units = plan.units.iter().filter(|unit| unit.machine == booted.name).count();
            let post = Post { machine: index, sender: sender.clone(), waker: waker.clone() };
            let cable = booted.machine.system_mac.and_then(|_| cables.next());
            members.push(Member::start(booted, cable, first_unit, units, post)?);
        }
        let reports = plan.units.iter().map(|unit| UnitReport {
            unit: unit.full_name(),
            program: plan.programs.get(unit.program).map(|program| program.name.clone()).unwrap_or_default(),
            phase: UnitPhase::Waiting,
            reason: "its machine is starting".into(),
            starts: 0,
            pid: None,
        });
        let logs =
            plan.units.iter().map(|unit| LogRing::new(usize::try_from(unit.log_bytes).unwrap_or(usize::MAX)));
        Ok(Self { members, reports: reports.collect(), logs: logs.collect(), plan, _network: network })
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Stop => self.obey(Wish::Down),
            Request::Kill => self.members.iter().for_each(|member| member.handle.kill()),
            // A key that nobody feels is no reason to say anything.
            Request::Key(key) => drop(self.press(None, &[key])),
            // The terminal is whoever's who looks on, not a unit's.
            Request::Signal(_) | Request::Resize { .. } => {}
        }
    }

    fn listen(&mut self, receiver: &Receiver<(usize, Event)>, observer: &mut dyn FnMut(Notice<'_>)) {
        while let Ok((machine, event)) = receiver.try_recv() {
            match event {
                Event::Answered(answer) => self.answered(machine, answer, observer),
                Event::Said(FromMachine::Warning(text)) => {
                    observer(Notice::Said(&format!("{}: {text}", self.members[machine].name)));
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
                    self.reports[unit] = report;
                }
            }
            Answer::Line(LogLine { unit, is_error, at_ms, mut bytes }) => {
                let Some(unit) = name(&unit) else { return };
                let stream = if is_error { Stream::Error } else { Stream::Output };
                bytes.push(b'\n');
                self.logs[unit].write(at_ms, Source { unit, stream }, &bytes);
            }
            Answer::Lost { unit, lines, bytes } => {
                let (lines, bytes) = (count(lines, "line"), count(bytes, "byte"));
                let text =
                    format!("{unit}: {lines} ({bytes}) lost, because output came faster than it was taken");
                observer(Notice::Said(&text));
            }
            Answer::Refused(why) => observer(Notice::Said(&format!("{}: {why}", self.members[machine].name))),
            Answer::Done | Answer::Stopping { .. } => {}
        }
    }

    fn ended(
        &mut self,
        machine: usize,
        report: Result<Report, VmError>,
        observer: &mut dyn FnMut(Notice<'_>),
    ) {
        let member = &mut self.members[machine];
        let why = match &report {
            Ok(report) => report.end.to_string(),
            Err(error) => error.to_string(),
        };
        for report in &mut self.reports[member.first_unit..member.first_unit + member.units] {
            report.pid = None;
            if !matches!(report.phase, UnitPhase::Ended | UnitPhase::Failed) {
                report.phase = UnitPhase::Ended;
                report.reason = "its machine has ended".into();
            }
        }
        observer(Notice::Said(&format!("machine {} is off: {why}", member.name)));
        member.report = Some(report);
    }

    fn finish(self) -> Reports {
        self.members
            .into_iter()
            .filter_map(|mut member| {
                if let Some(thread) = member.thread.take() {
                    // A panic of that thread has been reported by it.
                    let _ = thread.join();
                }
                Some((member.name, member.report?))
            })
            .collect()
    }

    /// Passes an order on to the machine of a unit. A machine that is gone hears nothing, which its end says too.
    fn order(&mut self, unit: usize, what: impl FnOnce(String) -> What) {
        let Some(name) = self.reports.get(unit).map(|report| report.unit.clone()) else { return };
        let units = |member: &Member| member.first_unit..member.first_unit + member.units;
        if let Some(member) = self.members.iter_mut().find(|member| units(member).contains(&unit)) {
            let _ = member.orders.write_all(&control::encode(&Order { version: VERSION, what: what(name) }));
        }
    }
}

impl Operated for System {
    fn units(&self) -> Vec<UnitReport> {
        self.reports.clone()
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        self.plan.find(name).ok_or_else(|| {
            let names: Vec<&str> = self.reports.iter().map(|report| report.unit.as_str()).collect();
            format!("there is no unit `{name}`, or several machines have it; there are {}", names.join(", "))
        })
    }

    fn log(&self, unit: usize) -> Option<&LogRing> {
        self.logs.get(unit)
    }

    fn stop_limit(&self) -> Duration {
        self.members.iter().map(|member| member.stop).max().unwrap_or_default()
    }

    fn obey(&mut self, wish: Wish) {
        match wish {
            Wish::Start(unit) => self.order(unit, What::Start),
            Wish::Stop(unit) => self.order(unit, What::Stop),
            Wish::Restart(unit) => self.order(unit, What::Restart),
            Wish::Down => self.members.iter().for_each(|member| member.handle.stop()),
        }
    }

    /// Whether it can be done is the machine's to say, and comes later.
    fn press(&mut self, machine: Option<&str>, keys: &[KeyChange]) -> Result<(), String> {
        let keyboards = Keyboards::new(self.plan.keys.iter().map(|keys| keys.machine.clone()));
        let machine = keyboards.choose(machine)?.to_owned();
        let Some(member) = self.members.iter_mut().find(|member| member.name == machine) else {
            return Err(format!("there is no machine {machine}"));
        };
        let what = What::Press { machine: Some(machine), keys: keys.to_vec() };
        member
            .orders
            .write_all(&control::encode(&Order { version: VERSION, what }))
            .map_err(|_| format!("machine {} is off", member.name))
    }
}

impl Member {
    fn start(
        booted: Booted,
        cable: Option<OwnedFd>,
        first_unit: usize,
        units: usize,
        post: Post,
    ) -> io::Result<Self> {
        let (handle, requests) = requests()?;
        let (input, mut orders) = io::pipe()?;
        // It waits in the pipe until the machine listens.
        orders.write_all(&control::encode(&Order { version: VERSION, what: What::Watch }))?;
        let (name, stop) = (booted.name.clone(), booted.limits.stop);
        let thread = std::thread::Builder::new().name(format!("machine {name}")).spawn(move || {
            let streams = Streams {
                input: Some(Box::new(input)),
                output: Box::new(AnswerReader { post: post.clone(), decoder: Decoder::new() }),
                error: Box::new(io::sink()),
            };
            let mut observer = |notice: crate::Notice<'_>| {
                if let crate::Notice::Message(message) = notice {
                    post.send(Event::Said(message.clone()));
                }
            };
            let report =
                crate::run_wired(&booted.machine, booted.limits, streams, cable, requests, &mut observer);
            post.send(Event::Ended(Box::new(report)));
        })?;
        Ok(Self { name, first_unit, units, handle, stop, orders, thread: Some(thread), report: None })
    }
}

/// The way from a machine's threads to where they come together.
#[derive(Clone)]
struct Post {
    machine: usize,
    sender: Sender<(usize, Event)>,
    waker: Waker,
}

impl Post {
    fn send(&self, event: Event) {
        // Nobody listens any more when the system is over.
        if self.sender.send((self.machine, event)).is_ok() {
            self.waker.wake();
        }
    }
}

/// Takes what a machine writes to its standard output: answers.
struct AnswerReader {
    post: Post,
    decoder: Decoder,
}

impl Write for AnswerReader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.decoder.push(bytes);
        while let Some(answer) = self.decoder.decode().map_err(io::Error::other)? {
            self.post.send(Event::Answered(answer));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
