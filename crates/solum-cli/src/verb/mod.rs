//! The verbs, one file each.

pub mod build;
mod build_check;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod exec;
pub mod flash;
pub mod graph;
pub mod inspect;
pub mod kernel;
pub mod man;
pub mod operate;
pub mod push;
pub mod run;
mod run_container;
mod run_image;
mod run_images;
pub mod sim;
mod sim_init;
pub mod system;
mod system_vm;
pub mod take;
