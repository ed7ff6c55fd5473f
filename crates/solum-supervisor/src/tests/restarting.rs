//! When units start again, and when not any more.

use solum_spec::control::Outcome;
use solum_spec::description::{GiveUp, Restart};
use solum_spec::handover::UnitPhase;

use super::*;

#[test]
fn pauses_double_up_to_their_cap_and_the_tenth_failure_is_the_last() {
    let mut bench = single(|_| ());
    bench.step(Event::Up);
    let mut pauses = Vec::new();
    for epoch in 2..=FAILURES_MAX {
        bench.started(0);
        assert_eq!(bench.ended(0, Status::Exited(1)), []);
        pauses.push(bench.supervisor.deadline().unwrap() - bench.now);
        assert_eq!(bench.due(), [start(0, epoch)]);
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600]);
    bench.started(0);
    let effects = bench.ended(0, Status::Exited(1));
    assert_eq!(effects, [Effect::GaveUp { unit: 0 }, Effect::Over(Outcome::Exited(1))]);
    assert_eq!(bench.phase(0), UnitPhase::Failed);
    assert_eq!(bench.reasons[0], "given up: it ended with status 1");
}

#[test]
fn no_pause_is_longer_than_its_cap() {
    let mut bench = single(|unit| unit.restart = Restart::Always);
    bench.step(Event::Up);
    let mut last = 0;
    for _ in 0..20 {
        bench.ready(0);
        bench.ended(0, Status::Exited(0));
        last = bench.supervisor.deadline().unwrap() - bench.now;
        bench.due();
    }
    assert_eq!(last, 30_000);
    assert_eq!(bench.phase(0), UnitPhase::Starting, "to end well is no failure, however often");
}

#[test]
fn a_good_run_makes_earlier_failures_forgotten() {
    for (run_ms, pause_ms) in [(GOOD_RUN_MS - 1, 400), (GOOD_RUN_MS, 100)] {
        let mut bench = single(|_| ());
        bench.step(Event::Up);
        for _ in 0..2 {
            bench.ended(0, CRASH);
            bench.due();
        }
        bench.ready(0);
        bench.after(run_ms).ended(0, CRASH);
        assert_eq!(bench.supervisor.deadline(), Some(bench.now + pause_ms), "after {run_ms} ms");
    }
}

#[test]
fn a_long_time_before_readiness_is_no_good_run() {
    let mut bench = single(|unit| unit.ready_within_ms = 1_000_000);
    bench.step(Event::Up);
    for pause_ms in [100, 200] {
        bench.started(0);
        bench.after(500_000).ended(0, CRASH);
        assert_eq!(bench.supervisor.deadline(), Some(bench.now + pause_ms));
        bench.due();
    }
}

#[test]
fn the_policy_says_after_which_end_a_unit_is_started_again() {
    let pausing = UnitPhase::Pausing;
    let ended = UnitPhase::Ended;
    for (restart, after_success, after_failure) in [
        (Restart::Always, pausing, pausing),
        (Restart::OnFailure, ended, pausing),
        (Restart::Never, ended, UnitPhase::Failed),
    ] {
        for (status, phase) in [
            (Status::Exited(0), after_success),
            (Status::Exited(1), after_failure),
            (CRASH, after_failure),
            (Status::Exited(125), ended),
        ] {
            let mut bench = single(|unit| unit.restart = restart).all_ready();
            bench.ended(0, status);
            assert_eq!(bench.phase(0), phase, "{restart:?} {status:?}");
        }
    }
}

#[test]
fn a_unit_that_is_always_wanted_and_ends_before_it_is_ready_has_failed() {
    let mut bench = single(|unit| unit.restart = Restart::Always);
    bench.step(Event::Up);
    for _ in 1..FAILURES_MAX {
        bench.ended(0, Status::Exited(0));
        bench.due();
    }
    assert_eq!(bench.ended(0, Status::Exited(0))[0], Effect::GaveUp { unit: 0 });
}

#[test]
fn a_unit_that_cannot_be_started_is_tried_again() {
    let mut bench = single(|_| ());
    bench.step(Event::Up);
    bench.step(Event::StartFailed { unit: 0, epoch: 1, why: "no memory".into() });
    assert_eq!(bench.reasons[0], "no memory; it is started again in 100 ms");
    assert_eq!(bench.due(), [start(0, 2)]);
}

