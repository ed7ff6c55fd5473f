//! Links to other units, over shared memory.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use solum_link::{End, Side};

use crate::clock;
use crate::link::over::{OverAnswerer, OverCaller};
use crate::link::{Answerer, Caller};
use crate::port::{InterfaceId, PlugError};

/// The descriptors of one end.
pub struct Descriptors {
    pub memory: OwnedFd,
    pub own_bell: OwnedFd,
    pub peer_bell: OwnedFd,
}

fn open(port: &str, end: Descriptors, side: Side) -> Result<End, PlugError> {
    End::open(end.memory, end.own_bell, end.peer_bell, side)
        .map_err(|error| PlugError::passing(port, error.to_string()))
}

pub fn caller(
    port: &str,
    end: Descriptors,
    interface: &InterfaceId,
    clock: Rc<dyn clock::Driver>,
) -> Result<Box<dyn Caller>, PlugError> {
    let end = open(port, end, Side::Client)?;
    Ok(Box::new(OverCaller::new(end, interface, clock)))
}

pub fn answerer(
    port: &str,
    ends: Vec<Descriptors>,
    interface: &InterfaceId,
    clock: Rc<dyn clock::Driver>,
) -> Result<Box<dyn Answerer>, PlugError> {
    let ends = ends.into_iter().map(|end| open(port, end, Side::Server)).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(OverAnswerer::new(ends, interface, clock)))
}
