//! Workers that are killed, or told to stop, at each call of a session of log backups: the next one goes on, asks for nothing
//! twice, and leaves the instance as it was.

use haulier_domain::clash::OnClash;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::task::Lifecycle;
use haulier_worker_agent::sqlserver::BackupJob;

use crate::crashes::{back_up, restore};
use crate::gate::{Gate, When};
use crate::scene::{Scene, wanted};

const OPERATORS: &str = "arn:aws:s3:::operators-logs";

fn source() -> Scene {
    let scene = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
    scene.instance.copies_logs_to(OPERATORS);
    scene
}

#[tokio::test(start_paused = true)]
async fn log_backups_are_copied_after_every_kill() {
    for when in [When::Before, When::After, When::Stopping] {
        let (mut calls, mut cancelled) = (0, 0);
        loop {
            let source = source();
            let full = source.point("ses-1", "pnt-full", None).await;
            source.instance.back_up_logs();
            let scene = source.next("ses-2");
            let before = scene.instance.tasks_were().len();
            let (outcome, killed) = back_up(&scene, || scene.log_job(&full), Gate::deadly(calls, when)).await;
            let what = format!("{when:?} {calls}");
            let types: Vec<_> = outcome.manifest.databases.iter().map(|database| database.backup_type).collect();
            assert_eq!(types, [BackupType::Log, BackupType::Log], "{what}");
            let tasks = scene.instance.tasks_were().split_off(before);
            let ended = |lifecycle| tasks.iter().filter(|(_, one)| *one == lifecycle).count();
            assert_eq!(ended(Lifecycle::Success), 2, "{what}: {tasks:?}");
            assert_eq!(ended(Lifecycle::Success) + ended(Lifecycle::Cancelled), tasks.len(), "{what}: {tasks:?}");
            assert!(when == When::Stopping || tasks.len() == 2, "{what}: {tasks:?}");
            cancelled += ended(Lifecycle::Cancelled);
            assert_eq!(scene.instance.log_target().as_deref(), Some(OPERATORS), "{what}");
            if !killed {
                break;
            }
            calls += 1;
        }
        assert!(
            calls > 12 && (when != When::Stopping || cancelled > 1),
            "{when:?}: {calls} calls, {cancelled} cancelled"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_backup_in_place_of_log_backups_is_told_after_every_kill() {
    let (mut calls, mut begun) = (0, 0);
    loop {
        let source = source();
        let full = source.point("ses-1", "pnt-full", None).await;
        // RDS has no log backup.
        let scene = source.next("ses-2");
        let job = || BackupJob { databases: vec!["shop".into()], ..scene.log_job(&full) };
        let (outcome, killed) = back_up(&scene, job, Gate::deadly(calls, When::After)).await;
        assert_eq!(outcome.manifest.databases[0].backup_type, BackupType::Full, "{calls}");
        let [warning] = &outcome.warnings[..] else { panic!("{calls}: {:?}", outcome.warnings) };
        assert!(warning.contains("is backed up in full") && scene.said(warning), "{calls}: {warning}");
        begun += usize::from(warning.contains("as an earlier worker has begun it"));
        if !killed {
            break;
        }
        calls += 1;
    }
    assert!(calls > 12 && begun > 1, "{calls} calls, {begun} begun");
}

#[tokio::test(start_paused = true)]
async fn a_log_point_is_restored_after_every_kill() {
    let cases = [wanted("shop", "back", OnClash::Refuse), wanted("shop", "shop", OnClash::Replace)];
    for (asked, when) in
        cases.iter().flat_map(|asked| [When::Before, When::After, When::Stopping].map(|when| (asked, when)))
    {
        let mut calls = 0;
        loop {
            let source = source();
            let full = source.point("ses-1", "pnt-full", None).await;
            for content in ["s2", "s3"] {
                source.instance.change("shop", content);
                source.instance.back_up_logs();
            }
            let log = source.log_point("ses-2", "pnt-log", &full).await;
            source.instance.change("shop", "s4");
            let scene = source.next("ses-3");
            let before = scene.instance.tasks_were().len();
            let databases = [asked.clone()];
            let (outcome, killed) = restore(&scene, &[&full, &log], &databases, Gate::deadly(calls, when)).await;
            let what = format!("{asked:?} {when:?} {calls}");
            assert_eq!(scene.instance.contents()[&outcome.databases[0].restored_as], "s3", "{what}");
            let tasks = scene.instance.tasks_were().split_off(before);
            // Full, two of the log, the end.
            assert!(when == When::Stopping || tasks.len() == 4, "{what}: {tasks:?}");
            assert!(tasks.iter().all(|(_, lifecycle)| lifecycle.has_ended()), "{what}: {tasks:?}");
            let odd: Vec<_> = scene.instance.names().into_iter().filter(|name| name.starts_with("haulier_")).collect();
            assert!(odd.is_empty() && scene.store.keys().is_empty(), "{what}: {odd:?} {:?}", scene.store.keys());
            if !killed {
                break;
            }
            calls += 1;
        }
        assert!(calls > 12, "{asked:?} {when:?}: {calls} calls");
    }
}
