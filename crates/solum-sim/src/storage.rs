//! The disks of all machines, and how units use them.

use std::rc::Rc;

use solum::disk::{Driver, Geometry};
use solum::{Error, Result};
use solum_spec::plan::Plan;
use twox_hash::XxHash3_64;

use crate::choices::About;
use crate::disk::{Platter, Unreadable};
use crate::faults::Fault;
use crate::sim::{Sim, Terms};
use crate::task;
use crate::trace::Record;

/// How long an operation takes, in nanoseconds, and how much longer for each byte, in bytes a nanosecond.
const OPERATION_NS: u64 = 20_000;
const BYTES_A_NS: u64 = 2;
/// How long a flush takes, in nanoseconds.
const FLUSH_NS: u64 = 200_000;
/// Operations take up to so many sixteenths longer, on a good day.
const JITTER: u32 = 16;
/// How much longer a slow one takes.
const SLOW: u64 = 2_000;

/// Faults of reads, writes and flushes. A choice names one of them by its place, and where it strikes.
const OF_READS: [Fault; 4] = [Fault::IoErrors, Fault::LatentErrors, Fault::BitRot, Fault::SlowDisks];
const OF_WRITES: [Fault; 4] = [Fault::IoErrors, Fault::MisdirectedWrites, Fault::FullDisks, Fault::SlowDisks];
const OF_FLUSHES: [Fault; 2] = [Fault::IoErrors, Fault::SlowDisks];

/// All disks.
pub struct Storage {
    disks: Vec<Disk>,
}

struct Disk {
    name: String,
    platter: Platter,
    machine: usize,
    /// Whether it may be damaged in this run.
    is_victim: bool,
}

impl Storage {
    /// The disks of a plan, full of zeros.
    pub fn new(plan: &Plan, terms: &Terms) -> Self {
        let mut disks: Vec<Disk> = plan
            .disks
            .iter()
            .map(|disk| Disk {
                name: format!("{}.{}", disk.machine, disk.name),
                platter: Platter::new(Geometry {
                    bytes: disk.bytes,
                    block_bytes: disk.block_bytes,
                    writable: true,
                }),
                machine: terms.machines.iter().position(|machine| machine.name == disk.machine).unwrap_or(0),
                is_victim: false,
            })
            .collect();
        for machine in 0..terms.machines.len() {
            let count = disks.iter().filter(|disk| disk.machine == machine).count();
            let victims = terms.weather.victims(machine, count, terms.envelope.damaged_disks);
            let own = disks.iter_mut().filter(|disk| disk.machine == machine);
            own.zip(victims).for_each(|(disk, is_victim)| disk.is_victim = is_victim);
        }
        Self { disks }
    }

    /// A disk by its full name.
    pub fn named(&self, name: &str) -> Option<&Platter> {
        self.disks.iter().find(|disk| disk.name == name).map(|disk| &disk.platter)
    }

    /// The full names of all disks.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.disks.iter().map(|disk| disk.name.as_str())
    }
}

/// Something that a unit wants of a disk.
enum Operation<'a> {
    Read(u64, &'a mut [u8]),
    Write(u64, &'a [u8]),
    Flush,
    Discard(u64, u64),
}

impl Operation<'_> {
    fn faults(&self) -> &'static [Fault] {
        match self {
            Self::Read(..) => &OF_READS,
            Self::Write(..) => &OF_WRITES,
            Self::Flush | Self::Discard(..) => &OF_FLUSHES,
        }
    }

    fn duration_ns(&self) -> u64 {
        match self {
            Self::Read(_, buffer) => OPERATION_NS + buffer.len() as u64 / BYTES_A_NS,
            Self::Write(_, data) => OPERATION_NS + data.len() as u64 / BYTES_A_NS,
            Self::Flush => FLUSH_NS,
            Self::Discard(..) => OPERATION_NS,
        }
    }

    fn record(&self, disk: u32) -> Record<'static> {
        match self {
            Self::Read(offset, buffer) => Record::Read(disk, *offset, buffer.len() as u32),
            Self::Write(offset, data) => {
                Record::Wrote(disk, *offset, data.len() as u32, XxHash3_64::oneshot(data))
            }
            Self::Flush => Record::Flushed(disk),
            Self::Discard(offset, length) => Record::Discarded(disk, *offset, *length),
        }
    }
}

/// A unit's hold of a disk.
pub struct SimDisk {
    sim: Rc<Sim>,
    disk: usize,
    machine: usize,
    geometry: Geometry,
}

