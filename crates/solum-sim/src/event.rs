//! What the agenda of a run holds.

use crate::kernel::TaskId;

/// Something that happens at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A task's deadline may be over.
    Timer(TaskId),
    /// A machine's power comes.
    PowerOn {
        /// The machine.
        machine: usize,
    },
    /// A machine is up, in its so many-th life, and its units may start.
    Up {
        /// The machine.
        machine: usize,
        /// Which life of it.
        life: u32,
    },
    /// A supervisor's deadline may be over.
    Supervise {
        /// The machine.
        machine: usize,
        /// Which life of it.
        life: u32,
    },
    /// The process of a unit is there.
    Start {
        /// The unit.
        unit: usize,
        /// Which start of it.
        epoch: u32,
        /// Which life of its machine.
        life: u32,
    },
    /// A message arrives; its number.
    Arrive(u32),
    /// Who was not answered tries again to connect; the place of the connection.
    Dial(usize),
    /// The connection of two machines is looked at.
    Connection {
        /// Their place in the table of pairs.
        pair: usize,
    },
    /// Perhaps something goes wrong by itself.
    Misfortune,
    /// What went wrong with this number is over.
    Heal(u32),
    /// All faults stop.
    Calm,
}
