//! Is what was acknowledged still there after a crash?
//!
//! ```
//! use solum_sim::check::durability::Log;
//!
//! let mut log = Log::new("old");
//! let write = log.write_began("key", "new");
//! log.write_ended(write);
//! let flush = log.flush_began();
//! log.flush_ended(flush);
//! let later = log.write_began("key", "newer"); // acknowledged, but never flushed
//! log.write_ended(later);
//! log.crash();
//! assert_eq!(log.allowed(&"key"), ["new", "newer"]);
//! assert!(log.read(&"key", &"newer").is_ok());
//! let lost = log.read(&"key", &"new").unwrap_err(); // what it was once read as, it stays
//! assert_eq!(
//!     lost.to_string(),
//!     "\"key\" reads as \"new\", which write 1 put there and which was replaced since; it may be \"newer\" (write 2)",
//! );
//! ```
//!
//! The log is told what a program asked for and what it was answered, and says which reads are possible: before a crash, what
//! was acknowledged last, or what is under way; after it, also anything that no flush has made obsolete.

use std::collections::BTreeMap;
use std::fmt;

/// Writes to one thing with places: keys of a store, or blocks of a disk.
#[derive(Clone, Debug)]
pub struct Log<K, V> {
    initial: V,
    places: BTreeMap<K, Vec<Version<V>>>,
    /// Where each write went.
    writes: Vec<K>,
    flushes: Vec<u64>,
    now: u64,
}

/// What is, was or will be at a place.
#[derive(Clone, Debug)]
struct Version<V> {
    value: V,
    /// 0 is what was there at first.
    write: usize,
    began: u64,
    ended: Option<u64>,
    is_acknowledged: bool,
    /// A flush that began after it was acknowledged was acknowledged.
    is_flushed: bool,
    /// It cannot be there any more.
    is_obsolete: bool,
}

/// Something that was read and cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost<K, V> {
    /// Where it was read.
    pub place: K,
    /// What was read.
    pub found: V,
    /// The write that put it there, if one did; 0 is what was there at first.
    pub by: Option<usize>,
    /// What could have been read, and by which writes.
    pub allowed: Vec<(V, usize)>,
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Display for Lost<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} reads as {:?}, which ", self.place, self.found)?;
        match self.by {
            None => f.write_str("nobody put there")?,
            Some(0) => f.write_str("was there at first and was replaced since")?,
            Some(write) => write!(f, "write {write} put there and which was replaced since")?,
        }
        for (index, (value, write)) in self.allowed.iter().enumerate() {
            f.write_str(if index == 0 { "; it may be " } else { " or " })?;
            match write {
                0 => write!(f, "{value:?} (from the beginning)")?,
                write => write!(f, "{value:?} (write {write})")?,
            }
        }
        Ok(())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> std::error::Error for Lost<K, V> {}

impl<K: Ord + Clone, V: Clone + PartialEq> Log<K, V> {
    /// At first every place holds this, for good.
    pub fn new(initial: V) -> Self {
        Self { initial, places: BTreeMap::new(), writes: Vec::new(), flushes: Vec::new(), now: 0 }
    }

    /// A write is asked for; gives its number, counted from 1.
    pub fn write_began(&mut self, place: K, value: V) -> usize {
        let began = self.tick();
        self.writes.push(place.clone());
        let write = self.writes.len();
        let versions = self.versions(&place);
        versions.push(Version {
            value,
            write,
            began,
            ended: None,
            is_acknowledged: false,
            is_flushed: false,
            is_obsolete: false,
        });
        write
    }

    /// The write with this number was acknowledged.
    pub fn write_ended(&mut self, write: usize) {
        self.end(write, true);
    }

    /// The write with this number failed: it may have taken effect or not, but will not any more.
    pub fn write_failed(&mut self, write: usize) {
        self.end(write, false);
    }

    fn end(&mut self, write: usize, is_acknowledged: bool) {
        let now = self.tick();
        let Some(place) = write.checked_sub(1).and_then(|index| self.writes.get(index)).cloned() else {
            return;
        };
        if let Some(version) = self.versions(&place).iter_mut().find(|version| version.write == write) {
            (version.ended, version.is_acknowledged) = (Some(now), is_acknowledged);
        }
    }