impl SimDisk {
    /// A hold of the disk with this place in the plan.
    pub fn new(sim: &Rc<Sim>, disk: usize) -> Option<Self> {
        let storage = sim.storage.borrow();
        let found = storage.disks.get(disk)?;
        let (machine, geometry) = (found.machine, found.platter.geometry());
        Some(Self { sim: Rc::clone(sim), disk, machine, geometry })
    }

    fn operate(&mut self, mut operation: Operation<'_>) -> Result<()> {
        if !task::may_wait() {
            return Err(Error::Closed);
        }
        let sim = Rc::clone(&self.sim);
        sim.kernel.record(&operation.record(self.disk as u32));
        let cut = sim.choose_power_cut(self.machine);
        if cut == PowerCut::Before {
            return self.lose_power();
        }
        let fault = self.choose_fault(&operation);
        let duration_ns = self.duration_ns(&operation, fault);
        let outcome = self.effect(&mut operation, fault);
        if cut == PowerCut::After {
            return self.lose_power();
        }
        sim.kernel.pass(duration_ns);
        sim.kernel.record(&Record::Took(self.disk as u32, duration_ns, outcome.is_ok()));
        outcome
    }

    fn lose_power(&self) -> Result<()> {
        self.sim.lose_power_here(self.machine);
        Err(Error::Closed)
    }

    fn duration_ns(&self, operation: &Operation<'_>, fault: Option<(Fault, u32)>) -> u64 {
        let jitter = self.sim.kernel.pick(About::DiskDelay, self.disk as u32, JITTER + 1, |random| {
            random.below(u64::from(JITTER) + 1) as u32
        });
        let base_ns = operation.duration_ns();
        let usual_ns = base_ns + base_ns * u64::from(jitter) / 16;
        if matches!(fault, Some((Fault::SlowDisks, _))) { usual_ns * SLOW } else { usual_ns }
    }

    /// What goes wrong with an operation, and a number that says where.
    fn choose_fault(&self, operation: &Operation<'_>) -> Option<(Fault, u32)> {
        let sim = &self.sim;
        let is_victim = sim.storage.borrow().disks[self.disk].is_victim;
        let kinds = operation.faults();
        let weather = &sim.terms.weather;
        let bound = if sim.is_calm.get() { 1 } else { u32::MAX };
        let value = sim.kernel.pick(About::DiskFault, self.disk as u32, bound, |random| {
            let may = |kind: Fault| is_victim || !kind.is_damage();
            let hit = kinds
                .iter()
                .position(|kind| random.once_in(weather.once_in(*kind).into()) && may(*kind))
                .map(|kind| 1 + kind as u32 + 8 * random.below(1 << 28) as u32);
            hit.unwrap_or(0)
        });
        // A script may be of another envelope.
        let kind = *kinds.get((value as usize % 8).wrapping_sub(1))?;
        if !sim.terms.envelope.has(kind) || (kind.is_damage() && !is_victim) {
            return None;
        }
        let detail = value / 8;
        sim.fault(kind, self.disk, detail.into());
        Some((kind, detail))
    }

    /// Does the operation, or what comes of it.
    fn effect(&self, operation: &mut Operation<'_>, fault: Option<(Fault, u32)>) -> Result<()> {
        let storage = &mut *self.sim.storage.borrow_mut();
        let platter = &mut storage.disks[self.disk].platter;
        let block = u64::from(self.geometry.block_bytes);
        let somewhere = |offset: u64, length: usize, detail: u32| {
            offset + u64::from(detail) % (length as u64 / block).max(1) * block
        };
        let fails = |text: &str| Err(Error::Device(text.to_owned()));
        match (operation, fault) {
            (Operation::Write(offset, data), Some((Fault::IoErrors, detail))) => {
                // Some of it may be there all the same.
                let blocks = u64::from(detail) % (data.len() as u64 / block + 1);
                platter.write(*offset, &data[..(blocks * block) as usize]);
                return fails("input/output error");
            }
            (_, Some((Fault::IoErrors, _))) => return fails("input/output error"),
            (_, Some((Fault::FullDisks, _))) => return fails("no space left on the device"),
            (Operation::Read(offset, buffer), fault) => {
                match fault {
                    Some((Fault::LatentErrors, detail)) => {
                        platter.lose_sector(somewhere(*offset, buffer.len(), detail));
                    }
                    Some((Fault::BitRot, detail)) => {
                        platter.rot(somewhere(*offset, buffer.len(), detail), detail);
                    }
                    _ => {}
                }
                return match platter.read(*offset, buffer) {
                    Ok(()) => Ok(()),
                    Err(Unreadable(at)) => fails(&format!("the block at {at} cannot be read")),
                };
            }
            (Operation::Write(offset, data), Some((Fault::MisdirectedWrites, detail))) => {
                // Any other place: the same one would be none.
                let others = ((self.geometry.bytes - data.len() as u64) / block).max(1);
                let to = u64::from(detail) % others * block;
                platter.misdirect(if to < *offset { to } else { to + block }, data);
            }
            (Operation::Write(offset, data), _) => platter.write(*offset, data),
            (Operation::Flush, _) => platter.flush(),
            (Operation::Discard(offset, length), _) => platter.discard(*offset, *length),
        }
        Ok(())
    }
}

