//! Writing: intent first, then data and checksums to every member, then the answer.

use solum::{Error, Result};

use crate::layout::PLACES;
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

impl Mirror {
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let mut offset = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let group = offset / self.layout.group_bytes();
            let end = self.group_offset(group + PIECE_GROUPS);
            let (piece, later) = rest.split_at(rest.len().min((end - offset) as usize));
            self.write_piece(offset, piece)?;
            offset = end;
            rest = later;
        }
        Ok(())
    }

    fn write_piece(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let groups = self.layout.groups_touched(offset, data.len() as u64);
        self.prepare(groups.clone(), offset, data.len() as u64)?;
        let (unit_bytes, group_units) = (self.layout.unit_bytes as usize, u64::from(self.layout.group_units));
        let array = self.head.array;
        let first = offset / unit_bytes as u64;
        for group in groups.clone() {
            let start = first.max(group * group_units);
            let end = (group + 1) * group_units;
            let bytes = &data[(start - first) as usize * unit_bytes..];
            let table = self.table(group)?;
            for (unit, bytes) in (start..end).zip(bytes.chunks(unit_bytes)) {
                table.set_checksum(unit % group_units, checksum(array, unit, bytes));
            }
        }
        self.fan_out(groups, offset, data)
    }

    /// Makes the groups ready to be changed: intended, the same everywhere, and with their tables in memory.
    fn prepare(&mut self, groups: std::ops::Range<u64>, offset: u64, length: u64) -> Result<()> {
        for group in groups.clone() {
            self.intend(self.layout.region_of(group))?;
        }
        self.make_room()?;
        for group in groups.clone() {
            self.load(group)?;
        }
        self.confirm(groups.clone(), offset, length)?;
        let epoch = self.epoch;
        for group in groups {
            self.table(group)?.advance(epoch);
        }
        Ok(())
    }

    /// Makes tables their own base if units of them are to be changed for the second time, with a flush in between; and
    /// with them others that will be needed soon: it is the flush that takes its time.
    fn confirm(&mut self, groups: std::ops::Range<u64>, offset: u64, length: u64) -> Result<()> {
        let (unit_bytes, units) = (u64::from(self.layout.unit_bytes), u64::from(self.layout.group_units));
        let written = offset / unit_bytes..(offset + length) / unit_bytes;
        let mut is_needed = false;
        for group in groups.clone() {
            let epoch = self.epoch;
            let first = group * units;
            let here = written.start.max(first) - first..written.end.min(first + units) - first;
            let table = self.table(group)?;
            is_needed |= table.epoch < epoch && table.has_changed(here);
        }
        if !is_needed {
            return Ok(());
        }
        self.load_ahead(groups.start)?;
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
    fn fan_out(&mut self, groups: std::ops::Range<u64>, offset: u64, data: &[u8]) -> Result<()> {
        let mut tables = Vec::new();
        for group in groups.clone() {
            // Taken out while members are written: an error leaves them out, and the group is compared then.
            let table = self.tables.remove(group).ok_or(Error::Broken)?;
            tables.push((self.layout.record_at(group, table.place), table.hash(), table));
        }
        let mut failures = Vec::new();
        for port in self.attached() {
            let salt = self.salt_of(port);
            let data_at = self.layout.data_at;
            let mut batch = self.members[port].disk.batch().write_at(data_at + offset, data);
            for (at, hash, table) in &mut tables {
                batch = batch.write_at(*at, table.sealed(*hash, salt));
            }
            if let Some(error) = batch.run().into_iter().find_map(Result::err) {
                failures.push((port, error));
            }
        }
        let outcome = self.drop_members(&failures);
        for (group, (_, _, table)) in groups.zip(tables) {
            if outcome.is_ok() {
                self.tables.insert(group, table);
            } else {
                self.mark_unresolved(group);
            }
        }
        outcome
    }

    /// Says on all members that a region is going to be written, unless they say so already.
    fn intend(&mut self, region: u64) -> Result<()> {
        self.touched.insert(region);
        if self.intended.contains(region) {
            return Ok(());
        }
        let ahead = match self.rounds.intended_to == region {
            true => (self.rounds.intended_ahead * 2).clamp(1, MOST_REGIONS_AHEAD),
            false => 1,
        };
        let end = (region + ahead).min(self.layout.regions());
        self.rounds.intended_ahead = ahead;
        self.rounds.intended_to = end;
        self.format(region..end)?;
        for region in region..end {
            self.head.intent.insert(region);
            self.head.formatted.insert(region);
            if !self.head.is_whole() {
                self.head.behind.insert(region);
            }
        }
        self.persist(Change::Bits)
    }

    /// Writes the first tables of regions that have none yet, and makes older ones invalid.
    fn format(&mut self, regions: std::ops::Range<u64>) -> Result<()> {
        let fresh = regions.filter(|region| !self.head.formatted.contains(*region));
        let groups: Vec<u64> = fresh.flat_map(|region| self.layout.groups_of(region)).collect();
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
