//! `solum man`: the manual pages, made from the flags themselves.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::write_whole;

/// Writes a page for `solum` and one for each verb.
pub fn man(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory)
        .map_err(|error| Failure::file("cannot make the directory", directory, &error))?;
    let mut command = Arguments::command();
    command.build();
    write_pages(&command, "solum", directory)
}

fn write_pages(command: &Command, name: &str, directory: &Path) -> Result<(), Failure> {
    let mut page = Vec::new();
    let path = directory.join(format!("{name}.1"));
    clap_mangen::Man::new(command.clone().name(name.to_owned()))
        .render(&mut page)
        .map_err(|error| Failure::file("cannot write", &path, &error))?;
    write_whole(&path, &page)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        write_pages(verb, &format!("{name}-{}", verb.get_name()), directory)?;
    }
    Ok(())
}
