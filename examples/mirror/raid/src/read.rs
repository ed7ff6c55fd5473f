//! Reading: every unit is compared with its checksum; bad copies are read elsewhere and rewritten.

use solum::{Error, Result};

use crate::layout::PLACES;
use crate::member::is_about_one_block;
use crate::mirror::Mirror;
use crate::notice::Notice;
use crate::record::{UNWRITTEN, checksum};
use crate::table::Table;

/// So many bytes that follow each other are read from the same member: it may read ahead.
const STREAK_BYTES: u64 = 1 << 30;

/// A read of a batch.
pub(crate) struct Read<'a> {
    pub offset: u64,
    pub buffer: &'a mut [u8],
    pub outcome: &'a mut Result<()>,
}

impl Mirror {
    /// Does these reads: all that one member is to give, at once.
    pub(crate) fn read_batch(&mut self, reads: &mut [Read<'_>]) {
        let in_sync = self.in_sync();
        let mut chosen: Vec<Option<usize>> = Vec::new();
        for read in &mut *reads {
            let is_formatted = self
                .check_running()
                .and_then(|()| self.make_room())
                .and_then(|()| self.load_all(read.offset, read.buffer.len() as u64));
            let port = if is_formatted == Ok(true) { member_for(read.offset, &in_sync) } else { None };
            chosen.push(port);
        }
        for port in in_sync {
            self.read_from(port, reads, &mut chosen);
        }
        for (read, port) in reads.iter_mut().zip(chosen) {
            *read.outcome = match port {
                Some(_) => {
                    let units = self.units(read.offset, read.buffer.len());
                    self.check_units(units, read.buffer, port)
                }
                // What is out of the ordinary is done alone.
                None => self.check_running().and_then(|()| self.read(read.offset, read.buffer)),
            };
        }
    }

    /// Reads all that this member was chosen for, and takes back the choice where that failed.
    fn read_from(&mut self, port: usize, reads: &mut [Read<'_>], chosen: &mut [Option<usize>]) {
        let data_at = self.layout.data_at;
        let mut batch = self.members[port].disk.batch();
        let mut choices = Vec::new();
        for (read, choice) in reads.iter_mut().zip(chosen).filter(|(_, choice)| **choice == Some(port)) {
            batch = batch.read_at(data_at + read.offset, read.buffer);
            choices.push(choice);
        }
        for (choice, outcome) in choices.into_iter().zip(batch.run()) {
            *choice = outcome.is_ok().then_some(port);
        }
    }

    fn units(&self, offset: u64, length: usize) -> std::ops::Range<u64> {
        let unit_bytes = u64::from(self.layout.unit_bytes);
        offset / unit_bytes..(offset + length as u64) / unit_bytes
    }

    /// Brings all tables that there are for these bytes into memory; whether there are any.
    fn load_all(&mut self, offset: u64, length: u64) -> Result<bool> {
        let mut is_formatted = false;
        for group in self.layout.groups_touched(offset, length) {
            if self.is_formatted(group) {
                is_formatted = true;
                self.load(group)?;
            }
        }
        Ok(is_formatted)
    }

    pub(crate) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        self.make_room()?;
        if !self.load_all(offset, buffer.len() as u64)? {
            buffer.fill(0);
            return Ok(());
        }
        let in_sync = self.in_sync();
        let Some(first) = member_for(offset, &in_sync) else { return Err(Error::Broken) };
        let outcome = self.members[first].disk.read_at(self.layout.data_at + offset, buffer);
        if let Err(error) = &outcome
            && !is_about_one_block(error)
            && in_sync.len() > 1
        {
            self.drop_members(&[(first, error.clone())])?;
            return self.read(offset, buffer);
        }
        self.check_units(self.units(offset, buffer.len()), buffer, outcome.is_ok().then_some(first))
    }

    /// Compares units that were read from a member with their checksums, and fetches those that do not match.
    fn check_units(
        &mut self,
        units: std::ops::Range<u64>,
        buffer: &mut [u8],
        from: Option<usize>,
    ) -> Result<()> {
        let unit_bytes = self.layout.unit_bytes as usize;
        for unit in self.doubtful(units.clone(), buffer, from.is_some()) {
            let start = (unit - units.start) as usize * unit_bytes;
            let bytes = &mut buffer[start..start + unit_bytes];
            match self.expected(unit)? {
                Some(expected) if expected != UNWRITTEN => self.fetch(unit, expected, bytes, from)?,
                _ => bytes.fill(0),
            }
        }
        Ok(())
    }

    /// The units whose bytes do not match, or that have no checksum. All tables that there are, are in memory.
    fn doubtful(&mut self, units: std::ops::Range<u64>, buffer: &[u8], is_read: bool) -> Vec<u64> {
        let (unit_bytes, group_units) = (self.layout.unit_bytes as usize, u64::from(self.layout.group_units));
        let array = self.head.array;
        let mut doubtful = Vec::new();
        let mut start = units.start;
        while start < units.end {
            let group = start / group_units;
            let end = units.end.min((group + 1) * group_units);
            let bytes = &buffer[(start - units.start) as usize * unit_bytes..];
            let here = (start..end).zip(bytes.chunks(unit_bytes));
            match self.tables.get(group) {
                Some(table) if is_read => {
                    let is_bad = |(unit, bytes): &(u64, &[u8])| {
                        checksum(array, *unit, bytes) != table.checksum(unit % group_units)
                    };
                    doubtful.extend(here.filter(is_bad).map(|(unit, _)| unit));
                }
                _ => doubtful.extend(start..end),
            }
            start = end;
        }
        doubtful
    }

    /// The checksum of a unit; none, if nothing near it was ever written.
    fn expected(&mut self, unit: u64) -> Result<Option<u64>> {
        let units = u64::from(self.layout.group_units);
        let group = unit / units;
        if !self.is_formatted(group) {
            return Ok(None);
        }
        // A repair may have dropped a member and with it what was in memory.
        self.load(group)?;
        Ok(Some(self.table(group)?.checksum(unit % units)))
    }

    /// Finds a good copy of a unit, and repairs the bad ones that it meets. It begins with a member that is suspected.
    pub(crate) fn fetch(
        &mut self,
        unit: u64,
        expected: u64,
        bytes: &mut [u8],
        suspected: Option<usize>,
    ) -> Result<()> {
        let at = self.layout.data_at + unit * u64::from(self.layout.unit_bytes);
        let mut bad = Vec::new();
        let mut ports = self.in_sync();
        // A member that is being rebuilt may have it too, and the checksum tells.
        ports.extend(self.attached().into_iter().filter(|port| !self.in_sync().contains(port)));
        ports.sort_by_key(|port| Some(*port) != suspected);
        for port in ports {
            let is_in_sync = self.in_sync().contains(&port);
            let is_good = self.members[port].disk.read_at(at, bytes).is_ok()
                && checksum(self.head.array, unit, bytes) == expected;
            if is_good {
                return self.repair(unit, expected, bytes, &bad);
            }
            if is_in_sync {
                bad.push(port);
            }
        }
        let offset = unit * u64::from(self.layout.unit_bytes);
        self.counters.damaged += 1;
        self.notices.push(Notice::Damaged { offset });
        Err(Error::Device(format!("no member has a good copy of the block at byte {offset}")))
    }

    /// Rewrites bad copies, and reads them again.
    fn repair(&mut self, unit: u64, expected: u64, bytes: &[u8], bad: &[usize]) -> Result<()> {
        let at = self.layout.data_at + unit * u64::from(self.layout.unit_bytes);
        let offset = unit * u64::from(self.layout.unit_bytes);
        let mut failures = Vec::new();
        let mut again = vec![0; bytes.len()];
        for port in bad {
            let disk = &mut self.members[*port].disk;
            let outcome = disk.write_at(at, bytes).and_then(|()| disk.read_at(at, &mut again));
            match outcome {
                Ok(()) if checksum(self.head.array, unit, &again) == expected => self.repaired(*port, offset),
                Ok(()) => failures.push((*port, Error::Device("it does not keep what is written".into()))),
                Err(error) => failures.push((*port, error)),
            }
        }
        self.drop_members(&failures)
    }

    pub(crate) fn repaired(&mut self, port: usize, offset: u64) {
        self.members[port].repaired += 1;
        self.counters.repaired += 1;
        self.notices.push(Notice::Repaired { port, offset });
    }

    /// Brings a group's table into memory. All members are asked: one that missed a write has an old one.
    pub(crate) fn load(&mut self, group: u64) -> Result<()> {
        if self.unresolved.contains(group) {
            return self.reconcile(group);
        }
        if self.tables.contains(group) {
            return Ok(());
        }
        let (mut found, mut all) = (Vec::new(), Vec::new());
        for port in self.in_sync() {
            let tables = self.read_tables(port, group);
            all.extend(tables.iter().cloned());
            found.push((port, tables.into_iter().max_by_key(Table::generation)));
        }
        let Some(mut newest) = all.iter().max_by_key(|table| table.generation()).cloned() else {
            let offset = self.group_offset(group);
            self.counters.damaged += 1;
            self.notices.push(Notice::Damaged { offset });
            return Err(Error::Device(format!(
                "no member has the checksums of the blocks from byte {offset}"
            )));
        };
        newest.compare_with_base(&all, u64::from(self.layout.group_units));
        let mut failures = Vec::new();
        for (port, table) in found {
            if table.is_some_and(|table| table.says_the_same(&newest)) {
                continue;
            }
            match self.write_table(port, group, &mut newest) {
                Ok(()) => self.repaired(port, self.group_offset(group)),
                Err(error) => failures.push((port, error)),
            }
        }
        self.tables.insert(group, newest);
        self.drop_members(&failures)
    }

    /// The whole tables of a group on a member, by place.
    pub(crate) fn read_tables(&mut self, port: usize, group: u64) -> Vec<Table> {
        self.read_places(port, group).0
    }

    /// The whole tables of a group on a member, and the places that cannot be read.
    pub(crate) fn read_places(&mut self, port: usize, group: u64) -> (Vec<Table>, Vec<u64>) {
        let salt = self.salt_of(port);
        let length = self.layout.record_bytes();
        let mut all = vec![0; length * PLACES as usize];
        let mut unreadable = Vec::new();
        let at = self.layout.record_at(group, 0);
        if self.members[port].disk.read_at(at, &mut all).is_err() {
            for (place, record) in (0..).zip(all.chunks_mut(length)) {
                let at = self.layout.record_at(group, place);
                if self.members[port].disk.read_at(at, record).is_err() {
                    record.fill(0);
                    unreadable.push(place);
                }
            }
        }
        let array = self.head.array;
        let read = |(place, record): (u64, &[u8])| Table::read(record, array, group, salt, place);
        ((0..).zip(all.chunks(length)).filter_map(read).collect(), unreadable)
    }

    /// Writes a table as it is to a member.
    pub(crate) fn write_table(&mut self, port: usize, group: u64, table: &mut Table) -> Result<()> {
        let salt = self.salt_of(port);
        let hash = table.hash();
        let at = self.layout.record_at(group, table.place);
        self.members[port].disk.write_at(at, table.sealed(hash, salt))
    }

    /// Writes a table to a member, and makes the group's other places invalid.
    pub(crate) fn write_only_table(&mut self, port: usize, group: u64, table: &mut Table) -> Result<()> {
        let length = self.layout.record_bytes();
        let mut records = vec![0; length * PLACES as usize];
        let hash = table.hash();
        let start = table.place as usize * length;
        records[start..start + length].copy_from_slice(table.sealed(hash, self.salt_of(port)));
        self.members[port].disk.write_at(self.layout.record_at(group, 0), &records)
    }
}

/// The member that reads begin with.
fn member_for(offset: u64, in_sync: &[usize]) -> Option<usize> {
    in_sync.get((offset / STREAK_BYTES) as usize % in_sync.len().max(1)).copied()
}
