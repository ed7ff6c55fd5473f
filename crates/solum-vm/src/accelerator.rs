//! What executes a machine's instructions: the host's processor (KVM), or an emulator (TCG).

use std::fmt;

/// What executes the instructions of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's processor, through `/dev/kvm`.
    Kvm,
    /// QEMU's Tiny Code Generator: works everywhere, some ten times slower.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// What the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requested {
    /// KVM where it is sure to work, else emulation.
    #[default]
    Auto,
    /// This one, whatever the facts.
    Exactly(Accelerator),
}

/// What was found out about this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The host's architecture, as Rust names it: `x86_64`, `aarch64`.
    pub architecture: &'static str,
    /// `/dev/kvm` opens for reading and writing, or why not.
    pub kvm: Result<(), KvmError>,
    /// The processor shows `vmx` or `svm` (x86 only).
    pub virtualization_flags: bool,
}

/// Why `/dev/kvm` cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvmError {
    /// There is no such file.
    Missing,
    /// This user may not.
    Forbidden,
    /// Anything else: the device answers with an error.
    Broken,
}

/// An accelerator, and why it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What will execute the machine's instructions.
    pub accelerator: Accelerator,
    /// One sentence for people.
    pub reason: String,
}

/// Looks at this host.
pub fn facts() -> Facts {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    let kvm = opened.map(drop).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => KvmError::Missing,
        std::io::ErrorKind::PermissionDenied => KvmError::Forbidden,
        _ => KvmError::Broken,
    });
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Facts { architecture: std::env::consts::ARCH, kvm, virtualization_flags: shows_virtualization(&cpuinfo) }
}

/// Whether a `flags` line of `/proc/cpuinfo` holds `vmx` (Intel) or `svm` (AMD).
fn shows_virtualization(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == "flags"))
        .any(|(_, flags)| flags.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

/// Decides, from what was asked for and what was found.
///
/// On x86, a `/dev/kvm` that opens is not enough: in some nested set-ups it works by emulating kernel mode, and a
/// boot takes minutes or dies. There the processor flags are missing.
pub fn choose(requested: Requested, facts: &Facts) -> Choice {
    let (accelerator, reason) = match (requested, facts.kvm) {
        (Requested::Exactly(accelerator), _) => (accelerator, "as requested"),
        (_, Err(KvmError::Missing)) => (Accelerator::Tcg, "this host has no /dev/kvm"),
        (_, Err(KvmError::Forbidden)) => {
            (Accelerator::Tcg, "this user may not open /dev/kvm (membership in the group `kvm` would do)")
        }
        (_, Err(KvmError::Broken)) => (Accelerator::Tcg, "/dev/kvm is there but cannot be opened"),
        (_, Ok(())) if facts.architecture != "x86_64" => (Accelerator::Kvm, "/dev/kvm opens"),
        (_, Ok(())) if facts.virtualization_flags => {
            (Accelerator::Kvm, "/dev/kvm opens and the processor virtualizes (vmx or svm)")
        }
        (_, Ok(())) => (
            Accelerator::Tcg,
            "/dev/kvm opens, but the processor shows neither vmx nor svm, so it cannot be relied on",
        ),
    };
    Choice { accelerator, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_kvm_only_where_it_works() {
        use Accelerator::{Kvm, Tcg};
        for (architecture, kvm, virtualization_flags, expected) in [
            ("x86_64", Ok(()), true, Kvm),
            ("x86_64", Ok(()), false, Tcg),
            ("x86_64", Err(KvmError::Missing), true, Tcg),
            ("x86_64", Err(KvmError::Forbidden), true, Tcg),
            ("x86_64", Err(KvmError::Broken), true, Tcg),
            ("aarch64", Ok(()), false, Kvm),
            ("aarch64", Err(KvmError::Missing), false, Tcg),
        ] {
            let facts = Facts { architecture, kvm, virtualization_flags };
            assert_eq!(choose(Requested::Auto, &facts).accelerator, expected, "{facts:?}");
            for forced in [Kvm, Tcg] {
                assert_eq!(choose(Requested::Exactly(forced), &facts).accelerator, forced);
            }
        }
    }

    #[test]
    fn flags_are_whole_words_of_the_flags_line() {
        assert!(shows_virtualization("model name\t: x\nflags\t\t: fpu vmx sse\n"));
        assert!(shows_virtualization("flags : svm"));
        assert!(!shows_virtualization("flags : fpu svm_lock vmx2\n"));
        assert!(!shows_virtualization("vmx flags\t: vnmi\nbugs : vmx"));
    }
}
