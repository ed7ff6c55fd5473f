//! A trace, told to people: line by line, and as a timeline.

use std::collections::BTreeMap;
use std::time::Duration;

use solum_spec::plan::Plan;

use crate::faults::Fault;
use crate::scenario::Outcome;
use crate::timeline::{Arrow, Lane, LaneKind, Mark, MarkKind, Span, SpanKind, Timeline};
use crate::trace::{Record, records};

/// What a fault struck, by the number in its record.
enum Struck {
    Disk(usize),
    Machine(usize),
    Unit(usize),
    /// The way between two nodes.
    Way(usize, usize),
}

/// The names of everything that a trace speaks of by numbers.
pub struct Telling {
    system: String,
    machines: Vec<String>,
    /// Units and, behind them, clients.
    actors: Vec<String>,
    disks: Vec<String>,
    lanes: Vec<Lane>,
    lane_of_machine: Vec<usize>,
    lane_of_actor: Vec<usize>,
    lane_of_disk: Vec<usize>,
}

impl Telling {
    /// The names of a plan, of its machines and of the clients of a scenario.
    pub fn new(plan: &Plan, machines: &[String], clients: &[String]) -> Self {
        let mut telling = Self {
            system: plan.system.clone(),
            machines: machines.to_vec(),
            actors: plan.units.iter().map(solum_spec::plan::Unit::full_name).collect(),
            disks: plan.disks.iter().map(|disk| format!("{}.{}", disk.machine, disk.name)).collect(),
            lanes: Vec::new(),
            lane_of_machine: vec![0; machines.len()],
            lane_of_actor: vec![0; plan.units.len()],
            lane_of_disk: vec![0; plan.disks.len()],
        };
        for (index, machine) in machines.iter().enumerate() {
            telling.lane_of_machine[index] = telling.lane(machine, machine, LaneKind::Machine);
            for unit in (0..plan.units.len()).filter(|unit| plan.units[*unit].machine == *machine) {
                let name = telling.actors[unit].clone();
                telling.lane_of_actor[unit] = telling.lane(&name, machine, LaneKind::Unit);
            }
            for disk in (0..plan.disks.len()).filter(|disk| plan.disks[*disk].machine == *machine) {
                let name = telling.disks[disk].clone();
                telling.lane_of_disk[disk] = telling.lane(&name, machine, LaneKind::Disk);
            }
        }
        for client in clients {
            telling.actors.push(client.clone());
            let lane = telling.lane(client, "", LaneKind::Client);
            telling.lane_of_actor.push(lane);
        }
        telling
    }

    fn lane(&mut self, name: &str, machine: &str, kind: LaneKind) -> usize {
        self.lanes.push(Lane { name: name.to_owned(), machine: machine.to_owned(), kind });
        self.lanes.len() - 1
    }

    fn actor(&self, actor: u32) -> &str {
        self.actors.get(actor as usize).map_or("somebody", String::as_str)
    }

    fn actor_lane(&self, actor: u32) -> usize {
        self.lane_of_actor.get(actor as usize).copied().unwrap_or(0)
    }

    fn node(&self, node: usize) -> &str {
        self.machines.get(node).map_or("the world outside", String::as_str)
    }

    fn disk(&self, disk: u32) -> &str {
        self.disks.get(disk as usize).map_or("a disk", String::as_str)
    }

    fn struck(&self, fault: Fault, index: u32, detail: u64) -> Struck {
        let index = index as usize;
        match fault {
            Fault::Delay | Fault::Drop | Fault::Duplication | Fault::Reordering => {
                let nodes = self.machines.len() + 1;
                Struck::Way(index / nodes, index % nodes)
            }
            Fault::Partition | Fault::OneWayPartition | Fault::Clogging => {
                Struck::Way(index, detail as usize)
            }
            Fault::UnitCrash => Struck::Unit(index),
            Fault::PowerCut | Fault::ClockSteps | Fault::ClockDrift => Struck::Machine(index),
            _ => Struck::Disk(index),
        }
    }

