//! `solum run --place vm` on the directory of a system: a virtual machine for each of its machines.

use std::path::Path;
use std::time::Duration;

use solum_spec::plan::{self, Plan};
use solum_spec::system::{Machine, System};
use solum_spec::{Protocol, Publish};
use solum_vm::accelerator;
use solum_vm::system::vm::{self, Booted};
use solum_vm::system::{Disks, HostPlace, Published};
use solum_vm::{Boot, Console, Limits, MachineType};

use super::system::{Screen, attended, published, refused, unprepared};
use crate::arguments::{MachineKind, Run};
use crate::assemble;
use crate::built::{self, Built, needs_network};
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::kernel_choice::{self, Chosen};
use crate::output::Nameless;
use crate::parts::Parts;
use crate::running::Claim;
use crate::system::Executables;
use crate::terminal::say;
use crate::typing::Typing;
use crate::{init, launch};

/// Beyond the units' own graces, for a machine to be off.
const POWER_OFF: Duration = Duration::from_secs(60);

/// Boots every machine, and gives back an exit status.
pub fn run(
    directory: &Path,
    arguments: &Run,
    system: &System,
    executables: Executables,
    claim: &Claim,
) -> Result<u8, Failure> {
    let builder = Builder::new(directory, arguments, system, executables, claim)?;
    let whole = builder.built.whole_plan();
    let published = published(arguments, &whole)?;
    // They are locked until all machines are off.
    let disks = Disks::prepare(claim.state(), &whole).map_err(unprepared)?;
    let mut images = Vec::new();
    let mut machines = Vec::new();
    for machine in &system.machines {
        let (booted, image) = builder.machine(machine, &whole, &published, &disks)?;
        machines.push(booted);
        images.push(image);
    }
    let (mut operator, requests, handle) = attended(claim)?;
    let _typing = Typing::begin(&whole, handle);
    let screen = Screen::new(&whole, arguments, &mut operator)?;
    let reports = vm::run(machines, whole, operator, requests, &mut |notice| screen.notice(&notice))
        .map_err(|error| refused(&error))?;
    drop(images);
    screen.finish();
    conclude(reports)
}

/// The first machine that did not end well speaks for all.
fn conclude(reports: vm::Reports) -> Result<u8, Failure> {
    for (name, report) in reports {
        match launch::conclude_machine(&name, report)? {
            0 => {}
            status => return Ok(status),
        }
    }
    Ok(0)
}

struct Builder<'a> {
    built: Built<'a>,
    arguments: &'a Run,
    claim: &'a Claim,
    kernel: Chosen,
    accelerator: solum_vm::Accelerator,
}

impl<'a> Builder<'a> {
    fn new(
        directory: &'a Path,
        arguments: &'a Run,
        system: &'a System,
        executables: Executables,
        claim: &'a Claim,
    ) -> Result<Self, Failure> {
        let cache = Cache::of_user()?;
        let kernel = match system.machines.iter().any(|machine| !machine.screens.is_empty()) {
            true => kernel_choice::choose_for_screens(&arguments.kernel, &cache)?,
            false => kernel_choice::choose(&arguments.kernel, &cache)?,
        };
        let choice = accelerator::choose(launch::requested(&arguments.around), &accelerator::facts());
        if arguments.around.verbose {
            say(&format!("accelerator: {}", choice.reason));
            say(&format!("kernel: {} ({})", kernel.version(), kernel.image().display()));
        }
        // They live as long as this run.
        let keys = built::new_keys(system)?;
        let built = Built::new(directory, system, executables, init::find(&cache)?, keys);
        Ok(Self { built, arguments, claim, kernel, accelerator: choice.accelerator })
    }

