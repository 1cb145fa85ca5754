//! Native tasks: databases leave through S3 and come back.

use http::Method;
use serde_json::json;

use super::clients::Sql;
use super::cloud::{BUCKET, Cloud};

fn arn(key: &str) -> String {
    format!("arn:aws:s3:::{BUCKET}/{key}")
}

fn backup(database: &str, key: &str) -> String {
    format!("@source_db_name = '{database}', @s3_arn_to_backup_to = '{}'", arn(key))
}

fn restore(database: &str, key: &str) -> String {
    format!("@restore_db_name = '{database}', @s3_arn_to_restore_from = '{}'", arn(key))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_comes_back_page_by_page() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 4000).await;
    cloud.change(&instance, "orders", 17).await;
    let mut sql = cloud.sql(&instance).await;
    let task = sql.done("rds_backup_database", &backup("orders", "one/orders.bak")).await;
    assert_eq!((&*task["task_type"], &*task["complete"]), ("BACKUP_DB", "100"));
    for line in
        ["Task execution has started.", "5 percent processed.", "orders.bak: Completed processing 100% of S3 chunks."]
    {
        assert!(task["task_info"].contains(line), "{}", task["task_info"]);
    }
    let objects = cloud.objects().await;
    assert!(matches!(&objects[..], [(key, size)] if key == "one/orders.bak" && *size > 4000 * 8192), "{objects:?}");
    assert!(cloud.download("one/orders.bak").await.starts_with(b"TAPE"));
    let row = sql.one("SELECT TOP 1 type + recovery_model FROM msdb.dbo.backupset WHERE database_name = 'orders' AND is_snapshot = 0").await;
    assert_eq!(row.as_deref(), Some("DFULL"));

    let task = sql.done("rds_restore_database", &restore("copy", "one/orders.bak")).await;
    assert_eq!(task["task_type"], "RESTORE_DB");
    assert_eq!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);
    // The copy is a database like any other: it changes, goes, and comes back.
    cloud.change(&instance, "copy", 5).await;
    assert_ne!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);
    sql.done("rds_backup_database", &format!("{}, @number_of_files = 3", backup("copy", "three/copy*.bak"))).await;
    let keys: Vec<String> = cloud.objects().await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys[1..], ["three/copy1-of-3.bak", "three/copy2-of-3.bak", "three/copy3-of-3.bak"]);
    sql.done("rds_restore_database", &restore("again", "three/*")).await;
    assert_eq!(cloud.fingerprint(&instance, "again").await, cloud.fingerprint(&instance, "copy").await);
    assert_eq!(cloud.uploads().await, 0);
    // The other answer that RDS is known for.
    cloud.control(Method::PUT, "/instances/shop/task-ids", &json!({"text": true})).await;
    let batch = format!("EXEC msdb.dbo.rds_backup_database {}", backup("copy", "text.bak"));
    let told = sql.one(&batch).await.unwrap();
    let id = told.strip_prefix("Task Id: ").expect("a text").parse().unwrap();
    assert_eq!(sql.end(id).await["lifecycle"], "SUCCESS");
    cloud.close().await;
}

