//! Images onto devices, and what is in images: `solum flash` with devices that are files (loop devices), `solum inspect`.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "../harness/mod.rs"]
mod harness;

mod device;
mod flashed;
mod inspected;
