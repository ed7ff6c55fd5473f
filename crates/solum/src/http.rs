//! HTTP/1.1 (RFC 9112): requests in, responses out, one after the other, over many connections.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::{self, Moment, Source, Waker};
use crate::error::{Error, Result};
use crate::health;
use crate::port::{InterfaceId, PlugError, Port, Single, World, built_in, one};
use crate::tcp::{Converse, Listen, Writing};

mod message;

pub use message::{Request, Response};

use message::{Parsed, parse};

/// Connections at the same time; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection may take for one request or for reading its answer, or stay without a request.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Memory that a connection without a request keeps for the next one.
const KEPT_BYTES: usize = 4 * 1024;
/// Bytes of requests that are not answered yet, of all connections together.
const INPUT_MAX: usize = 16 << 20;

/// An HTTP server: it parses, keeps connections, and hands over whole requests.
pub struct Http {
    listener: Box<dyn Listen>,
    clock: Rc<dyn clock::Driver>,
    health: Rc<dyn health::Driver>,
    connections: VecDeque<Connection>,
    /// Where what comes is put first. One for all: to make one each time costs more than most requests.
    buffer: Box<[u8]>,
    is_ready: bool,
    body_max: usize,
    input_max: usize,
}

struct Connection {
    stream: Box<dyn Converse>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// It ends when the output is written.
    closing: bool,
    expires: Moment,
    /// When something of a request last came.
    heard: Moment,
}

/// A request, and the way back for its answer.
pub struct Exchange<'http> {
    /// What is asked.
    pub request: Request,
    http: &'http mut Http,
    connection: Connection,
}

impl Http {
    /// A port on this listener.
    pub fn new(
        listener: Box<dyn Listen>,
        clock: Rc<dyn clock::Driver>,
        health: Rc<dyn health::Driver>,
    ) -> Self {
        let connections = VecDeque::new();
        Self {
            listener,
            clock,
            health,
            connections,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            is_ready: false,
            body_max: 1 << 20,
            input_max: INPUT_MAX,
        }
    }

    /// The largest body of a request in bytes; 1 MiB at first. A larger one is answered with status 413.
    pub fn set_body_limit(&mut self, bytes: usize) {
        self.body_max = bytes;
    }

    /// How many bytes of requests that are not answered yet may be kept, of all connections together; 16 MiB at first, and
    /// never less than the largest request has. Beyond it, the connection that has been silent longest is answered with
    /// status 503.
    pub fn set_input_limit(&mut self, bytes: usize) {
        self.input_max = bytes;
    }

    /// Waits for a request. Each connection gets its turn.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`]; [`Error::Device`] if listening failed. What a client does wrong is answered here.
    pub fn next(&mut self, deadline: Option<Moment>) -> Result<Exchange<'_>> {
        self.say_ready();
        let mut is_late = false;
        loop {
            self.move_bytes()?;
            if let Some((request, connection)) = self.take_request() {
                return Ok(Exchange { request, http: self, connection });
            }
            if is_late {
                return Err(Error::Deadline);
            }
            self.wait(deadline)?;
            // Clients that send a byte now and then end each wait before its time.
            is_late = deadline.is_some_and(|deadline| deadline <= self.clock.now());
        }
    }

    fn say_ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            // A supervisor that is gone takes its units along; there is nothing to do about it here.
            let _ = self.health.ready();
        }
    }

    /// Accepts, reads and writes what can be without waiting, and forgets connections that ended.
    fn move_bytes(&mut self) -> Result<()> {
        let now = self.clock.now();
        while self.accepts() {
            let Some(stream) = self.listener.accept()? else { break };
            let expires = now.after(CONNECTION_PATIENCE);
            let (input, output) = (Vec::new(), Vec::new());
            let connection = Connection { stream, input, output, closing: false, expires, heard: now };
            self.connections.push_back(connection);
        }
        let request_max = self.body_max + message::HEAD_MAX;
        let input_max = self.input_max.max(request_max);
        let mut held: usize = self.connections.iter().map(|connection| connection.input.len()).sum();
        let mut ended = Vec::new();
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            held -= connection.input.len();
            if now >= connection.expires || !connection.move_bytes(request_max, now, &mut self.buffer) {
                connection.input = Vec::new();
                ended.push(index);
            }
            held += connection.input.len();
            while held > input_max
                && let Some(silent) = self.silent_longest()
            {
                held -= silent.input.len();
                silent.turn_away();
            }
        }
        for index in ended.into_iter().rev() {
            self.connections.remove(index);
        }
        Ok(())
    }

    /// Of those from which something is kept; of several that fell silent at the same time, the one with most of it.
    fn silent_longest(&mut self) -> Option<&mut Connection> {
        let kept = self.connections.iter_mut().filter(|connection| !connection.input.is_empty());
        kept.min_by_key(|connection| (connection.heard, std::cmp::Reverse(connection.input.len())))
    }

    fn accepts(&self) -> bool {
        self.connections.len() < CONNECTIONS_MAX
    }

    /// The first whole request, from the connection that has waited longest; that one goes to the end of the line.
    fn take_request(&mut self) -> Option<(Request, Connection)> {
        let now = self.clock.now();
        for _ in 0..self.connections.len() {
            let mut connection = self.connections.pop_front()?;
            if connection.closing || !connection.output.is_empty() {
                self.connections.push_back(connection);
                continue;
            }
            match parse(&connection.input, self.body_max) {
                Parsed::Whole(request, length) => {
                    connection.input.drain(..length);
                    connection.input.shrink_to(KEPT_BYTES);
                    return Some((request, connection));
                }
                Parsed::Continue => {
                    self.connections.push_back(connection);
                }
                Parsed::Refused(status, text) => {
                    connection.answer(&Response::text(status, text), false, true);
                    // Written as far as that goes at once; the rest when it can be.
                    if connection.move_bytes(0, now, &mut self.buffer) {
                        self.connections.push_back(connection);
                    }
                }
            }
        }
        None
    }

    fn wait(&mut self, deadline: Option<Moment>) -> Result<()> {
        let accepts = self.accepts();
        let expiry = self.connections.iter().map(|connection| connection.expires).min();
        let until = [deadline, expiry].into_iter().flatten().min();
        let mut writing: Vec<Writing<'_>> = Vec::new();
        let mut sources: Vec<&mut dyn Source> = Vec::new();
        if accepts {
            sources.push(&mut *self.listener);
        }
        for connection in &mut self.connections {
            if connection.output.is_empty() {
                sources.push(&mut *connection.stream);
            } else {
                writing.push(Writing(&mut *connection.stream));
            }
        }
        sources.extend(writing.iter_mut().map(|writing| writing as &mut dyn Source));
        self.clock.select(&mut sources, until).map(drop)
    }
}

