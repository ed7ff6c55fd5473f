//! The mirror: what it consists of, who takes part, and its heads.

use std::time::Duration;

use solum::disk::{Driver, Geometry, Operation, Request};
use solum::{Disk, Error, Moment, Result};

use crate::bits::Bits;
use crate::head::{Head, State, Version};
use crate::layout::Layout;
use crate::member::Member;
use crate::notice::Notice;
use crate::read::Read;
use crate::record::mix;
use crate::status::{Counters, MemberReport, MemberState, Report};
use crate::steps::Rounds;
use crate::table::Tables;

/// How a mirror behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Begin without a majority of the members that were in sync. They may have newer contents.
    pub force: bool,
    /// Units of a group, for a new mirror.
    pub group_units: u32,
    /// How many groups' checksums are kept in memory, about 2 KiB each.
    pub tables: usize,
    /// How long after the last write to a region its intent bit is cleared, at least.
    pub settle: Duration,
    /// Between two groups of a scrub; none is scrubbed by itself if this is zero.
    pub scrub_pause: Duration,
    /// Before the first look whether a disk that takes no part can. The pause doubles, up to 64 times this.
    pub look_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            force: false,
            group_units: 256,
            tables: 8192,
            settle: Duration::from_secs(5),
            scrub_pause: Duration::from_secs(1),
            look_pause: Duration::from_secs(1),
        }
    }
}

/// The same bytes on several disks, as one disk.
pub struct Mirror {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) head: Head,
    pub(crate) members: Vec<Member>,
    pub(crate) tables: Tables,
    /// Counts flushes of all members.
    pub(crate) epoch: u64,
    /// Intent bits that are known to be on the members.
    pub(crate) intended: Bits,
    /// Regions written since the last look at what can be cleared.
    pub(crate) touched: Bits,
    /// Groups in which members may differ.
    pub(crate) unresolved: Bits,
    /// The slots in sync by the last head that all of them got.
    pub(crate) voters: Vec<usize>,
    pub(crate) rounds: Rounds,
    pub(crate) counters: Counters,
    pub(crate) notices: Vec<Notice>,
    pub(crate) stopped: Option<String>,
    pub(crate) random: Random,
}

/// Numbers that differ from each other.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Why a head is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Other members.
    Membership,
    /// Other bits.
    Bits,
}

impl Mirror {
    /// Its block size and capacity.
    pub fn shape(&self) -> Geometry {
        Geometry { bytes: self.layout.bytes(), block_bytes: self.layout.unit_bytes, writable: true }
    }

    /// What happened since this was asked last.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Why it stopped, if it did. Nothing but beginning anew helps then.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Puts another disk in the place of the one that is plugged in there. If it is empty it is made a member.
    ///
    /// # Errors
    ///
    /// Those of a write, if the mirror cannot do without the old one; it is kept then.
    pub fn replace(&mut self, port: usize, disk: Disk) -> Result<()> {
        if self.members.get(port).is_some_and(|member| member.is_attached) {
            self.drop_members(&[(port, Error::Closed)])?;
        }
        if let Some(member) = self.members.get_mut(port) {
            *member = Member { slot: member.slot, look_at: Some(Moment::default()), ..Member::new(disk) };
        }
        Ok(())
    }

    /// How it is.
    pub fn report(&self) -> Report {
        let state = |member: &Member| match self.state_of(member) {
            Some(State::InSync) => MemberState::InSync,
            Some(State::Rebuilding { .. }) => MemberState::Rebuilding { groups_left: member.pending.len() },
            _ => MemberState::Out(member.reason.clone()),
        };
        let members = self.members.iter();
        let members = members.map(|member| MemberReport { state: state(member), repaired: member.repaired });
        Report {
            bytes: self.layout.bytes(),
            event: self.head.version.event,
            members: members.collect(),
            in_sync: self.head.in_sync().count() as u64,
            slots: self.head.slots.len() as u64,
            intended_regions: self.head.intent.len(),
            groups_to_compare: self.unresolved.len(),
            scrub: (self.rounds.scrubbed, self.layout.groups),
            counters: self.counters,
            stopped: self.stopped.clone(),
        }
    }

