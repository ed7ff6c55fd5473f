//! In place of [`storage`](crate::storage), without the feature of that name: a program that is its whole machine and needs no
//! file system has a smaller file.

use std::io;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};
use solum_spec::control::{FromMachine, StorageReport};
use solum_spec::storage::FileSystem;

/// To say what is missing needs none.
pub const CAPABILITIES: CapabilitySet = CapabilitySet::empty();

/// What the role is told: the first place that is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand(Option<String>);

/// Who writes to what outlives the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// One program, as this user.
    Program(u32),
    /// The plain units of a system: their names and users.
    Units(Vec<(String, u32)>),
}

impl Errand {
    /// To mount these.
    pub fn new(file_systems: &[FileSystem], _: Owners) -> Self {
        Self(file_systems.first().map(|first| first.target.clone()))
    }
}

/// Says that nothing can be mounted, if something shall.
///
/// # Errors
///
/// None; the role that mounts has some.
pub fn run(errand: &Errand, report: &mut dyn FnMut(FromMachine)) -> io::Result<()> {
    report(FromMachine::Storage(match &errand.0 {
        Some(target) => StorageReport::Failed {
            target: target.clone(),
            why: format!(
                "{target} is not mounted: the program that is this machine was built without the feature `storage` of the crate \
                 solum, which mounts"
            ),
        },
        None => StorageReport::Complete,
    }));
    Ok(())
}
