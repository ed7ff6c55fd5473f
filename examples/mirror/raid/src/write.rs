//! Writing: intent first, then data and checksums to every member, then the answer.

use std::ops::Range;

use solum::{Error, Result};

use crate::layout::{Layout, PLACES};
use crate::mirror::{Change, Mirror};
use crate::record::checksum;
use crate::table::Table;

/// How many groups one piece of a long write touches.
const PIECE_GROUPS: u64 = 4;

/// How many regions are intended at once, when one after the other is written.
const MOST_REGIONS_AHEAD: u64 = 64;

/// How many records are made their own base with one flush, and how many are read for that.
const MOST_CONFIRMED: usize = 512;
const MOST_LOADED_AHEAD: u64 = 64;

/// How many groups, at most, are written at once.
const MOST_GROUPS_AT_ONCE: usize = 16;

/// A part of a write that touches few groups.
pub(crate) struct Piece<'a> {
    /// To which of the writes it belongs.
    write: usize,
    offset: u64,
    data: &'a [u8],
}

impl Piece<'_> {
    fn length(&self) -> u64 {
        self.data.len() as u64
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.offset + other.length() && other.offset < self.offset + self.length()
    }

    fn groups(&self, layout: &Layout) -> Range<u64> {
        layout.groups_touched(self.offset, self.length())
    }
}

impl Mirror {
    /// Does these writes, and tells what came of each.
    pub(crate) fn write(&mut self, writes: &[(u64, &[u8])]) -> Vec<Result<()>> {
        let mut outcomes = vec![Ok(()); writes.len()];
        for set in sets(&self.layout, writes) {
            if let Err(error) = self.check_running().and_then(|()| self.write_set(&set)) {
                for piece in &set {
                    outcomes[piece.write] = Err(error.clone());
                }
            }
        }
        outcomes
    }

