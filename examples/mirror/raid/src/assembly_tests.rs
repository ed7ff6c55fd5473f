//! Who may begin with whom.

use super::*;
use crate::head::Slot;
use crate::layout::Layout;

fn version(event: u64, stamp: u64) -> Version {
    Version { event, stamp }
}

/// The head of the member in `slot` of a mirror of `states`, at this version.
fn head(slot: u8, own: Version, parent: Version, states: &[State]) -> Head {
    let layout = Layout::fit(1 << 16, 512, 4).unwrap();
    let ids: Vec<u64> = (100..).take(states.len()).collect();
    let mut head = Head::new(1, layout, &ids, 0);
    head.slot = slot;
    head.version = own;
    head.parent = parent;
    head.generation = own.event;
    for (slot, state) in head.slots.iter_mut().zip(states) {
        slot.state = *state;
        slot.known = parent;
        slot.attempted = parent;
    }
    head
}

fn found(head: Head) -> Found {
    Found::Head(Box::new(head))
}

const GONE: fn() -> Found = || Found::Unreadable("no".into());
const OUT: State = State::Out { cursor: 9 };
const IN: State = State::InSync;

fn whole(slot: u8) -> Found {
    found(head(slot, version(5, 5), version(4, 4), &[IN, IN, IN]))
}

fn standings(found: &[Found]) -> Vec<Standing> {
    match decide(found, false) {
        Ok(Decision::Begin(_, standings)) => standings,
        other => panic!("{other:?}"),
    }
}

fn refusal(found: &[Found]) -> Refusal {
    decide(found, false).expect_err("it began")
}

#[test]
fn empty_disks_become_a_new_mirror_and_so_do_those_that_did_not_get_further_than_that() {
    assert!(matches!(decide(&[Found::Blank, Found::Blank], false), Ok(Decision::Make)));
    let unfinished = found(head(0, version(1, 1), version(0, 0), &[IN, IN]));
    assert!(matches!(decide(&[unfinished, Found::Blank], false), Ok(Decision::Make)));
    assert_eq!(refusal(&[Found::Foreign, Found::Blank]), Refusal::NoMember { foreign: vec![0] });
}

#[test]
fn a_member_of_a_mirror_that_never_began_is_as_good_as_an_empty_disk() {
    let mut unfinished = head(0, version(1, 1), version(0, 0), &[IN, IN, IN]);
    unfinished.array = 2;
    assert!(matches!(decide(&[found(unfinished.clone()), Found::Blank], false), Ok(Decision::Make)));
    // Not all of these are empty, or members that are enough.
    let refused = refusal(&[found(unfinished.clone()), Found::Foreign, Found::Blank]);
    assert_eq!(refused, Refusal::NoMember { foreign: vec![1] });
    let standings = standings(&[found(unfinished), whole(1), whole(2)]);
    assert_eq!(standings, [Standing::Anew(None), Standing::InSync(1), Standing::InSync(2)]);
}

#[test]
fn of_three_members_two_are_needed_and_of_two_both() {
    use Standing::InSync;
    assert_eq!(standings(&[whole(0), whole(1), whole(2)]), [InSync(0), InSync(1), InSync(2)]);
    assert_eq!(standings(&[whole(2), GONE(), whole(1)])[..1], [InSync(2)]);
    assert_eq!(refusal(&[whole(0), GONE(), GONE()]), Refusal::NoMajority { present: 1, in_sync: 3 });
    let pair = |slot| found(head(slot, version(5, 5), version(4, 4), &[IN, IN]));
    assert_eq!(standings(&[pair(0), pair(1)]), [InSync(0), InSync(1)]);
    assert_eq!(refusal(&[pair(0), GONE()]), Refusal::NoMajority { present: 1, in_sync: 2 });
    let Ok(Decision::Begin(forced, _)) = decide(&[pair(0), GONE()], true) else { panic!() };
    assert!(forced.is_forced);
}

#[test]
fn the_last_member_in_sync_may_begin_alone_and_the_others_may_not_without_it() {
    let last = || found(head(0, version(7, 7), version(6, 6), &[IN, OUT, OUT]));
    let older = || found(head(2, version(6, 6), version(5, 5), &[IN, OUT, IN]));
    let oldest = || found(head(1, version(5, 5), version(4, 4), &[IN, IN, IN]));
    assert_eq!(standings(&[last(), GONE(), GONE()])[0], Standing::InSync(0));
    assert_eq!(refusal(&[GONE(), oldest(), older()]), Refusal::NoMajority { present: 1, in_sync: 2 });
}

