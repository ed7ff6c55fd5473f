//! The kernel's command line.

use std::fmt;

use solum_spec::control::NO_CONTROL_WORD;

use crate::accelerator::Accelerator;
use crate::machine::{Machine, MachineType};
use crate::qemu;

/// `COMMAND_LINE_SIZE` of x86 (arch/x86/include/asm/setup.h), less its terminating zero byte.
const LENGTH_MAX: usize = 2047;

/// Whether somebody holds the other end of the control channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Attached,
    /// The machine is run by hand, and its init need not wait for a port that never comes.
    Missing,
}

/// Why a kernel command line cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It has more bytes than the kernel reads.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A word of it holds a control character: at a zero byte the kernel stops to read, and a boot loader at the end of a line.
    ControlCharacter(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(f, "the kernel's command line has {length} bytes, and the kernel reads {LENGTH_MAX}")
            }
            Self::ControlCharacter(word) => {
                let word = word.escape_debug();
                write!(f, "`{word}` holds a control character, which a kernel command line cannot carry")
            }
        }
    }
}

impl std::error::Error for LineError {}

impl LineError {
    /// What to do instead.
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::TooLong { .. } => "shorten what --append adds",
            Self::ControlCharacter(_) => "leave it out of --append",
        };
        hint.to_owned()
    }
}

/// The command line of `machine`: Solum's words, then the user's, so that theirs win.
pub(crate) fn compose(machine: &Machine, control: Control) -> Result<String, LineError> {
    let mut words: Vec<String> = base_words(machine);
    if control == Control::Missing {
        words.push(NO_CONTROL_WORD.to_owned());
    }
    words.extend(machine.command_line.iter().cloned());
    line_of(&words)
}

/// The command line of these words.
///
/// # Errors
///
/// [`LineError`], if the kernel would not read it whole.
pub fn line_of(words: &[String]) -> Result<String, LineError> {
    if let Some(word) = words.iter().find(|word| word.contains(char::is_control)) {
        return Err(LineError::ControlCharacter(word.clone()));
    }
    let line = words.join(" ");
    match line.len() {
        0..=LENGTH_MAX => Ok(line),
        length => Err(LineError::TooLong { length }),
    }
}

fn base_words(machine: &Machine) -> Vec<String> {
    let mut words = vec!["rdinit=/init"];
    // Level 4 shows errors and worse. A quiet console costs nothing; what it kept back, `panic_print` replays.
    words.extend(if machine.verbose_kernel { vec!["loglevel=7"] } else { vec!["quiet", "loglevel=4"] });
    // The first serial port by its address, so that it speaks from the first moment on: what is wrong with a damaged
    // kernel is said by the code that unpacks it. After `quiet`, or all early messages would be sent.
    words.extend(["console=uart8250,io,0x3f8,115200", "8250.nr_uarts=1"]);
    // A panic restarts the machine at once (-1), and QEMU ends instead of restarting (-no-reboot).
    words.extend(["panic=-1", "panic_print=0x20", "reboot=t", "i8042.noaux", "i8042.nokbd"]);
    // A virtual timer is wired rightly, but on a busy host it can be late, and then the kernel's check of the wiring
    // ends in a panic (arch/x86/kernel/apic/io_apic.c, `check_timer`). Under KVM the kernel leaves it out by itself.
    words.push("no_timer_check");
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    match machine.machine_type {
        MachineType::Microvm => words.extend(microvm_words()),
        // Emulated, the local APIC's timer is calibrated by 100 ms of waiting (arch/x86/kernel/apic/apic.c,
        // `LAPIC_CAL_LOOPS`). One processor has other timers; a microvm has no local APIC to begin with.
        MachineType::Q35 if machine.cpus == 1 && machine.accelerator == Accelerator::Tcg => {
            words.push("noapictimer".to_owned());
        }
        MachineType::Q35 => {}
    }
    words
}

/// Without ACPI a reset is the only way to end (PID 1 reads `solum.end`), and devices are named here. QEMU could
/// add the names itself, but puts them last, where they would be arguments of `/init`.
fn microvm_words() -> Vec<String> {
    let mut words = vec!["solum.end=reboot".to_owned()];
    for slot in qemu::MICROVM_SLOTS {
        let address = qemu::MICROVM_SLOT_ADDRESS + u64::from(slot) * qemu::MICROVM_SLOT_BYTES;
        let interrupt = qemu::MICROVM_FIRST_INTERRUPT + slot;
        words.push(format!("virtio_mmio.device={}@{address:#x}:{interrupt}", qemu::MICROVM_SLOT_BYTES));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine::new("m", "kernel", "initramfs")
    }

    fn composed(machine: &Machine) -> Result<String, LineError> {
        compose(machine, Control::Attached)
    }

    #[test]
    fn the_users_words_come_last() {
        let mut machine = machine();
        machine.command_line = vec!["mitigations=off".into(), "-- --loud".into()];
        let line = composed(&machine).unwrap();
        assert!(line.ends_with(" no_timer_check noapictimer mitigations=off -- --loud"), "{line}");
    }

    #[test]
    fn pid_1_is_told_that_no_control_channel_comes() {
        let mut machine = machine();
        assert!(!composed(&machine).unwrap().contains("solum.control"));
        machine.command_line = vec!["-- --loud".into()];
        let line = compose(&machine, Control::Missing).unwrap();
        assert!(line.ends_with(" solum.control=none -- --loud"), "{line}");
    }

    #[test]
    fn what_the_kernel_cannot_carry_is_refused() {
        for word in ["a\0b", "a\nb"] {
            let machine = Machine { command_line: vec!["quiet".into(), word.into()], ..machine() };
            assert_eq!(composed(&machine), Err(LineError::ControlCharacter(word.into())));
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let mut machine = machine();
        let base = composed(&machine).unwrap().len();
        machine.command_line = vec!["x".repeat(LENGTH_MAX - base - 1)];
        assert!(composed(&machine).is_ok());
        machine.command_line = vec!["x".repeat(LENGTH_MAX - base)];
        assert_eq!(composed(&machine), Err(LineError::TooLong { length: LENGTH_MAX + 1 }));
    }
}
