//! Bringing members up to date: those that were away, and those that are new.

use solum::{Moment, Result};

use crate::assembly::{FOREIGN, Found, Judgement, Standing, judge};
use crate::bits::Bits;
use crate::head::State;
use crate::mirror::{Change, Mirror};
use crate::notice::Notice;

/// A pause between looks doubles up to this power of two.
const MOST_DOUBLINGS: u32 = 6;

impl Mirror {
    /// Looks whether a disk that takes no part can take part again.
    pub(crate) fn look(&mut self, port: usize, now: Moment) -> Result<()> {
        let found = self.members[port].find();
        let standing = match &found {
            Found::Blank => Standing::Anew(None),
            Found::Foreign => Standing::Unused(FOREIGN.into()),
            Found::Unreadable(reason) => Standing::Unused(reason.clone()),
            Found::Head(head) if head.array != self.head.array && head.is_unborn() => Standing::Anew(None),
            Found::Head(head) if head.array != self.head.array => {
                Standing::Unused("it is a member of another mirror".into())
            }
            Found::Head(head) => match judge(&self.head, head) {
                Judgement::Standing(standing) => standing,
                Judgement::RanAlone => Standing::Unused(
                    "it went on without the others; to use it, fill its first 16 KiB with zeros".into(),
                ),
            },
        };
        let unfit = self.layout.suits(self.members[port].geometry()).err();
        match (unfit, standing, self.members[port].slot) {
            (Some(reason), ..) => self.refuse(port, reason, now),
            (None, Standing::Unused(reason), _) => self.refuse(port, reason, now),
            (None, Standing::Delta(slot), _) if self.is_free(port, slot) => {
                if let Found::Head(head) = found {
                    // What it was writing may have been settled by a head that it did not get.
                    self.head.behind.merge(&head.intent);
                }
                self.bring_back(port, slot)
            }
            (None, Standing::Anew(Some(slot)), _) | (None, Standing::Anew(None), Some(slot))
                if self.is_free(port, slot) =>
            {
                self.make_anew(port, slot, now)
            }
            _ => self.refuse(port, "all places of the mirror are taken".into(), now),
        }
    }

    fn is_free(&self, port: usize, slot: usize) -> bool {
        matches!(self.head.slots[slot].state, State::Out { .. })
            && !self
                .members
                .iter()
                .enumerate()
                .any(|(other, member)| other != port && member.is_attached && member.slot == Some(slot))
    }

    fn refuse(&mut self, port: usize, reason: String, now: Moment) -> Result<()> {
        self.look_later(port, now);
        let member = &mut self.members[port];
        if member.reason != reason {
            member.reason.clone_from(&reason);
            self.notices.push(Notice::Refused { port, reason });
        }
        Ok(())
    }

    /// The pauses grow also for a disk that can be read and not written, which would else come and go for ever.
    pub(crate) fn look_later(&mut self, port: usize, now: Moment) {
        let member = &mut self.members[port];
        let pause = self.options.look_pause * (1 << member.looks.min(MOST_DOUBLINGS));
        member.looks = member.looks.saturating_add(1);
        member.look_at = Some(now.after(pause));
    }

    fn bring_back(&mut self, port: usize, slot: usize) -> Result<()> {
        let State::Out { cursor } = self.head.slots[slot].state else { return Ok(()) };
        let pending = self.lacking(cursor);
        self.notices.push(Notice::Returned { port, groups: pending.len() });
        self.head.slots[slot].state = State::Rebuilding { cursor };
        self.admit(port, slot, pending)
    }

    fn make_anew(&mut self, port: usize, slot: usize, now: Moment) -> Result<()> {
        // Heads of another life would be taken for newer ones.
        if let Err(error) = self.members[port].wipe() {
            return self.refuse(port, error.to_string(), now);
        }
        let pending = self.lacking(0);
        self.notices.push(Notice::Replaced { port, groups: pending.len() });
        self.head.slots[slot].state = State::Rebuilding { cursor: 0 };
        // Checksums of another life are sealed with another salt.
        self.head.slots[slot].id = self.random.next();
        self.admit(port, slot, pending)
    }

    fn admit(&mut self, port: usize, slot: usize, pending: Bits) -> Result<()> {
        // It may have writes that are not on its plates yet, and that are on the others': all get a new base.
        self.attach(port, slot);
        self.members[port].pending = pending;
        self.persist(Change::Membership)
    }

    /// What a member lacks that has all groups below `cursor` but for what bits tell.
    fn lacking(&self, cursor: u64) -> Bits {
        let mut groups = Bits::new(self.layout.groups);
        for region in self.head.formatted.iter() {
            let is_missed = self.head.behind.contains(region) || self.head.intent.contains(region);
            for group in self.layout.groups_of(region).filter(|group| is_missed || *group >= cursor) {
                groups.insert(group);
            }
        }
        groups
    }

