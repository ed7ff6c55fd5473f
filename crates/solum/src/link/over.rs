//! Links over whatever carries frames: shared memory, or a simulated world.

use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Instant;

use solum_link::session::{self, CallId, Client, Event, Server, Ticket};
use solum_link::{Armed, End, Numbered, Part, Range, Transport, Want};

use super::{Answerer, Bulk, Caller, Incoming, Reply, Token};
use crate::clock::{self, Moment, Source, Waker};
use crate::error::{Error, Result};
use crate::port::InterfaceId;

/// The first byte of an answer: the rest is the result, or a text that says why there is none.
const DONE: u8 = 0;
const REFUSED: u8 = 1;

/// What carries frames, and can be waited for together with other things.
pub trait Carrier: Transport {
    /// As [`Source::arm`], for what is wanted.
    fn arm<'a>(&'a mut self, want: Want, waker: &mut Waker<'a>) -> bool;
    /// As [`Source::disarm`].
    fn disarm(&mut self);
}

impl Carrier for End {
    fn arm<'a>(&'a mut self, want: Want, waker: &mut Waker<'a>) -> bool {
        if self.arm_for(want) == Armed::Ready {
            return true;
        }
        waker.bell(self.bell());
        false
    }

    fn disarm(&mut self) {
        End::disarm(self);
    }
}

impl From<session::CallError> for Error {
    fn from(error: session::CallError) -> Self {
        match error {
            session::CallError::Gone { epoch } => Self::Gone { epoch },
            session::CallError::Deadline => Self::Deadline,
            session::CallError::Refused(why) => Self::Refused(why),
            session::CallError::Broken => Self::Broken,
            session::CallError::TooLong { max } => Self::TooLong { maximum: max as u64 },
        }
    }
}

fn named(interface: &InterfaceId) -> session::Interface {
    session::Interface {
        name: interface.name.to_owned(),
        version: interface.version,
        fingerprint: interface.fingerprint,
    }
}

/// The carrier has a clock of its own, which runs as fast as ours.
fn instant<T: Transport>(
    transport: &T,
    clock: &dyn clock::Driver,
    deadline: Option<Moment>,
) -> Option<Instant> {
    deadline.and_then(|deadline| transport.now().checked_add(deadline.since(clock.now())))
}

/// The calling end of a link.
pub struct OverCaller<T> {
    client: Client<T>,
    clock: Rc<dyn clock::Driver>,
    under_way: Numbered<UnderWay>,
    last_call: u32,
}

struct UnderWay {
    ticket: Ticket,
    range: Option<Range>,
}

impl<T: Carrier> OverCaller<T> {
    /// A caller of this interface.
    pub fn new(transport: T, interface: &InterfaceId, clock: Rc<dyn clock::Driver>) -> Self {
        let client = Client::new(transport, &named(interface));
        Self { client, clock, under_way: Numbered::default(), last_call: 0 }
    }

    fn range(&mut self, bulk: &Bulk<'_>, deadline: Option<Instant>) -> Result<Option<Range>> {
        let length = match bulk {
            Bulk::Nothing => return Ok(None),
            Bulk::Send(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
            Bulk::Receive(length) => *length,
        };
        let maximum = u64::from(self.client.pool().bytes());
        let wanted = u32::try_from(length).ok().filter(|wanted| u64::from(*wanted) <= maximum);
        let wanted = wanted.ok_or(Error::TooLong { maximum })?;
        let range = self.room(wanted, deadline)?;
        if let Bulk::Send(pieces) = bulk {
            let part = self.client.pool().part(range).map_err(|_| Error::Broken)?;
            let mut at = 0;
            for piece in *pieces {
                part.write(at, piece).map_err(|_| Error::Broken)?;
                at += piece.len();
            }
        }
        Ok(Some(range))
    }

    /// Copies what came, one after another.
    fn scatter(&self, range: Range, pieces: &mut [&mut [u8]]) -> Result<()> {
        let part = self.client.pool().part(range).map_err(|_| Error::Broken)?;
        let mut at = 0;
        for piece in pieces {
            part.read(at, piece).map_err(|_| Error::Broken)?;
            at += piece.len();
        }
        Ok(())
    }

    /// Sets a part of the pool aside. What a server may still use, for a call that was given up, is waited for.
    fn room(&mut self, wanted: u32, deadline: Option<Instant>) -> Result<Range> {
        loop {
            if let Some(range) = self.client.allocate(wanted, deadline)? {
                return Ok(range);
            }
            let is_late = deadline.is_some_and(|deadline| deadline <= self.client.transport().now());
            // The rest belongs to calls that nobody completes while we are here.
            if is_late || !self.client.is_owed_room() {
                return Err(Error::Deadline);
            }
            let until = deadline.into_iter().chain(self.client.wake_at()).min();
            self.client.transport().wait(Want::Any, until);
            self.client.turn();
        }
    }
}

impl<T: Carrier> Caller for OverCaller<T> {
    fn submit(
        &mut self,
        method: u16,
        retry: bool,
        payload: &[u8],
        bulk: Bulk<'_>,
        deadline: Option<Moment>,
    ) -> Result<u32> {
        let deadline = instant(self.client.transport(), &*self.clock, deadline);
        let range = self.range(&bulk, deadline)?;
        let ticket = self.client.submit(method, retry, payload, range, deadline);
        self.last_call = self.last_call.wrapping_add(1);
        self.under_way.insert(self.last_call, UnderWay { ticket, range });
        Ok(self.last_call)
    }

