//! What a mirror does between requests, a little at a time.

use std::time::Duration;

use solum::{Moment, Result};

use crate::mirror::{Change, Mirror};
use crate::notice::Notice;
use crate::record::{UNWRITTEN, checksum};
use crate::table::Table;

/// After a scrub, so many pauses pass until the next one.
const PAUSES_BETWEEN_SCRUBS: u32 = 3600;

/// How many groups are copied, at least, until it is written down.
const FEWEST_COPIED: u64 = 64;

/// What is due when, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// When the last step was.
    pub now: Moment,
    /// The region after the last one that was intended, and how many were at once.
    pub intended_to: u64,
    pub intended_ahead: u64,
    /// Where the group after the last one may be that was made its own base, and how many were at once.
    pub confirmed_to: std::ops::Range<u64>,
    pub confirmed_ahead: u64,
    /// Groups copied since that was written down.
    pub copied: u64,
    /// Groups scrubbed.
    pub scrubbed: u64,
    settle_at: Option<Moment>,
    scrub_at: Option<Moment>,
}

impl Mirror {
    /// When [`step`](Self::step) has something to do next; in the past, if it is waiting already.
    pub fn next_step(&self) -> Option<Moment> {
        if self.stopped.is_some() {
            return None;
        }
        if !self.unresolved.is_empty() || self.is_rebuilding() {
            return Some(Moment::default());
        }
        let settle = (!self.head.intent.is_empty()).then(|| self.rounds.settle_at.unwrap_or_default());
        let scrubs = self.options.scrub_pause > Duration::ZERO;
        let scrub = scrubs.then(|| self.rounds.scrub_at.unwrap_or_default());
        let looks = self.members.iter().filter_map(|member| member.look_at);
        looks.chain(settle).chain(scrub).min()
    }

    /// Does a little of what is due: no more than the reading and writing of one group on all members.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](solum::Error::Device) if members failed so that the mirror could not go on with what it was doing;
    /// it goes on with the next step, unless it [stopped](Self::stopped).
    pub fn step(&mut self, now: Moment) -> Result<()> {
        self.check_running()?;
        self.rounds.now = now;
        let look = |port: &usize| self.members[*port].look_at.is_some_and(|moment| moment <= now);
        if let Some(port) = (0..self.members.len()).find(look) {
            return self.look(port, now);
        }
        if let Some(group) = self.unresolved.first_from(0) {
            return self.load(group);
        }
        if let Some(group) = self.next_pending() {
            self.copy_group(group)?;
            if self.rounds.copied >= FEWEST_COPIED.max(self.layout.groups / 16) {
                self.rounds.copied = 0;
                self.keep_cursors()?;
            }
            return Ok(());
        }
        if self.is_rebuilding() {
            return self.promote();
        }
        if self.is_due(self.rounds.settle_at, now) && !self.head.intent.is_empty() {
            let is_first = self.rounds.settle_at.is_none();
            self.rounds.settle_at = Some(now.after(self.options.settle));
            return if is_first { Ok(()) } else { self.settle() };
        }
        if self.options.scrub_pause > Duration::ZERO && self.is_due(self.rounds.scrub_at, now) {
            return self.scrub_next(now);
        }
        Ok(())
    }

    fn is_due(&self, moment: Option<Moment>, now: Moment) -> bool {
        moment.is_none_or(|moment| moment <= now)
    }

    /// Clears the intent bits of regions that were not written for a while.
    fn settle(&mut self) -> Result<()> {
        let touched = std::mem::replace(&mut self.touched, crate::bits::Bits::new(self.layout.regions()));
        let quiet: Vec<u64> = self.head.intent.iter().filter(|region| !touched.contains(*region)).collect();
        if self.head.intent.is_empty() || quiet.is_empty() {
            return Ok(());
        }
        // What was written there must be on the plates of all.
        self.flush_members()?;
        for region in quiet {
            self.head.intent.remove(region);
        }
        if self.head.intent.is_empty() {
            self.rounds.settle_at = None;
        }
        // Until all members know, it is intended: they are asked again before the next write.
        let outcome = self.persist(Change::Bits);
        if outcome.is_err() {
            self.intended.clear();
        }
        outcome
    }

