//! `solum take`: the initramfs of a program's machine, as a file.

use crate::arguments::Take;
use crate::assemble::{self, Contents};
use crate::cache::Cache;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::kernel_modules::Modules;
use crate::output::write_whole;
use crate::parts::Parts;
use crate::program::Purpose;
use crate::{init, kernel_choice, program, system};

/// Builds the program, puts the initramfs together, writes it.
pub fn take(arguments: &Take) -> Result<(), Failure> {
    let given = &arguments.program.program;
    if system::is_described(given) {
        let message =
            format!("{} is a system, and `solum take` writes the image of one program", given.display());
        return Err(Failure::new(ExitCode::UnusableInput, message).hint(format!(
            "run the system with `solum run {}`, or take one of its programs",
            given.display()
        )));
    }
    let cache = Cache::of_user()?;
    let program = program::find(&arguments.program, Purpose::Take)?;
    let draft = assemble::draft(&arguments.inside, &arguments.arguments, &program)?;
    let machine = draft.validate().map_err(|error| assemble::contradiction(&error))?;
    let modules = match &arguments.kernel {
        Some(word) => {
            let wanted = Modules::of(&arguments.modules, Modules::VirtualMachines)?;
            kernel_choice::named(word, &cache)?.modules_for(&wanted)?
        }
        None if arguments.modules.is_given() => {
            return Err(Failure::new(ExitCode::UnusableInput, "modules of which kernel is not said")
                .hint("name the kernel that has them: --kernel debian-pc, for one".to_owned()));
        }
        None => Vec::new(),
    };
    let init = if program.executable.is_machine { None } else { Some(init::find(&cache)?.bytes) };
    let mut contents = Contents::of_program(&machine, &arguments.inside, program, init)?;
    contents.modules = modules;
    contents.provide_checker(&Parts::new(&cache))?;
    let compressed = assemble::compress(contents.archive()?, arguments.compress.into())?;
    write_whole(&arguments.out_initramfs, &compressed)
}
