//! How everything ends, and with which outcome.

use solum_spec::control::Outcome;
use solum_spec::description::{Restart, Wait};
use solum_spec::handover::UnitPhase;

use super::*;

#[test]
fn the_only_programs_outcome_is_everythings() {
    for (status, outcome) in [
        (Status::Exited(0), Outcome::Exited(0)),
        (Status::Exited(3), Outcome::Exited(3)),
        (Status::Exited(125), Outcome::Exited(125)),
        (CRASH, Outcome::Signaled { signal: 11, after_grace: false }),
        // Somebody else killed it.
        (Status::Signaled(SIGKILL), Outcome::Signaled { signal: SIGKILL, after_grace: false }),
    ] {
        let mut bench = Bench::new(vec![UnitTerms::alone("hello".into(), vec![], 1_000)]);
        assert_eq!(bench.step(Event::Up), [start(0, 1)]);
        assert_eq!(bench.started(0), []);
        assert_eq!(bench.phase(0), UnitPhase::Running);
        assert_eq!(bench.ended(0, status), [Effect::Over(outcome)]);
        assert_eq!(bench.supervisor.deadline(), None);
        assert_eq!(bench.step(Event::StopAll), [], "over is over");
    }
}

#[test]
fn the_only_program_that_cannot_be_started_ends_everything() {
    let mut bench = Bench::new(vec![UnitTerms::alone("hello".into(), vec![], 1_000)]);
    bench.step(Event::Up);
    let why = "/bin/hello: no such file".to_owned();
    let over = bench.step(Event::StartFailed { unit: 0, epoch: 1, why: why.clone() });
    assert_eq!(over, [Effect::Over(Outcome::NotStarted(why))]);
}

#[test]
fn the_only_program_is_stopped_with_its_grace_and_then_killed() {
    let mut bench = Bench::new(vec![UnitTerms::alone("hello".into(), vec![], 1_000)]).all_ready();
    assert_eq!(bench.step(Event::StopAll), [signal(0, SIGTERM)]);
    assert_eq!(bench.after(500).step(Event::StopAll), [], "asking twice does not shorten the grace");
    assert_eq!(bench.supervisor.deadline(), Some(1_000));
    assert_eq!(bench.due(), [signal(0, SIGKILL)]);
    let outcome = Outcome::Signaled { signal: SIGKILL, after_grace: true };
    assert_eq!(bench.ended(0, Status::Signaled(SIGKILL)), [Effect::Over(outcome)]);
}

#[test]
fn a_unit_that_a_user_stopped_keeps_the_machine_up() {
    let mut bench = single(|_| ()).all_ready();
    bench.command(0, Command::Stop);
    assert_eq!(bench.ended(0, Status::Exited(0)), [], "its user may start it again");
    assert_eq!(bench.step(Event::StopAll), [Effect::Over(Outcome::Exited(0))]);
}

#[test]
fn everything_stops_in_reverse_order_of_need() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0]), ("c", &[1]), ("d", &[])])).all_ready();
    assert_eq!(bench.step(Event::StopAll), [signal(2, SIGTERM), signal(3, SIGTERM)]);
    assert_eq!(bench.due(), [signal(2, SIGKILL), signal(3, SIGKILL)]);
    assert_eq!(bench.ended(2, Status::Signaled(SIGKILL)), [signal(1, SIGTERM)]);
    assert_eq!(bench.ended(3, Status::Signaled(SIGKILL)), []);
    assert_eq!(bench.ended(1, Status::Exited(0)), [signal(0, SIGTERM)]);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + GRACE_MS), "each has its own grace");
    assert!(matches!(bench.ended(0, Status::Exited(0))[..], [Effect::Over(_)]));
}

#[test]
fn a_unit_waits_with_stopping_for_those_that_need_it_through_others() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0]), ("c", &[1])])).all_ready();
    bench.ended(1, CRASH);
    assert_eq!(bench.step(Event::StopAll), [signal(2, SIGTERM)]);
    assert_eq!(bench.phase(1), UnitPhase::Ended, "a pause ends with everything");
    assert_eq!(bench.ended(2, Status::Exited(0)), [signal(0, SIGTERM)]);
}

#[test]
fn a_stop_during_start_up_starts_nothing_more() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])]));
    bench.step(Event::Up);
    assert_eq!(bench.step(Event::StopAll), [], "its process is not there yet");
    assert_eq!(bench.started(0), [signal(0, SIGTERM)]);
    assert_eq!(bench.step(Event::Ready { unit: 0, epoch: 1 }), []);
    assert_eq!(bench.ended(0, Status::Exited(0)), [Effect::Over(Outcome::Exited(0))]);
}

#[test]
fn a_stop_before_any_start_says_that_nothing_was_started() {
    let mut bench = single(|unit| unit.wait = vec![Wait::Network]);
    bench.step(Event::Up);
    let over = bench.step(Event::StopAll);
    assert!(matches!(over[..], [Effect::Over(Outcome::NotStarted(_))]), "{over:?}");
}

#[test]
fn a_signal_that_reaches_a_unit_before_its_turn_to_stop_is_no_failure() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    bench.step(Event::StopAll);
    assert_eq!(bench.ended(0, Status::Signaled(SIGTERM)), []);
    assert_eq!(bench.ended(1, Status::Exited(0)), [Effect::Over(Outcome::Exited(0))]);
}

