//! `solum-fs`: reads and writes a disk file of the file server from the host, and checks it.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a tool of the host")]

mod command;
mod image;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    match command::run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
