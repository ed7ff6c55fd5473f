//! Links: typed calls to another unit, and answers to them.
//!
//! An interface is a trait with the attribute [`interface`](crate::interface). A port of type [`Link<Files>`](Link) calls;
//! a port of type [`Serve<Files>`](Serve) answers, one call after the other, with whatever implements the trait.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::{self, Moment, Source, Waker};
use crate::error::{Error, Result};
use crate::health;
use crate::port::{Count, Direction, InterfaceId, PlugError, Port, Single, World, one};

mod local;
pub mod over;

/// A buffer for messages begins with room for so many.
const USUAL_BYTES: usize = 128;
/// How long a call may take unless its program says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What two units can say to each other. Made by the attribute [`interface`](crate::interface).
pub trait Interface: 'static {
    /// Name, version and fingerprint. Both ends must have the same.
    const ID: InterfaceId;
    /// What a unit that serves it implements.
    type Service: ?Sized;

    /// Lets the service answer a call.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if there is no such method, or its arguments cannot be read.
    fn dispatch(service: &mut Self::Service, call: &mut Call<'_>) -> Result<()>;
}

/// Bytes that travel beside a call without being copied into its message.
pub enum Bulk<'a> {
    /// None.
    Nothing,
    /// These go to the server, one after another.
    Send(&'a [&'a [u8]]),
    /// So many come from the server.
    Receive(usize),
}

/// The calling end of a link.
pub trait Caller {
    /// Sends a call, which is given up at the deadline, and gives its number. `retry` says that it may be sent again to a
    /// restarted server.
    ///
    /// Bytes beside it need room in the link's memory. If that is taken, by calls that were given up and that the server still
    /// works on, it is waited for; if all of it is taken by calls that were not completed, this is [`Error::Deadline`] at once.
    fn submit(
        &mut self,
        method: u16,
        retry: bool,
        payload: &[u8],
        bulk: Bulk<'_>,
        deadline: Option<Moment>,
    ) -> Result<u32>;
    /// Waits for the answer to a call, and fills `received`, one after another, with the bytes it asked for.
    fn complete(&mut self, call: u32, received: &mut [&mut [u8]]) -> Result<Reply>;
    /// Takes back the memory of a reply that was read, for the next one.
    fn recycle(&mut self, _payload: Vec<u8>) {}
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its content.
    pub payload: Vec<u8>,
    /// Which life of the server gave it. One that was started again has another epoch.
    pub epoch: u32,
}

/// The answering ends of all links of one port.
pub trait Answerer: Source {
    /// The next thing that a client wants.
    fn next(&mut self, deadline: Option<Moment>) -> Result<Incoming>;
    /// Copies bytes that the client sends beside a call.
    fn receive(&mut self, call: &Token, buffer: &mut [u8]) -> Result<()>;
    /// Copies bytes to where the client wants them.
    fn send(&mut self, call: &Token, data: &[u8]) -> Result<()>;
    /// Lets the kernel read what goes to the client from a file. If the client has gone since, nothing is read.
    fn send_file(&mut self, call: &Token, file: BorrowedFd<'_>, offset: u64) -> Result<()> {
        let mut buffer = vec![0; call.bulk];
        read_file(file, offset, &mut buffer)?;
        self.send(call, &buffer)
    }
    /// Lets the kernel write what comes from the client to a file. If the client has gone since, nothing is written.
    fn receive_file(&mut self, call: &Token, file: BorrowedFd<'_>, offset: u64) -> Result<()> {
        let mut buffer = vec![0; call.bulk];
        self.receive(call, &mut buffer)?;
        write_file(file, offset, &buffer)
    }
    /// Answers. If the client has gone since, the answer is dropped.
    fn reply(&mut self, call: Token, outcome: std::result::Result<&[u8], &str>) -> Result<()>;
    /// Takes back the memory of a request of this client that was read, for the next one.
    fn recycle(&mut self, _client: usize, _payload: Vec<u8>) {}
}

