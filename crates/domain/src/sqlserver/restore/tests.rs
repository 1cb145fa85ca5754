use super::super::chain::tests::{differential, full};
use super::super::log_chain::tests::{at, log};
use super::super::manifest::tests::{self as manifests, database, manifest};
use super::*;

const PLAIN: RestoreOptions =
    RestoreOptions { keep_cdc: false, data_file_volume: None, log_file_volume: None, until: None };

fn point(id: &str, databases: Vec<Database>) -> PointManifest {
    PointManifest { point: id.parse().unwrap(), manifest: manifest(databases) }
}

#[test]
fn a_full_backup_is_enough_and_a_differential_needs_its_own() {
    let base = full(1);
    let points = [
        point("pnt-full", vec![database("shop", base.clone()), database("crm", full(2))]),
        point("pnt-diff", vec![database("shop", differential(3, &base)), database("crm", full(4))]),
    ];
    let (under, over) = (&points[0].manifest.databases[0], &points[1].manifest.databases[0]);
    assert_eq!(
        steps(&points, "shop", PLAIN).unwrap(),
        [
            Step::Apply { backup: under, more_follows: true },
            Step::Apply { backup: over, more_follows: true },
            Step::Finish
        ]
    );
    let keep_cdc = RestoreOptions { keep_cdc: true, ..PLAIN };
    assert_eq!(
        steps(&points, "shop", keep_cdc).unwrap(),
        [Step::Apply { backup: under, more_follows: true }, Step::Apply { backup: over, more_follows: false }]
    );
    let mut copies = points.clone();
    (copies[0].point, copies[1].point) = ("pnt-full-copy".parse().unwrap(), "pnt-diff-copy".parse().unwrap());
    assert_eq!(steps(&copies, "shop", PLAIN), steps(&points, "shop", PLAIN));
    let alone = steps(&points, "crm", PLAIN).unwrap();
    assert_eq!(alone, [Step::Apply { backup: &points[1].manifest.databases[1], more_follows: false }]);
    assert_eq!(steps(&points, "x", PLAIN).unwrap_err(), Refused::Unknown(vec!["shop".into(), "crm".into()]));
    assert_eq!(steps(&points[1..], "shop", PLAIN).unwrap_err(), Refused::NoFull("pnt-full".into()));
    let other = [point("pnt-full", vec![database("shop", full(2))]), points[1].clone()];
    assert_eq!(steps(&other, "shop", PLAIN).unwrap_err(), Refused::OtherFull(Broken::Overtaken));
}

#[test]
fn log_backups_follow_up_to_the_moment() {
    // It ends at record 109, and holds the state of minute 10.
    let under = Database { consistent_at: at(10), ..database("shop", full(1)) };
    let good = [log(11, 100, 120), log(12, 120, 130), log(13, 130, 140)];
    let point_of = |logs: &[LogBackup]| {
        [point("pnt-full", vec![under.clone()]), point("pnt-log", vec![manifests::logs("shop", logs)])]
    };
    let points = point_of(&good);
    let until = |until| RestoreOptions { until: Some(until), ..PLAIN };
    let half = |minute| at(minute) + jiff::SignedDuration::from_secs(30);
    // On a clock that is an hour ahead.
    let on_clock = |half: Timestamp| server::offset(60).to_datetime(half);
    // Which log backups, where the last one stops, and whether its end is told by itself.
    let cases = [
        (PLAIN, Ok((vec![11, 12, 13], None, true))),
        (RestoreOptions { keep_cdc: true, ..PLAIN }, Ok((vec![11, 12, 13], None, false))),
        (until(at(12)), Ok((vec![11, 12], Some(on_clock(at(12))), true))),
        (until(half(11)), Ok((vec![11, 12], Some(on_clock(half(11))), true))),
        (RestoreOptions { keep_cdc: true, ..until(half(10)) }, Ok((vec![11], Some(on_clock(half(10))), false))),
        (until(at(10)), Ok((vec![11], Some(on_clock(at(10))), true))),
        (until(at(9)), Err(Refused::OutOfRange { from: at(10), to: at(13) })),
        (until(half(13)), Err(Refused::OutOfRange { from: at(10), to: at(13) })),
    ];
    for (options, expected) in cases {
        let told = steps(&points, "shop", options).map(|steps| {
            let logs: Vec<_> = steps
                .iter()
                .filter_map(|step| match step {
                    Step::Log { log, stop_at, more_follows, .. } => Some((log.sequence, *stop_at, *more_follows)),
                    _ => None,
                })
                .collect();
            assert!(matches!(steps[0], Step::Apply { more_follows: true, .. }), "{steps:?}");
            let (last, others) = logs.split_last().unwrap();
            assert!(others.iter().all(|(_, stop_at, more)| stop_at.is_none() && *more), "{logs:?}");
            let is_told = steps.last() == Some(&Step::Finish);
            assert_eq!(last.2, is_told);
            (logs.iter().map(|(sequence, ..)| *sequence).collect::<Vec<_>>(), last.1, is_told)
        });
        assert_eq!(told, expected, "{options:?}");
    }
    let mut moved = points.clone();
    moved[1].manifest.utc_offset_minutes = 0;
    assert_eq!(steps(&moved, "shop", until(half(11))), Err(Refused::ClockChanged { full: 60, last: 0 }));
    assert!(steps(&moved, "shop", PLAIN).is_ok());
    let hole = Refused::Gap(Gap::Missing { before: 11, after: 13 });
    assert_eq!(steps(&point_of(&[good[0].clone(), good[2].clone()]), "shop", PLAIN), Err(hole));
    let alone = [point("pnt-full", vec![under.clone()])];
    assert_eq!(steps(&alone, "shop", until(at(10))), Err(Refused::OneMoment(at(10))));
    assert_eq!(steps(&points[1..], "shop", PLAIN), Err(Refused::NoFull("pnt-full".into())));
    let nameless = Database { backup_set: None, ..under.clone() };
    let unknown = [point("pnt-full", vec![nameless]), points[1].clone()];
    assert_eq!(steps(&unknown, "shop", PLAIN), Err(Refused::OtherFull(Broken::NoBase)));
}

