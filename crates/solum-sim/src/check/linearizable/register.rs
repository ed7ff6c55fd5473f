//! One value, which is written and read.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use super::{Call, Model};

/// What there is for one key of a store: a value, or none.
///
/// It is fast where no value is written twice: give each write a value of its own.
#[derive(Clone, Debug)]
pub struct Register<V> {
    initial: Option<V>,
    value: PhantomData<V>,
}

impl<V> Register<V> {
    /// A register that holds this at first.
    pub fn new(initial: Option<V>) -> Self {
        Self { initial, value: PhantomData }
    }
}

/// What is asked of a [`Register`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOperation<V> {
    /// It is to hold this.
    Write(V),
    /// It is to hold nothing.
    Delete,
    /// What does it hold?
    Read,
    /// It is to hold the second if it holds the first.
    Swap(Option<V>, Option<V>),
}

/// What a [`Register`] answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOutcome<V> {
    /// It was written, or deleted.
    Done,
    /// It held this.
    Value(Option<V>),
    /// Whether it was swapped.
    Swapped(bool),
}

impl<V: Clone + Eq + Hash + Debug> Model for Register<V> {
    type State = Option<V>;
    type Operation = RegisterOperation<V>;
    type Outcome = RegisterOutcome<V>;

    fn initial(&self) -> Option<V> {
        self.initial.clone()
    }

    fn step(
        &self,
        state: &Option<V>,
        operation: &RegisterOperation<V>,
        outcome: Option<&RegisterOutcome<V>>,
    ) -> Option<Option<V>> {
        use RegisterOutcome::{Done, Swapped, Value};
        match (operation, outcome) {
            (RegisterOperation::Write(value), None | Some(Done)) => Some(Some(value.clone())),
            (RegisterOperation::Delete, None | Some(Done)) => Some(None),
            (RegisterOperation::Read, None) => Some(state.clone()),
            (RegisterOperation::Read, Some(Value(seen))) => (seen == state).then(|| state.clone()),
            (RegisterOperation::Swap(expected, new), outcome) => {
                let swaps = expected == state;
                let fits = match outcome {
                    None => true,
                    Some(Swapped(swapped)) => *swapped == swaps,
                    Some(_) => false,
                };
                fits.then(|| if swaps { new.clone() } else { state.clone() })
            }
            _ => None,
        }
    }

    /// A write without an answer whose value was never seen need not have happened. One whose value was seen happened before
    /// the first that saw it ended.
    fn prepare(&self, calls: &mut Vec<Call<RegisterOperation<V>, RegisterOutcome<V>>>) {
        let mut writers: HashMap<V, usize> = self.initial.iter().map(|value| (value.clone(), 1)).collect();
        let mut first_seen: HashMap<V, u64> = HashMap::new();
        let mut has_swaps = false;
        for call in calls.iter() {
            let (RegisterOperation::Write(value) | RegisterOperation::Swap(_, Some(value))) = &call.operation
            else {
                continue;
            };
            *writers.entry(value.clone()).or_default() += 1;
        }
        for Call { operation, outcome, ended, .. } in calls.iter() {
            has_swaps |= matches!(operation, RegisterOperation::Swap(..));
            let seen = match (operation, outcome) {
                (_, Some(RegisterOutcome::Value(seen))) => seen,
                (RegisterOperation::Swap(expected, _), Some(RegisterOutcome::Swapped(true))) => expected,
                _ => continue,
            };
            if let (Some(seen), Some(ended)) = (seen, ended) {
                first_seen
                    .entry(seen.clone())
                    .and_modify(|first| *first = *ended.min(first))
                    .or_insert(*ended);
            }
        }
        calls.retain_mut(|call| {
            let (RegisterOperation::Write(value), None) = (&call.operation, call.ended) else { return true };
            if writers.get(value) != Some(&1) {
                return true;
            }
            call.ended = first_seen.get(value).copied();
            // A swap also fails because of what nobody saw.
            call.ended.is_some() || has_swaps
        });
        calls.retain(|call| call.ended.is_some() || call.operation != RegisterOperation::Read);
    }
}
