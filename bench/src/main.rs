//! How fast a link is, and how fast what one could use instead is: `cargo xtask bench link`.
//!
//! Prints lines of five words: what was measured, the size of a message, between whom, over what, and the nanoseconds
//! that one message (one round trip) took: the median of many batches, all opponents in turns.

mod channel;

use channel::{Channel, Pool, Ring, Stream, Threads, Topics, Use};
use rustix::thread::{CpuSet, sched_setaffinity};
use solum_link::session::{Client, Event, Interface, Server};
use solum_link::{End, Layout, LinkHost, Received, Side};
use std::collections::BTreeMap;
use std::error::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const MIB: usize = 1 << 20;
/// How long each opponent is measured in each round, after as long to warm up at most.
const SLICE: Duration = Duration::from_millis(150);

/// Between what and how: the last word also says whether waiting is spinning or sleeping.
const OPPONENTS: [(&str, &[usize]); 8] = [
    ("link", &[64, 4096]),
    ("link-parked", &[64, 4096]),
    ("link-pool", &[MIB]),
    ("link-pool-parked", &[MIB]),
    ("rtrb", &[64, 4096]),
    ("iceoryx2", &[64, 4096, MIB]),
    ("unix", &[64, 4096, MIB]),
    ("pipe", &[64, 4096, MIB]),
];

fn main() -> Outcome {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["child", kind, work, size, pinned, ref descriptors @ ..] => {
            child(kind, work, size.parse()?, pinned == "pinned", descriptors)
        }
        ["--rounds", rounds, ref kinds @ ..] => measure_all(rounds.parse()?, kinds),
        ref kinds => measure_all(1, kinds),
    }
}

/// One figure: what, size, over what, and whether both processes are pinned to a processor each.
type Figure = (&'static str, usize, &'static str, bool);

fn figures(filter: &[&str]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (kind, sizes) in OPPONENTS {
        for size in sizes {
            for work in ["round-trip", "stream"] {
                figures.push((work, *size, kind, true));
            }
            // Where the kernel decides who runs where, it may put both on one processor.
            if kind.ends_with("parked") || ["unix", "pipe"].contains(&kind) {
                figures.push(("round-trip", *size, kind, false));
            }
        }
    }
    figures.push(("round-trip", 64, "session", true));
    figures.push(("stream", MIB, "link-pool-in-place", true));
    figures.push(("stream", MIB, "memcpy", true));
    figures.retain(|figure| filter.is_empty() || filter.contains(&figure.2));
    figures
}

fn measure_all(rounds: u32, filter: &[&str]) -> Outcome {
    let mut batches: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for figure in figures(filter) {
            batches.entry(figure).or_default().extend(measure(figure)?);
        }
    }
    for ((work, size, kind, pinned), mut times) in batches {
        times.sort_by(f64::total_cmp);
        let place = if pinned { "pinned" } else { "anywhere" };
        println!("{work} {size} {place} {kind} {:.1}", times[times.len() / 2]);
    }
    Ok(())
}

/// Nanoseconds for one message, in each of several batches.
fn measure((work, size, kind, pinned): Figure) -> Outcome<Vec<f64>> {
    // A link asks when it is made how many processors there are.
    unpin();
    match (kind, size) {
        ("memcpy", _) => memcpy(size),
        ("rtrb", 64) => threads::<64>(work),
        ("rtrb", _) => threads::<4096>(work),
        ("session", _) => session(),
        _ => {
            let (mut channel, child) = spawn(kind, work, size, pinned)?;
            if pinned {
                pin(0);
            }
            let times = run(&mut *channel, work, size);
            drop(child);
            times
        }
    }
}

fn run(channel: &mut dyn Channel, work: &str, size: usize) -> Outcome<Vec<f64>> {
    let (message, mut back) = (vec![7_u8; size], vec![0; size]);
    batches(size, || {
        if work == "round-trip" {
            channel.send(&message)?;
        }
        channel.receive(&mut back)
    })
}

/// Runs batches for the length of a slice, the first of them for nothing.
fn batches(size: usize, mut once: impl FnMut() -> Outcome) -> Outcome<Vec<f64>> {
    let count = if size >= MIB { 20 } else { 1000 };
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 4 || begin.elapsed() < SLICE {
        let start = Instant::now();
        for _ in 0..count {
            once()?;
        }
        times.push(start.elapsed().as_nanos() as f64 / f64::from(count));
    }
    times.drain(..2);
    Ok(times)
}

