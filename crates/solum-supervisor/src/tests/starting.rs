//! When units start.

use solum_spec::description::{Readiness, Wait};
use solum_spec::handover::UnitPhase;

use super::*;

#[test]
fn nothing_starts_before_the_machine_is_up() {
    let mut bench = single(|_| ());
    assert_eq!(bench.step(Event::ConditionMet(Wait::Network)), []);
    assert_eq!(bench.command(0, Command::Start), []);
    assert_eq!(bench.reasons[0], "", "and there is nothing to tell");
    assert_eq!(bench.supervisor.phase(0), Some((UnitPhase::Waiting, "it waits for its turn")));
    assert_eq!(bench.step(Event::Up), [start(0, 1)]);
    assert_eq!(bench.step(Event::Up), []);
}

#[test]
fn a_unit_waits_for_the_conditions_it_names() {
    let mut bench = single(|unit| unit.wait = vec![Wait::Network, Wait::Clock]);
    assert_eq!(bench.step(Event::Up), []);
    assert_eq!(bench.reasons[0], "it waits for the network and the clock");
    assert_eq!(bench.step(Event::ConditionMet(Wait::Network)), []);
    assert_eq!(bench.reasons[0], "it waits for the clock");
    assert_eq!(bench.step(Event::ConditionMet(Wait::Clock)), [start(0, 1)]);
}

#[test]
fn a_unit_starts_when_all_it_needs_are_ready() {
    let mut bench = Bench::new(units(&[("a", &[1, 2]), ("b", &[]), ("c", &[1])]));
    assert_eq!(bench.step(Event::Up), [start(1, 1)]);
    assert_eq!(bench.started(1), [], "a unit that tells is not ready because it was started");
    assert_eq!(bench.ready(1), [start(2, 1)]);
    assert_eq!(bench.reasons[0], "it waits for c");
    assert_eq!(bench.ready(2), [start(0, 1)]);
}

#[test]
fn a_unit_that_does_not_tell_is_ready_when_it_is_started() {
    let mut units = units(&[("a", &[]), ("b", &[0])]);
    units[0].ready = Readiness::Start;
    let mut bench = Bench::new(units);
    assert_eq!(bench.step(Event::Up), [start(0, 1)]);
    assert_eq!(bench.started(0), [start(1, 1)]);
}

#[test]
fn a_need_that_has_done_its_work_is_met() {
    for status in [Status::Exited(0), Status::Exited(125)] {
        let mut bench = Bench::new(units(&[("format", &[]), ("b", &[0])]));
        bench.step(Event::Up);
        bench.started(0);
        assert_eq!(bench.ended(0, status), [start(1, 1)]);
        bench.ready(1);
        bench.ended(1, CRASH);
        assert_eq!(bench.due(), [start(1, 2)], "and stays so");
    }
}

#[test]
fn a_unit_that_does_not_start_by_itself_starts_when_another_needs_it() {
    let mut units = units(&[("a", &[]), ("b", &[0]), ("spare", &[])]);
    units[0].autostart = false;
    units[2].autostart = false;
    let mut bench = Bench::new(units);
    assert_eq!(bench.step(Event::Up), [start(0, 1)]);
    assert_eq!(bench.phase(2), UnitPhase::Waiting);
    assert_eq!(bench.command(2, Command::Start), [start(2, 1)]);
}

#[test]
fn needs_that_cannot_be_met_are_no_reason_to_hang() {
    let mut bench = Bench::new(units(&[("a", &[0, 1, 9]), ("b", &[0])]));
    assert_eq!(bench.step(Event::Up), [start(0, 1)]);
    assert_eq!(bench.ready(0), [start(1, 1)]);
}