    fn write_set(&mut self, set: &[Piece<'_>]) -> Result<()> {
        let mut groups: Vec<u64> = set.iter().flat_map(|piece| piece.groups(&self.layout)).collect();
        groups.sort_unstable();
        groups.dedup();
        self.prepare(&groups, set)?;
        for piece in set {
            self.set_checksums(piece)?;
        }
        self.fan_out(&groups, set)
    }

    fn set_checksums(&mut self, piece: &Piece<'_>) -> Result<()> {
        let (unit_bytes, group_units) = (self.layout.unit_bytes as usize, u64::from(self.layout.group_units));
        let array = self.head.array;
        let first = piece.offset / unit_bytes as u64;
        for group in piece.groups(&self.layout) {
            let start = first.max(group * group_units);
            let end = (group + 1) * group_units;
            let bytes = &piece.data[(start - first) as usize * unit_bytes..];
            let table = self.table(group)?;
            for (unit, bytes) in (start..end).zip(bytes.chunks(unit_bytes)) {
                table.set_checksum(unit % group_units, checksum(array, unit, bytes));
            }
        }
        Ok(())
    }

    /// Makes the groups ready to be changed: intended, the same everywhere, and with their tables in memory.
    fn prepare(&mut self, groups: &[u64], set: &[Piece<'_>]) -> Result<()> {
        self.intend(groups)?;
        self.make_room()?;
        for group in groups {
            self.load(*group)?;
        }
        self.confirm(groups, set)?;
        let epoch = self.epoch;
        for group in groups {
            self.table(*group)?.advance(epoch);
        }
        Ok(())
    }

    /// Whether a unit that is to be written was changed by what the last flush brought to the plates.
    fn needs_confirmation(&mut self, set: &[Piece<'_>]) -> Result<bool> {
        let (unit_bytes, units) = (u64::from(self.layout.unit_bytes), u64::from(self.layout.group_units));
        let epoch = self.epoch;
        let mut is_needed = false;
        for piece in set {
            let written = piece.offset / unit_bytes..(piece.offset + piece.length()) / unit_bytes;
            for group in piece.groups(&self.layout) {
                let first = group * units;
                let here = written.start.max(first) - first..written.end.min(first + units) - first;
                let table = self.table(group)?;
                is_needed |= table.has_changed(here, epoch);
            }
        }
        Ok(is_needed)
    }

    /// Makes tables their own base if units of them are to be changed for the second time, with a flush in between; and
    /// with them others that will be needed soon: it is the flush that takes its time.
    fn confirm(&mut self, groups: &[u64], set: &[Piece<'_>]) -> Result<()> {
        let Some(first) = groups.first().copied() else { return Ok(()) };
        if !self.needs_confirmation(set)? {
            return Ok(());
        }
        if self.tables.has_unflushed(self.epoch) {
            // They would need it next: the flush below ends their epoch. With this one they are their own base, too,
            // so that no write waits again until somebody asks for a flush.
            self.flush_members()?;
        }
        self.load_ahead(first)?;
        let epoch = self.epoch;
        let mut failures: Vec<(usize, Error)> = Vec::new();
        for group in self.tables.unconfirmed(epoch, groups, MOST_CONFIRMED) {
            // A member that is out learns of it when it returns only if the region is intended.
            if !self.intended.contains(self.layout.region_of(group)) {
                continue;
            }
            let Some(mut table) = self.tables.remove(group) else { continue };
            table.confirm(table.generation(), (table.place + 1) % PLACES, epoch);
            for port in self.attached() {
                let is_failed = failures.iter().any(|(failed, _)| *failed == port);
                if !is_failed && let Err(error) = self.write_table(port, group, &mut table) {
                    failures.push((port, error));
                }
            }
            self.tables.insert(group, table);
        }
        let outcome = self.drop_members(&failures);
        if outcome.is_err() {
            self.forget_confirmed(epoch);
            return outcome;
        }
        self.flush_members()
    }

    /// Some of the records are on no member: what is on the members counts.
    fn forget_confirmed(&mut self, epoch: u64) {
        for group in self.tables.written_in(epoch) {
            self.tables.remove(group);
            self.mark_unresolved(group);
        }
    }

    /// Brings the tables of the next groups into memory, more and more of them if one group after the other is written.
    fn load_ahead(&mut self, group: u64) -> Result<()> {
        let is_next = self.rounds.confirmed_to.contains(&group);
        let ahead = if is_next { (self.rounds.confirmed_ahead * 2).clamp(1, MOST_LOADED_AHEAD) } else { 1 };
        let end = (group + ahead).min(self.layout.groups);
        self.rounds.confirmed_ahead = ahead;
        self.rounds.confirmed_to = end..end + PIECE_GROUPS + 1;
        for group in group..end {
            if self.is_formatted(group) && !self.unresolved.contains(group) {
                self.load(group)?;
            }
        }
        Ok(())
    }

    /// Forgets tables that were not used for long.
    pub(crate) fn make_room(&mut self) -> Result<()> {
        if self.tables.shrink(self.epoch) {
            self.flush_members()?;
            self.tables.shrink(self.epoch);
        }
        Ok(())
    }

    pub(crate) fn table(&mut self, group: u64) -> Result<&mut Table> {
        self.tables.get(group).ok_or_else(|| Error::Device(format!("no checksums of group {group}")))
    }

    /// Writes data, and the tables of the groups to all members that take part.
    fn fan_out(&mut self, groups: &[u64], set: &[Piece<'_>]) -> Result<()> {
        let mut tables = Vec::new();
        for group in groups {
            // Taken out while members are written: an error leaves them out, and the group is compared then.
            let table = self.tables.remove(*group).ok_or(Error::Broken)?;
            tables.push((self.layout.record_at(*group, table.place), table.hash(), table));
        }
        let mut failures = Vec::new();
        for port in self.attached() {
            let salt = self.salt_of(port);
            let data_at = self.layout.data_at;
            let mut batch = self.members[port].disk.batch();
            for piece in set {
                batch = batch.write_at(data_at + piece.offset, piece.data);
            }
            for (at, hash, table) in &mut tables {
                batch = batch.write_at(*at, table.sealed(*hash, salt));
            }
            if let Some(error) = batch.run().into_iter().find_map(Result::err) {
                failures.push((port, error));
            }
        }
        let outcome = self.drop_members(&failures);
        for (group, (_, _, table)) in groups.iter().zip(tables) {
            if outcome.is_ok() {
                self.tables.insert(*group, table);
            } else {
                self.mark_unresolved(*group);
            }
        }
        outcome
    }

    /// Says on all members that the regions of these groups are going to be written, unless they say so already.
    fn intend(&mut self, groups: &[u64]) -> Result<()> {
        let mut fresh = Vec::new();
        for group in groups {
            let region = self.layout.region_of(*group);
            self.touched.insert(region);
            if !self.intended.contains(region) && fresh.last() != Some(&region) {
                fresh.push(region);
            }
        }
        let (Some(first), Some(last)) = (fresh.first().copied(), fresh.last().copied()) else {
            return Ok(());
        };
        let ahead = match self.rounds.intended_to == first {
            true => (self.rounds.intended_ahead * 2).clamp(1, MOST_REGIONS_AHEAD),
            false => 1,
        };
        let end = (last + ahead).min(self.layout.regions());
        self.rounds.intended_ahead = ahead;
        self.rounds.intended_to = end;
        fresh.extend(last + 1..end);
        self.format(&fresh)?;
        for region in fresh {
            self.head.intent.insert(region);
            self.head.formatted.insert(region);
            if !self.head.is_whole() {
                self.head.behind.insert(region);
            }
        }
        self.persist(Change::Bits)
    }

    /// Writes the first tables of regions that have none yet, and makes older ones invalid.
    fn format(&mut self, regions: &[u64]) -> Result<()> {
        let fresh = regions.iter().filter(|region| !self.head.formatted.contains(**region));
        let groups: Vec<u64> = fresh.flat_map(|region| self.layout.groups_of(*region)).collect();
        if groups.is_empty() {
            return Ok(());
        }
        let mut failures: Vec<(usize, Error)> = Vec::new();
        for group in groups {
            self.tables.remove(group);
            let mut table = Table::unwritten(&self.layout, self.head.array, group);
            for port in self.attached() {
                let is_failed = failures.iter().any(|(failed, _)| *failed == port);
                if !is_failed && let Err(error) = self.write_only_table(port, group, &mut table) {
                    failures.push((port, error));
                }
            }
        }
        self.drop_members(&failures)?;
        self.flush_members()
    }

    /// Discards whole regions, which read as zeros then and are neither compared nor copied. Of parts of regions it takes
    /// no notice.
    pub(crate) fn forget(&mut self, offset: u64, length: u64) -> Result<()> {
        let region_bytes = self.layout.region_groups * self.layout.group_bytes();
        let whole = offset.div_ceil(region_bytes)..(offset + length) / region_bytes;
        let is_used = |region: &u64| self.head.formatted.contains(*region);
        let regions: Vec<u64> = whole.filter(is_used).collect();
        if regions.is_empty() {
            return Ok(());
        }
        for region in &regions {
            self.head.formatted.remove(*region);
            self.head.intent.remove(*region);
            // A member may take no notice: what it has there must not be found good by what is in memory.
            for group in self.layout.groups_of(*region) {
                self.tables.remove(group);
            }
        }
        // Until all members know, nothing may be written there without telling them again.
        self.intended.clear();
        self.persist(Change::Bits)?;
        for region in regions {
            for port in self.attached() {
                // Advice only: whether the member makes use of it is its own affair.
                let at = self.layout.data_at + region * region_bytes;
                let _ = self.members[port].disk.discard(at, region_bytes);
            }
        }
        Ok(())
    }
}

/// Cuts writes into pieces, and puts those together that may be written at once: none overlaps another, because members
/// may do what is asked of them at once in any order, each in its own.
fn sets<'a>(layout: &Layout, writes: &[(u64, &'a [u8])]) -> Vec<Vec<Piece<'a>>> {
    let mut sets = Vec::new();
    let (mut set, mut groups) = (Vec::<Piece<'_>>::new(), 0);
    for (write, (offset, data)) in writes.iter().enumerate() {
        let (mut offset, mut rest) = (*offset, *data);
        while !rest.is_empty() {
            let end = (offset / layout.group_bytes() + PIECE_GROUPS) * layout.group_bytes();
            let (data, later) = rest.split_at(rest.len().min((end - offset) as usize));
            let piece = Piece { write, offset, data };
            let more = piece.groups(layout).count();
            if groups + more > MOST_GROUPS_AT_ONCE || set.iter().any(|other| other.overlaps(&piece)) {
                sets.push(std::mem::take(&mut set));
                groups = 0;
            }
            groups += more;
            set.push(piece);
            (offset, rest) = (end, later);
        }
    }
    sets.push(set);
    sets.retain(|set| !set.is_empty());
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_or_is_too_much_is_not_written_at_once() {
        // Groups of 2 KiB.
        let layout = Layout::fit(1 << 20, 512, 4).unwrap();
        let bytes = vec![0; 64 << 10];
        let shape = |writes: &[(u64, &[u8])]| -> Vec<Vec<(usize, u64, u64)>> {
            let of = |set: &Vec<Piece<'_>>| {
                set.iter().map(|piece| (piece.write, piece.offset, piece.length())).collect()
            };
            sets(&layout, writes).iter().map(of).collect()
        };
        assert_eq!(shape(&[(0, &[])]), Vec::<Vec<_>>::new());
        assert_eq!(
            shape(&[(0, &bytes[..512]), (512, &bytes[..512])]),
            [[(0, 0, 512), (1, 512, 512)]],
            "what touches does not overlap"
        );
        assert_eq!(
            shape(&[(0, &bytes[..1024]), (512, &bytes[..512])]),
            [[(0, 0, 1024)], [(1, 512, 512)]],
            "in the order in which they came"
        );
        let long = shape(&[(1024, &bytes)]);
        assert_eq!(long[0][0], (0, 1024, 8192 - 1024), "a piece ends with a group");
        assert_eq!(long.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 1]);
        assert_eq!(long.iter().flatten().map(|(_, _, length)| length).sum::<u64>(), 64 << 10);
    }
}
