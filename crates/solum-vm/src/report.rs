//! How a run ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use solum_spec::ByteSize;
use solum_spec::control::{Outcome, signal_name};

use crate::accelerator::Accelerator;
use crate::life::Cause;

/// All that is known of a run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// The machine started anew instead of being switched off, so it wants to be booted again.
    pub reboots: bool,
    /// The newest lines of the kernel's log; empty for a process of the host.
    pub kernel_log: Vec<String>,
    /// When things happened.
    pub durations: Durations,
}

/// When things happened, since the emulator or process was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// PID 1 said hello.
    pub hello: Option<Duration>,
    /// The program was started.
    pub started: Option<Duration>,
    /// The program ended.
    pub ended: Option<Duration>,
    /// The machine was gone.
    pub total: Duration,
}

/// How a run ended. [`Display`](fmt::Display) is one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The program ended, and this is how.
    Program(Outcome),
    /// The kernel panicked, or could not even be unpacked; the text is its own, like `VFS: Unable to mount root fs`.
    KernelPanic(String),
    /// The kernel ended the program because the machine's memory ran out; this much is worth a try.
    OutOfMemory(ByteSize),
    /// The memory is too small for the kernel or the image; the text is the kernel's own, and how much should do.
    MemoryTooSmall(String),
    /// The firmware found nothing that it could boot.
    NotBootable,
    /// The machine is gone, and nobody said how the program ended.
    Vanished,
    /// This signal ended QEMU: to the machine, a power cut.
    PowerCut(i32),
    /// The user stopped it, and the program's status is not known.
    Stopped,
    /// The user ended it by force.
    Killed,
    /// The time limit was reached.
    TimedOut(Duration),
    /// Nothing happened for this long before PID 1 said hello, under this accelerator.
    NoProgress(Duration, Accelerator),
    /// PID 1 speaks this other version of the control protocol.
    OtherProtocol(u16),
    /// What came on the control channel is not its protocol.
    Garbled,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(outcome) => outcome.fmt(f),
            Self::OutOfMemory(_) => f.write_str(
                "the machine's memory ran out, and the kernel ended the program by signal 9 (SIGKILL)",
            ),
            Self::KernelPanic(text) => write!(f, "the kernel panicked: {text}"),
            Self::MemoryTooSmall(text) => write!(f, "the machine has too little memory: {text}"),
            Self::NotBootable => f.write_str("the firmware found nothing that it could boot"),
            Self::Vanished => f.write_str("the machine ended without saying how its program ended"),
            Self::PowerCut(signal) => {
                let name = u8::try_from(*signal).map_or("", signal_name);
                write!(f, "QEMU was ended by signal {signal}{name}")
            }
            Self::Stopped => f.write_str("the machine was stopped before its program said how it ended"),
            Self::Killed => f.write_str("the machine was ended by force"),
            Self::TimedOut(limit) => write!(f, "the time limit of {} s was reached", limit.as_secs_f32()),
            Self::NoProgress(limit, _) => {
                write!(f, "the machine did nothing for {} s while it started", limit.as_secs_f32())
            }
            Self::Garbled => {
                f.write_str("the machine sent something on the control channel that is not its protocol")
            }
            Self::OtherProtocol(version) => {
                write!(
                    f,
                    "the image's init speaks version {version} of the control protocol, which is not ours"
                )
            }
        }
    }
}

