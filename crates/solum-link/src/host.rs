//! The supervisor's hold on a link: makes it, hands out its ends, says who lives.

use crate::frame::Side;
use crate::mapping::Mapping;
use crate::memory::{self, Label, Layout, Memory, Word};
use crate::native::Native;
use crate::shared::Shared;
use crate::status;
use crate::wake::{self, Reason};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{self, MemfdFlags, SealFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::{fmt, io, thread};

/// Without these, a peer could shrink the memory under whoever reads it, who would die of SIGBUS.
pub(crate) const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// What a unit needs to open its end; to be inherited by it.
#[derive(Debug)]
pub struct EndDescriptors<'a> {
    /// The shared memory.
    pub memory: BorrowedFd<'a>,
    /// What becomes readable when this side is to wake.
    pub own_bell: BorrowedFd<'a>,
    /// What wakes the other side.
    pub peer_bell: BorrowedFd<'a>,
}

/// A link, as whoever starts its two units holds it. It outlives both.
pub struct LinkHost {
    file: OwnedFd,
    client_bell: OwnedFd,
    server_bell: OwnedFd,
    native: Native,
    label: Label,
}

impl fmt::Debug for LinkHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LinkHost")
            .field("layout", &self.native.memory.layout())
            .finish_non_exhaustive()
    }
}

impl LinkHost {
    /// Makes a link with nobody at its ends. The name is for people who look into `/proc`.
    pub fn create(name: &str, layout: Layout) -> io::Result<Self> {
        if !layout.is_possible() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a ring is a power of two from 4 KiB to 1 GiB, a pool is whole pages up to 1 GiB",
            ));
        }
        let file = fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        fs::ftruncate(&file, layout.total() as u64)?;
        fs::fcntl_add_seals(&file, SEALS)?;
        let mapping = Mapping::of_file(file.as_fd(), layout.total())?;
        let processors = thread::available_parallelism().map_or(1, |count| count.get() as u32);
        let outside = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let label = Label { layout, processors };
        memory::write_label(&mapping, label).map_err(outside)?;
        let memory = Memory::new(mapping, layout).map_err(outside)?;
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let (client_bell, server_bell) = (bell()?, bell()?);
        let bells = [Some(client_bell.try_clone()?), Some(server_bell.try_clone()?)];
        Ok(Self { file, client_bell, server_bell, native: Native { memory, bells }, label })
    }

    /// How much memory it has.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.native.memory.layout()
    }

    /// What the unit at that end is to inherit.
    #[must_use]
    pub fn descriptors(&self, side: Side) -> EndDescriptors<'_> {
        let (own, peer) = match side {
            Side::Client => (&self.client_bell, &self.server_bell),
            Side::Server => (&self.server_bell, &self.client_bell),
        };
        EndDescriptors { memory: self.file.as_fd(), own_bell: own.as_fd(), peer_bell: peer.as_fd() }
    }

    /// Says that a unit is about to be started at that end. Each start needs another epoch, from 1 to 2³⁰ - 1.
    pub fn attach(&self, side: Side, epoch: u32) {
        // A peer can write there too, and what it spoiled once would keep every later process from opening its end. The
        // memory was large enough for it when it was made.
        let _ = memory::write_label(self.native.memory.mapping(), self.label);
        if !status::is_attached(self.native.load(Word::Status(side.peer()))) {
            // Nobody is there to be confused, so what a broken or hostile process left is swept away.
            for word in Word::ALL {
                if word != Word::Status(side.peer()) {
                    self.native.store(word, 0);
                }
            }
        }
        self.native.store(Word::Armed(side), 0);
        self.native.store(Word::Status(side), status::attached(epoch.clamp(1, status::LAST_EPOCH)));
    }

    /// Says that the unit at that end has ended, and wakes the other. Only once all of its process is gone.
    pub fn detach(&self, side: Side) {
        let status = self.native.load(Word::Status(side));
        self.native.store(Word::Status(side), status::detached(status));
        wake::wake(&self.native, side.peer(), Reason::Life);
        // What the dead one wrote as the other's way of sleeping may have been a lie.
        self.native.futex_wake(Word::Armed(side.peer()));
        self.native.ring_bell(side.peer());
    }
}
