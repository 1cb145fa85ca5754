//! Log backups: listed, copied to S3 by the service, and restored one after the other onto a full backup.

use http::Method;
use serde_json::{Value, json};

use super::clients::{Sql, tsql};
use super::cloud::{BUCKET, Cloud, Instance};

pub(crate) const TARGET: &str = "arn:aws:s3:::haulier-native/logs";

pub(crate) fn path(instance: &Instance, more: &str) -> String {
    format!("/instances/{}/databases/orders/{more}", instance.id)
}

/// Changes pages; returns when that was committed.
pub(crate) async fn commit(cloud: &Cloud, instance: &Instance, seed: u64) -> String {
    let told = cloud.control(Method::POST, &path(instance, "pages"), &json!({"count": 5, "seed": seed})).await;
    told["committed"].as_str().unwrap().to_owned()
}

pub(crate) async fn take(cloud: &Cloud, instance: &Instance) -> Value {
    cloud.control(Method::POST, &path(instance, "log-backups"), &Value::Null).await
}

pub(crate) fn full(key: &str) -> String {
    format!("@source_db_name = 'orders', @s3_arn_to_backup_to = 'arn:aws:s3:::{BUCKET}/{key}'")
}

pub(crate) fn restore_full(database: &str) -> String {
    format!(
        "@restore_db_name = '{database}', @s3_arn_to_restore_from = 'arn:aws:s3:::{BUCKET}/full.bak', @with_norecovery = 1"
    )
}

pub(crate) fn restore_log(database: &str, key: &str, more: &str) -> String {
    format!("@restore_db_name = '{database}', @s3_arn_to_restore_from = 'arn:aws:s3:::{BUCKET}/{key}'{more}")
}

/// Sets the bucket up as AWS's page wants it.
pub(crate) async fn allow(cloud: &Cloud, instance: &Instance) {
    own(cloud, BUCKET, "BucketOwnerPreferred").await;
    set_policy(cloud, &statement(cloud, instance)).await;
}

