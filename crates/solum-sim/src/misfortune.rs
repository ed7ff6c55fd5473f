//! What goes wrong by itself, and not with an operation: crashes, partitions, clogged networks, clocks that are off.

use crate::choices::About;
use crate::event::Event;
use crate::faults::Fault;
use crate::network::Path;
use crate::random::Random;
use crate::sim::{Sim, Terms};
use crate::trace::Record;
use solum_spec::control::SIGKILL;

/// Something may happen so many times in a run, whatever its length; the time between two is bounded, too.
const TIMES: u64 = 64;
const GAP_NS: std::ops::RangeInclusive<u64> = 2_000_000..=1_000_000_000;

/// How much time there is between two misfortunes of a scenario whose faults last so long, in nanoseconds.
pub fn gap_ns(until_ns: u64) -> u64 {
    (until_ns / TIMES).clamp(*GAP_NS.start(), *GAP_NS.end())
}

/// How often a unit is crashed within [`CRASH_WINDOW_NS`]. A supervisor gives up a unit that fails ten times in a minute.
const CRASHES: usize = 4;
const CRASH_WINDOW_NS: u64 = 120_000_000_000;
/// How often a machine loses its power in one run.
const POWER_CUTS: u32 = 6;
const MILLISECOND_NS: u64 = 1_000_000;
/// What else there is to choose about what happens: how long, which way, how far.
const DETAILS: u64 = 1 << 10;

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Crash { unit: usize },
    PowerCut { machine: usize },
    Partition { between: [usize; 2] },
    OneWay { from: usize, to: usize },
    Clog { between: [usize; 2] },
    Step { machine: usize },
    Drift { machine: usize },
}

impl Act {
    fn kind(self) -> Fault {
        match self {
            Self::Crash { .. } => Fault::UnitCrash,
            Self::PowerCut { .. } => Fault::PowerCut,
            Self::Partition { .. } => Fault::Partition,
            Self::OneWay { .. } => Fault::OneWayPartition,
            Self::Clog { .. } => Fault::Clogging,
            Self::Step { .. } => Fault::ClockSteps,
            Self::Drift { .. } => Fault::ClockDrift,
        }
    }
}

/// What may happen, and what is under way.
pub struct Misfortune {
    acts: Vec<Act>,
    gap_ns: u64,
    /// What has not been healed yet, by its number.
    under_way: Vec<(u32, Act)>,
    last_number: u32,
    /// When each unit was crashed.
    crashes: Vec<Vec<u64>>,
    power_cuts: Vec<u32>,
}

impl Misfortune {
    /// All that may happen to a system within its envelope.
    pub fn new(terms: &Terms) -> Self {
        let plan = &terms.plan;
        let machines = terms.machines.len();
        let place = |name: &str| terms.machines.iter().position(|machine| machine.name == name);
        let mut ways: Vec<[usize; 2]> = Vec::new();
        let machine_of = |unit: &str| {
            plan.units.iter().find(|known| known.full_name() == unit).and_then(|known| place(&known.machine))
        };
        let of_links = plan.links.iter().map(|link| (machine_of(&link.client), machine_of(&link.server)));
        let of_listeners = plan.listeners.iter().map(|listener| (place(&listener.machine), Some(machines)));
        for (a, b) in of_links.chain(of_listeners) {
            let (Some(a), Some(b)) = (a, b) else { continue };
            let way = [a.min(b), a.max(b)];
            if a != b && !ways.contains(&way) {
                ways.push(way);
            }
        }
        let mut acts: Vec<Act> = (0..plan.units.len()).map(|unit| Act::Crash { unit }).collect();
        acts.extend((0..machines).map(|machine| Act::PowerCut { machine }));
        acts.extend(ways.iter().map(|between| Act::Partition { between: *between }));
        acts.extend(
            ways.iter()
                .flat_map(|[a, b]| [Act::OneWay { from: *a, to: *b }, Act::OneWay { from: *b, to: *a }]),
        );
        acts.extend(ways.iter().map(|between| Act::Clog { between: *between }));
        acts.extend((0..machines).flat_map(|machine| [Act::Step { machine }, Act::Drift { machine }]));
        Self {
            acts,
            gap_ns: terms.gap_ns,
            under_way: Vec::new(),
            last_number: 0,
            crashes: vec![Vec::new(); plan.units.len()],
            power_cuts: vec![0; machines],
        }
    }

    /// The first time that something may happen.
    pub fn begin(&self, sim: &Sim) {
        if self.acts.iter().any(|act| sim.terms.envelope.has(act.kind())) {
            sim.kernel.after(self.gap_ns, Event::Misfortune);
        }
    }

    /// A machine lost its power; for how many nanoseconds.
    pub fn power_is_off(&mut self, sim: &Sim, machine: usize) -> u64 {
        self.power_cuts[machine] += 1;
        let stream = 1 + machine as u32;
        let doublings = sim.kernel.pick(About::Misfortune, stream, 8, |random| random.below(8) as u32);
        (100 * MILLISECOND_NS) << doublings
    }
}

impl Sim {
    /// Whether a machine may lose its power now.
    pub(crate) fn may_lose_power(&self, machine: usize) -> bool {
        if !self.may(Fault::PowerCut) || self.misfortune.borrow().power_cuts[machine] >= POWER_CUTS {
            return false;
        }
        let is_on = self.machines.borrow()[machine].is_on;
        is_on && self.machines_down() < self.terms.envelope.machines_down
    }

