//! PID 1: the thin shell around [`Life`]. It waits for events, asks `Life`, applies the effects; it never returns
//! and never panics on anything that comes from outside.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use solum_spec::control::{self, Decoder, Ending, FromMachine, Outcome, Status, ToMachine};
use solum_spec::description::{Network, Wait, WhenEnded};
use solum_spec::network::{Inside, SystemNetwork};
use solum_spec::{Description, reason};

use crate::buttons::Buttons;
use crate::control_channel::Channel;
use crate::devices::{self, Announcements};
use crate::kernel_log;
use crate::life::{self, Child, Effect, End, Event, Life, Terms};
use crate::permanent::Permanent;
use crate::process::{self, Processes};
use crate::storage::{Errand, Owners};
use crate::units::{self, Plan, Units};
use crate::{command_line, identity, modules, mounts, net, power, time};

/// Power failure or power button, by a daemon or the hypervisor (signal(7)).
const SIGPWR: i32 = 30;

/// How long ports of a virtio console may take to appear after its driver was loaded.
const PORT_PATIENCE: Duration = Duration::from_secs(2);

/// Brings the machine up, lives its life, and switches it off. Call it as PID 1 only.
///
/// `description` is an error if the image has none that can be read; the host is then told so.
pub fn run(description: Result<Description, String>) -> ! {
    let announcements = Announcements::listen();
    let mut warnings = mounts::mount_all();
    install_panic_hook();
    match description.and_then(|description| Ok((description, units::plan()?))) {
        Ok((description, plan)) => {
            // It is read once.
            let _ = WHEN_ENDED.set(description.when_ended);
            warnings.extend(load_modules(&description));
            let channel = open_channel(announcements.ok().as_ref());
            Pid1::new(description, plan, channel).live(warnings)
        }
        Err(why) => {
            modules::load_listed();
            let mut channel = open_channel(announcements.ok().as_ref());
            fail(channel.as_mut(), why)
        }
    }
}

/// Tells host and kernel log why there is no machine, and switches it off.
fn fail(channel: Option<&mut Channel>, why: String) -> ! {
    kernel_log::error(&why);
    if let Some(permanent) = Permanent::find() {
        permanent.last_panic(&why, &[]);
    }
    power::secure_data();
    let outcome = Outcome::MachineFailed(why);
    let ending = match WHEN_ENDED.get() {
        // The program is not started again by a PID 1 that failed, but by the next one.
        Some(WhenEnded::Reboot | WhenEnded::Restart) => Ending::Reboot,
        Some(WhenEnded::Halt) => Ending::Halt,
        Some(WhenEnded::PowerOff) | None => Ending::PowerOff,
    };
    let heard = channel.is_some_and(|channel| say_goodbye(channel, &outcome, ending));
    last_words(&outcome, ending, !heard);
    power::end(ending)
}

/// What the description says follows the end, once it was read.
static WHEN_ENDED: OnceLock<WhenEnded> = OnceLock::new();

/// The control channel's port once it is open, for the panic hook.
static CONTROL: OnceLock<File> = OnceLock::new();

/// A panic in PID 1 would be a panic of the kernel. There is no input known to cause one; should there be a
/// mistake all the same, the machine says so and ends in good order.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        if rustix::process::getpid().as_raw_nonzero().get() == 1 {
            // The port has one opener at a time (drivers/char/virtio_console.c, `port_fops_open`), so it is shared.
            let shared = CONTROL.get().and_then(|port| port.try_clone().ok());
            let mut channel = shared.map(Channel::new).or_else(|| open_channel(None));
            fail(channel.as_mut(), format!("PID 1 has a defect: {info}"));
        }
        kernel_log::error(&info.to_string());
    }));
}

fn load_modules(description: &Description) -> Vec<String> {
    if description.modules.is_empty() {
        modules::load_listed()
    } else {
        modules::load_all(description.modules.iter().map(String::as_str))
    }
}

fn open_channel(announcements: Option<&Announcements>) -> Option<Channel> {
    let is_coming = !command_line::has(control::NO_CONTROL_WORD);
    let control = || devices::port(control::PORT_NAME);
    let ports = || (devices::has_streams() && (!is_coming || control().is_some())).then_some(());
    if let Some(announcements) = announcements.filter(|_| devices::has_virtio_console()) {
        let _ = announcements.wait_for(PORT_PATIENCE, ports);
    }
    // A host may have plugged in a control channel without streams, so the port alone is enough in the end.
    let path = control()?;
    let port = devices::open_control(&path).ok()?;
    if let Ok(shared) = port.try_clone() {
        // The hook opens the channel only if nobody has, so there is no other one to be kept.
        let _ = CONTROL.set(shared);
    }
    Some(Channel::new(port))
}

