//! The verbs, one file each.

pub mod check;
pub mod completions;
pub mod doctor;
pub mod exec;
pub mod graph;
pub mod kernel;
pub mod man;
pub mod run;
pub mod take;