/// Where a database's data and log lie, and whether it has change data capture.
async fn placed(sql: &mut Sql, name: &str) -> [String; 3] {
    let files =
        format!("SELECT f.physical_name FROM sys.master_files f WHERE f.database_id = DB_ID('{name}') AND f.type =");
    let cdc = format!("SELECT CAST(is_cdc_enabled AS nvarchar(1)) FROM sys.databases WHERE name = '{name}'");
    let mut told = Vec::new();
    for batch in [format!("{files} 0"), format!("{files} 1"), cdc] {
        told.push(sql.one(&batch).await.unwrap());
    }
    told.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_to_volumes_and_change_data_capture_is_kept_where_that_is_asked_for() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    let mut sql = cloud.sql(&instance).await;
    sql.done("rds_backup_database", &backup("orders", "full.bak")).await;
    sql.done("rds_backup_database", &format!("{}, @type = 'DIFFERENTIAL'", backup("orders", "diff.bak"))).await;
    let batch = format!("EXEC msdb.dbo.rds_restore_database {}, @data_file_volume = 'H:'", restore("a", "full.bak"));
    assert_eq!(sql.error(&batch).await.1, "The DB instance has no volume H: for parameter @data_file_volume.");
    let volumes =
        [2, 3, 4].map(|number| format!("&AdditionalStorageVolumes.member.{number}.VolumeName=rdsdbdata{number}"));
    let form = format!("Action=ModifyDBInstance&DBInstanceIdentifier=shop{}&ApplyImmediately=true", volumes.concat());
    cloud.query("rds", &form).await;
    let shown = cloud.wait_for("shop", "available").await;
    assert!(shown.contains("rdsdbdata3"), "{shown}");
    let arguments =
        format!("{}, @data_file_volume = 'h:', @log_file_volume = 'J:', @keep_cdc = 1", restore("a", "full.bak"));
    sql.done("rds_restore_database", &arguments).await;
    assert_eq!(placed(&mut sql, "a").await, ["H:\\rdsdbdata\\DATA\\a.mdf", "J:\\rdsdbdata\\DATA\\a_log.ldf", "1"]);
    // In two steps: files are where the first has put them, and what the second says of change data capture counts.
    let steps = [
        format!("{}, @with_norecovery = 1, @log_file_volume = 'I:'", restore("b", "full.bak")),
        format!("{}, @type = 'DIFFERENTIAL', @with_norecovery = 0, @keep_cdc = 1", restore("b", "diff.bak")),
    ];
    for step in steps {
        sql.done("rds_restore_database", &step).await;
    }
    assert_eq!(placed(&mut sql, "b").await, ["D:\\rdsdbdata\\DATA\\b.mdf", "I:\\rdsdbdata\\DATA\\b_log.ldf", "1"]);
    assert_eq!(placed(&mut sql, "orders").await[2], "0");
    for (more, text) in [
        ("@data_file_volume = 'C:'", "Invalid value for parameter @data_file_volume"),
        ("@log_file_volume = 'H'", "Invalid value for parameter @log_file_volume"),
        ("@keep_cdc = 1, @with_norecovery = 1", "@keep_cdc cannot be used"),
    ] {
        let batch = format!("EXEC msdb.dbo.rds_restore_database {}, {more}", restore("c", "full.bak"));
        let (_, message) = sql.error(&batch).await;
        assert!(message.contains(text), "{more}: {message}");
    }
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_overwritten_only_where_that_is_asked_for() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    let mut sql = cloud.sql(&instance).await;
    // With one file a star is a letter.
    sql.done("rds_backup_database", &backup("orders", "a*.bak")).await;
    assert_eq!(cloud.objects().await[0].0, "a*.bak");
    let info = sql.fails("rds_backup_database", &backup("orders", "a*.bak")).await;
    assert!(info.contains("Please reissue task with correct type and overwrite property"), "{info}");
    assert!(info.contains("Aborted the task because of a task failure or an overlap"), "{info}");
    let before = cloud.download("a*.bak").await;
    cloud.change(&instance, "orders", 1).await;
    sql.done("rds_backup_database", &format!("{}, @overwrite_s3_backup_file = 1", backup("orders", "a*.bak"))).await;
    assert_ne!(cloud.download("a*.bak").await, before);

    let info = sql.fails("rds_restore_database", &restore("ORDERS", "a*.bak")).await;
    assert!(info.contains("Database 'ORDERS' already exists. Two databases that differ only by case"), "{info}");
    for number in 0..11 {
        cloud.upload(&format!("many/{number}.bak"), "x").await;
    }
    let info = sql.fails("rds_restore_database", &restore("new", "many/*")).await;
    assert!(info.contains("unable to restore from more than 10 backup file(s)"), "{info}");
    cloud.upload("bad.bak", "no backup").await;
    let info = sql.fails("rds_restore_database", &restore("new", "bad.bak")).await;
    assert!(info.contains("The media family on device 'bad.bak' is incorrectly formed."), "{info}");
    let info = sql.fails("rds_restore_database", &restore("new", "none.bak")).await;
    assert!(info.contains("The specified key does not exist."), "{info}");
    assert_eq!(sql.one("SELECT name FROM sys.databases WHERE name = 'new'").await, None, "nothing is left");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_and_roles_decide() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 64).await;
    let mut sql = cloud.sql(&instance).await;
    cloud.bucket("haulier-elsewhere", "us-west-2").await;
    let to = |bucket: &str| format!("@source_db_name = 'orders', @s3_arn_to_backup_to = 'arn:aws:s3:::{bucket}/x.bak'");
    for (bucket, text) in [
        ("haulier-elsewhere", "Please specify a bucket that is in the same region as RDS instance"),
        ("haulier-nowhere", "The specified bucket does not exist"),
    ] {
        let info = sql.fails("rds_backup_database", &to(bucket)).await;
        assert!(info.contains(text), "{info}");
    }
    for (arguments, text) in [
        ("@source_db_name = 'nope', @s3_arn_to_backup_to = 'arn:aws:s3:::b/x'", "Database nope does not exist."),
        ("@source_db_name = 'orders', @s3_arn_to_backup_to = 's3://b/x'", "Invalid S3 ARN provided: s3://b/x"),
        ("@source_db_name = 'orders'", "expects parameter '@s3_arn_to_backup_to', which was not supplied."),
        (
            "@source_db_name = 'orders', @s3_arn_to_backup_to = 'arn:aws:s3:::b/x', @nope = 1",
            "@nope is not a parameter",
        ),
        ("'orders', 'arn:aws:s3:::b/x', @type = 'LOG'", "Invalid value for parameter @type"),
        ("'orders', 'arn:aws:s3:::b/x', @number_of_files = 2", "needs exactly one '*'"),
        ("'orders', 'arn:aws:s3:::b/x', @block_size = 1000", "Invalid value for parameter @block_size"),
    ] {
        let (_, message) = sql.error(&format!("EXEC msdb.dbo.rds_backup_database {arguments}")).await;
        assert!(message.contains(text), "{arguments}: {message}");
    }
    let (_, message) = sql.error(&format!("EXEC msdb.dbo.rds_restore_database 'x', '{}'", arn("*"))).await;
    assert_eq!(message, "S3 ARN prefix cannot be empty");
    let (number, _) = sql.error(&format!("BEGIN TRAN; EXEC msdb.dbo.rds_backup_database {}", to(BUCKET))).await;
    assert_eq!(number, 3021);
    let mut sql = cloud.sql(&instance).await;

    let form = "Action=PutRolePolicy&RoleName=haulier-native-backup&PolicyName=work&PolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3AGetBucketLocation%22%2C%22Resource%22%3A%22%2A%22%7D%7D";
    cloud.query("iam", form).await;
    let info = sql.fails("rds_backup_database", &backup("orders", "x.bak")).await;
    assert!(info.contains("Access Denied"), "{info}");
    cloud.close().await;
}

