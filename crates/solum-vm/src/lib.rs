//! Runs an image: as a QEMU machine, or the bare program as a process of this host.
//!
//! From arguments to a running machine in three steps: a [`Machine`] says what is wanted, [`qemu::command`] turns
//! it into a command line (pure, so it can be shown and tested), [`run`](run()) carries it out. While a machine
//! runs, everything that happens becomes an [`life::Event`], and the pure [`life::Life`] decides what to do.
//!
//! This crate never prints and never exits: bytes go to the writers of [`Streams`], notices to a callback, and the
//! end of a run is a [`Report`].

pub mod accelerator;
mod child;
mod disk_file;
mod drain;
mod emulator;
mod error;
pub mod host;
mod kernel_file;
mod kernel_line;
mod kernel_log;
pub mod life;
mod machine;
pub mod network;
mod preflight;
pub mod qemu;
mod qmp;
mod report;
mod requests;
mod run;
pub mod shell;
mod sink;
pub mod system;
mod user_network;

pub use accelerator::Accelerator;
pub use child::{ask_with_our_end, die_with_us};
pub use disk_file::DiskFile;
pub use error::VmError;
pub use kernel_line::{LineError, line_of};
pub use machine::{
    Boot, Bus, Console, DEFAULT_EMULATOR, DiskFormat, Firmware, Machine, MachineType, Medium, Screen,
};
pub use report::{Durations, End, Report};
pub use requests::{Handle, Requests, requests};
pub use run::{Limits, Notice, Streams, run, run_wired};
pub use user_network::NetworkError;
