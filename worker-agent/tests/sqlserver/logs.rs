//! Log backups: what RDS has taken since the full one is stored, and brings a database to any moment since.

use std::sync::atomic::Ordering;
use std::time::Duration;

use haulier_cloud::doubles::{Fault as BucketFault, Rule};
use haulier_domain::clash::OnClash;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_worker_agent::mover::sinks::Stopped;
use haulier_worker_agent::sqlserver::{self, BackupJob, Context, FullPoint, Pace, RestoreJob};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use crate::gate::Gate;
use crate::instance::Fault;
use crate::scene::{Scene, failure, wanted};

const OPERATORS: &str = "arn:aws:s3:::operators-logs/x";

/// A full point of `shop` with `s1`, and a log point with what was in it later, and since when.
async fn two_points() -> (Scene, FullPoint, FullPoint, Vec<(Timestamp, &'static str)>) {
    let scene = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    let mut since = Vec::new();
    for contents in [&["s2", "s3"][..], &["s4"]] {
        since.extend(contents.iter().map(|content| (scene.instance.change("shop", content), *content)));
        scene.instance.back_up_logs();
    }
    let log = scene.log_point("ses-2", "pnt-log", &full).await;
    (scene, full, log, since)
}

#[tokio::test(start_paused = true)]
async fn a_log_point_has_every_log_backup_since_the_full_one() {
    let scene = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
    scene.instance.copies_logs_to(OPERATORS);
    scene.instance.back_up_logs();
    let full = scene.point("ses-1", "pnt-full", None).await;
    let mut last = Timestamp::UNIX_EPOCH;
    for (session, expected) in [("ses-2", 1), ("ses-3", 2)] {
        scene.instance.change("shop", session);
        last = scene.instance.back_up_logs();
        let next = scene.next(session);
        let outcome = next.back_up(next.log_job(&full)).await.unwrap();
        assert_eq!(outcome.warnings, Vec::<String>::new());
        for (database, shown) in outcome.manifest.databases.iter().zip(&outcome.summary.databases) {
            assert_eq!((database.backup_type, database.consistent_at), (BackupType::Log, last));
            assert_eq!((database.files.len(), database.logs().count()), (expected, expected));
            assert_eq!(database.stands_on, "pnt-full".parse().ok());
            assert!(shown.restorable_from.is_some_and(|from| from < last), "{shown:?}");
        }
        let tasks = next.memory.submitted.lock().unwrap().clone();
        assert_eq!(tasks.len(), 2, "{tasks:?}");
        assert!(tasks.iter().all(|task| task.object_arn == format!("arn:aws:s3:::temp/{session}/log")), "{tasks:?}");
        // As the operators had it.
        assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS));
    }
    assert!(last > Timestamp::UNIX_EPOCH);
}

#[tokio::test(start_paused = true)]
async fn a_database_comes_back_as_it_was_at_any_moment() {
    let (source, full, log, since) = two_points().await;
    source.instance.change("shop", "s5");
    let second = SignedDuration::from_secs(1);
    let moments = since.iter().map(|(at, content)| (Some(*at), *content));
    let before = [(Some(since[0].0 - second), "s1"), (None, "s4")];
    for (number, (until, expected)) in moments.chain(before).enumerate() {
        let scene = source.next("ses-3");
        let name = format!("copy{number}");
        for keep_cdc in [false, true] {
            let name = format!("{name}{keep_cdc}");
            let job = scene.restore_job(&[&full, &log], vec![wanted("shop", &name, OnClash::Refuse)]);
            let options = RestoreOptions { until, keep_cdc, ..RestoreOptions::default() };
            scene.restore(RestoreJob { options, ..job }).await.unwrap();
            let database = scene.instance.database(&name);
            assert_eq!((database.content.as_str(), database.restoring), (expected, false), "{until:?}");
            assert_eq!(database.keeps_cdc, keep_cdc);
            assert!(scene.store.keys().is_empty(), "{:?}", scene.store.keys());
        }
    }
    assert_eq!(source.instance.contents()["shop"], "s5");
}

