//! Guest instructions from the kernel's entry to the program's first line.
//!
//! The same kernel and the same initramfs give the same number, on any machine ([`guest`]).

use crate::bench::guest::{self, Counts, Pace, twice};
use crate::bench::lab::{self, Kernel, Lab};
use crate::bench::table::{Row, grouped};
use crate::failure::{Failure, Outcome};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};
use std::path::Path;

/// The most that the `vm` kernel may need of what Debian's needs.
const TARGET_PERCENT: f64 = 30.0;

/// Counts for both kernels, with the same initramfs on the same machine.
pub fn measure(lab: &Lab) -> Outcome<Vec<Row>> {
    let (vm, debian) = (lab.vm_kernel()?, lab.debian_kernel()?);
    let program = guest::write_probe(lab)?;
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

/// Where a boot loader enters a bzImage: QEMU puts the setup code at 0x10000 (hw/i386/x86.c, `x86_load_linux`), and
/// its entry is one sector further (Documentation/arch/x86/boot.rst, "Running the Kernel").
const BZIMAGE_ENTRY: u64 = 0x1_0200;

/// Boots the kernel with the initramfs, and counts between its entry and the probe's line.
fn count(lab: &Lab, kernel: &Path, entry: u64, initramfs: &Path) -> Outcome<Counts> {
    let (kernel, initramfs) = (kernel.display().to_string(), initramfs.display().to_string());
    // The same machine for both kernels, and the one every kernel boots on.
    let options = ["exec", "--dry-run", "--json", "--accel", "tcg", "--machine", "q35"];
    guest::count(lab.json(&[&options[..], &[&kernel, &initramfs]].concat())?, Pace::Nanosecond, entry)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::probe;

    #[test]
    fn the_probe_is_no_kernel() {
        let failure = pvh_entry(&probe::executable()).expect_err("it has no notes");
        assert!(failure.to_string().contains("no entry for PVH"), "{failure}");
    }
}