fn task(id: u64, kind: TaskType, lifecycle: Lifecycle, arn: &str) -> Task {
    Task {
        id: TaskId(id),
        kind,
        database: "shop".into(),
        percent: None,
        lifecycle,
        info: String::new(),
        last_updated: String::new(),
        object_arn: arn.into(),
    }
}

#[test]
fn an_interrupted_restore_goes_on_where_its_tasks_stand() {
    use Lifecycle::{Cancelled, Error, InProgress, Success};
    use TaskType::{FinishRestore, RestoreDbDifferentialNorecovery, RestoreDbNorecovery};
    let base = full(1);
    let points = [
        point("pnt-full", vec![database("shop", base.clone())]),
        point("pnt-diff", vec![database("shop", differential(3, &base))]),
    ];
    let arn = |step: &Step<'_>| match step {
        Step::Apply { backup, .. } => Some(backup.backup_type.as_str().to_owned()),
        Step::Log { log, .. } => Some(log.sequence.to_string()),
        Step::Finish => None,
    };
    let steps = steps(&points, "shop", PLAIN).unwrap();
    let requests: Vec<_> = steps.iter().map(|step| Request::new(step, arn)).collect();
    let first = |id, lifecycle| task(id, RestoreDbNorecovery, lifecycle, "full");
    let second = |id, lifecycle| task(id, RestoreDbDifferentialNorecovery, lifecycle, "differential");
    let finish = |id, lifecycle| task(id, FinishRestore, lifecycle, "");
    let ended = |tasks: &[Task], given_up| match standing(&requests, tasks, given_up) {
        Standing::Ask(step) => format!("ask {step}"),
        Standing::Wait(step, task) => format!("wait {step} {}", task.id),
        Standing::Failed(step, task) => format!("failed {step} {}", task.id),
        Standing::Done => "done".to_owned(),
    };
    let cases = [
        (vec![], "ask 0"),
        (vec![finish(1, Success)], "ask 0"),
        (vec![first(2, InProgress)], "wait 0 2"),
        (vec![first(2, Error), first(5, InProgress)], "wait 0 5"),
        (vec![first(2, Success)], "ask 1"),
        (vec![first(2, Success), second(3, Error)], "failed 1 3"),
        (vec![first(2, Success), second(3, Success)], "ask 2"),
        // Somebody else's restore of the same name has ended before.
        (vec![finish(1, Success), first(2, Success), second(3, Success)], "ask 2"),
        (vec![first(2, Success), second(3, Success), finish(4, InProgress)], "wait 2 4"),
        (vec![first(2, Success), second(3, Success), finish(4, Success)], "done"),
    ];
    for (tasks, expected) in cases {
        assert_eq!(ended(&tasks, None), expected, "{tasks:?}");
    }
    // Attempts of workers that were stopped: a task is cancelled, or the database is gone after what was done.
    let cases = [
        (vec![], false, None, "ask 0"),
        (vec![first(2, InProgress)], false, None, "wait 0 2"),
        (vec![first(2, Error)], false, None, "failed 0 2"),
        (vec![first(2, Success)], true, None, "ask 1"),
        (vec![first(2, Success)], false, Some(2), "ask 0"),
        (vec![first(2, Cancelled)], true, Some(2), "ask 0"),
        (vec![first(2, Success), second(3, Cancelled)], true, Some(3), "ask 0"),
        (vec![first(2, Cancelled), first(4, Success)], true, Some(2), "ask 1"),
        (vec![first(2, Success), second(3, Success), finish(4, Success)], false, Some(3), "ask 0"),
    ];
    for (tasks, is_there, last, expected) in cases {
        let found = given_up(&requests, &tasks, is_there);
        assert_eq!(found, last.map(TaskId), "{tasks:?}");
        assert_eq!(ended(&tasks, found), expected, "{tasks:?}");
    }
    // The end of an attempt that was given up is not that of the next one.
    let again = [first(2, Success), second(3, Success), finish(4, Success), first(5, Success), second(6, Success)];
    assert_eq!(ended(&again, Some(TaskId(3))), "ask 2");
    assert_eq!(begun_as(&requests, &[first(2, Error)]), Some("shop"));
    assert_eq!(begun_as(&requests, &[second(3, Error)]), None);
}

#[test]
fn a_swap_goes_on_from_wherever_it_was_left() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let cases = [
        (names(&["new", "shop"]), Swap::MoveAside),
        (names(&["new", "old"]), Swap::TakeName),
        (names(&["new"]), Swap::TakeName),
        (names(&["shop", "old"]), Swap::Done),
        // It cannot be told from the old one.
        (names(&["shop"]), Swap::Gone),
        (names(&["new", "shop", "old"]), Swap::Taken),
        (names(&["old"]), Swap::Gone),
        (names(&[]), Swap::Gone),
    ];
    for (existing, expected) in cases {
        assert_eq!(swap(&existing, "new", "shop", "old"), expected, "{existing:?}");
    }
}