#[test]
fn what_an_earlier_process_says_counts_no_more() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    bench.ended(0, CRASH);
    bench.due();
    bench.started(0);
    for event in [
        Event::Ready { unit: 0, epoch: 1 },
        Event::Health { unit: 0, epoch: 1, health: Err("old".into()) },
        Event::Ended { unit: 0, epoch: 1, status: Status::Exited(125) },
        Event::StartFailed { unit: 0, epoch: 1, why: "old".into() },
        Event::Ended { unit: 7, epoch: 1, status: CRASH },
        Event::Command { unit: 7, command: Command::Stop },
    ] {
        assert_eq!(bench.step(event.clone()), [], "{event:?}");
        assert_eq!(bench.phase(0), UnitPhase::Starting, "{event:?}");
    }
}

#[test]
fn those_that_need_a_restarted_unit_stay_up() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    assert_eq!(bench.ended(0, CRASH), []);
    assert_eq!(bench.phase(1), UnitPhase::Running);
    assert_eq!(bench.due(), [start(0, 2)]);
    assert_eq!(bench.ready(0), []);
}

#[test]
fn a_unit_whose_pause_ends_waits_for_what_it_needs() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    bench.ended(1, CRASH);
    bench.ended(0, CRASH);
    assert_eq!(bench.due(), [start(0, 2)]);
    assert_eq!(bench.reasons[1], "it waits for a");
    assert_eq!(bench.ready(0), [start(1, 2)]);
}

/// Lets a unit fail until it is given up.
fn exhaust(bench: &mut Bench, unit: usize) -> Vec<Effect> {
    for _ in 1..FAILURES_MAX {
        assert_eq!(bench.ended(unit, CRASH), []);
        bench.due();
        bench.started(unit);
    }
    bench.ended(unit, CRASH)
}

#[test]
fn a_machine_that_degrades_goes_on_without_the_unit() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0]), ("c", &[])])).all_ready();
    assert_eq!(exhaust(&mut bench, 0), [Effect::GaveUp { unit: 0 }]);
    assert_eq!(bench.phase(1), UnitPhase::Running, "whoever needed it stays as it is");
    bench.ended(1, CRASH);
    assert_eq!(bench.due(), [], "but does not start without it");
    assert_eq!(bench.reasons[1], "it waits for a, which was given up");
    let outcome = Outcome::Signaled { signal: 11, after_grace: false };
    assert_eq!(
        bench.ended(2, Status::Exited(0)),
        [Effect::Over(outcome)],
        "who waits for ever does not keep the machine up"
    );
}

#[test]
fn a_user_can_start_what_was_given_up_and_who_waited_for_it_starts_too() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0]), ("c", &[])]));
    bench.step(Event::Up);
    bench.ready(2);
    bench.started(0);
    assert_eq!(exhaust(&mut bench, 0), [Effect::GaveUp { unit: 0 }]);
    assert_eq!(bench.command(0, Command::Start), [start(0, FAILURES_MAX + 1)]);
    bench.started(0);
    bench.ended(0, CRASH);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 100), "its failures were forgotten");
    bench.due();
    assert_eq!(bench.ready(0), [start(1, 1)]);
}

#[test]
fn a_machine_that_does_not_degrade_stops_in_good_order_and_starts_anew() {
    let mut bench =
        Bench::on(units(&[("a", &[]), ("b", &[0]), ("c", &[])]), GiveUp::RestartMachine).all_ready();
    assert_eq!(exhaust(&mut bench, 2), [Effect::GaveUp { unit: 2 }, signal(1, SIGTERM)]);
    assert_eq!(bench.command(2, Command::Start), [], "it is too late for that");
    assert_eq!(bench.ended(1, Status::Exited(0)), [signal(0, SIGTERM)]);
    let why = "the unit c failed 10 times, last: it was ended by signal 11 (SIGSEGV, a bad memory access)"
        .to_owned();
    assert_eq!(bench.ended(0, Status::Exited(0)), [Effect::RestartMachine { why }]);
}

#[test]
fn a_user_who_wants_everything_to_stop_gets_no_restarted_machine() {
    let mut bench = Bench::on(units(&[("a", &[]), ("b", &[])]), GiveUp::RestartMachine).all_ready();
    exhaust(&mut bench, 0);
    assert_eq!(bench.step(Event::StopAll), []);
    assert!(matches!(bench.ended(1, Status::Exited(0))[..], [Effect::Over(_)]));
}

#[test]
fn a_need_that_was_given_up_is_started_with_a_clean_record_for_whoever_a_user_starts() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])]));
    bench.step(Event::Up);
    bench.command(1, Command::Stop);
    bench.started(0);
    assert_eq!(exhaust(&mut bench, 0), [Effect::GaveUp { unit: 0 }]);
    assert_eq!(bench.command(1, Command::Start), [start(0, FAILURES_MAX + 1)]);
    bench.started(0);
    assert_eq!(bench.ended(0, CRASH), []);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 100));
}