    fn scrub_next(&mut self, now: Moment) -> Result<()> {
        let mut group = self.rounds.scrubbed;
        while group < self.layout.groups && !self.is_formatted(group) {
            group = self.layout.groups_of(self.layout.region_of(group)).end;
        }
        if group >= self.layout.groups {
            self.rounds.scrubbed = 0;
            self.rounds.scrub_at = Some(now.after(self.options.scrub_pause * PAUSES_BETWEEN_SCRUBS));
            self.notices.push(Notice::Scrubbed);
            return self.scrub_heads();
        }
        self.rounds.scrubbed = group + 1;
        self.rounds.scrub_at = Some(now.after(self.options.scrub_pause));
        self.scrub_group(group)
    }

    /// Reads everything on all members in sync at once, and repairs what does not match.
    ///
    /// # Errors
    ///
    /// Those of [`step`](Self::step).
    pub fn scrub(&mut self) -> Result<()> {
        for group in self.formatted_groups() {
            self.scrub_group(group)?;
        }
        self.scrub_heads()
    }

    /// Writes heads anew if one is damaged.
    fn scrub_heads(&mut self) -> Result<()> {
        let mut is_damaged = false;
        for port in self.attached() {
            let member = &mut self.members[port];
            if !member.heads_are_whole(self.head.generation) {
                is_damaged = true;
                member.repaired += 1;
                self.counters.repaired += 1;
            }
        }
        if is_damaged {
            // One for each of the two places.
            self.persist(Change::Bits)?;
            self.persist(Change::Bits)?;
        }
        Ok(())
    }

    /// Reads everything on all members in sync, and gives what does not match: the member, and where in the mirror.
    /// Repairs nothing.
    ///
    /// # Errors
    ///
    /// Those of [`step`](Self::step).
    pub fn compare(&mut self) -> Result<Vec<(usize, u64)>> {
        let mut bad = Vec::new();
        for group in self.formatted_groups() {
            let start = self.group_offset(group);
            let unit_bytes = u64::from(self.layout.unit_bytes);
            let here = self.bad_copies(group)?.into_iter();
            bad.extend(here.map(|(port, unit)| (port, start + unit.unwrap_or(0) * unit_bytes)));
        }
        Ok(bad)
    }

    fn formatted_groups(&self) -> Vec<u64> {
        self.head.formatted.iter().flat_map(|region| self.layout.groups_of(region)).collect()
    }

    /// The bad copies of a group: members, and units; no unit, if it is the newest record that is missing.
    pub(crate) fn bad_copies(&mut self, group: u64) -> Result<Vec<(usize, Option<u64>)>> {
        self.make_room()?;
        self.load(group)?;
        let unit_bytes = self.layout.unit_bytes as usize;
        let first = group * u64::from(self.layout.group_units);
        let at = self.layout.data_at + self.group_offset(group);
        let table = self.table(group)?.clone();
        let array = self.head.array;
        let mut bytes = vec![0; self.layout.group_bytes() as usize];
        let mut bad = Vec::new();
        for port in self.in_sync() {
            let newest = self.read_tables(port, group).into_iter().max_by_key(Table::generation);
            if !newest.is_some_and(|newest| newest.says_the_same(&table)) {
                bad.push((port, None));
            }
            let disk = &mut self.members[port].disk;
            let is_whole = disk.read_at(at, &mut bytes).is_ok();
            for (unit, bytes) in (0..).zip(bytes.chunks_mut(unit_bytes)) {
                let expected = table.checksum(unit);
                let mut is_good = || {
                    (is_whole || disk.read_at(at + unit * unit_bytes as u64, bytes).is_ok())
                        && checksum(array, first + unit, bytes) == expected
                };
                if expected != UNWRITTEN && !is_good() {
                    bad.push((port, Some(unit)));
                }
            }
        }
        Ok(bad)
    }
}
