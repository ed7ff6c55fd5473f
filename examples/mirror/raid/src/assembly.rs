//! Which members may begin together: a decision without any I/O.

use std::fmt;

use crate::head::{Head, State, Version};

/// What was found where a member should be.
#[derive(Clone, Debug)]
pub enum Found {
    /// A disk whose beginning is all zeros, or says that its contents do not count.
    Blank,
    /// Something else that is no member.
    Foreign,
    /// A disk that cannot be read.
    Unreadable(String),
    /// A member.
    Head(Box<Head>),
}

/// What a disk will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The member in this slot, which has everything but what is intended.
    InSync(usize),
    /// The member in this slot, which gets what it missed.
    Delta(usize),
    /// An empty disk, or one whose contents do not count: it gets everything. Its slot, if it had one.
    Anew(Option<usize>),
    /// None.
    Unused(String),
}

/// What is to be done.
#[derive(Debug)]
pub enum Decision {
    /// Make a new mirror.
    Make,
    /// Begin with this head, which is not yet its next version, and the disks in these standings.
    Begin(Box<Head>, Vec<Standing>),
}

/// Why the mirror does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No disk is a member, and not all are empty.
    NoMember {
        /// The disks that are not empty.
        foreign: Vec<usize>,
    },
    /// The members are not of one mirror.
    SeveralMirrors {
        /// Disks of different ones.
        ports: (usize, usize),
    },
    /// Two disks are the same member.
    Twice {
        /// Where they are plugged in.
        ports: (usize, usize),
    },
    /// Too few of the members that were in sync are here.
    NoMajority {
        /// How many are here.
        present: usize,
        /// How many were in sync.
        in_sync: usize,
    },
    /// Two parts of the mirror ran without each other.
    BothRanAlone {
        /// A disk of each.
        ports: (usize, usize),
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMember { foreign } => write!(
                f,
                "no disk is a member of a mirror, and the disks {foreign:?} are not empty\n\
                 hint: to make a new mirror of them, fill the first 16 KiB of each with zeros"
            ),
            Self::SeveralMirrors { ports: (first, second) } => write!(
                f,
                "members {first} and {second} belong to different mirrors\n\
                 hint: plug in the disks of one mirror"
            ),
            Self::Twice { ports: (first, second) } => write!(
                f,
                "members {first} and {second} are copies of the same member\n\
                 hint: fill the first 16 KiB of the wrong one with zeros"
            ),
            Self::NoMajority { present, in_sync } => write!(
                f,
                "{present} of the {in_sync} members that were in sync are here, and more than half are needed: \
                 those that are missing may have newer contents\n\
                 hint: plug in the others; or, if they are lost for good, start the mirror with the argument --force"
            ),
            Self::BothRanAlone { ports: (first, second) } => write!(
                f,
                "members {first} and {second} ran without each other, and each has writes that the other lacks\n\
                 hint: choose one, and fill the first 16 KiB of the other with zeros"
            ),
        }
    }
}

/// Decides what to do with what was found.
pub fn decide(found: &[Found], is_forced: bool) -> Result<Decision, Refusal> {
    let mut heads = heads(found);
    if is_new(found, &heads) {
        return Ok(Decision::Make);
    }
    let begun = heads.iter().find(|(_, head)| !head.is_unborn()).map(|(_, head)| head.array);
    let is_blank = |head: &Head| head.is_unborn() && begun.is_some_and(|array| array != head.array);
    heads.retain(|(_, head)| !is_blank(head));
    let no_member = || {
        let is_foreign = |port: &usize| !matches!(found[*port], Found::Blank | Found::Head(_));
        Refusal::NoMember { foreign: (0..found.len()).filter(is_foreign).collect() }
    };
    let Some((first, _)) = heads.first() else { return Err(no_member()) };
    let array = |port: usize| heads.iter().find(|(other, _)| *other == port).map(|(_, head)| head.array);
    if let Some((other, _)) = heads.iter().find(|(port, _)| array(*port) != array(*first)) {
        return Err(Refusal::SeveralMirrors { ports: (*first, *other) });
    }
    refuse_copies(&heads)?;
    // Of a mirror that was not made to the end nobody misses anything.
    let chosen =
        choose(&heads, is_forced).map_err(|refusal| if begun.is_some() { refusal } else { no_member() })?;
    let mut standings = Vec::new();
    for (port, found) in found.iter().enumerate() {
        let standing = match found {
            Found::Blank => Standing::Anew(None),
            Found::Foreign => Standing::Unused(FOREIGN.into()),
            Found::Unreadable(reason) => Standing::Unused(reason.clone()),
            Found::Head(head) if is_blank(head) => Standing::Anew(None),
            Found::Head(head) => match judge(&chosen, head) {
                Judgement::Standing(standing) => standing,
                Judgement::RanAlone => {
                    let other = heads.iter().find(|(_, head)| head.version == chosen.version);
                    return Err(Refusal::BothRanAlone { ports: (other.map_or(port, |other| other.0), port) });
                }
            },
        };
        standings.push(standing);
    }
    Ok(Decision::Begin(Box::new(merge(chosen, &heads)), standings))
}

