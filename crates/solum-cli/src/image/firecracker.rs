//! The configuration of a Firecracker machine (its docs/getting-started.md and src/vmm/src/resources.rs name the keys).

use serde::Serialize;
use solum_spec::ByteSize;
use solum_vm::LineError;

/// What Firecracker adds itself is the devices. There is no ACPI power-off, and a reset ends the machine. Its keyboard has one
/// use, to ask for the end (docs/actions.md, `SendCtrlAltDel`), and answers to nothing else.
const LINE: &str = "rdinit=/init quiet loglevel=4 console=ttyS0 panic=-1 panic_print=0x20 reboot=k i8042.noaux \
                    i8042.nomux i8042.nopnp i8042.dumbkbd solum.end=reboot solum.control=none";

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Configuration<'a> {
    boot_source: BootSource<'a>,
    drives: [(); 0],
    machine_config: MachineConfig,
}

#[derive(Serialize)]
struct BootSource<'a> {
    kernel_image_path: &'a str,
    initrd_path: &'a str,
    boot_args: String,
}

#[derive(Serialize)]
struct MachineConfig {
    vcpu_count: u16,
    mem_size_mib: u64,
}

/// Names of the files in the directory, which is where Firecracker is started.
pub const KERNEL: &str = "vmlinux";
/// See [`KERNEL`].
pub const INITRAMFS: &str = "initramfs";
/// See [`KERNEL`].
pub const CONFIGURATION: &str = "firecracker.json";

/// The command line.
pub fn kernel_line(append: &[String]) -> Result<String, LineError> {
    solum_vm::line_of(&[&[LINE.to_owned()], append].concat())
}

/// The command line in the text of a configuration.
pub fn line_of(configuration: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(configuration).ok()?;
    Some(value.get("boot-source")?.get("boot_args")?.as_str()?.to_owned())
}

/// Whether a word is about consoles and power as Firecracker has them.
pub fn is_own(word: &str) -> bool {
    ["console=ttyS0", "reboot=k", "panic=-1", "solum.end=reboot", "solum.control=none"].contains(&word)
}

/// The text of the configuration.
pub fn configuration(memory: ByteSize, cpus: u16, line: String) -> String {
    let configuration = Configuration {
        boot_source: BootSource { kernel_image_path: KERNEL, initrd_path: INITRAMFS, boot_args: line },
        drives: [],
        machine_config: MachineConfig { vcpu_count: cpus, mem_size_mib: memory.as_mebibytes() },
    };
    // A plain structure with names as keys has no way not to be JSON.
    serde_json::to_string_pretty(&configuration).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_firecracker_reads() {
        let text = configuration(ByteSize::mebibytes(64), 2, kernel_line(&["extra".to_owned()]).unwrap());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["boot-source"]["kernel_image_path"], "vmlinux");
        assert_eq!(value["machine-config"]["mem_size_mib"], 64);
        assert!(value["boot-source"]["boot_args"].as_str().unwrap().ends_with(" extra"), "{text}");
        assert_eq!(value["drives"].as_array().unwrap().len(), 0);
    }
}
