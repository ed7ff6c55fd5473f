//! How large the images of hello are.

use super::workbench::{Weight, Workbench};
use crate::bench::lab;
use crate::bench::table::{Row, grouped};
use crate::failure::{Failure, Outcome};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The whole ISO.
const TARGET_ISO: u64 = 4_000_000;

/// The disk, compressed.
const TARGET_DISK: u64 = 5_000_000;

/// As `zstd -19` has it: whoever offers a disk for download takes the time.
const LEVEL: i32 = 19;

/// Makes every format that is one file, and the pair, and weighs them.
pub fn measure(workbench: &Workbench) -> Outcome<Vec<Row>> {
    let iso = lab::length(&workbench.build("iso", "hello.iso", &[])?)?;
    let disk = workbench.build("disk", "hello.img", &[])?;
    let compressed = compressed_length(&disk)?;
    let told = |figure: &str, format: &str, file: &str| {
        Ok(Row::told(figure, shown(Weight::of(&workbench.build(format, file, &[])?)?)))
    };
    Ok(vec![
        Row::judged(
            "ISO of hello",
            bytes(iso),
            format_args!("at most {}", bytes(TARGET_ISO)),
            iso <= TARGET_ISO,
        ),
        Row::judged(
            "disk of hello, compressed with zstd at level 19",
            bytes(compressed),
            format_args!("at most {}", bytes(TARGET_DISK)),
            compressed <= TARGET_DISK,
        ),
        Row::told("… as it is", shown(Weight::of(&disk)?)),
        told("… as qcow2", "qcow2", "hello.qcow2")?,
        told("… as vmdk", "vmdk", "hello.vmdk")?,
        told("… as vhd", "vhd", "hello.vhd")?,
        told("unified kernel image of hello", "uki", "hello.efi")?,
        told(
            "kernel and initramfs of hello, with command line and bill of materials",
            "initramfs",
            "hello.boot",
        )?,
        Row::told("… the kernel in all of them", bytes(lab::length(&workbench.kernel.image)?)),
        Row::told("… the initramfs", bytes(lab::length(&workbench.place("hello.boot/initramfs"))?)),
        told("hello for Firecracker, with the uncompressed kernel", "firecracker", "hello.firecracker")?,
    ])
}

fn bytes(number: u64) -> String {
    format!("{} bytes", grouped(number))
}

fn shown(weight: Weight) -> String {
    let Weight { bytes: all, taken } = weight;
    // A file takes whole blocks, which are not what holes are about.
    if taken.saturating_mul(2) < all {
        format!("{}, of which {} are taken", bytes(all), grouped(taken))
    } else {
        bytes(all)
    }
}

fn compressed_length(path: &Path) -> Outcome<u64> {
    let compressed = || {
        let mut encoder = zstd::Encoder::new(Counter(0), LEVEL)?;
        io::copy(&mut File::open(path)?, &mut encoder)?;
        Ok(encoder.finish()?.0)
    };
    compressed().map_err(|error: io::Error| {
        Failure::new(format!("{} could not be compressed: {error}", path.display()))
    })
}

/// Forgets what it is given, but for how much that was.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_told() {
        assert_eq!(shown(Weight { bytes: 5000, taken: 8192 }), "5 000 bytes");
        let sparse = Weight { bytes: 1 << 20, taken: 4096 };
        assert_eq!(shown(sparse), "1 048 576 bytes, of which 4 096 are taken");
    }

    #[test]
    fn nothing_compresses_to_next_to_nothing() {
        let path = std::env::temp_dir().join(format!("solum-compress-{}", std::process::id()));
        File::create(&path).and_then(|file| file.set_len(1 << 20)).unwrap();
        let length = compressed_length(&path);
        std::fs::remove_file(&path).unwrap();
        let length = length.expect("it can be read");
        assert!((1..1000).contains(&length), "{length}");
    }
}
