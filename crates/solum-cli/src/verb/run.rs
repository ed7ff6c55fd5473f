//! `solum run`: from a program to its exit status.

use std::time::Instant;

use solum_spec::Machine;
use solum_spec::description::Wait;
use solum_vm::Boot;

use crate::arguments::{Place, Run};
use crate::assemble::{self, Contents};
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel_choice::{self, Chosen};
use crate::launch::{self, Launch};
use crate::output::Kept;
use crate::parts::Parts;
use crate::program::{Found, Purpose};
use crate::suited::{flags_of_a_system, refuse_for_one};
use crate::terminal::say;
use crate::{init, program, system, verb};

/// Runs the program where it was asked to, and gives back the exit status.
pub fn run(arguments: &Run) -> Result<u8, Failure> {
    if let Some(image) = &arguments.image {
        return verb::run_image::run(image, arguments);
    }
    if system::is_described(&arguments.program.program) {
        return verb::system::run(arguments);
    }
    let hint = "give the directory of a system, one with a solum.toml";
    refuse_for_one(&flags_of_a_system(arguments), "program", hint)?;
    let program = program::find(&arguments.program, Purpose::Run)?;
    let mut draft = assemble::draft(&arguments.inside, &arguments.arguments, &program)?;
    draft.memory = arguments.around.memory();
    draft.cpus = arguments.around.cpus();
    draft.publish = arguments.around.publish.clone();
    draft.shares = arguments.shares.clone();
    let machine = draft.validate().map_err(|error| assemble::contradiction(&error))?;
    match arguments.place {
        Place::Host => launch::on_host(&program, &machine, arguments),
        Place::Vm => in_vm(program, &machine, arguments),
    }
}

fn in_vm(program: Found, machine: &Machine, arguments: &Run) -> Result<u8, Failure> {
    if machine.wait.contains(&Wait::Clock) && arguments.inside.time_servers.is_empty() {
        let message =
            "the program is to wait for the clock, but no time server is named, and QEMU offers none";
        return Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("name one, for example with --time-server pool.ntp.org".to_owned()));
    }
    let start = Instant::now();
    let cache = Cache::of_user()?;
    let kernel = kernel_choice::choose(&arguments.kernel, &cache)?;
    let image = image(program, machine, arguments, &kernel, &cache)?;
    let initramfs = Kept::new(&machine.name, &image, "initramfs", arguments.around.dry_run)?;
    if arguments.around.verbose {
        say(&format!("kernel: {} ({})", kernel.version(), kernel.image().display()));
        say(&format!("image: {} KiB, made in {} ms", image.len() / 1024, start.elapsed().as_millis()));
    }
    let launch = Launch {
        name: machine.name.clone(),
        boot: Boot::Kernel { kernel: kernel.image().to_owned(), initramfs: initramfs.path().to_owned() },
        kernel_config: kernel.config(),
        around: &arguments.around,
        shares: &arguments.shares,
        network: &machine.network,
        grace_seconds: arguments.inside.grace_seconds(),
        says_hello: true,
        has_console: false,
    };
    drop(image);
    launch.boot()
}

fn image(
    program: Found,
    machine: &Machine,
    arguments: &Run,
    kernel: &Chosen,
    cache: &Cache,
) -> Result<Vec<u8>, Failure> {
    // A share that is no directory is refused later, and that is what its user has to hear first.
    let shares = arguments.shares.iter().any(|share| share.source.is_dir());
    if shares && !kernel.can_mount_shares() {
        let message = format_args!("{} cannot mount shares: it has no 9p file system", kernel.version());
        return Err(Failure::new(ExitCode::UnusableInput, message)
            .hint("build a kernel that has it: solum kernel build".to_owned()));
    }
    let devices =
        launch::devices(&arguments.around, &arguments.shares, &machine.network, kernel.config().as_deref());
    let mut modules = devices.kernel_modules();
    modules.extend(kernel_choice::file_system_modules(&arguments.inside.file_systems));
    let modules = kernel.modules(&modules)?;
    let init = if program.executable.is_machine { None } else { Some(init::find(cache)?.bytes) };
    let mut contents = Contents::of_program(machine, &arguments.inside, program, init)?;
    contents.modules = modules;
    contents.offer_checker(&Parts::new(cache))?;
    assemble::compress(contents.archive()?, kernel.compression())
}
