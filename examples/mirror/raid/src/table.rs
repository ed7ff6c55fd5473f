//! The checksums of groups, as they are kept in memory.

use std::collections::BTreeMap;

use crate::bits::Bits;
use crate::layout::{Layout, PLACES};
use crate::record::{self, HEADER_BYTES, Header, Kind};

/// The checksum record of a group.
#[derive(Clone, Debug)]
pub struct Table {
    /// The record as it was written last, but for the seal.
    record: Vec<u8>,
    header: Header,
    /// In which of its places it lies.
    pub place: u64,
    /// In which epoch it was written. Epochs are counted by flushes.
    pub epoch: u64,
    /// Units whose checksums are not the base's.
    changed: Bits,
    /// Units whose checksums in the base are not those of the record before: if nothing newer than the base arrives on
    /// any member, that one is asked too.
    base_changed: Bits,
}

impl Table {
    /// The first record of a group, of which nothing was written yet.
    pub fn unwritten(layout: &Layout, array: u128, group: u64) -> Self {
        let mut record = vec![0; layout.record_bytes()];
        let header = Header { array, index: group, generation: 1, base: 1 };
        record::write_header(&mut record, Kind::Table, &header);
        let none = Bits::new(u64::from(layout.group_units));
        Self { record, header, place: 0, epoch: 0, changed: none.clone(), base_changed: none }
    }

    /// Reads a record from a place of the member with this salt.
    pub fn read(record: &[u8], array: u128, group: u64, salt: u64, place: u64) -> Option<Self> {
        let header = record::open(record, Kind::Table, salt)?;
        let is_its_own = header.array == array && header.index == group;
        let changed = Bits::new(record.len() as u64 / 8);
        let base_changed = changed.clone();
        is_its_own.then(|| Self { record: record.to_vec(), header, place, epoch: 0, changed, base_changed })
    }

    /// The greater, the newer.
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// The generation that was newest at the flush before it.
    pub fn base(&self) -> u64 {
        self.header.base
    }

    /// The checksum of a unit of the group.
    pub fn checksum(&self, unit: u64) -> u64 {
        record::word64(&self.record, HEADER_BYTES + 8 * unit as usize)
    }

    /// Sets the checksum of a unit.
    pub fn set_checksum(&mut self, unit: u64, checksum: u64) {
        let at = HEADER_BYTES + 8 * unit as usize;
        self.record[at..at + 8].copy_from_slice(&checksum.to_le_bytes());
        self.changed.insert(unit);
    }

    /// Whether some of these units were changed by the newest record that is on the plates: this one, if it is of an earlier
    /// epoch, or else its base. Then a write to them has to wait until there is a record that is its own base: after a
    /// crash that left the data of the write and no record of it, a disk that missed the change would be believed.
    pub fn has_changed(&self, units: std::ops::Range<u64>, epoch: u64) -> bool {
        let changed = if self.epoch < epoch { &self.changed } else { &self.base_changed };
        changed.first_from(units.start).is_some_and(|unit| unit < units.end)
    }

    /// Finds out what was changed since the base, if that is among these.
    pub fn compare_with_base(&mut self, tables: &[Self], units: u64) {
        let base = tables.iter().find(|table| table.generation() == self.base());
        self.changed = Bits::new(units);
        for unit in 0..units {
            if base.is_none_or(|base| base.checksum(unit) != self.checksum(unit)) {
                self.changed.insert(unit);
            }
        }
    }

    /// Makes it its own base, in a place of its own, newer than `generation`. All it tells of is on the plates.
    pub fn confirm(&mut self, generation: u64, place: u64, epoch: u64) {
        self.header.generation = generation + 1;
        self.header.base = self.header.generation;
        self.place = place;
        self.epoch = epoch;
        self.changed.clear();
        self.base_changed.clear();
        record::write_header(&mut self.record, Kind::Table, &self.header);
    }

    /// Makes it the next generation, in a place that is not the base's.
    pub fn advance(&mut self, epoch: u64) {
        if self.epoch < epoch {
            self.header.base = self.header.generation;
            self.place = (self.place + 1) % PLACES;
            self.epoch = epoch;
            self.base_changed.clone_from(&self.changed);
            self.changed.clear();
        }
        self.header.generation += 1;
        record::write_header(&mut self.record, Kind::Table, &self.header);
    }

    /// The hash that its seals are made of.
    pub fn hash(&self) -> u64 {
        record::hash(&self.record)
    }

    /// The record for the member with this salt.
    pub fn sealed(&mut self, hash: u64, salt: u64) -> &[u8] {
        record::seal(&mut self.record, hash, salt);
        &self.record
    }

    /// Whether they say the same, wherever they lie.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.header == other.header && self.record[HEADER_BYTES..] == other.record[HEADER_BYTES..]
    }
}

/// The tables in memory, of which there are only so many.
pub struct Tables {
    kept: BTreeMap<u64, (u64, Table)>,
    most: usize,
    uses: u64,
}

impl Tables {
    pub fn new(most: usize) -> Self {
        Self { kept: BTreeMap::new(), most, uses: 0 }
    }

    pub fn contains(&self, group: u64) -> bool {
        self.kept.contains_key(&group)
    }

    /// The table of a group.
    pub fn get(&mut self, group: u64) -> Option<&mut Table> {
        self.uses += 1;
        let (used, table) = self.kept.get_mut(&group)?;
        *used = self.uses;
        Some(table)
    }

    pub fn insert(&mut self, group: u64, table: Table) {
        self.uses += 1;
        self.kept.insert(group, (self.uses, table));
    }

    pub fn remove(&mut self, group: u64) -> Option<Table> {
        self.kept.remove(&group).map(|(_, table)| table)
    }