impl Driver for SimDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.operate(Operation::Read(offset, buffer))
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.operate(Operation::Write(offset, data))
    }

    fn flush(&mut self) -> Result<()> {
        self.operate(Operation::Flush)
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        self.operate(Operation::Discard(offset, length))
    }
}

/// Whether a machine loses its power at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCut {
    /// It does not.
    No,
    /// Before anything was done.
    Before,
    /// After it was done, before the unit learns of it.
    After,
}

impl Sim {
    /// Every operation of a unit asks whether its machine goes on.
    pub(crate) fn choose_power_cut(&self, machine: usize) -> PowerCut {
        let bound = if self.may_lose_power(machine) { 3 } else { 1 };
        let once_in = self.terms.weather.once_in(Fault::PowerCut);
        // A run has thousands of operations, and few of them are its last: the rates of other faults would be far too high.
        let once_in = u64::from(once_in) * 4;
        let value = self.kernel.pick(About::PowerCut, machine as u32, bound, |random| {
            if random.once_in(once_in) { 1 + random.below(2) as u32 } else { 0 }
        });
        match value {
            1 => PowerCut::Before,
            2 => PowerCut::After,
            _ => PowerCut::No,
        }
    }

    /// The machine of the running unit loses its power: the unit does nothing after this.
    pub(crate) fn lose_power_here(&self, machine: usize) {
        self.cut_power(machine, false);
        self.kernel.wait(&[], None);
    }

    /// What the disks of a machine are after it lost its power. If somebody outside took it, all is lost that no flush followed:
    /// whoever does that wants to see it.
    pub(crate) fn disks_lose_power(&self, machine: usize, is_taken: bool) {
        let own: Vec<(usize, bool)> = {
            let storage = self.storage.borrow();
            let own = storage.disks.iter().enumerate().filter(|(_, disk)| disk.machine == machine);
            own.map(|(index, disk)| (index, disk.is_victim)).collect()
        };
        let weather = &self.terms.weather;
        for (disk, is_victim) in own {
            let loses = if self.may(Fault::LostWrites) && !is_taken { u32::MAX } else { 1 };
            let chosen = self.kernel.pick(About::DiskLoss, disk as u32, loses, |random| {
                match (weather.once_in(Fault::LostWrites), random.below(4)) {
                    (0, _) | (_, 0) => 0,
                    (_, 1) => 1,
                    _ => 2 + random.below(1 << 30) as u32,
                }
            });
            let how = if is_taken { 1 } else { chosen };
            let tears = is_victim && self.may(Fault::TornWrites) && weather.once_in(Fault::TornWrites) > 0;
            let goes_stale = if is_victim && self.may(Fault::StaleDisks) { 2 } else { 1 };
            let stale = self.kernel.pick(About::DiskLoss, disk as u32, goes_stale, |random| {
                u32::from(weather.once_in(Fault::StaleDisks) > 0 && random.once_in(4))
            });
            let (loss, is_stale) = {
                let platter = &mut self.storage.borrow_mut().disks[disk].platter;
                (platter.lose_power(how, tears), stale == 1 && platter.go_stale())
            };
            if loss.lost > 0 {
                self.fault(Fault::LostWrites, disk, loss.lost as u64);
            }
            if loss.torn > 0 {
                self.fault(Fault::TornWrites, disk, loss.torn as u64);
            }
            if is_stale {
                self.fault(Fault::StaleDisks, disk, 0);
            }
        }
    }

    /// The disks of a machine have power.
    pub(crate) fn disks_power_on(&self, machine: usize) {
        if self.terms.envelope.has(Fault::StaleDisks) {
            let disks = &mut self.storage.borrow_mut().disks;
            disks.iter_mut().filter(|disk| disk.machine == machine).for_each(|disk| disk.platter.power_on());
        }
    }
}
