//! Ports: the places of a program where devices are plugged in.
//!
//! A program declares them as a struct that derives [`Ports`]; a [`World`] plugs devices in: the native one from what a
//! supervisor handed over, a simulated one from mocks. The program cannot tell which.

use std::fmt;
use std::rc::Rc;

use crate::{clock, console, disk, entropy, health, keys, link, screen, tcp, units};

pub use solum_spec::ports::{Count, Direction, StaticPort};

/// Name, version and fingerprint of an interface.
pub type InterfaceId = solum_spec::ports::Interface<&'static str>;

/// Something that can be the type of a field of a program's ports.
pub trait Port: Sized {
    /// What is spoken through it.
    const INTERFACE: InterfaceId;
    /// Whether the program calls or answers.
    const DIRECTION: Direction = Direction::Uses;
    /// How many devices fit in.
    const COUNT: Count = Count::One;

    /// Takes what `world` has for the port.
    ///
    /// # Errors
    ///
    /// [`PlugError`] if that is not what the port needs; a checked description never leads to it.
    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError>;
}

/// All ports of a program. Derived.
pub trait Ports: Sized {
    /// The declarations that travel in the executable.
    const PORTS: &'static [StaticPort];

    /// Takes what `world` has for each port.
    ///
    /// # Errors
    ///
    /// Those of [`Port::plug`].
    fn plug(world: &mut dyn World) -> Result<Self, PlugError>;
}

/// A program without ports of its own.
impl Ports for () {
    const PORTS: &'static [StaticPort] = &[];

    fn plug(_: &mut dyn World) -> Result<Self, PlugError> {
        Ok(())
    }
}

/// The declaration of a port.
pub const fn declare<P: Port>(name: &'static str) -> StaticPort {
    StaticPort { name, interface: P::INTERFACE, direction: P::DIRECTION, count: P::COUNT }
}

/// What gives a program its devices.
///
/// Indices count what is plugged into one port, from 0.
pub trait World {
    /// How many devices are plugged into a port.
    fn count(&self, port: &str) -> usize;
    /// A disk.
    fn disk(&mut self, port: &str, index: usize) -> Result<Box<dyn disk::Driver>, PlugError>;
    /// The calling end of a link.
    fn caller(
        &mut self,
        port: &str,
        index: usize,
        interface: &InterfaceId,
    ) -> Result<Box<dyn link::Caller>, PlugError>;
    /// The answering ends of all links of a port that serves.
    fn answerer(&mut self, port: &str, interface: &InterfaceId)
    -> Result<Box<dyn link::Answerer>, PlugError>;
    /// A listener for TCP connections.
    fn listener(&mut self, port: &str, index: usize) -> Result<Box<dyn tcp::Listen>, PlugError>;
    /// A screen.
    fn screen(&mut self, port: &str, index: usize) -> Result<Box<dyn screen::Driver>, PlugError>;
    /// A keyboard.
    fn keys(&mut self, port: &str, index: usize) -> Result<Box<dyn keys::Driver>, PlugError>;
    /// The power over other units.
    fn units(&mut self, port: &str) -> Result<Box<dyn units::Driver>, PlugError>;
    /// Time, and waiting.
    fn clock(&mut self) -> Rc<dyn clock::Driver>;
    /// Randomness.
    fn entropy(&mut self) -> Box<dyn entropy::Driver>;
    /// Where the program's words go.
    fn console(&mut self) -> Box<dyn console::Driver>;
    /// Who wants to know how the program is.
    fn health(&mut self) -> Rc<dyn health::Driver>;
}

/// What was handed over is not what the program declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlugError {
    /// The port's name.
    pub port: String,
    /// What is wrong with it.
    pub reason: String,
    /// Whether the next start may find it better: a unit at the other end of a link was away, or spoiled the link.
    pub may_pass: bool,
}

impl PlugError {
    /// An error about a port that every start will find.
    pub fn new(port: &str, reason: impl Into<String>) -> Self {
        Self { port: port.to_owned(), reason: reason.into(), may_pass: false }
    }

    /// An error about a port that the next start may not find.
    pub fn passing(port: &str, reason: impl Into<String>) -> Self {
        Self { may_pass: true, ..Self::new(port, reason) }
    }
}

impl fmt::Display for PlugError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}: {}", self.port, self.reason)
    }
}

impl std::error::Error for PlugError {}

/// The only device of a port.
pub(crate) fn one<P: Single>(world: &mut dyn World, port: &str) -> Result<P, PlugError> {
    match world.count(port) {
        1 => P::take(world, port, 0),
        0 => Err(PlugError::new(port, "nothing is plugged in")),
        several => Err(PlugError::new(port, format!("{several} devices are plugged in where one fits"))),
    }
}

/// A device that fits into a port alone, and therefore as `Option` and as `Vec` too.
pub trait Single: Sized {
    /// See [`Port::INTERFACE`].
    const INTERFACE: InterfaceId;

    /// Takes the device with this index.
    ///
    /// # Errors
    ///
    /// Those of [`Port::plug`].
    fn take(world: &mut dyn World, port: &str, index: usize) -> Result<Self, PlugError>;
}

impl<P: Single> Port for Option<P> {
    const INTERFACE: InterfaceId = P::INTERFACE;
    const COUNT: Count = Count::Optional;

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        if world.count(port) == 0 {
            return Ok(None);
        }
        one(world, port).map(Some)
    }
}

impl<P: Single> Port for Vec<P> {
    const INTERFACE: InterfaceId = P::INTERFACE;
    const COUNT: Count = Count::Many;

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        (0..world.count(port)).map(|index| P::take(world, port, index)).collect()
    }
}

/// An interface that Solum itself knows.
pub(crate) const fn built_in(name: &'static str) -> InterfaceId {
    InterfaceId { name, version: 1, fingerprint: 0 }
}