/// How long a host may take to read the last output. One that reads slower loses the rest.
const HANG_UP_PATIENCE: Duration = Duration::from_secs(30);

/// A role's end of the conversation: it reports, PID 1 listens.
struct Reports {
    stream: UnixStream,
    decoder: Decoder,
}

struct Pid1 {
    description: Description,
    /// What runs instead of the description's program, until it does.
    plan: Option<Plan>,
    /// The interface to the other machines of the system.
    inside: Option<Inside>,
    channel: Option<Channel>,
    life: Life,
    start: Instant,
    processes: Processes,
    reports: Vec<Reports>,
    buttons: Buttons,
    /// The units of a system, once they may run.
    units: Option<Units>,
    /// What they may wait for and has come about, maybe before there were any.
    met: Vec<Wait>,
    /// What outlives the machine, from the program's first start on.
    permanent: Option<Permanent>,
    recalled: bool,
    /// The hardware has a clock that says what it can be.
    has_clock: bool,
    /// The clock was compared with a time server's in this life.
    is_clock_set: bool,
}

impl Pid1 {
    fn new(description: Description, plan: Option<Plan>, channel: Option<Channel>) -> Self {
        let inside = plan.as_ref().and_then(units::network).map(SystemNetwork::inside);
        let has_network = description.network != Network::None || inside.is_some();
        let life = Life::new(Terms {
            wait: description.unit.wait.clone(),
            grace_ms: plan.as_ref().map_or(description.unit.grace_ms, units::grace_ms),
            network: has_network,
            time_servers: description.time_servers.clone(),
            links: plan.as_ref().is_some_and(Plan::reaches_out),
            when_ended: match description.when_ended {
                // Units that are all over leave nothing behind to start them with, and their supervisor has restarted them.
                WhenEnded::Restart if plan.is_some() => WhenEnded::Reboot,
                when_ended => when_ended,
            },
            storage: !description.file_systems.is_empty(),
        });
        Self {
            description,
            plan,
            inside,
            channel,
            life,
            start: Instant::now(),
            processes: Processes::default(),
            reports: Vec::new(),
            buttons: Buttons::find(),
            units: None,
            // Whoever waits for a network where there is to be none would do so for ever.
            met: if has_network { Vec::new() } else { vec![Wait::Network] },
            permanent: None,
            recalled: false,
            has_clock: false,
            is_clock_set: false,
        }
    }

    fn live(mut self, mut warnings: Vec<String>) -> ! {
        self.tell(&FromMachine::Hello { protocol: control::PROTOCOL });
        let mut signals = match watch_signals() {
            Ok(signals) => signals,
            Err(error) => {
                fail(self.channel.as_mut(), format!("PID 1 cannot receive signals: {}", reason(&error)))
            }
        };
        warnings.extend(self.settle());
        warnings.into_iter().for_each(|warning| self.warn(warning));
        if let Err(why) = self.mount_shares() {
            fail(self.channel.as_mut(), why);
        }
        // The size of the terminal is here by now, mostly, and a program may ask for it first thing.
        self.listen_to_host();
        self.happen(Event::Up);
        loop {
            self.wait(signals.get_read().as_fd());
            for signal in signals.pending() {
                self.signal(signal);
            }
            self.listen_to_host();
            let _ = self.listen_to_roles();
            self.listen_to_buttons();
            self.listen_to_units();
            self.processes.turn();
            self.permanent.iter_mut().for_each(Permanent::turn);
            if self.life.deadline().is_some_and(|at| at <= self.now()) {
                self.happen(Event::DeadlineReached);
            }
        }
    }

    /// Everything that makes the machine a place to live in, before its program starts.
    fn settle(&mut self) -> Vec<String> {
        self.has_clock = time::catch_up();
        identity::relax();
        power::take_control();
        process::raise_limits();
        let network = self.plan.as_ref().and_then(units::network);
        let hosts = network.map(|network| network.hosts.clone()).unwrap_or_default();
        let mut warnings =
            identity::establish(&self.description.host_name, self.description.unit.user_id, &hosts);
        if let Err(error) = net::loopback_up() {
            warnings.push(format!("the loopback interface could not be brought up: {}", reason(&error)));
        }
        warnings
    }

