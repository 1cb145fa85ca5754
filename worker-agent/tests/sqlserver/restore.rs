//! Restores: what comes back is what was backed up, nothing else is touched, and nothing half-restored stays.

use std::collections::BTreeMap;
use std::time::Duration;

use haulier_cloud::ErrorKind;
use haulier_cloud::doubles::{Fault as BucketFault, Rule};
use haulier_domain::clash::{OnClash, replaced_name, working_name};
use haulier_domain::sqlserver::manifest::Manifest;
use haulier_domain::sqlserver::options::{RestoreOptions, Volume};
use haulier_domain::sqlserver::task::Lifecycle;
use haulier_worker_agent::mover::sinks::Stopped;
use haulier_worker_agent::sqlserver::{BackupJob, FullPoint, RestoreJob};

use crate::instance::Fault;
use crate::scene::{Scene, failure, wanted};

fn contents(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_database_comes_back_under_the_name_that_was_asked_for() {
    for (files, length) in [(1, 100_000), (3, 100_000), (1, 50_000_000), (2, 70_000_001)] {
        let mut source = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
        source.instance.length = length;
        let job = BackupJob { files: Some(files), ..source.backup_job() };
        let manifest = source.back_up(job).await.unwrap().manifest_stream;
        let point = FullPoint { point: "pnt-1".parse().unwrap(), manifest };
        source.instance.set("shop", "s2");
        let scene = source.next("ses-2");
        let databases = vec![wanted("crm", "crm copy", OnClash::Refuse), wanted("shop", "shop", OnClash::Suffix)];
        let outcome = scene.restore(scene.restore_job(&[&point], databases)).await.unwrap();
        let expected = contents(&[("shop", "s2"), ("crm", "c1"), ("crm copy", "c1"), ("shop_restored_1", "s1")]);
        assert_eq!(scene.instance.contents(), expected);
        let names: Vec<_> = outcome.databases.iter().map(|one| one.restored_as.as_str()).collect();
        assert_eq!((names, outcome.bytes), (vec!["crm copy", "shop_restored_1"], 2 * length as u64));
        assert_eq!(scene.store.keys(), Vec::<String>::new());
        assert_eq!(scene.store.open_uploads(), 0);
        assert_eq!(*scene.memory.restored.lock().unwrap(), outcome.databases);
    }
}

#[tokio::test(start_paused = true)]
async fn files_go_where_they_were_asked_for_and_change_data_capture_is_kept() {
    let source = Scene::new(&[("shop", "s1")]);
    let full = source.point("ses-1", "pnt-full", None).await;
    source.instance.set("shop", "s2");
    let differential = source.point("ses-2", "pnt-diff", Some(&full)).await;
    let scene = source.next("ses-3");
    let restore = async |points: &[&FullPoint], name: &str, options: RestoreOptions| {
        let job = scene.restore_job(points, vec![wanted("shop", name, OnClash::Refuse)]);
        scene.restore(RestoreJob { options, ..job }).await.unwrap();
        let database = scene.instance.database(name);
        (database.content, database.volumes, database.keeps_cdc, database.restoring)
    };
    let (d, h, i) = (Volume::D, Volume::H, Volume::I);
    let all = RestoreOptions { keep_cdc: true, data_file_volume: Some(h), log_file_volume: Some(i), until: None };
    let log = RestoreOptions { keep_cdc: false, data_file_volume: None, ..all };
    let expected = |content: &str, volumes, keeps_cdc| (content.to_owned(), volumes, keeps_cdc, false);
    assert_eq!(restore(&[&full], "a", all).await, expected("s1", (h, i), true));
    assert_eq!(restore(&[&full], "b", log).await, expected("s1", (d, i), false));
    assert_eq!(restore(&[&full, &differential], "c", log).await, expected("s2", (d, i), false));
    scene.memory.submitted.lock().unwrap().clear();
    assert_eq!(restore(&[&full, &differential], "d", all).await, expected("s2", (h, i), true));
    let kinds: Vec<_> =
        scene.memory.submitted.lock().unwrap().iter().map(|task| task.kind.as_str().to_owned()).collect();
    assert_eq!(kinds, ["RESTORE_DB_NORECOVERY", "RESTORE_DB_DIFFERENTIAL"], "the end of a restore cannot keep it");
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_restored_in_its_order() {
    let source = Scene::new(&[("shop", "s1")]);
    let full = source.point("ses-1", "pnt-full", None).await;
    source.instance.set("shop", "s2");
    source.instance.set("new", "n1");
    let differential = source.point("ses-2", "pnt-diff", Some(&full)).await;
    let scene = source.next("ses-3");
    // A database that the differential point has in full needs no more than that.
    let databases = vec![wanted("shop", "back", OnClash::Refuse), wanted("new", "new back", OnClash::Refuse)];
    scene.restore(scene.restore_job(&[&full, &differential], databases)).await.unwrap();
    let kinds: Vec<_> =
        scene.memory.submitted.lock().unwrap().iter().map(|task| task.kind.as_str().to_owned()).collect();
    let chain = ["RESTORE_DB_NORECOVERY", "RESTORE_DB_DIFFERENTIAL_NORECOVERY", "FINISH_RESTORE", "RESTORE_DB"];
    assert_eq!(kinds, chain);
    let there = scene.instance.contents();
    assert_eq!((there["back"].as_str(), there["new back"].as_str()), ("s2", "n1"));
    // Without the full point there is nothing to stand on.
    let alone = source.next("ses-4");
    let job = alone.restore_job(&[&differential], vec![wanted("shop", "other", OnClash::Refuse)]);
    let failure = failure(alone.restore(job).await);
    assert_eq!(failure.code, "point-full-missing", "{failure}");
}

#[tokio::test(start_paused = true)]
async fn while_rds_restores_one_the_files_of_the_next_come_and_no_more() {
    let source = Scene::new(&[("shop", "s1"), ("crm", "c1"), ("erp", "e1")]);
    let point = source.point("ses-1", "pnt-1", None).await;
    let scene = source.next("ses-2");
    scene.instance.fault(Fault::Hang);
    let before = scene.instance.tasks_were().len();
    let seen = async {
        while scene.store.keys().len() < 2 {
            tokio::task::yield_now().await;
        }
        // On the clock of the test: many looks at the task.
        tokio::time::sleep(Duration::from_secs(1800)).await;
        scene.cancel.cancel();
        (scene.store.keys().len(), scene.instance.tasks_were().len() - before)
    };
    let databases = ["shop", "crm", "erp"].map(|name| wanted(name, &format!("{name} copy"), OnClash::Refuse));
    let (result, seen) = tokio::join!(scene.restore(scene.restore_job(&[&point], databases.to_vec())), seen);
    assert_eq!((result.unwrap_err(), seen), (Stopped::Cancelled, (2, 1)));
    assert_eq!(scene.instance.names(), ["crm", "erp", "shop"]);
    assert_eq!(scene.store.keys(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_replaced_database_goes_when_the_new_one_is_complete() {
    let source = Scene::new(&[("shop", "s1")]);
    let point = source.point("ses-1", "pnt-1", None).await;
    source.instance.set("shop", "s2");
    let scene = source.next("ses-2");
    let databases = vec![wanted("shop", "shop", OnClash::Replace)];
    let outcome = scene.restore(scene.restore_job(&[&point], databases.clone())).await.unwrap();
    assert_eq!((outcome.warnings.len(), scene.instance.contents()), (0, contents(&[("shop", "s1")])));
    let working = working_name("ses-2", "shop", "shop");
    let replaced = replaced_name(&working);
    let changes = [format!("rename shop {replaced}"), format!("rename {working} shop"), format!("drop {replaced}")];
    assert_eq!(scene.instance.changes(), changes);

    // Where nothing can be renamed, the old one stays as it is.
    source.instance.set("shop", "s3");
    source.instance.fault(Fault::KeepNames);
    let stuck = source.next("ses-3");
    let failure = failure(stuck.restore(stuck.restore_job(&[&point], databases)).await);
    assert!(failure.remedy.contains("Multi-AZ"), "{failure}");
    assert_eq!((stuck.instance.contents(), stuck.instance.names().len()), (contents(&[("shop", "s3")]), 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_refused_before_anything_moves() {
    let source = Scene::new(&[("shop", "s1")]);
    let point = source.point("ses-1", "pnt-1", None).await;
    let cases = [
        (wanted("shop", "SHOP", OnClash::Refuse), "15.0.1", "Standard Edition", "restore-name-taken"),
        (wanted("shop", "Shop", OnClash::Replace), "15.0.1", "Standard Edition", "restore-name-taken"),
        (wanted("shop", "master", OnClash::Replace), "15.0.1", "Standard Edition", "restore-name-reserved"),
        (wanted("gone", "x", OnClash::Refuse), "15.0.1", "Standard Edition", "restore-database-unknown"),
        (wanted("shop", "x", OnClash::Refuse), "14.0.1", "Standard Edition", "restore-into-older-major"),
    ];
    for (asked, version, edition, code) in cases {
        let mut scene = source.next("ses-2");
        (scene.instance.version, scene.instance.edition) = (version, edition);
        let job = scene.restore_job(&[&point], vec![wanted("shop", "fine", OnClash::Refuse), asked]);
        let failure = failure(scene.restore(job).await);
        assert_eq!(failure.code, code, "{failure}");
        assert_eq!((scene.faults.calls_of("PutObject"), scene.instance.names()), (0, vec!["shop".to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_restore_leaves_nothing() {
    let source = Scene::new(&[("shop", "s1")]);
    let point = source.point("ses-1", "pnt-1", None).await;
    let certificate = "Cannot find server certificate. RESTORE FILELIST is terminating abnormally.";
    let unknown = "The moon is in the seventh house.";
    for (session, text, code, on_clash) in [
        ("ses-2", certificate, "sqlserver-certificate-missing", OnClash::Suffix),
        ("ses-3", certificate, "sqlserver-certificate-missing", OnClash::Replace),
        ("ses-4", unknown, "sqlserver-task-failed", OnClash::Suffix),
        ("ses-5", unknown, "sqlserver-task-failed", OnClash::Replace),
    ] {
        let scene = source.next(session);
        scene.instance.fault(Fault::Fail(text.into()));
        let job = scene.restore_job(&[&point], vec![wanted("shop", "shop", on_clash)]);
        let failure = failure(scene.restore(job).await);
        assert!(failure.code == code && failure.cause.contains(text), "{failure}");
        assert_eq!(scene.instance.names(), ["shop"]);
        assert_eq!(scene.store.keys(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_cancels_the_task_and_drops_what_is_half_restored() {
    let source = Scene::new(&[("shop", "s1")]);
    let point = source.point("ses-1", "pnt-1", None).await;
    let scene = source.next("ses-2");
    scene.instance.fault(Fault::Hang);
    let asked = async {
        while scene.memory.submitted.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        scene.cancel.cancel();
    };
    let job = scene.restore_job(&[&point], vec![wanted("shop", "copy", OnClash::Refuse)]);
    let (result, ()) = tokio::join!(scene.restore(job), asked);
    assert_eq!(result.unwrap_err(), Stopped::Cancelled);
    assert_eq!(scene.instance.names(), ["shop"]);
    assert_eq!(scene.instance.tasks_were().last().map(|(_, lifecycle)| lifecycle), Some(&Lifecycle::Cancelled));
    assert_eq!(scene.store.keys(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_tidied_up_is_named() {
    let source = Scene::new(&[("shop", "s1")]);
    let point = source.point("ses-1", "pnt-1", None).await;
    let scene = source.next("ses-2");
    scene.instance.fault(Fault::Vanish);
    let job = scene.restore_job(&[&point], vec![wanted("shop", "copy", OnClash::Refuse)]);
    let failure = failure(scene.restore(job).await);
    assert_eq!(failure.code, "restore-left-behind", "{failure}");
    assert!(failure.cause.contains("\"copy\"") && failure.remedy.contains("rds_drop_database"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn damage_is_seen_before_rds_reads_it() {
    for length in [100_000, 40_000_000] {
        let mut source = Scene::new(&[("shop", "s1")]);
        source.instance.length = length;
        let point = source.point("ses-1", "pnt-1", None).await;
        let (_, json) = source.streams.read(&point.manifest);
        source.streams.damage(&Manifest::read(&json).unwrap().databases[0].files[0].stream);
        let scene = source.next("ses-2");
        let job = scene.restore_job(&[&point], vec![wanted("shop", "copy", OnClash::Refuse)]);
        let failure = failure(scene.restore(job).await);
        assert_eq!((failure.code.as_str(), failure.retryable), ("repository-damaged", false), "{failure}");
        assert!(scene.memory.submitted.lock().unwrap().is_empty());
        assert_eq!((scene.store.keys(), scene.store.open_uploads()), (Vec::new(), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_fails_for_a_while_is_waited_for() {
    let mut source = Scene::new(&[("shop", "s1")]);
    source.instance.length = 50_000_000;
    let point = source.point("ses-1", "pnt-1", None).await;
    for (operation, fault) in [
        ("UploadPart", BucketFault::Lost),
        ("UploadPart", BucketFault::After),
        ("CompleteMultipartUpload", BucketFault::After),
        ("CompleteMultipartUpload", BucketFault::Throttle),
        ("CreateMultipartUpload", BucketFault::Lost),
    ] {
        let scene = source.next("ses-2");
        scene.faults.add(Rule::once(operation, fault));
        let target = format!("{operation} {fault:?}");
        let job = scene.restore_job(&[&point], vec![wanted("shop", &target, OnClash::Refuse)]);
        scene.restore(job).await.unwrap();
        assert_eq!((scene.faults.fired(), scene.instance.contents()[&target].as_str()), (1, "s1"), "{target}");
    }
    let denied = source.next("ses-3");
    denied.faults.add(Rule::once("UploadPart", BucketFault::Before(ErrorKind::Denied)));
    let failure =
        failure(denied.restore(denied.restore_job(&[&point], vec![wanted("shop", "d", OnClash::Refuse)])).await);
    assert_eq!(failure.code, "temporary-bucket-denied", "{failure}");
    assert_eq!(denied.store.open_uploads(), 0);
}
