//! A run to look at: a mirror of three disks and its client, with faults, a power cut, and a failure at the end.

use solum_sim::timeline::{Arrow, Lane, LaneKind, Mark, MarkKind, Span, SpanKind, Timeline};

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

const STORE: usize = 0;
const MIRROR: usize = 1;
const USER: usize = 2;
const DISK_A: usize = 3;
const NET: usize = 6;
const CLIENT: usize = 7;

/// A system like `examples/mirror`, as a run of a few seconds.
pub fn mirror() -> Timeline {
    let mut run = Timeline {
        system: "mirror-store".into(),
        replay: "solum sim examples/mirror --replay m1:k3x9-0f2a77c1-d41".into(),
        failure: Some(
            "after resync disk c differs from disk a: block 131072 was acknowledged, and is lost".into(),
        ),
        end_ns: 4_820 * MS,
        ..Timeline::default()
    };
    lanes(&mut run);
    life(&mut run, STORE_LIVES);
    let mut random = Random(7);
    for round in 0..160 {
        let at = 120 * MS + round * 28 * MS + random.below(9 * MS);
        let is_down = [1_480..2_160, 3_385..3_465].iter().any(|down| down.contains(&(at / MS)));
        if !is_down && at < 4_700 * MS {
            request(&mut run, &mut random, round, at);
        }
    }
    incidents(&mut run);
    run
}

fn lanes(run: &mut Timeline) {
    let mut lane = |machine: &str, name: &str, kind| {
        run.lanes.push(Lane { name: name.into(), machine: machine.into(), kind });
    };
    lane("store", "store", LaneKind::Machine);
    lane("store", "store.mirror", LaneKind::Unit);
    lane("store", "store.user", LaneKind::Unit);
    lane("store", "store.disk.a", LaneKind::Disk);
    lane("store", "store.disk.b", LaneKind::Disk);
    lane("store", "store.disk.c", LaneKind::Disk);
    lane("store", "store network", LaneKind::Machine);
    lane("", "client", LaneKind::Client);
}