    fn complete(&mut self, call: u32, received: &mut [&mut [u8]]) -> Result<Reply> {
        let UnderWay { ticket, range } = self.under_way.remove(call).ok_or(Error::Broken)?;
        let response = self.client.complete(ticket);
        let copied = match (&response, range) {
            (Ok(_), Some(range)) => self.scatter(range, received),
            _ => Ok(()),
        };
        if let Some(range) = range {
            self.client.free(range);
        }
        copied?;
        let session::Response { mut payload, server: epoch } = response?;
        match payload.first() {
            Some(&DONE) => {
                payload.remove(0);
                Ok(Reply { payload, epoch })
            }
            Some(&REFUSED) => Err(Error::Refused(String::from_utf8_lossy(&payload[1..]).into_owned())),
            _ => Err(Error::Broken),
        }
    }

    fn recycle(&mut self, payload: Vec<u8>) {
        self.client.recycle(payload);
    }
}

/// The answering ends of all links of one port.
pub struct OverAnswerer<T> {
    servers: Vec<Server<T>>,
    clock: Rc<dyn clock::Driver>,
    /// Taken from a server, and not yet from here.
    next: Option<Incoming>,
    /// The client whose turn it is.
    turn: usize,
    open: Numbered<Open>,
    last_call: u32,
    /// For answers, one after the other.
    buffer: Vec<u8>,
}

/// A call that waits for its answer.
struct Open {
    client: usize,
    call: CallId,
    range: Option<Range>,
}

impl<T: Carrier> OverAnswerer<T> {
    /// An answerer of this interface, with a carrier for each client.
    pub fn new(transports: Vec<T>, interface: &InterfaceId, clock: Rc<dyn clock::Driver>) -> Self {
        let servers =
            transports.into_iter().map(|transport| Server::new(transport, named(interface))).collect();
        let open = Numbered::default();
        Self { servers, clock, next: None, turn: 0, open, last_call: 0, buffer: Vec::new() }
    }

    /// What is there, if anything: each client in its turn.
    fn look(&mut self) -> Option<Incoming> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let clients = self.servers.len();
        for client in (self.turn..clients).chain(0..self.turn) {
            if let Some(event) = self.servers[client].try_next() {
                self.turn = (client + 1) % clients;
                return Some(self.incoming(client, event));
            }
        }
        None
    }

    fn incoming(&mut self, client: usize, event: Event) -> Incoming {
        match event {
            Event::ClientCame { .. } => Incoming::Came(client),
            Event::ClientGone { .. } => {
                self.open.retain(|open| open.client != client);
                Incoming::Gone(client)
            }
            Event::Request { call, method, payload, range } => {
                self.last_call = self.last_call.wrapping_add(1);
                self.open.insert(self.last_call, Open { client, call, range });
                let bulk = range.map_or(0, |range| range.length as usize);
                let token = Token { client, call: self.last_call, bulk };
                Incoming::Request { token, method, payload }
            }
        }
    }

    /// The memory that goes with a call, if the call is still of interest.
    fn range(&self, call: &Token, length: usize) -> Result<Option<Range>> {
        match self.open.get(call.call) {
            None => Ok(None),
            Some(Open { range: Some(range), .. }) if length <= range.length as usize => {
                Ok(Some(Range { offset: range.offset, length: length as u32 }))
            }
            Some(_) => Err(Error::Broken),
        }
    }
}

impl<T: Carrier> Answerer for OverAnswerer<T> {
    fn next(&mut self, deadline: Option<Moment>) -> Result<Incoming> {
        loop {
            if let Some(incoming) = self.look() {
                return Ok(incoming);
            }
            // One client alone is waited for without the kernel, as long as it is awake.
            if let [server] = self.servers.as_mut_slice() {
                let until = instant(server.transport(), &*self.clock, deadline);
                let event = server.next(until).ok_or(Error::Deadline)?;
                return Ok(self.incoming(0, event));
            }
            let clock = Rc::clone(&self.clock);
            clock.select(&mut [&mut Waiting(&mut self.servers)], deadline)?.ok_or(Error::Deadline)?;
            // A client that never falls silent ends each wait before its time.
            if deadline.is_some_and(|deadline| deadline <= clock.now()) {
                return self.look().ok_or(Error::Deadline);
            }
        }
    }

