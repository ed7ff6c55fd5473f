//! The virtual machines of a system, whatever they boot: what is around each of them, and the run of all together.

use std::path::PathBuf;
use std::time::Duration;

use solum_spec::handover::UnitPhase;
use solum_spec::plan::{self, Plan};
use solum_spec::{Protocol, Publish};
use solum_vm::system::vm::{self, Booted};
use solum_vm::system::{HostPlace, Notice, Published};
use solum_vm::{Accelerator, Boot, Console, Limits, Machine, Report, VmError, accelerator};

use crate::arguments::Run;
use crate::attended::{Screen, attended, published, refused};
use crate::built::needs_network;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::launch;
use crate::running::Claim;
use crate::terminal::{Spinner, say};
use crate::typing::Typing;

/// Beyond the units' own graces, for a machine to be off.
const POWER_OFF: Duration = Duration::from_secs(60);

/// What the machines of a system have in common.
pub struct Machines<'a> {
    arguments: &'a Run,
    claim: &'a Claim,
    /// The units of all machines.
    whole: &'a Plan,
    /// Where units are to be reachable, as the user wants it.
    published: Vec<Published>,
    accelerator: Accelerator,
}

impl<'a> Machines<'a> {
    /// Those of a system. `whole` has the units of all machines.
    pub fn new(arguments: &'a Run, claim: &'a Claim, whole: &'a Plan) -> Result<Self, Failure> {
        let choice = accelerator::choose(launch::requested(&arguments.around), &accelerator::facts());
        if arguments.around.verbose {
            say(&format!("accelerator: {}", choice.reason));
        }
        let published = published(arguments, whole)?;
        Ok(Self { arguments, claim, whole, published, accelerator: choice.accelerator })
    }

    /// The virtual machine around a plan: still with the memory, the processors and the type that any machine has. It has these
    /// files as the disks that the plan names.
    pub fn around(
        &self,
        name: &str,
        plan: &Plan,
        boot: Boot,
        disks: Vec<PathBuf>,
    ) -> Result<Machine, Failure> {
        let around = &self.arguments.around;
        let mut machine = Machine::new(name, "", "");
        machine.boot = boot;
        machine.accelerator = self.accelerator;
        machine.verbose_kernel = around.verbose;
        machine.command_line.clone_from(&around.append);
        machine.console = Console::Streams;
        machine.disks = disks;
        machine.screen = self.screen(plan)?;
        machine.keys = !plan.keys.is_empty();
        machine.publish = plan.listeners.iter().map(|listener| self.publish(listener)).collect();
        machine.network = needs_network(plan);
        machine.system_mac = plan.network.as_ref().map(|network| network.mac);
        Ok(machine)
    }

    /// A machine that can be booted, with the time that its units need to stop.
    pub fn booted(&self, machine: Machine, plan: &Plan) -> Booted {
        let grace: u64 = plan.units.iter().map(|unit| u64::from(unit.grace_ms)).sum();
        let silence = Limits::silence_under(machine.accelerator);
        let timeout = self.arguments.around.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        let limits =
            Limits { timeout, stop: Duration::from_millis(grace) + POWER_OFF, silence: Some(silence) };
        Booted { name: machine.name.clone(), machine, limits }
    }

    /// Boots all of them, and waits until they are off.
    pub fn run(&self, machines: Vec<Booted>) -> Result<vm::Reports, Failure> {
        let (mut operator, requests, handle) = attended(self.claim)?;
        let _typing = Typing::begin(self.whole, handle);
        let screen = Screen::new(self.whole, self.arguments, &mut operator)?;
        let booting = Spinner::new(format!("booting {}", self.whole.system));
        let mut observer = |notice: Notice<'_>| {
            // The first unit is up: what it prints is worth more.
            if matches!(notice, Notice::Changed(_, phase, _) if phase != UnitPhase::Waiting) {
                booting.finish();
            }
            screen.notice(&notice);
        };
        let reports = vm::run(machines, self.whole.clone(), operator, requests, &mut observer)
            .map_err(|error| refused(&error))?;
        screen.finish();
        Ok(reports)
    }

    /// A machine's screen, and where it can be looked at.
    fn screen(&self, plan: &Plan) -> Result<Option<solum_vm::Screen>, Failure> {
        let screen = match plan.screens.as_slice() {
            [] => return Ok(None),
            [screen] => screen,
            [first, ..] => {
                let machine = &first.machine;
                let message = format!("machine {machine} has several screens, and a virtual machine has one");
                return Err(Failure::new(ExitCode::UnusableInput, message)
                    .hint("run it as processes of this host: --place host".to_owned()));
            }
        };
        let directory = self.claim.state().join("screens");
        let name = screen.full_name();
        let socket = directory.join(format!("{name}.vnc"));
        std::fs::create_dir_all(&directory)
            .map_err(|error| Failure::file("cannot write", &directory, &error))?;
        say(&format!("screen {name} is at {}, for a viewer of VNC", socket.display()));
        Ok(Some(solum_vm::Screen { width: screen.width, height: screen.height, socket }))
    }

    /// A port at which a unit listens gets one of the host.
    fn publish(&self, listener: &plan::Listener) -> Publish {
        let chosen = self.published.iter().find(|published| {
            self.whole.listeners.get(published.listener).is_some_and(|known| known == listener)
        });
        let address =
            chosen.map_or_else(|| HostPlace::own_address(self.whole, listener), |chosen| chosen.address);
        say(&format!("{} is at {address}", listener.full_name()));
        Publish {
            address: address.ip(),
            host_port: address.port(),
            machine_port: listener.number,
            protocol: Protocol::Tcp,
        }
    }
}

/// The first machine that did not end well speaks for all; `conclude` turns the end of one into an exit status.
pub fn conclude(reports: vm::Reports, conclude: Conclude) -> Result<u8, Failure> {
    for (name, report) in reports {
        match conclude(&name, report)? {
            0 => {}
            status => return Ok(status),
        }
    }
    Ok(0)
}

/// Turns the end of the machine of this name into an exit status, or into what the user is told.
type Conclude = fn(&str, Result<Report, VmError>) -> Result<u8, Failure>;