/// Unit, from, to, and how it ended if by a fault, in milliseconds.
type Life = (usize, u64, u64, Option<&'static str>);

const STORE_LIVES: &[Life] = &[
    (MIRROR, 40, 1_500, Some("power cut")),
    (USER, 90, 1_500, Some("power cut")),
    (MIRROR, 2_010, 3_402, Some("killed after a device operation")),
    (MIRROR, 3_460, 4_820, None),
    (USER, 2_060, 4_820, None),
];

fn life(run: &mut Timeline, lives: &[Life]) {
    for (number, &(lane, from, to, fault)) in lives.iter().enumerate() {
        let name = if lane == MIRROR { "mirror" } else { "user" };
        run.spans.push(Span {
            lane,
            from_ns: from * MS,
            to_ns: to * MS,
            kind: SpanKind::Life,
            label: format!("{name}, life {}", number + 1),
            fault: fault.map(str::to_owned),
        });
        mark(run, lane, from * MS, MarkKind::Supervisor, &format!("started {name}"));
        mark(run, lane, from * MS + 3 * MS, MarkKind::Line, &format!("{name}: ready"));
    }
}

/// The client asks, the user's unit writes to the volume, the mirror to its three disks.
fn request(run: &mut Timeline, random: &mut Random, round: u64, at: u64) {
    let offset = 4096 * random.below(4096);
    let (asked, took) = (at + 300 * US, 9 * MS + random.below(6 * MS));
    let is_lost = round % 41 == 17;
    arrow(run, (CLIENT, at), (USER, asked), &format!("POST /block/{offset}"), is_lost);
    if is_lost {
        span(
            run,
            CLIENT,
            (at, at + 20 * MS),
            SpanKind::Call,
            &format!("request {round}"),
            Some("the request was lost"),
        );
        return;
    }
    let done = asked + took;
    span(run, CLIENT, (at, done + 280 * US), SpanKind::Call, &format!("request {round}"), None);
    span(run, USER, (asked, done), SpanKind::Call, &format!("volume.write 4096 at {offset}"), None);
    arrow(run, (USER, asked + 40 * US), (MIRROR, asked + 90 * US), &format!("write 4096 at {offset}"), false);
    span(
        run,
        MIRROR,
        (asked + 90 * US, done - 60 * US),
        SpanKind::Call,
        &format!("mirror write at {offset}"),
        None,
    );
    for disk in 0..3 {
        disk_operations(run, random, disk, asked + 100 * US + disk as u64 * 40 * US, offset, round);
    }
    arrow(run, (MIRROR, done - 60 * US), (USER, done - 20 * US), "written", false);
    arrow(run, (USER, done), (CLIENT, done + 280 * US), "200 OK", false);
    if round % 20 == 3 {
        mark(run, USER, done, MarkKind::Line, &format!("user: {round} blocks are safe"));
    }
}

fn disk_operations(run: &mut Timeline, random: &mut Random, disk: usize, at: u64, offset: u64, round: u64) {
    let lane = DISK_A + disk;
    arrow(run, (MIRROR, at), (lane, at + 20 * US), &format!("write at {offset}"), false);
    let read = at + 400 * US + random.below(500 * US);
    span(run, lane, (at + 20 * US, read), SpanKind::Read, &format!("read 512 at {}", offset / 8), None);
    let written = read + 1_500 * US + random.below(3_000 * US);
    let fault = match (disk, round) {
        (1, 30) => Some("torn: 1536 of 4096 bytes reached the disk"),
        (2, 90) => Some("I/O error"),
        (2, 141) => Some("misdirected to 131072"),
        _ => None,
    };
    span(run, lane, (read + 5 * US, written), SpanKind::Write, &format!("write 4096 at {offset}"), fault);
    span(run, lane, (written + 5 * US, written + 1_900 * US), SpanKind::Flush, "flush", None);
}

fn incidents(run: &mut Timeline) {
    span(run, STORE, (1_500 * MS, 1_960 * MS), SpanKind::Off, "without power", Some("power cut"));
    mark(run, STORE, 1_500 * MS, MarkKind::Fault, "power cut at device operation 1203");
    span(
        run,
        NET,
        (2_700 * MS, 3_050 * MS),
        SpanKind::Network,
        "cut off from client, one way",
        Some("partition"),
    );
    span(run, NET, (3_600 * MS, 3_900 * MS), SpanKind::Network, "slow: 40 ms more", None);
    mark(run, NET, 2_700 * MS, MarkKind::Fault, "partition: client to store");
    mark(run, MIRROR, 3_402 * MS, MarkKind::Fault, "kill mirror at device operation 2417");
    mark(run, MIRROR, 3_410 * MS, MarkKind::Supervisor, "restart mirror in 50 ms");
    mark(run, MIRROR, 2_040 * MS, MarkKind::Line, "mirror: disk b is behind, resync from a");
    span(run, MIRROR, (2_045 * MS, 2_150 * MS), SpanKind::Call, "resync b from a", None);
    for step in 0..12 {
        let at = 2_046 * MS + step * 8 * MS;
        let offset = step * 65_536;
        span(run, DISK_A, (at, at + 3 * MS), SpanKind::Read, &format!("read 65536 at {offset}"), None);
        let write = (at + 3_100 * US, at + 7 * MS);
        span(run, DISK_A + 1, write, SpanKind::Write, &format!("write 65536 at {offset}"), None);
    }
    span(
        run,
        DISK_A + 2,
        (4_770 * MS, 4_800 * MS),
        SpanKind::Read,
        "read 4096 at 131072",
        Some("bit rot: 1 bit"),
    );
    mark(run, CLIENT, 4_810 * MS, MarkKind::Failure, "disk c differs from disk a at block 131072");
}

fn span(
    run: &mut Timeline,
    lane: usize,
    (from_ns, to_ns): (u64, u64),
    kind: SpanKind,
    label: &str,
    fault: Option<&str>,
) {
    run.spans.push(Span { lane, from_ns, to_ns, kind, label: label.into(), fault: fault.map(str::to_owned) });
}

fn arrow(run: &mut Timeline, from: (usize, u64), to: (usize, u64), label: &str, is_lost: bool) {
    let ((from_lane, from_ns), (to_lane, to_ns)) = (from, to);
    run.arrows.push(Arrow { from_lane, from_ns, to_lane, to_ns, label: label.into(), is_lost });
}

fn mark(run: &mut Timeline, lane: usize, at_ns: u64, kind: MarkKind, label: &str) {
    run.marks.push(Mark { lane, at_ns, kind, label: label.into() });
}

/// Numbers that look like chance, and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Very many short things in a few lanes.
pub fn large(items: u64) -> Timeline {
    let mut run = Timeline { system: "large".into(), end_ns: items * 10 * US, ..Timeline::default() };
    lanes(&mut run);
    for i in 0..items / 4 {
        let at = i * 40 * US;
        let disk = DISK_A + (i % 3) as usize;
        span(&mut run, disk, (at, at + 15 * US), SpanKind::Write, &format!("write {i}"), None);
        span(&mut run, MIRROR, (at + 16 * US, at + 24 * US), SpanKind::Call, &format!("call {i}"), None);
        arrow(&mut run, (MIRROR, at + 17 * US), (disk, at + 19 * US), &format!("message {i}"), i % 1000 == 7);
        mark(&mut run, USER, at + 20 * US, MarkKind::Line, &format!("line {i}"));
    }
    run
}
