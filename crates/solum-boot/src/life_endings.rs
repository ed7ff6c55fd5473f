//! Tests: how a machine ends, by whose word, and what follows.

use super::*;

fn terms(when_ended: WhenEnded) -> Terms {
    Terms {
        wait: vec![],
        grace_ms: 10_000,
        network: false,
        time_servers: vec![],
        links: false,
        storage: false,
        when_ended,
    }
}

fn running(when_ended: WhenEnded) -> Life {
    let mut life = Life::new(terms(when_ended));
    assert_eq!(life.step(0, Event::Up), [Effect::StartProgram]);
    life
}

fn ended(status: u8) -> Event {
    Event::Ended(Child::Program, Status::Exited(status))
}

/// How a machine ends whose last process is gone.
fn ending(life: &mut Life, now: u64) -> (Ending, bool) {
    let effects = life.step(now, Event::AllGone);
    let [Effect::End(End { ending, asked, .. })] = &effects[..] else { panic!("{effects:?}") };
    (*ending, *asked)
}

#[test]
fn what_follows_the_programs_own_end_is_described() {
    for (when_ended, expected) in [
        (WhenEnded::PowerOff, Ending::PowerOff),
        (WhenEnded::Reboot, Ending::Reboot),
        (WhenEnded::Halt, Ending::Halt),
    ] {
        for event in [
            ended(3),
            Event::Ended(Child::Program, Status::Signaled(6)),
            Event::NotStarted(Child::Program, "no".into()),
            Event::UnitsOver(Outcome::Exited(1), None),
        ] {
            let mut life = running(when_ended);
            let effects = life.step(1, event);
            assert!(matches!(effects[..], [Effect::Remember(_), Effect::SignalAll(SIGTERM)]), "{effects:?}");
            assert_eq!(ending(&mut life, 2), (expected, false));
        }
        for event in [ended(0), Event::UnitsOver(Outcome::Exited(0), None)] {
            let mut life = running(when_ended);
            assert_eq!(life.step(1, event), [Effect::SignalAll(SIGTERM)], "there is nothing to remember");
            assert_eq!(ending(&mut life, 2), (expected, false));
        }
    }
}

#[test]
fn what_is_remembered_is_a_failure() {
    for (status, asked, is_failure) in [
        (Status::Exited(0), false, false),
        (Status::Exited(3), false, true),
        (Status::Exited(3), true, true),
        (Status::Signaled(SIGTERM), false, true),
        (Status::Signaled(SIGTERM), true, false),
        (Status::Exited(EXITED_BY_SIGTERM), false, true),
        (Status::Exited(EXITED_BY_SIGTERM), true, false),
        (Status::Signaled(6), true, true),
    ] {
        let mut life = running(WhenEnded::PowerOff);
        if asked {
            life.step(1, Event::EndRequested(Ending::PowerOff));
        }
        let effects = life.step(2, Event::Ended(Child::Program, status));
        assert_eq!(effects.len() == 2, is_failure, "{status:?} {asked} {effects:?}");
    }
}

#[test]
fn whoever_asks_says_what_follows() {
    for when_ended in [WhenEnded::PowerOff, WhenEnded::Reboot, WhenEnded::Restart, WhenEnded::Halt] {
        for asked in [Ending::PowerOff, Ending::Reboot, Ending::Halt] {
            let mut life = running(when_ended);
            assert_eq!(life.step(1, Event::EndRequested(asked)), [Effect::SignalProgram(SIGTERM)]);
            life.step(2, ended(0));
            assert_eq!(ending(&mut life, 3), (asked, true), "{when_ended:?}");
        }
    }
}

#[test]
fn the_last_word_is_obeyed_until_it_is_done() {
    let mut life = running(WhenEnded::PowerOff);
    life.step(1, Event::EndRequested(Ending::Reboot));
    assert_eq!(life.step(2, Event::EndRequested(Ending::PowerOff)), []);
    life.step(3, ended(0));
    assert_eq!(life.step(4, Event::EndRequested(Ending::Halt)), []);
    assert_eq!(ending(&mut life, 5), (Ending::Halt, true));
    assert_eq!(life.step(6, Event::EndRequested(Ending::Reboot)), [], "it is too late");
}

#[test]
fn a_program_is_started_again_with_growing_pauses() {
    let mut life = running(WhenEnded::Restart);
    let mut now = 0;
    let mut pauses = Vec::new();
    for restart in 1..=8 {
        // That it ended well makes no difference.
        let status = restart % 2;
        let effects = life.step(now, ended(status));
        let due = life.deadline().unwrap();
        let text = format!(
            "the program ended with status {status}; restart {restart} follows in {} s",
            (due - now) / 1000
        );
        let told = Effect::Tell(FromMachine::Warning(text));
        assert_eq!(effects[usize::from(status != 0)..], [Effect::EndLeftOvers, told]);
        assert_eq!(life.step(due - 1, Event::DeadlineReached), []);
        pauses.push(due - now);
        now = due;
        assert_eq!(life.step(now, Event::DeadlineReached), [Effect::StartProgram]);
    }
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    life.step(now + 100_000, ended(0));
    assert_eq!(life.deadline(), Some(now + 101_000), "it worked for long");
}

