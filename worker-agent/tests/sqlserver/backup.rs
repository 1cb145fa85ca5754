//! Backups: what RDS writes is what is stored, and what goes wrong is said.

use haulier_cloud::ErrorKind;
use haulier_cloud::doubles::{Fault as BucketFault, Rule};
use haulier_cloud::object_store::ObjectStore as _;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::task::Lifecycle;
use haulier_worker_agent::mover::sinks::Stopped;
use haulier_worker_agent::mover::streams::StreamKind;
use haulier_worker_agent::sqlserver::BackupJob;
use sha2::{Digest as _, Sha256};

use crate::instance::Fault;
use crate::scene::{Scene, failure};

#[tokio::test(start_paused = true)]
async fn what_rds_writes_is_stored_byte_for_byte() {
    for (files, length) in [(None, 100_000), (Some(3), 100_000), (None, 20_000_000), (Some(2), 20_000_001)] {
        let mut scene = Scene::new(&[("shop", "s1"), ("crm", "c1"), ("wüst/*", "w1")]);
        scene.instance.length = length;
        let outcome = scene.back_up(BackupJob { files, ..scene.backup_job() }).await.unwrap();
        let manifest = &outcome.manifest;
        let names: Vec<_> = manifest.databases.iter().map(|database| database.name.as_str()).collect();
        assert_eq!(names, ["crm", "shop", "wüst/*"]);
        assert_eq!((manifest.engine.as_str(), manifest.read_as.as_str()), ("sqlserver-se", "admin"));
        let place = scene.place();
        for database in &manifest.databases {
            let set = haulier_domain::sqlserver::keys::FileSet::new(
                place.folder(&database.name, ""),
                BackupType::Full,
                files.unwrap_or(1),
            );
            assert_eq!(database.files.len(), files.unwrap_or(1) as usize);
            for file in &database.files {
                let written = scene.store.get(&set.key(&file.name)).await.unwrap();
                let (kind, stored) = scene.streams.read(&file.stream);
                assert!(stored == written && kind == StreamKind::Pages, "{} {}", database.name, file.name);
                let sha256 = hex::encode(Sha256::digest(&written));
                assert_eq!((file.bytes, &file.sha256), (written.len() as u64, &sha256));
            }
            assert_eq!(database.bytes(), length as u64);
            let set = database.backup_set.as_ref().unwrap();
            assert_eq!(database.consistent_at.to_string(), format!("{}Z", set.finished).replace("T03", "T02"));
        }
        assert!(!scene.store.keys().iter().any(|key| key.contains('*')), "{:?}", scene.store.keys());
        let submitted = scene.memory.submitted.lock().unwrap();
        assert_eq!(submitted.len(), 3);
        assert!(submitted.iter().all(|task| task.object_arn.starts_with("arn:aws:s3:::temp/ses-1/")), "{submitted:?}");
        assert_eq!(scene.memory.ended.lock().unwrap().len(), 3);
        assert_eq!(outcome.summary.bytes_read, 3 * length as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_differential_backup_stands_on_the_full_one_of_the_point() {
    let scene = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.set("new", "n1");
    let next = scene.next("ses-2");
    let job = BackupJob { backup_type: BackupType::Differential, full: Some(full), ..next.backup_job() };
    let outcome = next.back_up(job).await.unwrap();
    let told: Vec<_> = outcome
        .manifest
        .databases
        .iter()
        .map(|database| (database.name.as_str(), database.backup_type, database.stands_on.is_some()))
        .collect();
    let differential = BackupType::Differential;
    assert_eq!(told, [("crm", differential, true), ("new", BackupType::Full, false), ("shop", differential, true)]);
    // Only the database that the point does not have is told of.
    assert!(outcome.warnings.len() == 1 && outcome.warnings[0].contains("\"new\""), "{:?}", outcome.warnings);
}

#[tokio::test(start_paused = true)]
async fn a_broken_chain_makes_a_full_backup_and_a_warning() {
    for during in [false, true] {
        let scene = Scene::new(&[("shop", "s1")]);
        let full = scene.point("ses-1", "pnt-full", None).await;
        if during {
            scene.instance.fault(Fault::Snapshot);
        } else {
            scene.instance.snapshot();
        }
        let next = scene.next("ses-2");
        let job = BackupJob { backup_type: BackupType::Differential, full: Some(full), ..next.backup_job() };
        let outcome = next.back_up(job).await.unwrap();
        let database = &outcome.manifest.databases[0];
        assert_eq!((database.backup_type, &database.stands_on), (BackupType::Full, &None));
        let why = if during { "in between" } else { "a snapshot of the instance was taken" };
        assert!(outcome.warnings.len() == 1 && outcome.warnings[0].contains(why), "{:?}", outcome.warnings);
        assert_eq!(next.memory.submitted.lock().unwrap().len(), if during { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_and_a_lost_request_repeated() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        let scene = Scene::new(&[("shop", "s1")]);
        scene.instance.fault(fault.clone());
        scene.back_up(scene.backup_job()).await.unwrap();
        let tasks = scene.instance.tasks_were();
        assert_eq!(tasks, [("BACKUP_DB shop".to_owned(), Lifecycle::Success)], "{fault:?}");
        assert_eq!(scene.memory.submitted.lock().unwrap().len(), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_passes_is_waited_for_and_others_end_it() {
    let busy = "A task has already been issued for database: shop";
    let option = "Database backup/restore option is not enabled yet or is in the process of being enabled. Please try again later.";
    let denied =
        "The EXECUTE permission was denied on the object 'rds_backup_database', database 'msdb', schema 'dbo'.";
    let cases = [
        (busy, 3, None),
        (option, 3, None),
        (option, 1_000, Some(("sqlserver-option-missing", true))),
        (busy, 1_000, Some(("sqlserver-task-busy", true))),
        (denied, 1, Some(("db-privileges-missing", false))),
        ("The moon is in the seventh house.", 1, Some(("db-query-failed", false))),
    ];
    for (text, times, expected) in cases {
        let scene = Scene::new(&[("shop", "s1")]);
        scene.instance.fault(Fault::Refuse(times, text.into()));
        let result = scene.back_up(scene.backup_job()).await;
        match expected {
            None => assert!(result.is_ok(), "{text}: {result:?}"),
            Some((code, retryable)) => {
                let failure = failure(result);
                assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{failure}");
                assert!(failure.cause.contains(text), "{failure}");
                assert!(scene.instance.tasks_were().is_empty());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_says_why_and_the_others_are_cancelled() {
    let cases = [
        ("Access Denied", "sqlserver-s3-denied", false),
        (
            "Aborted the task because of a task failure or an overlap with your preferred backup window for RDS automated backup.",
            "sqlserver-backup-window",
            true,
        ),
        ("The moon is in the seventh house.", "sqlserver-task-failed", false),
    ];
    for (text, code, retryable) in cases {
        let scene = Scene::new(&[("crm", "c1"), ("shop", "s1")]);
        scene.instance.fault(Fault::Fail(text.into()));
        scene.instance.fault(Fault::Hang);
        let failure = failure(scene.back_up(scene.backup_job()).await);
        assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{failure}");
        assert!(failure.cause.contains(text), "{failure}");
        let tasks = scene.instance.tasks_were();
        let expected = [("BACKUP_DB crm".into(), Lifecycle::Error), ("BACKUP_DB shop".into(), Lifecycle::Cancelled)];
        assert_eq!(tasks, expected);
        // What the task has written down is kept whole.
        assert!(scene.said("33 percent processed."));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_move_is_given_up_and_cancelled() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.fault(Fault::Hang);
    let failure = failure(scene.back_up(scene.backup_job()).await);
    assert_eq!((failure.code.as_str(), failure.retryable), ("sqlserver-task-stalled", true), "{failure}");
    assert_eq!(scene.instance.tasks_were(), [("BACKUP_DB shop".to_owned(), Lifecycle::Cancelled)]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_obeyed_while_a_task_hangs() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.fault(Fault::Hang);
    let cancel = scene.cancel.clone();
    let asked = async {
        while scene.memory.submitted.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(scene.back_up(scene.backup_job()), asked);
    assert_eq!(result.unwrap_err(), Stopped::Cancelled);
    assert_eq!(scene.instance.tasks_were(), [("BACKUP_DB shop".to_owned(), Lifecycle::Cancelled)]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_being_asked_for_at_a_cancel_is_cancelled_too() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.fault(Fault::Slow);
    let asked = async {
        while scene.instance.changes().is_empty() {
            tokio::task::yield_now().await;
        }
        scene.cancel.cancel();
    };
    let (result, ()) = tokio::join!(scene.back_up(scene.backup_job()), asked);
    assert_eq!(result.unwrap_err(), Stopped::Cancelled);
    assert_eq!(scene.instance.tasks_were(), [("BACKUP_DB shop".to_owned(), Lifecycle::Cancelled)]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_resumed_where_it_was_and_a_refusal_ends_it() {
    let mut scene = Scene::new(&[("shop", "s1")]);
    scene.instance.length = 50_000_000;
    scene.faults.add(Rule::once("GetObject", BucketFault::Lost).times(3).after_calls(2));
    scene.back_up(scene.backup_job()).await.unwrap();
    assert_eq!((scene.faults.fired(), scene.faults.calls_of("GetObject")), (3, 6 + 3));

    let denied = Scene::new(&[("shop", "s1")]);
    denied.faults.add(Rule::once("GetObject", BucketFault::Before(ErrorKind::Denied)));
    let failure = failure(denied.back_up(denied.backup_job()).await);
    assert_eq!((failure.code.as_str(), failure.retryable), ("temporary-bucket-denied", false), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_there_fails_the_backup() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.fault(Fault::LoseFile);
    let failure = failure(scene.back_up(BackupJob { files: Some(4), ..scene.backup_job() }).await);
    assert_eq!((failure.code.as_str(), failure.retryable), ("temporary-object-missing", true), "{failure}");
    assert!(failure.cause.contains("file4-of-4.bak"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn what_is_named_must_be_there() {
    let scene = Scene::new(&[("shop", "s1")]);
    let job = BackupJob { databases: vec!["shop".into(), "gone".into()], ..scene.backup_job() };
    let failure = failure(scene.back_up(job).await);
    assert_eq!(failure.code, "db-missing", "{failure}");
    assert!(scene.instance.tasks_were().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_may_come_of_the_very_task() {
    // The call of a worker before, or one of ours, was carried out when nobody looked any more.
    let scene = Scene::new(&[("shop", "s1")]);
    let late = scene.instance.clone();
    let busy = "A task has already been issued for database: shop";
    scene.instance.fault(Fault::Refuse(3, busy.into()));
    let place = scene.place();
    let set = haulier_domain::sqlserver::keys::FileSet::new(place.folder("shop", ""), BackupType::Full, 1);
    let carried_out = async {
        while !scene.said("waiting: ") {
            tokio::task::yield_now().await;
        }
        late.carry_late(&place.arn(&set.pattern()), "shop");
    };
    let (outcome, ()) = tokio::join!(scene.back_up(scene.backup_job()), carried_out);
    assert_eq!(outcome.unwrap().manifest.databases.len(), 1);
    assert_eq!(scene.instance.tasks_were(), [("BACKUP_DB shop".to_owned(), Lifecycle::Success)]);
}

#[tokio::test(start_paused = true)]
async fn what_passes_by_itself_ends_nothing() {
    // A deadlock, a server that starts, an instance that cannot be reached: in the preflight and while a task runs.
    for fault in [Fault::Stumble(3, 1205), Fault::Stumble(5, 17_187), Fault::Away(4)] {
        let scene = Scene::new(&[("shop", "s1")]);
        scene.instance.fault(fault.clone());
        scene.back_up(scene.backup_job()).await.unwrap();
        let next = scene.next("ses-2");
        let later = async {
            while next.memory.submitted.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            next.instance.fault(fault.clone());
        };
        let (outcome, ()) = tokio::join!(next.back_up(next.backup_job()), later);
        outcome.unwrap();
    }
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.fault(Fault::Stumble(1, 229));
    assert_eq!(failure(scene.back_up(scene.backup_job()).await).code, "db-query-failed");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_takes_over_finds_its_own_backup_among_others() {
    let scene = Scene::new(&[("shop", "s1")]);
    let first = scene.back_up(scene.backup_job()).await.unwrap();
    // Before the next worker looks, somebody else has made a full backup.
    scene.point("ses-2", "pnt-other", None).await;
    let second = scene.back_up(scene.backup_job()).await.unwrap();
    let uuid = |outcome: &haulier_worker_agent::sqlserver::BackupOutcome| {
        outcome.manifest.databases[0].backup_set.as_ref().unwrap().uuid.clone()
    };
    assert_eq!((scene.instance.tasks_were().len(), uuid(&second)), (2, uuid(&first)));
}