    /// The next group that a member lacks.
    pub(crate) fn next_pending(&self) -> Option<u64> {
        let rebuilding = |port: &usize| self.state_of(&self.members[*port]) != Some(State::InSync);
        let ports = self.attached().into_iter().filter(rebuilding);
        ports.filter_map(|port| self.members[port].pending.first_from(0)).min()
    }

    pub(crate) fn is_rebuilding(&self) -> bool {
        self.attached().len() > self.in_sync().len()
    }

    /// Copies a group to all members that lack it.
    pub(crate) fn copy_group(&mut self, group: u64) -> Result<()> {
        if !self.is_formatted(group) {
            self.forget_pending(group);
            return Ok(());
        }
        self.make_room()?;
        if let Err(error) = self.load(group) {
            // Of a group without checksums nothing can be copied; reading it stays an error.
            self.check_running()?;
            self.forget_pending(group);
            return Err(error);
        }
        let mut data = vec![0; self.layout.group_bytes() as usize];
        if self.read(self.group_offset(group), &mut data).is_err() {
            self.check_running()?;
            self.read_what_is_left(group, &mut data)?;
        }
        let data_at = self.layout.data_at + self.group_offset(group);
        let mut table = self.table(group)?.clone();
        let mut failures = Vec::new();
        for port in self.attached() {
            if !self.members[port].pending.contains(group) {
                continue;
            }
            // The other places may have records of writes that the others have lost.
            let outcome = self.write_only_table(port, group, &mut table);
            match outcome.and_then(|()| self.members[port].disk.write_at(data_at, &data)) {
                Ok(()) => self.members[port].pending.remove(group),
                Err(error) => failures.push((port, error)),
            }
        }
        self.counters.copied_groups += 1;
        self.rounds.copied += 1;
        self.drop_members(&failures)
    }

    fn forget_pending(&mut self, group: u64) {
        for member in &mut self.members {
            member.pending.remove(group);
        }
    }

    /// Reads a group of which units are damaged on all members; these stay zeros, which their checksums deny.
    fn read_what_is_left(&mut self, group: u64, data: &mut [u8]) -> Result<()> {
        let unit_bytes = self.layout.unit_bytes as usize;
        let start = self.group_offset(group);
        for (index, bytes) in data.chunks_mut(unit_bytes).enumerate() {
            if self.read(start + (index * unit_bytes) as u64, bytes).is_err() {
                self.check_running()?;
                bytes.fill(0);
            }
        }
        Ok(())
    }

    /// Writes down how far the members are, so that a crash does not begin them anew.
    pub(crate) fn keep_cursors(&mut self) -> Result<()> {
        self.flush_members()?;
        for port in self.attached() {
            let Some(slot) = self.members[port].slot else { continue };
            let reached = self.members[port].pending.first_from(0).unwrap_or(self.layout.groups);
            if let State::Rebuilding { cursor } = &mut self.head.slots[slot].state {
                *cursor = reached.max(*cursor);
            }
        }
        self.persist(Change::Bits)
    }

    /// Members that have everything are in sync.
    pub(crate) fn promote(&mut self) -> Result<()> {
        self.flush_members()?;
        let mut is_changed = false;
        for port in self.attached() {
            let Some(slot) = self.members[port].slot else { continue };
            let is_rebuilding = self.head.slots[slot].state != State::InSync;
            if is_rebuilding && self.members[port].pending.is_empty() {
                self.head.slots[slot].state = State::InSync;
                self.members[port].looks = 0;
                self.notices.push(Notice::InSync { port });
                is_changed = true;
            }
        }
        if !is_changed {
            return Ok(());
        }
        if self.head.is_whole() {
            self.head.behind.clear();
            self.head.is_forced = false;
        }
        self.persist(Change::Membership)
    }

    /// Reads a group on all members in sync, and repairs what does not match.
    pub(crate) fn scrub_group(&mut self, group: u64) -> Result<()> {
        for (port, unit) in self.bad_copies(group)? {
            match unit {
                Some(unit) => self.scrub_unit(port, group, unit)?,
                None => {
                    let mut table = self.table(group)?.clone();
                    match self.write_table(port, group, &mut table) {
                        Ok(()) => self.repaired(port, self.group_offset(group)),
                        Err(error) => self.drop_members(&[(port, error)])?,
                    }
                }
            }
            self.load(group)?;
        }
        Ok(())
    }

    fn scrub_unit(&mut self, port: usize, group: u64, unit: u64) -> Result<()> {
        let expected = self.table(group)?.checksum(unit);
        let address = group * u64::from(self.layout.group_units) + unit;
        let mut bytes = vec![0; self.layout.unit_bytes as usize];
        // Reading it may find that no copy is good, which is told; or repair this one on the way.
        if self.fetch(address, expected, &mut bytes, Some(port)).is_err() {
            return self.check_running();
        }
        Ok(())
    }
}
