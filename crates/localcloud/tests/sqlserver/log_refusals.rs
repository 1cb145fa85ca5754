//! What is refused about log backups: by the procedures at once, by the bucket when it is written to, by the database when a
//! log does not follow.

use http::Method;
use serde_json::{Value, json};

use super::cloud::{BUCKET, Cloud};
use super::logs::{
    TARGET, allow, commit, copied, full, list, own, path, restore_full, restore_log, run, set_policy, set_up,
    statement, take,
};

pub(crate) const COPY: &str = "EXEC msdb.dbo.rds_tlog_backup_copy_to_S3";
const NO_PERMISSION: &str = "There was a permissions error in processing the request.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn procedures_say_what_they_lack() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    cloud.bucket("haulier-elsewhere", "us-west-2").await;
    let mut sql = cloud.sql(&instance).await;
    let setup = |target: &str| format!("EXEC msdb.dbo.rds_tlog_copy_setup {target}");
    for (target, expected) in [
        ("", "The target S3 arn for the input parameter @target_s3_arn can't be empty or null."),
        ("NULL", "The target S3 arn for the input parameter @target_s3_arn can't be empty or null."),
        ("'s3://b/x'", "The target S3 arn for the input parameter @target_s3_arn must begin with arn:aws."),
        ("'arn:aws:s3::: /x'", "The S3 bucket name for the input parameter @target_s3_arn should contain at least one"),
        ("'arn:aws:s3:::haulier-nowhere/x'", "Unable to generate credentials for enabling Access to Transaction Log"),
        ("'arn:aws:s3:::haulier-elsewhere/x'", "Unable to generate credentials for enabling Access to Transaction Log"),
    ] {
        let (number, told) = sql.error(&setup(target)).await;
        assert!(number == 50_000 && told.starts_with(expected), "{target}: {told}");
    }
    let listed = list(&mut sql).await;
    assert!(listed.len() == 1 && listed[0][4].starts_with("You must run the rds_tlog_copy_setup"), "{listed:?}");
    let (_, told) = sql.error(&format!("{COPY} 'orders', @rds_backup_starting_seq_id = 1")).await;
    assert!(told.starts_with("You must run the rds_tlog_copy_setup stored procedure"), "{told}");

    set_up(&mut sql).await;
    let (_, told) = sql.error(&setup(&format!("'{TARGET}'"))).await;
    assert_eq!(told, "The target S3 ARN is already set to the provided value.");
    assert_eq!(list(&mut sql).await, [[""; 5]; 0], "nothing was taken yet");
    commit(&cloud, &instance, 1).await;
    take(&cloud, &instance).await;
    let key = &cloud.facts.bootstrap.kms_key_arn;
    for (arguments, expected) in [
        ("@rds_backup_starting_seq_id = 1".to_owned(), "Database name for the input parameter @db_name can't be empty"),
        ("'msdb', @rds_backup_starting_seq_id = 1".to_owned(), "Cannot run the rds_tlog_backup_copy_to_S3 stored"),
        ("'nope', @rds_backup_starting_seq_id = 1".to_owned(), "Cannot find the given database nope."),
        ("'orders'".to_owned(), "At least one of these three parameter sets must be provided."),
        (
            "'orders', @starting_lsn = 1, @rds_backup_ending_seq_id = 1".to_owned(),
            "Only one of these three parameter sets",
        ),
        (
            "'orders', @starting_lsn = 2, @ending_lsn = 1".to_owned(),
            "The LSN for the input parameter @starting_lsn must",
        ),
        (
            "'orders', @rds_backup_starting_seq_id = 2, @rds_backup_ending_seq_id = 1".to_owned(),
            "The sequence ID for the",
        ),
        (
            "'orders', @backup_file_start_time = '2026-01-02', @backup_file_end_time = '2026-01-01'".to_owned(),
            "The start time for the input parameter @backup_file_start_time must",
        ),
        (
            "'orders', @backup_file_start_time = 'soon'".to_owned(),
            "Invalid value for parameter @backup_file_start_time",
        ),
        ("'orders', @backup_file_end_time = '2000-01-01'".to_owned(), "The provided parameters fall outside of the"),
        ("'orders', @rds_backup_starting_seq_id = 2".to_owned(), "The provided parameters fall outside of the"),
        (
            format!("'orders', @rds_backup_starting_seq_id = 1, @kms_key_arn = '{key}'"),
            "You cannot provide a KMS Key ARN as input parameter",
        ),
    ] {
        let (number, told) = sql.error(&format!("{COPY} {arguments}")).await;
        assert!(number == 50_000 && told.starts_with(expected), "{arguments}: {told}");
    }
    for batch in [format!("{COPY} 'orders', @starting_lsn = 1"), setup("'arn:aws:s3:::other'")] {
        let mut sql = cloud.sql(&instance).await;
        let (_, told) = sql.error(&format!("BEGIN TRAN; {batch}")).await;
        assert!(told.ends_with("Verify that the session has no open transactions and try again."), "{told}");
    }
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bucket_decides_what_the_service_writes() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    let mut sql = cloud.sql(&instance).await;
    set_up(&mut sql).await;
    commit(&cloud, &instance, 1).await;
    take(&cloud, &instance).await;
    let copy = "'orders', @rds_backup_starting_seq_id = 1";
    let good = statement(&cloud, &instance);
    let changed = |path: &str, value: &str| {
        let mut statement = good.clone();
        *statement.pointer_mut(path).unwrap() = json!(value);
        statement
    };
    let conditions = "/Condition/StringEquals";
    own(&cloud, BUCKET, "BucketOwnerPreferred").await;
    for (what, policy) in [
        ("no service", changed("/Principal/Service", "rds.amazonaws.com")),
        ("another folder", changed("/Resource", "arn:aws:s3:::haulier-native/elsewhere/*")),
        ("another action", changed("/Action", "s3:GetObject")),
        ("another list", changed(&format!("{conditions}/s3:x-amz-acl"), "private")),
        ("another account", changed(&format!("{conditions}/aws:sourceAccount"), "444455556666")),
        ("another instance", changed(&format!("{conditions}/aws:sourceArn"), "arn:aws:rds:eu-central-1:1:db:x")),
    ] {
        set_policy(&cloud, &policy).await;
        let info = sql.fails("rds_tlog_backup_copy_to_S3", copy).await;
        assert!(info.contains(NO_PERMISSION), "{what}: {info}");
    }
    set_policy(&cloud, &good).await;
    for ownership in ["BucketOwnerEnforced", "ObjectWriter"] {
        own(&cloud, BUCKET, ownership).await;
        let info = sql.fails("rds_tlog_backup_copy_to_S3", copy).await;
        assert!(info.contains(NO_PERMISSION), "{ownership}: {info}");
    }
    own(&cloud, BUCKET, "BucketOwnerPreferred").await;
    encrypt(&cloud, "aws:kms").await;
    let info = sql.fails("rds_tlog_backup_copy_to_S3", copy).await;
    assert!(info.contains(NO_PERMISSION), "{info}");
    assert_eq!(copied(&cloud).await, [""; 0]);
    encrypt(&cloud, "AES256").await;
    sql.done("rds_tlog_backup_copy_to_S3", copy).await;
    // What is there already is written over.
    let keys = copied(&cloud).await;
    cloud.upload(&keys[0], "something else").await;
    sql.done("rds_tlog_backup_copy_to_S3", copy).await;
    assert_eq!(copied(&cloud).await, keys);
    assert!(cloud.download(&keys[0]).await.starts_with(b"TAPE"));
    cloud.close().await;
}

