//! Instances of other major versions than the host's own, each with its own server and clients, over TLS as on RDS.

use anyhow::{Context, Result};
use e2e::dataset;
use e2e::stage::{MASTER_PASSWORD, Stage};

/// A version's database goes through a worker with that version's clients, and comes back equal.
fn comes_back_equal(stage: &Stage, version: &str) -> Result<String> {
    assert_eq!(stage.source.value("SELECT current_setting('server_version_num')::int / 10000")?, version);
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 12)?;
    // Its larger tables in streams of their own, by ranges.
    stage.apply_policy("transfer: { large_table_bytes: 1048576, split_table_bytes: 2097152 }")?;
    let session = stage.run_policy()?;
    let point =
        stage.succeeded(&session)?["point_id"].as_str().map(str::to_owned).context("the session made no point")?;
    let story = stage.story(&session);
    // A worker that has to do with newer clients than the server's says so.
    assert!(!story.contains("is read by the clients of version"), "{story}");
    stage.restore(&point, "shop", "copy")?;
    stage.assert_equal("shop", "copy")?;
    // A scratch server of the same version takes it, too.
    let test = stage.haulier().json(&["point", "verify", &point, "--restore"])?;
    stage.succeeded(test["session_id"].as_str().context("the restore test has no session")?)?;
    let proof = stage.haulier().json(&["point", "show", &point])?["latest_proof"].clone();
    assert!(proof["server_version"].as_str().is_some_and(|server| server.starts_with(version)), "{proof:#}");
    assert_eq!(proof["verdict"], "verified", "{proof:#}");
    // Stock programs of the version take it without us.
    let (bucket, passphrase, to) = (stage.bucket(), stage.passphrase_file()?, stage.folder().join("export"));
    let place: Vec<&str> = bucket.iter().map(String::as_str).chain(["--passphrase-file", &passphrase]).collect();
    let to_text = to.display().to_string();
    let export = ["point", "export", &point, "--database", "shop", "--to", &to_text];
    stage.offline().json(&[&export[..], &place[..]].concat())?;
    // The roles are there from the restore, with their memberships: since version 16 another grantor's would show beside them.
    stage.target.run_script(&to.join("roles.sql"))?;
    stage.target.create_from(&to.join("shop.dump"))?;
    stage.assert_equal("shop", "shop")?;
    // Nobody came in without TLS: the server lets nobody but its administrator.
    let door = stage.source.sibling("shop").logged_in_as("master", MASTER_PASSWORD);
    let plain = e2e::psql::Database { server: format!("{} sslmode=disable", door.server), ..door.clone() };
    assert!(plain.value("SELECT 1").is_err(), "the server takes logins without TLS");
    assert_eq!(door.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")?, "t");
    Ok(point)
}

#[test]
fn a_database_of_postgresql_16_comes_back_equal() -> Result<()> {
    let stage = Stage::set_on("16")?;
    comes_back_equal(&stage, "16")?;
    stage.assert_nothing_left()
}

#[test]
fn a_database_of_postgresql_18_comes_back_equal_and_not_into_an_older_server() -> Result<()> {
    let stage = Stage::set_on("18")?;
    let point = comes_back_equal(&stage, "18")?;
    stage.assert_nothing_left()?;

    let older = stage.cloud.create_instance_of("16", "older", MASTER_PASSWORD)?;
    let before = stage.cloud.listing()?;
    let restore = ["restore", "database", "--point", &point, "--database", "shop", "--target-instance", "older"];
    let refused = stage.haulier().json(&[&restore[..], &["--secret-arn", &stage.secret]].concat());
    let refused = format!("{:#}", refused.err().context("a point of 18 went into a server of 16")?);
    assert!(refused.contains("restore-into-older-major"), "{refused}");
    assert!(refused.contains("the point is of PostgreSQL 18, older runs 16"), "{refused}");
    assert_eq!(older.value("SELECT count(*) FROM pg_database WHERE datname = 'shop'")?, "0");
    stage.assert_nothing_left_since(&before)
}