    /// Where a fault is drawn, and what is said of it.
    fn fault(&self, fault: Fault, index: u32, detail: u64) -> (usize, String) {
        let more = match fault {
            Fault::LostWrites => format!(": {detail} blocks"),
            Fault::ClockSteps => format!(" by {:?}", Duration::from_nanos(detail)),
            Fault::ClockDrift => format!(": {detail} parts in a million"),
            Fault::Delay => format!(": {detail} times the usual"),
            _ => String::new(),
        };
        match self.struck(fault, index, detail) {
            Struck::Disk(disk) => {
                (self.lane_of_disk.get(disk).copied().unwrap_or(0), format!("{fault}{more}"))
            }
            Struck::Machine(machine) => {
                (self.lane_of_machine.get(machine).copied().unwrap_or(0), format!("{fault}{more}"))
            }
            Struck::Unit(unit) => (self.actor_lane(unit as u32), format!("{fault}{more}")),
            Struck::Way(from, to) => {
                let lane = self.lane_of_machine.get(from).or(self.lane_of_machine.get(to)).copied();
                let arrow = if matches!(fault, Fault::Partition | Fault::Clogging) { "and" } else { "to" };
                (lane.unwrap_or(0), format!("{fault}, {} {arrow} {}{more}", self.node(from), self.node(to)))
            }
        }
    }

    /// What a record says to people: who, and what. Messages say nothing here: there are too many.
    fn say(&self, record: &Record<'_>) -> Option<(String, String)> {
        let unit = |unit: u32| self.actor(unit).to_owned();
        Some(match record {
            Record::Began(actor, starts) => (unit(*actor), format!("begins (start {starts})")),
            Record::Ended(actor, how) => (unit(*actor), format!("ended: {how}")),
            Record::Line(actor, text) | Record::Used(actor, text) => (unit(*actor), text.to_string()),
            Record::Supervised(actor, text) => (unit(*actor), format!("[{text}]")),
            Record::Power(machine, true) => (self.node(*machine as usize).to_owned(), "has power".to_owned()),
            Record::Power(machine, false) => {
                (self.node(*machine as usize).to_owned(), "has no power".to_owned())
            }
            Record::Fault(fault, index, detail) => {
                let (lane, text) = self.fault(*fault, *index, *detail);
                (
                    self.lanes.get(lane).map(|lane| lane.name.clone()).unwrap_or_default(),
                    format!("FAULT {text}"),
                )
            }
            Record::Healed(fault, from, to) => {
                let (from, to) = (self.node(*from as usize), self.node(*to as usize));
                (from.to_owned(), format!("{fault} is over, with {to}"))
            }
            Record::Asked(actor, text) => (unit(*actor), format!("asks {text}")),
            Record::Answered(actor, text) => (unit(*actor), format!("got {text}")),
            Record::Read(disk, offset, bytes) => {
                (self.disk(*disk).to_owned(), format!("reads {bytes} at {offset}"))
            }
            Record::Wrote(disk, offset, bytes, _) => {
                (self.disk(*disk).to_owned(), format!("writes {bytes} at {offset}"))
            }
            Record::Flushed(disk) => (self.disk(*disk).to_owned(), "flushes".to_owned()),
            Record::Discarded(disk, offset, bytes) => {
                (self.disk(*disk).to_owned(), format!("discards {bytes} at {offset}"))
            }
            Record::Took(disk, _, false) => (self.disk(*disk).to_owned(), "failed".to_owned()),
            Record::Calm => ("all".to_owned(), "faults stop".to_owned()),
            Record::Failed(why) => ("all".to_owned(), format!("FAILED {why}")),
            Record::Passed(_)
            | Record::Runs(_)
            | Record::Took(_, _, true)
            | Record::Sent(..)
            | Record::Arrived(_)
            | Record::Lost(_) => return None,
        })
    }

    /// What happened, line by line: when in nanoseconds, to whom, and what.
    pub fn lines<'a>(&'a self, trace: &'a [u8]) -> impl Iterator<Item = (u64, String, String)> + 'a {
        records(trace).filter_map(|(at_ns, record)| self.say(&record).map(|(who, text)| (at_ns, who, text)))
    }
}

