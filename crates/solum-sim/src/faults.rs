//! What may go wrong in a run: kinds of faults, and the envelope that they stay within.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Fault {
    /// A loss of power loses writes that no flush followed, each block for itself.
    LostWrites,
    /// A loss of power leaves a block that is new up to some byte, and old from there.
    TornWrites,
    /// A write goes to another place than it was meant for.
    MisdirectedWrites,
    /// A bit of a block is another one, until the block is written again.
    BitRot,
    /// A block cannot be read until it is written again.
    LatentErrors,
    /// An operation of a disk fails, and works when it is tried again.
    IoErrors,
    /// An operation of a disk takes much longer.
    SlowDisks,
    /// A disk has no room for a write.
    FullDisks,
    /// A disk comes back as it was earlier.
    StaleDisks,
    /// A message takes longer.
    Delay,
    /// A packet is lost, and its content is sent again.
    Drop,
    /// A packet comes twice.
    Duplication,
    /// A packet overtakes another.
    Reordering,
    /// Two machines do not hear each other.
    Partition,
    /// One machine does not hear another, which hears it.
    OneWayPartition,
    /// Everything between two machines takes much longer for a while.
    Clogging,
    /// A unit dies.
    UnitCrash,
    /// A machine loses its power at some operation.
    PowerCut,
    /// A machine's wall clock jumps.
    ClockSteps,
    /// A machine's clocks run fast or slow.
    ClockDrift,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::LostWrites,
        Self::TornWrites,
        Self::MisdirectedWrites,
        Self::BitRot,
        Self::LatentErrors,
        Self::IoErrors,
        Self::SlowDisks,
        Self::FullDisks,
        Self::StaleDisks,
        Self::Delay,
        Self::Drop,
        Self::Duplication,
        Self::Reordering,
        Self::Partition,
        Self::OneWayPartition,
        Self::Clogging,
        Self::UnitCrash,
        Self::PowerCut,
        Self::ClockSteps,
        Self::ClockDrift,
    ];

    /// Its name, as it is written in descriptions and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LostWrites => "lost-writes",
            Self::TornWrites => "torn-writes",
            Self::MisdirectedWrites => "misdirected-writes",
            Self::BitRot => "bit-rot",
            Self::LatentErrors => "latent-errors",
            Self::IoErrors => "io-errors",
            Self::SlowDisks => "slow-disks",
            Self::FullDisks => "full-disks",
            Self::StaleDisks => "stale-disks",
            Self::Delay => "delay",
            Self::Drop => "drop",
            Self::Duplication => "duplication",
            Self::Reordering => "reordering",
            Self::Partition => "partition",
            Self::OneWayPartition => "one-way-partition",
            Self::Clogging => "clogging",
            Self::UnitCrash => "unit-crash",
            Self::PowerCut => "power-cut",
            Self::ClockSteps => "clock-steps",
            Self::ClockDrift => "clock-drift",
        }
    }

    /// Whether it spoils what a disk promises even without a loss of power.
    pub const fn is_damage(self) -> bool {
        matches!(
            self,
            Self::TornWrites
                | Self::MisdirectedWrites
                | Self::BitRot
                | Self::LatentErrors
                | Self::IoErrors
                | Self::FullDisks
                | Self::StaleDisks
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|fault| fault.name() == name).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!(
                "there is no fault `{name}`\nhint: there are {}, and the words all and none",
                all.join(", ")
            )
        })
    }
}

/// The envelope: what the system claims to survive, and no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which faults there are.
    pub kinds: BTreeSet<Fault>,
    /// How many disks of a machine are damaged in one run. Losing what no flush followed is no damage.
    pub damaged_disks: u32,
    /// How many machines are without power at the same time.
    pub machines_down: u32,
}

impl Default for Envelope {
    /// Everything that a system must survive whatever it is made of: nothing is damaged, but anything may stop, be slow, and
    /// lose what it was not told to keep.
    fn default() -> Self {
        let kinds = Fault::ALL.into_iter().filter(|fault| !fault.is_damage()).collect();
        Self { kinds, damaged_disks: 0, machines_down: u32::MAX }
    }
}

impl Envelope {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self { kinds: BTreeSet::new(), damaged_disks: 0, machines_down: 0 }
    }

    /// These kinds, on up to one disk of each machine.
    pub fn of(kinds: impl IntoIterator<Item = Fault>) -> Self {
        Self { kinds: kinds.into_iter().collect(), damaged_disks: 1, machines_down: u32::MAX }
    }

    /// Whether there are faults of this kind.
    pub fn has(&self, fault: Fault) -> bool {
        self.kinds.contains(&fault)
    }

    /// The part of the envelope that a list of names speaks of: `all`, `none`, or kinds separated by commas.
    ///
    /// # Errors
    ///
    /// A sentence about a name that is none, or that the envelope does not hold.
    pub fn narrowed(&self, names: &str) -> Result<Self, String> {
        let kinds = match names {
            "all" => self.kinds.clone(),
            "none" => BTreeSet::new(),
            names => {
                let kinds: BTreeSet<Fault> =
                    names.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>()?;
                if let Some(beyond) = kinds.difference(&self.kinds).next() {
                    let claimed: Vec<&str> = self.kinds.iter().map(|fault| fault.name()).collect();
                    let hint = match claimed.is_empty() {
                        true => "it claims to survive none".to_owned(),
                        false => format!("it claims to survive {}", claimed.join(", ")),
                    };
                    return Err(format!("the system does not claim to survive {beyond}\nhint: {hint}"));
                }
                kinds
            }
        };
        Ok(Self { kinds, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert_eq!(serde_json::to_string(&fault).unwrap(), format!("\"{fault}\""));
        }
        assert!(
            "rot".parse::<Fault>().unwrap_err().starts_with("there is no fault `rot`\nhint: there are lost-")
        );
    }

    #[test]
    fn an_envelope_is_narrowed_and_never_widened() {
        let envelope = Envelope::of([Fault::BitRot, Fault::Delay]);
        assert_eq!(envelope.narrowed("all").as_ref(), Ok(&envelope));
        assert!(envelope.narrowed("none").unwrap().kinds.is_empty());
        assert_eq!(envelope.narrowed("delay").unwrap().kinds, [Fault::Delay].into());
        let why = envelope.narrowed("delay,drop").unwrap_err();
        assert_eq!(
            why,
            "the system does not claim to survive drop\nhint: it claims to survive bit-rot, delay"
        );
    }
}
