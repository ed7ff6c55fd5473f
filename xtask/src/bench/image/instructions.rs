//! What firmware adds to a boot: guest instructions from the kernel's entry to the program's first line, of a unified kernel image
//! that UEFI starts, and of the same kernel and the same initramfs started directly.
//!
//! The machine is the one that `solum run --image` makes for the image, less its medium and its source of entropy. While
//! instructions are counted, OVMF waits for either without end: seen with QEMU 10.0.2 and OVMF of Debian 12, whether the medium
//! was recorded by `blkreplay` or not. Firmware has no interrupts to wait by; it asks again and again (OVMF's `VirtioFlush`), and it
//! seems that QEMU does not complete a request meanwhile. So QEMU hands the image to firmware in the way that it hands kernels over
//! (`-kernel`). For the direct boot, the firmware is taken away too, and the kernel, the initramfs and the image's own command line
//! are given in place of the image.

use super::entry;
use super::workbench::Workbench;
use crate::bench::guest::{self, Counts, Pace, twice};
use crate::bench::lab;
use crate::bench::table::{Row, grouped};
use crate::failure::{Failure, Outcome};
use crate::shell;
use std::path::Path;

/// The most that a boot by firmware may need of what a direct boot needs.
const TARGET: f64 = 1.2;

/// Counts for both ways.
pub fn measure(workbench: &Workbench) -> Outcome<Vec<Row>> {
    let probe = guest::write_probe(&workbench.lab)?;
    for (format, file) in [("uki", "probe.efi"), ("initramfs", "probe.boot")] {
        shell::capture(&mut workbench.solum(&["build", &probe, "--format", format, "--output", file]))?;
    }
    holds_the_same(workbench)?;
    let vmlinux = workbench.kernel.booted()?;
    let entry = entry::common_startup(&lab::read(vmlinux)?)?;
    let line = lab::read(&workbench.place("probe.boot/cmdline"))?;
    let line = String::from_utf8_lossy(&line).trim().to_owned();

    let whole = machine(workbench)?;
    let [by_firmware, bare] = split(whole.clone())?;
    let given = |words: &[String], options: &[(&str, String)]| {
        let more = options.iter().flat_map(|(option, value)| [(*option).to_owned(), value.clone()]);
        words.iter().cloned().chain(more).collect::<Vec<String>>()
    };
    let shown = |path: &Path| path.display().to_string();
    let by_firmware = given(&by_firmware, &[("-kernel", shown(&workbench.place("probe.efi")))]);
    let initramfs = shown(&workbench.place("probe.boot/initramfs"));
    let parts = [("-kernel", shown(vmlinux)), ("-initrd", initramfs), ("-append", line)];
    let directly = given(&bare, &parts);
    // The kernel that QEMU is given comes first, and two cannot.
    let (mut with_medium, _) = without(whole, is_firmware);
    with_medium.iter_mut().for_each(|word| *word = word.replace(",bootindex=0", ""));
    let with_medium = given(&with_medium, &parts);
    let firmware = twice(|| guest::count(by_firmware.clone(), Pace::EightNanoseconds, entry))?;
    let direct = twice(|| guest::count(directly.clone(), Pace::EightNanoseconds, entry))?;
    let beside = guest::count(with_medium, Pace::EightNanoseconds, entry)?;

    let ratio = firmware.first.line as f64 / direct.first.line as f64;
    let before = |counts: Counts| format!("{} instructions", grouped(counts.before));
    Ok(vec![
        Row::judged(
            "from kernel entry to the first line, by UEFI of directly",
            format_args!("{ratio:.3} times"),
            format_args!("at most {TARGET} times"),
            ratio <= TARGET,
        ),
        Row::told("… by UEFI, from a unified kernel image", firmware),
        Row::told("… directly, the same kernel, initramfs and command line", direct),
        Row::told(
            "… directly, with the medium and the source of entropy beside",
            format_args!("{} instructions", grouped(beside.line)),
        ),
        Row::told(
            "before kernel entry: firmware, EFI stub and the kernel unpacking itself",
            before(firmware.first),
        ),
        Row::told("… directly", before(direct.first)),
    ])
}

/// Both have been made of the same initramfs.
fn holds_the_same(workbench: &Workbench) -> Outcome {
    let image = lab::read(&workbench.place("probe.efi"))?;
    let initramfs = lab::read(&workbench.place("probe.boot/initramfs"))?;
    if memchr::memmem::find(&image, &initramfs).is_some() {
        return Ok(());
    }
    Err(Failure::new("the unified kernel image holds another initramfs than is beside the kernel"))
}

/// The machine for the image, as `solum run` makes it.
fn machine(workbench: &Workbench) -> Outcome<Vec<String>> {
    let mut command = workbench.solum(&[
        "run",
        "--image",
        "probe.efi",
        "--dry-run",
        "--json",
        "--accel",
        "tcg",
        "--snapshot",
    ]);
    serde_json::from_str(&shell::capture(&mut command)?)
        .map_err(|error| Failure::new(format!("`{}` was not understood: {error}", shell::shown(&command))))
}

fn is_firmware(value: &str) -> bool {
    value.starts_with("if=pflash,")
}

/// The machine without what it would wait for in vain, with its firmware and without.
fn split(words: Vec<String>) -> Outcome<[Vec<String>; 2]> {
    let is_waited_for = |value: &str| value.contains("=medium") || value.starts_with("virtio-rng");
    let (with, waited_for) = without(words, is_waited_for);
    let (bare, firmware) = without(with.clone(), is_firmware);
    // The medium, the device that has it, and the source of entropy; the firmware's code and its variables.
    if (waited_for, firmware) != (3, 2) {
        return Err(Failure::new("Solum's machine has another firmware or medium than this benchmark knows"));
    }
    Ok([with, bare])
}

/// The words without drives and devices of this kind, and how many of those there were.
fn without(words: Vec<String>, is_one: impl Fn(&str) -> bool) -> (Vec<String>, usize) {
    let mut kept = Vec::new();
    let mut count = 0;
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let has_value = word == "-drive" || word == "-device";
        if has_value && words.next_if(|value| is_one(value)).is_some() {
            count += 1;
        } else {
            kept.push(word);
        }
    }
    (kept, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn firmware_and_what_it_waits_for_are_taken_away_and_nothing_else() {
        let machine = words(
            "qemu -m 256M -drive if=pflash,file=a -drive if=pflash,file=b -drive if=none,id=medium,file=c \
             -device virtio-blk-pci,drive=medium,bootindex=0 -device virtio-rng-pci -device virtio-net-pci",
        );
        let [with, bare] = split(machine).expect("it is known");
        let firmware = "qemu -m 256M -drive if=pflash,file=a -drive if=pflash,file=b -device virtio-net-pci";
        assert_eq!(with, words(firmware));
        assert_eq!(bare, words("qemu -m 256M -device virtio-net-pci"));
        assert!(split(words("qemu -bios x -device virtio-rng-pci")).is_err());
    }
}
