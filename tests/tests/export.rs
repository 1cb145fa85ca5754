//! On the day the coordinator is gone: a restore point leaves its bucket with nothing but AWS credentials, and stock
//! programs restore it.

use anyhow::{Context, Result};
use e2e::dataset;
use e2e::oracle::quote;
use e2e::stage::Stage;

const ODD: &str = "odd \"db\" ü'; --";

#[test]
fn a_point_is_exported_without_a_coordinator_and_restored_by_stock_programs() -> Result<()> {
    let mut stage = Stage::set()?;
    for name in [ODD, "busy"] {
        stage.source.execute(&format!("CREATE DATABASE {}", quote(name)))?;
        dataset::fill(&stage.source.sibling(name), 60)?;
    }
    stage.apply_policy("transfer: { large_table_bytes: 1048576, split_table_bytes: 2097152 }")?;
    let session = stage.run_policy()?;
    let point = stage.succeeded(&session)?["point_id"].as_str().context("no point")?.to_owned();
    let story = stage.story(&session);
    let cut = story.lines().find(|line| line.contains("database \"busy\": snapshot of")).context("no snapshot")?;
    assert!(cut.contains(" streams of their own") && !cut.contains(" 0 of them"), "{cut}");
    let key = stage.cloud.facts().kms_key_arn.clone();
    stage.haulier().json(&["repository", "key", "add", "main", "--kms-key-arn", &key])?;
    let known = stage.haulier().json(&["point", "show", &point])?;
    stage.coordinator.stop()?;

    // What there is.
    let (offline, bucket, passphrase) = (stage.offline(), stage.bucket(), stage.passphrase_file()?);
    let place: Vec<&str> = bucket.iter().map(String::as_str).collect();
    let with_passphrase = [&place[..], &["--passphrase-file", &passphrase]].concat();
    let listed = offline.json(&[&["point", "list"], &with_passphrase[..]].concat())?;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed:#}");
    let shown = offline.json(&[&["point", "show", &point], &place[..]].concat())?;
    for field in
        ["id", "resource", "account", "region", "session_id", "policy", "consistent_at", "databases", "bytes_stored"]
    {
        assert_eq!(shown[field], known[field], "{field}");
        assert_eq!(listed[0][field], known[field], "{field}");
    }

    // Everything with the KMS key, one database with the passphrase.
    let to = stage.folder().join("export");
    let to_text = to.display().to_string();
    let exported = offline.json(&[&["point", "export", &point, "--to", &to_text], &place[..]].concat())?;
    let names: Vec<_> =
        exported["databases"].as_array().into_iter().flatten().map(|database| &database["name"]).collect();
    assert_eq!(names, ["busy", ODD, "postgres"], "{exported:#}");
    stage.target.run_script(&to.join("roles.sql"))?;
    for database in exported["databases"].as_array().into_iter().flatten() {
        let name = database["name"].as_str().context("a name")?;
        if name == "postgres" {
            continue;
        }
        stage.target.create_from(database["file"].as_str().context("a file")?.as_ref())?;
        stage.assert_equal(name, name)?;
    }
    stage.target.sibling("busy").execute("UPDATE shop.things SET label = 'changed' WHERE id = 7")?;
    assert!(stage.assert_equal("busy", "busy").is_err(), "a changed row goes unnoticed");
    let again = offline.call(&[&["point", "export", &point, "--to", &to_text], &place[..]].concat())?;
    assert_eq!(again.code, 4, "{}", again.stderr);
    assert!(again.stderr.contains("export-exists"), "{}", again.stderr);
    let one = stage.folder().join("one").display().to_string();
    let one = offline
        .call(&[&["point", "export", &point, "--database", "busy", "--to", &one], &with_passphrase[..]].concat())?;
    assert_eq!(one.code, 0, "{}", one.stderr);
    assert!(one.stdout.contains("/one/busy.dump"), "{}", one.stdout);
    assert!(one.stderr.contains("pg_restore --create --dbname postgres"), "{}", one.stderr);

    // What is wrong is said.
    std::fs::write(&passphrase, "another one")?;
    let elsewhere = ["--bucket", "backups", "--region", place[3], "--prefix", "nowhere"];
    let nowhere = ["--bucket", "no-such-bucket", "--region", place[3]];
    for (arguments, code, word) in [
        ([&["point", "list"], &with_passphrase[..]].concat(), 4, "repository-locked"),
        ([&["point", "list"], &elsewhere[..]].concat(), 3, "repository-missing"),
        ([&["point", "list"], &nowhere[..]].concat(), 3, "bucket-unknown"),
        ([&["point", "show", "pnt-unknown"], &place[..]].concat(), 3, "point-unknown"),
    ] {
        let answer = offline.call(&arguments)?;
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(word), "{arguments:?}: {}", answer.stderr);
    }
    Ok(())
}
