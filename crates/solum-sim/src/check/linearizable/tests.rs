//! Histories that can be, and histories that cannot.

use super::RegisterOperation::{Delete, Read, Swap, Write};
use super::RegisterOutcome::{Done, Swapped, Value};
use super::*;
use crate::mock::Entropy;

type Operation = Call<RegisterOperation<u64>, RegisterOutcome<u64>>;

fn write(value: u64, began: u64, ended: u64) -> Operation {
    Call::answered(1, Write(value), Done, began, ended)
}

fn read(value: impl Into<Option<u64>>, began: u64, ended: u64) -> Operation {
    Call::answered(2, Read, Value(value.into()), began, ended)
}

fn delete(began: u64, ended: u64) -> Operation {
    Call::answered(3, Delete, Done, began, ended)
}

fn checked(calls: &[Operation]) -> Result<(), Failure<RegisterOperation<u64>, RegisterOutcome<u64>>> {
    check(&Register::new(None), calls, Budget::default())
}

#[test]
fn reads_that_follow_the_writes_are_accepted() {
    let history = [
        read(None, 0, 1),
        write(1, 2, 10),
        read(None, 3, 4),
        read(1, 5, 6),
        write(2, 11, 12),
        read(2, 13, 14),
        delete(15, 16),
        read(None, 17, 18),
    ];
    assert_eq!(checked(&history), Ok(()));
}

#[test]
fn what_no_single_copy_could_answer_is_found() {
    let lost = [write(1, 0, 1), read(None, 2, 3)];
    let stale = [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)];
    let back = [write(1, 0, 9), read(1, 1, 2), read(None, 3, 4)];
    let nowhere = [read(7, 0, 1)];
    let twice = [write(1, 0, 20), read(1, 1, 2), write(2, 3, 4), read(2, 5, 6), read(1, 7, 8)];
    for history in [&lost[..], &stale, &back, &nowhere, &twice] {
        assert!(matches!(checked(history), Err(Failure::Violation(_))), "{history:?}");
    }
}

#[test]
fn what_was_not_answered_may_have_happened_or_not_but_only_once() {
    let open = |operation, began| Call::open(4, operation, began);
    let late = [write(1, 0, 1), open(Write(2), 2), read(1, 3, 4), read(2, 5, 6)];
    assert_eq!(checked(&late), Ok(()));
    let back = [&late[..], &[read(1, 7, 8)]].concat();
    assert!(checked(&back).is_err());
    let deleted = [write(1, 0, 1), open(Delete, 2), read(None, 3, 4), read(None, 5, 6)];
    assert_eq!(checked(&deleted), Ok(()));
    let again = [&deleted[..], &[write(3, 7, 8), read(None, 9, 10)]].concat();
    assert!(checked(&again).is_err(), "one deletion happens once");
    let too_early = [write(1, 0, 1), read(None, 2, 3), open(Delete, 4)];
    assert!(checked(&too_early).is_err());
}

#[test]
fn a_swap_happens_where_it_says() {
    let swap = |from: Option<u64>, to: u64, done, began, ended| {
        Call::answered(5, Swap(from, Some(to)), Swapped(done), began, ended)
    };
    let two_winners = [swap(None, 1, true, 0, 5), swap(None, 2, true, 0, 5)];
    assert!(checked(&two_winners).is_err());
    let one_winner = [swap(None, 1, true, 0, 5), swap(None, 2, false, 0, 5), read(1, 6, 7)];
    assert_eq!(checked(&one_winner), Ok(()));
    // It failed because of a write that nobody heard of or saw.
    let unseen = [write(1, 0, 1), Call::open(4, Write(9), 2), swap(Some(1), 2, false, 3, 4)];
    assert_eq!(checked(&unseen), Ok(()));
}