    pub(crate) fn misfortune_comes(&self) {
        if self.is_calm.get() {
            return;
        }
        let (acts, gap_ns) = {
            let misfortune = self.misfortune.borrow();
            (misfortune.acts.clone(), misfortune.gap_ns)
        };
        self.kernel.after(gap_ns, Event::Misfortune);
        let weather = &self.terms.weather;
        let value = self.kernel.pick(About::Misfortune, 0, u32::MAX, |random| {
            if !random.once_in(3) {
                return 0;
            }
            let act = random.below(acts.len() as u64);
            let is_in_the_weather = weather.once_in(acts[act as usize].kind()) > 0;
            if is_in_the_weather { (1 + act + acts.len() as u64 * random.below(DETAILS)) as u32 } else { 0 }
        });
        let Some(chosen) = value.checked_sub(1) else { return };
        let (act, detail) = (chosen as usize % acts.len(), chosen as usize / acts.len());
        // A script may be of another envelope.
        if self.terms.envelope.has(acts[act].kind()) {
            self.do_act(acts[act], detail as u64);
        }
    }

    fn do_act(&self, act: Act, detail: u64) {
        let mut random = Random::new(detail);
        // From one millisecond to eight seconds.
        let duration_ns = MILLISECOND_NS << (detail % 14);
        match act {
            Act::Crash { unit } => self.crash(unit),
            Act::PowerCut { machine } => {
                if self.may_lose_power(machine) {
                    self.cut_power(machine, false);
                }
                return;
            }
            Act::Partition { between: [a, b] } => self.fault(Fault::Partition, a, b as u64),
            Act::OneWay { from, to } => self.fault(Fault::OneWayPartition, from, to as u64),
            Act::Clog { between: [a, b] } => self.fault(Fault::Clogging, a, b as u64),
            Act::Step { machine } => {
                // Up to a day to either side.
                let by_ns = (1_i64 << random.below(47)) * if random.once_in(2) { -1 } else { 1 };
                self.machines.borrow_mut()[machine].clock.step(by_ns);
                self.fault(Fault::ClockSteps, machine, by_ns.unsigned_abs());
            }
            Act::Drift { machine } => {
                // What a crystal does, and what a bad one does.
                let ppm = random.below(1001) as i64 - 500;
                let now_ns = self.kernel.now_ns();
                self.machines.borrow_mut()[machine].clock.drift(now_ns, ppm);
                self.fault(Fault::ClockDrift, machine, ppm.unsigned_abs());
            }
        }
        self.set_way(act, true);
        if matches!(act, Act::Partition { .. } | Act::OneWay { .. } | Act::Clog { .. }) {
            let number = {
                let misfortune = &mut *self.misfortune.borrow_mut();
                misfortune.last_number += 1;
                misfortune.under_way.push((misfortune.last_number, act));
                misfortune.last_number
            };
            self.kernel.after(duration_ns, Event::Heal(number));
        }
    }

    /// A unit dies, if the envelope lets it.
    fn crash(&self, unit: usize) {
        let now_ns = self.kernel.now_ns();
        let runs = self.units.borrow()[unit].task.is_some();
        {
            let crashes = &mut self.misfortune.borrow_mut().crashes[unit];
            crashes.retain(|at_ns| at_ns + CRASH_WINDOW_NS > now_ns);
            if !runs || crashes.len() >= CRASHES {
                return;
            }
            crashes.push(now_ns);
        }
        self.fault(Fault::UnitCrash, unit, 0);
        self.end_unit(unit, SIGKILL);
    }

    /// Something that concerns the way between two nodes begins or ends.
    fn set_way(&self, act: Act, begins: bool) {
        let paths = match act {
            Act::Partition { between: [a, b] } | Act::Clog { between: [a, b] } => {
                vec![Path { from: a, to: b }, Path { from: b, to: a }]
            }
            Act::OneWay { from, to } => vec![Path { from, to }],
            _ => return,
        };
        let is_clog = matches!(act, Act::Clog { .. });
        {
            let network = &mut *self.network.borrow_mut();
            for path in &paths {
                match (is_clog, begins) {
                    (true, begins) => network.clog(*path, begins),
                    (false, true) => network.block(*path),
                    (false, false) => network.unblock(&self.kernel, *path),
                }
            }
        }
        if !is_clog {
            self.way_changed([paths[0].from, paths[0].to]);
        }
    }

    pub(crate) fn heal(&self, number: u32) {
        let act = {
            let under_way = &mut self.misfortune.borrow_mut().under_way;
            let place = under_way.iter().position(|(known, _)| *known == number);
            place.map(|place| under_way.remove(place).1)
        };
        if let Some(act) = act {
            let (from, to) = match act {
                Act::Partition { between: [a, b] } | Act::Clog { between: [a, b] } => (a, b),
                Act::OneWay { from, to } => (from, to),
                _ => (0, 0),
            };
            self.kernel.record(&Record::Healed(act.kind(), from as u32, to as u32));
            self.set_way(act, false);
        }
    }

    /// Ways are free, clocks are right, power is on. What is broken on disks stays so: that is for the system to mend.
    pub(crate) fn heal_everything(&self) {
        let numbers: Vec<u32> =
            self.misfortune.borrow().under_way.iter().map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.heal(number));
        let now_ns = self.kernel.now_ns();
        self.machines.borrow_mut().iter_mut().for_each(|machine| machine.clock.set_right(now_ns));
    }
}
