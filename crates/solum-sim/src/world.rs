//! The world as a unit finds it: simulated drivers for everything that is plugged into its ports.

use std::rc::Rc;
use std::time::Duration;

use solum::clock::{self, Moment, Source, Waker};
use solum::link::over::{OverAnswerer, OverCaller};
use solum::port::{InterfaceId, PlugError, World};
use solum::units::{FromSupervisor, ToSupervisor, UnitState};
use solum::{Error, Result, console, disk, entropy, health, keys, link, screen, tcp, units};
use solum_link::Side;
use solum_spec::handover::UnitPhase;
use solum_spec::plan::Device;
use solum_supervisor::Command;

use crate::link::SimEnd;
use crate::random::Random;
use crate::screen::{SimKeys, SimScreen};
use crate::sim::Sim;
use crate::storage::SimDisk;
use crate::task;
use crate::tcp::SimListener;
use crate::trace::Record;

/// What the entropy of units is drawn from, among the streams of a seed.
const ENTROPY: u64 = 0xE17;

/// What one start of a unit finds.
pub struct UnitWorld {
    sim: Rc<Sim>,
    unit: usize,
    starts: u32,
}

impl UnitWorld {
    /// The world of a unit that was started for the so many-th time.
    pub fn new(sim: &Rc<Sim>, unit: usize, starts: u32) -> Self {
        Self { sim: Rc::clone(sim), unit, starts }
    }

    fn device(&self, port: &str, index: usize) -> Result<Device, PlugError> {
        let plugs = &self.sim.terms.plan.units[self.unit].plugs;
        let plug = plugs.iter().find(|plug| plug.port == port);
        plug.and_then(|plug| plug.devices.get(index).copied())
            .ok_or_else(|| PlugError::new(port, format!("device {index} is not plugged in")))
    }

    fn open(&self, port: &str, link: usize, side: Side) -> Result<SimEnd, PlugError> {
        SimEnd::open(&self.sim, link, side, self.starts).map_err(|error| PlugError::passing(port, error))
    }

    fn calling(
        &self,
        port: &str,
        link: usize,
        interface: &InterfaceId,
    ) -> Result<OverCaller<SimEnd>, PlugError> {
        Ok(OverCaller::new(self.open(port, link, Side::Client)?, interface, self.time()))
    }

    fn time(&self) -> Rc<dyn clock::Driver> {
        Rc::new(SimClock { sim: Rc::clone(&self.sim), machine: self.sim.units.borrow()[self.unit].machine })
    }
}

fn unfit(port: &str) -> PlugError {
    PlugError::new(port, "what is plugged in does not fit")
}

impl World for UnitWorld {
    fn count(&self, port: &str) -> usize {
        let plugs = &self.sim.terms.plan.units[self.unit].plugs;
        plugs.iter().find(|plug| plug.port == port).map_or(0, |plug| plug.devices.len())
    }

    fn disk(&mut self, port: &str, index: usize) -> Result<Box<dyn disk::Driver>, PlugError> {
        match self.device(port, index)? {
            Device::Disk(disk) => match SimDisk::new(&self.sim, disk) {
                Some(disk) => Ok(Box::new(disk)),
                None => Err(unfit(port)),
            },
            Device::Client(link) => {
                let caller = self.calling(port, link, &<solum::Disk as link::Interface>::ID)?;
                solum::served_disk::linked(Box::new(caller), self.time())
                    .map_err(|error| PlugError::passing(port, error.to_string()))
            }
            _ => Err(unfit(port)),
        }
    }

    fn caller(
        &mut self,
        port: &str,
        index: usize,
        interface: &InterfaceId,
    ) -> Result<Box<dyn link::Caller>, PlugError> {
        match self.device(port, index)? {
            Device::Client(link) => Ok(Box::new(self.calling(port, link, interface)?)),
            _ => Err(unfit(port)),
        }
    }

    fn answerer(
        &mut self,
        port: &str,
        interface: &InterfaceId,
    ) -> Result<Box<dyn link::Answerer>, PlugError> {
        let mut ends = Vec::new();
        for index in 0..self.count(port) {
            match self.device(port, index)? {
                Device::Server(link) => ends.push(self.open(port, link, Side::Server)?),
                _ => return Err(unfit(port)),
            }
        }
        Ok(Box::new(OverAnswerer::new(ends, interface, self.time())))
    }

