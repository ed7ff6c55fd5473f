//! Caches with a bug in them: the one that ships, and something around it.

use cache::{Ports, Unit};
use cluster::cache::{Fetched, Look};
use cluster::calls::{LooksService, RecallsService};
use cluster::{Key, Number};

/// A bug that makes a cache serve stale data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A recall of one of the keys is answered, and nothing is forgotten.
    DroppedRecalls,
    /// What was on its way while its key was recalled is kept all the same.
    ValidTickets,
    /// No lease ever ends.
    EndlessLeases,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DroppedRecalls, Self::ValidTickets, Self::EndlessLeases];
}

/// The program `cache` with a bug.
pub fn cache(ports: Ports, bug: Planted) -> Result<(), solum::Error> {
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
