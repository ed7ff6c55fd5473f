//! Which programs a unit may be given in place of its own, while the system runs.

use super::{Plug, Program, Unit};
use crate::ports::{Count, Declaration, Direction};

/// Built-in interfaces that every program has.
const EVERYWHERE: [&str; 4] = ["clock", "entropy", "console", "health"];

/// Whether a unit that was wired for `own` can run `other`: a plain program for a plain one, so that nobody is shut in less
/// than the description says, or ports of the same names and meanings, of which none that has to be plugged in is missing.
pub(super) fn fits(unit: &Unit, own: &Program, other: &Program) -> bool {
    match (&own.ports, &other.ports) {
        (None, None) => true,
        (Some(_), Some(ports)) => {
            unit.plugs
                .iter()
                .all(|plug| plug.devices.is_empty() || ports.iter().any(|port| takes(port, plug)))
                && ports.iter().all(|port| is_served(port, unit))
        }
        _ => false,
    }
}

fn takes(port: &Declaration, plug: &Plug) -> bool {
    let enough = port.direction == Direction::Serves || port.count == Count::Many || plug.devices.len() == 1;
    port.name == plug.port && port.interface == plug.interface && port.direction == plug.direction && enough
}

fn is_served(port: &Declaration, unit: &Unit) -> bool {
    port.direction == Direction::Serves
        || port.count != Count::One
        || EVERYWHERE.contains(&port.interface.name.as_str())
        || unit.plugs.iter().any(|plug| plug.port == port.name && !plug.devices.is_empty())
}