    fn receive(&mut self, call: &Token, buffer: &mut [u8]) -> Result<()> {
        let Some(range) = self.range(call, buffer.len())? else { return Ok(()) };
        self.servers[call.client].pool().copy_out(range, buffer).map_err(|_| Error::Broken)
    }

    fn send(&mut self, call: &Token, data: &[u8]) -> Result<()> {
        let Some(range) = self.range(call, data.len())? else { return Ok(()) };
        self.servers[call.client].pool().copy_in(range, data).map_err(|_| Error::Broken)
    }

    fn send_file(&mut self, call: &Token, file: BorrowedFd<'_>, offset: u64) -> Result<()> {
        let Some(range) = self.range(call, call.bulk)? else { return Ok(()) };
        let part = self.servers[call.client].pool().part(range).map_err(|_| Error::Broken)?;
        move_all(part, offset, |part, at| part.read_from(file, at))
    }

    fn receive_file(&mut self, call: &Token, file: BorrowedFd<'_>, offset: u64) -> Result<()> {
        let Some(range) = self.range(call, call.bulk)? else { return Ok(()) };
        let part = self.servers[call.client].pool().part(range).map_err(|_| Error::Broken)?;
        move_all(part, offset, |part, at| part.write_to(file, at))
    }

    fn reply(&mut self, call: Token, outcome: Result<&[u8], &str>) -> Result<()> {
        let Some(Open { call: id, .. }) = self.open.remove(call.call) else { return Ok(()) };
        let (status, text) = match outcome {
            Ok(result) => (DONE, result),
            Err(reason) => (REFUSED, reason.as_bytes()),
        };
        self.buffer.clear();
        self.buffer.push(status);
        self.buffer.extend_from_slice(text);
        let server = &mut self.servers[call.client];
        match server.reply(id, &self.buffer) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The client is not left waiting for an answer that does not fit.
                let reason = [&[REFUSED], error.to_string().as_bytes()].concat();
                server.reply(id, &reason).map_err(|_| Error::Broken)
            }
        }
    }

    fn recycle(&mut self, client: usize, payload: Vec<u8>) {
        self.servers[client].recycle(payload);
    }
}

/// Repeats a system call that may do less than it was asked for.
fn move_all(
    part: Part<'_>,
    offset: u64,
    mut step: impl FnMut(Part<'_>, u64) -> std::io::Result<usize>,
) -> Result<()> {
    let mut done = 0;
    while done < part.len() {
        let rest = part.part(done, part.len() - done).map_err(|_| Error::Broken)?;
        match step(rest, offset + done as u64) {
            Ok(0) => return Err(Error::Device("the file ends before the disk does".into())),
            Ok(length) => done += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl<T: Carrier> Source for OverAnswerer<T> {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        if self.next.is_none() {
            self.next = self.look();
        }
        self.next.is_some() || arm(&mut self.servers, waker)
    }

    fn disarm(&mut self) {
        disarm(&mut self.servers);
    }
}

/// The servers of an answerer that waits for them itself: it has just looked what is there, and will look again.
struct Waiting<'s, T>(&'s mut [Server<T>]);

impl<T: Carrier> Source for Waiting<'_, T> {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        arm(self.0, waker)
    }

    fn disarm(&mut self) {
        disarm(self.0);
    }
}

fn arm<'a, T: Carrier>(servers: &'a mut [Server<T>], waker: &mut Waker<'a>) -> bool {
    let mut ready = false;
    for server in servers {
        let want = server.want();
        ready |= server.transport().arm(want, waker);
    }
    ready
}