impl Connection {
    /// Whether the connection is worth keeping.
    fn move_bytes(&mut self, input_max: usize, now: Moment, buffer: &mut [u8]) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(Some(length)) => drop(self.output.drain(..length.min(self.output.len()))),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        if self.closing {
            return false;
        }
        while self.input.len() <= input_max {
            match self.stream.read(buffer) {
                // What was asked before the end is still answered.
                Ok(Some(0)) => {
                    return !self.input.is_empty()
                        && matches!(parse(&self.input, input_max), Parsed::Whole(..));
                }
                Ok(Some(length)) => {
                    self.input.extend_from_slice(&buffer[..length]);
                    self.heard = now;
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// Ends it, and gives back the memory of what it sent.
    fn turn_away(&mut self) {
        self.input = Vec::new();
        self.answer(&Response::text(503, "too much is being sent\n"), false, true);
    }

    fn answer(&mut self, response: &Response, head_only: bool, close: bool) {
        response.write(&mut self.output, head_only, close);
        self.closing = close;
    }
}

impl Exchange<'_> {
    /// Answers. The bytes are sent while the next requests are waited for.
    ///
    /// # Errors
    ///
    /// None at the moment; a client that has gone does not matter.
    pub fn respond(mut self, response: &Response) -> Result<()> {
        let close = !self.request.keeps_alive();
        self.connection.answer(response, self.request.method == "HEAD", close);
        let now = self.http.clock.now();
        self.connection.expires = now.after(CONNECTION_PATIENCE);
        if self.connection.move_bytes(0, now, &mut self.http.buffer) {
            self.http.connections.push_back(self.connection);
        }
        Ok(())
    }
}

impl Source for Http {
    /// Ready when something moves on any connection, which need not be a whole request yet.
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.say_ready();
        let now = self.clock.now();
        self.connections.retain(|connection| now < connection.expires);
        if self.connections.iter().any(|connection| {
            connection.output.is_empty()
                && matches!(parse(&connection.input, self.body_max), Parsed::Whole(..))
        }) {
            return true;
        }
        let mut ready = self.accepts() && self.listener.arm(waker);
        for connection in &mut self.connections {
            // Then there is room for others, who may have waited for nothing else.
            waker.wake_at(connection.expires);
            ready |= if connection.output.is_empty() {
                connection.stream.arm(waker)
            } else {
                connection.stream.arm_write(waker)
            };
        }
        ready
    }
}

impl Single for Http {
    const INTERFACE: InterfaceId = built_in("http");

    fn take(world: &mut dyn World, port: &str, index: usize) -> Result<Self, PlugError> {
        let listener = world.listener(port, index)?;
        Ok(Self::new(listener, world.clock(), world.health()))
    }
}

impl Port for Http {
    const INTERFACE: InterfaceId = built_in("http");

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        one(world, port)
    }
}

#[cfg(test)]
mod tests;
