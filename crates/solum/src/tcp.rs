//! TCP: a listener, and the streams it accepts.

use std::rc::Rc;

use crate::clock::{self, Moment, Source, Waker};
use crate::error::{Error, Result};
use crate::port::{InterfaceId, PlugError, Port, Single, World, built_in, one};

/// What accepts connections. Nothing of it waits.
pub trait Listen: Source {
    /// The next connection, if one has come.
    fn accept(&mut self) -> Result<Option<Box<dyn Converse>>>;
}

/// One connection. Nothing of it waits. As a source it is ready when something can be read.
pub trait Converse: Source {
    /// Reads some bytes: 0 at the end of the stream, `None` if there are none yet.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>>;
    /// Writes some of the bytes; `None` if the peer has to read first.
    fn write(&mut self, data: &[u8]) -> Result<Option<usize>>;
    /// As [`Source::arm`], for writing.
    fn arm_write<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool;
    /// Who is at the other end, for messages.
    fn peer(&self) -> String;
}

/// A listener for TCP connections.
pub struct Tcp {
    listener: Box<dyn Listen>,
    clock: Rc<dyn clock::Driver>,
}

impl Tcp {
    /// A port with this listener.
    pub fn new(listener: Box<dyn Listen>, clock: Rc<dyn clock::Driver>) -> Self {
        Self { listener, clock }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`], [`Error::Device`].
    pub fn accept(&mut self, deadline: Option<Moment>) -> Result<Stream> {
        loop {
            if let Some(stream) = self.listener.accept()? {
                return Ok(Stream::new(stream, Rc::clone(&self.clock)));
            }
            self.clock.select(&mut [&mut *self.listener], deadline)?.ok_or(Error::Deadline)?;
        }
    }
}

impl Source for Tcp {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.listener.arm(waker)
    }
}

impl Single for Tcp {
    const INTERFACE: InterfaceId = built_in("tcp");

    fn take(world: &mut dyn World, port: &str, index: usize) -> Result<Self, PlugError> {
        Ok(Self::new(world.listener(port, index)?, world.clock()))
    }
}

impl Port for Tcp {
    const INTERFACE: InterfaceId = built_in("tcp");

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        one(world, port)
    }
}

/// A TCP connection. It ends when it is dropped.
pub struct Stream {
    stream: Box<dyn Converse>,
    clock: Rc<dyn clock::Driver>,
}

impl Stream {
    /// A connection that is carried by this.
    pub fn new(stream: Box<dyn Converse>, clock: Rc<dyn clock::Driver>) -> Self {
        Self { stream, clock }
    }

    /// Reads some bytes, at least one; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`], and [`Error::Device`] if the connection broke.
    pub fn read(&mut self, buffer: &mut [u8], deadline: Option<Moment>) -> Result<usize> {
        loop {
            if let Some(length) = self.stream.read(buffer)? {
                return Ok(length);
            }
            self.clock.select(&mut [&mut *self.stream], deadline)?.ok_or(Error::Deadline)?;
        }
    }

    /// Writes all bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`], and [`Error::Device`] if the connection broke.
    pub fn write_all(&mut self, mut data: &[u8], deadline: Option<Moment>) -> Result<()> {
        while !data.is_empty() {
            match self.stream.write(data)? {
                Some(length) => data = data.get(length..).unwrap_or_default(),
                None => {
                    let mut writing = Writing(&mut *self.stream);
                    self.clock.select(&mut [&mut writing], deadline)?.ok_or(Error::Deadline)?;
                }
            }
        }
        Ok(())
    }

    /// Who is at the other end, for messages.
    pub fn peer(&self) -> String {
        self.stream.peer()
    }
}

impl Source for Stream {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.stream.arm(waker)
    }
}

/// A connection that waits to be written.
pub(crate) struct Writing<'s>(pub(crate) &'s mut dyn Converse);

impl Source for Writing<'_> {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.0.arm_write(waker)
    }
}
