use super::*;
use Action::{Delete, Put, Read};

fn done(action: Action, began: u64, ended: u64) -> Operation {
    Operation::answered(action, began, ended)
}

#[test]
fn reads_that_follow_the_writes_are_accepted() {
    let history = [
        done(Read(None), 0, 1),
        done(Put(1), 2, 10),
        done(Read(None), 3, 4),
        done(Read(Some(1)), 5, 6),
        done(Put(2), 11, 12),
        done(Read(Some(2)), 13, 14),
        done(Delete, 15, 16),
        done(Read(None), 17, 18),
    ];
    assert_eq!(check(&history), Ok(()));
}

#[test]
fn what_no_single_copy_could_answer_is_found() {
    let lost = [done(Put(1), 0, 1), done(Read(None), 2, 3)];
    let stale = [done(Put(1), 0, 1), done(Put(2), 2, 3), done(Read(Some(1)), 4, 5)];
    let back = [done(Put(1), 0, 9), done(Read(Some(1)), 1, 2), done(Read(None), 3, 4)];
    let nowhere = [done(Read(Some(7)), 0, 1)];
    let twice = [
        done(Put(1), 0, 20),
        done(Read(Some(1)), 1, 2),
        done(Put(2), 3, 4),
        done(Read(Some(2)), 5, 6),
        done(Read(Some(1)), 7, 8),
    ];
    for history in [&lost[..], &stale, &back, &nowhere, &twice] {
        assert!(check(history).is_err(), "{history:?}");
    }
    assert!(check(&stale).unwrap_err().to_string().contains("Read(Some(1))"));
}

#[test]
fn what_was_not_answered_may_have_happened_or_not_but_only_once() {
    let open = |action, began| Operation::open(action, began);
    let late = [done(Put(1), 0, 1), open(Put(2), 2), done(Read(Some(1)), 3, 4), done(Read(Some(2)), 5, 6)];
    assert_eq!(check(&late), Ok(()));
    let back = [&late[..], &[done(Read(Some(1)), 7, 8)]].concat();
    assert!(check(&back).is_err());
    let deleted = [done(Put(1), 0, 1), open(Delete, 2), done(Read(None), 3, 4), done(Read(None), 5, 6)];
    assert_eq!(check(&deleted), Ok(()));
    let again = [&deleted[..], &[done(Put(3), 7, 8), done(Read(None), 9, 10)]].concat();
    assert!(check(&again).is_err(), "one deletion happens once");
    let too_early = [done(Put(1), 0, 1), done(Read(None), 2, 3), open(Delete, 4)];
    assert!(check(&too_early).is_err());
}

/// Tries all orders.
fn is_possible(history: &[Operation], order: &mut Vec<usize>, value: Option<u64>) -> bool {
    let rest: Vec<usize> = (0..history.len()).filter(|index| !order.contains(index)).collect();
    if rest.iter().all(|index| history[*index].ended.is_none()) {
        return true;
    }
    rest.iter().any(|&index| {
        let operation = history[index];
        let is_first =
            rest.iter().all(|&other| history[other].ended.is_none_or(|end| operation.began <= end));
        let value = match operation.action {
            Put(value) => Some(value),
            Delete => None,
            Read(read) if read == value || operation.ended.is_none() => value,
            Read(_) => return false,
        };
        order.push(index);
        let found = is_first && is_possible(history, order, value);
        order.pop();
        found
    })
}

#[test]
fn it_says_the_same_as_trying_all_orders() {
    let mut state = 1u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut counts = [0; 2];
    for _ in 0..20_000 {
        let mut written = 0;
        let history: Vec<Operation> = (0..1 + random(6))
            .map(|_| {
                let action = match random(5) {
                    0 | 1 => {
                        written += 1;
                        Put(written)
                    }
                    2 => Delete,
                    _ => Read(Some(random(3)).filter(|value| *value > 0)),
                };
                let began = random(12);
                let ended = (random(4) > 0).then(|| began + random(6));
                Operation { action, began, ended }
            })
            .collect();
        let expected = is_possible(&history, &mut Vec::new(), None);
        counts[usize::from(expected)] += 1;
        assert_eq!(check(&history).is_ok(), expected, "{history:?}");
    }
    assert!(counts.iter().all(|count| *count > 2_000), "{counts:?}");
}

#[test]
fn a_long_history_takes_no_long_search() {
    let mut history = Vec::new();
    for round in 0..5_000u64 {
        let at = round * 10;
        history.push(done(Put(round), at, at + 9));
        history.push(done(Read(Some(round)), at + 1, at + 12));
        history.push(done(Read(round.checked_sub(1)), at, at + 8));
        if round % 100 == 0 {
            history.push(Operation::open(Delete, at));
        }
    }
    assert_eq!(check(&history), Ok(()));
}
