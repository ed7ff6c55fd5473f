//! What a person at a terminal asks of a running system, and what it answers.
//!
//! Frames of [`control`](crate::control) on a Unix socket; one order for each connection, but for [`What::Watch`].

use serde::{Deserialize, Serialize};

use crate::handover::UnitPhase;
use crate::keyboard::KeyChange;

/// Version of these messages.
pub const VERSION: u16 = 3;

/// What is asked. The first field of the frame is [`VERSION`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// [`VERSION`] of whoever asks.
    pub version: u16,
    /// What.
    pub what: What,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// What every unit is doing.
    List,
    /// That a unit shall run.
    Start(String),
    /// That a unit shall not run.
    Stop(String),
    /// That a unit shall stop and start again.
    Restart(String),
    /// What units print.
    Logs {
        /// Of these units; of all, if there are none.
        units: Vec<String>,
        /// So many lines of each that were printed before; all that are kept, if none.
        lines: Option<u32>,
        /// And then everything that they print from now on.
        follow: bool,
    },
    /// Everything that units do and print, from the beginning on: every unit at first, then each that does something else.
    /// More orders may follow, and are answered in between.
    Watch,
    /// That everything shall stop.
    Down,
    /// That this happens at the keyboard of a machine.
    Press {
        /// The machine; the only one that has a keyboard, if none is named.
        machine: Option<String>,
        /// What happens, in order.
        keys: Vec<KeyChange>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Units, in the order of the description: all of them, in as many answers as it takes; to whoever watches, those
    /// that changed.
    Units(Vec<UnitReport>),
    /// A line that a unit printed.
    Line(LogLine),
    /// Lines that were gone before they could be sent, because whoever reads is slower than the unit prints.
    Lost {
        /// Whose.
        unit: String,
        /// How many.
        lines: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// It was done. Nothing follows.
    Done,
    /// It was not done; the text says why. Nothing follows.
    Refused(String),
    /// Everything stops now, and may take so long.
    Stopping {
        /// Milliseconds until whatever does not stop by itself has been killed.
        within_ms: u64,
    },
}

/// A line that a unit printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Whose.
    pub unit: String,
    /// Whether it came from standard error.
    pub is_error: bool,
    /// When, in milliseconds since the system was started.
    pub at_ms: u64,
    /// The line, without its end.
    pub bytes: Vec<u8>,
}

/// What a unit is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitReport {
    /// Its name: `machine.unit`.
    pub unit: String,
    /// The program that it runs.
    pub program: String,
    /// What it is doing.
    pub phase: UnitPhase,
    /// Why, as the rest of a sentence that begins with its name and a colon.
    pub reason: String,
    /// How many times it was started.
    pub starts: u32,
    /// Its process, if it runs: a number of the machine that it runs in.
    pub pid: Option<u32>,
    /// The process of the host that is its machine, if that is a virtual one and runs.
    pub machine_pid: Option<u32>,
}