fn memcpy(size: usize) -> Outcome<Vec<f64>> {
    // As many places as the pool has, so that both move through as much memory.
    let (from, mut to) = (vec![7_u8; size], vec![vec![0_u8; size]; SLOTS]);
    let mut turn = 0;
    pin(0);
    batches(size, || {
        turn = (turn + 1) % SLOTS;
        to[turn].copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&to[turn]);
        Ok(())
    })
}

const SLOTS: usize = 4;

fn threads<const SIZE: usize>(work: &str) -> Outcome<Vec<f64>> {
    let ((producer, their_consumer), (their_producer, consumer)) =
        (rtrb::RingBuffer::new(1024), rtrb::RingBuffer::new(1024));
    let is_echo = work == "round-trip";
    let other = thread::spawn(move || {
        pin(1);
        let mut channel = Threads::<SIZE> { producer: their_producer, consumer: their_consumer };
        let mut message = [0; SIZE];
        while !channel.producer.is_abandoned() {
            if is_echo && channel.receive(&mut message).is_err() {
                return;
            }
            let mut message = Some(message);
            while let (Some(now), false) = (message, channel.producer.is_abandoned()) {
                message = channel.producer.push(now).is_err().then_some(now);
            }
        }
    });
    pin(0);
    let mut channel = Threads::<SIZE> { producer, consumer };
    let times = run(&mut channel, work, SIZE);
    drop(channel);
    other.join().map_err(|_| "the other thread failed")?;
    times
}

/// Whole calls instead of frames.
fn session() -> Outcome<Vec<f64>> {
    let host = link_host(64)?;
    let (end, child) = spawn_link(&host, "session", "round-trip", 64, true)?;
    let mut client = Client::new(end, &interface());
    pin(0);
    let times = batches(64, || {
        client.call(1, false, &[7; 64], None, None)?;
        Ok(())
    });
    drop(child);
    times
}

fn interface() -> Interface {
    Interface { name: "Echo".to_owned(), version: 1, fingerprint: 1 }
}

/// The other process; killed when dropped.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(kind: &str, work: &str, size: usize, pinned: bool) -> Outcome<(Box<dyn Channel>, Other)> {
    match kind {
        "unix" => {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            let child = start(kind, work, size, pinned, &[&theirs.into()], None)?;
            Ok((Box::new(stream(ours.into())?), child))
        }
        "pipe" => {
            let ((reader, their_writer), (their_reader, writer)) =
                (rustix::pipe::pipe()?, rustix::pipe::pipe()?);
            let child = start(kind, work, size, pinned, &[&their_reader, &their_writer], None)?;
            Ok((Box::new(Stream { reader: reader.into(), writer: writer.into() }), child))
        }
        "iceoryx2" => {
            let name = format!("solum-bench-{}-{}", std::process::id(), unique());
            let child = start(kind, work, size, pinned, &[], Some(&name))?;
            Ok((Box::new(Topics::open(&name, false, size)?), child))
        }
        _ => {
            let host = link_host(size)?;
            let (end, child) = spawn_link(&host, kind, work, size, pinned)?;
            Ok((channel(kind, work, size, end)?, child))
        }
    }
}

fn unique() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn link_host(size: usize) -> Outcome<LinkHost> {
    let pool_bytes = if size >= MIB { (SLOTS * size) as u32 } else { 0 };
    Ok(LinkHost::create("bench", Layout { pool_bytes, ..Layout::default() })?)
}

/// The child answers round trips, so it is the server; of a stream it is the source, so it is the client.
fn side_of_child(work: &str) -> Side {
    if work == "round-trip" { Side::Server } else { Side::Client }
}

