//! Randomness.

use crate::error::Result;
use crate::port::{InterfaceId, PlugError, Port, World, built_in};

/// What makes randomness real, or repeatable.
pub trait Driver {
    /// Fills `buffer`.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()>;
}

/// Randomness good enough for keys. It comes by itself and need not be plugged.
pub struct Entropy {
    driver: Box<dyn Driver>,
}

impl Entropy {
    /// Entropy with this driver.
    pub fn new(driver: Box<dyn Driver>) -> Self {
        Self { driver }
    }

    /// Fills `buffer` with random bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::Error::Device) if the system has none.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.driver.fill(buffer)
    }

    /// A random number.
    ///
    /// # Errors
    ///
    /// Those of [`fill`](Self::fill).
    pub fn number(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl Port for Entropy {
    const INTERFACE: InterfaceId = built_in("entropy");

    fn plug(world: &mut dyn World, _: &str) -> Result<Self, PlugError> {
        Ok(Self::new(world.entropy()))
    }
}
