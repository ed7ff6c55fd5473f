//! Could a single copy have answered so? Is there an order of all calls, each at some moment between its beginning and its
//! end, that a sequential [`Model`] allows?
//!
//! ```
//! use solum_sim::check::linearizable::{self, Budget, History, Register, RegisterOperation as Do, RegisterOutcome as Gave};
//!
//! let mut history = History::new();
//! let write = history.began(1, Do::Write("new"), 10);
//! let read = history.began(2, Do::Read, 20);
//! history.ended(read, Gave::Value(Some("new")), 30); // a write that is under way may be seen …
//! let late = history.began(2, Do::Read, 40);
//! history.ended(late, Gave::Value(None), 50); // … but not seen and then unseen
//! history.ended(write, Gave::Done, 60);
//!
//! let failure = linearizable::check(&Register::new(None), history.calls(), Budget::default()).unwrap_err();
//! assert!(failure.to_string().starts_with("these 2 operations fit into no order, whatever came of 1 other:"));
//! ```
//!
//! The search is that of Wing and Gong, with Lowe's memory of where it has been ("Testing for linearizability", 2017). A call
//! without an answer may have taken effect at any moment after its beginning, or not at all; those that ask for the same stand
//! in for each other, and who had the same and more of them left before has been there.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;

mod explain;
mod register;

pub use register::{Register, RegisterOperation, RegisterOutcome};

/// What calls do, one after the other.
pub trait Model {
    /// What there is.
    type State: Clone + Eq + Hash;
    /// What is asked for.
    type Operation: Clone + Eq + fmt::Debug;
    /// What is answered.
    type Outcome: Clone + fmt::Debug;

    /// What there is at first.
    fn initial(&self) -> Self::State;

    /// What there is after an operation; `None` if it cannot have had this outcome then. No outcome says that nobody knows it.
    fn step(
        &self,
        state: &Self::State,
        operation: &Self::Operation,
        outcome: Option<&Self::Outcome>,
    ) -> Option<Self::State>;

    /// Says what else is known of the calls, before the search: calls that cannot matter may be taken out, and one without an
    /// answer that must have taken effect by some moment may be given that end. Nothing that could be possible may become
    /// impossible, nor the other way round.
    fn prepare(&self, _calls: &mut Vec<Call<Self::Operation, Self::Outcome>>) {}
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<O, R> {
    /// Who called, for people.
    pub client: u64,
    /// What was asked for.
    pub operation: O,
    /// What was answered; `None` if nobody knows.
    pub outcome: Option<R>,
    /// When it was asked for, by a clock that all clients share.
    pub began: u64,
    /// By when it took effect; `None` if it may not have, or may yet.
    pub ended: Option<u64>,
}

impl<O, R> Call<O, R> {
    /// One that was answered.
    pub fn answered(client: u64, operation: O, outcome: R, began: u64, ended: u64) -> Self {
        Self { client, operation, outcome: Some(outcome), began, ended: Some(ended) }
    }

    /// One of which nobody knows whether it took effect.
    pub fn open(client: u64, operation: O, began: u64) -> Self {
        Self { client, operation, outcome: None, began, ended: None }
    }
}

/// A call to what a model says.
pub type CallOf<M> = Call<<M as Model>::Operation, <M as Model>::Outcome>;
/// A call to one of many such things, by its key.
pub type CallOn<K, M> = Call<(K, <M as Model>::Operation), <M as Model>::Outcome>;

/// Calls as they are made.
#[derive(Clone, Debug)]
pub struct History<O, R> {
    calls: Vec<Call<O, R>>,
}

impl<O, R> Default for History<O, R> {
    fn default() -> Self {
        Self { calls: Vec::new() }
    }
}

impl<O, R> History<O, R> {
    /// No calls yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client asks for something; gives the call's number. If nothing else is said of it, nobody knows what came of it.
    pub fn began(&mut self, client: u64, operation: O, now: u64) -> usize {
        self.calls.push(Call::open(client, operation, now));
        self.calls.len() - 1
    }

    /// The call with this number was answered.
    pub fn ended(&mut self, number: usize, outcome: R, now: u64) {
        if let Some(call) = self.calls.get_mut(number) {
            (call.outcome, call.ended) = (Some(outcome), Some(now));
        }
    }

    /// All calls so far.
    pub fn calls(&self) -> &[Call<O, R>] {
        &self.calls
    }
}

/// How long the search may be, in steps, so that it ends at the same place everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many orders of some of the calls may be tried.
    pub steps: u64,
}

impl Default for Budget {
    /// Ten million steps: some seconds.
    fn default() -> Self {
        Self { steps: 10_000_000 }
    }
}