    fn listener(&mut self, port: &str, index: usize) -> Result<Box<dyn tcp::Listen>, PlugError> {
        match self.device(port, index)? {
            Device::Listener(listener) => match SimListener::new(&self.sim, listener) {
                Some(listener) => Ok(Box::new(listener)),
                None => Err(unfit(port)),
            },
            _ => Err(unfit(port)),
        }
    }

    fn screen(&mut self, port: &str, index: usize) -> Result<Box<dyn screen::Driver>, PlugError> {
        match self.device(port, index)? {
            Device::Screen(screen) => {
                Ok(Box::new(SimScreen { sim: Rc::clone(&self.sim), screen, unit: self.unit }))
            }
            _ => Err(unfit(port)),
        }
    }

    fn keys(&mut self, port: &str, index: usize) -> Result<Box<dyn keys::Driver>, PlugError> {
        match self.device(port, index)? {
            Device::Keys(keyboard) => match SimKeys::new(&self.sim, keyboard) {
                Some(keys) => Ok(Box::new(keys)),
                None => Err(unfit(port)),
            },
            _ => Err(unfit(port)),
        }
    }

    fn units(&mut self, port: &str) -> Result<Box<dyn units::Driver>, PlugError> {
        match self.device(port, 0)? {
            Device::Units => Ok(Box::new(SimUnits { sim: Rc::clone(&self.sim), unit: self.unit })),
            _ => Err(unfit(port)),
        }
    }

    fn clock(&mut self) -> Rc<dyn clock::Driver> {
        self.time()
    }

    fn entropy(&mut self) -> Box<dyn entropy::Driver> {
        let number = u64::from(self.starts) << 32 | self.unit as u64;
        Box::new(SimEntropy(Random::at(self.sim.terms.seed, ENTROPY, number)))
    }

    fn console(&mut self) -> Box<dyn console::Driver> {
        Box::new(SimConsole { sim: Rc::clone(&self.sim), unit: self.unit })
    }

    fn health(&mut self) -> Rc<dyn health::Driver> {
        Rc::new(SimHealth { sim: Rc::clone(&self.sim), unit: self.unit, starts: self.starts })
    }
}

/// The clocks of a machine.
struct SimClock {
    sim: Rc<Sim>,
    machine: usize,
}

impl SimClock {
    fn clock(&self) -> crate::clock::MachineClock {
        self.sim.machines.borrow()[self.machine].clock
    }
}

impl clock::Driver for SimClock {
    fn now(&self) -> Moment {
        self.sim.kernel.give_way();
        let local_ns = self.clock().local_ns(self.sim.kernel.now_ns());
        Moment::from_beginning(Duration::from_nanos(local_ns))
    }

    fn wall(&self) -> Result<Duration> {
        self.sim.kernel.give_way();
        Ok(Duration::from_nanos(self.clock().wall_ns(self.sim.kernel.now_ns())))
    }

    fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<Option<usize>> {
        select(&self.sim, sources, deadline, |moment| self.clock().run_ns(nanoseconds(moment)))
    }
}

fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.since_beginning().as_nanos()).unwrap_or(u64::MAX)
}

/// Waits, as the running task, for one of the sources or for a moment.
pub fn select(
    sim: &Sim,
    sources: &mut [&mut dyn Source],
    deadline: Option<Moment>,
    run_ns: impl Fn(Moment) -> u64,
) -> Result<Option<usize>> {
    loop {
        // The clock may run otherwise than when it began to wait.
        let deadline_ns = deadline.map(&run_ns);
        let mut waker = Waker::default();
        let ready = sources.iter_mut().position(|source| source.arm(&mut waker));
        let again_ns = waker.at().map(&run_ns);
        let is_late = deadline_ns.is_some_and(|deadline_ns| deadline_ns <= sim.kernel.now_ns());
        let until_ns = deadline_ns.into_iter().chain(again_ns).min();
        let goes_on = match ready.is_some() || is_late {
            true => sim.kernel.give_way(),
            false => sim.kernel.wait(waker.devices(), until_ns),
        };
        drop(waker);
        sources.iter_mut().for_each(|source| source.disarm());
        if !goes_on {
            return Err(Error::Closed);
        }
        if ready.is_some() || is_late {
            return Ok(ready);
        }
    }
}

