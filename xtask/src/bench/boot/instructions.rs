//! Guest instructions from the kernel's entry to the program's first line.
//!
//! QEMU counts every instruction that its processor executes while it records a run (`-icount …,rr=record`;
//! docs/system/replay.rst), and its monitor tells the count. A debugger stops the machine at the two addresses
//! between which is counted. Waiting costs no instructions, and the clock follows the count, so the same kernel
//! and the same initramfs give the same number, on any machine.

use super::debugger::Debugger;
use super::lab::{self, Kernel, Lab};
use super::probe;
use crate::bench::table::{Row, grouped};
use crate::failure::{Failure, Outcome};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The most that the `vm` kernel may need of what Debian's needs.
const TARGET_PERCENT: f64 = 30.0;

/// Instructions since the kernel's entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counts {
    /// Until the program's first instruction.
    started: u64,
    /// Until its first line is written.
    line: u64,
}

/// Counts for both kernels, with the same initramfs on the same machine.
pub fn measure(lab: &Lab) -> Outcome<Vec<Row>> {
    let (vm, debian) = (lab.vm_kernel()?, lab.debian_kernel()?);
    let program = lab.workspace.scratch("probe")?;
    write_executable(&program, &probe::executable())?;
    let program = program.display().to_string();
    // Debian's modules and all, for both: the `vm` kernel unpacks them in vain.
    let same = lab.take("same.initramfs", &program, &["--kernel", "debian"])?;
    let small = lab.take("small.initramfs", &program, &[])?;
    let bare = lab.take("bare.initramfs", &program, &["--compress", "none"])?;

    let entry =
        |kernel: &Kernel| Ok((kernel.booted()?.to_owned(), pvh_entry(&lab::read(kernel.booted()?)?)?));
    let (vm_file, vm_entry) = entry(&vm)?;
    let (debian_file, debian_entry) = entry(&debian)?;
    let count = |kernel: &Path, entry, initramfs: &Path| count(lab, kernel, entry, initramfs);
    let vm_same = twice(|| count(&vm_file, vm_entry, &same))?;
    let debian_same = twice(|| count(&debian_file, debian_entry, &same))?;
    let vm_small = count(&vm_file, vm_entry, &small)?;
    let vm_bare = count(&vm_file, vm_entry, &bare)?;
    let vm_packed = count(&vm.image, BZIMAGE_ENTRY, &same)?;
    let debian_packed = count(&debian.image, BZIMAGE_ENTRY, &same)?;

    let percent = |part: Counts, whole: Counts| 100.0 * part.line as f64 / whole.line as f64;
    let ratio = percent(vm_same.first, debian_same.first);
    let millions = |counts: Counts| format!("{} instructions", grouped(counts.line));
    Ok(vec![
        Row::judged(
            "from kernel entry to the first line, `vm` of Debian's, same initramfs",
            format_args!("{ratio:.1} %"),
            format_args!("at most {TARGET_PERCENT} %"),
            ratio <= TARGET_PERCENT,
        ),
        Row::told(&format!("… `vm` kernel, {}", vm.version), vm_same),
        Row::told(&format!("… Debian's cloud kernel, {}", debian.version), debian_same),
        Row::told(
            "… both from the bzImage, which unpacks itself first",
            format_args!(
                "{:.1} %: {} of {}",
                percent(vm_packed, debian_packed),
                grouped(vm_packed.line),
                grouped(debian_packed.line)
            ),
        ),
        Row::told("… `vm` kernel without Debian's modules in the initramfs", millions(vm_small)),
        Row::told("… the same, initramfs not compressed", millions(vm_bare)),
    ])
}

/// The same count, twice.
#[derive(Clone, Copy)]
struct Twice {
    first: Counts,
    second: Counts,
}

fn twice(mut count: impl FnMut() -> Outcome<Counts>) -> Outcome<Twice> {
    Ok(Twice { first: count()?, second: count()? })
}

impl std::fmt::Display for Twice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let spread = self.first.line.abs_diff(self.second.line);
        let Counts { started, line } = self.first;
        write!(
            formatter,
            "{} instructions, the program's own start at {}; a second run differs by {}",
            grouped(line),
            grouped(started),
            grouped(spread)
        )
    }
}

/// Where a boot loader enters a bzImage: QEMU puts the setup code at 0x10000 (hw/i386/x86.c, `x86_load_linux`), and
/// its entry is one sector further (Documentation/arch/x86/boot.rst, "Running the Kernel").
const BZIMAGE_ENTRY: u64 = 0x1_0200;

