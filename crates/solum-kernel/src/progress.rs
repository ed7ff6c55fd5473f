//! What a long task tells whoever waits for it.

/// The unit that a count of [`Progress::progress`] is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of a download.
    Bytes,
    /// Files compiled or read. Where `make` compiles them, a total is an estimate then: `make` does not know it in advance either.
    Steps,
}

/// Watches a task that takes long enough for a person to wonder.
///
/// Every method does nothing by default, so an observer takes only what it shows.
pub trait Progress {
    /// A new phase begins, named by a short sentence without a full stop ("compiling Linux 6.12.117").
    fn phase(&self, _text: &str) {}

    /// The current phase has done `done` of `total`, where a total is known.
    fn progress(&self, _unit: Unit, _done: u64, _total: Option<u64>) {}
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