fn read_file(file: BorrowedFd<'_>, offset: u64, mut buffer: &mut [u8]) -> Result<()> {
    let mut at = offset;
    while !buffer.is_empty() {
        match rustix::io::pread(file, &mut *buffer, at) {
            Ok(0) => return Err(Error::Device("the file ends before the disk does".into())),
            Ok(length) => {
                at += length as u64;
                buffer = &mut buffer[length..];
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
    }
    Ok(())
}

fn write_file(file: BorrowedFd<'_>, offset: u64, mut data: &[u8]) -> Result<()> {
    let mut at = offset;
    while !data.is_empty() {
        match rustix::io::pwrite(file, data, at) {
            Ok(length) => {
                at += length as u64;
                data = &data[length..];
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
    }
    Ok(())
}

/// What comes from a client.
#[derive(Debug)]
pub enum Incoming {
    /// A call.
    Request {
        /// What to answer to.
        token: Token,
        /// Which method.
        method: u16,
        /// Its arguments.
        payload: Vec<u8>,
    },
    /// The client with this place in the description began, or began anew.
    Came(usize),
    /// The client is gone; what it asked for will interest nobody.
    Gone(usize),
}

/// A call that is to be answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// The client's place in the description.
    pub client: usize,
    /// The call's number among those of the port.
    pub call: u32,
    /// How many bytes travel beside it.
    pub bulk: usize,
}

/// A call as an interface's dispatch sees it.
pub struct Call<'a> {
    /// Which method.
    pub method: u16,
    /// Its arguments.
    pub payload: &'a [u8],
    /// The result.
    pub reply: Vec<u8>,
    token: &'a Token,
    answerer: &'a mut dyn Answerer,
}

impl Call<'_> {
    /// The arguments.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if they are not of this type.
    pub fn arguments<A: DeserializeOwned>(&self) -> Result<A> {
        match postcard::take_from_bytes(self.payload) {
            Ok((arguments, [])) => Ok(arguments),
            _ => Err(Error::Refused(format!("the arguments of method {} cannot be read", self.method))),
        }
    }

    /// Sets the result.
    pub fn answer<R: Serialize>(&mut self, result: &R) {
        write(result, &mut self.reply);
    }

    /// What is to be said to a client that asks for a method that there is not.
    pub fn unknown(&self) -> Error {
        Error::Refused(format!("there is no method {}", self.method))
    }

    /// How many bytes travel beside the call.
    pub fn bulk(&self) -> usize {
        self.token.bulk
    }

    /// Copies bytes that the client sent beside the call.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] if the client announced others.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.answerer.receive(self.token, buffer)
    }

    /// As [`send`](Self::send), straight from a file.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the file cannot be read, or ends before.
    pub fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64) -> Result<()> {
        self.answerer.send_file(self.token, file, offset)
    }

    /// As [`receive`](Self::receive), straight into a file. The client may change the bytes meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the file cannot be written.
    pub fn receive_file(&mut self, file: BorrowedFd<'_>, offset: u64) -> Result<()> {
        self.answerer.receive_file(self.token, file, offset)
    }

    /// Copies bytes to where the client wants them.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] if the client wants others.
    pub fn send(&mut self, data: &[u8]) -> Result<()> {
        self.answerer.send(self.token, data)
    }
}