/// Boots the kernel with the initramfs, and counts between its entry and the probe's line.
fn count(lab: &Lab, kernel: &Path, entry: u64, initramfs: &Path) -> Outcome<Counts> {
    let (kernel, initramfs) = (kernel.display().to_string(), initramfs.display().to_string());
    // The same machine for both kernels, and the one every kernel boots on.
    let options = ["exec", "--dry-run", "--json", "--accel", "tcg", "--machine", "q35"];
    let words: Vec<String> = lab.json(&[&options[..], &[&kernel, &initramfs]].concat())?;
    let mut guest = Guest::start(counting(words)?)?;
    let mut count_at = |address| {
        guest.debugger.run_to(address)?;
        instruction_count(&guest.debugger.monitor("info replay")?)
    };
    let entered = count_at(entry)?;
    Ok(Counts { started: count_at(probe::ENTRY)? - entered, line: count_at(probe::LINE_WRITTEN)? - entered })
}

/// Solum's machine, made countable: nothing comes from outside but what the recording knows of.
fn counting(mut words: Vec<String>) -> Outcome<Vec<String>> {
    // Standard input is the debugger's, and nobody reads the console.
    let stdio = words.iter_mut().find(|word| word.starts_with("stdio,"));
    let stdio =
        stdio.ok_or_else(|| Failure::new("Solum's machine has another console than this benchmark knows"))?;
    *stdio = "null,id=console,mux=on".into();
    let more = [
        // One instruction is one nanosecond of the machine's clock, and waiting jumps to the next timer.
        ("-icount", "shift=0,sleep=off,rr=record,rrfile=/dev/null"),
        ("-rtc", "base=2026-01-01,clock=vm"),
        ("-seed", "1"),
        ("-object", "filter-replay,id=recorder,netdev=net0"),
        ("-chardev", "socket,id=debugger,fd=0"),
        ("-gdb", "chardev:debugger"),
    ];
    words.push("-S".into());
    words.extend(more.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]));
    Ok(words)
}

/// An emulator that ends with this value.
struct Guest {
    process: Child,
    debugger: Debugger,
}

impl Guest {
    fn start(words: Vec<String>) -> Outcome<Self> {
        let failed =
            |error: std::io::Error| Failure::new(format!("the emulator could not be started: {error}"));
        let (near, far) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(OwnedFd::from(far)).stdout(Stdio::null());
        let process = command.spawn().map_err(failed)?;
        Ok(Self { process, debugger: Debugger::new(near)? })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself; and what is counted is counted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads "Recording execution '…': instruction count = 253358922" (monitor/replay: `hmp_info_replay`).
fn instruction_count(answer: &str) -> Outcome<u64> {
    answer
        .rsplit_once("instruction count = ")
        .and_then(|(_, number)| number.trim().parse().ok())
        .ok_or_else(|| Failure::new(format!("the emulator counts no instructions: `{}`", answer.trim())))
}

/// The note with the entry of the x86/HVM direct boot ABI, `XEN_ELFNOTE_PHYS32_ENTRY` (Xen's `public/elfnote.h`).
const PHYS32_ENTRY: u32 = 18;

/// The physical address at which a hypervisor enters a `vmlinux`.
fn pvh_entry(vmlinux: &[u8]) -> Outcome<u64> {
    let entry =
        find_pvh_entry(vmlinux).map_err(|error| Failure::new(format!("the kernel is damaged: {error}")))?;
    entry.ok_or_else(|| Failure::new("the kernel names no entry for PVH"))
}

fn find_pvh_entry(vmlinux: &[u8]) -> object::Result<Option<u64>> {
    let header = elf::FileHeader64::<Endianness>::parse(vmlinux)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, vmlinux)? {
        let Some(mut notes) = segment.notes(endian, vmlinux)? else { continue };
        while let Some(note) = notes.next()? {
            let address = note.desc().first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
            if note.name() == b"Xen" && note.n_type(endian).0 == PHYS32_ENTRY && address.is_some() {
                return Ok(address);
            }
        }
    }
    Ok(None)
}

fn write_executable(path: &Path, bytes: &[u8]) -> Outcome {
    fs::write(path, bytes)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| Failure::new(format!("{} could not be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_the_monitor_says() {
        let answer = "Recording execution '/dev/null': instruction count = 15872572\r\n";
        assert_eq!(instruction_count(answer).ok(), Some(15_872_572));
        assert!(instruction_count("unknown command: 'info replay'\r\n").is_err());
    }

    #[test]
    fn a_machine_without_the_known_console_is_refused() {
        let words = |console: &str| vec!["qemu".to_owned(), "-chardev".to_owned(), console.to_owned()];
        assert!(counting(words("socket,id=console")).is_err());
        let counted = counting(words("stdio,id=console,mux=on,signal=off")).expect("it is known");
        assert_eq!(counted[2], "null,id=console,mux=on");
        assert!(counted.contains(&"chardev:debugger".to_owned()));
    }

    #[test]
    fn the_probe_is_no_kernel() {
        let failure = pvh_entry(&probe::executable()).expect_err("it has no notes");
        assert!(failure.to_string().contains("no entry for PVH"), "{failure}");
    }
}
