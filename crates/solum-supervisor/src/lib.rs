//! When each unit of a machine starts, stops and starts again. Decisions only: no I/O, no clock, no randomness.
//!
//! [`Supervisor::step`] is given the time and what happened, and returns what to do. Whoever runs units (PID 1, or the
//! host's runner) does it, and comes back with what followed. Why the rules are as they are: docs/adr/0011.
//!
//! Beside it lies [`LogRing`], which keeps what units print and tells a slow reader what it missed.

mod backoff;
mod event;
pub mod log;
mod needs;
mod stopping;
mod supervisor;
mod terms;
mod unit;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use event::{Command, Effect, Event};
pub use log::LogRing;
pub use supervisor::Supervisor;
pub use terms::{FAILURES_MAX, GOOD_RUN_MS, ILLNESS_MS, KILL_PATIENCE_MS, MachineTerms, PAUSE_MS, UnitTerms};
pub use unit::duration;
