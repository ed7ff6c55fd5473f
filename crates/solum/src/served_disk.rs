//! Disks that another unit serves: the interface `disk` on a link.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{self, Moment};
use crate::disk::{Disk, Driver, Geometry, Operation, Request};
use crate::error::{Error, Result};
use crate::link::{Bulk, Call, Caller, Interface, Reply, read_reply};
use crate::port::{InterfaceId, PlugError, Port, Single, World, built_in, one};

/// How long a request may take: a mirror that rebuilds, or a server that is started again, takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many bytes travel with one message: longer requests are cut, and what lies side by side goes together. A power of two.
/// Fewer, longer calls cost a file on a device less; shorter ones would serve a file in memory better, because they are still
/// in the processor's cache when they are copied on (docs/benchmarks.md, "Disks").
const RUN_BYTES: usize = 512 * 1024;

/// How many runs are on their way at the same time: half of a link's memory.
const WINDOW: usize = 4;

/// The methods, by number.
mod method {
    pub const GEOMETRY: u16 = 0;
    pub const READ: u16 = 1;
    pub const WRITE: u16 = 2;
    pub const FLUSH: u16 = 3;
    pub const DISCARD: u16 = 4;
}

/// What a disk's errors look like on a link.
#[derive(Debug, Serialize, Deserialize)]
enum Fault {
    OutOfRange { offset: u64, length: u64, capacity: u64 },
    Misaligned { offset: u64, length: u64, block_size: u32 },
    ReadOnly,
    Device(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::OutOfRange { offset, length, capacity } => Self::OutOfRange { offset, length, capacity },
            Error::Misaligned { offset, length, block_size } => {
                Self::Misaligned { offset, length, block_size }
            }
            Error::ReadOnly => Self::ReadOnly,
            Error::Device(text) => Self::Device(text),
            other => Self::Device(other.to_string()),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::OutOfRange { offset, length, capacity } => Self::OutOfRange { offset, length, capacity },
            Fault::Misaligned { offset, length, block_size } => {
                Self::Misaligned { offset, length, block_size }
            }
            Fault::ReadOnly => Self::ReadOnly,
            Fault::Device(text) => Self::Device(text),
        }
    }
}

/// Serving a disk is being a driver of one.
impl Interface for Disk {
    const ID: InterfaceId = built_in("disk");
    type Service = dyn Driver;

    fn dispatch(service: &mut (dyn Driver + 'static), call: &mut Call<'_>) -> Result<()> {
        let outcome: Result<(), Fault> = match call.method {
            method::GEOMETRY => {
                let Geometry { bytes, block_bytes, writable } = service.geometry();
                call.answer(&(bytes, block_bytes, writable));
                return Ok(());
            }
            method::READ => read(service, call),
            method::WRITE => write(service, call),
            method::FLUSH => service.flush().map_err(Fault::from),
            method::DISCARD => {
                let (offset, length) = call.arguments()?;
                let geometry = service.geometry();
                geometry
                    .check_write(offset, length)
                    .and_then(|()| service.discard(offset, length))
                    .map_err(Fault::from)
            }
            _ => return Err(call.unknown()),
        };
        call.answer(&outcome);
        Ok(())
    }
}

fn read(service: &mut dyn Driver, call: &mut Call<'_>) -> Result<(), Fault> {
    let offset: u64 = call.arguments()?;
    service.geometry().check(offset, call.bulk() as u64)?;
    if let Some(file) = service.file() {
        return Ok(call.send_file(file, offset)?);
    }
    let mut buffer = vec![0; call.bulk()];
    service.read_at(offset, &mut buffer)?;
    Ok(call.send(&buffer)?)
}

fn write(service: &mut dyn Driver, call: &mut Call<'_>) -> Result<(), Fault> {
    let offset: u64 = call.arguments()?;
    service.geometry().check_write(offset, call.bulk() as u64)?;
    if let Some(file) = service.file() {
        return Ok(call.receive_file(file, offset)?);
    }
    // A copy of its own: the client could change the bytes between two uses, and a mirror would then differ.
    let mut data = vec![0; call.bulk()];
    call.receive(&mut data)?;
    Ok(service.write_at(offset, &data)?)
}

/// A disk at the other end of a link.
struct Linked {
    caller: Box<dyn Caller>,
    clock: Rc<dyn clock::Driver>,
    geometry: Geometry,
    /// The epoch of the server that took writes which no flush has made last; of several, the first.
    unflushed: Option<u32>,
}

impl Linked {
    fn new(caller: Box<dyn Caller>, clock: Rc<dyn clock::Driver>) -> Result<Self> {
        let geometry = Geometry { bytes: 0, block_bytes: 1, writable: false };
        let mut disk = Self { caller, clock, geometry, unflushed: None };
        let (bytes, block_bytes, writable) = read_reply(&disk.call(method::GEOMETRY, &[])?.payload)?;
        disk.geometry = Geometry { bytes, block_bytes, writable };
        Ok(disk)
    }