/// A run as a page.
pub fn timeline(telling: &Telling, trace: &[u8], replay: &str, outcome: &Outcome) -> Timeline {
    let end_ns = u64::try_from(outcome.took.as_nanos()).unwrap_or(u64::MAX);
    let mut drawing = Drawing {
        telling,
        page: Timeline {
            system: telling.system.clone(),
            replay: replay.to_owned(),
            failure: outcome.failure.clone(),
            end_ns,
            lanes: telling.lanes.clone(),
            ..Timeline::default()
        },
        lives: BTreeMap::new(),
        operations: BTreeMap::new(),
        off: BTreeMap::new(),
        ways: Vec::new(),
        calls: BTreeMap::new(),
        messages: BTreeMap::new(),
    };
    for (at_ns, record) in records(trace) {
        drawing.draw(at_ns, &record);
    }
    drawing.close(end_ns);
    drawing.page
}

struct Operation {
    from_ns: u64,
    kind: SpanKind,
    label: String,
    fault: Option<String>,
}

struct Drawing<'a> {
    telling: &'a Telling,
    page: Timeline,
    /// What has begun and not ended yet, by whom it concerns.
    lives: BTreeMap<u32, (u64, u32)>,
    operations: BTreeMap<u32, Operation>,
    off: BTreeMap<u32, u64>,
    ways: Vec<(Fault, (u32, u32), u64, String)>,
    calls: BTreeMap<u32, (u64, String)>,
    messages: BTreeMap<u32, (u64, u32, u32, u32)>,
}

