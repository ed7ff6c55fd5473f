//! `solum run --place vm` on the directory of a system: a virtual machine for each of its machines.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use solum_image::initramfs;
use solum_link::stream::KeyPair;
use solum_spec::description::{Description, Network, Unit, Wait};
use solum_spec::network::{Keys, Secret};
use solum_spec::plan::{self, Plan};
use solum_spec::system::{Asset, Machine, System};
use solum_spec::{Bundle, Protocol, Publish};
use solum_vm::accelerator;
use solum_vm::system::vm::{self, Booted};
use solum_vm::system::{Disks, HostPlace, Published};
use solum_vm::{Boot, Console, Limits, MachineType};

use super::system::{Screen, attended, published, refused, unprepared};
use crate::arguments::{MachineKind, Run};
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::kernel_choice::{self, Chosen};
use crate::output::Nameless;
use crate::running::Claim;
use crate::system::Executables;
use crate::terminal::say;
use crate::typing::Typing;
use crate::{assemble, bundle, init, launch};

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
    let everything: Vec<&Machine> = system.machines.iter().collect();
    let whole = system.plan(&everything, &builder.paths);
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
    directory: &'a Path,
    arguments: &'a Run,
    system: &'a System,
    executables: Executables,
    paths: BTreeMap<String, String>,
    claim: &'a Claim,
    kernel: Chosen,
    init: Vec<u8>,
    accelerator: solum_vm::Accelerator,
    /// Of each machine, in the order of the description. They live as long as this run.
    keys: Vec<Keys>,
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
        let paths = system
            .programs
            .iter()
            .map(|program| (program.name.clone(), initramfs::program_path(&program.name)))
            .collect();
        let choice = accelerator::choose(launch::requested(&arguments.around), &accelerator::facts());
        if arguments.around.verbose {
            say(&format!("accelerator: {}", choice.reason));
            say(&format!("kernel: {} ({})", kernel.version(), kernel.image().display()));
        }
        let init = init::find(&cache)?;
        let accelerator = choice.accelerator;
        let keys = system.machines.iter().map(|_| new_keys()).collect::<io::Result<_>>();
        let keys = keys.map_err(|error| refused(&error))?;
        Ok(Self { directory, arguments, system, executables, paths, claim, kernel, init, accelerator, keys })
    }

    /// A machine that can be booted, and its image, which has to live as long.
    fn machine(
        &self,
        machine: &Machine,
        whole: &Plan,
        published: &[Published],
        disks: &Disks,
    ) -> Result<(Booted, Nameless), Failure> {
        let mut plan = self.system.plan(&[machine], &self.paths);
        plan.network = self.system.network(machine, &self.keys);
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
        let modules = self.kernel.modules(&virtual_machine.kernel_modules())?;
        let used: BTreeSet<usize> = plan.units.iter().map(|unit| unit.program).collect();
        let programs = used.into_iter().filter_map(|program| {
            let program = plan.programs.get(program)?;
            Some((program.path.clone(), self.executables.get(&program.name)?.bytes.clone()))
        });
        let programs = programs.collect();
        let description = Description {
            host_name: machine.host_name.clone(),
            modules: modules.iter().map(|module| initramfs::module_path(&module.name)).collect(),
            shares: Vec::new(),
            file_systems: Vec::new(),
            network: if virtual_machine.network { Network::Automatic } else { Network::None },
            time_servers: self.arguments.inside.time_servers.clone(),
            when_ended: self.arguments.inside.when_ended(),
            unit: no_unit(),
        };
        let assets = bundle::read_either(self.assets(machine))?;
        let archive =
            initramfs::with_init(self.init.clone(), &description, Some(&plan), programs, modules, assets)
                .map_err(|error| Failure::new(ExitCode::UnusableInput, &error).hint(error.hint()))?;
        let image = assemble::compress(archive, self.kernel.compression())?;
        Nameless::new(&image).map_err(|error| {
            let why = format!("the image of {} cannot be kept: {}", machine.name, reason(&error));
            Failure::new(ExitCode::HostRefuses, why)
        })
    }

    /// What the machine's units find there. Two of them may want the same.
    fn assets(&self, machine: &Machine) -> Vec<Bundle> {
        let mut assets: Vec<&Asset> = Vec::new();
        for asset in machine.units.iter().flat_map(|unit| &unit.assets) {
            if !assets.contains(&asset) {
                assets.push(asset);
            }
        }
        let from = |asset: &Asset| Bundle {
            source: self.directory.join(&asset.source),
            target: asset.target.clone(),
        };
        assets.into_iter().map(from).collect()
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

fn new_keys() -> io::Result<Keys> {
    let pair = KeyPair::generate()?;
    Ok(Keys { secret: Secret(pair.secret.to_bytes()), public: pair.public.to_bytes() })
}

fn needs_network(plan: &Plan) -> bool {
    let waits = plan
        .units
        .iter()
        .any(|unit| unit.wait.iter().any(|wait| matches!(wait, Wait::Network | Wait::Clock)));
    let is_plain = |unit: &plan::Unit| plan.programs.get(unit.program).is_some_and(|program| !program.ported);
    waits || !plan.listeners.is_empty() || plan.units.iter().any(is_plain)
}

/// A machine of a system has a plan instead of a single unit.
fn no_unit() -> Unit {
    Unit {
        name: String::new(),
        path: String::new(),
        arguments: Vec::new(),
        environment: Vec::new(),
        user_id: solum_spec::description::DEFAULT_USER_ID,
        wait: Vec::new(),
        grace_ms: 0,
    }
}