impl End {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::OutOfMemory(worth_a_try) => {
                return Some(format!(
                    "give it more, for example with --memory {}M",
                    worth_a_try.as_mebibytes()
                ));
            }
            Self::MemoryTooSmall(_) => "give the machine more with --memory",
            Self::KernelPanic(_) => "--verbose shows everything the kernel says",
            Self::NotBootable => {
                "look at the image with `solum inspect`; a machine without the drivers of its medium stays here, too: see --attach"
            }
            Self::Vanished => {
                "--verbose shows everything the kernel says; if that is nothing, try more --memory"
            }
            Self::NoProgress(_, Accelerator::Kvm) => {
                "try --accel tcg, because a nested /dev/kvm can be unusable; --verbose shows how far the kernel gets"
            }
            Self::NoProgress(_, Accelerator::Tcg) => {
                "--verbose shows how far the kernel gets; if it says nothing at all, try one that is known to boot: \
                 --kernel debian"
            }
            Self::OtherProtocol(_) | Self::Garbled => "build the image with this version of Solum",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// How the kernel's own sentence about a panic starts (kernel/panic.c).
const PANIC: &str = "Kernel panic - not syncing: ";

/// What the code that unpacks a kernel says in the end, after the reason (arch/x86/boot/compressed/error.c).
pub(crate) const HALTED: &str = "-- System halted";

/// What OVMF starts when nothing else could be started, on the same serial port (edk2, ShellPkg).
const FIRMWARE_SHELL: &str = "UEFI Interactive Shell";

/// What the firmware says of a system for which there was no room (edk2, MdePkg/Include/Uefi/UefiBaseType.h,
/// `EFI_OUT_OF_RESOURCES`).
const NO_ROOM: &str = "Out of Resources";

/// Whether a line of the kernel's log, or of the firmware's before it, says that it cannot go on.
pub(crate) fn is_panic(line: &str) -> bool {
    line.contains(PANIC) || line.contains(HALTED) || line.contains(FIRMWARE_SHELL)
}

/// The kernel's own reason why it could not go on.
fn panic_reason(kernel_log: &[String]) -> Option<&str> {
    let halted = || {
        let at = kernel_log.iter().position(|line| line.contains(HALTED))?;
        Some(kernel_log.get(at.checked_sub(1)?)?.as_str())
    };
    kernel_log.iter().find_map(|line| Some(line.split_once(PANIC)?.1)).or_else(halted)
}

/// What kernels say when there is too little memory for them or for the initramfs.
const TOO_LITTLE_MEMORY: [&str; 5] = [
    "System is deadlocked on memory",
    "Out of memory and no killable processes",
    "Initramfs unpacking failed: write error",
    "initrd extends beyond end of memory",
    "Failed to allocate",
];

/// How the kernel begins to say whom it ended to get memory back (mm/oom_kill.c, `__oom_kill_process`). Where a control
/// group's limit was reached instead, it begins otherwise.
const OUT_OF_MEMORY: &str = "Out of memory: Killed process";

/// SIGKILL, by which the kernel does that (signal(7)).
const SIGKILL: u8 = 9;

/// What is known of a machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What the machine was given.
    pub(crate) given: ByteSize,
    /// What should do for kernel and image.
    pub(crate) enough: ByteSize,
}

/// The end of a run, from why it ended and from what the kernel said.
pub(crate) fn judge(cause: Cause, kernel_log: &[String], memory: Memory, accelerator: Accelerator) -> End {
    let otherwise = match cause {
        Cause::Program(Outcome::Signaled { signal: SIGKILL, after_grace: false })
            if kernel_log.iter().any(|line| line.contains(OUT_OF_MEMORY)) =>
        {
            return End::OutOfMemory(ByteSize::bytes(memory.given.as_bytes().saturating_mul(2)));
        }
        Cause::Program(outcome) => return End::Program(outcome),
        Cause::Killed => return End::Killed,
        Cause::TimedOut(limit) => return End::TimedOut(limit),
        Cause::OtherProtocol(version) => return End::OtherProtocol(version),
        Cause::Garbled => return End::Garbled,
        Cause::Stopped => End::Stopped,
        Cause::Silent(limit) => End::NoProgress(limit, accelerator),
        Cause::Panicked | Cause::Unknown => End::Vanished,
    };
    let says = |text: &str| kernel_log.iter().any(|line| line.contains(text));
    if says(FIRMWARE_SHELL) {
        return match says(NO_ROOM) {
            true => {
                End::MemoryTooSmall("there is no room to unpack the kernel beside the firmware".to_owned())
            }
            false => End::NotBootable,
        };
    }
    let Some(panic) = panic_reason(kernel_log) else { return otherwise };
    let shortage =
        kernel_log.iter().find_map(|line| TOO_LITTLE_MEMORY.iter().find(|text| line.contains(**text)));
    match shortage {
        Some(text) => {
            End::MemoryTooSmall(format!("{text}; {} MiB should be enough", memory.enough.as_mebibytes()))
        }
        None => End::KernelPanic(panic.to_owned()),
    }
}

