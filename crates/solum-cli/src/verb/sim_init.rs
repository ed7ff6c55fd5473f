//! `solum sim --init`.
use std::path::Path;
use crate::failure::Failure;
pub fn init(_directory: &Path) -> Result<(), Failure> { Ok(()) }
