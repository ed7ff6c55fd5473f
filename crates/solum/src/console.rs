//! Where a program's words go: its log.

use std::fmt;

use crate::error::Result;
use crate::port::{InterfaceId, PlugError, Port, World, built_in};

/// What takes the words.
pub trait Driver {
    /// Takes a line, without its end.
    fn line(&mut self, text: &str) -> Result<()>;
}

/// The console of a program: lines for people. It comes by itself and need not be plugged.
pub struct Console {
    driver: Box<dyn Driver>,
}

impl Console {
    /// A console with this driver.
    pub fn new(driver: Box<dyn Driver>) -> Self {
        Self { driver }
    }

    /// Writes a line.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::Error::Device) if nobody takes it.
    pub fn line(&mut self, text: impl fmt::Display) -> Result<()> {
        self.driver.line(&text.to_string())
    }
}

impl Port for Console {
    const INTERFACE: InterfaceId = built_in("console");

    fn plug(world: &mut dyn World, _: &str) -> Result<Self, PlugError> {
        Ok(Self::new(world.console()))
    }
}
