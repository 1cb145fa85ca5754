use proptest::prelude::*;

use super::*;
use crate::postgres::archive::Entry;

const MIB: u64 = 1 << 20;

fn name(table: &str) -> (String, String) {
    ("shop".into(), table.into())
}

fn large(table: &str, streams: &[u64]) -> LargeTable {
    LargeTable { name: name(table), streams: streams.to_vec(), elsewhere: false }
}

fn relation(table: &str, partitions: &[&str]) -> Relation {
    Relation { name: name(table), kind: RelationKind::Table(partitions.iter().map(|part| name(part)).collect()) }
}

fn entry(id: i64, kind: &str, tag: &str, needs: &[i64]) -> Entry {
    Entry::sample(id, kind, Some("shop"), tag, needs)
}

/// Two large tables, a small one, a partitioned one with a large and a small partition.
fn archive() -> Vec<Entry> {
    vec![
        entry(1, "TABLE", "orders", &[]),
        entry(2, "TABLE", "customers", &[]),
        entry(3, "TABLE", "things", &[]),
        entry(4, "TABLE", "log", &[]),
        entry(5, "TABLE", "log_1", &[]),
        entry(6, "TABLE", "log_2", &[]),
        entry(7, "FUNCTION", "f()", &[]),
        entry(10, "CONSTRAINT", "customers customers_pkey", &[2]),
        entry(11, "CONSTRAINT", "orders orders_pkey", &[1]),
        entry(12, "CONSTRAINT", "things things_pkey", &[3]),
        entry(20, "INDEX", "orders_by_customer", &[1]),
        entry(21, "INDEX", "orders_by_total", &[1]),
        entry(22, "INDEX", "orders_by_f", &[1, 7]),
        entry(23, "INDEX", "log_at", &[4]),
        entry(24, "INDEX", "log_1_at", &[5]),
        entry(25, "INDEX", "log_2_at", &[6]),
        entry(26, "INDEX ATTACH", "log_1_at", &[23, 24]),
        entry(27, "INDEX ATTACH", "log_2_at", &[23, 25]),
        entry(30, "STATISTICS", "stats", &[1]),
        entry(40, "FK CONSTRAINT", "orders orders_customer", &[1, 10, 2]),
        entry(41, "TRIGGER", "orders touch", &[1, 7]),
    ]
}

fn after_rows(entries: &[Entry]) -> BTreeSet<i64> {
    entries.iter().map(|entry| entry.id).filter(|id| *id >= 10).collect()
}

fn course(tables: &[LargeTable], relations: &[Relation], lanes: usize) -> Course {
    let entries = archive();
    let after_rows = after_rows(&entries);
    Course::new(&Facts { entries: &entries, after_rows: &after_rows, tables, archive: Some(MIB), relations }, lanes)
}

fn tables() -> Vec<LargeTable> {
    vec![large("orders", &[100 * MIB, 90 * MIB]), large("customers", &[30 * MIB]), large("log_1", &[20 * MIB])]
}

fn relations() -> Vec<Relation> {
    let other = |table: &str, kind| Relation { name: name(table), kind };
    vec![
        relation("orders", &[]),
        relation("customers", &[]),
        relation("things", &[]),
        relation("log", &["log_1", "log_2"]),
        other("totals", RelationKind::View),
        other("pg_class", RelationKind::Late),
    ]
}

/// Carries tasks out one by one until nothing can be begun, but for those that `holds` keeps waiting.
fn carry_out(course: &mut Course, holds: impl Fn(Step) -> bool) -> Vec<Vec<Step>> {
    let mut done = Vec::new();
    while let Some(task) = course.next_task() {
        if task.steps.iter().any(|step| holds(*step)) {
            continue;
        }
        course.done(&task);
        done.push(task.steps);
    }
    done
}

fn steps(done: &[Vec<Step>]) -> Vec<Step> {
    done.concat()
}

#[test]
fn the_heaviest_goes_first_and_a_table_s_indexes_do_not_wait_for_other_rows() {
    let mut course = course(&tables(), &[], 2);
    let done = carry_out(&mut course, |step| step == Step::Rows(1, 0));
    let order = steps(&done);
    assert_eq!(order[..2], [Step::Rows(0, 0), Step::Rows(0, 1)]);
    let heavy = [Step::Entry(11), Step::Entry(20), Step::Entry(21)];
    assert!(heavy.iter().all(|step| order[2..6].contains(step)), "{order:?}");
    let of_log = order.iter().position(|step| *step == Step::Rows(2, 0)).unwrap();
    assert!(of_log > 4, "lighter rows come after heavier indexes: {order:?}");
    // With the rows of `customers` outstanding: their key, what needs it, what needs all rows.
    for waits in [10, 22, 26, 40, 41] {
        assert!(!order.contains(&Step::Entry(waits)), "{waits} in {order:?}");
    }
    assert_eq!(course.stage(), Stage::Data);
}

