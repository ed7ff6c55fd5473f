//! How a mirror begins.

use std::fmt;

use solum::disk::Geometry;
use solum::{Disk, Error, Moment};

use crate::assembly::{Decision, Found, Refusal, Standing, decide};
use crate::bits::Bits;
use crate::head::{Head, MOST_MEMBERS, State};
use crate::layout::Layout;
use crate::member::Member;
use crate::mirror::{Change, Mirror, Options, Random};
use crate::notice::Notice;
use crate::record::mix;
use crate::status::Counters;
use crate::steps::Rounds;
use crate::table::Tables;

/// Why there is no mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// So many disks are plugged in.
    Members(usize),
    /// The disks are too small, of other block sizes, or cannot be written.
    Unfit {
        /// Which disk.
        port: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The members cannot begin.
    Refused(Refusal),
    /// Members failed while they began.
    Failed(Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(number) => write!(
                f,
                "a mirror has 2 to {MOST_MEMBERS} members, and {number} disks are plugged in\n\
                 hint: in solum.toml, write ports.members = [\"disk.a\", \"disk.b\", \"disk.c\"]"
            ),
            Self::Unfit { port, reason } => write!(f, "disk {port} cannot be a member: {reason}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(error) => write!(f, "the mirror cannot begin: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Mirror {
    /// Finds out what is on the disks, and begins: with the members that are there, or, if all disks are empty, as a new
    /// mirror. `seed` is random.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(disks: Vec<Disk>, options: Options, seed: u64) -> Result<Self, StartError> {
        if !(2..=MOST_MEMBERS).contains(&disks.len()) {
            return Err(StartError::Members(disks.len()));
        }
        let mut members: Vec<Member> = disks.into_iter().map(Member::new).collect();
        let found: Vec<Found> = members.iter_mut().map(Member::find).collect();
        let mut random = Random(seed);
        match decide(&found, options.force).map_err(StartError::Refused)? {
            Decision::Make => {
                let head = new_head(&mut members, &options, &mut random)?;
                let count = members.len();
                let bytes = head.layout.bytes();
                let mut mirror = Self::with(options, head, members, random);
                mirror.notices.push(Notice::Made { members: count, bytes });
                mirror.make()?;
                Ok(mirror)
            }
            Decision::Begin(head, standings) => {
                let mut mirror = Self::with(options, *head, members, random);
                mirror.begin(&found, &standings)?;
                Ok(mirror)
            }
        }
    }

    fn with(options: Options, head: Head, members: Vec<Member>, random: Random) -> Self {
        // Even if whoever gave the seed gives the same every time.
        let random = Random(random.0 ^ mix(head.generation ^ head.version.stamp));
        let layout = head.layout;
        let no_regions = Bits::new(layout.regions());
        Self {
            tables: Tables::new(options.tables),
            rounds: Rounds::default(),
            options,
            layout,
            members,
            epoch: 1,
            intended: no_regions.clone(),
            touched: no_regions,
            unresolved: Bits::new(layout.groups),
            voters: head.in_sync().collect(),
            head,
            counters: Counters::default(),
            notices: Vec::new(),
            stopped: None,
            random,
        }
    }

    /// Writes the first heads. Until the second event, it is no mirror yet.
    fn make(&mut self) -> Result<(), StartError> {
        for (slot, member) in self.members.iter_mut().enumerate() {
            member.slot = Some(slot);
            member.is_attached = true;
            let unfit = |error: Error| StartError::Unfit { port: slot, reason: error.to_string() };
            member.wipe().map_err(unfit)?;
        }
        self.persist(Change::Bits).map_err(StartError::Failed)?;
        self.persist(Change::Membership).map_err(StartError::Failed)
    }

    fn begin(&mut self, found: &[Found], standings: &[Standing]) -> Result<(), StartError> {
        for (port, standing) in standings.iter().enumerate() {
            if let Standing::InSync(slot) = standing {
                self.attach(port, *slot);
            }
        }
        self.level(found)?;
        let in_sync = self.in_sync().len();
        self.leave_out_the_absent();
        for region in self.head.intent.iter().collect::<Vec<_>>() {
            for group in self.layout.groups_of(region) {
                self.unresolved.insert(group);
            }
        }
        self.intended = self.head.intent.clone();
        let groups_to_compare = self.unresolved.len();
        let members = self.head.slots.len();
        self.notices.push(Notice::Began { in_sync, members, groups_to_compare });
        // More than half of those who were in sync are here, or it is forced.
        if self.options.force && 2 * in_sync <= self.voters.len() {
            self.voters = self.head.in_sync().collect();
        }
        self.persist(Change::Membership).map_err(StartError::Failed)?;
        self.give_places(standings);
        Ok(())
    }

    /// Brings this head, before anything is changed in it, to the members in sync that have an older one because of a crash: after
    /// the next crash they would be two heads behind the others, and be taken for old images. If only the process ended, those that
    /// have it may have it in their memory alone: they are flushed for the same reason.
    fn level(&mut self, found: &[Found]) -> Result<(), StartError> {
        let newest = (self.head.version, self.head.generation);
        let is_level = |port: &usize| matches!(&found[*port], Found::Head(head) if (head.version, head.generation) == newest);
        let (level, behind): (Vec<usize>, Vec<usize>) = self.in_sync().into_iter().partition(is_level);
        let mut failures = self.put_heads(&behind);
        for port in level {
            if let Err(error) = self.members[port].disk.flush() {
                failures.push((port, error));
            }
        }
        if !failures.is_empty() && self.would_lose_all(&failures) {
            return Err(StartError::Failed(failures[0].1.clone()));
        }
        self.detach(&failures);
        Ok(())
    }

    /// Members that should be in sync, or rebuilding, and are not here.
    fn leave_out_the_absent(&mut self) {
        let here: Vec<usize> = self.members.iter().filter_map(|member| member.slot).collect();
        let groups = self.layout.groups;
        // What the absent have, if the last head did not reach them all before a crash.
        let parent = self.head.parent;
        let before = self.head.generation.saturating_sub(1);
        let absent = |(index, _): &(usize, _)| !here.contains(index);
        for (_, slot) in self.head.slots.iter_mut().enumerate().filter(absent) {
            let cursor = match slot.state {
                State::InSync => groups,
                State::Rebuilding { cursor } => cursor,
                State::Out { .. } => continue,
            };
            *slot = crate::head::Slot {
                state: State::Out { cursor },
                known: parent,
                known_generation: before,
                attempted: self.head.version,
                ..slot.clone()
            };
        }
        if !self.head.is_whole() {
            self.head.behind.merge(&self.head.intent);
        }
    }

    /// Disks that are not in sync get the places that they had, or free ones, and are looked at soon.
    fn give_places(&mut self, standings: &[Standing]) {
        for (port, standing) in standings.iter().enumerate() {
            if let Standing::Delta(slot) | Standing::Anew(Some(slot)) = standing {
                self.members[port].slot = Some(*slot);
            }
        }
        for port in 0..self.members.len() {
            let is_free = |slot: &usize| self.members.iter().all(|member| member.slot != Some(*slot));
            // As when the mirror was made, if possible.
            let own = (port < self.head.slots.len()).then_some(port).filter(is_free);
            let free = own.or_else(|| (0..self.head.slots.len()).find(is_free));
            let member = &mut self.members[port];
            member.slot = member.slot.or(free);
            if !member.is_attached {
                member.look_at = Some(Moment::default());
            }
        }
    }

    /// Lets a member take part.
    pub(crate) fn attach(&mut self, port: usize, slot: usize) {
        let member = &mut self.members[port];
        member.slot = Some(slot);
        member.is_attached = true;
        member.look_at = None;
        member.reason.clear();
    }
}

fn new_head(members: &mut [Member], options: &Options, random: &mut Random) -> Result<Head, StartError> {
    let smallest = members.iter().map(|member| member.disk.capacity()).min().unwrap_or(0);
    let unit_bytes = members.iter().map(|member| member.disk.block_size()).max().unwrap_or(4096);
    let layout = Layout::fit(smallest, unit_bytes, options.group_units);
    let port = members.iter().position(|member| member.disk.capacity() == smallest).unwrap_or(0);
    let too_small = || StartError::Unfit { port, reason: format!("{smallest} bytes are too few") };
    let layout = layout.filter(Layout::is_sound).ok_or_else(too_small)?;
    let ids: Vec<u64> = members.iter().map(|_| random.next()).collect();
    let array = u128::from(random.next()) << 64 | u128::from(random.next());
    Ok(Head::new(array, layout, &ids, random.next()))
}

impl Layout {
    /// Whether a disk of this shape can be a member; else why not.
    pub(crate) fn suits(&self, disk: Geometry) -> Result<(), String> {
        if disk.block_bytes > self.unit_bytes {
            return Err(format!(
                "its blocks have {} bytes, and {} are the most",
                disk.block_bytes, self.unit_bytes
            ));
        }
        if disk.bytes < self.member_bytes() {
            return Err(format!("it has {} bytes, and {} are needed", disk.bytes, self.member_bytes()));
        }
        Ok(())
    }
}