async fn encrypt(cloud: &Cloud, algorithm: &str) {
    use aws_sdk_s3::types::{
        ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
        ServerSideEncryptionRule,
    };
    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::from(algorithm));
    let rule =
        ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default.build().unwrap()).build();
    let configuration = ServerSideEncryptionConfiguration::builder().rules(rule).build().unwrap();
    let put = cloud.s3.put_bucket_encryption().bucket(BUCKET).server_side_encryption_configuration(configuration);
    put.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_does_not_follow_is_refused() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    let mut sql = cloud.sql(&instance).await;
    allow(&cloud, &instance).await;
    set_up(&mut sql).await;
    sql.done("rds_backup_database", &full("full.bak")).await;
    let mut ends = Vec::new();
    for seed in 1..=4 {
        commit(&cloud, &instance, seed).await;
        ends.push(take(&cloud, &instance).await["taken"].as_str().unwrap().to_owned());
    }
    sql.done("rds_tlog_backup_copy_to_S3", "'orders', @rds_backup_ending_seq_id = 4").await;
    let keys = copied(&cloud).await;
    let listed = list(&mut sql).await;

    // Not onto what is not there, nor onto what is open.
    for database in ["nothing", "orders"] {
        let info = sql.fails("rds_restore_log", &restore_log(database, &keys[0], "")).await;
        assert!(info.contains("because no files are ready to rollforward."), "{info}");
    }
    sql.done("rds_restore_database", &restore_full("copy")).await;
    let info = sql.fails("rds_restore_log", &restore_log("copy", &keys[1], "")).await;
    let expected = format!("The log in this backup set begins at LSN {}, which is too recent", listed[1][1]);
    assert!(info.contains(&expected) && info.contains("RESTORE LOG is terminating abnormally."), "{info}");
    let info = sql.fails("rds_restore_log", &restore_log("copy", "full.bak", "")).await;
    assert!(info.contains("Please reissue task with correct type"), "{info}");
    let info = sql.fails("rds_restore_log", &restore_log("copy", "logs/*", "")).await;
    assert!(info.contains("exactly one file"), "{info}");
    for key in &keys[..2] {
        sql.done("rds_restore_log", &restore_log("copy", key, "")).await;
    }
    let info = sql.fails("rds_restore_log", &restore_log("copy", &keys[0], "")).await;
    let expected = format!("terminates at LSN {}, which is too early to apply", listed[0][2]);
    assert!(info.contains(&expected), "{info}");
    let stop = format!(", @stopat = '{}', @with_norecovery = 0", ends[0]);
    let info = sql.fails("rds_restore_log", &restore_log("copy", &keys[2], &stop)).await;
    assert!(info.contains("The specified STOPAT time is too early."), "{info}");
    // A moment that the log does not reach: the database stays as it is, for the next log.
    let stop = format!(", @stopat = '{}', @with_norecovery = 0", ends[3]);
    let task = sql.done("rds_restore_log", &restore_log("copy", &keys[2], &stop)).await;
    assert!(task["task_info"].contains("The database is being left in the restoring state"), "{task:?}");
    let state = "SELECT state_desc FROM sys.databases WHERE name = 'copy'";
    assert_eq!(sql.one(state).await.as_deref(), Some("RESTORING"));
    sql.done("rds_restore_log", &restore_log("copy", &keys[3], &stop)).await;
    assert_eq!(sql.one(state).await.as_deref(), Some("ONLINE"));
    assert_eq!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);

    // The copy goes a way of its own from here on.
    let path = |more: &str| format!("/instances/{}/databases/copy/{more}", instance.id);
    cloud.control(Method::POST, &path("pages"), &json!({"count": 3, "seed": 9})).await;
    cloud.control(Method::POST, &path("log-backups"), &Value::Null).await;
    sql.done("rds_tlog_backup_copy_to_S3", "'copy', @rds_backup_starting_seq_id = 1").await;
    let of_copy: Vec<String> = copied(&cloud).await.into_iter().filter(|key| !keys.contains(key)).collect();
    sql.done("rds_restore_database", &restore_full("third")).await;
    let info = sql.fails("rds_restore_log", &restore_log("third", &of_copy[0], "")).await;
    assert!(info.contains("it is on a recovery path that is inconsistent with the database."), "{info}");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_breaks_where_a_log_is_lost_or_was_not_kept() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    let mut sql = cloud.sql(&instance).await;
    set_up(&mut sql).await;
    for seed in 1..=3 {
        commit(&cloud, &instance, seed).await;
        take(&cloud, &instance).await;
    }
    let broken = |listed: Vec<[String; 5]>| listed.into_iter().map(|[number, _, _, broken, _]| (number, broken));
    let expect =
        |rows: &[(&str, &str)]| rows.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    cloud.control(Method::DELETE, &path(&instance, "log-backups/2"), &Value::Null).await;
    assert_eq!(broken(list(&mut sql).await).collect::<Vec<_>>(), expect(&[("1", "0"), ("3", "1")]));
    let (status, _) = cloud.try_control(Method::DELETE, &path(&instance, "log-backups/2"), &Value::Null).await;
    assert!(!status.is_success(), "it is gone already");
    let kept = cloud.control(Method::GET, &path(&instance, "log-backups"), &Value::Null).await;
    assert_eq!(kept.as_array().map(Vec::len), Some(2), "{kept}");

    run(&mut sql, "ALTER DATABASE orders SET RECOVERY SIMPLE").await;
    let (_, refused) = cloud.try_control(Method::POST, &path(&instance, "log-backups"), &Value::Null).await;
    assert!(refused.contains("BACKUP LOG is not allowed while the recovery model is SIMPLE"), "{refused}");
    commit(&cloud, &instance, 4).await;
    run(&mut sql, "ALTER DATABASE orders SET RECOVERY FULL").await;
    commit(&cloud, &instance, 5).await;
    take(&cloud, &instance).await;
    assert_eq!(broken(list(&mut sql).await).next_back(), Some(("4".to_owned(), "1".to_owned())));

    // A snapshot has neither the log backups nor where they go.
    cloud.query("rds", "Action=CreateDBSnapshot&DBInstanceIdentifier=shop&DBSnapshotIdentifier=kept").await;
    cloud.wait_for("shop", "available").await;
    let form = "Action=RestoreDBInstanceFromDBSnapshot&DBInstanceIdentifier=again&DBSnapshotIdentifier=kept&DBSubnetGroupName=haulier";
    cloud.query("rds", form).await;
    cloud.wait_for("again", "available").await;
    let again = cloud.look("again").await;
    let kept = cloud.control(Method::GET, &path(&again, "log-backups"), &Value::Null).await;
    assert_eq!(kept, json!([]));

    let retention = "Action=ModifyDBInstance&DBInstanceIdentifier=shop&ApplyImmediately=true&BackupRetentionPeriod=";
    cloud.query("rds", &format!("{retention}0")).await;
    cloud.wait_for("shop", "available").await;
    let listed = list(&mut sql).await;
    assert!(listed.len() == 1 && listed[0][4].starts_with("Backups are disabled"), "{listed:?}");
    let (_, told) = sql.error(&format!("{COPY} 'orders', @rds_backup_starting_seq_id = 1")).await;
    assert!(told.starts_with("Backups are disabled on your instance."), "{told}");
    let (_, told) = sql.error("EXEC msdb.dbo.rds_tlog_copy_setup 'arn:aws:s3:::haulier-native/other'").await;
    assert!(told.starts_with("Backups are disabled on this DB instance."), "{told}");
    let (status, refused) = cloud.try_control(Method::POST, &path(&instance, "log-backups"), &Value::Null).await;
    assert!(!status.is_success() && refused.contains("automated backups of shop are off"), "{refused}");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_per_database_in_the_queue_of_two() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    cloud.make(&instance, "stock", 64).await;
    let mut sql = cloud.sql(&instance).await;
    allow(&cloud, &instance).await;
    set_up(&mut sql).await;
    commit(&cloud, &instance, 1).await;
    take(&cloud, &instance).await;
    for _ in 0..2 {
        cloud.control(Method::POST, "/instances/shop/databases/stock/log-backups", &Value::Null).await;
    }
    cloud.order_fault("TLOG_BACKUP_COPY_TO_S3", &json!("task_hang")).await;
    let copy = sql.submit("rds_tlog_backup_copy_to_S3", "'orders', @rds_backup_starting_seq_id = 1").await;
    let (_, told) = sql.error(&format!("{COPY} 'ORDERS', @rds_backup_starting_seq_id = 1")).await;
    let expected = format!(
        "A T-log backup file copy task has already been issued for database: orders with task Id: {copy}, please try again later."
    );
    assert_eq!(told, expected);
    // Beside it there is room for one more.
    sql.done("rds_tlog_backup_copy_to_S3", "'stock', @rds_backup_starting_seq_id = 1").await;
    assert_eq!(copied(&cloud).await.len(), 2);
    assert_eq!(sql.task(copy).await["lifecycle"], "IN_PROGRESS");
    let (_, told) = sql.error("EXEC msdb.dbo.rds_tlog_copy_setup 'arn:aws:s3:::haulier-native/other'").await;
    assert!(told.contains("while there are pending tasks"), "{told}");
    run(&mut sql, &format!("EXEC msdb.dbo.rds_cancel_task {copy}")).await;
    assert_eq!(sql.end(copy).await["lifecycle"], "CANCELLED");
    sql.done("rds_tlog_backup_copy_to_S3", "'orders', @rds_backup_starting_seq_id = 1").await;
    run(&mut sql, "EXEC msdb.dbo.rds_tlog_copy_setup 'arn:aws:s3:::haulier-native/other'").await;
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_servers_backup_has_no_log() {
    let (cloud, instance) = Cloud::with_instance().await;
    let mut sql = cloud.sql(&instance).await;
    allow(&cloud, &instance).await;
    set_up(&mut sql).await;
    cloud.make(&instance, "orders", 64).await;
    commit(&cloud, &instance, 1).await;
    take(&cloud, &instance).await;
    sql.done("rds_tlog_backup_copy_to_S3", "'orders', @rds_backup_starting_seq_id = 1").await;
    let keys = copied(&cloud).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("theirs.bak");
    cloud.control(Method::POST, &path(&instance, "images"), &json!({"files": [file]})).await;
    cloud.control(Method::DELETE, "/instances/shop/databases/orders", &Value::Null).await;
    cloud.control(Method::POST, "/instances/shop/databases/orders", &json!({"images": {"full": [file]}})).await;
    let (status, refused) = cloud.try_control(Method::POST, &path(&instance, "log-backups"), &Value::Null).await;
    assert!(!status.is_success() && refused.contains("it has no log that could be backed up"), "{refused}");
    assert_eq!(list(&mut sql).await, [[""; 5]; 0]);
    sql.done("rds_backup_database", &full("full.bak")).await;
    sql.done("rds_restore_database", &restore_full("copy")).await;
    let info = sql.fails("rds_restore_log", &restore_log("copy", &keys[0], "")).await;
    assert!(info.contains("no log can be restored onto it"), "{info}");
    cloud.close().await;
}