    fn call(&mut self, method: u16, payload: &[u8]) -> Result<Reply> {
        let call = self.caller.submit(method, true, payload, Bulk::Nothing, self.deadline())?;
        self.caller.complete(call, &mut [])
    }

    fn deadline(&self) -> Option<Moment> {
        Some(self.clock.now().after(PATIENCE))
    }

    fn outcome(reply: &[u8]) -> Result<()> {
        read_reply::<Result<(), Fault>>(reply)?.map_err(Error::from)
    }

    fn payload<A: Serialize>(arguments: &A) -> Vec<u8> {
        postcard::to_stdvec(arguments).unwrap_or_default()
    }
}

/// Requests, or parts of them, whose bytes lie side by side on the disk.
struct Run<'a> {
    at: u64,
    bytes: usize,
    requests: Vec<usize>,
    data: Data<'a>,
}

enum Data<'a> {
    Read(Vec<&'a mut [u8]>),
    Write(Vec<&'a [u8]>),
}

impl<'a> Run<'a> {
    fn reads(request: usize, at: u64, piece: &'a mut [u8]) -> Self {
        Self { at, bytes: piece.len(), requests: vec![request], data: Data::Read(vec![piece]) }
    }

    fn writes(request: usize, at: u64, piece: &'a [u8]) -> Self {
        Self { at, bytes: piece.len(), requests: vec![request], data: Data::Write(vec![piece]) }
    }

    /// Goes on with `next` if that is possible, else gives it back.
    fn join(&mut self, next: Self) -> Option<Self> {
        let is_next = self.at + self.bytes as u64 == next.at && self.bytes + next.bytes <= RUN_BYTES;
        match (&mut self.data, next) {
            (Data::Read(data), Run { data: Data::Read(more), bytes, requests, .. }) if is_next => {
                data.extend(more);
                self.bytes += bytes;
                self.requests.extend(requests);
                None
            }
            (Data::Write(data), Run { data: Data::Write(more), bytes, requests, .. }) if is_next => {
                data.extend(more);
                self.bytes += bytes;
                self.requests.extend(requests);
                None
            }
            (_, next) => Some(next),
        }
    }

    /// The same by its pieces.
    fn split(self) -> Vec<Self> {
        let mut at = self.at;
        let mut place = |bytes: usize| {
            let here = at;
            at += bytes as u64;
            here
        };
        let requests = self.requests.into_iter();
        match self.data {
            Data::Read(data) => requests
                .zip(data)
                .map(|(request, piece)| Self::reads(request, place(piece.len()), piece))
                .collect(),
            Data::Write(data) => requests
                .zip(data)
                .map(|(request, piece)| Self::writes(request, place(piece.len()), piece))
                .collect(),
        }
    }
}

/// What is to be moved, in as few runs as it takes.
fn runs<'a>(requests: &'a mut [Request<'_>]) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    let mut add = |next: Run<'a>| {
        let apart = match runs.last_mut() {
            Some(last) => last.join(next),
            None => Some(next),
        };
        runs.extend(apart);
    };
    for (index, request) in requests.iter_mut().enumerate().filter(|(_, request)| request.outcome.is_ok()) {
        match &mut request.operation {
            Operation::Read { offset, buffer } => {
                for (at, piece) in (*offset..).step_by(RUN_BYTES).zip(buffer.chunks_mut(RUN_BYTES)) {
                    add(Run::reads(index, at, piece));
                }
            }
            Operation::Write { offset, data } => {
                for (at, piece) in (*offset..).step_by(RUN_BYTES).zip(data.chunks(RUN_BYTES)) {
                    add(Run::writes(index, at, piece));
                }
            }
        }
    }
    runs
}

impl Driver for Linked {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut requests = [Request { operation: Operation::Read { offset, buffer }, outcome: Ok(()) }];
        self.batch(&mut requests);
        let [request] = requests;
        request.outcome
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let mut requests = [Request { operation: Operation::Write { offset, data }, outcome: Ok(()) }];
        self.batch(&mut requests);
        let [request] = requests;
        request.outcome
    }

    fn flush(&mut self) -> Result<()> {
        // A server that died between the write and the flush may have lost the write: what it wrote through to is still
        // there, but its own memory is not. So a flush is repeated only by whoever knows what it was about.
        let call = self.caller.submit(method::FLUSH, false, &[], Bulk::Nothing, self.deadline())?;
        let reply = self.caller.complete(call, &mut []);
        // It may also have died before the flush was sent, which then went to its successor, who knows of no writes.
        let reply = reply.and_then(|reply| match self.unflushed {
            Some(epoch) if epoch != reply.epoch => Err(Error::Gone { epoch }),
            _ => Ok(reply),
        });
        let outcome = reply.and_then(|reply| Self::outcome(&reply.payload));
        if matches!(outcome, Ok(()) | Err(Error::Gone { .. })) {
            // They last, or whoever wrote them knows that they may not.
            self.unflushed = None;
        }
        outcome
    }

    fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        Self::outcome(&self.call(method::DISCARD, &Self::payload(&(offset, length)))?.payload)
    }

    fn batch(&mut self, requests: &mut [Request<'_>]) {
        let mut outcomes: Vec<Result<()>> = requests.iter().map(|request| request.outcome.clone()).collect();
        let mut failed = Vec::new();
        self.move_all(runs(requests), |run, outcome| match outcome {
            // Which of them is wrong is found out by doing each by itself.
            Err(Trouble::Disk(_)) if run.requests.len() > 1 => failed.extend(run.split()),
            outcome => keep(&mut outcomes, &run, outcome),
        });
        self.move_all(failed, |run, outcome| keep(&mut outcomes, &run, outcome));
        for (request, outcome) in requests.iter_mut().zip(outcomes) {
            request.outcome = outcome;
        }
    }
}