#[test]
fn small_items_share_a_task_and_heavy_ones_do_not() {
    let mut course = course(&tables(), &[], 2);
    let done = carry_out(&mut course, |_| false);
    let together = done.iter().find(|steps| steps.contains(&Step::Entry(12))).unwrap();
    assert!(together.len() > 1 && together.contains(&Step::Entry(25)), "{done:?}");
    assert!(done.contains(&vec![Step::Entry(20)]), "{done:?}");
    assert_eq!(done.last(), Some(&vec![Step::Closing]));
    assert_eq!((course.stage(), course.next_task()), (Stage::Over, None));
}

#[test]
fn no_two_lanes_wait_for_one_lock() {
    let mut course = course(&[large("orders", &[MIB])], &[], 4);
    let mut rows = Vec::new();
    for _ in 0..2 {
        rows.push(course.next_task().unwrap());
    }
    assert!(rows.iter().all(|task| matches!(task.steps[..], [Step::Rows(0, 0) | Step::Archive])), "{rows:?}");
    rows.iter().for_each(|task| course.done(task));
    // Everything is light now: one task takes them, and with the constraint in it holds the tables alone.
    let first = course.next_task().unwrap();
    assert!(first.steps.len() > 5, "{first:?}");
    assert_eq!(course.next_task(), None);

    let mut course = self::course(&tables(), &[], 4);
    carry_out(&mut course, |step| matches!(step, Step::Entry(11)));
    let entries = archive();
    let beside: Vec<_> = entries.iter().filter(|entry| entry.needs.contains(&1)).map(|entry| entry.id).collect();
    assert!(beside.contains(&20));
    assert_eq!(course.stage(), Stage::Indexes);
    let left: BTreeSet<_> = course.ready.iter().filter_map(|(_, _, index)| course.items[*index].step).collect();
    assert_eq!(left, [20, 21, 22, 30, 40, 41].map(Step::Entry).into(), "what is on the table that a key is made for");
}

#[test]
fn two_indexes_of_one_table_are_built_side_by_side() {
    let entries: Vec<_> = archive().into_iter().filter(|entry| entry.id != 11).collect();
    let after_rows = after_rows(&entries);
    let tables = tables();
    let facts = Facts { entries: &entries, after_rows: &after_rows, tables: &tables, archive: None, relations: &[] };
    let mut course = Course::new(&facts, 2);
    for _ in 0..2 {
        let rows = course.next_task().unwrap();
        course.done(&rows);
    }
    assert_eq!(course.next_task().unwrap().steps, [Step::Entry(20)]);
    assert_eq!(course.next_task().unwrap().steps, [Step::Entry(21)]);
}

#[test]
fn statistics_fill_the_gaps_once_what_they_depend_on_is_there() {
    let mut course = course(&tables(), &relations(), 2);
    let order = steps(&carry_out(&mut course, |_| false));
    let place = |step: Step| order.iter().position(|other| *other == step).unwrap_or_else(|| panic!("no {step:?}"));
    for (analyze, needs) in [
        (0, [20, 21, 22, 11, 30].map(Step::Entry).to_vec()),
        (1, vec![Step::Rows(1, 0), Step::Entry(10)]),
        (2, vec![Step::Archive, Step::Entry(12)]),
        (3, vec![Step::Archive, Step::Rows(2, 0), Step::Entry(24), Step::Entry(25)]),
        (4, vec![Step::Closing]),
        (5, vec![Step::Entry(40)]),
    ] {
        for step in needs {
            assert!(place(Step::Analyze(analyze)) > place(step), "{analyze} before {step:?}: {order:?}");
        }
    }
    let last = order.iter().rposition(|step| !matches!(step, Step::Analyze(_))).unwrap();
    assert_eq!(order[last], Step::Closing);

    // A lane with nothing else to do gathers statistics while another loads.
    let mut course = self::course(&tables(), &relations(), 2);
    let held = carry_out(&mut course, |step| step == Step::Rows(1, 0));
    assert!(steps(&held).contains(&Step::Analyze(2)), "{held:?}");
}

