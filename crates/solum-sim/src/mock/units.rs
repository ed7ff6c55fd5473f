//! A supervisor that does what it is asked, at once.

use std::cell::RefCell;
use std::rc::Rc;

use solum::units::{Driver, FromSupervisor, ToSupervisor, UnitPhase, UnitState};
use solum::{Error, Result};

/// The units of a machine that there is not.
///
/// ```
/// use solum::units::UnitPhase;
/// use solum_sim::mock;
///
/// let units = mock::Units::new(["web", "worker"]);
/// let mut port = units.port();
/// port.start("worker")?;
/// assert_eq!(port.state("worker")?.phase, UnitPhase::Running);
/// assert_eq!(port.state("worker")?.epoch, 1);
///
/// units.set("worker", UnitPhase::Failed); // it failed, and the program is to notice
/// assert_eq!(port.state("worker")?.phase, UnitPhase::Failed);
/// assert!(port.start("wrker").is_err());
/// assert_eq!(units.orders().len(), 2);
/// # Ok::<(), solum::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Units {
    machine: Rc<RefCell<Machine>>,
}

#[derive(Default)]
struct Machine {
    units: Vec<UnitState>,
    programs: Vec<(String, String)>,
    orders: Vec<ToSupervisor>,
    refusal: Option<String>,
    is_away: bool,
}

impl Units {
    /// A machine with these units, none of which was started yet.
    pub fn new<N: Into<String>>(units: impl IntoIterator<Item = N>) -> Self {
        let waiting = |name: N| UnitState { unit: name.into(), epoch: 0, phase: UnitPhase::Waiting };
        let machine = Machine { units: units.into_iter().map(waiting).collect(), ..Machine::default() };
        Self { machine: Rc::new(RefCell::new(machine)) }
    }

    /// A port with these units.
    pub fn port(&self) -> solum::Units {
        solum::Units::new(self.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self) -> Box<dyn Driver> {
        Box::new(self.clone())
    }

    /// A unit does something by itself. One that begins to run begins a new epoch.
    ///
    /// # Panics
    ///
    /// If there is no such unit.
    #[track_caller]
    pub fn set(&self, unit: &str, phase: UnitPhase) {
        let is_there = self.machine.borrow_mut().set(unit, phase);
        assert!(is_there, "there is no unit {unit} in this mock");
    }

    /// Every order is refused for this reason; `None` lets them be obeyed again.
    pub fn set_refusal(&self, reason: Option<&str>) {
        self.machine.borrow_mut().refusal = reason.map(str::to_owned);
    }

    /// From now on the supervisor is not there, or is there again.
    pub fn set_failing(&self, fails: bool) {
        self.machine.borrow_mut().is_away = fails;
    }

    /// What the program ordered: starts, stops and replacements, also those that were refused.
    pub fn orders(&self) -> Vec<ToSupervisor> {
        self.machine.borrow().orders.clone()
    }

    /// Which program was put into a unit last, if any was.
    pub fn program(&self, unit: &str) -> Option<String> {
        let machine = self.machine.borrow();
        machine.programs.iter().rev().find(|(name, _)| name == unit).map(|(_, program)| program.clone())
    }
}

impl Machine {
    fn set(&mut self, unit: &str, phase: UnitPhase) -> bool {
        let Some(state) = self.units.iter_mut().find(|state| state.unit == unit) else { return false };
        let runs = |phase| matches!(phase, UnitPhase::Starting | UnitPhase::Running);
        if runs(phase) && !runs(state.phase) {
            state.epoch += 1;
        }
        state.phase = phase;
        true
    }

    fn answer(&mut self, question: &ToSupervisor) -> FromSupervisor {
        if *question != ToSupervisor::List {
            self.orders.push(question.clone());
            if let Some(reason) = &self.refusal {
                return FromSupervisor::Refused(reason.clone());
            }
        }
        let (unit, is_there) = match question {
            ToSupervisor::List => return FromSupervisor::Units(self.units.clone()),
            ToSupervisor::Start(unit) => (unit, self.set(unit, UnitPhase::Running)),
            ToSupervisor::Stop(unit) => (unit, self.set(unit, UnitPhase::Ended)),
            ToSupervisor::Replace { unit, program } => {
                self.programs.push((unit.clone(), program.clone()));
                (unit, self.units.iter().any(|state| state.unit == *unit))
            }
        };
        if is_there {
            FromSupervisor::Done
        } else {
            FromSupervisor::Refused(format!("there is no unit {unit}"))
        }
    }
}

impl Driver for Units {
    fn ask(&mut self, question: &ToSupervisor) -> Result<FromSupervisor> {
        let mut machine = self.machine.borrow_mut();
        if machine.is_away {
            return Err(Error::Device("the supervisor is not there".into()));
        }
        Ok(machine.answer(question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_obeyed_refused_or_not_heard() {
        let units = Units::new(["a", "b"]);
        let mut port = units.port();
        port.start("a").unwrap();
        port.start("a").unwrap();
        assert_eq!(port.state("a").unwrap().epoch, 1, "what runs is left alone");
        port.stop("a").unwrap();
        port.start("a").unwrap();
        assert_eq!(port.state("a").unwrap().epoch, 2);
        port.replace("b", "other").unwrap();
        assert_eq!((units.program("b").as_deref(), units.program("a")), (Some("other"), None));
        units.set_refusal(Some("not now"));
        assert_eq!(port.stop("a"), Err(Error::Refused("not now".into())));
        units.set_failing(true);
        assert!(matches!(port.list(), Err(Error::Device(_))));
        assert_eq!(units.orders().len(), 6);
    }
}