/// Why a call did not give a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The service answered with an error.
    Service(E),
    /// The call did not get through, or its answer did not come back.
    Link(Error),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(error) => error.fmt(f),
            Self::Link(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for CallError<E> {}

impl<E> From<Error> for CallError<E> {
    fn from(error: Error) -> Self {
        Self::Link(error)
    }
}

/// A port that calls another unit.
pub struct Link<I: Interface> {
    caller: Box<dyn Caller>,
    clock: Rc<dyn clock::Driver>,
    patience: Duration,
    server_epoch: Option<u32>,
    /// For arguments, one call after the other.
    buffer: Vec<u8>,
    interface: PhantomData<fn() -> I>,
}

impl<I: Interface> Link<I> {
    /// A link with this caller.
    pub fn new(caller: Box<dyn Caller>, clock: Rc<dyn clock::Driver>) -> Self {
        let interface = PhantomData;
        Self { caller, clock, patience: PATIENCE, server_epoch: None, buffer: Vec::new(), interface }
    }

    /// A link to a service in this very program: for tests, and for two things that need no units of their own.
    pub fn local(service: Box<I::Service>, clock: Rc<dyn clock::Driver>) -> Self {
        Self::new(Box::new(local::Local::<I>::new(service)), clock)
    }

    /// The bare calling end.
    pub fn into_caller(self) -> Box<dyn Caller> {
        self.caller
    }

    /// How long each call may take from now on; 30 seconds at first.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The epoch of the server that gave the last answer. When it changes, the server was started again in between: what the
    /// earlier one kept in memory only is lost, also if no call failed because all of them may be repeated.
    pub fn server_epoch(&self) -> Option<u32> {
        self.server_epoch
    }

    /// Calls a method. The methods that [`interface`](crate::interface) generates do this.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the server died and the method may not be repeated, or it did not come back in time;
    /// [`Error::Deadline`], [`Error::Refused`], [`Error::Broken`], [`Error::TooLong`].
    pub fn call<A: Serialize, R: DeserializeOwned>(
        &mut self,
        method: u16,
        retry: bool,
        arguments: &A,
    ) -> Result<R> {
        write(arguments, &mut self.buffer);
        let deadline = Some(self.clock.now().after(self.patience));
        let call = self.caller.submit(method, retry, &self.buffer, Bulk::Nothing, deadline)?;
        let reply = self.caller.complete(call, &mut [])?;
        self.server_epoch = Some(reply.epoch);
        let result = read_reply(&reply.payload);
        self.caller.recycle(reply.payload);
        result
    }
}

/// Writes a value, and nothing else, into a buffer that serves for many.
fn write<T: Serialize>(value: &T, buffer: &mut Vec<u8>) {
    struct Bytes<'a>(&'a mut Vec<u8>);

    impl postcard::ser_flavors::Flavor for Bytes<'_> {
        type Output = ();

        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            self.0.push(byte);
            Ok(())
        }

        fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }

    buffer.clear();
    buffer.reserve(USUAL_BYTES);
    // Serialising plain structures into memory has no way to fail.
    if postcard::serialize_with_flavor(value, Bytes(buffer)).is_err() {
        buffer.clear();
    }
}

/// Reads a result.
pub(crate) fn read_reply<R: DeserializeOwned>(reply: &[u8]) -> Result<R> {
    match postcard::take_from_bytes(reply) {
        Ok((result, [])) => Ok(result),
        _ => Err(Error::Refused("the answer cannot be read".into())),
    }
}

impl<I: Interface> Single for Link<I> {
    const INTERFACE: InterfaceId = I::ID;

    fn take(world: &mut dyn World, port: &str, index: usize) -> Result<Self, PlugError> {
        Ok(Self::new(world.caller(port, index, &I::ID)?, world.clock()))
    }
}

impl<I: Interface> Port for Link<I> {
    const INTERFACE: InterfaceId = I::ID;

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        one(world, port)
    }
}

/// A port that other units call.
pub struct Serve<I: Interface> {
    answerer: Box<dyn Answerer>,
    clock: Rc<dyn clock::Driver>,
    health: Rc<dyn health::Driver>,
    is_ready: bool,
    /// For results, one call after the other.
    buffer: Vec<u8>,
    interface: PhantomData<fn() -> I>,
}

impl<I: Interface> Serve<I> {
    /// A port with this answerer.
    pub fn new(
        answerer: Box<dyn Answerer>,
        clock: Rc<dyn clock::Driver>,
        health: Rc<dyn health::Driver>,
    ) -> Self {
        Self { answerer, clock, health, is_ready: false, buffer: Vec::new(), interface: PhantomData }
    }