/// Why a disk with something else on it is not used.
pub const FOREIGN: &str = "it is neither empty nor a member; to use it, fill its first 16 KiB with zeros";

fn heads(found: &[Found]) -> Vec<(usize, &Head)> {
    let mut heads = Vec::new();
    for (port, found) in found.iter().enumerate() {
        if let Found::Head(head) = found {
            heads.push((port, &**head));
        }
    }
    heads
}

/// All disks are empty, or of mirrors of which nothing was served yet.
fn is_new(found: &[Found], heads: &[(usize, &Head)]) -> bool {
    found.iter().all(|found| matches!(found, Found::Blank | Found::Head(_)))
        && heads.iter().all(|(_, head)| head.is_unborn())
}

fn refuse_copies(heads: &[(usize, &Head)]) -> Result<(), Refusal> {
    let identity = |head: &Head| head.slots[usize::from(head.slot)].id;
    for (index, (port, head)) in heads.iter().enumerate() {
        let twin = heads[..index].iter().find(|(_, other)| identity(other) == identity(head));
        if let Some((other, _)) = twin {
            return Err(Refusal::Twice { ports: (*other, *port) });
        }
    }
    Ok(())
}

/// The newest head that enough members stand behind.
fn choose(heads: &[(usize, &Head)], is_forced: bool) -> Result<Head, Refusal> {
    let mut candidates: Vec<&Head> = heads.iter().map(|(_, head)| *head).collect();
    candidates.sort_by_key(|head| (head.version.event, head.version.stamp, head.generation));
    let is_viable = |head: &&&Head| 2 * supporters(head, heads) > head.in_sync().count();
    if let Some(viable) = candidates.iter().rev().find(is_viable) {
        return Ok((**viable).clone());
    }
    let newest = candidates.last().copied();
    match newest {
        Some(head) if is_forced => Ok(Head { is_forced: true, ..head.clone() }),
        _ => Err(Refusal::NoMajority {
            present: newest.map_or(0, |head| supporters(head, heads)),
            in_sync: newest.map_or(0, |head| head.in_sync().count()),
        }),
    }
}

fn supporters(candidate: &Head, heads: &[(usize, &Head)]) -> usize {
    let supports = |(_, head): &&(usize, &Head)| {
        matches!(judge(candidate, head), Judgement::Standing(Standing::InSync(_)))
    };
    heads.iter().filter(supports).count()
}

/// What comes of a member beside the others.
pub enum Judgement {
    /// This.
    Standing(Standing),
    /// It and the others each went on without the other, and each may have answered writes.
    RanAlone,
}

/// Judges a member by the newest head.
pub fn judge(newest: &Head, head: &Head) -> Judgement {
    let slot = usize::from(head.slot);
    let id = head.slots[slot].id;
    let Some(own) = newest.slots.get(slot).filter(|own| own.id == id) else {
        return Judgement::Standing(Standing::Unused("another disk was put in its place".into()));
    };
    // Heads are written one after the other to all members in sync. So where the newest one is missing it is the last, which
    // not all got before the crash, and nothing was written after it. Who lacks more than that is an old image.
    let is_recent = head.generation <= newest.generation && head.generation + 1 >= newest.generation;
    let is_current = is_recent && (head.version == newest.version || head.version == newest.parent);
    let is_known = head.generation >= own.known_generation
        && (head.version == own.known || head.version == own.attempted);
    let standing = match own.state {
        State::InSync if is_current => Standing::InSync(slot),
        State::Rebuilding { .. } if is_current => Standing::Delta(slot),
        State::Out { .. } if is_known => Standing::Delta(slot),
        State::InSync | State::Rebuilding { .. } => return astray(newest, head, newest.version, slot),
        State::Out { .. } => return astray(newest, head, own.known, slot),
    };
    Judgement::Standing(standing)
}

/// A member whose history is not the mirror's: it is older than it should be, or went on alone.
fn astray(newest: &Head, head: &Head, known: Version, slot: usize) -> Judgement {
    let is_ours = [known, newest.slots[slot].attempted].contains(&head.version);
    let went_on = head.version.event >= known.event && !is_ours;
    // Without force, only the part with the majority can have answered anything.
    if went_on && (newest.is_forced || head.is_forced) {
        return Judgement::RanAlone;
    }
    Judgement::Standing(Standing::Anew(Some(slot)))
}

/// The newest head, with the bits of all that stand behind it: some may not have got the last ones.
fn merge(chosen: Head, heads: &[(usize, &Head)]) -> Head {
    let mut merged = chosen;
    for (_, head) in heads {
        if !matches!(judge(&merged, head), Judgement::Standing(Standing::InSync(_))) {
            continue;
        }
        merged.intent.merge(&head.intent);
        merged.behind.merge(&head.behind);
        merged.formatted.merge(&head.formatted);
        merged.generation = merged.generation.max(head.generation);
    }
    merged
}

#[cfg(test)]
#[path = "assembly_tests.rs"]
mod tests;
