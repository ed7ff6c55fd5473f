//! Being ready, and being healthy.

use solum_spec::control::Outcome;
use solum_spec::handover::UnitPhase;

use super::*;

#[test]
fn a_unit_that_is_not_ready_in_time_is_stopped_and_has_failed() {
    let mut bench = single(|_| ());
    bench.step(Event::Up);
    bench.after(7).started(0);
    assert_eq!(bench.supervisor.deadline(), Some(7 + READY_WITHIN_MS));
    assert_eq!(bench.due(), [signal(0, SIGTERM)]);
    assert_eq!(bench.step(Event::Ready { unit: 0, epoch: 1 }), [], "too late");
    assert_eq!(bench.due(), [signal(0, SIGKILL)]);
    assert_eq!(bench.supervisor.deadline(), None);
    bench.ended(0, Status::Signaled(SIGKILL));
    assert_eq!(bench.reasons[0], "it was not ready within 30 s; it is started again in 100 ms");
    assert_eq!(bench.due(), [start(0, 2)]);
}

#[test]
fn a_unit_that_never_becomes_ready_is_given_up_however_long_each_attempt_takes() {
    let mut bench = single(|unit| unit.ready_within_ms = 3_600_000);
    bench.step(Event::Up);
    for _ in 1..FAILURES_MAX {
        bench.started(0);
        bench.due();
        bench.ended(0, Status::Signaled(SIGTERM));
        bench.due();
    }
    bench.started(0);
    bench.due();
    let why = "the unit a: it was not ready within 3600 s".to_owned();
    assert_eq!(
        bench.ended(0, Status::Exited(0)),
        [Effect::GaveUp { unit: 0 }, Effect::Over(Outcome::GivenUp(why))]
    );
}

#[test]
fn a_unit_that_stays_ill_is_stopped_and_has_failed() {
    let mut bench = single(|_| ()).all_ready();
    bench.health(0, Err("the disk is slow"));
    assert_eq!(
        (bench.phase(0), &*bench.reasons[0]),
        (UnitPhase::Running, "it is not healthy: the disk is slow")
    );
    bench.after(ILLNESS_MS / 2).health(0, Err("still"));
    assert_eq!(bench.supervisor.deadline(), Some(ILLNESS_MS), "saying it again does not prolong it");
    assert_eq!(bench.due(), [signal(0, SIGTERM)]);
    bench.ended(0, Status::Exited(0));
    assert_eq!(
        bench.reasons[0],
        "it was not healthy for 10 s: the disk is slow; it is started again in 100 ms"
    );
}

#[test]
fn a_unit_that_recovers_in_time_goes_on() {
    let mut bench = single(|_| ()).all_ready();
    bench.health(0, Err("the disk is slow"));
    bench.after(ILLNESS_MS - 1).health(0, Ok(()));
    assert_eq!(bench.reasons[0], "it is healthy again");
    assert_eq!(bench.supervisor.deadline(), None);
}

#[test]
fn illness_is_no_part_of_a_good_run() {
    let mut bench = single(|_| ()).all_ready();
    bench.ended(0, CRASH);
    bench.due();
    bench.ready(0);
    bench.after(GOOD_RUN_MS - 1).health(0, Err("ill"));
    bench.due();
    bench.ended(0, Status::Signaled(SIGTERM));
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 200));
}

#[test]
fn a_unit_that_is_starting_may_say_that_it_is_not_healthy_yet() {
    let mut bench = single(|_| ());
    bench.step(Event::Up);
    bench.started(0);
    bench.health(0, Err("reading the log"));
    assert_eq!(bench.supervisor.deadline(), Some(READY_WITHIN_MS));
    bench.ready(0);
    assert_eq!(bench.supervisor.deadline(), None, "being ready answers it");
}

#[test]
fn a_unit_that_is_stopped_as_a_failure_may_ask_for_no_other_start() {
    let mut bench = single(|_| ());
    bench.step(Event::Up);
    bench.started(0);
    bench.due();
    let why = "the unit a: it was not ready within 30 s".to_owned();
    assert_eq!(bench.ended(0, Status::Exited(125)), [Effect::Over(Outcome::GivenUp(why))]);
}

#[test]
fn a_good_run_counts_even_if_illness_follows_and_passes() {
    let mut bench = single(|_| ()).all_ready();
    bench.ended(0, CRASH);
    bench.due();
    bench.ready(0);
    bench.after(GOOD_RUN_MS).health(0, Err("ill"));
    bench.health(0, Ok(()));
    bench.ended(0, CRASH);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 100));
}

#[test]
fn a_good_run_counts_even_if_illness_ends_it() {
    let mut bench = single(|_| ()).all_ready();
    bench.ended(0, CRASH);
    bench.due();
    bench.ready(0);
    bench.after(GOOD_RUN_MS).health(0, Err("ill"));
    bench.due();
    bench.ended(0, Status::Signaled(SIGTERM));
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 100));
}
