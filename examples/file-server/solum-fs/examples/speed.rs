//! How fast the file system is on a disk in memory, so that only its own work is measured:
//! `cargo run --release -p solum-fs --example speed`.

#![allow(clippy::disallowed_methods, reason = "a tool of the host")]

use std::time::Instant;

use solum::Disk;
use solum_fs::{FileSystem, check, format};

const MEBIBYTE: usize = 1 << 20;
const FILE_MEBIBYTES: usize = 1024;
const NAMES: usize = 100_000;
const SYNCS: usize = 2000;

fn measured<T>(what: &str, count: usize, unit: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    let seconds = begin.elapsed().as_secs_f64();
    println!("{what:<46} {seconds:>7.3} s {:>12.0} {unit}/s", count as f64 / seconds);
    result
}

fn main() -> solum_fs::Result<()> {
    let mut disk = Disk::memory(2 << 30);
    // A page that was never touched is slow the first time, and that is not the file system's doing.
    let zeros = vec![0; MEBIBYTE];
    for offset in (0..2u64 << 30).step_by(MEBIBYTE) {
        disk.write_at(offset, &zeros)?;
    }
    format(&mut disk)?;
    let mut fs = FileSystem::mount(disk)?;
    fs.create("large")?;
    let data: Vec<u8> = (0..MEBIBYTE).map(|index| index as u8).collect();
    measured("write 1 GiB, 1 MiB a call, and sync", FILE_MEBIBYTES, "MiB", || {
        (0..FILE_MEBIBYTES).try_for_each(|at| fs.write("large", (at * MEBIBYTE) as u64, &data))?;
        fs.sync()
    })?;
    measured("read 1 GiB, 1 MiB a call", FILE_MEBIBYTES, "MiB", || {
        (0..FILE_MEBIBYTES)
            .try_for_each(|at| fs.read("large", (at * MEBIBYTE) as u64, MEBIBYTE as u64).map(drop))
    })?;
    measured("read 256 MiB, 4 KiB a call", FILE_MEBIBYTES * 64, "call", || {
        (0..FILE_MEBIBYTES as u64 * 64).try_for_each(|at| fs.read("large", at * 4096, 4096).map(drop))
    })?;
    fs.make_directory("d")?;
    measured("make 100,000 files, and sync", NAMES, "file", || {
        (0..NAMES).try_for_each(|index| fs.create(&format!("d/file {index}")))?;
        fs.sync()
    })?;
    measured("look 100,000 files up", NAMES, "file", || {
        (0..NAMES).try_for_each(|index| fs.stat(&format!("d/file {index}")).map(drop))
    })?;
    measured("write 4 KiB and sync, 2000 times", SYNCS, "sync", || {
        (0..SYNCS)
            .try_for_each(|at| fs.write("large", (at * 4096) as u64, &data[..4096]).and_then(|()| fs.sync()))
    })?;
    let disk = fs.into_disk();
    let fs = measured("mount", 1, "mount", || FileSystem::mount(disk))?;
    let (disk, report) = measured("check, with all content", FILE_MEBIBYTES, "MiB", || check(fs.into_disk()));
    println!("{} problems", report?.problems.len());
    let mut fs = FileSystem::mount(disk)?;
    measured("remove 1 GiB and sync", 1, "file", || fs.remove("large").and_then(|()| fs.sync()))?;
    measured("remove 100,000 files, and sync", NAMES, "file", || {
        (0..NAMES).try_for_each(|index| fs.remove(&format!("d/file {index}")))?;
        fs.sync()
    })
}
