//! What is there when a run is over, for whoever judges it.

use solum::screen::Image;

use crate::sim::Sim;

/// The world at its end. Nothing happens in it any more.
pub struct End<'a> {
    sim: &'a Sim,
}

impl<'a> End<'a> {
    pub(crate) fn new(sim: &'a Sim) -> Self {
        Self { sim }
    }

    /// What a unit wrote to its console, by its full name; nothing, if there is no such unit.
    pub fn lines(&self, unit: &str) -> Vec<String> {
        let units = self.sim.units.borrow();
        units.iter().find(|known| known.name == unit).map(|known| known.lines.clone()).unwrap_or_default()
    }

    /// How many times a unit was started.
    pub fn starts(&self, unit: &str) -> u32 {
        let units = self.sim.units.borrow();
        units.iter().find(|known| known.name == unit).map_or(0, |known| known.starts)
    }

    /// Whether a unit is ready.
    pub fn is_ready(&self, unit: &str) -> bool {
        let units = self.sim.units.borrow();
        units.iter().any(|known| known.name == unit && known.is_ready)
    }

    /// The full names of all disks.
    pub fn disks(&self) -> Vec<String> {
        self.sim.storage.borrow().names().map(str::to_owned).collect()
    }

    /// What was written to a disk, by its full name, whatever damage lies over it; none if there is no such disk.
    pub fn disk(&self, name: &str) -> Option<Vec<u8>> {
        let storage = self.sim.storage.borrow();
        let disk = storage.named(name)?;
        let mut bytes = vec![0; usize::try_from(disk.geometry().bytes).ok()?];
        disk.pristine(0, &mut bytes);
        Some(bytes)
    }

    /// How many blocks of a disk are damaged still.
    pub fn damaged_blocks(&self, name: &str) -> usize {
        self.sim.storage.borrow().named(name).map_or(0, crate::disk::Platter::damaged)
    }

    /// What a screen shows, by its full name.
    pub fn picture(&self, screen: &str) -> Option<Image> {
        self.sim.pictures.borrow().shown(screen).cloned()
    }
}
