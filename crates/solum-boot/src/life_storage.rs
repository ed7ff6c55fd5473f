//! Tests: the program waits for the role that mounts file systems.

use super::*;

fn waiting() -> Life {
    let mut life = Life::new(Terms {
        wait: vec![],
        grace_ms: 10_000,
        network: true,
        time_servers: vec![],
        links: false,
        storage: true,
        when_ended: WhenEnded::PowerOff,
    });
    assert_eq!(life.step(0, Event::Up), [Effect::StartStorage, Effect::StartNet]);
    life
}

fn told(report: &StorageReport) -> Effect {
    Effect::Tell(FromMachine::Storage(report.clone()))
}

fn failed(why: &str) -> StorageReport {
    StorageReport::Failed { target: "/perm".into(), why: why.into() }
}

/// The outcome of a machine whose last process is gone.
fn outcome(life: &mut Life) -> Outcome {
    let effects = life.step(9, Event::AllGone);
    let [Effect::End(End { outcome, .. })] = &effects[..] else { panic!("{effects:?}") };
    outcome.clone()
}

#[test]
fn the_program_starts_when_all_is_mounted() {
    let mut life = waiting();
    let mounted = StorageReport::Mounted { target: "/perm".into(), what: "vda (ext4)".into() };
    assert_eq!(life.step(1, Event::Storage(mounted.clone())), [told(&mounted)]);
    let missing = StorageReport::Missing { target: "/more".into(), why: "no such disk".into() };
    let warning = Effect::Tell(FromMachine::Warning("no such disk".into()));
    assert_eq!(life.step(2, Event::Storage(missing.clone())), [warning, told(&missing)]);
    let complete = StorageReport::Complete;
    assert_eq!(life.step(3, Event::Storage(complete.clone())), [told(&complete), Effect::StartProgram]);
    assert_eq!(life.step(4, Event::Ended(Child::Storage, Status::Exited(0))), [], "its work is done");
    assert_eq!(life.deadline(), None, "it is not started again");
}

#[test]
fn without_what_it_needs_the_program_does_not_start() {
    let mut life = waiting();
    let effects = life.step(1, Event::Storage(failed("it is damaged")));
    assert!(effects.contains(&Effect::SignalAll(SIGTERM)), "{effects:?}");
    assert!(!effects.contains(&Effect::StartProgram), "{effects:?}");
    assert_eq!(outcome(&mut life), Outcome::NotStarted("it is damaged".into()));
}

#[test]
fn a_role_that_dies_early_ends_the_machine() {
    let why = "the role storage, which mounts the file systems, was ended by signal 11 (SIGSEGV, a bad memory access)";
    let mut life = waiting();
    life.step(1, Event::Ended(Child::Storage, Status::Signaled(11)));
    assert_eq!(outcome(&mut life), Outcome::NotStarted(why.into()));
    let mut life = waiting();
    life.step(1, Event::NotStarted(Child::Storage, "no memory".into()));
    let why = "the role storage, which mounts the file systems, could not be started: no memory";
    assert_eq!(outcome(&mut life), Outcome::NotStarted(why.into()));
}

#[test]
fn a_reason_that_was_told_is_not_replaced_by_the_roles_end() {
    let mut life = waiting();
    life.step(1, Event::Storage(failed("it is damaged")));
    life.step(2, Event::Ended(Child::Storage, Status::Exited(0)));
    assert_eq!(outcome(&mut life), Outcome::NotStarted("it is damaged".into()));
}

#[test]
fn a_repair_has_the_programs_grace_to_end() {
    let mut life = waiting();
    life.step(1, Event::EndRequested(Ending::PowerOff));
    assert_eq!(life.deadline(), Some(10_001));
    assert_eq!(life.step(10_001, Event::DeadlineReached), [Effect::SignalAll(SIGKILL)]);
    let mut life = waiting();
    life.step(1, Event::Storage(StorageReport::Complete));
    life.step(2, Event::Ended(Child::Program, Status::Exited(0)));
    assert_eq!(life.deadline(), Some(1_002), "all is mounted, and nothing is being repaired");
}
