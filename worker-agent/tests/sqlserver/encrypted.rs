//! Backups that RDS encrypts, and log backups that it copies with a key: the data key of each file lies with its object and nowhere
//! else, so it goes where the file goes.

use bytes::Bytes;
use haulier_domain::clash::OnClash;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::manifest::Manifest;
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_worker_agent::mover::streams::{StreamKind, StreamStore as _};
use haulier_worker_agent::sqlserver::{BackupJob, BackupOutcome, FullPoint, RestoreJob};

use crate::instance::Fault;
use crate::scene::{Scene, failure, wanted};

fn key(id: &str) -> Option<String> {
    Some(format!("arn:aws:kms:eu-central-1:111122223333:key/{id}"))
}

/// A point with that manifest.
async fn with_manifest(scene: &Scene, id: &str, manifest: &Manifest) -> FullPoint {
    let mut writer = scene.streams.create(StreamKind::Document, "manifest").await.unwrap();
    writer.write(Bytes::from(serde_json::to_vec(manifest).unwrap())).await.unwrap();
    FullPoint { point: id.parse().unwrap(), manifest: writer.finish().await.unwrap() }
}

#[tokio::test(start_paused = true)]
async fn files_come_back_with_what_decrypts_them() {
    // In one request and in parts, in one file and in several.
    for (files, length) in [(1, 100_000), (3, 100_000), (1, 40_000_000), (2, 40_000_001)] {
        let mut source = Scene::new(&[("shop", "s1")]);
        source.instance.length = length;
        let job = BackupJob { files: Some(files), kms_key_arn: key("1"), ..source.backup_job() };
        let outcome = source.back_up(job).await.unwrap();
        let shop = &outcome.manifest.databases[0];
        assert_eq!(shop.kms_key_arn, key("1"));
        let data_keys: std::collections::BTreeSet<_> =
            shop.files.iter().map(|file| file.metadata["x-amz-key-v2"].as_str()).collect();
        assert_eq!(data_keys.len(), files as usize, "each file has a data key of its own");
        assert!(outcome.summary.remarks.iter().any(|remark| remark.contains("key/1: shop")), "{:?}", outcome.summary);
        let point = FullPoint { point: "pnt-1".parse().unwrap(), manifest: outcome.manifest_stream };
        let scene = source.next("ses-2");
        let job = scene.restore_job(&[&point], vec![wanted("shop", "back", OnClash::Refuse)]);
        scene.restore(job).await.unwrap();
        assert_eq!(scene.instance.contents()["back"], "s1");
    }
}

#[tokio::test(start_paused = true)]
async fn each_backup_of_a_chain_is_restored_with_its_own_key() {
    let source = Scene::new(&[("shop", "s1")]);
    let first = source.next("ses-1");
    let outcome = first.back_up(BackupJob { kms_key_arn: key("old"), ..first.backup_job() }).await.unwrap();
    let full = FullPoint { point: "pnt-full".parse().unwrap(), manifest: outcome.manifest_stream };
    // The policy names another key by now.
    source.instance.set("shop", "s2");
    let second = source.next("ses-2");
    let job = BackupJob {
        kms_key_arn: key("new"),
        backup_type: BackupType::Differential,
        full: Some(full.clone()),
        ..second.backup_job()
    };
    let manifest = second.back_up(job).await.unwrap().manifest_stream;
    let differential = FullPoint { point: "pnt-diff".parse().unwrap(), manifest };
    let scene = source.next("ses-3");
    let job = scene.restore_job(&[&full, &differential], vec![wanted("shop", "back", OnClash::Refuse)]);
    scene.restore(job).await.unwrap();
    assert_eq!(scene.instance.contents()["back"], "s2");
}