#[test]
fn a_unit_that_ends_by_itself_while_others_stop_is_not_started_again() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    bench.step(Event::StopAll);
    assert_eq!(bench.ended(0, CRASH), []);
    assert_eq!(bench.phase(0), UnitPhase::Ended);
    let outcome = Outcome::Signaled { signal: 11, after_grace: false };
    assert_eq!(bench.ended(1, Status::Exited(0)), [Effect::Over(outcome)]);
}

#[test]
fn nobody_becomes_impatient_with_a_unit_that_waits_for_its_turn_to_stop() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    bench.ended(0, CRASH);
    bench.due();
    let epoch = bench.epochs[0];
    bench.started(0);
    for ready in [false, true] {
        let mut bench = bench.clone();
        if ready {
            bench.step(Event::Ready { unit: 0, epoch });
            bench.health(0, Err("ill"));
        }
        bench.step(Event::StopAll);
        assert_eq!(bench.supervisor.deadline(), Some(bench.now + GRACE_MS), "that of the unit that stops");
        let effects = bench.after(GRACE_MS + READY_WITHIN_MS).step(Event::DeadlineReached);
        assert_eq!(effects, [signal(1, SIGKILL)]);
    }
}

#[test]
fn a_process_that_does_not_even_die_is_left_behind_in_the_end() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    bench.command(1, Command::Stop);
    assert_eq!(bench.due(), [signal(1, SIGKILL)]);
    assert_eq!(bench.supervisor.deadline(), None, "nobody is in a hurry");
    bench.after(1_000_000).step(Event::StopAll);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + KILL_PATIENCE_MS));
    assert_eq!(bench.due(), [signal(0, SIGTERM)]);
    let outcome = Outcome::Signaled { signal: SIGKILL, after_grace: true };
    assert_eq!(bench.ended(0, Status::Exited(0)), [Effect::Over(outcome)]);
}

#[test]
fn the_first_failure_is_the_outcome_and_without_one_the_last_end() {
    let outcome = |ends: &[(usize, Status)]| {
        let mut terms = units(&[("a", &[]), ("b", &[]), ("c", &[])]);
        for unit in &mut terms {
            unit.restart = Restart::Never;
        }
        let mut bench = Bench::new(terms).all_ready();
        ends.iter().fold(vec![], |_, (unit, status)| bench.ended(*unit, *status))
    };
    let exited = Status::Exited;
    assert_eq!(
        outcome(&[(1, exited(0)), (2, exited(4)), (0, exited(3))]),
        [Effect::Over(Outcome::Exited(4))]
    );
    assert_eq!(
        outcome(&[(0, exited(0)), (2, exited(0)), (1, exited(125))]),
        [Effect::Over(Outcome::Exited(125))]
    );
}

#[test]
fn a_failure_that_was_made_good_is_not_the_outcome() {
    let mut bench = single(|_| ()).all_ready();
    bench.ended(0, CRASH);
    bench.due();
    assert_eq!(bench.ended(0, Status::Exited(0)), [Effect::Over(Outcome::Exited(0))]);
}

#[test]
fn to_end_as_it_was_asked_is_no_failure() {
    for (status, is_failure) in [
        (Status::Signaled(SIGTERM), false),
        (Status::Exited(143), false),
        (Status::Exited(0), false),
        (Status::Exited(1), true),
        (CRASH, true),
    ] {
        let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
        bench.step(Event::StopAll);
        bench.ended(1, status);
        let over = bench.ended(0, Status::Exited(0));
        assert_eq!(over != [Effect::Over(Outcome::Exited(0))], is_failure, "{status:?}");
    }
}

#[test]
fn a_machine_without_a_unit_that_was_ever_started_waits_for_somebody_to_start_one() {
    let mut bench = single(|unit| unit.autostart = false);
    assert_eq!(bench.step(Event::Up), []);
    assert_eq!(bench.command(0, Command::Start), [start(0, 1)]);
    assert_eq!(bench.ended(0, Status::Exited(0)), [Effect::Over(Outcome::Exited(0))]);
}

#[test]
fn when_everything_stops_no_command_changes_the_order() {
    for command in [Command::Start, Command::Stop, Command::Restart, Command::Replace] {
        let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
        bench.step(Event::StopAll);
        assert_eq!(bench.command(0, command), [], "{command:?}");
        assert_eq!(bench.command(1, command), [], "{command:?}");
        assert_eq!(bench.ended(1, Status::Exited(0)), [signal(0, SIGTERM)]);
    }
}

#[test]
fn a_stop_of_everything_ends_a_restart_under_way() {
    let mut bench = single(|_| ()).all_ready();
    bench.command(0, Command::Restart);
    assert_eq!(bench.step(Event::StopAll), []);
    assert_eq!(bench.ended(0, Status::Exited(0)), [Effect::Over(Outcome::Exited(0))]);
}

#[test]
fn a_unit_that_nobody_started_does_not_keep_the_machine_up() {
    let mut units = units(&[("a", &[]), ("spare", &[])]);
    units[1].autostart = false;
    let mut bench = Bench::new(units);
    bench.step(Event::Up);
    assert_eq!(bench.ended(0, Status::Exited(0)), [Effect::Over(Outcome::Exited(0))]);
}
