//! `solum sim --init`.
use crate::failure::Failure;
use std::path::Path;
pub fn init(_directory: &Path) -> Result<(), Failure> {
    Ok(())
}
