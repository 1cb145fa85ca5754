//! TDS itself: types, sizes, parameters, encryption, logins, cancellation, by both clients.

use std::time::Duration;

use tiberius::{EncryptionLevel, Query};

use super::clients::{Sql, config, tsql};
use super::cloud::{Cloud, PASSWORD, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_read_the_same_values() {
    let (cloud, instance) = Cloud::with_instance().await;
    let mut sql = cloud.sql(&instance).await;
    let batch = "SELECT N'Größe' AS name, CAST(7 AS int) AS n, CAST(5000000000 AS bigint) AS big, CAST(1 AS bit) AS yes, \
                 CAST(NULL AS nvarchar(10)) AS nothing, create_date, file_guid, CAST(12345678901234567890123 AS numeric(25)) AS lsn \
                 FROM sys.databases d JOIN sys.master_files f ON f.database_id = d.database_id WHERE d.name = 'orders' AND f.type = 0";
    let batch = batch.replace("12345678901234567890123", "'12345678901234567890123'");
    cloud.make(&instance, "orders", 64).await;
    let rows = sql.0.simple_query(&*batch).await.unwrap().into_first_result().await.unwrap();
    let row = &rows[0];
    assert_eq!(row.get::<&str, _>("name"), Some("Größe"));
    assert_eq!(row.get::<i32, _>("n"), Some(7));
    assert_eq!(row.get::<i64, _>("big"), Some(5_000_000_000));
    assert_eq!(row.get::<bool, _>("yes"), Some(true));
    assert_eq!(row.get::<&str, _>("nothing"), None);
    let guid = row.get::<tiberius::Uuid, _>("file_guid").expect("a file has a name of its own");
    let lsn = row.get::<tiberius::numeric::Numeric, _>("lsn").unwrap();
    assert_eq!((lsn.value(), lsn.scale()), (12_345_678_901_234_567_890_123, 0));

    for encryption in ["require", "request", "off"] {
        let printed = tsql(&instance, &cloud.facts.ca_file, encryption, &batch).await;
        for wanted in ["Größe|7|5000000000|1|NULL|", "12345678901234567890123"] {
            assert!(printed.contains(wanted), "{encryption}: {wanted} is not in {printed}");
        }
        assert!(printed.to_lowercase().contains(&guid.to_string()), "{encryption}: {printed}");
    }
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_and_parameters_of_any_size_pass() {
    let (cloud, instance) = Cloud::with_instance().await;
    let mut sql = cloud.sql(&instance).await;
    let long = sql.one("SELECT REPLICATE(N'0123456789', 30000)").await.unwrap();
    assert_eq!(long, "0123456789".repeat(30_000));
    let mut query = Query::new("SELECT @P1 + @P2, @P3, @P4");
    query.bind("ä".repeat(100_000));
    query.bind("it's");
    query.bind(Option::<&str>::None);
    query.bind(-7_i32);
    let rows = query.query(&mut sql.0).await.unwrap().into_first_result().await.unwrap();
    assert_eq!(rows[0].get::<&str, _>(0), Some(format!("{}it's", "ä".repeat(100_000)).as_str()));
    assert_eq!(rows[0].get::<i32, _>(1), None);
    assert_eq!(rows[0].get::<i32, _>(2), Some(-7));
    // More rows than a packet holds, and several results in one answer.
    let batch = "SELECT a.name FROM sys.databases a CROSS JOIN sys.databases b CROSS JOIN sys.databases c \
                 CROSS JOIN sys.databases d; SELECT 2";
    let results = sql.0.simple_query(batch).await.unwrap().into_results().await.unwrap();
    assert_eq!(results.iter().map(Vec::len).collect::<Vec<_>>(), [625, 1]);
    let printed = tsql(&instance, &cloud.facts.ca_file, "require", "SELECT REPLICATE(N'0123456789', 3000)").await;
    assert!(printed.contains(&"0123456789".repeat(400)), "{}", printed.len());
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_and_certificates_are_checked() {
    let (cloud, instance) = Cloud::with_instance().await;
    let ca = &cloud.facts.ca_file;
    for (user, password) in [("master", "wrong"), ("sa", PASSWORD), ("master", "")] {
        let error = Sql::connect(&instance, ca, user, password).await.err().expect("a refusal");
        assert_eq!(error.code(), Some(18_456), "{error}");
        assert!(error.to_string().contains(&format!("Login failed for user '{user}'.")), "{error}");
    }
    let mut nowhere = config(&instance, ca, "master", PASSWORD);
    nowhere.database("nope");
    let error = Sql::connect_with(&instance, nowhere).await.err().expect("a refusal");
    assert_eq!(error.code(), Some(4060), "{error}");
    // A name that the certificate does not have, and a CA that did not sign it.
    let mut stranger = config(&instance, ca, "master", PASSWORD);
    stranger.host("other.eu-central-1.rds.amazonaws.com");
    assert!(Sql::connect_with(&instance, stranger).await.is_err());
    let mut untrusting = tiberius::Config::new();
    untrusting.host(&instance.endpoint);
    untrusting.authentication(tiberius::AuthMethod::sql_server("master", PASSWORD));
    untrusting.encryption(EncryptionLevel::Required);
    assert!(Sql::connect_with(&instance, untrusting).await.is_err());
    // Without `rds.force_ssl` a client may hide its login alone, or nothing.
    for level in [EncryptionLevel::Off, EncryptionLevel::NotSupported] {
        let mut less = config(&instance, ca, "master", PASSWORD);
        less.encryption(level);
        let mut sql = Sql::connect_with(&instance, less).await.unwrap();
        assert_eq!(sql.one("SELECT DB_NAME()").await.as_deref(), Some("master"));
    }
    cloud.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_stopped_and_errors_name_their_cause() {
    let (cloud, instance) = Cloud::with_instance().await;
    let mut sql = cloud.sql(&instance).await;
    let waited = tokio::time::timeout(Duration::from_millis(300), sql.0.simple_query("WAITFOR DELAY '00:10:00'"));
    assert!(waited.await.is_err());
    tokio::time::timeout(PATIENCE, sql.0.cancel_query()).await.expect("the server hears the attention").unwrap();
    for (batch, number, text) in [
        ("SELECT 1 1", 102, "Incorrect syntax near '1'."),
        ("SELECT * FROM sys.nothing", 208, "Invalid object name 'sys.nothing'."),
        ("EXEC msdb.dbo.nothing", 2812, "Could not find stored procedure 'nothing'."),
        ("EXEC rds_task_status", 2812, "Could not find stored procedure 'rds_task_status'."),
        ("USE nope", 911, "Database 'nope' does not exist. Make sure that the name is entered correctly."),
        ("RAISERROR('as ordered', 16, 1)", 50_000, "as ordered"),
    ] {
        assert_eq!(sql.error(batch).await, (number, text.to_owned()), "{batch}");
    }
    sql.0.simple_query("USE msdb").await.unwrap().into_results().await.unwrap();
    assert_eq!(sql.one("SELECT DB_NAME()").await.as_deref(), Some("msdb"));
    let printed = tsql(&instance, &cloud.facts.ca_file, "require", "SELECT 1 1").await;
    assert!(printed.contains("Msg 102") && printed.contains("Incorrect syntax near '1'."), "{printed}");
    cloud.close().await;
}
