//! Full and differential backups: what builds on what.

use std::path::PathBuf;

use http::Method;
use serde_json::{Value, json};

use super::clients::Sql;
use super::cloud::{BUCKET, Cloud, Instance};

fn backup(database: &str, key: &str, kind: &str) -> String {
    format!("@source_db_name = '{database}', @s3_arn_to_backup_to = 'arn:aws:s3:::{BUCKET}/{key}', @type = '{kind}'")
}

fn restore(database: &str, key: &str, kind: &str, norecovery: u8) -> String {
    format!(
        "@restore_db_name = '{database}', @s3_arn_to_restore_from = 'arn:aws:s3:::{BUCKET}/{key}', @type = '{kind}', @with_norecovery = {norecovery}"
    )
}

const WRONG_BASE: &str = "This differential backup cannot be restored because the database has not been restored to the correct earlier state.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_differential_is_small_and_goes_onto_its_own_full() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 4000).await;
    let mut sql = cloud.sql(&instance).await;
    let info = sql.fails("rds_backup_database", &backup("orders", "d.bak", "DIFFERENTIAL")).await;
    assert!(info.contains("because a current database backup does not exist"), "{info}");
    sql.done("rds_backup_database", &backup("orders", "full.bak", "FULL")).await;
    cloud.change(&instance, "orders", 10).await;
    let task = sql.done("rds_backup_database", &backup("orders", "diff.bak", "DIFFERENTIAL")).await;
    assert_eq!(task["task_type"], "BACKUP_DB_DIFFERENTIAL");
    let sizes: Vec<i64> = cloud.objects().await.into_iter().map(|(_, size)| size).collect();
    assert!(sizes[0] < sizes[1] / 20, "{sizes:?}");
    sql.done("rds_backup_database", &backup("orders", "other.bak", "FULL")).await;

    // In order, submitted in one go: the second waits for the first.
    let first = sql.submit("rds_restore_database", &restore("copy", "full.bak", "FULL", 1)).await;
    let second = sql.submit("rds_restore_database", &restore("copy", "diff.bak", "DIFFERENTIAL", 1)).await;
    assert_eq!(sql.end(first).await["task_type"], "RESTORE_DB_NORECOVERY");
    assert_eq!(sql.end(second).await["lifecycle"], "SUCCESS");
    let state = "SELECT state_desc FROM sys.databases WHERE name = 'copy'";
    assert_eq!(sql.one(state).await.as_deref(), Some("RESTORING"));
    assert_eq!(sql.error("USE copy").await.0, 927);
    sql.done("rds_finish_restore", "@db_name = 'copy'").await;
    assert_eq!(sql.one(state).await.as_deref(), Some("ONLINE"));
    assert_eq!(cloud.fingerprint(&instance, "copy").await, cloud.fingerprint(&instance, "orders").await);

    // On the wrong one; and what is left of it is dropped by RDS's own procedure alone.
    sql.done("rds_restore_database", &restore("broken", "other.bak", "FULL", 1)).await;
    let info = sql.fails("rds_restore_database", &restore("broken", "diff.bak", "DIFFERENTIAL", 0)).await;
    assert!(info.contains(WRONG_BASE), "{info}");
    assert_eq!(sql.error("DROP DATABASE broken").await.0, 927);
    sql.0.simple_query("EXEC msdb.dbo.rds_drop_database N'broken'").await.unwrap().into_results().await.unwrap();
    assert_eq!(sql.one("SELECT name FROM sys.databases WHERE name = 'broken'").await, None);
    let info = sql.fails("rds_restore_database", &restore("x", "diff.bak", "FULL", 0)).await;
    assert!(info.contains("Please reissue task with correct type"), "{info}");
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_breaks_a_chain_and_msdb_tells() {
    let (cloud, instance) = Cloud::with_instance().await;
    cloud.make(&instance, "orders", 640).await;
    let mut sql = cloud.sql(&instance).await;
    sql.done("rds_backup_database", &backup("orders", "full.bak", "FULL")).await;
    let newest = "SELECT TOP 1 CAST(is_snapshot AS nvarchar(1)) FROM msdb.dbo.backupset WHERE database_name = 'orders' \
                  AND type = 'D' ORDER BY backup_start_date DESC";
    assert_eq!(sql.one(newest).await.as_deref(), Some("0"));
    cloud.query("rds", "Action=CreateDBSnapshot&DBInstanceIdentifier=shop&DBSnapshotIdentifier=between").await;
    cloud.wait_for("shop", "available").await;
    assert_eq!(sql.one(newest).await.as_deref(), Some("1"));
    cloud.change(&instance, "orders", 3).await;
    sql.done("rds_backup_database", &backup("orders", "diff.bak", "DIFFERENTIAL")).await;
    sql.done("rds_restore_database", &restore("copy", "full.bak", "FULL", 1)).await;
    let info = sql.fails("rds_restore_database", &restore("copy", "diff.bak", "DIFFERENTIAL", 0)).await;
    assert!(info.contains(WRONG_BASE), "{info}");
    cloud.close().await;
}

/// The folder of real backups, where somebody names one.
#[expect(clippy::print_stderr, reason = "who runs the test is told that it shows nothing")]
fn samples() -> Option<PathBuf> {
    let folder = std::env::var_os("HAULIER_SAMPLE_BACKUPS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("HAULIER_SAMPLE_BACKUPS names no folder of real backups: this test shows nothing");
    }
    folder
}

async fn load(cloud: &Cloud, instance: &Instance, name: &str, full: &[PathBuf], differential: &[PathBuf]) {
    let path = format!("/instances/{}/databases/{name}", instance.id);
    cloud.control(Method::POST, &path, &json!({"images": {"full": full, "differential": differential}})).await;
}