    /// Forgets what was not used for long, if there are too many. Tables of the current epoch stay: memory alone knows
    /// which place is their base. Gives whether there are still too many.
    pub fn shrink(&mut self, epoch: u64) -> bool {
        if self.kept.len() <= self.most {
            return false;
        }
        let mut old: Vec<(u64, u64)> = self
            .kept
            .iter()
            .filter(|(_, (_, table))| table.epoch < epoch)
            .map(|(group, (used, _))| (*used, *group))
            .collect();
        old.sort_unstable();
        // More than needed, so that it is not done every time.
        let surplus = self.kept.len() - self.most * 3 / 4;
        for (_, group) in old.into_iter().take(surplus) {
            self.kept.remove(&group);
        }
        self.kept.len() > self.most
    }

    /// Groups that were changed since their base, before this epoch: all of these, and of the others, as they follow the
    /// first, as many as there are and may be.
    pub fn unconfirmed(&self, epoch: u64, groups: &[u64], most: usize) -> Vec<u64> {
        let first = groups.first().copied().unwrap_or(0);
        let later = self.kept.range(first..).chain(self.kept.range(..first)).map(|(group, _)| group);
        let others = later.filter(|group| groups.binary_search(group).is_err());
        let is_unconfirmed = |group: &&u64| {
            let table = self.kept.get(*group).map(|(_, table)| table);
            table.is_some_and(|table| table.epoch < epoch && !table.changed.is_empty())
        };
        groups.iter().chain(others).filter(is_unconfirmed).copied().take(most.max(groups.len())).collect()
    }

    /// Whether a group was written in this epoch, and is not its own base.
    pub fn has_unflushed(&self, epoch: u64) -> bool {
        let is_plain = |table: &Table| !table.changed.is_empty() || !table.base_changed.is_empty();
        self.kept.values().any(|(_, table)| table.epoch >= epoch && is_plain(table))
    }

    /// The groups that were written in this epoch.
    pub fn written_in(&self, epoch: u64) -> Vec<u64> {
        self.kept.iter().filter(|(_, (_, table))| table.epoch >= epoch).map(|(group, _)| *group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::unwritten(&Layout::fit(1 << 20, 512, 4).unwrap(), 3, 7)
    }

    #[test]
    fn between_two_flushes_only_one_place_is_written_and_it_is_not_the_base() {
        let mut table = table();
        table.advance(1);
        assert_eq!((table.place, table.generation(), table.base()), (1, 2, 1));
        table.advance(1);
        assert_eq!((table.place, table.generation(), table.base()), (1, 3, 1));
        table.advance(2);
        assert_eq!((table.place, table.generation(), table.base()), (2, 4, 3));
        table.advance(5);
        assert_eq!((table.place, table.generation(), table.base()), (0, 5, 4));
    }

    #[test]
    fn what_changed_since_the_base_is_known_and_forgotten_when_it_is_a_base_itself() {
        let mut table = table();
        let first = table.clone();
        table.advance(1);
        table.set_checksum(2, 99);
        assert!(table.has_changed(2..3, 2) && !table.has_changed(0..2, 2) && !table.has_changed(3..4, 2));
        assert!(!table.has_changed(0..4, 1), "nothing of this epoch is on the plates");
        let hash = table.hash();
        let mut read = Table::read(table.sealed(hash, 5), 3, 7, 5, 1).unwrap();
        read.compare_with_base(&[first], 4);
        assert!(read.has_changed(2..3, 2) && !read.has_changed(0..2, 2) && !read.has_changed(3..4, 2));
        read.compare_with_base(&[], 4);
        assert!(read.has_changed(0..1, 2), "without its base anything may have changed");
        let mut next = table.clone();
        next.advance(2);
        next.set_checksum(3, 98);
        assert!(
            next.has_changed(2..3, 2) && !next.has_changed(3..4, 2),
            "what its base changed still counts"
        );
        table.confirm(table.generation(), 2, 1);
        assert!(!table.has_changed(0..4, 2) && table.base() == table.generation());
        table.advance(2);
        assert_eq!((table.place, table.base()), (0, table.generation() - 1));
    }

    #[test]
    fn a_record_is_read_by_its_own_group_and_member_alone() {
        let mut table = table();
        table.set_checksum(2, 99);
        let hash = table.hash();
        let record = table.sealed(hash, 5).to_vec();
        assert!(Table::read(&record, 3, 7, 5, 0).unwrap().says_the_same(&table));
        assert!(Table::read(&record, 3, 8, 5, 0).is_none());
        assert!(Table::read(&record, 4, 7, 5, 0).is_none());
        assert!(Table::read(&record, 3, 7, 6, 0).is_none());
        assert_eq!(table.checksum(2), 99);
    }

    #[test]
    fn what_is_to_be_written_is_confirmed_before_all_others() {
        let mut tables = Tables::new(100);
        for group in 0..20 {
            let mut table = table();
            table.advance(if group == 5 { 2 } else { 1 });
            table.set_checksum(0, 99);
            tables.insert(group, table);
        }
        assert_eq!(tables.unconfirmed(2, &[4, 5, 19], 5), [4, 19, 6, 7, 8]);
        assert_eq!(tables.unconfirmed(2, &[0, 7, 8], 1), [0, 7, 8], "of these none is left out");
        assert!(tables.has_unflushed(2) && !tables.has_unflushed(3));
    }

    #[test]
    fn tables_of_the_current_epoch_are_never_forgotten() {
        let mut tables = Tables::new(4);
        for group in 0..6 {
            let mut table = table();
            table.epoch = if group < 3 { 2 } else { 1 };
            tables.insert(group, table);
        }
        assert!(!tables.shrink(2));
        assert!((0..3).all(|group| tables.contains(group)) && !tables.contains(3));
        assert_eq!(tables.written_in(2), [0, 1, 2]);
    }
}