    /// A flush is asked for; gives its number.
    pub fn flush_began(&mut self) -> usize {
        let now = self.tick();
        self.flushes.push(now);
        self.flushes.len() - 1
    }

    /// The flush with this number was acknowledged: what was acknowledged before it began lasts. One that failed is not told.
    pub fn flush_ended(&mut self, flush: usize) {
        self.tick();
        let Some(flushed) = self.flushes.get(flush).copied() else { return };
        for versions in self.places.values_mut() {
            for version in versions.iter_mut().filter(|version| version.is_acknowledged) {
                version.is_flushed |= version.ended.is_some_and(|ended| ended < flushed);
            }
            drop_obsolete(versions, |version| version.is_flushed);
        }
    }

    /// Everything that lasts only in memory is lost, and nothing that is under way will happen any more.
    pub fn crash(&mut self) {
        let now = self.tick();
        for versions in self.places.values_mut() {
            // What is there now is there for good, whatever it is.
            for version in versions.iter_mut().filter(|version| !version.is_obsolete) {
                version.began = now;
                version.ended = Some(now);
                (version.is_acknowledged, version.is_flushed) = (true, true);
            }
        }
    }

    /// What may be read at a place now.
    pub fn allowed(&self, place: &K) -> Vec<V> {
        self.possible(place).into_iter().map(|(value, _)| value).collect()
    }

    /// Something was read at a place while nothing was written there. After a crash it is what it is from then on.
    ///
    /// # Errors
    ///
    /// [`Lost`] if it cannot be.
    pub fn read(&mut self, place: &K, found: &V) -> Result<(), Lost<K, V>> {
        let allowed = self.possible(place);
        let versions = self.versions(place);
        if !allowed.iter().any(|(value, _)| value == found) {
            let by =
                versions.iter().rev().find(|version| version.value == *found).map(|version| version.write);
            return Err(Lost { place: place.clone(), found: found.clone(), by, allowed });
        }
        // What survived the same crash took its place at the same moment; now it is known which of them did.
        let same = |version: &Version<V>| version.is_flushed && version.ended == Some(version.began);
        if allowed.iter().all(|(_, write)| versions.iter().any(|one| one.write == *write && same(one))) {
            for version in versions.iter_mut().filter(|version| version.value != *found) {
                version.is_obsolete = true;
            }
        }
        Ok(())
    }

    /// Checks all places at once, of which `read` gives what is there.
    ///
    /// # Errors
    ///
    /// [`Lost`] for the first place that holds what it cannot.
    pub fn read_all(&mut self, mut read: impl FnMut(&K) -> V) -> Result<(), Lost<K, V>> {
        let places: Vec<K> = self.places.keys().cloned().collect();
        places.iter().try_for_each(|place| self.read(place, &read(place)))
    }

    fn possible(&self, place: &K) -> Vec<(V, usize)> {
        let Some(versions) = self.places.get(place) else { return vec![(self.initial.clone(), 0)] };
        let mut versions = versions.clone();
        drop_obsolete(&mut versions, |version| version.is_acknowledged);
        let possible = versions.into_iter().filter(|version| !version.is_obsolete);
        possible.map(|version| (version.value, version.write)).collect()
    }

