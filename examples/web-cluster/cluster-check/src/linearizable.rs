//! Is there an order of all operations on a key, each at some moment between its beginning and its end, in which every read
//! gives what was written last?
//!
//! The search is that of Wing and Gong, with Lowe's memory of where it has been ("Testing for linearizability", 2017). Two
//! things keep it short. A write without an answer whose value was never read need not have happened. One whose value
//! was read happened before the first such read ended. What is left without an end is deletions, and those that began can all
//! stand in for each other.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::history::{Action, Operation};

/// A history that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The operations around the first that fits nowhere, in the order of their beginnings.
    pub around: Vec<Operation>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these operations fit into no order:")?;
        for operation in &self.around {
            let Operation { action, began, ended } = operation;
            match ended {
                Some(ended) => write!(f, "\n  {began:>12} to {ended:>12}  {action:?}")?,
                None => write!(f, "\n  {began:>12} to {:>12}  {action:?}", "?")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

/// Where the search is. Operations before `first` are all in the order, and so are those in `beyond`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    first: usize,
    beyond: Vec<usize>,
    open_deletions: usize,
    value: Option<u64>,
}

/// What comes next in the order.
#[derive(Clone, Copy, Debug)]
enum Next {
    Ended(usize),
    OpenDeletion,
}

struct History {
    /// Operations that ended, by their beginning.
    ended: Vec<(Action, u64, u64)>,
    /// When deletions without an end began.
    open_deletions: Vec<u64>,
}

/// Checks the operations on one key, which had no value before.
///
/// # Errors
///
/// [`Violation`] if there is no such order.
pub fn check(operations: &[Operation]) -> Result<(), Violation> {
    let history = History::new(operations);
    let start = State { first: 0, beyond: Vec::new(), open_deletions: 0, value: None };
    let mut seen = HashSet::from([start.clone()]);
    let mut furthest = 0;
    let mut path = vec![(start.clone(), history.candidates(&start))];
    while let Some((state, candidates)) = path.last_mut() {
        if state.first == history.ended.len() {
            return Ok(());
        }
        furthest = furthest.max(state.first);
        let Some(next) = candidates.pop() else {
            path.pop();
            continue;
        };
        let Some(after) = history.apply(state, next) else { continue };
        if seen.insert(after.clone()) {
            let candidates = history.candidates(&after);
            path.push((after, candidates));
        }
    }
    Err(Violation { around: history.around(furthest) })
}

impl History {
    fn new(operations: &[Operation]) -> Self {
        let mut first_read: BTreeMap<u64, u64> = BTreeMap::new();
        for operation in operations {
            if let (Action::Read(Some(value)), Some(ended)) = (operation.action, operation.ended) {
                first_read.entry(value).and_modify(|first| *first = ended.min(*first)).or_insert(ended);
            }
        }
        let end = |operation: &Operation| match (operation.ended, operation.action) {
            (None, Action::Put(value)) => first_read.get(&value).copied(),
            (ended, _) => ended,
        };
        let mut ended: Vec<_> = operations
            .iter()
            .filter_map(|operation| Some((operation.action, operation.began, end(operation)?)))
            .collect();
        ended.sort_by_key(|(_, began, ended)| (*began, *ended));
        let mut open_deletions: Vec<u64> = operations
            .iter()
            .filter(|operation| operation.action == Action::Delete && operation.ended.is_none())
            .map(|operation| operation.began)
            .collect();
        open_deletions.sort_unstable();
        Self { ended, open_deletions }
    }

    /// What may come next: whatever began before anything that is not in the order yet ended. The best is last.
    fn candidates(&self, state: &State) -> Vec<Next> {
        let mut candidates = Vec::new();
        let mut first_end = u64::MAX;
        for (index, (_, began, ended)) in self.ended.iter().enumerate().skip(state.first) {
            if *began > first_end {
                break;
            }
            if !state.beyond.contains(&index) {
                first_end = first_end.min(*ended);
                candidates.push((*ended, index));
            }
        }
        candidates.retain(|(_, index)| self.ended[*index].1 <= first_end);
        candidates.sort_unstable_by(|one, other| other.cmp(one));
        let open = self.open_deletions.get(state.open_deletions);
        let deletion = open.filter(|began| **began <= first_end && state.value.is_some());
        let deletion = deletion.map(|_| Next::OpenDeletion);
        deletion.into_iter().chain(candidates.into_iter().map(|(_, index)| Next::Ended(index))).collect()
    }

    fn apply(&self, state: &State, next: Next) -> Option<State> {
        let mut after = state.clone();
        let index = match next {
            Next::OpenDeletion => {
                after.open_deletions += 1;
                after.value = None;
                return Some(after);
            }
            Next::Ended(index) => index,
        };
        match self.ended[index].0 {
            Action::Put(value) => after.value = Some(value),
            Action::Delete => after.value = None,
            Action::Read(value) if value == after.value => {}
            Action::Read(_) => return None,
        }
        let place = after.beyond.partition_point(|other| *other < index);
        after.beyond.insert(place, index);
        let together =
            after.beyond.iter().enumerate().take_while(|(more, at)| after.first + more == **at).count();
        after.beyond.drain(..together);
        after.first += together;
        Some(after)
    }

    fn around(&self, index: usize) -> Vec<Operation> {
        let from = index.saturating_sub(4);
        let shown = self.ended.iter().skip(from).take(12);
        shown.map(|(action, began, ended)| Operation::answered(*action, *began, *ended)).collect()
    }
}

#[cfg(test)]
#[path = "linearizable_tests.rs"]
mod tests;