/// The signal that ended QEMU, if nobody here sent it and QEMU did not say why it gives up.
pub(crate) fn power_cut(cause: &Cause, status: ExitStatus, complaints: &str) -> Option<i32> {
    status.signal().filter(|_| *cause == Cause::Unknown && complaints.trim().is_empty())
}

/// QEMU's own words, if it is QEMU that failed and not the machine.
pub(crate) fn refusal(cause: &Cause, status: ExitStatus, complaints: &str) -> Option<String> {
    if status.success() || *cause != Cause::Unknown {
        return None;
    }
    // `qemu-system-x86_64: -m 1X: …`: the program's name says nothing that the sentence around it does not.
    let lines = complaints.lines().map(|line| line.split_once(": ").map_or(line, |(_, text)| text).trim());
    let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    Some(if text.is_empty() { format!("it ended with {status} and said nothing") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_words_explain_an_end() {
        let memory = Memory { given: ByteSize::mebibytes(30), enough: ByteSize::mebibytes(40) };
        let killed = |after_grace| Outcome::Signaled { signal: SIGKILL, after_grace };
        const EATEN: &str = "[    9.1] Out of memory: Killed process 61 (eater) total-vm:99kB";
        let panic = |text: &str| End::KernelPanic(text.to_owned());
        for (log, cause, end) in [
            (vec![], Cause::Unknown, End::Vanished),
            (vec!["UEFI Interactive Shell v2.2"], Cause::Panicked, End::NotBootable),
            (vec!["[    0.1] fine"], Cause::Stopped, End::Stopped),
            (vec![EATEN], Cause::Program(killed(false)), End::OutOfMemory(ByteSize::mebibytes(60))),
            (vec![EATEN], Cause::Program(killed(true)), End::Program(killed(true))),
            (vec![EATEN], Cause::Program(Outcome::Exited(1)), End::Program(Outcome::Exited(1))),
            (vec![], Cause::Program(killed(false)), End::Program(killed(false))),
            (vec!["[    0.1] Kernel panic - not syncing: VFS"], Cause::Unknown, panic("VFS")),
            (vec!["[    0.1] Kernel panic - not syncing: VFS"], Cause::Killed, End::Killed),
            (
                vec!["ZSTD-compressed data is corrupt", " -- System halted"],
                Cause::Panicked,
                panic("ZSTD-compressed data is corrupt"),
            ),
            (vec![" -- System halted"], Cause::Panicked, End::Vanished),
            (
                vec!["Initramfs unpacking failed: write error", "Kernel panic - not syncing: VFS"],
                Cause::Panicked,
                End::MemoryTooSmall(
                    "Initramfs unpacking failed: write error; 40 MiB should be enough".to_owned(),
                ),
            ),
        ] {
            let lines: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(judge(cause, &lines, memory, Accelerator::Tcg), end, "{log:?}");
        }
    }

    #[test]
    fn a_refusal_is_qemus_own_failure_and_nothing_else() {
        let failed = ExitStatus::from_raw(1 << 8);
        assert_eq!(refusal(&Cause::Unknown, ExitStatus::from_raw(0), "qemu: a warning"), None);
        let killed = ExitStatus::from_raw(9);
        assert_eq!(refusal(&Cause::Killed, killed, ""), None);
        assert_eq!(power_cut(&Cause::Unknown, killed, "\n"), Some(9));
        assert_eq!(power_cut(&Cause::Unknown, killed, "qemu: out of everything"), None);
        assert_eq!(power_cut(&Cause::Stopped, killed, ""), None);
        assert_eq!(power_cut(&Cause::Unknown, failed, ""), None);
        assert_eq!(
            refusal(&Cause::Unknown, failed, "qemu: bad\n\nqemu: worse\n").as_deref(),
            Some("bad; worse")
        );
        assert_eq!(
            refusal(&Cause::Unknown, failed, "").as_deref(),
            Some("it ended with exit status: 1 and said nothing")
        );
    }
}
