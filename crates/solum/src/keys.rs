//! Keyboards.

use std::rc::Rc;

use crate::clock::{self, Moment, Source, Waker};
use crate::error::{Error, Result};
use crate::port::{InterfaceId, PlugError, Port, Single, World, built_in, one};

pub use solum_spec::keyboard::code;

/// A key that was pressed or let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Linux's number of the key (`KEY_…` in `linux/input-event-codes.h`); [`code`] has names for them.
    pub code: u16,
    /// What happened to it.
    pub action: Action,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It was let go.
    Released,
    /// It was pressed.
    Pressed,
    /// It is still pressed.
    Repeated,
}

/// What makes keys real, or scripted. Nothing of it waits.
pub trait Driver: Source {
    /// The next event, if there is one.
    fn next(&mut self) -> Result<Option<Key>>;
}

/// A keyboard.
pub struct Keys {
    driver: Box<dyn Driver>,
    clock: Rc<dyn clock::Driver>,
}

impl Keys {
    /// A port with this driver.
    pub fn new(driver: Box<dyn Driver>, clock: Rc<dyn clock::Driver>) -> Self {
        Self { driver, clock }
    }

    /// Waits for a key.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`]; [`Error::Closed`] if the keyboard is gone.
    pub fn next(&mut self, deadline: Option<Moment>) -> Result<Key> {
        loop {
            if let Some(key) = self.driver.next()? {
                return Ok(key);
            }
            self.clock.select(&mut [&mut *self.driver], deadline)?.ok_or(Error::Deadline)?;
        }
    }
}

impl Source for Keys {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.driver.arm(waker)
    }
}

impl Single for Keys {
    const INTERFACE: InterfaceId = built_in("keys");

    fn take(world: &mut dyn World, port: &str, index: usize) -> Result<Self, PlugError> {
        Ok(Self::new(world.keys(port, index)?, world.clock()))
    }
}

impl Port for Keys {
    const INTERFACE: InterfaceId = built_in("keys");

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        one(world, port)
    }
}
