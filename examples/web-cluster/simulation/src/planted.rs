//! Units with a bug in them: what ships, and something around it.

use cache::Unit;
use cluster::cache::{Fetched, Look};
use cluster::calls::{LooksService, RecallsService};
use cluster::{Key, Number};
use solum::Disk;
use solum::disk::{Driver, Geometry};

/// A bug that makes fronts show what is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A cache answers a recall of one of the keys, and forgets nothing.
    DroppedRecalls,
    /// A cache keeps what was on its way while its key was recalled.
    ValidTickets,
    /// No lease of a cache ever ends.
    EndlessLeases,
    /// The disk says that everything lasts, and forgets it when the power goes.
    IgnoredFlushes,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::DroppedRecalls, Self::ValidTickets, Self::EndlessLeases, Self::IgnoredFlushes];
}

/// The program `cache` with a bug.
pub fn cache(ports: cache::Ports, bug: Planted) -> Result<(), solum::Error> {
    cache::serve(ports, |unit| Broken { unit, bug })
}

struct Broken {
    unit: Unit,
    bug: Planted,
}

impl LooksService for Broken {
    fn look(&mut self, key: Key) -> Look {
        match self.bug {
            // At the time 0 no lease has ended.
            Planted::EndlessLeases => self.unit.cache.look(key, 0),
            _ => self.unit.look(key),
        }
    }

    fn fill(&mut self, mut fetched: Fetched) {
        if self.bug == Planted::ValidTickets
            && let Look::Miss { ticket, .. } = self.unit.look(fetched.key.clone())
        {
            fetched.ticket = ticket;
        }
        self.unit.fill(fetched);
    }
}

impl RecallsService for Broken {
    fn recall(&mut self, term: Number, key: Key) -> u64 {
        if self.bug == Planted::DroppedRecalls && key.as_str() == crate::KEYS[0] {
            return self.unit.identify();
        }
        self.unit.recall(term, key)
    }

    fn identify(&mut self) -> u64 {
        self.unit.identify()
    }
}

/// The program `files` with a disk that cannot be relied on.
pub fn files(ports: files::Ports) -> Result<(), files::Failure> {
    let disk = Disk::new(Box::new(Unflushed(ports.disk.into_driver())));
    files::files(files::Ports { disk, ..ports })
}

struct Unflushed(Box<dyn Driver>);

impl Driver for Unflushed {
    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> solum::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> solum::Result<()> {
        self.0.write_at(offset, data)
    }

    fn flush(&mut self) -> solum::Result<()> {
        Ok(())
    }

    fn discard(&mut self, offset: u64, length: u64) -> solum::Result<()> {
        self.0.discard(offset, length)
    }
}