/// The statement of AWS's page.
pub(crate) fn statement(cloud: &Cloud, instance: &Instance) -> Value {
    json!({
        "Effect": "Allow",
        "Principal": {"Service": "backups.rds.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": format!("arn:aws:s3:::{BUCKET}/logs/*"),
        "Condition": {"StringEquals": {
            "s3:x-amz-acl": "bucket-owner-full-control",
            "aws:sourceAccount": cloud.facts.account,
            "aws:sourceArn": format!("arn:aws:rds:eu-central-1:{}:db:{}", cloud.facts.account, instance.id),
        }},
    })
}

pub(crate) async fn set_policy(cloud: &Cloud, statement: &Value) {
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    cloud.s3.put_bucket_policy().bucket(BUCKET).policy(policy).send().await.unwrap();
}

pub(crate) async fn own(cloud: &Cloud, bucket: &str, ownership: &str) {
    use aws_sdk_s3::types::{ObjectOwnership, OwnershipControls, OwnershipControlsRule};
    let rule = OwnershipControlsRule::builder().object_ownership(ObjectOwnership::from(ownership)).build().unwrap();
    let controls = OwnershipControls::builder().rules(rule).build().unwrap();
    cloud.s3.put_bucket_ownership_controls().bucket(bucket).ownership_controls(controls).send().await.unwrap();
}

pub(crate) async fn run(sql: &mut Sql, batch: &str) {
    sql.0.simple_query(batch).await.unwrap().into_results().await.unwrap();
}

pub(crate) async fn set_up(sql: &mut Sql) {
    run(sql, &format!("EXEC msdb.dbo.rds_tlog_copy_setup @target_s3_arn = '{TARGET}'")).await;
}

/// Rows of the list, as `number, LSN, LSN, whether the chain is broken before it, error`.
pub(crate) async fn list(sql: &mut Sql) -> Vec<[String; 5]> {
    let batch = "SELECT CAST(rds_backup_seq_id AS nvarchar(20)), CAST(starting_lsn AS nvarchar(30)), \
                 CAST(ending_lsn AS nvarchar(30)), CAST(is_log_chain_broken AS nvarchar(1)), Error \
                 FROM msdb.dbo.rds_fn_list_tlog_backup_metadata('orders') ORDER BY rds_backup_seq_id";
    let rows = sql.0.simple_query(batch).await.unwrap().into_first_result().await.unwrap();
    let text = |row: &tiberius::Row, at: usize| row.get::<&str, _>(at).unwrap_or_default().to_owned();
    rows.iter().map(|row| [0, 1, 2, 3, 4].map(|at| text(row, at))).collect()
}

/// Keys of the copied files, oldest first.
pub(crate) async fn copied(cloud: &Cloud) -> Vec<String> {
    let mut keys: Vec<String> = cloud.objects().await.into_iter().map(|(key, _)| key).collect();
    keys.retain(|key| key.starts_with("logs/"));
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_backup_and_its_logs_bring_any_moment_back() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 640).await;
    let mut sql = cloud.sql(&instance).await;
    allow(&cloud, &instance).await;
    set_up(&mut sql).await;
    let shown = "EXEC rdsadmin.dbo.rds_show_configuration @name = 'target_s3_arn_for_tlog_copy'";
    let printed = tsql(&instance, &cloud.facts.ca_file, "require", shown).await;
    assert!(printed.contains(&format!("target_s3_arn_for_tlog_copy|{TARGET}|")), "{printed}");

    commit(&cloud, &instance, 1).await;
    sql.done("rds_backup_database", &full("full.bak")).await;
    let mut moments = Vec::new();
    for number in 1..=3 {
        let committed = commit(&cloud, &instance, number).await;
        moments.push((committed, cloud.fingerprint(&instance, "orders").await));
        commit(&cloud, &instance, 10 + number).await;
        let taken = take(&cloud, &instance).await;
        assert_eq!(taken["sequence"], number, "{taken}");
    }
    let listed = list(&mut sql).await;
    assert_eq!(listed.iter().map(|row| &*row[0]).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert!(listed.iter().all(|row| row[3] == "0" && row[4].is_empty()), "{listed:?}");
    assert!(listed.windows(2).all(|pair| pair[0][2] == pair[1][1]), "{listed:?}");

    let task = sql.done("rds_tlog_backup_copy_to_S3", "@db_name = 'orders', @rds_backup_starting_seq_id = 1").await;
    assert_eq!((&*task["S3_object_arn"], &*task["complete"]), (TARGET, "100"), "{task:?}");
    let keys = copied(&cloud).await;
    let name = "SELECT CAST(db_id AS nvarchar(10)) + '.' + LOWER(CAST(family_guid AS nvarchar(36))) + '.1.' + \
                CAST(backup_file_epoch AS nvarchar(20)) FROM msdb.dbo.rds_fn_list_tlog_backup_metadata('orders') \
                WHERE rds_backup_seq_id = 1";
    let name = sql.one(name).await.unwrap();
    let (folder, _) = name.rsplit_once(".1.").unwrap();
    assert_eq!(keys[0], format!("logs/{folder}/{name}"));
    assert_eq!(keys.len(), 3);

    // The last one recovers, whatever waits in the queue before it; with nothing said none does.
    sql.done("rds_restore_database", &restore_full("copy")).await;
    for key in &keys[..2] {
        let task = sql.done("rds_restore_log", &restore_log("copy", key, "")).await;
        assert_eq!(task["task_type"], "RESTORE_DB_LOG_NORECOVERY");
    }
    sql.done("rds_restore_log", &restore_log("copy", &keys[2], ", @with_norecovery = 0")).await;
    let print = cloud.fingerprint(&instance, "orders").await;
    assert_eq!(cloud.fingerprint(&instance, "copy").await, print);
    // In one go.
    let mut tasks = vec![sql.submit("rds_restore_database", &restore_full("again")).await];
    for key in &keys {
        tasks.push(sql.submit("rds_restore_log", &restore_log("again", key, ", @with_norecovery = 1")).await);
    }
    for task in tasks {
        assert_eq!(sql.end(task).await["lifecycle"], "SUCCESS");
    }
    sql.done("rds_finish_restore", "'again'").await;
    assert_eq!(cloud.fingerprint(&instance, "again").await, print);
    for (number, (moment, print)) in moments.iter().enumerate() {
        let name = format!("at{number}");
        sql.done("rds_restore_database", &restore_full(&name)).await;
        for key in &keys[..number] {
            sql.done("rds_restore_log", &restore_log(&name, key, "")).await;
        }
        let stop = format!(", @with_norecovery = 0, @stopat = '{moment}'");
        sql.done("rds_restore_log", &restore_log(&name, &keys[number], &stop)).await;
        assert_eq!(&cloud.fingerprint(&instance, &name).await, print, "{moment}");
    }
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pair_of_parameters_chooses_files_and_a_differential_shortens_the_way() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 640).await;
    let mut sql = cloud.sql(&instance).await;
    allow(&cloud, &instance).await;
    set_up(&mut sql).await;
    sql.done("rds_backup_database", &full("full.bak")).await;
    for seed in 1..=2 {
        commit(&cloud, &instance, seed).await;
        take(&cloud, &instance).await;
    }
    commit(&cloud, &instance, 3).await;
    sql.done("rds_backup_database", &format!("{}, @type = 'DIFFERENTIAL'", full("diff.bak"))).await;
    commit(&cloud, &instance, 4).await;
    take(&cloud, &instance).await;
    let history = "SELECT TOP 1 type + CAST(last_lsn AS nvarchar(30)) FROM msdb.dbo.backupset \
                   WHERE database_name = 'orders' ORDER BY backup_set_id DESC";
    let listed = list(&mut sql).await;
    assert_eq!(sql.one(history).await, Some(format!("L{}", listed[2][2])));
    let printed = tsql(
        &instance,
        &cloud.facts.ca_file,
        "require",
        "SELECT * FROM msdb.dbo.rds_fn_list_tlog_backup_metadata('orders') WHERE rds_backup_seq_id = 3",
    )
    .await;
    for wanted in ["orders|", &format!("|{}|{}|0|", listed[2][1], listed[2][2])] {
        assert!(printed.contains(wanted), "{wanted} is not in {printed}");
    }

    let [_, first, last, ..] = &listed[1];
    let sequence = |key: &str| key.rsplit('.').nth(1).unwrap().to_owned();
    for (arguments, chosen) in [
        (format!("@starting_lsn = {first}, @ending_lsn = {last}"), &["2"][..]),
        (format!("@ending_lsn = {last}"), &["1", "2"]),
        ("@rds_backup_starting_seq_id = 3, @rds_backup_ending_seq_id = 3".to_owned(), &["3"]),
        ("@backup_file_start_time = '2026-01-01 00:00:00'".to_owned(), &["1", "2", "3"]),
    ] {
        for key in copied(&cloud).await {
            cloud.s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
        }
        sql.done("rds_tlog_backup_copy_to_S3", &format!("@db_name = 'orders', {arguments}")).await;
        let found: Vec<String> = copied(&cloud).await.iter().map(|key| sequence(key)).collect();
        assert_eq!(found, chosen, "{arguments}");
    }

    let keys = copied(&cloud).await;
    let differential = restore_full("copy").replace("full.bak", "diff.bak") + ", @type = 'DIFFERENTIAL'";
    sql.done("rds_restore_database", &restore_full("copy")).await;
    sql.done("rds_restore_database", &differential).await;
    sql.done("rds_restore_log", &restore_log("copy", &keys[2], ", @with_norecovery = 0")).await;
    assert_eq!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);
    // A log that was restored makes the differential too old.
    sql.done("rds_restore_database", &restore_full("late")).await;
    for key in &keys {
        sql.done("rds_restore_log", &restore_log("late", key, "")).await;
    }
    sql.fails("rds_restore_database", &differential.replace("'copy'", "'late'")).await;
    cloud.close().await;
}
