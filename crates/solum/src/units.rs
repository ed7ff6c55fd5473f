//! The power over other units: a scheduler of programs is a program.

use crate::error::{Error, Result};
use crate::port::{InterfaceId, PlugError, Port, World, built_in};

pub use solum_spec::handover::{FromSupervisor, ToSupervisor, UnitPhase, UnitState};

/// What carries a question to the supervisor and brings its answer.
pub trait Driver {
    /// Asks, and waits for the answer.
    fn ask(&mut self, question: &ToSupervisor) -> Result<FromSupervisor>;
}

/// Starts, stops, replaces and observes the other units of the machine.
pub struct Units {
    driver: Box<dyn Driver>,
}

impl Units {
    /// A port with this driver.
    pub fn new(driver: Box<dyn Driver>) -> Self {
        Self { driver }
    }

    /// Every unit of the machine, in the order of the description.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the supervisor is not there.
    pub fn list(&mut self) -> Result<Vec<UnitState>> {
        match self.driver.ask(&ToSupervisor::List)? {
            FromSupervisor::Units(units) => Ok(units),
            FromSupervisor::Refused(why) => Err(Error::Refused(why)),
            FromSupervisor::Done => Err(Error::Broken),
        }
    }

    /// What a unit is doing.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is no such unit, and those of [`list`](Self::list).
    pub fn state(&mut self, unit: &str) -> Result<UnitState> {
        let found = self.list()?.into_iter().find(|state| state.unit == unit);
        found.ok_or_else(|| Error::Refused(format!("there is no unit {unit}")))
    }

    /// Starts a unit that does not run. One that runs is left alone.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is no such unit.
    pub fn start(&mut self, unit: &str) -> Result<()> {
        self.order(&ToSupervisor::Start(unit.to_owned()))
    }

    /// Asks a unit to stop; it is killed after its grace, and not started again by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is no such unit, or it is the asking one.
    pub fn stop(&mut self, unit: &str) -> Result<()> {
        self.order(&ToSupervisor::Stop(unit.to_owned()))
    }

    /// Puts another program of the description into a unit, from its next start. Its ports have to fit.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is no such unit or program, or the program's ports do not fit. A plain program fits in place
    /// of a plain one alone.
    pub fn replace(&mut self, unit: &str, program: &str) -> Result<()> {
        self.order(&ToSupervisor::Replace { unit: unit.to_owned(), program: program.to_owned() })
    }

    fn order(&mut self, order: &ToSupervisor) -> Result<()> {
        match self.driver.ask(order)? {
            FromSupervisor::Done => Ok(()),
            FromSupervisor::Refused(why) => Err(Error::Refused(why)),
            FromSupervisor::Units(_) => Err(Error::Broken),
        }
    }
}

impl Port for Units {
    const INTERFACE: InterfaceId = built_in("units");

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        Ok(Self::new(world.units(port)?))
    }
}