    /// A machine that can be booted, and its image, which has to live as long.
    fn machine(
        &self,
        machine: &Machine,
        whole: &Plan,
        published: &[Published],
        disks: &Disks,
    ) -> Result<(Booted, Nameless), Failure> {
        let plan = self.built.plan(machine);
        let config = self.kernel.config();
        let mut virtual_machine = solum_vm::Machine::new(machine.name.clone(), self.kernel.image(), "");
        virtual_machine.memory = machine.memory;
        virtual_machine.cpus = machine.cores;
        virtual_machine.accelerator = self.accelerator;
        virtual_machine.verbose_kernel = self.arguments.around.verbose;
        virtual_machine.command_line.clone_from(&self.arguments.around.append);
        virtual_machine.console = Console::Streams;
        virtual_machine.disks = plan.disks.iter().map(|disk| disks.path(disk)).collect();
        virtual_machine.screen = self.screen(&plan)?;
        virtual_machine.keys = !plan.keys.is_empty();
        virtual_machine.publish = self.publish(&plan, whole, published);
        virtual_machine.network = needs_network(&plan);
        virtual_machine.system_mac = plan.network.as_ref().map(|network| network.mac);
        virtual_machine.machine_type = match self.arguments.around.machine {
            MachineKind::Auto => MachineType::fastest(config.as_deref(), &virtual_machine),
            MachineKind::Q35 => MachineType::Q35,
            MachineKind::Microvm => MachineType::Microvm,
        };
        let grace: u64 = plan.units.iter().map(|unit| u64::from(unit.grace_ms)).sum();
        let silence = Limits::silence_under(virtual_machine.accelerator);
        let timeout = self.arguments.around.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        let limits =
            Limits { timeout, stop: Duration::from_millis(grace) + POWER_OFF, silence: Some(silence) };
        let image = self.image(machine, plan, &virtual_machine)?;
        virtual_machine.boot =
            Boot::Kernel { kernel: self.kernel.image().to_owned(), initramfs: image.path() };
        Ok((Booted { name: machine.name.clone(), machine: virtual_machine, limits }, image))
    }

    /// A machine's screen, and where it can be looked at.
    fn screen(&self, plan: &Plan) -> Result<Option<solum_vm::Screen>, Failure> {
        let missing = self.kernel.missing_drivers(!plan.screens.is_empty(), !plan.keys.is_empty());
        if !missing.is_empty() {
            let (kernel, missing) = (self.kernel.version(), missing.join(" and "));
            let message = format!("{kernel} has no drivers for screens and keyboards: it lacks {missing}");
            return Err(Failure::new(ExitCode::KernelUnavailable, message).hint(
                "leave --kernel out, or write --kernel debian-pc; to build one that has them, give `solum kernel build \
                 --config` the fragment crates/solum-kernel/profiles/screen.config"
                    .to_owned(),
            ));
        }
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

    fn image(
        &self,
        machine: &Machine,
        plan: Plan,
        virtual_machine: &solum_vm::Machine,
    ) -> Result<Nameless, Failure> {
        let mut contents = self.built.contents(machine, plan, &self.arguments.inside)?;
        let mut modules = virtual_machine.kernel_modules();
        modules.extend(kernel_choice::file_system_modules(&contents.description.file_systems));
        contents.modules = self.kernel.modules(&modules)?;
        contents.offer_checker(&Parts::new(&Cache::of_user()?))?;
        let image = assemble::compress(contents.archive()?, self.kernel.compression())?;
        Nameless::new(&image).map_err(|error| {
            let why = format!("the image of {} cannot be kept: {}", machine.name, reason(&error));
            Failure::new(ExitCode::HostRefuses, why)
        })
    }

    /// Each port at which a unit listens gets one of the host.
    fn publish(&self, plan: &Plan, whole: &Plan, published: &[Published]) -> Vec<Publish> {
        let own = |listener: &plan::Listener| {
            let chosen = published.iter().find(|published| {
                whole.listeners.get(published.listener).is_some_and(|known| known == listener)
            });
            let address =
                chosen.map_or_else(|| HostPlace::own_address(whole, listener), |chosen| chosen.address);
            say(&format!("{} is at {address}", listener.full_name()));
            Publish {
                address: address.ip(),
                host_port: address.port(),
                machine_port: listener.number,
                protocol: Protocol::Tcp,
            }
        };
        plan.listeners.iter().map(own).collect()
    }
}
