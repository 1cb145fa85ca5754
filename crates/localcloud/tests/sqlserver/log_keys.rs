//! Log backups of an instance with encrypted storage: a key encrypts each copy, and that key alone brings it back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::json;

use super::clients::Sql;
use super::cloud::{BUCKET, Cloud, Instance, text};
use super::log_refusals::COPY;
use super::logs::{allow, commit, copied, full, restore_full, restore_log, set_up, take};

const ALL: &str = "'orders', @rds_backup_starting_seq_id = 1";

fn copy_with(key: &str) -> String {
    format!("{ALL}, @kms_key_arn = '{key}'")
}

fn with_key(key: &str) -> String {
    format!(", @kms_master_key_arn = '{key}'")
}

/// Backs a database up in full, and its log so many times.
async fn back_up(cloud: &Cloud, instance: &Instance, sql: &mut Sql, logs: u64) {
    cloud.make(instance, "orders", 640).await;
    allow(cloud, instance).await;
    set_up(sql).await;
    sql.done("rds_backup_database", &full("full.bak")).await;
    for seed in 1..=logs {
        commit(cloud, instance, seed).await;
        take(cloud, instance).await;
    }
}

async fn metadata(cloud: &Cloud, key: &str) -> BTreeMap<String, String> {
    let head = cloud.s3.head_object().bucket(BUCKET).key(key).send().await.unwrap();
    head.metadata.unwrap_or_default().into_iter().collect()
}

/// Whether a file has the database's name, as every header has it that can be read.
fn is_readable(file: &Bytes) -> bool {
    let name: Vec<u8> = "orders".encode_utf16().flat_map(u16::to_le_bytes).collect();
    file.windows(name.len()).any(|bytes| bytes == name)
}

/// Lets the option group's role do this, and everything in S3.
async fn permit(cloud: &Cloud, actions: &[&str]) {
    let actions = [&["s3:*"], actions].concat();
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    let encoded: String = document.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let form = format!("Action=PutRolePolicy&RoleName=haulier-native-backup&PolicyName=work&PolicyDocument={encoded}");
    cloud.query("iam", &form).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_copy_has_a_data_key_of_its_own_and_the_key_brings_it_back() {
    let (cloud, instance) = Cloud::with_encrypted_instance().await;
    let key = &cloud.facts.bootstrap.kms_key_arn;
    let shown = cloud.wait_for("shop", "available").await;
    assert_eq!((text(&shown, "StorageEncrypted"), text(&shown, "KmsKeyId")), ("true", &**key));
    let mut sql = cloud.sql(&instance).await;
    back_up(&cloud, &instance, &mut sql, 2).await;
    assert!(is_readable(&cloud.download("full.bak").await), "no key was named for it");
    let (mut sealed, mut files) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..2 {
        sql.done("rds_tlog_backup_copy_to_S3", &copy_with(key)).await;
        for name in copied(&cloud).await {
            let mut metadata = metadata(&cloud, &name).await;
            assert_eq!(metadata["x-amz-wrap-alg"], "kms");
            assert_eq!(metadata["x-amz-matdesc"], format!(r#"{{"kms_cmk_id":"{key}"}}"#));
            sealed.insert(metadata.remove("x-amz-key-v2").unwrap());
            let file = cloud.download(&name).await;
            assert!(!is_readable(&file), "{name}");
            files.insert(file);
        }
    }
    assert_eq!((sealed.len(), files.len()), (4, 4), "a data key is used once");

    let keys = copied(&cloud).await;
    sql.done("rds_restore_database", &restore_full("copy")).await;
    sql.done("rds_restore_log", &restore_log("copy", &keys[0], &with_key(key))).await;
    let last = format!("{}, @with_norecovery = 0", with_key(key));
    sql.done("rds_restore_log", &restore_log("copy", &keys[1], &last)).await;
    assert_eq!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_its_key_is_refused_and_the_database_waits_on() {
    let (cloud, instance) = Cloud::with_encrypted_instance().await;
    let key = &cloud.facts.bootstrap.kms_key_arn;
    let mut sql = cloud.sql(&instance).await;
    back_up(&cloud, &instance, &mut sql, 1).await;
    sql.done("rds_tlog_backup_copy_to_S3", &copy_with(key)).await;
    let name = copied(&cloud).await.remove(0);
    // What lies beside the file is lost by a copy of its bytes.
    cloud.upload("bare", cloud.download(&name).await).await;
    let (other, missing) = (cloud.new_key().await, key.replace("key/", "key/0"));
    sql.done("rds_restore_database", &restore_full("copy")).await;
    for (what, file, given, expected) in [
        ("no key", &*name, String::new(), "is incorrectly formed"),
        ("another key", &name, with_key(&other), "does not identify a CMK that can perform this operation"),
        ("a key that is not there", &name, with_key(&missing), "does not exist"),
        ("no data key", "bare", with_key(key), "is incorrectly formed"),
    ] {
        let info = sql.fails("rds_restore_log", &restore_log("copy", file, &given)).await;
        assert!(info.contains(expected), "{what}: {info}");
    }
    permit(&cloud, &["kms:GenerateDataKey"]).await;
    let info = sql.fails("rds_restore_log", &restore_log("copy", &name, &with_key(key))).await;
    assert!(info.contains(&format!("is not authorized to perform kms:Decrypt on resource {key}")), "{info}");

    permit(&cloud, &["kms:Decrypt"]).await;
    let state = "SELECT state_desc FROM sys.databases WHERE name = 'copy'";
    assert_eq!(sql.one(state).await.as_deref(), Some("RESTORING"));
    sql.done("rds_restore_log", &restore_log("copy", &name, &with_key(key))).await;
    sql.done("rds_finish_restore", "'copy'").await;
    assert_eq!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_storage_wants_a_key_that_the_role_may_use() {
    let (cloud, instance) = Cloud::with_encrypted_instance().await;
    let key = &cloud.facts.bootstrap.kms_key_arn;
    let mut sql = cloud.sql(&instance).await;
    back_up(&cloud, &instance, &mut sql, 1).await;
    let (_, told) = sql.error(&format!("{COPY} {ALL}")).await;
    assert!(told.starts_with("You must provide a KMS Key ARN as input parameter"), "{told}");
    let missing = key.replace("key/", "key/0");
    let info = sql.fails("rds_tlog_backup_copy_to_S3", &copy_with(&missing)).await;
    assert!(info.contains(&format!("Key {missing} does not exist")), "{info}");
    permit(&cloud, &["kms:Decrypt"]).await;
    let info = sql.fails("rds_tlog_backup_copy_to_S3", &copy_with(key)).await;
    assert!(info.contains(&format!("is not authorized to perform kms:GenerateDataKey on resource {key}")), "{info}");
    assert_eq!(copied(&cloud).await, [""; 0]);
    permit(&cloud, &["kms:GenerateDataKey"]).await;
    sql.done("rds_tlog_backup_copy_to_S3", &copy_with(key)).await;
    assert_eq!(copied(&cloud).await.len(), 1);
    cloud.close().await;
}
