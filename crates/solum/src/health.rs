//! How a program tells that it is ready, and how it is.

use std::rc::Rc;

use crate::error::Result;
use crate::port::{InterfaceId, PlugError, Port, World, built_in};

/// Who wants to know.
pub trait Driver {
    /// The program does what it is for.
    fn ready(&self) -> Result<()>;
    /// It is well, or not, and why.
    fn health(&self, state: Result<(), String>) -> Result<()>;
}

/// Tells the supervisor how the program is. It comes by itself and need not be plugged.
///
/// A program that serves is ready of itself when it waits for its first request; others may say so here. What needs a
/// unit starts when the unit is ready.
#[derive(Clone)]
pub struct Health {
    driver: Rc<dyn Driver>,
}

impl Health {
    /// Health with this driver.
    pub fn new(driver: Rc<dyn Driver>) -> Self {
        Self { driver }
    }

    /// The program does what it is for. To say so again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::Error::Device) if the supervisor is not there.
    pub fn ready(&self) -> Result<()> {
        self.driver.ready()
    }

    /// The program is well.
    ///
    /// # Errors
    ///
    /// Those of [`ready`](Self::ready).
    pub fn healthy(&self) -> Result<()> {
        self.driver.health(Ok(()))
    }

    /// The program is not well. If it stays so it is started again, as its description says.
    ///
    /// # Errors
    ///
    /// Those of [`ready`](Self::ready).
    pub fn unhealthy(&self, reason: impl Into<String>) -> Result<()> {
        self.driver.health(Err(reason.into()))
    }
}

impl Port for Health {
    const INTERFACE: InterfaceId = built_in("health");

    fn plug(world: &mut dyn World, _: &str) -> Result<Self, PlugError> {
        Ok(Self::new(world.health()))
    }
}
