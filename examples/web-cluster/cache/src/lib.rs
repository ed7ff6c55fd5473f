//! The unit `cache`: answers its front from memory, and forgets what the sequencer recalls.

use cluster::cache::{Cache, Fetched, Look};
use cluster::calls::{Looks, LooksService, Recalls, RecallsService};
use cluster::{Key, Number};
use solum::{Clock, Console, Entropy, Error, Serve};

/// What is left of a small machine's memory.
const CAPACITY_BYTES: usize = 32 << 20;

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// For the sequencer, which takes back what it lent.
    pub recalls: Serve<Recalls>,
    /// For the front of the same machine.
    pub looks: Serve<Looks>,
    /// When leases end.
    pub clock: Clock,
    /// Which life of the cache this is.
    pub entropy: Entropy,
    /// Where the beginning is told.
    pub console: Console,
}

/// What answers.
pub struct Unit {
    /// What it decides by.
    pub cache: Cache,
    /// When leases end.
    pub clock: Clock,
}

impl LooksService for Unit {
    fn look(&mut self, key: Key) -> Look {
        let now_ms = self.clock.now().since_beginning().as_millis() as u64;
        self.cache.look(key, now_ms)
    }

    fn fill(&mut self, fetched: Fetched) {
        self.cache.fill(fetched);
    }
}

impl RecallsService for Unit {
    fn recall(&mut self, term: Number, key: Key) -> u64 {
        self.cache.recall(term, &key)
    }

    fn identify(&mut self) -> u64 {
        self.cache.incarnation()
    }
}

/// The program.
///
/// # Errors
///
/// Those of its ports.
pub fn cache(ports: Ports) -> Result<(), Error> {
    serve(ports, |unit| unit)
}

/// The program, with something between the ports and the unit: a simulation puts a fault there.
///
/// # Errors
///
/// Those of the ports.
pub fn serve<S: LooksService + RecallsService + 'static>(
    mut ports: Ports,
    around: impl FnOnce(Unit) -> S,
) -> Result<(), Error> {
    let incarnation = ports.entropy.number()?;
    let mut service =
        around(Unit { cache: Cache::new(incarnation, CAPACITY_BYTES), clock: ports.clock.clone() });
    ports.console.line(format_args!("incarnation {incarnation:016x}, {} MiB", CAPACITY_BYTES >> 20))?;
    loop {
        // A write waits for a recall, so recalls come first.
        let ready = ports.clock.select(&mut [&mut ports.recalls, &mut ports.looks], None)?;
        let now = Some(ports.clock.now());
        let outcome = match ready {
            0 => ports.recalls.next(&mut service, now),
            _ => ports.looks.next(&mut service, now),
        };
        match outcome {
            // What came need not have been a call.
            Ok(()) | Err(Error::Deadline) => {}
            Err(error) => return Err(error),
        }
    }
}