/// Randomness that is the same in every run of a seed.
pub struct SimEntropy(pub Random);

impl entropy::Driver for SimEntropy {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.0.fill(buffer);
        Ok(())
    }
}

struct SimConsole {
    sim: Rc<Sim>,
    unit: usize,
}

impl console::Driver for SimConsole {
    fn line(&mut self, text: &str) -> Result<()> {
        if task::may_wait() {
            self.sim.keep_line(self.unit, text);
            self.sim.kernel.give_way();
        }
        Ok(())
    }
}

struct SimHealth {
    sim: Rc<Sim>,
    unit: usize,
    starts: u32,
}

impl SimHealth {
    fn is_current(&self) -> bool {
        task::may_wait() && self.sim.units.borrow()[self.unit].starts == self.starts
    }
}

impl health::Driver for SimHealth {
    fn ready(&self) -> Result<()> {
        let was_ready = self.sim.units.borrow()[self.unit].is_ready;
        if self.is_current() && !was_ready {
            self.sim.unit_says(self.unit, None);
        }
        Ok(())
    }

    fn health(&self, state: Result<(), String>) -> Result<()> {
        if self.is_current() {
            self.sim.unit_says(self.unit, Some(state));
        }
        Ok(())
    }
}

struct SimUnits {
    sim: Rc<Sim>,
    unit: usize,
}

impl SimUnits {
    fn neighbours(&self) -> Vec<usize> {
        let machine = self.sim.units.borrow()[self.unit].machine;
        self.sim.machines.borrow()[machine].units.clone()
    }

    fn named(&self, name: &str) -> Result<usize, FromSupervisor> {
        let units = &self.sim.terms.plan.units;
        let found = self.neighbours().into_iter().find(|unit| units[*unit].name == name);
        match found {
            Some(unit) if unit == self.unit => {
                Err(FromSupervisor::Refused("a unit has no power over itself".to_owned()))
            }
            Some(unit) => Ok(unit),
            None => Err(FromSupervisor::Refused(format!("there is no unit {name}"))),
        }
    }

    fn command(&self, name: &str, command: Command) -> FromSupervisor {
        match self.named(name) {
            Ok(unit) => {
                self.sim.command(unit, command);
                FromSupervisor::Done
            }
            Err(refused) => refused,
        }
    }

    fn replace(&self, name: &str, program: &str) -> FromSupervisor {
        let unit = match self.named(name) {
            Ok(unit) => unit,
            Err(refused) => return refused,
        };
        let plan = &self.sim.terms.plan;
        let found = plan.programs.iter().position(|known| known.name == program);
        match found.filter(|program| plan.units[unit].fits.contains(program)) {
            Some(program) => {
                self.sim.units.borrow_mut()[unit].program = program;
                self.sim.command(unit, Command::Replace);
                FromSupervisor::Done
            }
            None => FromSupervisor::Refused(format!("there is no program {program} that fits")),
        }
    }
}

impl units::Driver for SimUnits {
    fn ask(&mut self, question: &ToSupervisor) -> Result<FromSupervisor> {
        if !task::may_wait() {
            return Err(Error::Closed);
        }
        self.sim.kernel.record(&Record::Used(self.unit as u32, format!("{question:?}").into()));
        let answer = match question {
            ToSupervisor::List => {
                let state = |unit: usize| UnitState {
                    unit: self.sim.terms.plan.units[unit].name.clone(),
                    epoch: self.sim.units.borrow()[unit].epoch,
                    phase: self.sim.phase(unit).unwrap_or(UnitPhase::Waiting),
                };
                FromSupervisor::Units(self.neighbours().into_iter().map(state).collect())
            }
            ToSupervisor::Start(name) => self.command(name, Command::Start),
            ToSupervisor::Stop(name) => self.command(name, Command::Stop),
            ToSupervisor::Replace { unit, program } => self.replace(unit, program),
        };
        self.sim.kernel.give_way();
        Ok(answer)
    }
}
