//! After an unclean stop: choosing the right copy of every unit of a group, and making members equal.

use solum::{Error, Result};

use crate::layout::PLACES;
use crate::mirror::Mirror;
use crate::notice::Notice;
use crate::record::{UNWRITTEN, checksum};
use crate::table::Table;

/// What a member has of a group.
struct Copy {
    port: usize,
    bytes: Vec<u8>,
    /// The checksum of each unit; none of what cannot be read.
    sums: Vec<Option<u64>>,
}

/// What the members say of a group.
struct Candidates {
    /// The records that may be true of units of the group, the newest first: the newest, and those from its base on.
    tables: Vec<Table>,
    /// The members that lack the newest.
    lacking: Vec<usize>,
    /// Members, and places on them that cannot be read.
    unreadable: Vec<(usize, u64)>,
}

/// Which copy of a unit is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Winner {
    /// The unit was not written yet.
    Unwritten,
    /// This one, by its place in the list; its checksum; and whether a record knows it.
    Copy(usize, u64, bool),
    /// None can be read; this checksum would be the right one.
    None(u64),
}

impl Mirror {
    /// Makes the members in sync equal in a group, and forgets that they might differ.
    pub(crate) fn reconcile(&mut self, group: u64) -> Result<()> {
        if !self.is_formatted(group) {
            self.unresolved.remove(group);
            return Ok(());
        }
        let Candidates { tables: candidates, lacking, unreadable } = self.candidates(group);
        let Some(newest) = candidates.first() else {
            // The base is never touched between two flushes: only damage to all members gets here.
            self.unresolved.remove(group);
            return self.load(group);
        };
        let copies = self.read_copies(group);
        let units = 0..u64::from(self.layout.group_units);
        let winners: Vec<Winner> = units.map(|unit| choose(unit, &candidates, &copies)).collect();
        let mut merged = newest.clone();
        for (unit, winner) in (0..).zip(&winners) {
            merged.set_checksum(unit, winner.checksum());
        }
        let is_newest_right = merged.says_the_same(newest);
        self.counters.unverified +=
            winners.iter().filter(|winner| matches!(winner, Winner::Copy(_, _, false))).count() as u64;
        self.rewrite_losers(group, &winners, &copies)?;
        self.clear_places(group, &unreadable)?;
        let receivers = if is_newest_right {
            merged.compare_with_base(&candidates, u64::from(self.layout.group_units));
            lacking
        } else {
            let place = free_place(&candidates);
            merged.confirm(newest.generation(), place, self.epoch);
            self.in_sync()
        };
        self.write_table_to(group, &mut merged, &receivers)?;
        // It is on the plates of all, so the next write takes it for its base.
        merged.epoch = 0;
        self.tables.insert(group, merged);
        self.unresolved.remove(group);
        if self.unresolved.is_empty() {
            self.notices.push(Notice::Compared { rewritten: self.counters.rewritten });
        }
        Ok(())
    }

    fn candidates(&mut self, group: u64) -> Candidates {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for port in self.in_sync() {
            let (tables, places) = self.read_places(port, group);
            found.push((port, tables));
            unreadable.extend(places.into_iter().map(|place| (port, place)));
        }
        let mut all: Vec<Table> = found.iter().flat_map(|(_, tables)| tables.iter().cloned()).collect();
        all.sort_by_key(|table| std::cmp::Reverse(table.generation()));
        all.dedup_by_key(|table| table.generation());
        let base = all.first().map_or(0, Table::base);
        all.retain(|table| table.generation() >= base);
        let lacks = |tables: &[Table]| {
            all.first().is_some_and(|newest| !tables.iter().any(|table| table.says_the_same(newest)))
        };
        let lacking = found.iter().filter(|(_, tables)| lacks(tables)).map(|(port, _)| *port).collect();
        Candidates { tables: all, lacking, unreadable }
    }

    /// Makes places of records invalid that could not be read: what lies there may be of the write that was cut off, and
    /// newer than all that is known. If it could be read later it would be believed.
    fn clear_places(&mut self, group: u64, places: &[(usize, u64)]) -> Result<()> {
        let zeros = vec![0; self.layout.record_bytes()];
        let mut failures = Vec::new();
        for (port, place) in places {
            if let Err(error) =
                self.members[*port].disk.write_at(self.layout.record_at(group, *place), &zeros)
            {
                failures.push((*port, error));
            }
        }
        self.drop_members(&failures)?;
        if places.is_empty() { Ok(()) } else { self.flush_members() }
    }