async fn there_and_back(cloud: &Cloud, instance: &Instance, sql: &mut Sql, name: &str, file: &PathBuf) {
    load(cloud, instance, name, std::slice::from_ref(file), &[]).await;
    let key = format!("{name}.bak");
    sql.done("rds_backup_database", &backup(name, &key, "FULL")).await;
    assert_eq!(cloud.download(&key).await, std::fs::read(file).unwrap(), "{}", file.display());
    let copy = format!("{name}_copy");
    sql.done("rds_restore_database", &restore(&copy, &key, "FULL", 0)).await;
    assert_eq!(cloud.fingerprint(instance, &copy).await, cloud.fingerprint(instance, name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_backups_go_there_and_back_byte_by_byte() {
    let Some(folder) = samples() else { return };
    let (cloud, instance) = Cloud::with_instance().await;
    let mut sql = cloud.sql(&instance).await;
    for (name, file) in [
        ("northwind", "northwind.bak"),
        ("tutorial", "TutorialDB.bak"),
        ("stripe", "stripe/RestoreTimeStripe.bak"),
        ("stripe2", "stripe/RestoreTimeStripe2.bak"),
    ] {
        there_and_back(&cloud, &instance, &mut sql, name, &folder.join(file)).await;
    }
    let file = |name: &str| folder.join("chain").join(name);
    let full = [file("test_FULL_20160629_141300.bak"), file("test_FULL_20160629_142200.bak")];
    let differential = [file("test_DIFF_20160629_141600.bak"), file("test_DIFF_20160629_142500.bak")];
    chains_there_and_back(&cloud, &instance, &mut sql, &full, &differential).await;
    cloud.close().await;
}

async fn chains_there_and_back(
    cloud: &Cloud,
    instance: &Instance,
    sql: &mut Sql,
    full: &[PathBuf; 2],
    differential: &[PathBuf; 2],
) {
    for number in 0..2 {
        let name = format!("chain{number}");
        load(cloud, instance, &name, &full[number..=number], &differential[number..=number]).await;
        for (kind, source) in [("FULL", &full[number]), ("DIFFERENTIAL", &differential[number])] {
            let key = format!("{name}-{kind}.bak");
            sql.done("rds_backup_database", &backup(&name, &key, kind)).await;
            assert_eq!(cloud.download(&key).await, std::fs::read(source).unwrap(), "{}", source.display());
        }
        // The history says what the headers say.
        let of = |column: &str, kind: char| {
            format!(
                "SELECT CAST({column} AS nvarchar(36)) FROM msdb.dbo.backupset \
                 WHERE database_name = '{name}' AND type = '{kind}'"
            )
        };
        let base = sql.one(&of("differential_base_guid", 'I')).await;
        assert!(base.is_some() && base == sql.one(&of("backup_set_uuid", 'D')).await, "{base:?}");
        let copy = format!("{name}_copy");
        sql.done("rds_restore_database", &restore(&copy, &format!("{name}-FULL.bak"), "FULL", 1)).await;
        sql.done("rds_restore_database", &restore(&copy, &format!("{name}-DIFFERENTIAL.bak"), "DIFFERENTIAL", 0)).await;
        assert_eq!(cloud.fingerprint(instance, &copy).await, cloud.fingerprint(instance, &name).await);
        let images = |name: &str| format!("/instances/{}/databases/{name}/images", instance.id);
        let under = cloud.control(Method::GET, &images(&copy), &Value::Null).await;
        assert!(under.as_array().is_some_and(|files| files.len() == 2), "{under}");
        assert_eq!(under, cloud.control(Method::GET, &images(&name), &Value::Null).await);
    }
    sql.done("rds_restore_database", &restore("crossed", "chain0-FULL.bak", "FULL", 1)).await;
    let info =
        sql.fails("rds_restore_database", &restore("crossed", "chain1-DIFFERENTIAL.bak", "DIFFERENTIAL", 0)).await;
    assert!(info.contains(WRONG_BASE), "{info}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_that_another_server_would_have_written_go_the_same_way() {
    let (cloud, instance) = Cloud::with_instance().await;
    let mut sql = cloud.sql(&instance).await;
    let folder = tempfile::tempdir().unwrap();
    cloud.make(&instance, "model_of_them", 400).await;
    let images = format!("/instances/{}/databases/model_of_them/images", instance.id);
    let [full, differential] =
        ["full", "differential"].map(|kind| ["1", "2"].map(|number| folder.path().join(format!("{kind}{number}.bak"))));
    for number in 0..2 {
        for (is_differential, file) in [(false, &full[number]), (true, &differential[number])] {
            let body = json!({ "differential": is_differential, "files": [file] });
            cloud.control(Method::POST, &images, &body).await;
            cloud.change(&instance, "model_of_them", 5).await;
        }
    }
    let size = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
    assert!(size(&differential[0]) < size(&full[0]), "a differential one of {} bytes", size(&differential[0]));
    let database = format!("/instances/{}/databases/model_of_them", instance.id);
    cloud.control(Method::DELETE, &database, &Value::Null).await;
    let there = format!("/instances/{}/databases", instance.id);
    assert_eq!(cloud.control(Method::GET, &there, &Value::Null).await, json!([]));

    chains_there_and_back(&cloud, &instance, &mut sql, &full, &differential).await;
    let tasks = cloud.control(Method::GET, &format!("/instances/{}/tasks", instance.id), &Value::Null).await;
    assert_eq!((&tasks[0]["type"], &tasks[0]["lifecycle"]), (&json!("BACKUP_DB"), &json!("SUCCESS")), "{tasks}");
    cloud.close().await;
}