#[tokio::test(start_paused = true)]
async fn a_moment_that_the_point_does_not_hold_is_refused_with_those_it_holds() {
    let (source, full, log, since) = two_points().await;
    let (hour, scene) = (SignedDuration::from_hours(1), source.next("ses-3"));
    let told = async |points: &[&FullPoint], until| {
        let job = scene.restore_job(points, vec![wanted("shop", "copy", OnClash::Refuse)]);
        let options = RestoreOptions { until: Some(until), ..RestoreOptions::default() };
        failure(scene.restore(RestoreJob { options, ..job }).await)
    };
    for (points, until) in [
        (&[&full, &log][..], since[0].0 - hour),
        (&[&full, &log], since[2].0 + hour),
        // It holds one moment alone.
        (&[&full], since[0].0),
    ] {
        let failure = told(points, until).await;
        assert_eq!(failure.code, "restore-moment-unavailable", "{failure}");
        assert!(failure.cause.contains("2026-11-20T02:00:0"), "{failure}");
    }
    assert!(!scene.instance.names().contains(&"copy".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_gap_makes_a_full_backup_and_a_warning() {
    type Break = fn(&Scene);
    let cases: [(&str, Break); 3] = [
        ("no log backup begins where", |_| {}),
        ("records are missing", |scene| {
            scene.instance.back_up_logs();
            scene.instance.break_log();
            scene.instance.back_up_logs();
        }),
        ("has lost the history", |scene| {
            scene.instance.back_up_logs();
            scene.instance.forget("shop");
        }),
    ];
    for (why, breaks) in cases {
        let scene = Scene::new(&[("shop", "s1")]);
        scene.instance.copies_logs_to(OPERATORS);
        let full = scene.point("ses-1", "pnt-full", None).await;
        breaks(&scene);
        let next = scene.next("ses-2");
        let outcome = next.back_up(next.log_job(&full)).await.unwrap();
        let database = &outcome.manifest.databases[0];
        assert_eq!((database.backup_type, &database.stands_on), (BackupType::Full, &None), "{why}");
        assert!(outcome.warnings.len() == 1 && outcome.warnings[0].contains(why), "{:?}", outcome.warnings);
        assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn snapshots_and_other_full_backups_break_no_log() {
    let (source, full, _, since) = two_points().await;
    source.instance.snapshot();
    source.point("ses-3", "pnt-other", None).await;
    source.instance.back_up_logs();
    let log = source.log_point("ses-4", "pnt-later", &full).await;
    let scene = source.next("ses-5");
    let job = scene.restore_job(&[&full, &log], vec![wanted("shop", "copy", OnClash::Refuse)]);
    scene.restore(job).await.unwrap();
    assert_eq!(scene.instance.contents()["copy"], since[2].1);
}

#[tokio::test(start_paused = true)]
async fn the_place_of_log_backups_is_left_as_it_was() {
    let own = "arn:aws:s3:::temp/ses-2/log";
    let left_over = "arn:aws:s3:::haulier-temporary-0123-1-eu/ses-0/log";
    let in_prepared = "arn:aws:s3:::temp/backups/haulier-0123-native/log";
    for (before, after) in [(Some(OPERATORS), OPERATORS), (None, own), (Some(left_over), own), (Some(in_prepared), own)]
    {
        for fails in [false, true] {
            let scene = Scene::new(&[("shop", "s1")]);
            if let Some(before) = before {
                scene.instance.copies_logs_to(before);
            }
            let full = scene.point("ses-1", "pnt-full", None).await;
            scene.instance.back_up_logs();
            let next = scene.next("ses-2");
            if fails {
                next.instance.fault(Fault::Fail("Access Denied".to_owned()));
                assert_eq!(failure(next.back_up(next.log_job(&full)).await).code, "sqlserver-s3-denied");
            } else {
                let outcome = next.back_up(next.log_job(&full)).await.unwrap();
                assert_eq!(outcome.warnings, Vec::<String>::new());
            }
            assert_eq!(scene.instance.log_target().as_deref(), Some(after), "{before:?} {fails}");
            let told = next.memory.log_target.lock().unwrap().clone();
            assert_eq!(told.as_deref(), before.filter(|before| *before == OPERATORS));
            let put_back = next.memory.put_back.load(Ordering::SeqCst);
            assert_eq!(put_back, u32::from(told.is_some()), "{before:?} {fails}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_operators_last_word_on_the_place_counts() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.back_up_logs();
    let next = scene.next("ses-2");
    // An earlier worker has replaced the first one; the operators have set another since.
    let job = BackupJob { log_target: Some(OPERATORS.into()), ..next.log_job(&full) };
    let later = "arn:aws:s3:::operators-logs/later";
    next.instance.copies_logs_to(later);
    next.back_up(job).await.unwrap();
    assert_eq!(scene.instance.log_target().as_deref(), Some(later));
    assert_eq!(next.memory.log_target.lock().unwrap().as_deref(), Some(later));
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_what_to_run_where_the_place_cannot_be_put_back() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.back_up_logs();
    let next = scene.next("ses-2");
    next.instance.fault(Fault::Vanish);
    let failure = failure(next.back_up(next.log_job(&full)).await);
    assert_eq!(failure.code, "db-connection-lost", "{failure}");
    assert!(failure.cause.contains("it was not done in time"), "{failure}");
    let statement = format!("rds_tlog_copy_setup @target_s3_arn = N'{OPERATORS}'");
    assert!(failure.remedy.contains(&statement) && next.said(&statement), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn putting_the_place_back_has_time_of_its_own() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.back_up_logs();
    let next = scene.next("ses-2");
    let context = Context { pace: Pace::default(), ..next.context(&Gate::default()) };
    next.faults.add(Rule::once("*", BucketFault::Hang));
    let mut worker = Box::pin(sqlserver::backup::run(next.log_job(&full), &context));
    assert!(timeout(Duration::from_secs(3_600), &mut worker).await.is_err());
    assert_eq!(next.faults.fired(), 1);
    // More calls in vain than the end of tasks is waited for, and than were made if it were waited for all of the time.
    next.instance.fault(Fault::Away(9));
    next.cancel.cancel();
    assert_eq!(worker.await.unwrap_err(), Stopped::Cancelled);
    assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_task_is_waited_for_before_the_place_is_moved() {
    let scene = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.back_up_logs();
    scene.instance.carry_late("arn:aws:s3:::temp/theirs/crm.bak", "crm");
    let next = scene.next("ses-2");
    let outcome = next.back_up(next.log_job(&full)).await.unwrap();
    assert!(outcome.manifest.databases.iter().all(|database| database.backup_type == BackupType::Log));
    assert!(next.said("pending tasks"));
    assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS));
}

/// A full point of `shop` on an instance of the operators' place, with a log backup, and a session that is to store that.
async fn one_to_store() -> (Scene, FullPoint) {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.back_up_logs();
    (scene.next("ses-2"), full)
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_or_a_failover_does_not_keep_the_place_from_being_moved() {
    // The third is of a connection that breaks after RDS was waited for longer than a broken one is.
    for faults in [
        vec![Fault::LoseAnswer],
        vec![Fault::StumbleMoving(18_401)],
        vec![Fault::Pending(20), Fault::LoseAnswer],
        vec![Fault::Pending(20), Fault::StumbleMoving(6_005)],
    ] {
        let (scene, full) = one_to_store().await;
        faults.iter().for_each(|fault| scene.instance.fault(fault.clone()));
        let outcome = scene.back_up(scene.log_job(&full)).await.unwrap();
        assert_eq!((outcome.warnings, outcome.log_target_left), (Vec::new(), None), "{faults:?}");
        assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS), "{faults:?}");
        assert_eq!(scene.instance.changes().len(), 2, "{faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_is_not_moved_before_the_coordinator_knows_of_it() {
    let (scene, full) = one_to_store().await;
    scene.memory.away.store(true, Ordering::Relaxed);
    let context = scene.context(&Gate::default());
    let mut worker = Box::pin(sqlserver::backup::run(scene.log_job(&full), &context));
    assert!(timeout(Duration::from_secs(3_600), &mut worker).await.is_err());
    assert_eq!(scene.instance.changes(), Vec::<String>::new());
    scene.cancel.cancel();
    assert_eq!(worker.await.unwrap_err(), Stopped::Cancelled);
    assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS));
}

#[tokio::test(start_paused = true)]
async fn what_the_operators_set_while_a_worker_is_at_work_stays() {
    let (scene, full) = one_to_store().await;
    scene.faults.add(Rule::once("*", BucketFault::Hang));
    let context = scene.context(&Gate::default());
    let mut worker = Box::pin(sqlserver::backup::run(scene.log_job(&full), &context));
    assert!(timeout(Duration::from_secs(3_600), &mut worker).await.is_err());
    let later = "arn:aws:s3:::operators-logs/later";
    scene.instance.copies_logs_to(later);
    scene.cancel.cancel();
    assert_eq!(worker.await.unwrap_err(), Stopped::Cancelled);
    assert_eq!(scene.instance.log_target().as_deref(), Some(later));
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_succeeds_says_what_to_run_where_the_place_cannot_be_put_back() {
    let (scene, full) = one_to_store().await;
    scene.instance.fault(Fault::KeepTarget);
    let outcome = scene.back_up(scene.log_job(&full)).await.unwrap();
    let left = outcome.log_target_left.unwrap();
    assert_eq!(outcome.warnings, [left.to_string()]);
    assert!(left.remedy.contains(&format!("@target_s3_arn = N'{OPERATORS}'")), "{left}");
    assert!(left.cause.contains("it was not done in time"), "{left}");
}