/// Why a run was not moved.
enum Trouble {
    /// The link, or whoever is at its other end.
    Link(Error),
    /// The disk.
    Disk(Error),
}

/// The first error of a request is its outcome.
fn keep(outcomes: &mut [Result<()>], run: &Run<'_>, outcome: Result<(), Trouble>) {
    let Err(Trouble::Link(error) | Trouble::Disk(error)) = outcome else { return };
    for request in &run.requests {
        if outcomes[*request].is_ok() {
            outcomes[*request] = Err(error.clone());
        }
    }
}

impl Linked {
    /// Moves runs, several at a time, and tells of each how it went.
    fn move_all<'a>(&mut self, runs: Vec<Run<'a>>, mut done: impl FnMut(Run<'a>, Result<(), Trouble>)) {
        let mut under_way = VecDeque::new();
        for run in runs {
            if under_way.len() >= WINDOW
                && let Some((oldest, call)) = under_way.pop_front()
            {
                self.finish(oldest, call, &mut done);
            }
            match self.begin(&run) {
                Ok(call) => under_way.push_back((run, call)),
                Err(error) => done(run, Err(Trouble::Link(error))),
            }
        }
        for (run, call) in under_way {
            self.finish(run, call, &mut done);
        }
    }

    fn begin(&mut self, run: &Run<'_>) -> Result<u32> {
        let (method, bulk) = match &run.data {
            Data::Read(_) => (method::READ, Bulk::Receive(run.bytes)),
            Data::Write(pieces) => (method::WRITE, Bulk::Send(pieces)),
        };
        self.caller.submit(method, true, &Self::payload(&run.at), bulk, self.deadline())
    }

    fn finish<'a>(
        &mut self,
        mut run: Run<'a>,
        call: u32,
        done: &mut impl FnMut(Run<'a>, Result<(), Trouble>),
    ) {
        let reply = match &mut run.data {
            Data::Read(pieces) => self.caller.complete(call, pieces),
            Data::Write(_) => self.caller.complete(call, &mut []),
        };
        if let (Ok(reply), Data::Write(_)) = (&reply, &run.data) {
            // Also if it failed: something of it may have been written.
            self.unflushed.get_or_insert(reply.epoch);
        }
        let outcome = match reply {
            Ok(reply) => Self::outcome(&reply.payload).map_err(Trouble::Disk),
            Err(error) => Err(Trouble::Link(error)),
        };
        done(run, outcome);
    }
}