    /// Waits for a call and lets `service` answer it. The first time, it tells the supervisor that the unit is ready.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] if nobody called in time. What a client does wrong is its own affair, and no error here.
    pub fn next(&mut self, service: &mut I::Service, deadline: Option<Moment>) -> Result<()> {
        self.say_ready();
        loop {
            match self.answerer.next(deadline)? {
                Incoming::Request { token, method, payload } => {
                    let client = token.client;
                    let outcome = self.answer(service, token, method, &payload);
                    self.answerer.recycle(client, payload);
                    return outcome;
                }
                // Clients that come and go without end must not take the place of the deadline.
                Incoming::Came(_) | Incoming::Gone(_) => match deadline {
                    Some(deadline) if deadline <= self.clock.now() => return Err(Error::Deadline),
                    _ => {}
                },
            }
        }
    }

    /// Answers calls for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if waiting failed; never otherwise.
    pub fn run(&mut self, service: &mut I::Service) -> Result<()> {
        loop {
            self.next(service, None)?;
        }
    }

    fn answer(&mut self, service: &mut I::Service, token: Token, method: u16, payload: &[u8]) -> Result<()> {
        let mut reply = std::mem::take(&mut self.buffer);
        reply.clear();
        let mut call = Call { method, payload, reply, token: &token, answerer: &mut *self.answerer };
        let outcome = I::dispatch(service, &mut call);
        self.buffer = call.reply;
        match outcome {
            Ok(()) => self.answerer.reply(token, Ok(&self.buffer)),
            Err(error) => self.answerer.reply(token, Err(&error.to_string())),
        }
    }

    fn say_ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            // A supervisor that is gone takes its units along; there is nothing to do about it here.
            let _ = self.health.ready();
        }
    }
}

impl<I: Interface> Source for Serve<I> {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.say_ready();
        self.answerer.arm(waker)
    }

    fn disarm(&mut self) {
        self.answerer.disarm();
    }
}

impl<I: Interface> Port for Serve<I> {
    const INTERFACE: InterfaceId = I::ID;
    const DIRECTION: Direction = Direction::Serves;
    const COUNT: Count = Count::Many;

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        Ok(Self::new(world.answerer(port, &I::ID)?, world.clock(), world.health()))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::disk::{Disk, Memory};

    /// A clock that runs when it is looked at.
    #[derive(Default)]
    struct Ticking(Cell<u64>);

    impl clock::Driver for Ticking {
        fn now(&self) -> Moment {
            self.0.set(self.0.get() + 1);
            Moment::from_beginning(Duration::from_millis(self.0.get()))
        }

        fn wall(&self) -> Result<Duration> {
            Err(Error::Closed)
        }

        fn select(&self, _: &mut [&mut dyn Source], _: Option<Moment>) -> Result<Option<usize>> {
            Ok(None)
        }
    }

    impl health::Driver for Ticking {
        fn ready(&self) -> Result<()> {
            Ok(())
        }

        fn health(&self, _: Result<(), String>) -> Result<()> {
            Ok(())
        }
    }

    /// A client that comes again and again, and asks for nothing.
    struct Restless(u32);

    impl Answerer for Restless {
        fn next(&mut self, _: Option<Moment>) -> Result<Incoming> {
            self.0 += 1;
            assert!(self.0 < 1000, "it is taken for ever");
            Ok(Incoming::Came(0))
        }

        fn receive(&mut self, _: &Token, _: &mut [u8]) -> Result<()> {
            Ok(())
        }

        fn send(&mut self, _: &Token, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn reply(&mut self, _: Token, _: std::result::Result<&[u8], &str>) -> Result<()> {
            Ok(())
        }
    }

    impl Source for Restless {
        fn arm<'a>(&'a mut self, _: &mut Waker<'a>) -> bool {
            true
        }
    }

    #[test]
    fn clients_that_only_come_and_go_do_not_postpone_the_deadline() {
        let clock = Rc::new(Ticking::default());
        let mut serve = Serve::<Disk>::new(Box::new(Restless(0)), clock.clone(), clock);
        let deadline = Moment::from_beginning(Duration::from_millis(20));
        assert_eq!(serve.next(&mut Memory::new(512, 512), Some(deadline)), Err(Error::Deadline));
    }
}
