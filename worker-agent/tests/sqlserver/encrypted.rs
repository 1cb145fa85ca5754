//! Backups that RDS encrypts: the data key of each file lies with its object and nowhere else, so it goes where the file goes.

use bytes::Bytes;
use haulier_domain::clash::OnClash;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::manifest::Manifest;
use haulier_worker_agent::mover::streams::{StreamKind, StreamStore as _};
use haulier_worker_agent::sqlserver::{BackupJob, FullPoint};

use crate::instance::Fault;
use crate::scene::{Scene, failure, wanted};

fn key(id: &str) -> Option<String> {
    Some(format!("arn:aws:kms:eu-central-1:111122223333:key/{id}"))
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
        let mut writer = source.streams.create(StreamKind::Document, "spoilt").await.unwrap();
        writer.write(Bytes::from(serde_json::to_vec(&manifest).unwrap())).await.unwrap();
        let point = FullPoint { point: "pnt-1".parse().unwrap(), manifest: writer.finish().await.unwrap() };
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
