//! The kernel's command line in an image, which nobody adds to when it boots.

use solum_vm::{LineError, line_of};

use crate::kernel_choice::Chosen;

/// What every image says.
const WORDS: [&str; 8] = [
    "rdinit=/init",
    "quiet",
    "loglevel=4",
    // A panic restarts the machine, after ten seconds in which somebody may read it.
    "panic=10",
    "panic_print=0x20",
    // No driver is probed for what no machine has had for long.
    "i8042.noaux",
    "8250.nr_uarts=1",
    "console=ttyS0,115200",
];

/// The command line for a kernel, with the user's words last, so that theirs win.
pub fn compose(kernel: &Chosen, append: &[String]) -> Result<String, LineError> {
    let mut words = WORDS.map(str::to_owned).to_vec();
    if kernel.has_screen() {
        // The last one is what programs write to: whoever has a screen looks at that.
        words.push("console=tty0".to_owned());
    } else {
        // Made for virtual machines. Where the host is busy the timer can be late, and the kernel's check of its wiring ends in
        // a panic (arch/x86/kernel/apic/io_apic.c, `check_timer`).
        words.push("no_timer_check".to_owned());
    }
    words.extend(append.iter().cloned());
    line_of(&words)
}