/// Why calls are not known to be linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<O, R> {
    /// They are not.
    Violation(Violation<O, R>),
    /// The budget was used up, and nobody knows.
    GaveUp {
        /// The key whose calls they are, if they are by key.
        key: Option<String>,
        /// How many steps were tried.
        steps: u64,
    },
}

/// Calls that fit into no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation<O, R> {
    /// The key whose calls they are, if they are by key.
    pub key: Option<String>,
    /// Few of them that are impossible together, in the order of their beginnings.
    pub calls: Vec<Call<O, R>>,
    /// How many others there were meanwhile; it would be impossible whatever they had been answered.
    pub others: usize,
}

impl<O: fmt::Debug, R: fmt::Debug> fmt::Display for Failure<O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |key: &Option<String>| key.as_ref().map(|key| format!(" on key {key}")).unwrap_or_default();
        match self {
            Self::Violation(violation) => {
                write!(
                    f,
                    "these {} operations{} fit into no order",
                    violation.calls.len(),
                    of(&violation.key)
                )?;
                match violation.others {
                    0 => f.write_str(":")?,
                    1 => f.write_str(", whatever came of 1 other:")?,
                    others => write!(f, ", whatever came of {others} others:")?,
                }
                violation.calls.iter().try_for_each(|call| write!(f, "\n{call}"))
            }
            Self::GaveUp { key, steps } => write!(
                f,
                "whether the operations{} fit into an order is not known: given up after {steps} steps\n\
                 hint: give a larger budget, or check shorter histories",
                of(key)
            ),
        }
    }
}

impl<O: fmt::Debug, R: fmt::Debug> fmt::Display for Call<O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, operation, outcome, began, ended } = self;
        let ended = ended.map_or_else(|| "?".to_owned(), |ended| ended.to_string());
        write!(f, "  {began:>12} to {ended:>12}  client {client}: {operation:?}")?;
        match outcome {
            Some(outcome) => write!(f, " gave {outcome:?}"),
            None => f.write_str(", of which nothing was heard"),
        }
    }
}

impl<O: fmt::Debug, R: fmt::Debug> std::error::Error for Failure<O, R> {}

/// Checks calls to one thing.
///
/// # Errors
///
/// [`Failure::Violation`] if there is no such order, [`Failure::GaveUp`] if that was not found out within the budget.
pub fn check<M: Model>(
    model: &M,
    calls: &[CallOf<M>],
    budget: Budget,
) -> Result<(), Failure<M::Operation, M::Outcome>> {
    match search(model, calls, budget.steps) {
        (Verdict::Possible, _) => Ok(()),
        (Verdict::Impossible, steps) => Err(Failure::Violation(explain::explain(model, calls, steps))),
        (Verdict::Unknown, _) => Err(Failure::GaveUp { key: None, steps: budget.steps }),
    }
}

/// Checks calls to many things that do not know of each other: those on each key by themselves, which is as good and far faster.
/// The budget is for each key.
///
/// # Errors
///
/// Those of [`check`], for the first key that has one.
pub fn check_keys<M: Model, K: Ord + Clone + fmt::Display>(
    model: &M,
    calls: &[CallOn<K, M>],
    budget: Budget,
) -> Result<(), Failure<M::Operation, M::Outcome>> {
    let mut by_key: BTreeMap<&K, Vec<CallOf<M>>> = BTreeMap::new();
    for Call { client, operation: (key, operation), outcome, began, ended } in calls {
        let (operation, outcome) = (operation.clone(), outcome.clone());
        let call = Call { client: *client, operation, outcome, began: *began, ended: *ended };
        by_key.entry(key).or_default().push(call);
    }
    for (key, calls) in by_key {
        check(model, &calls, budget).map_err(|mut failure| {
            let (Failure::Violation(Violation { key: named, .. }) | Failure::GaveUp { key: named, .. }) =
                &mut failure;
            *named = Some(key.to_string());
            failure
        })?;
    }
    Ok(())
}

/// What a search found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Possible,
    Impossible,
    Unknown,
}

/// Where the search is. Calls before `first` are all in the order, and so are those in `beyond`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place<S> {
    first: usize,
    beyond: Vec<usize>,
    state: S,
}

/// How many of each group of open calls are in the order.
type Used = Vec<usize>;

/// Where the search has been, and what it had used by then.
struct Seen<S> {
    places: HashMap<Place<S>, Vec<Used>>,
}

impl<S: Eq + Hash> Seen<S> {
    /// Whether it is worth going there: nobody was there with as many open calls left of each group.
    fn is_new(&mut self, place: &Place<S>, used: &Used) -> bool
    where
        S: Clone,
    {
        let Some(known) = self.places.get_mut(place) else {
            self.places.insert(place.clone(), vec![used.clone()]);
            return true;
        };
        let is_no_worse = |known: &Used| known.iter().zip(used).all(|(known, used)| known <= used);
        if known.iter().any(is_no_worse) {
            return false;
        }
        known.push(used.clone());
        true
    }
}

