//! The file systems that a machine's description names: found, checked, mounted, made larger, watched.
//!
//! [`run`] is the whole of the role `storage`. What is read from disks is read here, in a process of its own, and never by
//! PID 1. What is chosen and judged is in `find`, `volume`, `options`, `check` and `table`, without I/O.

mod check;
mod directories;
mod find;
mod grow;
mod mounter;
mod options;
mod scan;
mod table;
mod volume;

use std::io;
use std::time::{Duration, Instant};

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};
use solum_spec::control::{FromMachine, StorageReport};
use solum_spec::storage::{FileSystem, Source};

use crate::devices::Announcements;
use crate::{command_line, kernel_log};
use find::Device;
use mounter::Mounted;

/// What [`run`] may do beyond a process of root without privileges (capabilities(7)): mount and tell the kernel of larger
/// partitions, make a file system larger, and own, enter and open what belongs to others.
pub const CAPABILITIES: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SYS_RESOURCE)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// How long a disk may take to appear: stronger than the slowest one seen (a USB stick behind a hub, 10 s).
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for what the machine can do without.
const PATIENCE_FOR_OPTIONAL: Duration = Duration::from_secs(5);
/// Nobody waits for longer, and a time so far away can be written down.
const PATIENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// After this long somebody who watches is told what is waited for.
const TELL_AFTER: Duration = Duration::from_secs(3);
/// The word of the kernel's command line that names another patience, in seconds.
pub const PATIENCE_WORD: &str = "solum.patience=";

/// What the role is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// What is to be mounted, in this order.
    pub file_systems: Vec<FileSystem>,
    /// Who writes there.
    pub owners: Owners,
}

impl Errand {
    /// To mount these.
    pub fn new(file_systems: &[FileSystem], owners: Owners) -> Self {
        Self { file_systems: file_systems.to_vec(), owners }
    }
}

/// Who writes to what outlives the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owners {
    /// One program, as this user.
    Program(u32),
    /// The plain units of a system: their names and users.
    Units(Vec<(String, u32)>),
}

/// Mounts everything, reports, and then watches the disks for as long as there are any.
///
/// # Errors
///
/// What the system says that makes waiting for devices impossible.
pub fn run(errand: &Errand, report: &mut dyn FnMut(FromMachine)) -> io::Result<()> {
    let mut role =
        Role { announcements: Announcements::listen()?, started: Instant::now(), mounted: Vec::new() };
    for file_system in &errand.file_systems {
        match role.mount(file_system, &errand.owners, report) {
            Ok(what) => {
                let target = file_system.target.clone();
                report(FromMachine::Storage(StorageReport::Mounted { target, what }));
            }
            Err(why) => {
                let target = file_system.target.clone();
                if file_system.required {
                    report(FromMachine::Storage(StorageReport::Failed { target, why }));
                    return Ok(());
                }
                report(FromMachine::Storage(StorageReport::Missing { target, why }));
            }
        }
    }
    for trouble in directories::prepare(errand) {
        report(FromMachine::Warning(trouble));
    }
    report(FromMachine::Storage(StorageReport::Complete));
    role.watch(report);
    Ok(())
}

struct Role {
    announcements: Announcements,
    started: Instant,
    mounted: Vec<InUse>,
}

/// A device whose file system is mounted.
struct InUse {
    /// The name of the device.
    name: String,
    /// What it was found by.
    source: Source,
    /// Where it is mounted.
    target: String,
    /// It was said that another device is found by the same.
    is_unclear: bool,
}

impl Role {
    /// Mounts one; says what it is, or why it is not there, as a sentence.
    fn mount(
        &mut self,
        wanted: &FileSystem,
        owners: &Owners,
        report: &mut dyn FnMut(FromMachine),
    ) -> Result<String, String> {
        let device = if wanted.source == Source::Memory { None } else { Some(self.find(wanted)?) };
        let Mounted { what, warnings } = mounter::mount(wanted, device.as_ref(), owners)?;
        if let Some(device) = device {
            self.mounted.push(InUse {
                name: device.name,
                source: wanted.source.clone(),
                target: wanted.target.clone(),
                is_unclear: false,
            });
        }
        for warning in warnings {
            report(FromMachine::Warning(format!("{}: {warning}", wanted.target)));
        }
        Ok(what)
    }

    /// Waits for a device.
    fn find(&self, wanted: &FileSystem) -> Result<Device, String> {
        let source = &wanted.source;
        let usual = if wanted.required { PATIENCE } else { PATIENCE_FOR_OPTIONAL };
        let asked = command_line::value(PATIENCE_WORD).map(Duration::from_secs);
        let patience = asked.map_or(usual, |asked| asked.min(PATIENCE_MAX));
        let end = self.started + patience;
        let look = || {
            let devices = scan::devices();
            find::choose(&devices, source).map(|found| found.cloned()).transpose()
        };
        let left = || end.saturating_duration_since(Instant::now());
        if let Some(found) = self.announcements.wait_for(left().min(TELL_AFTER), look) {
            return found.map_err(|why| format!("{} cannot be mounted: {why}", wanted.target));
        }
        let there = find::list(&scan::devices());
        kernel_log::info(&format!("waiting for {source}, for {}; there is: {there}", wanted.target));
        match self.announcements.wait_for(left(), look) {
            Some(found) => found.map_err(|why| format!("{} cannot be mounted: {why}", wanted.target)),
            None => Err(format!(
                "{} cannot be mounted: {source} did not appear within {} seconds; there is: {}",
                wanted.target,
                patience.as_secs(),
                find::list(&scan::devices())
            )),
        }
    }

    /// Says when a disk disappears whose file system is in use: whoever uses it gets errors from the kernel. And when another
    /// appears that could be meant as well: at the next start neither would be mounted.
    fn watch(mut self, report: &mut dyn FnMut(FromMachine)) {
        // What came while others were mounted is looked at, too.
        let mut seen = None;
        while !self.mounted.is_empty() {
            let next = || Some(scan::generation()).filter(|now| seen.as_ref() != Some(now));
            let Some(now) = self.announcements.wait_for(Duration::from_secs(u64::from(u32::MAX)), next)
            else {
                return;
            };
            seen = Some(now);
            let (there, gone): (Vec<_>, Vec<_>) =
                self.mounted.into_iter().partition(|one| scan::exists(&one.name));
            gone.iter().for_each(|one| report(FromMachine::Warning(one.has_disappeared())));
            self.mounted = there;
            // Disks are read now, and one that is about to fail may take its time.
            let devices = scan::devices();
            let others = self.mounted.iter_mut().filter_map(|one| one.look_for_another(&devices));
            others.for_each(|warning| report(FromMachine::Warning(warning)));
        }
    }
}

impl InUse {
    fn has_disappeared(&self) -> String {
        format!(
            "{}, which is mounted at {}, has disappeared: what was not written yet is lost, and programs get errors there \
             until the machine is started again",
            self.name, self.target
        )
    }

    fn look_for_another(&mut self, devices: &[Device]) -> Option<String> {
        let was_unclear = self.is_unclear;
        let why = find::choose(devices, &self.source).err();
        self.is_unclear = why.is_some();
        let why = why.filter(|_| !was_unclear)?;
        Some(format!(
            "{} stays mounted at {}, but at the next start it would not be: {why}",
            self.name, self.target
        ))
    }
}