    fn read_copies(&mut self, group: u64) -> Vec<Copy> {
        let unit_bytes = self.layout.unit_bytes as usize;
        let first = group * u64::from(self.layout.group_units);
        let at = self.layout.data_at + self.group_offset(group);
        let array = self.head.array;
        let mut copies = Vec::new();
        for port in self.in_sync() {
            let mut bytes = vec![0; self.layout.group_bytes() as usize];
            let disk = &mut self.members[port].disk;
            let is_whole = disk.read_at(at, &mut bytes).is_ok();
            let mut sums = Vec::new();
            for (unit, bytes) in (0..).zip(bytes.chunks_mut(unit_bytes)) {
                let is_read = is_whole || disk.read_at(at + unit * unit_bytes as u64, bytes).is_ok();
                sums.push(is_read.then(|| checksum(array, first + unit, bytes)));
            }
            copies.push(Copy { port, bytes, sums });
        }
        copies
    }

    fn rewrite_losers(&mut self, group: u64, winners: &[Winner], copies: &[Copy]) -> Result<()> {
        let unit_bytes = self.layout.unit_bytes as usize;
        let at = self.layout.data_at + self.group_offset(group);
        let mut failures = Vec::new();
        let mut rewritten = 0;
        for copy in copies {
            let mut batch = self.members[copy.port].disk.batch();
            for (unit, winner) in winners.iter().enumerate() {
                let Winner::Copy(winner, sum, _) = winner else { continue };
                if copy.sums[unit] != Some(*sum) {
                    let start = unit * unit_bytes;
                    let right = &copies[*winner].bytes[start..start + unit_bytes];
                    batch = batch.write_at(at + start as u64, right);
                    rewritten += 1;
                }
            }
            if let Some(error) = batch.run().into_iter().find_map(Result::err) {
                failures.push((copy.port, error));
            }
        }
        self.counters.rewritten += rewritten;
        self.drop_members(&failures)?;
        // Before a record says that all have it, all have it.
        if rewritten > 0 { self.flush_members() } else { Ok(()) }
    }

    /// Writes a table as it is to these members, and flushes.
    pub(crate) fn write_table_to(&mut self, group: u64, table: &mut Table, ports: &[usize]) -> Result<()> {
        let mut failures: Vec<(usize, Error)> = Vec::new();
        for port in ports {
            if !self.members[*port].is_attached {
                continue;
            }
            if let Err(error) = self.write_table(*port, group, table) {
                failures.push((*port, error));
            }
        }
        self.drop_members(&failures)?;
        if ports.is_empty() { Ok(()) } else { self.flush_members() }
    }
}

impl Winner {
    fn checksum(self) -> u64 {
        match self {
            Self::Unwritten => UNWRITTEN,
            Self::Copy(_, sum, _) | Self::None(sum) => sum,
        }
    }
}

fn choose(unit: u64, candidates: &[Table], copies: &[Copy]) -> Winner {
    for table in candidates {
        let expected = table.checksum(unit);
        if expected == UNWRITTEN {
            return Winner::Unwritten;
        }
        if let Some(index) = copies.iter().position(|copy| copy.sums[unit as usize] == Some(expected)) {
            return Winner::Copy(index, expected, true);
        }
    }
    // It was being written, more than once, or torn everywhere: what most members have, and of equals the first.
    let sums =
        || copies.iter().enumerate().filter_map(|(index, copy)| Some((index, copy.sums[unit as usize]?)));
    let votes = |sum: u64| sums().filter(|(_, other)| *other == sum).count();
    let most = sums().map(|(_, sum)| votes(sum)).max().unwrap_or(0);
    match sums().find(|(_, sum)| votes(*sum) == most) {
        Some((index, sum)) => Winner::Copy(index, sum, false),
        None => Winner::None(candidates.first().map_or(0, |table| table.checksum(unit))),
    }
}

/// A place whose record is not needed any more.
fn free_place(candidates: &[Table]) -> u64 {
    let is_free = |place: &u64| candidates.iter().all(|table| table.place != *place);
    let oldest = candidates.last().map_or(0, |table| table.place);
    (0..PLACES).find(is_free).unwrap_or(oldest)
}
