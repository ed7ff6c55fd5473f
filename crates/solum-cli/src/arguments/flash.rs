//! The flags of `solum flash`.

use std::path::PathBuf;

use clap::Args;

/// `solum flash`
#[derive(Debug, Args)]
pub struct Flash {
    /// The image: a disk in any wrapping (raw, qcow2, vmdk, vhd), or an ISO
    #[arg(value_name = "FILE")]
    pub image: PathBuf,
    /// The stick or card, like /dev/sdb; all of it is lost
    #[arg(value_name = "DEVICE")]
    pub device: PathBuf,
    /// Does not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Says what would be written to what, and writes nothing
    #[arg(long)]
    pub dry_run: bool,
}
