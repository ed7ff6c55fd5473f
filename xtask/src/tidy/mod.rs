//! Being built.
use crate::failure::Outcome;
use crate::workspace::Workspace;
pub fn run(_w: &Workspace) -> Outcome {
    Ok(())
}
