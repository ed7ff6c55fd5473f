//! Brings a Linux machine up and down: mounts, modules, network, clock, control channel, power.
//!
//! [`pid1::run`] is all of it, in the order of a machine's life. What it decides is in [`life`], without I/O.

mod buttons;
pub mod command_line;
pub mod control_channel;
#[cfg(feature = "system")]
pub mod desk;
pub mod devices;
pub mod identity;
pub mod kernel_log;
pub mod life;
#[cfg_attr(not(feature = "system"), path = "no_link.rs")]
mod link;
pub mod modules;
pub mod mounts;
pub mod net;
#[cfg_attr(not(feature = "storage"), path = "no_permanent.rs")]
mod permanent;
pub mod pid1;
pub mod power;
pub mod process;
pub mod role;
#[cfg(feature = "system")]
pub mod screen;
#[cfg(feature = "storage")]
mod seed;
#[cfg_attr(not(feature = "storage"), path = "no_storage.rs")]
pub mod storage;
mod tail;
pub mod time;
#[cfg(feature = "system")]
mod unit_console;
#[cfg_attr(not(feature = "system"), path = "no_units.rs")]
mod units;
