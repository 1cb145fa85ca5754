//! Faults on order: every text that AWS is known for, tasks that hang, answers that are lost, limits that are met.

use http::Method;
use serde_json::{Value, json};

use super::cloud::{BUCKET, Cloud, Instance};

fn backup(database: &str, key: &str) -> String {
    format!("@source_db_name = '{database}', @s3_arn_to_backup_to = 'arn:aws:s3:::{BUCKET}/{key}'")
}

async fn databases(cloud: &Cloud, instance: &Instance, names: &[&str]) {
    for name in names {
        cloud.make(instance, name, 640).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn procedures_and_tasks_fail_as_ordered() {
    let (cloud, instance) = Cloud::with_instance().await;
    databases(&cloud, &instance, &["orders"]).await;
    let mut sql = cloud.sql(&instance).await;
    let text = "The EXECUTE permission was denied on the object 'rds_backup_database', database 'msdb', schema 'dbo'.";
    cloud.order_fault("rds_backup_database", &json!({"sql_error": {"number": 229, "text": text}})).await;
    let batch = format!("EXEC msdb.dbo.rds_backup_database {}", backup("orders", "a.bak"));
    assert_eq!(sql.error(&batch).await, (229, text.to_owned()));

    for (number, (percent, text)) in [
        (0, "Access Denied"),
        (0, "User arn:aws:sts::1:assumed-role/x is not authorized to perform kms:GenerateDataKey on resource arn"),
        (40, "Cannot find server certificate. RESTORE FILELIST is terminating abnormally."),
        (40, "some text that nobody has seen before"),
    ]
    .into_iter()
    .enumerate()
    {
        cloud.order_fault("BACKUP_DB", &json!({"task_error": {"text": text, "percent": percent}})).await;
        let info = sql.fails("rds_backup_database", &backup("orders", &format!("{number}.bak"))).await;
        assert!(info.contains(text), "{info}");
        assert_eq!(info.contains("S3 processing has been aborted"), percent > 0, "{info}");
    }
    let faults = cloud.control(Method::GET, "/faults", &Value::Null).await;
    assert_eq!(faults[0]["fired"], 1, "{faults}");
    assert_eq!((cloud.objects().await.len(), cloud.uploads().await), (0, 0), "nothing is left in S3");

    // A restore that fails half-way leaves the database restoring, which can neither be used nor finished.
    sql.done("rds_backup_database", &backup("orders", "good.bak")).await;
    cloud.order_fault("RESTORE_DB", &json!({"task_error": {"text": "half-way", "percent": 50}})).await;
    let from = format!("@restore_db_name = 'copy', @s3_arn_to_restore_from = 'arn:aws:s3:::{BUCKET}/good.bak'");
    let info = sql.fails("rds_restore_database", &from).await;
    assert!(info.contains("or a concurrent RESTORE_DB request.") && info.contains("half-way"), "{info}");
    let state = "SELECT state_desc FROM sys.databases WHERE name = 'copy'";
    assert_eq!(sql.one(state).await.as_deref(), Some("RESTORING"));
    sql.fails("rds_finish_restore", "'copy'").await;
    sql.0.simple_query("EXEC msdb.dbo.rds_drop_database 'copy'").await.unwrap().into_results().await.unwrap();
    sql.done("rds_restore_database", &from).await;
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_run_one_per_database_and_a_hanging_one_is_cancelled() {
    let (cloud, instance) = Cloud::with_instance().await;
    databases(&cloud, &instance, &["a", "b", "c"]).await;
    let mut sql = cloud.sql(&instance).await;
    let rule = json!([{"service": "sqlserver", "operation": "BACKUP_DB", "times": 2, "effect": "task_hang"}]);
    cloud.control(Method::PUT, "/faults", &rule).await;
    let first = sql.submit("rds_backup_database", &backup("a", "a.bak")).await;
    let second = sql.submit("rds_backup_database", &backup("b", "b.bak")).await;
    for id in [first, second] {
        sql.wait(id, &["IN_PROGRESS"]).await;
    }
    let third = sql.submit("rds_backup_database", &backup("c", "c.bak")).await;
    let (number, text) = sql.error(&format!("EXEC msdb.dbo.rds_backup_database {}", backup("A", "x.bak"))).await;
    assert_eq!(number, 50_000);
    assert!(text.starts_with("A task has already been issued for database: a"), "{text}");
    assert_eq!(sql.task(third).await["lifecycle"], "CREATED");
    sql.0.simple_query(format!("EXEC msdb.dbo.rds_cancel_task {first}")).await.unwrap().into_results().await.unwrap();
    let task = sql.end(first).await;
    assert_eq!(task["lifecycle"], "CANCELLED", "{task:?}");
    assert!(task["task_info"].contains("Task has been aborted"), "{task:?}");
    assert_eq!(sql.end(third).await["lifecycle"], "SUCCESS");
    // A snapshot of the instance ends what is being backed up.
    cloud.query("rds", "Action=CreateDBSnapshot&DBInstanceIdentifier=shop&DBSnapshotIdentifier=now").await;
    let task = sql.end(second).await;
    assert_eq!(task["lifecycle"], "ERROR");
    let text = "Aborting native backup because there is an RDS automated backup in progress.";
    assert!(task["task_info"].contains(text), "{task:?}");
    cloud.wait_for("shop", "available").await;
    assert_eq!(cloud.uploads().await, 0);
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_leaves_a_task_that_is_found_by_its_key() {
    let (cloud, instance) = Cloud::with_instance().await;
    databases(&cloud, &instance, &["orders"]).await;
    let mut sql = cloud.sql(&instance).await;
    cloud.order_fault("rds_backup_database", &json!("timeout_after")).await;
    let batch = format!("EXEC msdb.dbo.rds_backup_database {}", backup("orders", "lost-1.bak"));
    let lost = match sql.0.simple_query(batch).await {
        Ok(stream) => stream.into_results().await.is_err(),
        Err(_) => true,
    };
    assert!(lost, "the connection ends without an answer");
    let mut sql = cloud.sql(&instance).await;
    let batch = "SELECT CAST(task_id AS nvarchar(10)) FROM msdb.dbo.rds_fn_task_status(NULL, 0) WHERE S3_object_arn LIKE '%lost-1.bak'";
    let id: i32 = sql.one(batch).await.unwrap().parse().unwrap();
    assert_eq!(sql.end(id).await["lifecycle"], "SUCCESS");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_that_stumbles_is_tried_again() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 4000).await;
    let mut sql = cloud.sql(&instance).await;
    let rules = json!([
        {"service": "s3", "operation": "UploadPart", "effect": {"error_before": {"code": "InternalError"}}},
        {"service": "s3", "operation": "GetObject", "after": 1, "effect": {"cut_after_bytes": 1000}},
        {"service": "s3", "operation": "CompleteMultipartUpload", "effect": "throttle"},
    ]);
    cloud.control(Method::PUT, "/faults", &rules).await;
    sql.done("rds_backup_database", &backup("orders", "orders.bak")).await;
    let from = format!("@restore_db_name = 'copy', @s3_arn_to_restore_from = 'arn:aws:s3:::{BUCKET}/orders.bak'");
    sql.done("rds_restore_database", &from).await;
    assert_eq!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);
    let faults = cloud.control(Method::GET, "/faults", &Value::Null).await;
    assert!(faults.as_array().unwrap().iter().all(|rule| rule["fired"] == 1), "{faults}");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_held_up_runs_on_by_itself_and_can_be_cancelled() {
    let (cloud, instance) = Cloud::with_instance().await;
    databases(&cloud, &instance, &["a", "b"]).await;
    let mut sql = cloud.sql(&instance).await;
    cloud.order_fault("BACKUP_DB", &json!({"delay_ms": 50})).await;
    sql.done("rds_backup_database", &backup("a", "a.bak")).await;
    assert_eq!(cloud.control(Method::GET, "/faults", &Value::Null).await[0]["fired"], 1);
    cloud.order_fault("BACKUP_DB", &json!({"delay_ms": 600_000})).await;
    let held = sql.submit("rds_backup_database", &backup("a", "c.bak")).await;
    sql.wait(held, &["IN_PROGRESS"]).await;
    sql.done("rds_backup_database", &backup("b", "b.bak")).await;
    assert_eq!(sql.task(held).await["lifecycle"], "IN_PROGRESS");
    sql.0.simple_query(format!("EXEC msdb.dbo.rds_cancel_task {held}")).await.unwrap().into_results().await.unwrap();
    assert_eq!(sql.end(held).await["lifecycle"], "CANCELLED");
    cloud.close().await;
}
