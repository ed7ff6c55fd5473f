//! What clients asked for and were answered, and whether that can be.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_check::history::{self, Operation};

pub use cluster_check::history::Action;

/// All operations of a run.
#[derive(Default)]
pub struct History {
    by_key: BTreeMap<&'static str, Vec<Option<Operation>>>,
    values: u64,
}

impl History {
    /// One that was never written yet.
    pub fn fresh_value(&mut self) -> u64 {
        self.values += 1;
        self.values
    }

    /// Something is asked for; gives its number among those about the key.
    pub fn began(&mut self, key: &'static str, action: Action, now: Duration) -> usize {
        let operations = self.by_key.entry(key).or_default();
        operations.push(Some(Operation::open(action, nanoseconds(now))));
        operations.len() - 1
    }

    /// Something was asked for and answered.
    pub fn answered(&mut self, key: &'static str, action: Action, began: Duration, ended: Duration) {
        let number = self.began(key, action, began);
        self.ended(key, number, ended);
    }

    /// It was answered.
    pub fn ended(&mut self, key: &'static str, number: usize, now: Duration) {
        if let Some(Some(operation)) = self.by_key.entry(key).or_default().get_mut(number) {
            operation.ended = Some(nanoseconds(now));
        }
    }

    /// It was answered that it never happened.
    pub fn not_done(&mut self, key: &'static str, number: usize) {
        if let Some(operation) = self.by_key.entry(key).or_default().get_mut(number) {
            *operation = None;
        }
    }

    /// Whether a single map in a single memory could have answered so.
    pub fn check(&self) -> Result<(), String> {
        for (key, operations) in &self.by_key {
            let operations: Vec<Operation> = operations.iter().copied().flatten().collect();
            history::check(&operations).map_err(|violation| format!("/{key}: {violation}"))?;
        }
        Ok(())
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