fn spawn_link(host: &LinkHost, kind: &str, work: &str, size: usize, pinned: bool) -> Outcome<(End, Other)> {
    let side = side_of_child(work);
    host.attach(side, 1);
    host.attach(side.peer(), 1);
    let clone = |side| -> Outcome<[OwnedFd; 3]> {
        let descriptors = host.descriptors(side);
        Ok([
            descriptors.memory.try_clone_to_owned()?,
            descriptors.own_bell.try_clone_to_owned()?,
            descriptors.peer_bell.try_clone_to_owned()?,
        ])
    };
    let [memory, own, peer] = clone(side.peer())?;
    let mut end = End::open(memory, own, peer, side.peer())?;
    let theirs = clone(side)?;
    let child = start(kind, work, size, pinned, &theirs.each_ref(), None)?;
    while !end.peer_alive() {
        end.wait(None);
    }
    Ok((end, child))
}

/// Starts this program again as the other process.
fn start(
    kind: &str,
    work: &str,
    size: usize,
    pinned: bool,
    descriptors: &[&OwnedFd],
    name: Option<&str>,
) -> Outcome<Other> {
    // A duplicate without close-on-exec is inherited.
    let inherited: Vec<OwnedFd> = descriptors.iter().map(rustix::io::dup).collect::<Result<_, _>>()?;
    let child = Command::new(env::current_exe()?)
        .args(["child", kind, work, &size.to_string(), if pinned { "pinned" } else { "anywhere" }])
        .args(inherited.iter().map(|descriptor| descriptor.as_raw_fd().to_string()))
        .args(name)
        .stdin(Stdio::null())
        .spawn()?;
    Ok(Other(child))
}

fn stream(socket: OwnedFd) -> Outcome<Stream> {
    Ok(Stream { reader: socket.try_clone()?.into(), writer: socket.into() })
}

/// An end as a channel.
fn channel(kind: &str, work: &str, size: usize, mut end: End) -> Outcome<Box<dyn Channel>> {
    if kind.ends_with("parked") {
        end.spin_at_most(Duration::ZERO);
    }
    let received = Received::default();
    if !kind.starts_with("link-pool") {
        return Ok(Box::new(Ring { end, received }));
    }
    let use_of = match (work, kind) {
        ("round-trip", _) => Use::Echo,
        (_, "link-pool-in-place") => Use::InPlace,
        _ => Use::CopiedOut,
    };
    let free = if kind.starts_with("link-pool") { (0..SLOTS as u32).collect() } else { Vec::new() };
    let range = |slot: u32| solum_link::Range { offset: slot * size as u32, length: size as u32 };
    Ok(Box::new(Pool { end, received, free: free.into_iter().map(range).collect(), use_of }))
}

fn child(kind: &str, work: &str, size: usize, pinned: bool, rest: &[&str]) -> Outcome {
    if pinned {
        pin(1);
    }
    let mut channel: Box<dyn Channel> = if kind == "iceoryx2" {
        Box::new(Topics::open(rest.first().ok_or("no name")?, true, size)?)
    } else {
        let mut descriptors = Vec::new();
        for number in rest {
            let number: RawFd = number.parse()?;
            // SAFETY: inherited for this purpose, and taken only here.
            descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
        }
        match (kind, <[OwnedFd; 1]>::try_from(descriptors)) {
            (_, Ok([socket])) => Box::new(stream(socket)?),
            ("pipe", Err(descriptors)) => {
                let [reader, writer] = descriptors.try_into().map_err(|_| "two descriptors")?;
                Box::new(Stream { reader: reader.into(), writer: writer.into() })
            }
            (_, Err(descriptors)) => {
                let [memory, own, peer] = descriptors.try_into().map_err(|_| "three descriptors")?;
                let end = End::open(memory, own, peer, side_of_child(work))?;
                if kind == "session" {
                    return serve(Server::new(end, interface()));
                }
                channel(kind, work, size, end)?
            }
        }
    };
    let mut message = vec![1; size];
    loop {
        if work == "round-trip" {
            channel.receive(&mut message)?;
        }
        channel.send(&message)?;
    }
}

fn serve(mut server: Server<End>) -> Outcome {
    loop {
        if let Some(Event::Request { call, payload, .. }) = server.next(None) {
            server.reply(call, &payload)?;
        }
    }
}

/// To one processor. If that is not to be had, the figures are worse, and still figures.
fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    let _ = sched_setaffinity(None, &set);
}

fn unpin() {
    let mut set = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|processor| set.set(processor));
    let _ = sched_setaffinity(None, &set);
}