#[test]
fn where_rows_wander_between_tables_every_index_waits_for_all_of_them() {
    let mut tables = tables();
    tables[2].elsewhere = true;
    let mut course = course(&tables, &[], 2);
    let order = steps(&carry_out(&mut course, |step| step == Step::Archive));
    assert_eq!(order, [Step::Rows(0, 0), Step::Rows(0, 1), Step::Rows(1, 0), Step::Rows(2, 0)]);
}

#[test]
fn an_index_that_alters_its_table_has_it_alone() {
    let mut entries = archive();
    for entry in &mut entries {
        entry.alters = entry.id == 20;
    }
    entries.retain(|entry| entry.id != 11);
    let after_rows = after_rows(&entries);
    let tables = tables();
    let facts = Facts { entries: &entries, after_rows: &after_rows, tables: &tables, archive: None, relations: &[] };
    let mut course = Course::new(&facts, 2);
    for _ in 0..2 {
        let rows = course.next_task().unwrap();
        course.done(&rows);
    }
    assert_eq!(course.next_task().unwrap().steps, [Step::Entry(20)]);
    assert_ne!(course.next_task().unwrap().steps, [Step::Entry(21)]);
}

#[test]
fn nothing_to_do_is_over_after_its_closing() {
    let after_rows = BTreeSet::new();
    let facts = Facts { entries: &[], after_rows: &after_rows, tables: &[], archive: None, relations: &[] };
    let mut course = Course::new(&facts, 2);
    assert_eq!(steps(&carry_out(&mut course, |_| false)), [Step::Closing]);
    assert_eq!(course.stage(), Stage::Over);
}

proptest! {
    /// Whatever ends first: each step is done once, after what it needs, and never beside what locks it out.
    #[test]
    fn every_order_of_endings_is_sound(
        kinds in prop::collection::vec((0_usize..6, prop::collection::vec(0_usize..40, 0..4)), 0..40),
        ends in prop::collection::vec(0_usize..8, 200),
        lanes in 1_usize..5,
        wander in any::<bool>(),
    ) {
        const KINDS: [&str; 6] = ["INDEX", "CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "STATISTICS", "INDEX ATTACH"];
        let mut entries: Vec<Entry> = (0..8).map(|id| entry(id, "TABLE", &format!("t{id}"), &[])).collect();
        for (place, (kind, needs)) in kinds.iter().enumerate() {
            let needs: Vec<i64> = needs.iter().map(|need| (*need % (8 + place)) as i64).collect();
            entries.push(entry(8 + place as i64, KINDS[*kind], &format!("e{place}"), &needs));
        }
        let after_rows: BTreeSet<i64> = entries.iter().map(|entry| entry.id).filter(|id| *id >= 8).collect();
        let mut tables: Vec<_> = (0..4).map(|id| large(&format!("t{id}"), &[20 * MIB, MIB])).collect();
        tables[0].elsewhere = wander;
        let relations: Vec<_> = (0..8).map(|id| relation(&format!("t{id}"), &[])).collect();
        let facts = Facts { entries: &entries, after_rows: &after_rows, tables: &tables, archive: Some(1), relations: &relations };
        let mut course = Course::new(&facts, lanes);
        let (mut done, mut running) = (Vec::new(), Vec::<Task>::new());
        let mut ends = ends.into_iter().cycle();
        loop {
            while running.len() < lanes && let Some(task) = course.next_task() {
                running.push(task);
            }
            if running.is_empty() {
                break;
            }
            for number in running.iter().flat_map(|task| &task.steps) {
                let Step::Entry(number) = number else { continue };
                let entry = entries.iter().find(|entry| entry.id == *number).unwrap();
                for need in entry.needs.iter().filter(|need| **need >= 8) {
                    prop_assert!(done.contains(&Step::Entry(*need)));
                }
                for table in entry.needs.iter().filter(|need| (0..4).contains(*need)) {
                    prop_assert!((0..2).all(|stream| done.contains(&Step::Rows(*table as usize, stream))));
                }
            }
            let task = running.remove(ends.next().unwrap() % running.len());
            course.done(&task);
            done.extend(task.steps);
        }
        prop_assert_eq!(course.stage(), Stage::Over);
        prop_assert_eq!(done.len(), done.iter().copied().collect::<BTreeSet<_>>().len());
        prop_assert_eq!(done.len(), 8 + 1 + kinds.len() + 1 + relations.len());
    }
}
