//! `solum completions`: made from the flags themselves.

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::output::print;

/// Prints the completions for a shell.
pub fn completions(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "solum", &mut script);
    print(&String::from_utf8_lossy(&script));
}