    fn versions(&mut self, place: &K) -> &mut Vec<Version<V>> {
        let initial = || Version {
            value: self.initial.clone(),
            write: 0,
            began: 0,
            ended: Some(0),
            is_acknowledged: true,
            is_flushed: true,
            is_obsolete: false,
        };
        self.places.entry(place.clone()).or_insert_with(|| vec![initial()])
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

/// What ended before something began that `replaces` it is not there any more. Of writes at the same time either may be last.
fn drop_obsolete<V>(versions: &mut [Version<V>], replaces: impl Fn(&Version<V>) -> bool) {
    let last_began = versions.iter().filter(|version| replaces(version)).map(|version| version.began).max();
    let is_before = |version: &Version<V>| version.ended.is_some_and(|ended| Some(ended) < last_began);
    versions.iter_mut().for_each(|version| version.is_obsolete |= is_before(version));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Disk, DiskFate, DiskOperation, Entropy, PowerCut};

    fn write(log: &mut Log<u64, u8>, place: u64, value: u8) {
        let number = log.write_began(place, value);
        log.write_ended(number);
    }

    fn flush(log: &mut Log<u64, u8>) {
        let flush = log.flush_began();
        log.flush_ended(flush);
    }

    #[test]
    fn without_a_crash_only_what_was_written_last_is_there() {
        let mut log = Log::new(0);
        write(&mut log, 7, 1);
        write(&mut log, 7, 2);
        assert_eq!(log.allowed(&7), [2]);
        let under_way = log.write_began(7, 3);
        assert_eq!(log.allowed(&7), [2, 3]);
        log.write_failed(under_way);
        assert_eq!(log.allowed(&7), [2, 3], "it may have taken effect");
        write(&mut log, 7, 4);
        assert_eq!((log.allowed(&7), log.allowed(&8)), (vec![4], vec![0]));
    }

    #[test]
    fn a_flush_covers_what_was_acknowledged_before_it_began() {
        let mut log = Log::new(0);
        write(&mut log, 1, 1);
        let under_way = log.write_began(1, 2);
        let began = log.flush_began();
        log.write_ended(under_way);
        log.flush_ended(began);
        log.crash();
        assert_eq!(log.allowed(&1), [1, 2]);

        let mut log = Log::new(0);
        write(&mut log, 1, 1);
        log.flush_began();
        log.crash();
        assert_eq!(log.allowed(&1), [0, 1], "the flush was not acknowledged");
        assert_eq!(log.read(&1, &0), Ok(()));
        log.crash();
        assert_eq!(log.allowed(&1), [0], "what was seen after a crash stays");
        write(&mut log, 1, 5);
        log.crash();
        assert_eq!(log.allowed(&1), [0, 5]);
    }

    #[test]
    fn what_was_lost_is_told_with_what_could_be() {
        let mut log = Log::new(0);
        write(&mut log, 1, 1);
        flush(&mut log);
        log.crash();
        let first = log.clone().read(&1, &0).unwrap_err();
        assert_eq!((first.by, first.allowed.as_slice()), (Some(0), &[(1, 1)][..]));
        assert!(
            first.to_string().contains("was there at first and was replaced since; it may be 1 (write 1)")
        );
        assert!(log.read(&1, &9).unwrap_err().to_string().contains("nobody put there"));
        assert_eq!(log.read_all(|_| 1), Ok(()));
    }

    /// Writes, flushes and cuts the power of a disk, and holds what it then holds against the log.
    fn run(seed: u64, disk: &Disk) -> Result<(), Lost<u64, u8>> {
        let (dice, mut log, mut port) = (Entropy::seeded(seed).port(), Log::new(0), disk.port());
        let mut dice = dice;
        for value in 1..=40 {
            let number = dice.number().unwrap();
            let place = number % 4;
            match number >> 32 & 7 {
                0 => {
                    disk.cut_power(PowerCut::Blocks(number));
                    log.crash();
                    log.read_all(|place| disk.bytes()[*place as usize * 512])?;
                }
                1 | 2 => {
                    port.flush().unwrap();
                    flush(&mut log);
                }
                3 => log.read(&place, &disk.bytes()[place as usize * 512])?,
                _ => {
                    port.write_at(place * 512, &[value; 512]).unwrap();
                    write(&mut log, place, value);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_true_disk_holds_what_it_may_and_one_that_forgets_to_flush_is_found() {
        let mut found = 0;
        for seed in 0..500 {
            run(seed, &Disk::new(2048)).unwrap_or_else(|lost| panic!("seed {seed}: {lost}"));
            let forgetful = Disk::new(2048);
            forgetful.set_fate(|operation| match operation {
                DiskOperation::Flush => DiskFate::Lost,
                _ => DiskFate::Done,
            });
            found += u32::from(run(seed, &forgetful).is_err());
        }
        assert!(found > 250, "{found}");
    }
}
