//! Starts units: opens what they are handed, wires their links, shuts them in, keeps their logs.
//!
//! PID 1 in a machine and `solum run --place host` on a workstation use the same code. The decisions are those of
//! `solum-supervisor`; here are the effects. System calls that shut a process in, and the passing of descriptors, are
//! nowhere else.

pub mod confinement;
mod controller;
mod descriptors;
pub mod group;
pub mod keyboard;
mod memory_file;
pub mod operator;
mod runner;
pub mod screen;
pub mod start;
mod wiring;

pub use confinement::Confinement;
pub use keyboard::Keyboards;
pub use operator::Operator;
pub use runner::{News, Place, Runner, UnitEnd, status_of};
pub use screen::Screens;
pub use solum_supervisor::log::{Entry, Position};
pub use start::{Device, Grant, Process, Start, start};
