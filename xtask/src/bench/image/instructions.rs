//! What firmware adds to a boot: guest instructions from the kernel's entry to the program's first line, of a unified kernel image
//! that UEFI starts, and of the same kernel and the same initramfs started directly.
//!
//! The machine is the one that `solum run --image` makes for the image. For the direct boot, its firmware and the medium that holds
//! the image are taken away, and the kernel and the initramfs are given instead, with the image's own command line.

use super::entry;
use super::workbench::Workbench;
use crate::bench::guest::{self, Counts, twice};
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

    let by_firmware = machine(workbench)?;
    let directly =
        without_firmware(by_firmware.clone(), vmlinux, &workbench.place("probe.boot/initramfs"), &line)?;
    let firmware = twice(|| guest::count(by_firmware.clone(), entry))?;
    let direct = twice(|| guest::count(directly.clone(), entry))?;

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

/// The same machine, but for firmware and medium.
fn without_firmware(words: Vec<String>, kernel: &Path, initramfs: &Path, line: &str) -> Outcome<Vec<String>> {
    let mut kept = Vec::new();
    let mut words = words.into_iter().peekable();
    let mut removed = 0;
    while let Some(word) = words.next() {
        let is_medium = |value: &String| value.starts_with("if=pflash,") || value.contains("=medium");
        if (word == "-drive" || word == "-device") && words.next_if(is_medium).is_some() {
            removed += 1;
        } else {
            kept.push(word);
        }
    }
    // Its code, its variables, the medium and the device that has it.
    if removed != 4 {
        return Err(Failure::new("Solum's machine has another firmware or medium than this benchmark knows"));
    }
    let [kernel, initramfs] = [kernel, initramfs].map(|path| path.display().to_string());
    for (option, value) in [("-kernel", kernel), ("-initrd", initramfs), ("-append", line.to_owned())] {
        kept.extend([option.to_owned(), value]);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn firmware_and_medium_are_taken_away_and_nothing_else() {
        let with = words(
            "qemu -m 256M -drive if=pflash,file=a -drive if=pflash,file=b -drive if=none,id=medium,file=c \
             -device virtio-blk-pci,drive=medium,bootindex=0 -device virtio-rng-pci",
        );
        let without =
            without_firmware(with, Path::new("k"), Path::new("i"), "quiet panic=1").expect("it is known");
        let expected = "qemu -m 256M -device virtio-rng-pci -kernel k -initrd i -append";
        assert_eq!(without, [words(expected), vec!["quiet panic=1".to_owned()]].concat());
        let other = words("qemu -bios x -device virtio-rng-pci");
        assert!(without_firmware(other, Path::new("k"), Path::new("i"), "").is_err());
    }
}
