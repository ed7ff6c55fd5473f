//! What the supervisor is told, and what it asks for.

use solum_spec::control::{Outcome, Status};
use solum_spec::description::Wait;
use solum_spec::handover::UnitPhase;

/// Something happened. Units are named by their place in the list of terms; what speaks of a unit that is not there, or
/// of an epoch that is over, has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Everything that units stand on is there; they may start.
    Up,
    /// What units may wait for has come about.
    ConditionMet(Wait),
    /// The process that [`Effect::Start`] asked for is there.
    Started {
        /// The unit.
        unit: usize,
        /// As in the effect.
        epoch: u32,
    },
    /// The process that [`Effect::Start`] asked for could not be started.
    StartFailed {
        /// The unit.
        unit: usize,
        /// As in the effect.
        epoch: u32,
        /// Why, in a sentence that names the program.
        why: String,
    },
    /// The unit says that it is ready.
    Ready {
        /// The unit.
        unit: usize,
        /// Which start of it.
        epoch: u32,
    },
    /// The unit says how it is.
    Health {
        /// The unit.
        unit: usize,
        /// Which start of it.
        epoch: u32,
        /// Well, or why not.
        health: Result<(), String>,
    },
    /// The unit's process ended. All that is left of it is to be gone by now, so that its next start finds nothing.
    Ended {
        /// The unit.
        unit: usize,
        /// Which start of it.
        epoch: u32,
        /// How.
        status: Status,
    },
    /// A user or a controlling unit wants something of a unit. All are idempotent.
    Command {
        /// The unit.
        unit: usize,
        /// What.
        command: Command,
    },
    /// Everything is to stop, in reverse order of need.
    StopAll,
    /// The time that [`Supervisor::deadline`](crate::Supervisor::deadline) named is reached.
    DeadlineReached,
}

/// What can be wanted of a unit. Nothing of it has an effect any more when everything stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// It shall run, and what it needs too. Earlier failures are forgotten, and a pause is cut short.
    Start,
    /// It shall not run. Those that need it stay up: their links tell them that it is gone.
    Stop,
    /// It shall stop and start once more. Earlier failures are forgotten.
    Restart,
    /// From its next start it runs another program; which one is remembered by whoever starts it. Earlier failures, which
    /// were the old program's, are forgotten.
    Replace,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the unit's process, and answer with [`Event::Started`] or [`Event::StartFailed`].
    Start {
        /// The unit.
        unit: usize,
        /// How many times it was started before, plus one.
        epoch: u32,
    },
    /// Send the unit's process a signal.
    Signal {
        /// The unit.
        unit: usize,
        /// The signal.
        number: u8,
    },
    /// Tell whoever watches. The phase may be the same as before, with another reason.
    Changed {
        /// The unit.
        unit: usize,
        /// What it does now.
        phase: UnitPhase,
        /// Why, as the rest of a sentence that begins with the unit's name and a colon.
        reason: String,
    },
    /// The unit failed too often, and is not started again by itself.
    GaveUp {
        /// The unit.
        unit: usize,
    },
    /// Every unit has been stopped, and the machine shall start anew. Nothing follows.
    RestartMachine {
        /// Why.
        why: String,
    },
    /// No unit runs, and none will any more. Nothing follows.
    Over(Outcome),
}
