//! What users and controlling units want.

use solum_spec::description::Wait;
use solum_spec::handover::UnitPhase;

use super::*;

#[test]
fn a_stopped_unit_stays_down_and_those_that_need_it_stay_up() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0])])).all_ready();
    assert_eq!(bench.command(0, Command::Stop), [signal(0, SIGTERM)]);
    assert_eq!(bench.command(0, Command::Stop), []);
    assert_eq!(bench.ended(0, Status::Signaled(SIGTERM)), []);
    assert_eq!((bench.phase(0), bench.phase(1)), (UnitPhase::Ended, UnitPhase::Running));
    assert_eq!(bench.supervisor.deadline(), None);
    assert_eq!(bench.command(0, Command::Stop), []);
    bench.ended(1, CRASH);
    assert_eq!(bench.due(), []);
    assert_eq!(bench.reasons[1], "it waits for a, which was stopped");
}

#[test]
fn a_stop_ends_a_pause_and_a_wait() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0]), ("c", &[])])).all_ready();
    bench.command(0, Command::Stop);
    bench.ended(0, Status::Exited(0));
    bench.ended(1, CRASH);
    assert_eq!((bench.phase(1), bench.command(1, Command::Stop)), (UnitPhase::Pausing, vec![]));
    assert_eq!((bench.phase(1), bench.supervisor.deadline()), (UnitPhase::Ended, None));
    let mut bench = single(|unit| unit.wait = vec![Wait::Network]);
    bench.step(Event::Up);
    bench.command(0, Command::Stop);
    assert_eq!(bench.phase(0), UnitPhase::Ended);
    assert_eq!(bench.step(Event::ConditionMet(Wait::Network)), []);
}

#[test]
fn a_unit_that_ignores_a_stop_is_killed_after_its_grace_and_nothing_starts_in_its_place_before() {
    let mut bench = single(|_| ()).all_ready();
    assert_eq!(bench.command(0, Command::Restart), [signal(0, SIGTERM)]);
    assert_eq!(bench.supervisor.deadline(), Some(GRACE_MS));
    assert_eq!(bench.due(), [signal(0, SIGKILL)]);
    assert_eq!(bench.reasons[0], "it did not stop within 10 s and is killed");
    assert_eq!(bench.after(1_000_000).command(0, Command::Start), [], "it is still there");
    assert_eq!(bench.ended(0, Status::Signaled(SIGKILL)), [start(0, 2)]);
}

#[test]
fn a_start_brings_back_a_stopped_unit_and_what_it_needs() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[0]), ("c", &[])])).all_ready();
    for unit in [1, 0] {
        bench.command(unit, Command::Stop);
        bench.ended(unit, Status::Exited(0));
    }
    assert_eq!(bench.command(1, Command::Start), [start(0, 2)]);
    assert_eq!(bench.command(1, Command::Start), []);
    assert_eq!(bench.ready(0), [start(1, 2)]);
    assert_eq!(bench.command(1, Command::Start), []);
}

#[test]
fn the_last_word_before_a_unit_has_stopped_holds() {
    let stop_start = [Command::Stop, Command::Start];
    let restart_stop = [Command::Restart, Command::Stop];
    for (commands, effects, phase) in
        [(stop_start, vec![start(0, 2)], UnitPhase::Starting), (restart_stop, vec![], UnitPhase::Ended)]
    {
        let mut bench = Bench::new(units(&[("a", &[]), ("b", &[])])).all_ready();
        for command in commands {
            bench.command(0, command);
        }
        assert_eq!(bench.ended(0, Status::Exited(0)), effects);
        assert_eq!(bench.phase(0), phase);
    }
}

#[test]
fn a_start_or_restart_cuts_a_pause_short() {
    for command in [Command::Start, Command::Restart] {
        let mut bench = single(|_| ()).all_ready();
        bench.ended(0, CRASH);
        assert_eq!(bench.command(0, command), [start(0, 2)]);
    }
}

#[test]
fn a_restart_starts_what_does_not_run() {
    let mut bench = Bench::new(units(&[("a", &[]), ("b", &[])])).all_ready();
    bench.ended(0, Status::Exited(125));
    assert_eq!(bench.command(0, Command::Restart), [start(0, 2)], "a user's word counts more than its own");
}

#[test]
fn a_replaced_program_is_not_blamed_for_the_old_ones_failures() {
    let mut bench = single(|_| ()).all_ready();
    for _ in 0..4 {
        bench.ended(0, CRASH);
        bench.due();
    }
    assert_eq!(bench.command(0, Command::Replace), [], "it takes effect with the next start");
    bench.ended(0, CRASH);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 100));
}

#[test]
fn a_stop_before_the_process_is_there_reaches_it_when_it_is() {
    let mut bench = single(|_| ());
    bench.step(Event::Up);
    assert_eq!(bench.command(0, Command::Stop), []);
    assert_eq!(bench.supervisor.deadline(), None, "the grace has not begun");
    assert_eq!(bench.started(0), [signal(0, SIGTERM)]);
    assert_eq!(bench.supervisor.deadline(), Some(GRACE_MS));
}

#[test]
fn a_start_forgets_failures_even_of_a_unit_that_is_still_stopping() {
    let mut bench = single(|_| ()).all_ready();
    for _ in 0..4 {
        bench.ended(0, CRASH);
        bench.due();
    }
    bench.started(0);
    bench.command(0, Command::Stop);
    bench.command(0, Command::Start);
    bench.ended(0, Status::Exited(0));
    bench.ended(0, CRASH);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 100));
}

#[test]
fn a_start_neither_repeats_the_work_of_needs_nor_cuts_their_pauses_short() {
    let mut bench = Bench::new(units(&[("format", &[]), ("a", &[]), ("b", &[0, 1])])).all_ready();
    bench.ended(0, Status::Exited(0));
    bench.ended(1, CRASH);
    bench.command(2, Command::Stop);
    bench.ended(2, Status::Exited(0));
    assert_eq!(bench.command(2, Command::Start), []);
    assert_eq!(bench.reasons[2], "it waits for a");
    assert_eq!(bench.due(), [start(1, 2)]);
    assert_eq!(bench.ready(1), [start(2, 2)]);
}

#[test]
fn a_restart_forgets_failures() {
    let mut bench = single(|_| ()).all_ready();
    for _ in 0..4 {
        bench.ended(0, CRASH);
        bench.due();
    }
    bench.started(0);
    bench.command(0, Command::Restart);
    bench.ended(0, Status::Exited(0));
    bench.ended(0, CRASH);
    assert_eq!(bench.supervisor.deadline(), Some(bench.now + 100));
}
