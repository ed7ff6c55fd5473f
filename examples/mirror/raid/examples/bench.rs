//! How fast a mirror of three files is, as a part of how fast one such file is alone.
//!
//! `cargo run --release -p raid --example bench [DIRECTORY]`

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a tool of the host")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use raid::{Mirror, Options};
use solum::disk::{Driver, Geometry};
use solum::{Disk, Result};

const BYTES: u64 = 256 << 20;
const REQUEST: usize = 128 << 10;
const ROUNDS: usize = 7;
const FLUSH_EVERY: u64 = 64;

struct FileDisk(File);

impl Driver for FileDisk {
    fn geometry(&self) -> Geometry {
        Geometry { bytes: BYTES + (16 << 20), block_bytes: 4096, writable: true }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.0.read_exact_at(buffer, offset)?)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        Ok(self.0.write_all_at(data, offset)?)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.0.sync_data()?)
    }

    fn discard(&mut self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }
}

fn file(directory: &Path, name: &str) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).open(directory.join(name))?;
    file.set_len(BYTES + (16 << 20))?;
    Ok(file)
}

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    Write,
    WriteFlushed,
    Read,
    ReadCold,
}

fn run(disk: &mut dyn Driver, files: &[File], work: Work, offsets: &[u64]) -> Result<Duration> {
    let mut buffer: Vec<u8> = (0..REQUEST).map(|index| (index * 7 + index / 251) as u8).collect();
    if matches!(work, Work::ReadCold) {
        disk.flush()?;
        for file in files {
            file.sync_all()?;
            rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).map_err(std::io::Error::from)?;
        }
    }
    let start = Instant::now();
    for (index, offset) in (1..).zip(offsets) {
        match work {
            Work::Read | Work::ReadCold => disk.read_at(*offset, &mut buffer)?,
            Work::Write => disk.write_at(*offset, &buffer)?,
            Work::WriteFlushed => {
                disk.write_at(*offset, &buffer)?;
                if index % FLUSH_EVERY == 0 {
                    disk.flush()?;
                }
            }
        }
    }
    let elapsed = start.elapsed();
    disk.flush()?;
    Ok(elapsed)
}

/// Offsets in order, or each once in an order that is always the same.
fn offsets(is_random: bool) -> Vec<u64> {
    let count = BYTES / REQUEST as u64 - 64;
    // Any odd factor that shares no divisor with the count visits each once.
    let factor = if is_random { 1_000_003 } else { 1 };
    (0..count).map(|index| index * factor % count * REQUEST as u64).collect()
}

fn rate(duration: Duration, requests: usize) -> f64 {
    (requests * REQUEST) as f64 / duration.as_secs_f64() / f64::from(1 << 20)
}

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let directory = directory.join(format!("raid-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let outcome = measure(&directory);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(directory: &Path) -> Result<()> {
    let bare_file = file(directory, "bare")?;
    let files = [file(directory, "a")?, file(directory, "b")?, file(directory, "c")?];
    let disk = |file: &File| Ok(Disk::new(Box::new(FileDisk(file.try_clone()?))));
    let members = files.iter().map(disk).collect::<Result<Vec<Disk>>>()?;
    let options = Options { scrub_pause: Duration::ZERO, ..Options::default() };
    let mut mirror =
        Mirror::start(members, options, 1).map_err(|error| solum::Error::Device(error.to_string()))?;
    let mut bare = FileDisk(bare_file.try_clone()?);
    let in_order = offsets(false);
    let first = run(&mut mirror, &files, Work::Write, &in_order)?;
    run(&mut bare, &files, Work::Write, &in_order)?;
    println!("the first write to every region: {:.0} MiB/s", rate(first, in_order.len()));
    println!("{:42} {:>12} {:>12} {:>8}", "128 KiB requests, best of 7", "one file", "mirror of 3", "ratio");
    for (name, work, is_random) in [
        ("write, in order, in the page cache", Work::Write, false),
        ("write, at random, in the page cache", Work::Write, true),
        ("write, in order, a flush every 8 MiB", Work::WriteFlushed, false),
        ("read, in order, in the page cache", Work::Read, false),
        ("read, at random, in the page cache", Work::Read, true),
        ("read, in order, from the disk", Work::ReadCold, false),
        ("read, at random, from the disk", Work::ReadCold, true),
    ] {
        let offsets = offsets(is_random);
        let (mut alone, mut mirrored) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            alone = alone.min(run(&mut bare, std::slice::from_ref(&bare_file), work, &offsets)?);
            mirrored = mirrored.min(run(&mut mirror, &files, work, &offsets)?);
        }
        println!(
            "{name:42} {:>6.0} MiB/s {:>6.0} MiB/s {:>7.0}%",
            rate(alone, offsets.len()),
            rate(mirrored, offsets.len()),
            100.0 * alone.as_secs_f64() / mirrored.as_secs_f64()
        );
    }
    Ok(())
}
