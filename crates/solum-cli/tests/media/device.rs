//! A block device that is a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use solum_image::gpt::{self, Guid, Wanted};
use solum_image::{ReadAt, Sparse};

use crate::harness::{Scratch, is_root};

/// A loop device.
pub struct Device {
    pub path: PathBuf,
    /// The file that it shows.
    pub file: PathBuf,
}

impl Device {
    /// A device of a size, full of rubbish as far as that is short; else it says that the test is skipped.
    pub fn new(scratch: &Scratch, name: &str, size: u64) -> Option<Self> {
        let file = scratch.file(name, vec![0xee; size.min(8 << 20) as usize]);
        File::options().write(true).open(&file).unwrap().set_len(size).unwrap();
        Self::of(file, &[])
    }

    /// A device that shows this file.
    pub fn of(file: PathBuf, options: &[&str]) -> Option<Self> {
        if !is_root() {
            println!("skipped: only root makes loop devices");
            return None;
        }
        let made = Command::new("losetup").args(["--find", "--show"]).args(options).arg(&file).output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else {
            println!("skipped: there are no loop devices here");
            return None;
        };
        let path = String::from_utf8(made.stdout).unwrap().trim().into();
        Some(Self { path, file })
    }

    pub fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    pub fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        run("losetup", &["--detach", self.text()]);
    }
}

/// Runs a command that has to succeed; says if there is no such command, or if it does not.
pub fn run(command: &str, arguments: &[&str]) -> bool {
    let done = Command::new(command).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// What is mounted somewhere as long as this lives.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn new(arguments: &[&str], at: &Path) -> Option<Self> {
        let done = run("mount", &[arguments, &[at.to_str().unwrap()]].concat());
        if !done {
            println!("skipped: `mount {}` is not possible here", arguments.join(" "));
        }
        done.then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[self.0.to_str().unwrap()]);
    }
}

/// A disk with one partition, some of whose bytes are no zeros.
pub fn disk(size: Option<u64>) -> Sparse {
    let wanted =
        Wanted { kind: gpt::kind::LINUX_DATA, id: Guid::new(1), name: "data".to_owned(), size: 6 << 20 };
    let (mut disk, table) = gpt::write(Guid::new(2), &[wanted], size).unwrap();
    let start = table.partitions[0].offset;
    disk.push(start + 70_001, b"content ".repeat(9000));
    disk.push(start + (5 << 20), vec![0xaa; 4096]);
    disk
}

/// All of its bytes.
pub fn bytes(disk: &impl ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; disk.length() as usize];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
}