/// What comes next in the order.
#[derive(Clone, Copy, Debug)]
enum Next {
    Ended(usize),
    /// One of a group.
    Open(usize),
}

struct Search<'a, M: Model> {
    model: &'a M,
    /// Calls that ended, by their beginning.
    ended: Vec<Ended<M>>,
    /// Calls that did not: those that ask for the same, and when each began.
    open: Vec<(M::Operation, Vec<u64>)>,
}

struct Ended<M: Model> {
    operation: M::Operation,
    outcome: Option<M::Outcome>,
    began: u64,
    ended: u64,
}

/// Looks for an order, and says how many steps that took.
fn search<M: Model>(model: &M, calls: &[CallOf<M>], steps: u64) -> (Verdict, u64) {
    let search = Search::new(model, calls);
    let start = Place { first: 0, beyond: Vec::new(), state: model.initial() };
    let mut seen = Seen { places: HashMap::new() };
    let used = vec![0; search.open.len()];
    seen.is_new(&start, &used);
    let candidates = search.candidates(&start, &used);
    let mut path = vec![(start, used, candidates)];
    let mut taken = 0;
    while let Some((place, used, candidates)) = path.last_mut() {
        if place.first == search.ended.len() {
            return (Verdict::Possible, taken);
        }
        let Some(next) = candidates.pop() else {
            path.pop();
            continue;
        };
        if taken >= steps {
            return (Verdict::Unknown, taken);
        }
        taken += 1;
        let Some(after) = search.apply(place, next) else { continue };
        let mut used = used.clone();
        if let Next::Open(group) = next {
            used[group] += 1;
        }
        if seen.is_new(&after, &used) {
            let candidates = search.candidates(&after, &used);
            path.push((after, used, candidates));
        }
    }
    (Verdict::Impossible, taken)
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, calls: &[CallOf<M>]) -> Self {
        let mut calls = calls.to_vec();
        model.prepare(&mut calls);
        let mut search = Self { model, ended: Vec::new(), open: Vec::new() };
        for Call { operation, outcome, began, ended, .. } in calls {
            match ended {
                Some(ended) => search.ended.push(Ended { operation, outcome, began, ended }),
                None => match search.open.iter_mut().find(|(other, _)| *other == operation) {
                    Some((_, begins)) => begins.push(began),
                    None => search.open.push((operation, vec![began])),
                },
            }
        }
        search.ended.sort_by_key(|call| (call.began, call.ended));
        for (_, begins) in &mut search.open {
            begins.sort_unstable();
        }
        search
    }

    /// What may come next: whatever began before anything that is not in the order yet ended. The best is last.
    fn candidates(&self, place: &Place<M::State>, used: &Used) -> Vec<Next> {
        let mut candidates = Vec::new();
        let mut first_end = u64::MAX;
        let mut beyond = place.beyond.iter().peekable();
        for (index, call) in self.ended.iter().enumerate().skip(place.first) {
            if call.began > first_end {
                break;
            }
            if beyond.next_if_eq(&&index).is_none() {
                first_end = first_end.min(call.ended);
                candidates.push((call.ended, index));
            }
        }
        candidates.retain(|(_, index)| self.ended[*index].began <= first_end);
        candidates.sort_unstable_by(|one, other| other.cmp(one));
        let open = self.open.iter().zip(used).enumerate();
        let open = open
            .filter(|(_, ((_, begins), used))| begins.get(**used).is_some_and(|began| *began <= first_end));
        let open = open.map(|(group, _)| Next::Open(group));
        open.chain(candidates.into_iter().map(|(_, index)| Next::Ended(index))).collect()
    }

    fn apply(&self, place: &Place<M::State>, next: Next) -> Option<Place<M::State>> {
        let index = match next {
            Next::Open(group) => {
                let state = self.model.step(&place.state, &self.open[group].0, None)?;
                // One that changes nothing need not have happened here.
                if state == place.state {
                    return None;
                }
                return Some(Place { state, ..place.clone() });
            }
            Next::Ended(index) => index,
        };
        let call = &self.ended[index];
        let state = self.model.step(&place.state, &call.operation, call.outcome.as_ref())?;
        let mut after = Place { state, ..place.clone() };
        let at = after.beyond.partition_point(|other| *other < index);
        after.beyond.insert(at, index);
        let together =
            after.beyond.iter().enumerate().take_while(|(more, at)| after.first + more == **at).count();
        after.beyond.drain(..together);
        after.first += together;
        Some(after)
    }
}

#[cfg(test)]
mod tests;