    /// Mounts the host's directories. Without one of them the program would write into memory and lose it.
    fn mount_shares(&self) -> Result<(), String> {
        self.description.shares.iter().try_for_each(|share| {
            mounts::mount_share(&share.tag, &share.target, share.read_only).map_err(|error| {
                format!("the share {} could not be mounted: {}", share.target, reason(&error))
            })
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sleeps until there is something to do.
    fn wait(&self, signals: BorrowedFd<'_>) {
        let own = self.life.deadline().map(|at| Duration::from_millis(at.saturating_sub(self.now())));
        let kept = self.permanent.as_ref().map(Permanent::patience);
        let timeout = own.into_iter().chain(kept).chain(self.units.as_ref().and_then(Units::patience)).min();
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        let control = self.channel.as_ref().and_then(Channel::readable);
        let mut descriptors: Vec<PollFd<'_>> = [signals]
            .into_iter()
            .chain(control)
            .chain(self.reports.iter().map(|role| role.stream.as_fd()))
            .chain(self.buttons.descriptors())
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        descriptors.extend(self.units.iter().flat_map(Units::poll_descriptors));
        descriptors.extend(self.processes.poll_descriptor());
        // Only EINTR and ENOMEM are possible. Either way the loop looks at everything and comes back.
        let _ = poll(&mut descriptors, timeout.as_ref());
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            SIGCHLD => self.reap(),
            SIGTERM | SIGPWR => self.happen(Event::EndRequested(Ending::PowerOff)),
            // Ctrl-Alt-Del too, by the kernel (reboot(2), `LINUX_REBOOT_CMD_CAD_OFF`).
            SIGINT => self.happen(Event::EndRequested(Ending::Reboot)),
            power::HALT_SIGNAL => self.happen(Event::EndRequested(Ending::Halt)),
            other => self.happen(Event::SignalRequested(other as u8)),
        }
    }

    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if self.units.as_mut().is_some_and(|units| units.ended(pid, status)) {
                        continue;
                    }
                    let Some(child) = self.processes.ended(pid) else { continue };
                    self.hear_out(child);
                    self.role_ended(child);
                    let status = match (status.exit_status(), status.terminating_signal()) {
                        (Some(status), _) => Status::Exited(status as u8),
                        (None, signal) => Status::Signaled(signal.unwrap_or_default() as u8),
                    };
                    self.happen(Event::Ended(child, status));
                }
                Err(rustix::io::Errno::CHILD) if self.life.is_sweeping() => {
                    return self.happen(Event::AllGone);
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn listen_to_host(&mut self) {
        while let Some(message) = self.channel.as_mut().and_then(Channel::receive) {
            match message {
                ToMachine::Stop => self.happen(Event::EndRequested(Ending::PowerOff)),
                ToMachine::Signal(signal) => self.happen(Event::SignalRequested(signal)),
                ToMachine::Resize { rows, columns } => self.processes.resize_terminal(rows, columns),
            }
        }
    }

    fn listen_to_units(&mut self) {
        // First: at the end of all, a turn waits for operators.
        let failed = self.units.as_mut().and_then(Units::failed);
        if let (Some(permanent), Some(failed)) = (&self.permanent, failed) {
            // Each orderly end would else cover what a person is to read: some units never stop well.
            if !failed.is_asked || !permanent.has_last_panic() {
                permanent.last_panic(&failed.what, &failed.words);
            }
        }
        if let Some((outcome, ending)) = self.units.as_mut().and_then(Units::turn) {
            self.happen(Event::UnitsOver(outcome, ending));
        }
    }

    fn listen_to_buttons(&mut self) {
        if let Some(ending) = self.buttons.pressed() {
            self.happen(Event::EndRequested(ending));
        }
    }

    /// What the role `storage` said comes before its end, which means another thing then. Roles may talk without end, so
    /// there is one to listening.
    fn hear_out(&mut self, role: Child) {
        const ROUNDS: usize = 64;
        if role == Child::Storage {
            let _ = (0..ROUNDS).find(|_| !self.listen_to_roles());
        }
    }

    /// Whether a role said anything.
    fn listen_to_roles(&mut self) -> bool {
        let mut messages = Vec::new();
        self.reports.retain_mut(|role| role.read(&mut messages));
        let is_news = !messages.is_empty();
        for message in messages {
            match message {
                FromMachine::Network(report)
                    if life::is_awaited(&report, self.inside, &self.description.network) =>
                {
                    self.condition(Wait::Network);
                    self.happen(Event::Network(report));
                }
                FromMachine::Network(report) => self.tell(&FromMachine::Network(report)),
                FromMachine::Clock(report) => {
                    self.condition(Wait::Clock);
                    self.is_clock_set = true;
                    self.permanent.iter_mut().for_each(Permanent::reserve_clock);
                    self.happen(Event::Clock(report));
                }
                FromMachine::Storage(report) => self.happen(Event::Storage(report)),
                FromMachine::Warning(text) => self.warn(text),
                // A role speaks for itself only.
                FromMachine::Hello { .. }
                | FromMachine::Started
                | FromMachine::Ended(_)
                | FromMachine::Ending(_) => {}
            }
        }
        is_news
    }

    fn happen(&mut self, event: Event) {
        for effect in self.life.step(self.now(), event) {
            self.apply(effect);
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::StartProgram => self.start_program(),
            Effect::StartNet => {
                let configuration = control::encode(&(&self.description.network, self.inside));
                self.start_role(Child::Net, &configuration, &[]);
            }
            Effect::StartLink => {
                if let Some((relay, inherited)) = self.units.as_mut().and_then(Units::start_relay) {
                    self.start_role(Child::Link, &relay, &inherited);
                }
            }
            Effect::StartTime(servers) => self.start_role(Child::Time, &control::encode(&servers), &[]),
            Effect::StartStorage => {
                let owners =
                    self.plan.as_ref().map_or(Owners::Program(self.description.unit.user_id), units::owners);
                let errand = control::encode(&Errand::new(&self.description.file_systems, owners));
                self.start_role(Child::Storage, &errand, &[]);
            }
            Effect::StopTime => self.processes.signal(Child::Time, SIGTERM as u8),
            Effect::SignalProgram(signal) if self.units.is_some() => {
                self.units.iter_mut().for_each(|units| units.signal(signal));
            }
            Effect::SignalProgram(signal) => self.processes.signal(Child::Program, signal),
            Effect::SignalAll(signal) => {
                process::signal_all(signal);
                self.reap();
            }
            Effect::Tell(message) => match message {
                FromMachine::Warning(text) => self.warn(text),
                message => self.tell(&message),
            },
            Effect::Remember(outcome) => self.remember(&outcome),
            Effect::EndLeftOvers => self.processes.end_left_overs(),
            Effect::End(end) => self.end(end),
        }
    }

    fn start_program(&mut self) {
        if !std::mem::replace(&mut self.recalled, true) {
            self.recall();
        }
        if self.plan.is_some() {
            return self.start_units();
        }
        match self.processes.start_program(&self.description, self.permanent.is_some()) {
            Ok(()) => self.tell(&FromMachine::Started),
            Err(error) => {
                let why = format!("{} could not be started: {}", self.description.unit.path, reason(&error));
                self.happen(Event::NotStarted(Child::Program, why));
            }
        }
    }

    /// Everything is mounted: takes up what the machine's earlier lives left.
    fn recall(&mut self) {
        self.permanent = Permanent::find();
        if let Some(permanent) = &mut self.permanent {
            permanent.load_seed();
            permanent.save_seed();
            // A time server that was asked meanwhile knows better.
            if let Some(kept) = permanent.clock().filter(|_| !self.is_clock_set) {
                time::resume(kept, self.has_clock);
            }
            permanent.reserve_clock();
            // Before the program has seen a moment of this life.
            permanent.wait_for_clock();
            if permanent.fetch_kernel_panic() {
                self.warn(
                    "the kernel panicked in the machine's last life; /perm/last-panic says more".into(),
                );
            }
        }
        if let Err(error) = identity::write_machine_id(self.permanent.as_ref()) {
            self.warn(format!("/etc/machine-id: {}", reason(&error)));
        }
    }

    /// Keeps the program's last words. Those of units are kept when they fail.
    fn remember(&mut self, outcome: &Outcome) {
        if let (Some(permanent), None) = (&self.permanent, &self.units) {
            let path = &self.description.unit.path;
            let up_s = self.start.elapsed().as_secs();
            let what = format!("{outcome}, {up_s} s after the machine's start ({path})");
            permanent.last_panic(&what, self.processes.last_words());
        }
    }

    fn warn(&mut self, text: String) {
        kernel_log::warning(&text);
        self.tell(&FromMachine::Warning(text));
    }

    fn start_units(&mut self) {
        let Some(plan) = self.plan.take() else { return };
        match Units::start(plan) {
            Ok(mut units) => {
                self.met.iter().for_each(|met| units.condition(*met));
                self.units = Some(units);
                self.tell(&FromMachine::Started);
            }
            Err(error) => {
                let why = format!("the units could not be started: {}", reason(&error));
                self.happen(Event::NotStarted(Child::Program, why));
            }
        }
    }

    fn condition(&mut self, condition: Wait) {
        if !self.met.contains(&condition) {
            self.met.push(condition);
        }
        if let Some(units) = &mut self.units {
            units.condition(condition);
        }
    }

    /// What follows at once from the end of a process.
    fn role_ended(&self, role: Child) {
        if role == Child::Link {
            self.units.iter().for_each(Units::relay_ended);
        }
    }

    fn start_role(&mut self, role: Child, configuration: &[u8], inherited: &[RawFd]) {
        let started = UnixStream::pair().and_then(|(ours, theirs)| {
            self.processes.start_role(role, OwnedFd::from(theirs), inherited)?;
            (&ours).write_all(configuration)?;
            ours.set_nonblocking(true)?;
            Ok(ours)
        });
        match started {
            Ok(stream) => self.reports.push(Reports { stream, decoder: Decoder::new() }),
            Err(error) => {
                self.role_ended(role);
                self.happen(Event::NotStarted(role, reason(&error)));
            }
        }
    }

    fn tell(&mut self, message: &FromMachine) {
        if let Some(channel) = &mut self.channel {
            channel.tell(message);
        }
    }

    fn end(&mut self, End { outcome, ending, asked }: End) -> ! {
        if let Some(permanent) = &mut self.permanent {
            permanent.end_clock();
            permanent.save_seed();
        }
        // Before anybody is waited for who may never read.
        power::secure_data();
        self.units.iter_mut().for_each(Units::drain);
        self.processes.drain(HANG_UP_PATIENCE);
        let heard = match &mut self.channel {
            Some(channel) => say_goodbye(channel, &outcome, ending),
            None => false,
        };
        last_words(&outcome, ending, !asked && !heard);
        power::end(ending)
    }
}

/// Tells the host the end, and whether it took that.
fn say_goodbye(channel: &mut Channel, outcome: &Outcome, ending: Ending) -> bool {
    if ending != Ending::PowerOff {
        channel.tell(&FromMachine::Ending(ending));
    }
    channel.tell(&FromMachine::Ended(outcome.clone()));
    channel.wait_for_hang_up(HANG_UP_PATIENCE);
    channel.has_host()
}

/// How long a screen shows why there is no machine before it goes dark, and how often a machine that cannot come up tries.
const READING_TIME: Duration = Duration::from_secs(30);

/// Says the end where a person may read it, and leaves time to do so if nobody else can say it later.
fn last_words(outcome: &Outcome, ending: Ending, alone: bool) {
    let text = format!("the machine ends: {outcome}");
    let what = match ending {
        Ending::PowerOff => "it switches itself off",
        Ending::Reboot => "it starts anew",
        Ending::Halt => {
            return kernel_log::error(&format!("{text}; it stands still, and may be switched off"));
        }
    };
    if alone && matches!(outcome, Outcome::NotStarted(_) | Outcome::MachineFailed(_)) {
        kernel_log::error(&format!("{text}; {what} in {} s", READING_TIME.as_secs()));
        Buttons::find().wait(READING_TIME);
    } else {
        kernel_log::info(&text);
    }
}

impl Reports {
    /// Reads once, so that a role that never stops talking cannot keep PID 1 from its other work; poll(2) says when
    /// there is more. Whether the role may have more to say.
    fn read(&mut self, messages: &mut Vec<FromMachine>) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.decoder.push(&buffer[..length]);
                self.decode(messages)
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    fn decode(&mut self, messages: &mut Vec<FromMachine>) -> bool {
        loop {
            match self.decoder.decode() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return true,
                Err(error) => {
                    messages.push(FromMachine::Warning(format!("a role sent {error}")));
                    return false;
                }
            }
        }
    }
}

fn watch_signals() -> io::Result<SignalDelivery<UnixStream, SignalOnly>> {
    let (read, write) = UnixStream::pair()?;
    let signals = [SIGCHLD, SIGTERM, SIGINT, SIGPWR, SIGHUP, SIGUSR1, SIGUSR2, power::HALT_SIGNAL];
    SignalDelivery::with_pipe(read, write, SignalOnly, signals)
}
