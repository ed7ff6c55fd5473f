//! What others say about the images that are made here: the tools that people check theirs with.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use solum_image::{ReadAt, Sparse};

/// Runs a tool, or says that there is none. Those for disks may lie where only root's PATH leads.
fn run(tool: &str, arguments: &[&str]) -> Option<Output> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let found = std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|file| file.is_file());
    let Some(found) = found else {
        println!("skipped: {tool} is not installed");
        return None;
    };
    Some(Command::new(found).args(arguments).output().unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn save(image: &Sparse, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(image.length()).unwrap();
    for (offset, bytes) in image.pieces() {
        file.write_all_at(bytes, offset).unwrap();
    }
}

mod fat {
    use super::*;
    use solum_image::fat::{self, Options, Size};

    fn volume(size: Size) -> Sparse {
        let mut files: Vec<(String, Vec<u8>)> = (0..200)
            .map(|n| (format!("EFI/Linux/a name that is long {n}.efi"), vec![n as u8; n * 37]))
            .collect();
        files.push(("EFI/BOOT/BOOTX64.EFI".into(), vec![1; 1_000_001]));
        files.push(("loader/loader.conf".into(), b"timeout 0\n".to_vec()));
        files.push(("a/b/c/d/e/größe".into(), vec![]));
        fat::write(files, &Options { size, label: "SOLUM-ESP", id: 7, epoch_s: 1_763_763_013 }).unwrap()
    }

    #[test]
    fn fsck_finds_nothing_to_repair() {
        let directory = tempfile::tempdir().unwrap();
        for size in
            [Size::Smallest, Size::Exactly(20 << 20), Size::Exactly(128 << 20), Size::Exactly(3 << 30)]
        {
            let path = directory.path().join("fat");
            save(&volume(size), &path);
            let Some(checked) = run("fsck.vfat", &["-n", "-v", path.to_str().unwrap()]) else { return };
            assert!(checked.status.success(), "{size:?}: {}", said(&checked));
            assert!(!said(&checked).contains("Differences"), "{}", said(&checked));
        }
    }

    #[test]
    fn mtools_read_names_times_and_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fat");
        save(&volume(Size::Smallest), &path);
        let path = path.to_str().unwrap();
        let Some(listed) = run("mdir", &["-i", path, "-/", "::"]) else { return };
        assert!(said(&listed).contains("a name that is long 199.efi"), "{}", said(&listed));
        assert!(said(&listed).contains("2025-11-21  22:10"), "{}", said(&listed));
        let read = run("mtype", &["-i", path, "::EFI/Linux/a name that is long 9.efi"]).unwrap();
        assert_eq!(read.stdout, vec![9; 9 * 37]);
    }
}

mod disk {
    use super::*;
    use solum_image::Architecture;
    use solum_image::disk::{self, Boot, Extra, Identity};

    #[test]
    fn sgdisk_finds_nothing_to_repair() {
        let boot = Boot { architecture: Architecture::X86_64, loader: vec![1; 9], image: vec![2; 9] };
        let extras = [Extra { name: disk::DATA_LABEL.into(), size: 64 << 20 }];
        let identity = Identity { seed: b"content", epoch_s: 0 };
        let frame = disk::write(boot, &extras, Some(1 << 30), &identity).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        save(&frame.image, &path);
        let Some(checked) = run("sgdisk", &["-v", "-p", path.to_str().unwrap()]) else { return };
        assert!(said(&checked).contains("No problems found"), "{}", said(&checked));
        assert!(said(&checked).contains("solum-data"), "{}", said(&checked));
    }
}

mod wrappings {
    use super::*;
    use solum_image::gpt::Guid;
    use solum_image::sparse::read_vec;
    use solum_image::wrapping::{qcow2, vhd, vmdk};
    use std::io::{BufWriter, Write};

    fn disk() -> Sparse {
        let mut disk = Sparse::new(3 << 30);
        disk.push(5, vec![1; 70_000]);
        disk.push(
            1 << 20,
            (0u32..100_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect(),
        );
        disk.push((3 << 30) - 3, vec![1, 2, 3]);
        disk
    }

    /// Makes all wrappings of a disk, and the raw one.
    fn wrappings(directory: &Path) -> [(&'static str, std::path::PathBuf); 4] {
        let all = ["raw", "qcow2", "vmdk", "vpc"].map(|format| (format, directory.join(format)));
        save(&disk(), &all[0].1);
        for (format, path) in &all[1..] {
            let mut file = BufWriter::new(File::create(path).unwrap());
            match *format {
                "qcow2" => qcow2::write(&disk(), &mut file),
                "vmdk" => vmdk::write(&disk(), "vmdk", &mut file),
                _ => vhd::write(&disk(), &vhd::Options { id: Guid::new(7), epoch_s: 0 }, &mut file),
            }
            .unwrap();
            file.flush().unwrap();
        }
        all
    }

    #[test]
    fn qemu_reads_the_same_disk_in_all_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let [(_, raw), containers @ ..] = wrappings(directory.path());
        for (format, path) in &containers {
            let (raw, path) = (raw.to_str().unwrap(), path.to_str().unwrap());
            let Some(compared) = run("qemu-img", &["compare", "-f", "raw", "-F", format, raw, path]) else {
                return;
            };
            assert!(compared.status.success(), "{format}: {}", said(&compared));
            // The last sector of a fixed VHD is all that tells it from a raw disk, and QEMU does not look there unasked.
            let found = run("qemu-img", &["info", "-f", format, path]).unwrap();
            assert!(said(&found).contains("(3221225472 bytes)"), "{format}: {}", said(&found));
            if *format != "vpc" {
                let checked = run("qemu-img", &["check", "-f", format, path]).unwrap();
                assert!(checked.status.success(), "{format}: {}", said(&checked));
                assert!(!said(&checked).contains("leaked"), "{format}: {}", said(&checked));
            }
        }
    }

    #[test]
    fn what_qemu_makes_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let raw = directory.path().join("raw");
        save(&disk(), &raw);
        let raw = raw.to_str().unwrap();
        let ways: [(&str, &[&str]); 5] = [
            ("qcow2", &["-c"]),
            ("qcow2", &["-o", "compat=0.10,cluster_size=4096"]),
            ("qcow2", &["-o", "cluster_size=2M"]),
            ("vmdk", &[]),
            ("vpc", &["-o", "subformat=fixed,force_size=on"]),
        ];
        for (format, options) in ways {
            let made = directory.path().join("made");
            let arguments =
                [&["convert", "-f", "raw", "-O", format][..], options, &[raw, made.to_str().unwrap()]]
                    .concat();
            let Some(converted) = run("qemu-img", &arguments) else { return };
            assert!(converted.status.success(), "{format}: {}", said(&converted));
            // Only what is allocated is read into memory: the file is a few gibibytes of holes for a VHD.
            let (_, inside) = solum_image::wrapping::open(OnDisk(File::open(&made).unwrap())).unwrap();
            assert_eq!(inside.length(), disk().length(), "{format} {options:?}");
            for (offset, length) in [(0, 80_000), ((1 << 20) - 10, 500_000), ((3 << 30) - 1000, 1000)] {
                let (expected, found) =
                    (read_vec(&disk(), offset, length), read_vec(&inside, offset, length));
                assert!(expected.unwrap() == found.unwrap(), "{format} {options:?} at {offset}");
            }
        }
    }

    struct OnDisk(File);

    impl ReadAt for OnDisk {
        fn length(&self) -> u64 {
            self.0.metadata().unwrap().len()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
            self.0.read_exact_at(buffer, offset)
        }
    }
}
