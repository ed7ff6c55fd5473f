//! What others say about the images that are made here: the tools that people check theirs with.

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