/// What Amazon's clients keep beside what they encrypt goes with the object, and a copy without it is worthless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_file_has_a_data_key_that_one_key_alone_opens() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 1000).await;
    let mut sql = cloud.sql(&instance).await;
    let key = cloud.facts.bootstrap.kms_key_arn.clone();
    let with_key = |arguments: String, key: &str| format!("{arguments}, @kms_master_key_arn = '{key}'");
    let twice = format!("{}, @number_of_files = 2", with_key(backup("orders", "set/f*.bak"), &key));
    sql.done("rds_backup_database", &twice).await;
    sql.done("rds_backup_database", &with_key(backup("orders", "again.bak"), &key)).await;
    let mut sealed = std::collections::BTreeSet::new();
    for name in ["set/f1-of-2.bak", "set/f2-of-2.bak", "again.bak"] {
        let head = cloud.s3.head_object().bucket(BUCKET).key(name).send().await.unwrap();
        let metadata = head.metadata.unwrap();
        assert_eq!(metadata["x-amz-wrap-alg"], "kms");
        assert_eq!(metadata["x-amz-matdesc"], format!(r#"{{"kms_cmk_id":"{key}"}}"#));
        sealed.insert(metadata["x-amz-key-v2"].clone());
    }
    assert_eq!(sealed.len(), 3, "data keys are used once: {sealed:?}");
    let print = cloud.fingerprint(&instance, "orders").await;
    sql.done("rds_restore_database", &with_key(restore("both", "set/*"), &key)).await;
    assert_eq!(cloud.fingerprint(&instance, "both").await, print);

    cloud.upload("bare.bak", cloud.download("again.bak").await).await;
    let info = sql.fails("rds_restore_database", &with_key(restore("x", "bare.bak"), &key)).await;
    assert!(info.contains("is incorrectly formed"), "{info}");
    let other = cloud.new_key().await;
    sql.done("rds_backup_database", &with_key(backup("orders", "other.bak"), &other)).await;
    let info = sql.fails("rds_restore_database", &with_key(restore("x", "again.bak"), &other)).await;
    assert!(info.contains("does not identify a CMK that can perform this operation"), "{info}");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_and_encrypted_backups_come_back_too() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 1000).await;
    let mut sql = cloud.sql(&instance).await;
    sql.0
        .simple_query("EXEC rdsadmin.dbo.rds_set_configuration 'S3 backup compression', 'true'")
        .await
        .unwrap()
        .into_results()
        .await
        .unwrap();
    sql.done("rds_backup_database", &backup("orders", "packed.bak")).await;
    let size = cloud.objects().await[0].1;
    assert!(size < 1000 * 8192 / 2, "{size}");
    let key = &cloud.facts.bootstrap.kms_key_arn;
    let with_key = |arguments: String, key: &str| format!("{arguments}, @kms_master_key_arn = '{key}'");
    sql.done("rds_backup_database", &with_key(backup("orders", "sealed.bak"), key)).await;
    assert!(cloud.download("packed.bak").await.starts_with(b"MSSQLBAK"));
    assert!(!cloud.download("sealed.bak").await.starts_with(b"MSSQLBAK"));
    sql.done("rds_restore_database", &restore("unpacked", "packed.bak")).await;
    sql.done("rds_restore_database", &with_key(restore("unsealed", "sealed.bak"), key)).await;
    let print = cloud.fingerprint(&instance, "orders").await;
    assert_eq!(cloud.fingerprint(&instance, "unpacked").await, print);
    assert_eq!(cloud.fingerprint(&instance, "unsealed").await, print);
    let info = sql.fails("rds_restore_database", &restore("x", "sealed.bak")).await;
    assert!(info.contains("is incorrectly formed"), "{info}");
    let missing = key.replace("key/", "key/0");
    let info = sql.fails("rds_restore_database", &with_key(restore("x", "sealed.bak"), &missing)).await;
    assert!(info.contains(&format!("Key {missing} does not exist")), "{info}");
    let info = sql.fails("rds_backup_database", &with_key(backup("orders", "y.bak"), &missing)).await;
    assert!(info.contains(&format!("Key {missing} does not exist")), "{info}");

    let express = cloud.instance("small", &json!({"engine": "sqlserver-ex"})).await;
    cloud.make(&express, "orders", 64).await;
    let mut sql = cloud.sql(&express).await;
    sql.0
        .simple_query("EXEC rdsadmin.dbo.rds_set_configuration 'S3 backup compression', 'true'")
        .await
        .unwrap()
        .into_results()
        .await
        .unwrap();
    let info = sql.fails("rds_backup_database", &backup("orders", "z.bak")).await;
    assert!(info.contains("BACKUP DATABASE WITH COMPRESSION isn't supported on Express Edition"), "{info}");
    cloud.close().await;
}
