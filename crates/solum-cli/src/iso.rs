//! ISO.
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use std::path::Path;
pub struct Bios {
    pub loader: Vec<u8>,
    pub module: Vec<u8>,
    pub hybrid_sector: Vec<u8>,
    pub kernel: Vec<u8>,
    pub initramfs: Vec<u8>,
    pub command_line: String,
}
pub struct Iso<'a> {
    pub boot_partition: Vec<u8>,
    pub content: Option<&'a Path>,
    pub volume: &'a str,
    pub epoch_s: u64,
    pub bios: Option<Bios>,
}
pub fn make(iso: &Iso<'_>, path: &Path) -> Result<(), Failure> {
    let _ = path;
    let _ = (&iso.boot_partition, iso.content, iso.volume, iso.epoch_s, &iso.bios);
    Err(Failure::new(ExitCode::ToolMissing, "iso"))
}
