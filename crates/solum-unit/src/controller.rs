//! A unit with power over others: its questions and their answers.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use solum_spec::control::{self, Decoder};
use solum_spec::handover::{FromSupervisor, ToSupervisor};
use solum_supervisor::Command;

use crate::runner::{Place, Runner};

/// The way to a controlling unit.
pub struct Controller {
    stream: UnixStream,
    decoder: Decoder,
    is_open: bool,
}

impl Controller {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, decoder: Decoder::new(), is_open: true })
    }

    /// What can be read when it asks, as long as it can ask.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.is_open.then(|| self.stream.as_fd())
    }

    /// What has been asked since the last time.
    pub fn questions(&mut self) -> Vec<ToSupervisor> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_open = false,
            Ok(length) => self.decoder.push(&buffer[..length]),
            Err(_) => {}
        }
        let mut questions = Vec::new();
        while self.is_open {
            match self.decoder.decode() {
                Ok(Some(question)) => questions.push(question),
                Ok(None) => break,
                // Out of step for good.
                Err(_) => self.is_open = false,
            }
        }
        questions
    }

    /// A unit asks one question at a time, so its answer always has room; one that does not read is not waited for.
    pub fn answer(&mut self, answer: &FromSupervisor) {
        self.is_open &= self.stream.write_all(&control::encode(answer)).is_ok();
    }
}

impl<P: Place> Runner<P> {
    /// The answer to a question of `asking`. It has power over the other units of its machine.
    pub(crate) fn answer(&mut self, asking: usize, question: ToSupervisor) -> FromSupervisor {
        let (name, command) = match question {
            ToSupervisor::List => return FromSupervisor::Units(self.neighbours(asking)),
            ToSupervisor::Start(name) => (name, Command::Start),
            ToSupervisor::Stop(name) => (name, Command::Stop),
            ToSupervisor::Replace { unit, program } => return self.put_in(asking, &unit, &program),
        };
        match self.neighbour(asking, &name) {
            Ok(unit) => {
                self.command(unit, command);
                FromSupervisor::Done
            }
            Err(why) => FromSupervisor::Refused(why),
        }
    }

    fn neighbours(&self, asking: usize) -> Vec<solum_spec::handover::UnitState> {
        let machine = self.plan().units.get(asking).map(|unit| unit.machine.clone());
        let units = self.plan().units.iter().enumerate();
        units
            .filter(|(_, unit)| Some(&unit.machine) == machine.as_ref())
            .filter_map(|(index, unit)| {
                let (mut state, _) = self.state(index)?;
                state.unit.clone_from(&unit.name);
                Some(state)
            })
            .collect()
    }

    fn neighbour(&self, asking: usize, name: &str) -> Result<usize, String> {
        let units = &self.plan().units;
        let machine = units.get(asking).map(|unit| unit.machine.as_str());
        let found = units.iter().position(|unit| Some(unit.machine.as_str()) == machine && unit.name == name);
        match found {
            Some(unit) if unit == asking => Err("a unit has no power over itself".into()),
            Some(unit) => Ok(unit),
            None => Err(format!("there is no unit {name} in this machine")),
        }
    }

    fn put_in(&mut self, asking: usize, unit: &str, program: &str) -> FromSupervisor {
        let unit = match self.neighbour(asking, unit) {
            Ok(unit) => unit,
            Err(why) => return FromSupervisor::Refused(why),
        };
        let fits = |program| self.plan().units.get(unit).is_some_and(|unit| unit.fits.contains(program));
        match self.plan().programs.iter().position(|known| known.name == program) {
            Some(program) if fits(&program) => {
                self.replace(unit, program);
                FromSupervisor::Done
            }
            Some(_) => FromSupervisor::Refused(format!("the ports of {program} do not fit that unit")),
            None => FromSupervisor::Refused(format!("there is no program {program} in the description")),
        }
    }
}