/// Tries all orders.
fn is_possible<M: Model>(
    model: &M,
    history: &[Call<M::Operation, M::Outcome>],
    order: &mut Vec<usize>,
    state: &M::State,
) -> bool {
    let rest: Vec<usize> = (0..history.len()).filter(|index| !order.contains(index)).collect();
    if rest.iter().all(|index| history[*index].ended.is_none()) {
        return true;
    }
    rest.iter().any(|&index| {
        let call = &history[index];
        let is_first = rest.iter().all(|&other| history[other].ended.is_none_or(|end| call.began <= end));
        let Some(state) = model.step(state, &call.operation, call.outcome.as_ref()) else { return false };
        order.push(index);
        let found = is_first && is_possible(model, history, order, &state);
        order.pop();
        found
    })
}

struct Dice(Entropy);

impl Dice {
    fn below(&self, limit: u64) -> u64 {
        self.0.port().number().unwrap() % limit
    }

    /// When something began, and perhaps ended.
    fn span(&self) -> (u64, Option<u64>) {
        let began = self.below(12);
        (began, (self.below(4) > 0).then(|| began + self.below(6)))
    }
}

/// A few calls, of which some write the same value, and some swap.
fn some_history(dice: &Dice, repeats: bool) -> Vec<Operation> {
    let mut written = 0;
    let mut call = || {
        let value = |dice: &Dice| Some(dice.below(3)).filter(|value| *value > 0);
        let (operation, outcome) = match dice.below(if repeats { 7 } else { 5 }) {
            0 | 1 => {
                written = if repeats { 1 + dice.below(2) } else { written + 1 };
                (Write(written), Done)
            }
            2 => (Delete, Done),
            3 | 4 => (Read, Value(value(dice))),
            _ => (Swap(value(dice), value(dice)), Swapped(dice.below(2) > 0)),
        };
        let (began, ended) = dice.span();
        let outcome = ended.map(|_| outcome);
        Call { client: 1, operation, outcome, began, ended }
    };
    (0..1 + dice.below(6)).map(|_| call()).collect()
}

#[test]
fn it_says_the_same_as_trying_all_orders() {
    let dice = Dice(Entropy::seeded(1));
    let model = Register::new(None);
    let mut counts = [[0; 2]; 2];
    for round in 0..20_000 {
        let history = some_history(&dice, round % 2 > 0);
        let expected = is_possible(&model, &history, &mut Vec::new(), &None);
        counts[round % 2][usize::from(expected)] += 1;
        match checked(&history) {
            Ok(()) => assert!(expected, "{history:?}"),
            Err(Failure::Violation(violation)) => {
                assert!(!expected, "{history:?}");
                // What is shown is impossible whatever came of the others; often it is so without them, too.
                assert!(
                    !violation.calls.is_empty() && violation.calls.iter().all(|call| history.contains(call))
                );
            }
            Err(gave_up) => panic!("{gave_up}: {history:?}"),
        }
    }
    assert!(counts.iter().flatten().all(|count| *count > 1_000), "{counts:?}");
}

#[test]
fn what_is_shown_cannot_be_made_fewer() {
    let dice = Dice(Entropy::seeded(2));
    let model = Register::new(None);
    let mut violations = 0;
    for _ in 0..3_000 {
        let history = some_history(&dice, true);
        let Err(Failure::Violation(violation)) = checked(&history) else { continue };
        violations += 1;
        let forget = |forgotten: Option<&Operation>| -> Vec<Operation> {
            let last = violation.calls.iter().filter_map(|call| call.ended).max().unwrap();
            let began = history.iter().filter(|call| call.began <= last);
            let is_kept = |call: &&Operation| violation.calls.contains(call) && Some(*call) != forgotten;
            began
                .map(|call| {
                    if is_kept(&call) {
                        call.clone()
                    } else {
                        Call::open(1, call.operation.clone(), call.began)
                    }
                })
                .collect()
        };
        let is_impossible = |history: Vec<Operation>| !is_possible(&model, &history, &mut Vec::new(), &None);
        assert!(is_impossible(forget(None)), "{history:?} {violation:?}");
        for call in &violation.calls {
            assert!(!is_impossible(forget(Some(call))), "{call} is not needed: {history:?} {violation:?}");
        }
    }
    assert!(violations > 500, "{violations}");
}