#[test]
fn a_program_that_cannot_be_started_is_tried_again_too() {
    let mut life = running(WhenEnded::Restart);
    let effects = life.step(1, Event::NotStarted(Child::Program, "no memory".into()));
    let text = "no memory; restart 1 follows in 1 s";
    assert_eq!(effects[2..], [Effect::Tell(FromMachine::Warning(text.into()))]);
    assert_eq!(life.step(1_001, Event::DeadlineReached), [Effect::StartProgram]);
}

#[test]
fn a_request_in_a_pause_ends_the_machine_at_once() {
    let mut life = running(WhenEnded::Restart);
    life.step(1, ended(5));
    assert_eq!(life.step(2, Event::EndRequested(Ending::PowerOff)), [Effect::SignalAll(SIGTERM)]);
    let outcome = Outcome::Exited(5);
    let end = End { outcome, ending: Ending::PowerOff, asked: true };
    assert_eq!(life.step(3, Event::AllGone), [Effect::End(end)]);
    assert_eq!(life.deadline(), None);
}

#[test]
fn roles_are_kept_in_a_pause() {
    let mut life = Life::new(Terms { network: true, ..terms(WhenEnded::Restart) });
    life.step(0, Event::Up);
    life.step(1, ended(5));
    assert_eq!(life.step(2, Event::Ended(Child::Net, Status::Exited(1))).len(), 1);
    assert_eq!(life.step(1_001, Event::DeadlineReached), [Effect::StartProgram]);
    assert_eq!(life.step(1_002, Event::DeadlineReached), [Effect::StartNet]);
}

#[test]
fn a_program_without_its_files_is_not_started_by_trying_again() {
    for (when_ended, expected) in [
        (WhenEnded::Restart, Ending::Reboot),
        (WhenEnded::Reboot, Ending::Reboot),
        (WhenEnded::Halt, Ending::Halt),
    ] {
        let mut life = Life::new(Terms { storage: true, ..terms(when_ended) });
        life.step(0, Event::Up);
        let (target, why) = ("/perm".to_owned(), "there is no such disk".to_owned());
        life.step(1, Event::Storage(StorageReport::Failed { target, why }));
        assert_eq!(ending(&mut life, 2), (expected, false));
    }
}

#[test]
fn units_may_want_the_machine_to_start_anew() {
    let mut life = running(WhenEnded::PowerOff);
    let over = Event::UnitsOver(Outcome::MachineFailed("a unit was given up".into()), Some(Ending::Reboot));
    assert_eq!(life.step(1, over.clone()), [Effect::SignalAll(SIGTERM)]);
    assert_eq!(ending(&mut life, 2), (Ending::Reboot, false));
    // A person at the button knows more than they do.
    let mut life = running(WhenEnded::PowerOff);
    life.step(1, Event::EndRequested(Ending::PowerOff));
    life.step(2, over);
    assert_eq!(ending(&mut life, 3), (Ending::PowerOff, true));
}

#[test]
fn a_program_that_ignores_the_request_is_killed_after_its_grace() {
    let mut life = running(WhenEnded::PowerOff);
    assert_eq!(life.step(100, Event::EndRequested(Ending::PowerOff)), [Effect::SignalProgram(SIGTERM)]);
    assert_eq!(
        life.step(200, Event::EndRequested(Ending::PowerOff)),
        [],
        "asking twice does not shorten the grace"
    );
    assert_eq!(life.deadline(), Some(10_100));
    assert_eq!(life.step(10_099, Event::DeadlineReached), []);
    assert_eq!(life.step(10_100, Event::DeadlineReached), [Effect::SignalProgram(SIGKILL)]);
    life.step(10_101, Event::Ended(Child::Program, Status::Signaled(SIGKILL)));
    let outcome = Outcome::Signaled { signal: SIGKILL, after_grace: true };
    assert_eq!(
        life.step(10_102, Event::AllGone),
        [Effect::End(End { outcome, ending: Ending::PowerOff, asked: true })]
    );
}

#[test]
fn orphans_are_ended_and_then_killed_and_then_left_behind() {
    let mut life = running(WhenEnded::PowerOff);
    life.step(0, Event::Ended(Child::Program, Status::Exited(0)));
    assert_eq!(life.deadline(), Some(1_000));
    assert_eq!(life.step(1_000, Event::DeadlineReached), [Effect::SignalAll(SIGKILL)]);
    assert_eq!(
        life.step(2_000, Event::DeadlineReached),
        [Effect::End(End { outcome: Outcome::Exited(0), ending: Ending::PowerOff, asked: false })]
    );
}
