//! What clients asked for and were answered, and whether that can be.

use std::collections::BTreeSet;
use std::time::Duration;

use solum_sim::check::linearizable::{Budget, Register, RegisterOperation, RegisterOutcome, check_keys};

/// What is asked for about a key. Every value is written once.
pub type Operation = RegisterOperation<u64>;
/// What is answered.
pub type Outcome = RegisterOutcome<u64>;

/// All calls of a run.
#[derive(Default)]
pub struct History {
    calls: solum_sim::check::linearizable::History<(&'static str, Operation), Outcome>,
    /// Calls of which the answer was that they changed nothing.
    not_done: BTreeSet<usize>,
    values: u64,
}

impl History {
    /// One that was never written yet.
    pub fn fresh_value(&mut self) -> u64 {
        self.values += 1;
        self.values
    }

    /// A client asks for something; gives the call's number. If nothing else is said of it, nobody knows what came of it.
    pub fn began(&mut self, client: usize, key: &'static str, operation: Operation, now: Duration) -> usize {
        self.calls.began(client as u64, (key, operation), nanoseconds(now))
    }

    /// It was answered.
    pub fn ended(&mut self, number: usize, outcome: Outcome, now: Duration) {
        self.calls.ended(number, outcome, nanoseconds(now));
    }

    /// It was answered that it never happened.
    pub fn not_done(&mut self, number: usize) {
        self.not_done.insert(number);
    }

    /// Whether a single map in a single memory could have answered so.
    pub fn check(&self) -> Result<(), String> {
        let calls = self.calls.calls().iter().enumerate();
        let calls: Vec<_> = calls
            .filter(|(number, _)| !self.not_done.contains(number))
            .map(|(_, call)| call.clone())
            .collect();
        check_keys(&Register::new(None), &calls, Budget::default()).map_err(|failure| failure.to_string())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The value that a front showed.
pub fn value_of(body: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(body);
    text.parse().map_err(|_| format!("a front showed what nobody wrote: {text}"))
}
