//! Few calls that are impossible together, out of many.

use super::{Call, Model, Verdict, Violation, search};

/// How many questions there may be that take as long as the first did; most take less.
const QUESTIONS: u64 = 64;

/// What is impossible among calls that are, as was found out in so many steps.
///
/// Two things can be done to calls that leave what is impossible so only if it was before: to forget what happened after a
/// moment, and to forget what came of a call, which then may have happened or not.
pub(super) fn explain<M: Model>(
    model: &M,
    calls: &[Call<M::Operation, M::Outcome>],
    taken: u64,
) -> Violation<M::Operation, M::Outcome> {
    let question = 1_000 + taken * 2;
    let mut left = question * QUESTIONS;
    let mut is_impossible = |calls: &[Call<M::Operation, M::Outcome>]| {
        let (verdict, taken) = search(model, calls, question.min(left));
        left -= taken;
        verdict == Verdict::Impossible
    };
    let calls = shortest(calls, &mut is_impossible);
    let mut forgotten = vec![false; calls.len()];
    let mut size = calls.len();
    while size > 0 {
        let known: Vec<usize> =
            (0..calls.len()).filter(|index| is_known(&calls[*index], forgotten[*index])).collect();
        // The latest are most often what is wrong, so they are kept longest.
        for chunk in known.chunks(size) {
            let mut more = forgotten.clone();
            chunk.iter().for_each(|index| more[*index] = true);
            if is_impossible(&without(&calls, &more)) {
                forgotten = more;
            }
        }
        size /= 2;
    }
    let mut shown: Vec<_> =
        calls.iter().zip(&forgotten).filter(|(call, forgotten)| is_known(call, **forgotten)).collect();
    shown.sort_by_key(|(call, _)| (call.began, call.ended));
    let shown: Vec<_> = shown.into_iter().map(|(call, _)| call.clone()).collect();
    Violation { key: None, others: calls.len() - shown.len(), calls: shown }
}

fn is_known<O, R>(call: &Call<O, R>, is_forgotten: bool) -> bool {
    call.ended.is_some() && !is_forgotten
}

/// What happened until it first was impossible.
fn shortest<O: Clone, R: Clone>(
    calls: &[Call<O, R>],
    is_impossible: &mut impl FnMut(&[Call<O, R>]) -> bool,
) -> Vec<Call<O, R>> {
    let mut ends: Vec<u64> = calls.iter().filter_map(|call| call.ended).collect();
    ends.sort_unstable();
    ends.dedup();
    let (mut possible, mut impossible) = (0, ends.len().saturating_sub(1));
    while possible < impossible {
        let middle = (possible + impossible) / 2;
        if is_impossible(&until(calls, ends[middle])) {
            impossible = middle;
        } else {
            possible = middle + 1;
        }
    }
    until(calls, ends.get(impossible).copied().unwrap_or(u64::MAX))
}

fn until<O: Clone, R: Clone>(calls: &[Call<O, R>], moment: u64) -> Vec<Call<O, R>> {
    let began = calls.iter().filter(|call| call.began <= moment);
    began
        .map(|call| if call.ended.is_some_and(|ended| ended <= moment) { call.clone() } else { open(call) })
        .collect()
}

fn without<O: Clone, R: Clone>(calls: &[Call<O, R>], forgotten: &[bool]) -> Vec<Call<O, R>> {
    let calls = calls.iter().zip(forgotten);
    calls.map(|(call, is_forgotten)| if *is_forgotten { open(call) } else { call.clone() }).collect()
}

fn open<O: Clone, R>(call: &Call<O, R>) -> Call<O, R> {
    Call::open(call.client, call.operation.clone(), call.began)
}
