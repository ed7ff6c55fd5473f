//! The end of a machine.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::system::{RebootCommand, reboot};
use solum_spec::control::Ending;

use crate::command_line;

/// The word of the kernel command line by which a host without ACPI asks for a reset instead: there is nobody to cut the
/// power, but a reset ends the virtual machine (QEMU's `-no-reboot`).
pub const RESET_WORD: &str = "solum.end=reboot";

/// The signal to PID 1 that asks for a halt: `SIGRTMIN+3`, as other service managers understand it (systemd(1), "Signals").
pub const HALT_SIGNAL: i32 = 37;

/// The commands that ask PID 1 for an end, and the signals by which they do. The kernel itself runs the first two when a
/// hypervisor asks for an end (`kernel.poweroff_cmd` and `reboot_cmd` in kernel/reboot.c; Hyper-V, Xen and VMware).
const COMMANDS: [(&str, i32); 3] = [
    ("/sbin/poweroff", signal_hook::consts::SIGTERM),
    ("/sbin/reboot", signal_hook::consts::SIGINT),
    ("/sbin/halt", HALT_SIGNAL),
];

/// Sees to it that every way to end a machine leads to PID 1: Ctrl-Alt-Del comes as SIGINT (reboot(2)), and the commands
/// by which kernel and programs ask exist. Where an image brings its own, those hold.
pub fn take_control() {
    let _ = reboot(RebootCommand::CadOff);
    let _ = std::fs::create_dir_all("/sbin");
    for (path, _) in COMMANDS {
        let _ = symlink(INIT, path);
    }
}

/// What runs as PID 1.
const INIT: &str = "/init";

/// Asks PID 1 for an end, if this process was started by one of the commands' names. Whether it could; nothing if it was not.
pub fn ask_if_command() -> Option<std::io::Result<()>> {
    let name = std::env::args_os().next()?;
    let own = Path::new(&name).file_name()?;
    let (_, signal) = COMMANDS.iter().find(|(path, _)| Path::new(path).file_name() == Some(own))?;
    // A program of that name that somebody runs elsewhere is no command of a machine.
    if std::process::id() == 1
        || !std::fs::read_link("/proc/self/exe").is_ok_and(|exe| exe == Path::new(INIT))
    {
        return None;
    }
    // SAFETY: kill(2) takes two integers and touches no memory.
    Some(if unsafe { libc::kill(1, *signal) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) })
}

/// Writes everything to its disk and unmounts. Only then may a host be told that the machine has ended.
pub fn secure_data() {
    rustix::fs::sync();
    crate::mounts::unmount_all();
}

/// Ends the machine, after a last [`sync(2)`](rustix::fs::sync) for what could not be unmounted. Never returns.
pub fn end(ending: Ending) -> ! {
    rustix::fs::sync();
    let commands = match ending {
        Ending::PowerOff if !command_line::has(RESET_WORD) => {
            [RebootCommand::PowerOff, RebootCommand::Restart]
        }
        Ending::PowerOff | Ending::Reboot => [RebootCommand::Restart, RebootCommand::PowerOff],
        Ending::Halt => [RebootCommand::Halt; 2],
    };
    for command in commands {
        let _ = reboot(command);
    }
    loop {
        // Returning would end PID 1 and so panic the kernel; a machine that cannot be switched off stays halted.
        std::thread::park();
    }
}
