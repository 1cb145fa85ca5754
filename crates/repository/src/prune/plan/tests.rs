use proptest::prelude::*;

use super::*;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
}

fn terms(oldest_session: Option<i64>) -> Terms {
    Terms { now: at(100), grace: SignedDuration::from_hours(24), oldest_session: oldest_session.map(at) }
}

/// A hundredth of a pack, in bytes.
const PART: u64 = 1_000;

/// Of it, so many hundredths are needed.
fn pack(used: u64, fate: Fate, modified: i64) -> PackFacts {
    let (size, used) = (100 * PART, used * PART);
    PackFacts { id: PackId([1; 32]), size, modified: at(modified), used, sought: false, fate, locked: None }
}

fn list(live: bool, fate: Fate, modified: i64) -> ListFacts {
    ListFacts { id: ListId([1; 32]), size: 10, modified: at(modified), live, fate, locked: None }
}

#[derive(Debug, PartialEq, Eq)]
enum Done {
    Kept,
    Marked,
    Waits,
    Rescued,
    Repacked,
    Condemned,
    Finished,
    Copied,
}

fn done(plan: &Plan) -> Done {
    match (plan.repack.len(), plan.mark.len(), plan.waiting.len(), plan.condemn.len()) {
        (0, 0, 0, 0) if plan.finish.len() == 1 => Done::Finished,
        (1, 0, 0, 0) if plan.finish.len() == 1 => Done::Copied,
        (1, 1, 0, 0) => Done::Repacked,
        (0, 1, 0, 0) => Done::Marked,
        (0, 0, 1, 0) => Done::Waits,
        (0, 0, 0, 1) => Done::Condemned,
        (0, 0, 0, 0) if plan.figures.rescued.objects == 1 => Done::Rescued,
        (0, 0, 0, 0) => Done::Kept,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_pack_gets_what_its_state_asks_for() {
    let (open, old, new) = (Fate::Open, Fate::Marked(at(70)), Fate::Marked(at(90)));
    let cases = [
        ("needed", pack(80, open, 0), None, Done::Kept),
        ("not needed", pack(0, open, 0), None, Done::Marked),
        ("stored by a session that runs", pack(0, open, 60), Some(50), Done::Kept),
        ("stored before any session that runs", pack(0, open, 40), Some(50), Done::Marked),
        ("stored since this run began", pack(0, open, 100), None, Done::Kept),
        ("needed for little", pack(20, open, 0), None, Done::Repacked),
        ("needed for little, by a session that runs", pack(20, open, 60), Some(50), Done::Kept),
        ("needed for half", pack(50, open, 0), None, Done::Kept),
        ("marked a while ago", pack(0, new, 0), None, Done::Waits),
        ("marked long ago", pack(0, old, 0), None, Done::Condemned),
        ("marked exactly the grace period ago", pack(0, Fate::Marked(at(76)), 0), None, Done::Condemned),
        ("marked long ago, a session is older", pack(0, old, 0), Some(60), Done::Waits),
        ("marked long ago, a session is as old", pack(0, old, 0), Some(70), Done::Waits),
        ("marked long ago, all sessions are younger", pack(0, old, 0), Some(71), Done::Condemned),
        ("marked long ago and needed", pack(80, old, 0), None, Done::Rescued),
        ("marked a while ago and needed", pack(80, new, 0), None, Done::Rescued),
        ("marked and needed for little", pack(20, old, 0), None, Done::Repacked),
        ("to be deleted", pack(0, Fate::Condemned, 0), Some(0), Done::Condemned),
        ("to be deleted and needed", pack(80, Fate::Condemned, 0), None, Done::Rescued),
        ("being deleted", pack(0, Fate::Settled, 0), Some(0), Done::Finished),
        ("being deleted and needed", pack(80, Fate::Settled, 0), None, Done::Copied),
        ("being deleted and needed for little", pack(20, Fate::Settled, 100), None, Done::Copied),
        ("marked in the future", pack(0, Fate::Marked(at(200)), 0), None, Done::Waits),
    ];
    for (what, pack, oldest_session, expected) in cases {
        assert_eq!(done(&plan(&[pack], &[], &terms(oldest_session))), expected, "{what}");
    }
}

#[test]
fn a_pack_that_is_needed_in_full_is_never_copied_however_little_its_chunks_take() {
    let overhead = OVERHEAD as u64;
    for (used, size) in [(69, 69 + overhead), (4_000, 4_000 + overhead), (1 << 25, (1 << 25) + overhead)] {
        let pack = PackFacts { size, used, ..pack(0, Fate::Open, 0) };
        assert_eq!(done(&plan(&[pack], &[], &terms(None))), Done::Kept, "{used} of {size}");
    }
    // Nor one whose copy would not be less than half as long.
    for (used, expected) in [(5_000 - overhead, Done::Kept), (4_999 - overhead, Done::Repacked)] {
        let pack = PackFacts { size: 10_000, used, ..pack(0, Fate::Open, 0) };
        assert_eq!(done(&plan(&[pack], &[], &terms(None))), expected, "{used}");
    }
}

#[test]
fn a_pack_that_may_hold_what_is_missing_is_kept_unless_it_was_settled() {
    for (fate, expected) in [
        (Fate::Open, Done::Kept),
        (Fate::Marked(at(70)), Done::Rescued),
        (Fate::Condemned, Done::Rescued),
        (Fate::Settled, Done::Finished),
    ] {
        let pack = PackFacts { sought: true, ..pack(0, fate, 0) };
        assert_eq!(done(&plan(&[pack], &[], &terms(None))), expected, "{fate:?}");
    }
}

#[test]
fn list_pages_are_treated_as_packs_are() {
    let cases = [
        (list(true, Fate::Open, 0), Done::Kept),
        (list(false, Fate::Open, 0), Done::Marked),
        (list(false, Fate::Open, 100), Done::Kept),
        (list(false, Fate::Marked(at(70)), 0), Done::Condemned),
        (list(false, Fate::Marked(at(90)), 0), Done::Waits),
        (list(true, Fate::Marked(at(70)), 0), Done::Rescued),
        (list(false, Fate::Condemned, 0), Done::Condemned),
        (list(true, Fate::Condemned, 0), Done::Rescued),
        (list(false, Fate::Settled, 0), Done::Finished),
        (list(true, Fate::Settled, 0), Done::Finished),
    ];
    for (list, expected) in cases {
        let plan = plan(&[], std::slice::from_ref(&list), &terms(None));
        assert_eq!(done(&plan), expected, "{list:?}");
    }
}

#[test]
fn without_a_grace_period_what_was_marked_before_goes_and_what_is_marked_now_stays() {
    let terms = Terms { grace: SignedDuration::ZERO, ..terms(None) };
    let packs = [pack(0, Fate::Open, 0), pack(0, Fate::Marked(at(100)), 0)];
    let plan = plan(&packs, &[], &terms);
    assert_eq!(plan.mark, [Object::Pack(0)]);
    assert_eq!(plan.condemn, [Object::Pack(1)]);
    assert_eq!(plan.figures.next_due, Some(at(100)));
}

#[test]
fn what_is_locked_is_never_condemned_and_marked_in_time() {
    let (open, old, gone) = (Fate::Open, Fate::Marked(at(70)), Fate::Condemned);
    // The time is hour 100, and the grace period 24 hours.
    let cases = [
        ("locked for longer than the grace period", open, 125, Done::Kept, Some(at(125))),
        ("the grace period ends with the lock", open, 124, Done::Marked, Some(at(124))),
        ("the lock ends before the grace period", open, 110, Done::Marked, Some(at(124))),
        ("the lock has ended", open, 100, Done::Marked, None),
        ("marked long ago, and locked", old, 130, Done::Waits, Some(at(130))),
        ("marked long ago, the lock has ended", old, 100, Done::Condemned, None),
        ("being deleted, and locked", gone, 130, Done::Waits, Some(at(130))),
        ("being deleted, the lock has ended", gone, 99, Done::Condemned, None),
    ];
    for (what, fate, until, expected, due) in cases {
        let locked = Some(at(until));
        let packs = [PackFacts { locked, ..pack(0, fate, 0) }];
        let lists = [ListFacts { locked, ..list(false, fate, 0) }];
        for (plan, bytes) in [(plan(&packs, &[], &terms(None)), 100 * PART), (plan(&[], &lists, &terms(None)), 10)] {
            assert_eq!(done(&plan), expected, "{what}");
            let figures = plan.figures;
            assert_eq!(figures.locked.bytes, if until > 100 { bytes } else { 0 }, "{what}");
            assert_eq!(figures.locked_until, (until > 100).then(|| at(until)), "{what}");
            assert_eq!(figures.freed_later.bytes, if expected == Done::Condemned { 0 } else { bytes }, "{what}");
            if let Some(due) = due {
                assert_eq!(figures.next_due, Some(due).filter(|_| fate != gone).or(Some(at(130))), "{what}");
            }
        }
    }
    // A lock does not keep from copying out of a pack: the copy is locked anew, and this one waits for its end.
    assert_eq!(done(&plan(&[pack(20, open, 0)], &[], &terms(None))), Done::Repacked);
}

fn fates() -> impl Strategy<Value = Fate> {
    let marked = (0_i64..110).prop_map(|hours| Fate::Marked(at(hours)));
    prop_oneof![Just(Fate::Open), marked, Just(Fate::Condemned), Just(Fate::Settled)]
}

proptest! {
    #[test]
    fn nothing_that_is_needed_is_condemned_and_the_figures_add_up(
        packs in prop::collection::vec((0_u64..=100, fates(), 0_i64..=101), 0..40),
        lists in prop::collection::vec((any::<bool>(), fates(), 0_i64..=101), 0..40),
        oldest_session in prop::option::of(0_i64..=100),
    ) {
        let packs: Vec<PackFacts> = packs.into_iter().map(|(used, fate, modified)| pack(used, fate, modified)).collect();
        let lists: Vec<ListFacts> = lists.into_iter().map(|(live, fate, modified)| list(live, fate, modified)).collect();
        let terms = terms(oldest_session);
        let plan = plan(&packs, &lists, &terms);
        for object in &plan.condemn {
            let (needed, fate) = match object {
                Object::Pack(number) => (packs[*number as usize].used > 0, packs[*number as usize].fate),
                Object::List(number) => (lists[*number as usize].live, lists[*number as usize].fate),
            };
            prop_assert!(!needed && fate != Fate::Open && fate != Fate::Settled, "{object:?}");
        }
        let settled = packs.iter().map(|pack| pack.fate).chain(lists.iter().map(|list| list.fate));
        prop_assert_eq!(plan.finish.len(), settled.filter(|fate| *fate == Fate::Settled).count());
        let mut copied = 0;
        for number in &plan.repack {
            let object = Object::Pack(*number);
            prop_assert!(plan.mark.contains(&object) != plan.finish.contains(&object));
            copied += if plan.finish.contains(&object) { packs[*number as usize].used } else { 0 };
        }
        for object in &plan.finish {
            let Object::Pack(number) = object else { continue };
            prop_assert_eq!(packs[*number as usize].used > 0, plan.repack.contains(number));
        }
        for object in &plan.mark {
            let Object::Pack(number) = object else { continue };
            prop_assert!(packs[*number as usize].used == 0 || plan.repack.contains(number));
        }
        let size = |object: &Object| match object {
            Object::Pack(number) => packs[*number as usize].size,
            Object::List(number) => lists[*number as usize].size,
        };
        let figures = plan.figures;
        prop_assert_eq!(figures.freed_now.bytes, plan.condemn.iter().chain(&plan.finish).map(size).sum::<u64>());
        let later = plan.mark.iter().chain(plan.waiting.iter().map(|(_, object)| object));
        prop_assert_eq!(figures.freed_later.bytes, later.map(size).sum::<u64>());
        let bytes: u64 = packs.iter().map(|pack| pack.size).sum::<u64>() + lists.iter().map(|list| list.size).sum::<u64>();
        prop_assert_eq!(figures.stored.bytes, bytes);
        prop_assert!(figures.live_bytes + figures.freed_now.bytes <= bytes + copied);
    }
}
