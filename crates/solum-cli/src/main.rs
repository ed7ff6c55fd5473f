//! The `solum` command: one file a verb, in `verb/`.

// A closed pipe must not become a backtrace: `output::print` is what replaces the macros. Tests say what they skip.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod arguments;
mod assemble;
mod attended;
mod bill;
mod bootable;
mod built;
mod bundle;
mod cache;
mod cargo;
mod certificates;
mod container;
mod content;
mod data_volume;
mod driven;
mod exit_code;
mod failure;
mod flash;
mod image;
mod init;
mod iso;
mod kernel_choice;
mod kernel_modules;
mod launch;
mod lines;
mod machines;
mod output;
mod parts;
mod program;
mod registry;
mod running;
mod signals;
mod simulated;
mod simulation;
mod sparse_file;
mod suited;
mod system;
mod terminal;
mod typing;
mod verb;
mod window;

use std::process::ExitCode;

use clap::Parser;
use solum_spec::operation::What;

use crate::arguments::{Arguments, Verb};
use crate::failure::Failure;

fn main() -> ExitCode {
    let performed = perform(Arguments::parse().verb);
    match performed.and_then(|status| output::check_printed().map(|()| status)) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => ExitCode::from(failure.report()),
    }
}

fn perform(verb: Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Run(arguments) => verb::run::run(&arguments),
        Verb::Build(arguments) => verb::build::build(&arguments).map(|()| 0),
        Verb::Take(arguments) => verb::take::take(&arguments).map(|()| 0),
        Verb::Exec(arguments) => verb::exec::exec(&arguments),
        Verb::Kernel(arguments) => verb::kernel::kernel(&arguments).map(|()| 0),
        Verb::Check(arguments) => verb::check::check(&arguments),
        Verb::Graph(arguments) => verb::graph::graph(&arguments).map(|()| 0),
        Verb::Sim(arguments) => verb::sim::sim(&arguments),
        Verb::Inspect(arguments) => verb::inspect::inspect(&arguments).map(|()| 0),
        Verb::Flash(arguments) => verb::flash::flash(&arguments).map(|()| 0),
        Verb::Push(arguments) => verb::push::push(&arguments).map(|()| 0),
        Verb::Ps(arguments) => verb::operate::ps(&arguments).map(|()| 0),
        Verb::Logs(arguments) => verb::operate::logs(&arguments).map(|()| 0),
        Verb::Start(arguments) => verb::operate::order(&arguments, What::Start).map(|()| 0),
        Verb::Stop(arguments) => verb::operate::order(&arguments, What::Stop).map(|()| 0),
        Verb::Restart(arguments) => verb::operate::order(&arguments, What::Restart).map(|()| 0),
        Verb::Press(arguments) => verb::operate::press(&arguments).map(|()| 0),
        Verb::Down(arguments) => verb::operate::down(&arguments).map(|()| 0),
        Verb::Doctor(arguments) => verb::doctor::doctor(&arguments),
        Verb::Completions { shell } => {
            verb::completions::completions(shell);
            Ok(0)
        }
        Verb::Man { directory } => verb::man::man(&directory).map(|()| 0),
    }
}
