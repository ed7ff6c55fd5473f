//! What every program has: entropy, a console, and someone to tell its health to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use solum::{Error, Result, console, entropy, health};

/// Randomness that is the same every time.
///
/// ```
/// use solum_sim::mock;
///
/// let first = mock::Entropy::seeded(7).port().number()?;
/// assert_eq!(mock::Entropy::seeded(7).port().number()?, first);
/// assert_ne!(mock::Entropy::seeded(8).port().number()?, first);
/// # Ok::<(), solum::Error>(())
/// ```
#[derive(Clone)]
pub struct Entropy {
    state: Rc<Cell<u64>>,
    fails: Rc<Cell<bool>>,
}

impl Entropy {
    /// Numbers that follow from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { state: Rc::new(Cell::new(seed)), fails: Rc::default() }
    }

    /// From now on the machine has no entropy, or has it again.
    pub fn set_failing(&self, fails: bool) {
        self.fails.set(fails);
    }

    /// A port with this entropy.
    pub fn port(&self) -> solum::Entropy {
        solum::Entropy::new(self.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self) -> Box<dyn entropy::Driver> {
        Box::new(self.clone())
    }

    /// The next number.
    pub(super) fn number(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        // SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl entropy::Driver for Entropy {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        if self.fails.get() {
            return Err(Error::Device("there is no entropy".into()));
        }
        for piece in buffer.chunks_mut(8) {
            piece.copy_from_slice(&self.number().to_le_bytes()[..piece.len()]);
        }
        Ok(())
    }
}

/// A console that keeps the lines.
///
/// ```
/// use solum_sim::mock;
///
/// let console = mock::Console::new();
/// console.port().line(format_args!("{} and {}", 1, 2))?;
/// assert_eq!(console.lines(), ["1 and 2"]);
/// # Ok::<(), solum::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Console {
    lines: Rc<RefCell<Vec<String>>>,
    is_away: Rc<Cell<bool>>,
}

impl Console {
    /// A console without lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// A port with this console.
    pub fn port(&self) -> solum::Console {
        solum::Console::new(self.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self) -> Box<dyn console::Driver> {
        Box::new(self.clone())
    }

    /// What was written.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Whether a line has this in it.
    pub fn has(&self, part: &str) -> bool {
        self.lines.borrow().iter().any(|line| line.contains(part))
    }

    /// From now on nobody takes the lines, or somebody does again.
    pub fn set_failing(&self, fails: bool) {
        self.is_away.set(fails);
    }
}

impl console::Driver for Console {
    fn line(&mut self, text: &str) -> Result<()> {
        if self.is_away.get() {
            return Err(Error::Device("nobody takes the lines".into()));
        }
        self.lines.borrow_mut().push(text.to_owned());
        Ok(())
    }
}

/// A supervisor that keeps what it is told.
///
/// ```
/// use solum_sim::mock;
///
/// let health = mock::Health::new();
/// let port = health.port();
/// assert!(!health.is_ready());
/// port.ready()?;
/// port.unhealthy("too few disks")?;
/// assert!(health.is_ready());
/// assert_eq!(health.state(), Err("too few disks".to_owned()));
/// # Ok::<(), solum::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Health {
    told: Rc<RefCell<Told>>,
}

#[derive(Default)]
struct Told {
    is_ready: bool,
    states: Vec<std::result::Result<(), String>>,
    is_away: bool,
}

impl Health {
    /// One that was told nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A port with this supervisor.
    pub fn port(&self) -> solum::Health {
        solum::Health::new(self.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self) -> Rc<dyn health::Driver> {
        Rc::new(self.clone())
    }

    /// Whether the program said that it is ready.
    pub fn is_ready(&self) -> bool {
        self.told.borrow().is_ready
    }

    /// What the program said last; well, if it said nothing.
    pub fn state(&self) -> std::result::Result<(), String> {
        self.told.borrow().states.last().cloned().unwrap_or(Ok(()))
    }

    /// All that the program said, in order.
    pub fn states(&self) -> Vec<std::result::Result<(), String>> {
        self.told.borrow().states.clone()
    }

    /// From now on the supervisor is not there, or is there again.
    pub fn set_failing(&self, fails: bool) {
        self.told.borrow_mut().is_away = fails;
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) -> Result<()> {
        let mut told = self.told.borrow_mut();
        if told.is_away {
            return Err(Error::Device("the supervisor is not there".into()));
        }
        what(&mut told);
        Ok(())
    }
}

impl health::Driver for Health {
    fn ready(&self) -> Result<()> {
        self.tell(|told| told.is_ready = true)
    }

    fn health(&self, state: std::result::Result<(), String>) -> Result<()> {
        self.tell(|told| told.states.push(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_says_so_and_keeps_nothing() {
        let (entropy, console, health) = (Entropy::seeded(1), Console::new(), Health::new());
        entropy.set_failing(true);
        console.set_failing(true);
        health.set_failing(true);
        assert!(entropy.port().number().is_err());
        assert!(console.port().line("a").is_err() && health.port().ready().is_err());
        assert!(console.lines().is_empty() && !health.is_ready());
        console.set_failing(false);
        console.port().line("a word").unwrap();
        assert!(console.has("word") && !console.has("a b"));
    }
}
