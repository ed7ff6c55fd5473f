//! `solum completions`: made from the flags themselves.

use clap::CommandFactory;

use crate::arguments::Arguments;

/// Prints the completions for a shell.
pub fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Arguments::command(), "solum", &mut std::io::stdout());
}
