//! `solum run --place vm` on the directory of a system: a virtual machine for each of its machines.

use std::path::Path;

use solum_spec::plan::Plan;
use solum_spec::system::{Machine, System};
use solum_vm::system::Disks;
use solum_vm::system::vm::Booted;
use solum_vm::{Boot, MachineType};

use crate::arguments::{MachineKind, Run};
use crate::assemble;
use crate::attended::unprepared;
use crate::built::{self, Built};
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::kernel_choice::{self, Chosen};
use crate::machines::{Machines, conclude};
use crate::output::Nameless;
use crate::parts::Parts;
use crate::running::Claim;
use crate::system::Executables;
use crate::terminal::say;
use crate::{init, launch};

/// Boots every machine, and gives back an exit status.
pub fn run(
    directory: &Path,
    arguments: &Run,
    system: &System,
    executables: Executables,
    claim: &Claim,
) -> Result<u8, Failure> {
    let builder = Builder::new(directory, arguments, system, executables)?;
    let whole = builder.built.whole_plan();
    let around = Machines::new(arguments, claim, &whole)?;
    // They are locked until all machines are off.
    let disks = Disks::prepare(claim.state(), &whole).map_err(unprepared)?;
    let mut images = Vec::new();
    let mut machines = Vec::new();
    for machine in &system.machines {
        let (booted, image) = builder.machine(machine, &around, &disks)?;
        machines.push(booted);
        images.push(image);
    }
    let reports = around.run(machines)?;
    drop(images);
    conclude(reports, launch::conclude_machine)
}

struct Builder<'a> {
    built: Built<'a>,
    arguments: &'a Run,
    kernel: Chosen,
}

impl<'a> Builder<'a> {
    fn new(
        directory: &'a Path,
        arguments: &'a Run,
        system: &'a System,
        executables: Executables,
    ) -> Result<Self, Failure> {
        let cache = Cache::of_user()?;
        let kernel = match system.machines.iter().any(|machine| !machine.screens.is_empty()) {
            true => kernel_choice::choose_for_screens(&arguments.kernel, &cache)?,
            false => kernel_choice::choose(&arguments.kernel, &cache)?,
        };
        if arguments.around.verbose {
            say(&format!("kernel: {} ({})", kernel.version(), kernel.image().display()));
        }
        // They live as long as this run.
        let keys = built::new_keys(system)?;
        let built = Built::new(directory, system, executables, init::find(&cache)?.bytes, keys);
        Ok(Self { built, arguments, kernel })
    }

    /// A machine that can be booted, and its image, which has to live as long.
    fn machine(
        &self,
        machine: &Machine,
        around: &Machines<'_>,
        disks: &Disks,
    ) -> Result<(Booted, Nameless), Failure> {
        let plan = self.built.plan(machine);
        self.refuse_without_drivers(&plan)?;
        let boot = |initramfs| Boot::Kernel { kernel: self.kernel.image().to_owned(), initramfs };
        let files = plan.disks.iter().map(|disk| disks.path(disk)).collect();
        let mut virtual_machine = around.around(&machine.name, &plan, boot("".into()), files)?;
        virtual_machine.memory = machine.memory;
        virtual_machine.cpus = machine.cores;
        virtual_machine.machine_type = match self.arguments.around.machine {
            MachineKind::Auto => MachineType::fastest(self.kernel.config().as_deref(), &virtual_machine),
            MachineKind::Q35 => MachineType::Q35,
            MachineKind::Microvm => MachineType::Microvm,
        };
        let image = self.image(machine, plan.clone(), &virtual_machine)?;
        virtual_machine.boot = boot(image.path());
        Ok((around.booted(virtual_machine, &plan), image))
    }

    fn refuse_without_drivers(&self, plan: &Plan) -> Result<(), Failure> {
        let missing = self.kernel.missing_drivers(!plan.screens.is_empty(), !plan.keys.is_empty());
        if missing.is_empty() {
            return Ok(());
        }
        let (kernel, missing) = (self.kernel.version(), missing.join(" and "));
        let message = format!("{kernel} has no drivers for screens and keyboards: it lacks {missing}");
        Err(Failure::new(ExitCode::KernelUnavailable, message).hint(
            "leave --kernel out, or write --kernel debian-pc; to build one that has them, give `solum kernel build \
             --config` the fragment crates/solum-kernel/profiles/screen.config"
                .to_owned(),
        ))
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
}
