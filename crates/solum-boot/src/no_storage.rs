//! In place of [`storage`](crate::storage), without the feature of that name: a program that is its whole machine and needs no
//! file system has a smaller file.

use std::io;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};
use solum_spec::control::{FromMachine, StorageReport};
use solum_spec::storage::FileSystem;

/// To say what is missing needs none.
pub const CAPABILITIES: CapabilitySet = CapabilitySet::empty();

/// What the role is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// What is to be mounted.
    pub file_systems: Vec<FileSystem>,
    /// Who writes there.
    pub owners: Owners,
}

/// Who writes to what outlives the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owners {
    /// One program, as this user.
    Program(u32),
    /// The plain units of a system: their names and users.
    Units(Vec<(String, u32)>),
}

/// Says that nothing can be mounted, if something shall.
///
/// # Errors
///
/// None; the role that mounts has some.
pub fn run(errand: &Errand, report: &mut dyn FnMut(FromMachine)) -> io::Result<()> {
    let lacks = "the program that is this machine was built without the feature `storage` of the crate solum, which mounts";
    report(FromMachine::Storage(match errand.file_systems.first() {
        Some(first) => StorageReport::Failed {
            target: first.target.clone(),
            why: format!("{} is not mounted: {lacks}", first.target),
        },
        None => StorageReport::Complete,
    }));
    Ok(())
}