impl Single for Disk {
    const INTERFACE: InterfaceId = built_in("disk");

    fn take(world: &mut dyn World, port: &str, index: usize) -> Result<Self, PlugError> {
        Ok(Self::new(world.disk(port, index)?))
    }
}

impl Port for Disk {
    const INTERFACE: InterfaceId = built_in("disk");

    fn plug(world: &mut dyn World, port: &str) -> Result<Self, PlugError> {
        one(world, port)
    }
}

/// The driver of a disk that another unit serves, at the other end of `caller`.
///
/// # Errors
///
/// Those of a call: the unit has to be there to say how large the disk is.
pub fn linked(caller: Box<dyn Caller>, clock: Rc<dyn clock::Driver>) -> Result<Box<dyn Driver>> {
    Ok(Box::new(Linked::new(caller, clock)?))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::link::Link;
    use crate::native::SystemClock;

    fn disk_behind_a_link(driver: Box<dyn Driver>) -> Disk {
        let link = Link::<Disk>::local(driver, Rc::new(SystemClock));
        Disk::new(linked(link.into_caller(), Rc::new(SystemClock)).unwrap())
    }

    struct Failing;

    impl Driver for Failing {
        fn geometry(&self) -> Geometry {
            Geometry { bytes: 1 << 20, block_bytes: 4096, writable: true }
        }

        fn read_at(&mut self, offset: u64, _: &mut [u8]) -> Result<()> {
            if offset == 0 { Ok(()) } else { Err(Error::Device("bad sector".into())) }
        }

        fn write_at(&mut self, _: u64, _: &[u8]) -> Result<()> {
            Err(Error::Gone { epoch: 3 })
        }

        fn flush(&mut self) -> Result<()> {
            Err(Error::Device("no".into()))
        }

        fn discard(&mut self, _: u64, _: u64) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_at_the_other_end_is_a_disk() {
        let mut disk = disk_behind_a_link(Box::new(crate::disk::Memory::new(4 << 20, 512)));
        assert_eq!((disk.capacity(), disk.block_size(), disk.is_writable()), (4 << 20, 512, true));
        let data: Vec<u8> = (0..3 * RUN_BYTES + 512).map(|index| (index % 251) as u8).collect();
        disk.write_at(512, &data).unwrap();
        disk.flush().unwrap();
        let (mut whole, mut tail) = (vec![0; data.len()], vec![0; 512]);
        let last = 512 + data.len() as u64 - 512;
        assert_eq!(disk.batch().read_at(512, &mut whole).read_at(last, &mut tail).run(), [Ok(()), Ok(())]);
        assert!(whole == data && tail == data[data.len() - 512..]);
        disk.discard(512, 512).unwrap();
    }

    #[test]
    fn errors_of_the_disk_come_through_with_their_meaning() {
        let mut disk = disk_behind_a_link(Box::new(Failing));
        let mut buffer = vec![0; 2 * RUN_BYTES];
        assert_eq!(
            disk.read_at(0, &mut buffer),
            Err(Error::Device("bad sector".into())),
            "the second piece fails"
        );
        assert!(
            matches!(disk.write_at(0, &[0; 4096]), Err(Error::Device(_))),
            "that the server lost its own server"
        );
        assert_eq!(disk.flush(), Err(Error::Device("no".into())));
    }

    /// A server that can be started again between two calls, which nobody notices but by its epoch.
    struct Restarting {
        service: Box<dyn Caller>,
        epoch: Rc<Cell<u32>>,
    }

    impl Caller for Restarting {
        fn submit(
            &mut self,
            method: u16,
            retry: bool,
            payload: &[u8],
            bulk: Bulk<'_>,
            deadline: Option<Moment>,
        ) -> Result<u32> {
            self.service.submit(method, retry, payload, bulk, deadline)
        }

        fn complete(&mut self, call: u32, received: &mut [&mut [u8]]) -> Result<Reply> {
            let reply = self.service.complete(call, received)?;
            Ok(Reply { epoch: self.epoch.get(), ..reply })
        }
    }

    #[test]
    fn a_flush_tells_that_the_server_of_the_writes_is_gone() {
        let memory = Box::new(crate::disk::Memory::new(1 << 20, 512));
        let link = Link::<Disk>::local(memory, Rc::new(SystemClock));
        let epoch = Rc::new(Cell::new(1));
        let caller = Restarting { service: link.into_caller(), epoch: Rc::clone(&epoch) };
        let mut disk = Disk::new(linked(Box::new(caller), Rc::new(SystemClock)).unwrap());
        epoch.set(2);
        assert_eq!(disk.flush(), Ok(()), "nothing was written");
        disk.write_at(0, &[1; 512]).unwrap();
        assert_eq!(disk.flush(), Ok(()));
        epoch.set(3);
        assert_eq!(disk.flush(), Ok(()), "all of it lasts already");
        disk.write_at(0, &[2; 512]).unwrap();
        epoch.set(4);
        disk.write_at(512, &[2; 512]).unwrap();
        disk.read_at(0, &mut [0; 512]).unwrap();
        assert_eq!(disk.flush(), Err(Error::Gone { epoch: 3 }), "the first of the two writes may be lost");
        disk.write_at(0, &[2; 512]).unwrap();
        assert_eq!(disk.flush(), Ok(()), "it was written again");
    }

    /// A disk with a bad block, which counts what is asked of it.
    struct BadBlock {
        memory: crate::disk::Memory,
        asked: Rc<Cell<usize>>,
    }

    const BAD: u64 = 3 * 4096;

    impl BadBlock {
        fn ask(&self, offset: u64, length: usize) -> Result<()> {
            self.asked.set(self.asked.get() + 1);
            let is_bad = (offset..offset + length as u64).contains(&BAD);
            if is_bad { Err(Error::Device("bad block".into())) } else { Ok(()) }
        }
    }

    impl Driver for BadBlock {
        fn geometry(&self) -> Geometry {
            self.memory.geometry()
        }

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
            self.ask(offset, buffer.len())?;
            self.memory.read_at(offset, buffer)
        }

        fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
            self.ask(offset, data.len())?;
            self.memory.write_at(offset, data)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }

        fn discard(&mut self, _: u64, _: u64) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_lies_side_by_side_goes_together_and_only_what_is_bad_fails() {
        let asked = Rc::new(Cell::new(0));
        let memory = crate::disk::Memory::new(1 << 20, 4096);
        let mut disk = disk_behind_a_link(Box::new(BadBlock { memory, asked: Rc::clone(&asked) }));
        let (one, two) = (vec![1; 4096], vec![2; 8192]);
        let outcomes = disk.batch().write_at(4096, &two).write_at(0, &one).write_at(16384, &two).run();
        assert_eq!((outcomes, asked.take()), (vec![Ok(()); 3], 3), "not in the order of the disk");
        let outcomes = disk.batch().write_at(16384, &one).write_at(20480, &two).write_at(28672, &one).run();
        assert_eq!((outcomes, asked.take()), (vec![Ok(()); 3], 1));
        let (mut first, mut second, mut third) = (vec![0; 4096], vec![0; 4096], vec![0; 8192]);
        let outcomes = disk
            .batch()
            .read_at(16384, &mut first)
            .read_at(20480, &mut second)
            .read_at(24576, &mut third)
            .run();
        assert_eq!((outcomes, asked.take()), (vec![Ok(()); 3], 1));
        assert!(first == one && second == two[..4096] && third == [&two[..4096], &one].concat());
        let bad = Err(Error::Device("bad block".into()));
        let outcomes = disk.batch().write_at(8192, &one).write_at(BAD, &one).write_at(16384, &two).run();
        assert_eq!(
            (outcomes, asked.take()),
            (vec![Ok(()), bad.clone(), Ok(())], 4),
            "together, then one by one"
        );
        let outcomes = disk.batch().read_at(8192, &mut first).read_at(BAD, &mut second).run();
        assert_eq!(outcomes, [Ok(()), bad]);
        assert_eq!(first, one);
    }

    #[test]
    fn the_server_checks_what_a_client_asks_for() {
        let mut link = Link::<Disk>::local(Box::new(Failing), Rc::new(SystemClock));
        for request in [(1u64, 4096u64), (1 << 20, 4096), (u64::MAX - 4095, 4096)] {
            let answer: Result<(), Fault> = link.call(method::DISCARD, true, &request).unwrap();
            assert!(answer.is_err(), "{request:?}");
        }
    }
}
