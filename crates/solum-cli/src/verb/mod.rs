//! The verbs, one file each.

pub mod completions;
pub mod doctor;
pub mod exec;
pub mod kernel;
pub mod man;
pub mod run;
pub mod take;
