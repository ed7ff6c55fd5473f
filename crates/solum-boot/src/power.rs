//! The end of a machine.

use rustix::system::{RebootCommand, reboot};

use crate::command_line;

/// How this machine is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// ACPI or firmware cuts the power.
    Power,
    /// There is nobody to cut the power, but a reset ends the virtual machine (QEMU's `-no-reboot`).
    Reset,
}

/// The word of the kernel command line by which a host without ACPI asks for a reset instead.
pub const RESET_WORD: &str = "solum.end=reboot";

/// Reads how this machine is switched off from its kernel command line.
pub fn off_by_command_line() -> Off {
    if command_line::has(RESET_WORD) { Off::Reset } else { Off::Power }
}

/// Writes everything to its disk and unmounts. Only then may a host be told that the machine has ended.
pub fn secure_data() {
    rustix::fs::sync();
    crate::mounts::unmount_all();
}

/// Switches the machine off, after a last [`sync(2)`](rustix::fs::sync) for what could not be unmounted. Never returns.
pub fn end(off: Off) -> ! {
    rustix::fs::sync();
    let (first, second) = match off {
        Off::Power => (RebootCommand::PowerOff, RebootCommand::Restart),
        Off::Reset => (RebootCommand::Restart, RebootCommand::PowerOff),
    };
    let _ = reboot(first);
    let _ = reboot(second);
    loop {
        // Returning would end PID 1 and so panic the kernel; a machine that cannot be switched off stays halted.
        std::thread::park();
    }
}