impl Drawing<'_> {
    fn span(
        &mut self,
        lane: usize,
        from_ns: u64,
        to_ns: u64,
        kind: SpanKind,
        label: String,
        fault: Option<String>,
    ) {
        self.page.spans.push(Span { lane, from_ns, to_ns, kind, label, fault });
    }

    fn mark(&mut self, lane: usize, at_ns: u64, kind: MarkKind, label: String) {
        self.page.marks.push(Mark { lane, at_ns, kind, label });
    }

    fn draw(&mut self, at_ns: u64, record: &Record<'_>) {
        match record {
            Record::Began(unit, starts) => {
                self.lives.insert(*unit, (at_ns, *starts));
            }
            Record::Ended(unit, how) => self.life_ends(at_ns, *unit, how),
            Record::Line(actor, text) | Record::Used(actor, text) => {
                self.mark(self.telling.actor_lane(*actor), at_ns, MarkKind::Line, text.to_string());
            }
            Record::Supervised(unit, text) => {
                self.mark(self.telling.actor_lane(*unit), at_ns, MarkKind::Supervisor, text.to_string());
            }
            Record::Power(machine, false) => {
                self.off.insert(*machine, at_ns);
                self.operations_end(at_ns, *machine);
            }
            Record::Power(machine, true) => {
                if let Some(from_ns) = self.off.remove(machine) {
                    let lane = self.telling.lane_of_machine.get(*machine as usize).copied().unwrap_or(0);
                    self.span(lane, from_ns, at_ns, SpanKind::Off, "without power".to_owned(), None);
                }
            }
            Record::Fault(fault, index, detail) => self.fault(at_ns, *fault, *index, *detail),
            Record::Healed(fault, from, to) => self.healed(at_ns, *fault, (*from, *to)),
            Record::Asked(client, text) => {
                self.calls.insert(*client, (at_ns, text.to_string()));
            }
            Record::Answered(client, text) => {
                let (from_ns, _) = self.calls.remove(client).unwrap_or((at_ns, String::new()));
                self.span(
                    self.telling.actor_lane(*client),
                    from_ns,
                    at_ns,
                    SpanKind::Call,
                    text.to_string(),
                    None,
                );
            }
            Record::Calm => self.mark(0, at_ns, MarkKind::Supervisor, "all faults stop".to_owned()),
            Record::Failed(why) => self.mark(0, at_ns, MarkKind::Failure, why.to_string()),
            Record::Sent(number, from, to, bytes) => {
                self.messages.insert(*number, (at_ns, *from, *to, *bytes));
            }
            Record::Arrived(number) => self.arrives(at_ns, *number, false),
            Record::Lost(number) => self.arrives(at_ns, *number, true),
            operation => self.operation(at_ns, operation),
        }
    }

    fn operation(&mut self, at_ns: u64, record: &Record<'_>) {
        let (disk, kind, label) = match record {
            Record::Read(disk, offset, bytes) => (*disk, SpanKind::Read, format!("read {bytes} at {offset}")),
            Record::Wrote(disk, offset, bytes, _) => {
                (*disk, SpanKind::Write, format!("write {bytes} at {offset}"))
            }
            Record::Flushed(disk) => (*disk, SpanKind::Flush, "flush".to_owned()),
            Record::Discarded(disk, offset, bytes) => {
                (*disk, SpanKind::Flush, format!("discard {bytes} at {offset}"))
            }
            Record::Took(disk, _, is_well) => {
                let Some(Operation { from_ns, kind, label, fault }) = self.operations.remove(disk) else {
                    return;
                };
                let label = if *is_well { label } else { format!("{label}: failed") };
                let lane = self.telling.lane_of_disk.get(*disk as usize).copied().unwrap_or(0);
                return self.span(lane, from_ns, at_ns, kind, label, fault);
            }
            _ => return,
        };
        self.operations.insert(disk, Operation { from_ns: at_ns, kind, label, fault: None });
    }

    /// What a machine's disks were doing when it lost its power.
    fn operations_end(&mut self, at_ns: u64, machine: u32) {
        let telling = self.telling;
        let Some(name) = telling.machines.get(machine as usize) else { return };
        for disk in 0..telling.disks.len() as u32 {
            let lane = telling.lane_of_disk[disk as usize];
            if telling.lanes[lane].machine == *name
                && let Some(Operation { from_ns, kind, label, .. }) = self.operations.remove(&disk)
            {
                self.span(lane, from_ns, at_ns, kind, label, Some("power was lost".to_owned()));
            }
        }
    }

    fn life_ends(&mut self, at_ns: u64, unit: u32, how: &str) {
        if let Some((from_ns, starts)) = self.lives.remove(&unit) {
            let label = format!("start {starts}, ended: {how}");
            self.span(self.telling.actor_lane(unit), from_ns, at_ns, SpanKind::Life, label, None);
        }
    }

    fn fault(&mut self, at_ns: u64, fault: Fault, index: u32, detail: u64) {
        let (lane, label) = self.telling.fault(fault, index, detail);
        match fault {
            Fault::Partition | Fault::OneWayPartition | Fault::Clogging => {
                self.ways.push((fault, (index, detail as u32), at_ns, label.clone()));
            }
            _ => {
                let is_of_disk = matches!(self.telling.struck(fault, index, detail), Struck::Disk(_));
                if let Some(operation) = self.operations.get_mut(&index).filter(|_| is_of_disk) {
                    operation.fault = Some(label.clone());
                }
            }
        }
        self.mark(lane, at_ns, MarkKind::Fault, label);
    }

    fn healed(&mut self, at_ns: u64, fault: Fault, nodes: (u32, u32)) {
        let Some(place) = self.ways.iter().position(|way| way.0 == fault && way.1 == nodes) else { return };
        let (_, _, from_ns, label) = self.ways.remove(place);
        self.way(nodes.0, from_ns, at_ns, fault, label);
    }

    fn way(&mut self, index: u32, from_ns: u64, to_ns: u64, fault: Fault, label: String) {
        let lane = self.telling.lane_of_machine.get(index as usize).copied().unwrap_or(0);
        self.span(lane, from_ns, to_ns, SpanKind::Network, label, Some(fault.to_string()));
    }

    fn arrives(&mut self, at_ns: u64, number: u32, is_lost: bool) {
        let Some((from_ns, from, to, bytes)) = self.messages.remove(&number) else { return };
        let label = format!("{bytes} bytes, {} to {}", self.telling.actor(from), self.telling.actor(to));
        let (from_lane, to_lane) = (self.telling.actor_lane(from), self.telling.actor_lane(to));
        self.page.arrows.push(Arrow { from_lane, from_ns, to_lane, to_ns: at_ns, label, is_lost });
    }

    /// What had not ended when the run did.
    fn close(&mut self, end_ns: u64) {
        for (unit, (from_ns, starts)) in std::mem::take(&mut self.lives) {
            let lane = self.telling.actor_lane(unit);
            self.span(lane, from_ns, end_ns, SpanKind::Life, format!("start {starts}"), None);
        }
        for (client, (from_ns, text)) in std::mem::take(&mut self.calls) {
            let lane = self.telling.actor_lane(client);
            self.span(lane, from_ns, end_ns, SpanKind::Call, format!("{text}: no answer yet"), None);
        }
        for (machine, from_ns) in std::mem::take(&mut self.off) {
            let lane = self.telling.lane_of_machine.get(machine as usize).copied().unwrap_or(0);
            self.span(lane, from_ns, end_ns, SpanKind::Off, "without power".to_owned(), None);
        }
        for (fault, (index, _), from_ns, label) in std::mem::take(&mut self.ways) {
            self.way(index, from_ns, end_ns, fault, label);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn telling() -> Telling {
        let mut plan = Plan { system: "test".to_owned(), ..Plan::default() };
        let disk = |name: &str| solum_spec::plan::Disk {
            machine: "store".to_owned(),
            name: name.to_owned(),
            bytes: 1024,
            block_bytes: 512,
        };
        plan.disks = vec![disk("a"), disk("b")];
        Telling::new(&plan, &["store".to_owned(), "web".to_owned()], &["client".to_owned()])
    }

    fn trace(of: &[(u64, Record<'_>)]) -> Vec<u8> {
        let mut trace = Trace::new(true);
        of.iter().for_each(|(at_ns, record)| trace.add(*at_ns, record));
        trace.finish().1.unwrap()
    }

    #[test]
    fn operations_partitions_and_requests_become_spans() {
        let telling = telling();
        let bytes = trace(&[
            (1, Record::Asked(0, "GET /".into())),
            (2, Record::Read(1, 512, 512)),
            (2, Record::Fault(Fault::BitRot, 1, 7)),
            (3, Record::Fault(Fault::Partition, 0, 1)),
            (5, Record::Took(1, 3, true)),
            (6, Record::Flushed(0)),
            (7, Record::Power(0, false)),
            (8, Record::Healed(Fault::Partition, 0, 1)),
            (9, Record::Failed("no".into())),
        ]);
        let outcome = Outcome { took: Duration::from_nanos(10), ..Outcome::failed("no".to_owned()) };
        let page = timeline(&telling, &bytes, "again", &outcome);
        let lanes: Vec<&str> = page.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(lanes, ["store", "store.a", "store.b", "web", "client"]);
        let mut spans: Vec<_> = page
            .spans
            .iter()
            .map(|span| (span.lane, span.from_ns, span.to_ns, span.label.as_str(), span.fault.as_deref()))
            .collect();
        spans.sort_unstable();
        assert_eq!(
            spans,
            [
                (0, 3, 8, "partition, store and web", Some("partition")),
                (0, 7, 10, "without power", None),
                (1, 6, 7, "flush", Some("power was lost")),
                (2, 2, 5, "read 512 at 512", Some("bit-rot")),
                (4, 1, 10, "GET /: no answer yet", None),
            ]
        );
        assert!(page.marks.iter().any(|mark| mark.kind == MarkKind::Failure && mark.at_ns == 9));
    }

    #[test]
    fn messages_are_arrows_from_when_they_left_to_when_they_came() {
        let telling = telling();
        let bytes = trace(&[
            (1, Record::Sent(1, 0, 0, 64)),
            (2, Record::Sent(2, 0, 0, 64)),
            (4, Record::Lost(1)),
            (5, Record::Arrived(2)),
        ]);
        let page = timeline(&telling, &bytes, "", &Outcome::failed(String::new()));
        let arrows: Vec<_> =
            page.arrows.iter().map(|arrow| (arrow.from_ns, arrow.to_ns, arrow.is_lost)).collect();
        assert_eq!(arrows, [(1, 4, true), (2, 5, false)]);
        assert_eq!(telling.lines(&bytes).count(), 0, "of messages nothing is said");
    }
}
