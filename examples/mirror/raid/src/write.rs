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

/// How many bytes are filled with zeros, at most, before a write that follows others; but at least a region.
const MOST_BYTES_FORMATTED: u64 = 16 << 20;

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
        self.prepare(groups.clone())?;
        let unit_bytes = self.layout.unit_bytes as usize;
        for (unit, bytes) in (offset / unit_bytes as u64..).zip(data.chunks(unit_bytes)) {
            let sum = checksum(self.head.array, unit, bytes);
            self.set_checksum(unit, sum)?;
        }
        self.fan_out(groups, Some((offset, data)))
    }

    /// Makes the groups ready to be changed: intended, the same everywhere, and with their tables in memory.
    fn prepare(&mut self, groups: std::ops::Range<u64>) -> Result<()> {
        for group in groups.clone() {
            self.intend(self.layout.region_of(group))?;
        }
        self.make_room()?;
        for group in groups.clone() {
            self.load(group)?;
        }
        let epoch = self.epoch;
        for group in groups {
            self.table(group)?.advance(epoch);
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

    fn set_checksum(&mut self, unit: u64, checksum: u64) -> Result<()> {
        let units = u64::from(self.layout.group_units);
        self.table(unit / units)?.set_checksum(unit % units, checksum);
        Ok(())
    }

    /// Writes data, if there is any, and the tables of the groups to all members that take part.
    fn fan_out(&mut self, groups: std::ops::Range<u64>, data: Option<(u64, &[u8])>) -> Result<()> {
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
            let mut batch = self.members[port].disk.batch();
            if let Some((offset, data)) = data {
                batch = batch.write_at(data_at + offset, data);
            }
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
        let region_bytes = self.layout.region_groups * self.layout.group_bytes();
        let most = match self.head.formatted.contains(region) {
            true => MOST_REGIONS_AHEAD,
            false => (MOST_BYTES_FORMATTED / region_bytes).clamp(1, MOST_REGIONS_AHEAD),
        };
        let ahead = match self.rounds.intended_to == region {
            true => (self.rounds.intended_ahead * 2).clamp(1, most),
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

    /// Fills regions with zeros, and writes their first tables. Whatever is on the disks already would be taken for the
    /// contents after a crash during the first write, if it were not known by checksums.
    fn format(&mut self, regions: std::ops::Range<u64>) -> Result<()> {
        let fresh = regions.filter(|region| !self.head.formatted.contains(*region));
        let groups: Vec<u64> = fresh.flat_map(|region| self.layout.groups_of(region)).collect();
        if groups.is_empty() {
            return Ok(());
        }
        let zeros = vec![0; self.layout.group_bytes() as usize];
        let mut failures: Vec<(usize, Error)> = Vec::new();
        for group in groups {
            self.tables.remove(group);
            let mut table = Table::zeros(&self.layout, self.head.array, group);
            for port in self.attached() {
                let is_failed = failures.iter().any(|(failed, _)| *failed == port);
                if !is_failed && let Err(error) = self.format_group(port, group, &mut table, &zeros) {
                    failures.push((port, error));
                }
            }
        }
        self.drop_members(&failures)?;
        self.flush_members()
    }

    fn format_group(&mut self, port: usize, group: u64, table: &mut Table, zeros: &[u8]) -> Result<()> {
        let length = self.layout.record_bytes();
        let mut records = vec![0; length * PLACES as usize];
        let hash = table.hash();
        records[..length].copy_from_slice(table.sealed(hash, self.salt_of(port)));
        let data_at = self.layout.data_at + self.group_offset(group);
        let records_at = self.layout.record_at(group, 0);
        let batch = self.members[port].disk.batch();
        batch.write_at(records_at, &records).write_at(data_at, zeros).run().into_iter().collect()
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
