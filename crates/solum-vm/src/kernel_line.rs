//! The kernel's command line.

use std::fmt;

use crate::accelerator::Accelerator;
use crate::machine::{Machine, MachineType};
use crate::qemu;

/// `COMMAND_LINE_SIZE` of x86 (arch/x86/include/asm/setup.h), less its terminating zero byte.
const LENGTH_MAX: usize = 2047;

/// `CONFIG_INIT_ENV_ARG_LIMIT` (init/Kconfig): one argument or variable more, and the kernel panics.
const INIT_WORDS_MAX: usize = 32;

/// The kernel brings `HOME` and `TERM` itself (init/main.c, `envp_init`), and counts `/init` as an argument.
const INIT_WORDS_TAKEN: usize = 2;

/// Why a kernel command line cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It has more bytes than the kernel reads.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A word holds a double quote, for which the kernel has no escape, or a zero byte.
    Unquotable(String),
    /// More arguments or variables than the kernel passes to `/init`.
    TooMany {
        /// `arguments` or `environment variables`.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A variable's name is empty, or the kernel would take it for an option of a module or for a separator.
    BadVariable(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(f, "the kernel's command line has {length} bytes, and the kernel reads {LENGTH_MAX}")
            }
            Self::Unquotable(word) => {
                write!(f, "`{word}` holds a character that a kernel command line cannot carry")
            }
            Self::TooMany { what, count } => {
                let most = INIT_WORDS_MAX - INIT_WORDS_TAKEN;
                write!(f, "{count} {what} for a program that is PID 1, and the kernel passes {most} at most")
            }
            Self::BadVariable(name) => {
                write!(f, "the kernel cannot pass an environment variable named `{name}` to PID 1")
            }
        }
    }
}

impl std::error::Error for LineError {}

impl LineError {
    /// What to do instead.
    pub fn hint(&self) -> Option<String> {
        Some(
            "put the data into a file of the image with --file SOURCE:/path and read it in the program"
                .into(),
        )
    }
}

/// The command line of `machine`: Solum's words, the user's words, variables, then `--` and arguments.
pub(crate) fn compose(machine: &Machine) -> Result<String, LineError> {
    let mut words: Vec<String> = base_words(machine);
    words.extend(machine.command_line.iter().cloned());
    check_count("environment variables", machine.init_environment.len())?;
    check_count("arguments", machine.init_arguments.len())?;
    for (name, value) in &machine.init_environment {
        words.push(variable(name, value)?);
    }
    if !machine.init_arguments.is_empty() {
        words.push("--".into());
        for argument in &machine.init_arguments {
            words.push(quote(argument)?);
        }
    }
    let line = words.join(" ");
    if line.contains('\0') {
        return Err(LineError::Unquotable(line.replace('\0', "\\0")));
    }
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

fn check_count(what: &'static str, count: usize) -> Result<(), LineError> {
    if count > INIT_WORDS_MAX - INIT_WORDS_TAKEN {
        return Err(LineError::TooMany { what, count });
    }
    Ok(())
}

/// A word the kernel knows nothing of becomes a variable of `/init`, unless there is a dot in its name: those are
/// parameters of modules that may come later (init/main.c, `unknown_bootoption`).
fn variable(name: &str, value: &str) -> Result<String, LineError> {
    let bad = |c: char| c.is_whitespace() || "=.\"".contains(c);
    if name.is_empty() || name.contains(bad) {
        return Err(LineError::BadVariable(name.to_owned()));
    }
    quote(&format!("{name}={value}"))
}

/// Quotes as `next_arg` (lib/cmdline.c) reads: double quotes around the whole word, and no escapes.
fn quote(word: &str) -> Result<String, LineError> {
    if word.contains('"') {
        return Err(LineError::Unquotable(word.to_owned()));
    }
    if word.is_empty() || word.contains(|c: char| c.is_ascii_whitespace() || c == '\x0b') {
        return Ok(format!("\"{word}\""));
    }
    Ok(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine::new("m", "kernel", "initramfs")
    }

    #[test]
    fn arguments_and_environment_reach_init() {
        let mut machine = machine();
        machine.command_line = vec!["mitigations=off".into()];
        machine.init_environment = vec![("GREETING".into(), "good day".into())];
        machine.init_arguments = vec!["--name=A".into(), "two words".into(), "".into()];
        let line = machine.kernel_command_line().unwrap();
        assert!(
            line.ends_with(r#" mitigations=off "GREETING=good day" -- --name=A "two words" """#),
            "{line}"
        );
    }

    #[test]
    fn what_the_kernel_cannot_carry_is_refused() {
        let with = |arguments: Vec<String>, name: &str| {
            let init_environment = vec![(name.to_owned(), String::new())];
            Machine { init_arguments: arguments, init_environment, ..machine() }.kernel_command_line()
        };
        assert_eq!(with(vec!["say \"hi\"".into()], "A"), Err(LineError::Unquotable("say \"hi\"".into())));
        assert!(matches!(with(vec!["a\0b".into()], "A"), Err(LineError::Unquotable(_))));
        for name in ["", "a.b", "a b", "a=b"] {
            assert_eq!(with(vec![], name), Err(LineError::BadVariable(name.into())));
        }
        let many = LineError::TooMany { what: "arguments", count: 31 };
        assert_eq!(with(vec!["x".into(); 31], "A"), Err(many));
        assert!(with(vec!["x".into(); 30], "A").is_ok());
    }

    #[test]
    fn the_limit_is_exact() {
        let mut machine = machine();
        let base = machine.kernel_command_line().unwrap().len();
        machine.command_line = vec!["x".repeat(LENGTH_MAX - base - 1)];
        assert!(machine.kernel_command_line().is_ok());
        machine.command_line = vec!["x".repeat(LENGTH_MAX - base)];
        assert_eq!(machine.kernel_command_line(), Err(LineError::TooLong { length: LENGTH_MAX + 1 }));
    }
}
