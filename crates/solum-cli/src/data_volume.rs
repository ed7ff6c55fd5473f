//! The file system of a disk's data volume.
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use solum_spec::storage::DataKind;
use std::path::Path;
pub struct DataVolume<'a> {
    pub size: u64,
    pub kind: DataKind,
    pub content: Option<&'a Path>,
    pub owner: u32,
    pub seed: &'a [u8],
    pub epoch_s: u64,
}
pub fn make(volume: &DataVolume<'_>, path: &Path) -> Result<(), Failure> {
    let _ = (volume.kind, volume.content, volume.owner, volume.seed, volume.epoch_s);
    let f = std::fs::File::create(path).and_then(|f| f.set_len(volume.size));
    f.map_err(|e| Failure::file("x", path, &e))?;
    let s = std::process::Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-L", "solum-data"])
        .arg(path)
        .status();
    if s.is_ok_and(|s| s.success()) { Ok(()) } else { Err(Failure::new(ExitCode::ToolMissing, "mke2fs")) }
}