#[test]
fn a_stale_member_loses_and_gets_what_it_missed_if_its_history_is_the_mirrors() {
    let newest = |slot| {
        let mut head = head(slot, version(9, 9), version(8, 8), &[IN, IN, OUT]);
        head.slots[2] = Slot { known: version(5, 5), attempted: version(6, 6), ..head.slots[2].clone() };
        found(head)
    };
    let stale = |own| found(head(2, own, version(1, 1), &[IN, IN, IN]));
    for own in [version(5, 5), version(6, 6)] {
        assert_eq!(standings(&[newest(0), newest(1), stale(own)])[2], Standing::Delta(2));
    }
    for own in [version(4, 4), version(5, 77), version(7, 77), version(9, 77)] {
        let found = [newest(0), newest(1), stale(own)];
        assert_eq!(standings(&found)[2], Standing::Anew(Some(2)), "{own:?}");
    }
}

#[test]
fn a_head_that_not_all_members_got_before_the_crash_costs_no_member() {
    let ahead = found(head(0, version(6, 6), version(5, 5), &[IN, IN, IN]));
    use Standing::InSync;
    assert_eq!(standings(&[ahead, whole(1), whole(2)]), [InSync(0), InSync(1), InSync(2)]);
}

#[test]
fn a_head_that_never_counted_loses_to_the_majority_even_if_it_is_newer() {
    let alone = || found(head(0, version(6, 6), version(5, 5), &[IN, OUT, IN]));
    let both = |slot| found(head(slot, version(6, 7), version(5, 5), &[OUT, IN, IN]));
    assert_eq!(standings(&[alone(), both(1), both(2)])[0], Standing::Anew(Some(0)));
    assert_eq!(refusal(&[alone(), both(1), GONE()]), Refusal::NoMajority { present: 1, in_sync: 2 });
}

#[test]
fn two_halves_that_both_ran_alone_are_refused() {
    let half = |slot: u8, stamp| {
        let states = if slot == 0 { [IN, OUT] } else { [OUT, IN] };
        let mut head = head(slot, version(7, stamp), version(6, stamp), &states);
        head.is_forced = true;
        for slot in &mut head.slots {
            slot.known = version(5, 5);
            slot.attempted = version(5, 5);
        }
        found(head)
    };
    assert!(matches!(refusal(&[half(0, 70), half(1, 71)]), Refusal::BothRanAlone { .. }));
    let stayed = found(head(1, version(5, 5), version(4, 4), &[IN, IN]));
    assert_eq!(standings(&[half(0, 70), stayed]), [Standing::InSync(0), Standing::Delta(1)]);
}

#[test]
fn members_of_other_mirrors_copies_and_former_members_are_told_apart() {
    let mut other = head(1, version(5, 5), version(4, 4), &[IN, IN, IN]);
    other.array = 2;
    assert_eq!(refusal(&[whole(0), found(other), whole(2)]), Refusal::SeveralMirrors { ports: (0, 1) });
    assert_eq!(refusal(&[whole(0), whole(1), whole(1)]), Refusal::Twice { ports: (1, 2) });
    let mut former = head(2, version(3, 3), version(2, 2), &[IN, IN, IN]);
    former.slots[2].id = 55;
    assert!(matches!(standings(&[whole(0), whole(1), found(former)])[2], Standing::Unused(_)));
    assert_eq!(standings(&[whole(0), whole(1), Found::Blank])[2], Standing::Anew(None));
    assert!(matches!(standings(&[whole(0), whole(1), Found::Foreign])[2], Standing::Unused(_)));
}

#[test]
fn bits_that_only_some_members_got_count() {
    let mut ahead = head(0, version(5, 5), version(4, 4), &[IN, IN, IN]);
    ahead.generation += 1;
    ahead.intent.insert(3);
    let mut behind = head(1, version(5, 5), version(4, 4), &[IN, IN, IN]);
    behind.intent.insert(2);
    let Ok(Decision::Begin(merged, _)) = decide(&[found(ahead), found(behind), GONE()], false) else {
        panic!()
    };
    assert_eq!((merged.intent.iter().collect::<Vec<_>>(), merged.generation), (vec![2, 3], 6));
}
