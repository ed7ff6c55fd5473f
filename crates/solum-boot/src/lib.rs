//! Brings a Linux machine up and down: mounts, modules, network, clock, control channel, power.
//!
//! [`pid1::run`] is all of it, in the order of a machine's life. What it decides is in [`life`], without I/O.

pub mod control_channel;
pub mod devices;
pub mod identity;
pub mod kernel_log;
pub mod life;
pub mod modules;
pub mod mounts;
pub mod pid1;
pub mod power;
pub mod process;
pub mod role;

/// STUB until net/mod.rs lands: replace this inline module by `pub mod net;`.
pub mod net {
    use rustix::thread::CapabilitySet;
    use solum_spec::control::NetworkReport;
    use solum_spec::description::Network;
    /// Needed.
    pub const CAPABILITIES: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);
    /// Up.
    pub fn loopback_up() -> std::io::Result<()> {
        Ok(())
    }
    /// Runs.
    pub fn run(_: &Network, _: &std::path::Path, _: &mut dyn FnMut(NetworkReport)) -> std::io::Result<()> {
        Ok(())
    }
}

/// STUB until time/mod.rs lands: replace this inline module by `pub mod time;`.
pub mod time {
    use rustix::thread::CapabilitySet;
    use solum_spec::control::ClockReport;
    /// Needed.
    pub const CAPABILITIES: CapabilitySet = CapabilitySet::SYS_TIME;
    /// Runs.
    pub fn run(_: &[String], _: &std::path::Path, _: &mut dyn FnMut(ClockReport)) -> std::io::Result<()> {
        Ok(())
    }
}