fn disarm<T: Carrier>(servers: &mut [Server<T>]) {
    for server in servers {
        server.transport().disarm();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use solum_link::{Broken, Frame, Layout, LinkHost, Pool, Received, SendError, Side, WaitOutcome};

    use super::*;
    use crate::native::SystemClock;

    /// A peer that says without end that it lives.
    struct Noisy(Pool);

    impl Transport for Noisy {
        fn send(&mut self, _: &Frame<'_>) -> Result<(), SendError> {
            Ok(())
        }

        fn receive_into(&mut self, into: &mut Received) -> Result<bool, Broken> {
            *into = Received::default();
            Ok(true)
        }

        fn wait(&mut self, _: Want, _: Option<Instant>) -> WaitOutcome {
            WaitOutcome::Ready
        }

        fn now(&self) -> Instant {
            Instant::now()
        }

        fn epoch(&self) -> u32 {
            1
        }

        fn peer_epoch(&self) -> Option<u32> {
            Some(1)
        }

        fn longest_payload(&self) -> usize {
            100
        }

        fn pool(&self) -> &Pool {
            &self.0
        }
    }

    impl Carrier for Noisy {
        fn arm<'a>(&'a mut self, _: Want, _: &mut Waker<'a>) -> bool {
            true
        }

        fn disarm(&mut self) {}
    }

    /// A clock that runs while somebody waits.
    #[derive(Default)]
    struct Waits(Cell<u64>);

    impl clock::Driver for Waits {
        fn now(&self) -> Moment {
            Moment::from_beginning(Duration::from_millis(self.0.get()))
        }

        fn wall(&self) -> Result<Duration> {
            Err(Error::Closed)
        }

        fn select(&self, sources: &mut [&mut dyn Source], _: Option<Moment>) -> Result<Option<usize>> {
            self.0.set(self.0.get() + 1);
            assert!(self.0.get() < 1000, "it waits for ever");
            Ok(sources.iter_mut().position(|source| source.arm(&mut Waker::default())))
        }
    }

    #[test]
    fn clients_that_say_nothing_of_use_do_not_postpone_the_deadline() {
        let ends = (0..2).map(|_| Noisy(Pool::pair(4096).unwrap().0)).collect();
        let mut answerer = OverAnswerer::new(ends, &INTERFACE, Rc::new(Waits::default()));
        let deadline = Moment::from_beginning(Duration::from_millis(20));
        assert_eq!(answerer.next(Some(deadline)).unwrap_err(), Error::Deadline);
    }
    const INTERFACE: InterfaceId = InterfaceId { name: "test", version: 1, fingerprint: 1 };

    fn open(host: &LinkHost, side: Side) -> End {
        host.attach(side, 1);
        let descriptors = host.descriptors(side);
        let [memory, own, peer] = [descriptors.memory, descriptors.own_bell, descriptors.peer_bell]
            .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
        End::open(memory, own, peer, side).unwrap()
    }

    fn request(server: &mut Server<End>) -> CallId {
        loop {
            match server.next(Some(Instant::now() + Duration::from_secs(20))) {
                Some(Event::Request { call, .. }) => return call,
                Some(_) => {}
                None => panic!("nobody asked"),
            }
        }
    }

    #[test]
    fn room_that_a_server_still_uses_is_waited_for_and_what_never_fits_is_too_long() {
        let host = LinkHost::create("test", Layout { ring_bytes: 4096, pool_bytes: 8192 }).unwrap();
        let mut server = Server::new(open(&host, Side::Server), named(&INTERFACE));
        let mut caller = OverCaller::new(open(&host, Side::Client), &INTERFACE, Rc::new(SystemClock));
        let (given_up, is_given_up) = mpsc::channel();
        let serving = thread::spawn(move || {
            let first = request(&mut server);
            server.reply(first, &[DONE]).unwrap();
            let slow = request(&mut server);
            is_given_up.recv().unwrap();
            server.reply(slow, &[DONE]).unwrap();
            let last = request(&mut server);
            server.reply(last, &[DONE]).unwrap();
        });
        let after = |time| Some(clock::Driver::now(&SystemClock).after(time));
        let soon = || after(Duration::from_secs(20));
        let first = caller.submit(1, false, &[], Bulk::Nothing, soon()).unwrap();
        caller.complete(first, &mut []).unwrap();
        let slow = caller.submit(1, false, &[], Bulk::Receive(8192), soon()).unwrap();
        assert_eq!(
            caller.submit(1, false, &[], Bulk::Receive(1), None),
            Err(Error::Deadline),
            "it is its own"
        );
        // As at its deadline.
        let UnderWay { ticket, range } = caller.under_way.remove(slow).unwrap();
        caller.client.forget(ticket);
        caller.client.free(range.unwrap());
        let maximum = 8192;
        let too_long = caller.submit(1, false, &[], Bulk::Send(&[&[0; 8193]]), soon());
        assert_eq!(too_long, Err(Error::TooLong { maximum }));
        assert_eq!(
            caller.submit(1, false, &[], Bulk::Receive(1), after(Duration::ZERO)),
            Err(Error::Deadline)
        );
        given_up.send(()).unwrap();
        let last = caller.submit(1, false, &[], Bulk::Send(&[&[0; 4096], &[0; 4096]]), soon()).unwrap();
        caller.complete(last, &mut []).unwrap();
        serving.join().unwrap();
    }
}
