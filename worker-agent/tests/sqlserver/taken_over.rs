//! A log point takes over what the one before it has, and RDS is asked for the rest alone.

use haulier_domain::clash::OnClash;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::manifest::{Database, Manifest};
use haulier_worker_agent::sqlserver::{BackupJob, BackupOutcome, FullPoint};

use crate::scene::{Scene, wanted};

const OPERATORS: &str = "arn:aws:s3:::operators-logs/x";

/// A full point of `shop` and a log point with two log backups, the second of a state `s2`.
async fn begun() -> (Scene, FullPoint, FullPoint, BackupOutcome) {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.back_up_logs();
    scene.instance.change("shop", "s2");
    scene.instance.back_up_logs();
    let next = scene.next("ses-2");
    let first = next.back_up(BackupJob { before: Some(full.manifest.clone()), ..next.log_job(&full) }).await.unwrap();
    assert_eq!(copied(&next), 2, "the full point has none");
    let before = FullPoint { point: "pnt-log".parse().unwrap(), manifest: first.manifest_stream.clone() };
    (scene, full, before, first)
}

/// How many log backups RDS has copied into the session's bucket.
fn copied(scene: &Scene) -> usize {
    scene.store.keys().iter().filter(|key| key.contains("/log/")).count()
}

fn shop(outcome: &BackupOutcome) -> &Database {
    outcome.manifest.database("shop").unwrap()
}

/// The database comes back from a point, in this state.
async fn assert_restores(source: &Scene, full: &FullPoint, outcome: &BackupOutcome, expected: &str) {
    let scene = source.next("ses-9");
    let point = FullPoint { point: "pnt-later".parse().unwrap(), manifest: outcome.manifest_stream.clone() };
    let name = format!("copy {expected}");
    scene.restore(scene.restore_job(&[full, &point], vec![wanted("shop", &name, OnClash::Refuse)])).await.unwrap();
    assert_eq!(scene.instance.database(&name).content, expected);
}

#[tokio::test(start_paused = true)]
async fn only_what_has_come_since_is_copied() {
    let (scene, full, before, first) = begun().await;
    scene.instance.change("shop", "s3");
    let last = scene.instance.back_up_logs();
    let next = scene.next("ses-3");
    let job = BackupJob { before: Some(before.manifest), ..next.log_job(&full) };
    let second = next.back_up(job).await.unwrap();
    assert_eq!((copied(&next), shop(&second).files.len()), (1, 3));
    assert_eq!(shop(&second).files[..2], shop(&first).files[..]);
    assert_eq!((shop(&second).consistent_at, &second.warnings), (last, &Vec::new()));
    let last = shop(&first).logs().last().unwrap().0.sequence;
    assert!(next.said(&format!("the point before has the log backups of database \"shop\" up to number {last}")));
    assert_restores(&scene, &full, &second, "s3").await;
    assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_has_come_since_rds_is_asked_for_nothing() {
    let (scene, full, before, first) = begun().await;
    let next = scene.next("ses-3");
    let job = BackupJob { before: Some(before.manifest), ..next.log_job(&full) };
    let second = next.back_up(job).await.unwrap();
    assert_eq!(*shop(&second), *shop(&first));
    assert_eq!((copied(&next), next.memory.submitted.lock().unwrap().len()), (0, 0));
    assert_restores(&scene, &full, &second, "s2").await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_of_it_is_copied_again() {
    type Spoil = fn(&Scene, &FullPoint, &Manifest);
    let cases: [(&str, Spoil, usize); 3] = [
        ("the second one is lost", |scene, _, manifest| scene.streams.lose(&manifest.databases[0].files[1].stream), 2),
        ("the first one is lost", |scene, _, manifest| scene.streams.lose(&manifest.databases[0].files[0].stream), 3),
        ("its manifest is lost", |scene, before, _| scene.streams.damage(&before.manifest), 3),
    ];
    for (what, spoil, expected) in cases {
        let (scene, full, before, first) = begun().await;
        spoil(&scene, &before, &first.manifest);
        scene.instance.change("shop", "s3");
        scene.instance.back_up_logs();
        let next = scene.next("ses-3");
        let job = BackupJob { before: Some(before.manifest), ..next.log_job(&full) };
        let second = next.back_up(job).await.unwrap();
        assert_eq!((copied(&next), shop(&second).files.len()), (expected, 3), "{what}");
        assert_restores(&scene, &full, &second, "s3").await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_another_full_point_is_not_taken_over() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.copies_logs_to(OPERATORS);
    let full = scene.point("ses-1", "pnt-full", None).await;
    scene.instance.back_up_logs();
    let later = scene.point("ses-2", "pnt-later-full", None).await;
    // Both chains have this one.
    scene.instance.change("shop", "s2");
    scene.instance.back_up_logs();
    let before = scene.log_point("ses-3", "pnt-log", &full).await;
    for (on, session, copies) in [(&later, "ses-4", 1), (&full, "ses-5", 0)] {
        let next = scene.next(session);
        let job = BackupJob { before: Some(before.manifest.clone()), ..next.log_job(on) };
        let outcome = next.back_up(job).await.unwrap();
        assert_eq!((copied(&next), shop(&outcome).backup_type), (copies, BackupType::Log));
        assert_eq!(shop(&outcome).files.len(), if copies == 0 { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_worker_takes_over_the_same() {
    let (scene, full, before, _) = begun().await;
    scene.instance.change("shop", "s3");
    scene.instance.back_up_logs();
    let next = scene.next("ses-3");
    let job = || BackupJob { before: Some(before.manifest.clone()), ..next.log_job(&full) };
    next.back_up(job()).await.unwrap();
    let asked = next.memory.submitted.lock().unwrap().len();
    // One more than the first worker has asked for.
    scene.instance.change("shop", "s4");
    scene.instance.back_up_logs();
    let second = next.back_up(job()).await.unwrap();
    assert_eq!(next.memory.submitted.lock().unwrap().len(), asked, "no task runs twice");
    assert_eq!((copied(&next), shop(&second).files.len()), (1, 3));
    assert_restores(&scene, &full, &second, "s3").await;
}
