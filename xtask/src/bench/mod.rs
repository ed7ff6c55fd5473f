//! `cargo xtask bench`: figures, printed as a table. They inform; they fail nothing.
//!
//! One module for each benchmark. What is counted is preferred over what is timed (guest instructions under
//! `-icount`, bytes, processor time), because it says the same on every machine.

mod archive;
mod boot;
mod debugger;
mod disk;
mod guest;
mod hunt;
mod image;
mod lab;
mod link;
mod probe;
mod processor_time;
mod sim;
mod spread;
mod table;

use crate::failure::Outcome;
use crate::workspace::Workspace;
use clap::Subcommand;
use std::fs;

/// The benchmarks.
#[derive(Subcommand)]
pub enum Bench {
    /// From kernel entry to a program's first line: instructions, sizes, memory
    Boot(boot::Arguments),
    /// A disk that another unit serves, and a mirror, against the bare file
    Disk(disk::Arguments),
    /// Planted bugs that simulations find, and seeds that the examples live through
    Hunt(hunt::Arguments),
    /// Sizes of images, what making them takes, and what firmware adds to a boot
    Image(image::Arguments),
    /// A link between two processes, and what one could use in its place: latency, throughput
    Link(link::Arguments),
    /// The simulator, and madsim and turmoil with the same work: events a second
    Sim(sim::Arguments),
}

/// Runs one benchmark.
pub fn run(workspace: &Workspace, bench: &Bench) -> Outcome {
    match bench {
        Bench::Boot(arguments) => boot::run(workspace, arguments),
        Bench::Disk(arguments) => disk::run(workspace, arguments),
        Bench::Hunt(arguments) => hunt::run(workspace, arguments),
        Bench::Image(arguments) => image::run(workspace, arguments),
        Bench::Link(arguments) => link::run(workspace, arguments),
        Bench::Sim(arguments) => sim::run(workspace, arguments),
    }
}

/// The machine, as far as it bears on what is timed rather than counted.
fn surroundings() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{processors} processors at a load of {load} when it ended")
}
