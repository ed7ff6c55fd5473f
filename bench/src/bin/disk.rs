//! How fast a disk is that another unit serves, and one that is mirrored: `cargo xtask bench disk`.
//!
//! Prints lines of five words, as the benchmark of links does: what was measured, the size of a request, on which file
//! system, between whom, and the nanoseconds that one request took, the median of many rounds. After `…-percent` stands the
//! bare file's time as a part of this one's, the median of the ratios: what else runs on the machine slows both of a round.
//! After `…-processor-percent` stands the same of processor time, which who waits for nobody needs alike on a busy machine.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Instant;
use std::{env, fs};

use raid::{Mirror, Options};
use solum::disk::Driver;
use solum::link::Interface;
use solum::link::over::{OverAnswerer, OverCaller};
use solum::native::SystemClock;
use solum::{Disk, Serve, health, served_disk};
use solum_link::{End, Layout, LinkHost, Side};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const REQUEST: usize = 128 << 10;
/// Requests of one batch.
const BATCH: usize = 8;
/// What one pass reads or writes.
const PASS: u64 = 64 << 20;
/// A mirror keeps its books on its members too.
const FILE: u64 = PASS + (32 << 20);
const MEMBERS: usize = 3;
/// The blocks of the disks in `examples/mirror`, and of most disks of today.
const BLOCK: u32 = 4096;

/// What is compared: a bare file, the same served by another process, a mirror of three files, and that one served.
const KINDS: [&str; 4] = ["bare", "served", "mirror", "mirror-served"];

/// What a pass does, and how it is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// To the page cache.
    Write,
    /// From the page cache.
    Read,
    /// To the device: the pass ends with a flush.
    WriteFlushed,
    /// From the device: the page cache is empty before.
    ReadCold,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::WriteFlushed => "write-flushed",
            Self::ReadCold => "read-cold",
        }
    }
}

fn main() -> Outcome {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["child", kind, directory, ref descriptors @ ..] => child(kind, Path::new(directory), descriptors),
        ["--rounds", rounds, directory] => measure(rounds.parse()?, Path::new(directory)),
        _ => Err("write: --rounds N DIRECTORY".into()),
    }
}