    /// The state of a member that takes part.
    pub(crate) fn state_of(&self, member: &Member) -> Option<State> {
        let slot = member.slot.filter(|_| member.is_attached)?;
        Some(self.head.slots[slot].state)
    }

    pub(crate) fn salt_of(&self, port: usize) -> u64 {
        self.members[port].slot.map_or(0, |slot| self.head.slots[slot].id)
    }

    /// Where the members are plugged in that take part.
    pub(crate) fn attached(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|port| self.members[*port].is_attached).collect()
    }

    /// Where the members are plugged in that are in sync.
    pub(crate) fn in_sync(&self) -> Vec<usize> {
        let mut ports = self.attached();
        ports.retain(|port| self.state_of(&self.members[*port]) == Some(State::InSync));
        ports
    }

    pub(crate) fn check_running(&self) -> Result<()> {
        match &self.stopped {
            Some(reason) => Err(Error::Device(format!("the mirror stopped: {reason}"))),
            None => Ok(()),
        }
    }

    fn stop(&mut self, reason: &str) -> Error {
        self.notices.push(Notice::Stopped { reason: reason.to_owned() });
        self.stopped = Some(reason.to_owned());
        Error::Device(format!("the mirror stopped: {reason}"))
    }

    /// Whether these failures leave nobody: then nothing is gained by dropping anyone.
    pub(crate) fn would_lose_all(&self, failures: &[(usize, Error)]) -> bool {
        self.in_sync().iter().all(|port| failures.iter().any(|(failed, _)| failed == port))
    }

    /// Goes on without these members, and says so on the others before anything is answered.
    pub(crate) fn drop_members(&mut self, failures: &[(usize, Error)]) -> Result<()> {
        if failures.is_empty() {
            return Ok(());
        }
        if self.would_lose_all(failures) {
            return Err(failures[0].1.clone());
        }
        self.detach(failures);
        self.persist(Change::Membership)
    }

    pub(crate) fn detach(&mut self, failures: &[(usize, Error)]) {
        for (port, error) in failures {
            let cursor = self.cursor_of(*port);
            let member = &mut self.members[*port];
            if !member.is_attached {
                continue;
            }
            member.is_attached = false;
            member.reason = error.to_string();
            self.look_later(*port, self.rounds.now);
            if let Some(slot) = self.members[*port].slot {
                self.head.slots[slot].state = State::Out { cursor };
            }
            self.notices.push(Notice::Dropped { port: *port, reason: error.to_string() });
        }
        // What the last writes and flushes did on them nobody knows; all of it is intended.
        self.head.behind.merge(&self.head.intent);
    }

    /// Below which group a member lacks only what bits tell.
    pub(crate) fn cursor_of(&self, port: usize) -> u64 {
        match self.members[port].slot.map(|slot| self.head.slots[slot].state) {
            Some(State::Rebuilding { cursor } | State::Out { cursor }) => cursor,
            Some(State::InSync) => self.layout.groups,
            None => 0,
        }
    }

    /// Writes heads to all members that take part, and flushes them. Members that fail are dropped, which the next head says.
    pub(crate) fn persist(&mut self, change: Change) -> Result<()> {
        let mut change = change;
        loop {
            let staying = self.voters.iter().filter(|slot| self.head.slots[**slot].state == State::InSync);
            if 2 * staying.count() < self.voters.len() {
                return Err(self.stop("more than half of the members that were in sync failed at once"));
            }
            let failures = self.write_heads(change);
            if failures.is_empty() {
                self.voters = self.head.in_sync().collect();
                self.intended = self.head.intent.clone();
                self.epoch += 1;
                return Ok(());
            }
            if self.would_lose_all(&failures) {
                return match change {
                    Change::Bits => {
                        // No member in sync may ever be two generations behind another: it would be taken for an old image.
                        self.head.generation -= 1;
                        Err(failures[0].1.clone())
                    }
                    Change::Membership => Err(self.stop("no member takes the head any more")),
                };
            }
            self.detach(&failures);
            change = Change::Membership;
        }
    }

    fn write_heads(&mut self, change: Change) -> Vec<(usize, Error)> {
        if change == Change::Membership {
            self.head.parent = self.head.version;
            self.head.version = Version { event: self.head.version.event + 1, stamp: self.random.next() };
        }
        self.head.generation += 1;
        self.put_heads(&self.attached())
    }

    /// Writes the head as it is to these members, and flushes them.
    pub(crate) fn put_heads(&mut self, ports: &[usize]) -> Vec<(usize, Error)> {
        let (version, generation) = (self.head.version, self.head.generation);
        for port in ports {
            if let Some(slot) = self.members[*port].slot {
                self.head.slots[slot].attempted = version;
            }
        }
        let mut failures = Vec::new();
        for port in ports {
            let Some(slot) = self.members[*port].slot else { continue };
            let (at, record) = self.head.encode(slot);
            let disk = &mut self.members[*port].disk;
            match disk.write_at(at, &record).and_then(|()| disk.flush()) {
                Ok(()) => {
                    self.head.slots[slot].known = version;
                    self.head.slots[slot].known_generation = generation;
                }
                Err(error) => failures.push((*port, error)),
            }
        }
        failures
    }

    /// Flushes all members that take part. What they had got is a base from then on.
    pub(crate) fn flush_members(&mut self) -> Result<()> {
        let mut failures = Vec::new();
        for port in self.attached() {
            if let Err(error) = self.members[port].disk.flush() {
                failures.push((port, error));
            }
        }
        if !failures.is_empty() && self.would_lose_all(&failures) {
            // Any of what was written since the last flush may be lost on any of them.
            for group in self.tables.written_in(self.epoch) {
                self.tables.remove(group);
                self.mark_unresolved(group);
            }
            return Err(failures[0].1.clone());
        }
        self.epoch += 1;
        self.drop_members(&failures)
    }

    /// Members may differ in this group from now on.
    pub(crate) fn mark_unresolved(&mut self, group: u64) {
        self.unresolved.insert(group);
        for port in self.attached() {
            // Those in sync are compared; the others may have got a part of it, and get the rest again.
            if self.state_of(&self.members[port]) != Some(State::InSync) {
                self.members[port].pending.insert(group);
            }
        }
    }

    /// Whether the group has checksums; else it reads as zeros.
    pub(crate) fn is_formatted(&self, group: u64) -> bool {
        self.head.formatted.contains(self.layout.region_of(group))
    }

    /// Where in the mirror a group begins.
    pub(crate) fn group_offset(&self, group: u64) -> u64 {
        group * self.layout.group_bytes()
    }
}

impl Driver for Mirror {
    fn geometry(&self) -> Geometry {
        self.shape()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.check_running()?;
        self.read(offset, buffer)
    }

    fn batch(&mut self, requests: &mut [Request<'_>]) {
        let (mut reads, mut writes, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for Request { operation, outcome } in requests.iter_mut().filter(|request| request.outcome.is_ok()) {
            match operation {
                Operation::Read { offset, buffer } => reads.push(Read { offset: *offset, buffer, outcome }),
                Operation::Write { offset, data } => {
                    writes.push((*offset, *data));
                    written.push(outcome);
                }
            }
        }
        for (outcome, new) in written.into_iter().zip(self.write(&writes)) {
            *outcome = new;
        }
        self.read_batch(&mut reads);
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.write(&[(offset, data)]).into_iter().collect()
    }

    fn flush(&mut self) -> Result<()> {
        self.check_running()?;
        self.flush_members()
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        self.check_running()?;
        self.forget(offset, length)
    }
}
