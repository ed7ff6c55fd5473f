//! `solum take`: the initramfs of a program's machine, as a file.

use crate::arguments::Take;
use crate::assemble::{self, Inner};
use crate::cache::Cache;
use crate::failure::Failure;
use crate::output::write_whole;
use crate::{init, kernel_choice, program};

/// Builds the program, puts the initramfs together, writes it.
pub fn take(arguments: &Take) -> Result<(), Failure> {
    let cache = Cache::of_user()?;
    let program = program::find(&arguments.program)?;
    let draft = assemble::draft(&arguments.inside, &arguments.arguments, &program)?;
    let machine = draft.validate().map_err(|error| assemble::contradiction(&error))?;
    let modules = match &arguments.kernel {
        Some(word) => kernel_choice::named(word, &cache)?.every_module()?,
        None => Vec::new(),
    };
    let init = if program.executable.is_machine { None } else { Some(init::find(&cache)?) };
    let archive = assemble::initramfs(&machine, &arguments.inside, Inner { program, init, modules })?;
    let compressed = assemble::compress(archive, arguments.compress.into())?;
    write_whole(&arguments.out_initramfs, &compressed)
}