fn measure(rounds: usize, directory: &Path) -> Outcome {
    let directory = directory.join(format!("solum-bench-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = compare(rounds, &directory);
    fs::remove_dir_all(&directory)?;
    outcome
}

fn compare(rounds: usize, directory: &Path) -> Outcome {
    let file_system = file_system(directory)?;
    let mut opponents =
        KINDS.iter().map(|kind| Opponent::new(kind, directory)).collect::<Outcome<Vec<_>>>()?;
    for work in [Work::Write, Work::Read, Work::WriteFlushed, Work::ReadCold] {
        let is_of_device = matches!(work, Work::WriteFlushed | Work::ReadCold);
        if is_of_device && file_system == "tmpfs" {
            continue;
        }
        let mut times = vec![Vec::new(); KINDS.len()];
        // The first round fills files and page cache.
        for round in 0..=rounds {
            for (opponent, times) in opponents.iter_mut().zip(&mut times) {
                if matches!(work, Work::Write | Work::Read) {
                    // What the opponent before left in the processor's caches is not its affair.
                    opponent.pass(work)?;
                }
                let took = opponent.pass(work)?;
                if round > 0 {
                    times.push(took);
                }
            }
        }
        let bare = times[0].clone();
        for (kind, times) in KINDS.iter().zip(times) {
            let work = work.name();
            let ratios = |of: fn(&Took) -> f64| {
                median(bare.iter().zip(&times).map(|(bare, own)| of(bare) / of(own) * 100.0).collect())
            };
            let (all, processor) = (ratios(|took| took.all), ratios(|took| took.processor));
            let time = median(times.iter().map(|took| took.all).collect());
            println!("{work} {REQUEST} {file_system} {kind} {time:.1}");
            println!("{work}-percent {REQUEST} {file_system} {kind} {all:.1}");
            if !kind.ends_with("served") {
                println!("{work}-processor-percent {REQUEST} {file_system} {kind} {processor:.1}");
            }
        }
    }
    Ok(())
}

/// What one request took of a pass, in nanoseconds.
#[derive(Clone, Copy)]
struct Took {
    all: f64,
    /// This thread's processor time.
    processor: f64,
}

fn processor_ns() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// What the kernel says that a directory lies on (statfs(2), `linux/magic.h`).
fn file_system(directory: &Path) -> Outcome<String> {
    Ok(match rustix::fs::statfs(directory)?.f_type {
        0x0102_1994 => "tmpfs".into(),
        0xef53 => "ext4".into(),
        0x9123_683e => "btrfs".into(),
        0x5846_5342 => "xfs".into(),
        0x794c_7630 => "overlayfs".into(),
        other => format!("{other:#x}"),
    })
}

struct Opponent {
    disk: Disk,
    /// Where its files are.
    directory: PathBuf,
    /// Who serves it, if another process does, and the link to it.
    _served: Option<(Server, LinkHost)>,
}

impl Opponent {
    fn new(kind: &str, directory: &Path) -> Outcome<Self> {
        let directory = directory.join(kind);
        fs::create_dir_all(&directory)?;
        match kind.strip_suffix("-served").or(kind.strip_suffix("served").map(|_| "bare")) {
            None => Ok(Self { disk: local(kind, &directory)?, directory, _served: None }),
            Some(kind) => Self::served(kind, &directory),
        }
    }

    fn served(kind: &str, directory: &Path) -> Outcome<Self> {
        let link = LinkHost::create("bench", Layout::default())?;
        link.attach(Side::Client, 1);
        link.attach(Side::Server, 1);
        let descriptors = link.descriptors(Side::Server);
        let descriptors = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell];
        let server = Server(spawn(kind, directory, &descriptors)?);
        let own = link.descriptors(Side::Client);
        let copy = |descriptor: BorrowedFd<'_>| descriptor.try_clone_to_owned();
        let end = End::open(copy(own.memory)?, copy(own.own_bell)?, copy(own.peer_bell)?, Side::Client)?;
        let caller = OverCaller::new(end, &<Disk as Interface>::ID, Rc::new(SystemClock));
        let disk = Disk::new(served_disk::linked(Box::new(caller), Rc::new(SystemClock))?);
        Ok(Self { disk, directory: directory.to_owned(), _served: Some((server, link)) })
    }

    fn pass(&mut self, work: Work) -> Outcome<Took> {
        if work == Work::ReadCold {
            self.disk.flush()?;
            for entry in fs::read_dir(&self.directory)? {
                rustix::fs::fadvise(File::open(entry?.path())?, 0, None, rustix::fs::Advice::DontNeed)?;
            }
        }
        let is_write = matches!(work, Work::Write | Work::WriteFlushed);
        let mut buffers = vec![vec![7_u8; REQUEST]; BATCH];
        let (start, processor) = (Instant::now(), processor_ns());
        for first in (0..PASS).step_by(BATCH * REQUEST) {
            let mut batch = self.disk.batch();
            for (offset, buffer) in (first..).step_by(REQUEST).zip(&mut buffers) {
                batch = if is_write { batch.write_at(offset, buffer) } else { batch.read_at(offset, buffer) };
            }
            batch.run().into_iter().collect::<Result<Vec<()>, _>>()?;
        }
        if work == Work::WriteFlushed {
            self.disk.flush()?;
        }
        let requests = PASS as f64 / REQUEST as f64;
        let (all, processor) = (start.elapsed().as_nanos() as f64, processor_ns() - processor);
        Ok(Took { all: all / requests, processor: processor / requests })
    }
}

/// A process that serves a disk, and ends with its opponent.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(kind: &str, directory: &Path, descriptors: &[BorrowedFd<'_>]) -> Outcome<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("child").arg(kind).arg(directory).stdin(Stdio::null());
    for descriptor in descriptors {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?;
        command.arg(descriptor.as_raw_fd().to_string());
    }
    Ok(command.spawn()?)
}

fn child(kind: &str, directory: &Path, descriptors: &[&str]) -> Outcome {
    let numbers = descriptors.iter().map(|number| number.parse()).collect::<Result<Vec<RawFd>, _>>()?;
    let [memory, own_bell, peer_bell] = numbers[..] else { return Err("three descriptors".into()) };
    // SAFETY: the parent left exactly these open for this process, which takes each once.
    let taken = |number| unsafe { OwnedFd::from_raw_fd(number) };
    let end = End::open(taken(memory), taken(own_bell), taken(peer_bell), Side::Server)?;
    let answerer = OverAnswerer::new(vec![end], &<Disk as Interface>::ID, Rc::new(SystemClock));
    let mut serve = Serve::<Disk>::new(Box::new(answerer), Rc::new(SystemClock), Rc::new(Nobody));
    let mut driver = local(kind, directory)?.into_driver();
    Ok(serve.run(&mut *driver)?)
}

fn local(kind: &str, directory: &Path) -> Outcome<Disk> {
    let path = |index: usize| -> PathBuf { directory.join(index.to_string()) };
    if kind == "bare" {
        return Ok(Disk::file_in_blocks(file(&path(0))?, BLOCK)?);
    }
    let members = (0..MEMBERS)
        .map(|index| Ok(Disk::file_in_blocks(file(&path(index))?, BLOCK)?))
        .collect::<Outcome<Vec<_>>>()?;
    let mirror = Mirror::start(members, Options::default(), 1)?;
    Ok(Disk::new(Box::new(mirror) as Box<dyn Driver>))
}

fn file(path: &Path) -> Outcome<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    file.set_len(FILE)?;
    Ok(file)
}

/// Nobody wants to know whether a benchmark is ready.
struct Nobody;

impl health::Driver for Nobody {
    fn ready(&self) -> solum::Result<()> {
        Ok(())
    }

    fn health(&self, _: solum::Result<(), String>) -> solum::Result<()> {
        Ok(())
    }
}