/// A long history that can be.
fn long(rounds: u64) -> Vec<Operation> {
    let mut history = Vec::new();
    for round in 0..rounds {
        let at = round * 10;
        history.push(write(round, at, at + 9));
        history.push(read(round, at + 1, at + 12));
        history.push(read(round.checked_sub(1), at, at + 8));
        if round % 100 == 0 {
            history.push(Call::open(3, Delete, at));
        }
    }
    history
}

#[test]
fn a_long_history_takes_no_long_search_and_little_of_it_is_shown() {
    assert_eq!(checked(&long(5_000)), Ok(()));
    let mut history = long(500);
    // The read of a cache that missed the invalidation.
    history.push(read(200, 3_000, 3_005));
    let Err(Failure::Violation(violation)) = checked(&history) else { panic!("it was not found") };
    assert!(
        violation.calls.len() <= 4 && violation.calls.contains(&read(200, 3_000, 3_005)),
        "{violation:?}"
    );
    let text = Failure::Violation(violation).to_string();
    assert!(text.contains("        3000 to         3005  client 2: Read gave Value(Some(200))"), "{text}");
}

#[test]
fn it_gives_up_honestly() {
    let concurrent: Vec<Operation> =
        (0..12).map(|value| write(value, 0, 100)).chain([read(99, 101, 102)]).collect();
    let failure = check(&Register::new(None), &concurrent, Budget { steps: 1_000 }).unwrap_err();
    assert_eq!(failure, Failure::GaveUp { key: None, steps: 1_000 });
    assert!(failure.to_string().contains("is not known: given up after 1000 steps"));
}

#[test]
fn keys_are_checked_by_themselves_and_named() {
    let on = |key: &'static str, call: Operation| {
        let Call { client, operation, outcome, began, ended } = call;
        Call { client, operation: (key, operation), outcome, began, ended }
    };
    let mut history = vec![on("a", write(1, 0, 1)), on("b", read(None, 2, 3)), on("a", read(1, 4, 5))];
    let model = Register::new(None);
    assert_eq!(check_keys(&model, &history, Budget::default()), Ok(()));
    history.push(on("b", read(1, 6, 7)));
    let failure = check_keys(&model, &history, Budget::default()).unwrap_err().to_string();
    assert!(
        failure.starts_with("these 1 operations on key b fit into no order, whatever came of 1 other:"),
        "{failure}"
    );
}

/// A queue: any sequential thing can be a model.
struct Queue;

impl Model for Queue {
    type State = Vec<u32>;
    type Operation = Option<u32>;
    type Outcome = Option<u32>;

    fn initial(&self) -> Vec<u32> {
        Vec::new()
    }

    /// `Some` is pushed; `None` asks for the oldest.
    fn step(
        &self,
        state: &Vec<u32>,
        operation: &Option<u32>,
        outcome: Option<&Option<u32>>,
    ) -> Option<Vec<u32>> {
        let mut after = state.clone();
        let found = match operation {
            Some(pushed) => {
                after.push(*pushed);
                None
            }
            None if after.is_empty() => None,
            None => Some(after.remove(0)),
        };
        outcome.is_none_or(|outcome| *outcome == found).then_some(after)
    }
}

#[test]
fn a_queue_gives_each_thing_once_and_in_order() {
    let push = |value, began, ended| Call::answered(1, Some(value), None, began, ended);
    let pop = |value, began, ended| Call::answered(2, None, value, began, ended);
    let checked = |calls: &[_]| check(&Queue, calls, Budget::default()).is_ok();
    assert!(checked(&[push(1, 0, 5), push(2, 0, 5), pop(Some(2), 6, 7), pop(Some(1), 8, 9)]));
    assert!(!checked(&[push(1, 0, 1), push(2, 2, 3), pop(Some(2), 6, 7), pop(Some(1), 8, 9)]));
    assert!(!checked(&[push(1, 0, 1), pop(Some(1), 2, 3), pop(Some(1), 4, 5)]));
    assert!(checked(&[push(1, 0, 1), Call::open(3, None, 2), pop(None, 4, 5)]));
}