#[tokio::test(start_paused = true)]
async fn without_the_metadata_or_with_another_key_nothing_comes_back() {
    type Break = fn(&mut Manifest);
    let cases: [(Break, &str); 3] = [
        (|manifest| manifest.databases[0].files[0].metadata.clear(), "sqlserver-backup-unreadable"),
        (|manifest| manifest.databases[0].kms_key_arn = None, "sqlserver-backup-unreadable"),
        (|manifest| manifest.databases[0].kms_key_arn = key("2"), "sqlserver-key-missing"),
    ];
    for (spoil, code) in cases {
        let source = Scene::new(&[("shop", "s1")]);
        let job = BackupJob { kms_key_arn: key("1"), ..source.backup_job() };
        let mut manifest = source.back_up(job).await.unwrap().manifest;
        spoil(&mut manifest);
        let point = with_manifest(&source, "pnt-1", &manifest).await;
        let scene = source.next("ses-2");
        let job = scene.restore_job(&[&point], vec![wanted("shop", "back", OnClash::Refuse)]);
        assert_eq!(failure(scene.restore(job).await).code, code);
        assert!(!scene.instance.contents().contains_key("back"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_nobody_could_decrypt_is_not_stored() {
    let scene = Scene::new(&[("shop", "s1")]);
    scene.instance.fault(Fault::LoseDataKey);
    let failure = failure(scene.back_up(BackupJob { kms_key_arn: key("1"), ..scene.backup_job() }).await);
    assert_eq!(failure.code, "sqlserver-data-key-missing");
    assert!(failure.cause.contains("key/1") && failure.cause.contains("full-1/file.bak"), "{failure}");
}

/// An instance with encrypted storage, and its full point, under a key of its own.
async fn encrypted() -> (Scene, FullPoint) {
    let mut scene = Scene::new(&[("shop", "s1")]);
    scene.instance.encrypted = true;
    let first = scene.next("ses-1");
    let outcome = first.back_up(BackupJob { kms_key_arn: key("all"), ..first.backup_job() }).await.unwrap();
    (scene, FullPoint { point: "pnt-full".parse().unwrap(), manifest: outcome.manifest_stream })
}

/// A session of log backups that are copied with a key.
async fn log_backup(scene: &Scene, full: &FullPoint) -> BackupOutcome {
    scene.back_up(BackupJob { log_kms_key_arn: key("logs"), ..scene.log_job(full) }).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn log_backups_of_encrypted_storage_bring_a_database_to_any_moment() {
    let (source, full) = encrypted().await;
    let mut since = Vec::new();
    for contents in [&["s2", "s3"][..], &["s4"]] {
        since.extend(contents.iter().map(|content| (source.instance.change("shop", content), *content)));
        source.instance.back_up_logs();
    }
    let outcome = log_backup(&source.next("ses-2"), &full).await;
    assert_eq!(outcome.warnings, Vec::<String>::new());
    let shop = &outcome.manifest.databases[0];
    assert_eq!((shop.backup_type, &shop.kms_key_arn), (BackupType::Log, &key("logs")));
    let data_keys: std::collections::BTreeSet<_> =
        shop.files.iter().map(|file| file.metadata["x-amz-key-v2"].as_str()).collect();
    assert_eq!(data_keys.len(), 2, "each log backup has a data key of its own");
    assert!(outcome.summary.remarks.iter().any(|remark| remark.contains("key/logs: shop")), "{:?}", outcome.summary);
    let log = FullPoint { point: "pnt-log".parse().unwrap(), manifest: outcome.manifest_stream };
    let moments = since.iter().map(|(at, content)| (Some(*at), *content));
    for (number, (until, expected)) in moments.chain([(None, "s4")]).enumerate() {
        let scene = source.next("ses-3");
        let name = format!("copy{number}");
        let job = scene.restore_job(&[&full, &log], vec![wanted("shop", &name, OnClash::Refuse)]);
        let options = RestoreOptions { until, ..RestoreOptions::default() };
        scene.restore(RestoreJob { options, ..job }).await.unwrap();
        assert_eq!(scene.instance.contents()[&name], expected, "{until:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_their_metadata_or_with_another_key_log_backups_do_not_come_back() {
    type Break = fn(&mut Manifest);
    let cases: [(Break, &str); 3] = [
        (|manifest| manifest.databases[0].files[0].metadata.clear(), "sqlserver-backup-unreadable"),
        (|manifest| manifest.databases[0].kms_key_arn = None, "sqlserver-backup-unreadable"),
        (|manifest| manifest.databases[0].kms_key_arn = key("all"), "sqlserver-key-missing"),
    ];
    for (spoil, code) in cases {
        let (source, full) = encrypted().await;
        source.instance.back_up_logs();
        let mut manifest = log_backup(&source.next("ses-2"), &full).await.manifest;
        spoil(&mut manifest);
        let log = with_manifest(&source, "pnt-log", &manifest).await;
        let scene = source.next("ses-3");
        let job = scene.restore_job(&[&full, &log], vec![wanted("shop", "back", OnClash::Refuse)]);
        assert_eq!(failure(scene.restore(job).await).code, code);
        assert!(!scene.instance.names().contains(&"back".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn rds_copies_no_log_of_encrypted_storage_without_a_key_and_no_other_with_one() {
    for (encrypted, log_kms_key_arn, said) in
        [(true, None, "must provide a KMS Key ARN"), (false, key("logs"), "cannot provide a KMS Key ARN")]
    {
        let mut scene = Scene::new(&[("shop", "s1")]);
        scene.instance.encrypted = encrypted;
        let full = scene.point("ses-1", "pnt-full", None).await;
        scene.instance.back_up_logs();
        let next = scene.next("ses-2");
        let failure = failure(next.back_up(BackupJob { log_kms_key_arn, ..next.log_job(&full) }).await);
        assert!(failure.cause.contains(said), "{failure}");
        assert!(!encrypted || failure.remedy.contains("sqlserver.log_kms_key"), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn log_backups_that_rds_has_not_encrypted_after_all_are_restored_without_a_key() {
    let (source, full) = encrypted().await;
    source.instance.change("shop", "s2");
    source.instance.back_up_logs();
    let next = source.next("ses-2");
    next.instance.fault(Fault::CopyPlain);
    let outcome = log_backup(&next, &full).await;
    let [warning] = &outcome.warnings[..] else { panic!("{:?}", outcome.warnings) };
    assert!(warning.contains("key/logs") && next.said(warning), "{warning}");
    assert_eq!(outcome.manifest.databases[0].kms_key_arn, None);
    let log = FullPoint { point: "pnt-log".parse().unwrap(), manifest: outcome.manifest_stream };
    let scene = source.next("ses-3");
    let job = scene.restore_job(&[&full, &log], vec![wanted("shop", "back", OnClash::Refuse)]);
    scene.restore(job).await.unwrap();
    assert_eq!(scene.instance.contents()["back"], "s2");
}

#[tokio::test(start_paused = true)]
async fn log_backups_of_which_some_cannot_be_decrypted_are_not_stored() {
    let (source, full) = encrypted().await;
    source.instance.back_up_logs();
    source.instance.back_up_logs();
    let scene = source.next("ses-2");
    scene.instance.fault(Fault::LoseDataKeyOfLog);
    let job = BackupJob { log_kms_key_arn: key("logs"), ..scene.log_job(&full) };
    let failure = failure(scene.back_up(job).await);
    assert_eq!(failure.code, "sqlserver-data-key-missing");
    assert!(failure.cause.contains("key/logs") && failure.cause.contains("1 of their 2"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn log_backups_are_taken_over_with_their_data_keys_and_never_under_another_key() {
    for (same, copied) in [(true, 1), (false, 2)] {
        let (source, full) = encrypted().await;
        source.instance.back_up_logs();
        let before = log_backup(&source.next("ses-2"), &full).await;
        source.instance.change("shop", "s2");
        source.instance.back_up_logs();
        let next = source.next("ses-3");
        let log_kms_key_arn = if same { key("logs") } else { key("other") };
        let job = BackupJob { log_kms_key_arn, before: Some(before.manifest_stream), ..next.log_job(&full) };
        let outcome = next.back_up(job).await.unwrap();
        assert_eq!(next.store.keys().iter().filter(|key| key.contains("/log/")).count(), copied);
        let (files, earlier) = (&outcome.manifest.databases[0].files, &before.manifest.databases[0].files);
        assert_eq!((files.len(), files[0] == earlier[0]), (2, same));
        let log = FullPoint { point: "pnt-log".parse().unwrap(), manifest: outcome.manifest_stream };
        let scene = source.next("ses-4");
        let job = scene.restore_job(&[&full, &log], vec![wanted("shop", "copy", OnClash::Refuse)]);
        scene.restore(job).await.unwrap();
        assert_eq!(scene.instance.contents()["copy"], "s2");
    }
}

#[tokio::test(start_paused = true)]
async fn where_rds_encrypts_the_log_in_another_way_than_before_the_database_is_backed_up_in_full() {
    // Whether it has not encrypted the log backups of the point before, and those since.
    for (plain_before, plain_since) in [(true, true), (true, false), (false, true), (false, false)] {
        let (source, full) = encrypted().await;
        source.instance.back_up_logs();
        let first = source.next("ses-2");
        if plain_before {
            first.instance.fault(Fault::CopyPlain);
        }
        let before = log_backup(&first, &full).await;
        source.instance.change("shop", "s2");
        source.instance.back_up_logs();
        let next = source.next("ses-3");
        if plain_since {
            next.instance.fault(Fault::CopyPlain);
        }
        let job = BackupJob {
            kms_key_arn: key("all"),
            log_kms_key_arn: key("logs"),
            before: Some(before.manifest_stream),
            ..next.log_job(&full)
        };
        let outcome = next.back_up(job).await.unwrap();
        let shop = &outcome.manifest.databases[0];
        let same = plain_before == plain_since;
        let expected = if same { BackupType::Log } else { BackupType::Full };
        assert_eq!(shop.backup_type, expected, "{plain_before} {plain_since}");
        assert_eq!(outcome.warnings.iter().any(|text| text.contains("in full: RDS encrypts its log")), !same);
        let point = FullPoint { point: "pnt-next".parse().unwrap(), manifest: outcome.manifest_stream };
        let points = if same { vec![&full, &point] } else { vec![&point] };
        let scene = source.next("ses-4");
        scene.restore(scene.restore_job(&points, vec![wanted("shop", "copy", OnClash::Refuse)])).await.unwrap();
        assert_eq!(scene.instance.contents()["copy"], "s2", "{plain_before} {plain_since}");
    }
}
