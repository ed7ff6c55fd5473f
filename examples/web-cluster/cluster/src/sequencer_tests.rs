use super::*;

fn key() -> Key {
    Key::new("a").unwrap()
}

fn number(count: u64) -> Number {
    Number { epoch: 3, count }
}

fn loaded(record: Option<Record>) -> Event {
    Event::Loaded(Ok(Stored { record, forgotten: Number { epoch: 1, count: 1 } }))
}

fn read(sequencer: &mut Sequencer, now_ms: u64, presence: Option<Presence>) -> Effect {
    let asked = Event::Asked(Request::Read { key: key(), presence });
    assert_eq!(sequencer.step(now_ms, asked), Effect::Load(key()));
    sequencer.step(now_ms, loaded(None))
}

fn lease_of(effect: Effect) -> Option<crate::Lease> {
    match effect {
        Effect::Answer(Answer::Read(reading)) => reading.lease,
        other => panic!("{other:?}"),
    }
}

fn write(sequencer: &mut Sequencer, now_ms: u64, count: u64, old: Option<Record>) -> Effect {
    let asked = Event::Asked(Request::Write { number: number(count), key: key(), value: None });
    assert_eq!(sequencer.step(now_ms, asked), Effect::Load(key()));
    sequencer.step(now_ms, loaded(old))
}

fn reserve(sequencer: &mut Sequencer, now_ms: u64) -> Number {
    match sequencer.step(now_ms, Event::Asked(Request::Reserve)) {
        Effect::Answer(Answer::Reserved(number)) => number,
        other => panic!("{other:?}"),
    }
}

fn save(count: u64) -> Effect {
    Effect::Save { key: key(), record: Record { number: number(count), value: None } }
}

#[test]
fn after_its_start_it_recalls_from_every_cache_until_each_answered_or_leases_are_over() {
    let mut sequencer = Sequencer::new(3, 2, 1000);
    let first = reserve(&mut sequencer, 1000).count;
    let recall = |cache| Effect::Recall { cache, term: number(0), key: key() };
    assert_eq!(write(&mut sequencer, 1000, first, None), recall(0));
    assert_eq!(sequencer.step(1001, Event::Reached(Ok(77))), recall(1));
    assert_eq!(
        sequencer.step(1002, Event::Reached(Err(Unreached))),
        Effect::Wait { until_ms: 1002 + AGAIN_MS }
    );
    assert_eq!(sequencer.step(1002 + AGAIN_MS, Event::Waited), recall(1));
    let end = 1000 + LEASE_AT_MOST_MS;
    assert_eq!(sequencer.step(end - 1, Event::Reached(Err(Unreached))), Effect::Wait { until_ms: end });
    assert_eq!(sequencer.step(end, Event::Waited), save(first));
    assert_eq!(sequencer.step(end, Event::Saved(Ok(()))), Effect::Answer(Answer::Written));
    let second = reserve(&mut sequencer, end).count;
    assert_eq!(write(&mut sequencer, end, second, None), save(second), "nobody holds anything any more");
}

#[test]
fn a_lease_lasts_in_one_term_as_long_as_it_is_renewed_in_time() {
    let mut sequencer = Sequencer::new(3, 1, 0);
    let presence = |now_ms| Some(Presence { incarnation: 77, now_ms });
    assert_eq!(read(&mut sequencer, 100, presence(9)), Effect::Identify { cache: 0 });
    let first = lease_of(sequencer.step(100, Event::Reached(Ok(77)))).unwrap();
    assert_eq!((first.incarnation, first.until_ms), (77, 9 + crate::LEASE_MS));
    let second = lease_of(read(&mut sequencer, 99 + LEASE_AT_MOST_MS, presence(500))).unwrap();
    assert_eq!(second.term, first.term);
    let late = 99 + 2 * LEASE_AT_MOST_MS;
    let third = lease_of(read(&mut sequencer, late, presence(600))).unwrap();
    assert!(third.term > second.term, "{third:?}");
}

#[test]
fn a_cache_that_was_started_again_holds_nothing() {
    let mut sequencer = Sequencer::new(3, 1, 0);
    let presence = Some(Presence { incarnation: 77, now_ms: 9 });
    assert_eq!(read(&mut sequencer, 3000, presence), Effect::Identify { cache: 0 });
    let lease = lease_of(sequencer.step(3000, Event::Reached(Ok(77)))).unwrap();
    let count = reserve(&mut sequencer, 3000).count;
    let recall = Effect::Recall { cache: 0, term: lease.term, key: key() };
    assert_eq!(write(&mut sequencer, 3000, count, None), recall);
    assert_eq!(sequencer.step(3000, Event::Reached(Ok(78))), save(count));
    assert_eq!(sequencer.step(3000, Event::Saved(Ok(()))), Effect::Answer(Answer::Written));
    let count = reserve(&mut sequencer, 3000).count;
    assert_eq!(write(&mut sequencer, 3000, count, None), save(count));
}

#[test]
fn a_stranger_gets_no_lease_and_is_not_looked_for_all_the_time() {
    let mut sequencer = Sequencer::new(3, 1, 0);
    let presence = Some(Presence { incarnation: 99, now_ms: 9 });
    assert_eq!(read(&mut sequencer, 0, presence), Effect::Identify { cache: 0 });
    assert_eq!(lease_of(sequencer.step(0, Event::Reached(Ok(77)))), None);
    assert_eq!(lease_of(read(&mut sequencer, STRANGER_MS - 1, presence)), None);
    assert_eq!(read(&mut sequencer, STRANGER_MS, presence), Effect::Identify { cache: 0 });
}

#[test]
fn what_was_written_or_overtaken_is_not_written_again() {
    let mut sequencer = Sequencer::new(3, 0, 0);
    let first = reserve(&mut sequencer, 0).count;
    let second = reserve(&mut sequencer, 0).count;
    let old = |count| Some(Record { number: number(count), value: Some(vec![1]) });
    assert_eq!(write(&mut sequencer, 0, first, old(first)), Effect::Answer(Answer::Written));
    assert_eq!(write(&mut sequencer, 0, first, old(second)), Effect::Answer(Answer::Written));
    assert_eq!(write(&mut sequencer, 0, second, old(first)), save(second));
}

#[test]
fn a_number_that_is_too_old_or_from_nowhere_is_refused() {
    let mut sequencer = Sequencer::new(3, 0, 0);
    let mut attempt = |number| {
        sequencer.step(0, Event::Asked(Request::Write { number, key: key(), value: None }));
        sequencer.step(0, loaded(None))
    };
    let old = Number { epoch: 1, count: 1 };
    assert_eq!(attempt(old), Effect::Answer(Answer::Refused(Refusal::TooOld)));
    let why = "the number 3.1 was never given out".to_owned();
    assert_eq!(attempt(number(1)), Effect::Answer(Answer::Refused(Refusal::Storage(why))));
}
