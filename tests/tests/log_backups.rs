//! Log backups of SQL Server: what RDS has of the log since the full backup is stored, and a database comes back as it was at its
//! end, or at a moment before, with the permissions of the documents alone.

mod documented;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::documented::native_key;
use e2e::sqlserver::option_group_of;
use e2e::stage::{MASTER_PASSWORD, Stage};
use e2e::wait;
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::Value;

use documented::{native_role, permit_alone};

/// The instance that is backed up.
const SOURCE: &str = "crm";
/// The instance that is restored into.
const TARGET: &str = "crm-spare";
/// Its database, and how many pages it has: 16 MiB of them.
const DATABASE: &str = "orders";
const PAGES: u64 = 2000;
const SEED: u64 = 7;
/// What the policy says.
const LOGS: &str = "sqlserver: { full_every_days: 7, log_backups: true }";

/// A stage with two instances of SQL Server, and what the cloud lists before the first session.
fn set() -> Result<(Stage, Vec<String>)> {
    let stage = Stage::set()?;
    stage.cloud.create_sqlserver(SOURCE, MASTER_PASSWORD, &native_role(&stage, SOURCE)?)?;
    furnished(stage)
}

/// The same, where the storage of the one that is backed up is encrypted.
fn set_encrypted() -> Result<(Stage, Vec<String>)> {
    let stage = Stage::set()?;
    let key = stage.cloud.create_key()?;
    stage.cloud.create_encrypted_sqlserver(SOURCE, MASTER_PASSWORD, &native_role(&stage, SOURCE)?, &key)?;
    furnished(stage)
}

fn furnished(mut stage: Stage) -> Result<(Stage, Vec<String>)> {
    stage.cloud.create_sqlserver(TARGET, MASTER_PASSWORD, &native_role(&stage, TARGET)?)?;
    stage.cloud.set_backup_retention(SOURCE, 1)?;
    stage.cloud.make_pages(SOURCE, DATABASE, SEED, PAGES)?;
    permit_alone(&mut stage, "backups")?;
    let before = stage.cloud.listing()?;
    Ok((stage, before))
}

/// Applies the policy, runs it, and gives the session and its point.
fn back_up(stage: &Stage) -> Result<(Value, Value)> {
    back_up_by(stage, LOGS)
}

fn apply(stage: &Stage, sqlserver: &str) -> Result<()> {
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{SOURCE}] }}] }}\n{sqlserver}"))
}

fn back_up_by(stage: &Stage, sqlserver: &str) -> Result<(Value, Value)> {
    apply(stage, sqlserver)?;
    let session = stage.succeeded(&stage.run_policy()?)?;
    let point = stage.haulier().json(&["point", "show", id(&session, "point_id")?])?;
    Ok((session, point))
}

fn id<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("no {name} in {value:#}"))
}

fn assert_pages(stage: &Stage, name: &str, expected: &str) -> Result<()> {
    let found = stage.cloud.pages_of(TARGET, name)?;
    ensure!(found == expected, "the pages of {name} are others: {found} in the place of {expected}");
    Ok(())
}

/// Changes pages, and gives the pages and a moment at which they are so: the second after the change, which is waited for.
fn change(stage: &Stage, seed: u64) -> Result<(String, Timestamp)> {
    let committed = stage.cloud.commit_pages(SOURCE, DATABASE, PAGES / 100, seed)?;
    let committed: Timestamp = format!("{committed}Z").parse()?;
    let moment = committed.round(Unit::Second)? + SignedDuration::from_secs(1);
    wait::until(Duration::from_secs(30), "the next second", || Ok(Timestamp::now() > moment))?;
    Ok((stage.cloud.pages_of(SOURCE, DATABASE)?, moment))
}

#[test]
fn a_database_comes_back_as_it_was_at_any_moment_of_its_log() -> Result<()> {
    let (stage, before) = set()?;
    let (_, full) = back_up(&stage)?;
    ensure!(full["full_point_id"].is_null(), "{full:#}");
    let (mut moments, mut points, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for seed in [3, 4] {
        moments.push(change(&stage, seed)?);
        moments.push(change(&stage, 10 + seed)?);
        let taken = stage.cloud.take_log_backup(SOURCE, DATABASE)?;
        files.push((format!("{DATABASE}.{}.trn", taken.sequence), taken.bytes));
        let (session, point) = back_up(&stage)?;
        ensure!(session["warnings"].as_array().is_none_or(Vec::is_empty), "{session:#}");
        ensure!(point["full_point_id"] == full["id"], "{point:#}");
        // What the first log point has is not copied again for the second one.
        let story = stage.story(id(&session, "id")?);
        ensure!(story.contains("the point before has the log backups of database") == (seed == 4), "{story}");
        ensure!(point["databases"][0]["restorable_from"].is_string(), "{point:#}");
        points.push(point);
    }
    change(&stage, 5)?;
    let last = id(&points[1], "id")?;
    let restore = |name: &str, point: &str, more: &[&str]| {
        stage.succeeded(&stage.start_restore_into(TARGET, point, (DATABASE, name), more)?)
    };
    restore("first point", id(&points[0], "id")?, &[])?;
    assert_pages(&stage, "first point", &moments[1].0)?;
    restore("last point", last, &[])?;
    assert_pages(&stage, "last point", &moments[3].0)?;
    for (number, (pages, moment)) in moments.iter().enumerate().take(3) {
        let name = format!("moment {number}");
        restore(&name, last, &["--until", &moment.to_string()])?;
        assert_pages(&stage, &name, pages)?;
    }
    assert_exported(&stage, last, &files)?;
    stage.assert_nothing_left_since(&before)
}

/// The log backups leave the repository as files, without a coordinator.
fn export(stage: &Stage, point: &str) -> Result<(PathBuf, Value)> {
    let to = stage.folder().join("exported");
    let (folder, passphrase) = (to.display().to_string(), stage.passphrase_file()?);
    let place = stage.bucket();
    let place = place.iter().map(String::as_str).chain(["--passphrase-file", &passphrase]);
    let arguments: Vec<&str> = ["point", "export", point, "--to", &folder].into_iter().chain(place).collect();
    let exported = stage.offline().json(&arguments)?;
    ensure!(exported["databases"][0]["backup_type"] == "log", "{exported:#}");
    ensure!(exported["remarks"].to_string().contains("of its log"), "{exported:#}");
    Ok((to, exported))
}

/// They are the files that RDS wrote.
fn assert_exported(stage: &Stage, point: &str, expected: &[(String, u64)]) -> Result<()> {
    let (to, exported) = export(stage, point)?;
    for (name, bytes) in expected {
        let found = std::fs::metadata(to.join(name)).with_context(|| format!("{name} of {exported:#}"))?.len();
        ensure!(found == *bytes, "{name} has {found} bytes, and RDS wrote {bytes}");
    }
    Ok(())
}

#[test]
fn a_lost_log_backup_makes_a_full_one_and_what_rds_does_not_allow_is_refused() -> Result<()> {
    let (stage, before) = set()?;
    let (_, full) = back_up(&stage)?;
    for seed in [3, 4, 5] {
        stage.cloud.commit_pages(SOURCE, DATABASE, 10, seed)?;
        stage.cloud.take_log_backup(SOURCE, DATABASE)?;
    }
    stage.cloud.lose_log_backup(SOURCE, DATABASE, 2)?;
    let (session, point) = back_up(&stage)?;
    ensure!(session["warnings"].to_string().contains("is backed up in full"), "{session:#}");
    let pages = stage.cloud.pages_of(SOURCE, DATABASE)?;
    stage.succeeded(&stage.start_restore_into(TARGET, id(&point, "id")?, (DATABASE, "whole"), &[])?)?;
    assert_pages(&stage, "whole", &pages)?;

    // A full point holds one moment.
    let until = ["--until", "2026-11-28T00:00:00Z"];
    let refused = stage.start_restore_into(TARGET, id(&full, "id")?, (DATABASE, "no"), &until);
    ensure!(refused.is_err_and(|error| format!("{error:#}").contains("restore-moment-unavailable")), "it began");

    stage.cloud.set_backup_retention(SOURCE, 0)?;
    let refused = stage.ended(&stage.run_policy()?)?;
    ensure!(refused["failure"]["code"] == "log-backups-unavailable", "{refused:#}");
    stage.assert_nothing_left_since(&before)
}

#[test]
fn the_log_of_encrypted_storage_comes_back_by_its_key() -> Result<()> {
    let (stage, before) = set_encrypted()?;
    let key = stage.cloud.create_key()?;
    let with_key = format!("sqlserver: {{ full_every_days: 7, log_backups: true, log_kms_key: \"{key}\" }}");
    apply(&stage, LOGS)?;
    let refused = stage.ended(&stage.run_policy()?)?;
    ensure!(refused["failure"]["code"] == "log-backups-unavailable", "{refused:#}");
    ensure!(refused["failure"]["remedy"].to_string().contains("sqlserver.log_kms_key"), "{refused:#}");

    let (_, full) = back_up_by(&stage, &with_key)?;
    let moments = [change(&stage, 3)?, change(&stage, 4)?];
    let taken = stage.cloud.take_log_backup(SOURCE, DATABASE)?;
    let denied = stage.ended(&stage.run_policy()?)?;
    ensure!(denied["failure"]["code"] == "sqlserver-key-denied", "{denied:#}");
    stage.cloud.put_role_policy(&option_group_of(SOURCE), "native-key", &native_key(&key)?)?;
    let (session, point) = back_up_by(&stage, &with_key)?;
    ensure!(session["warnings"].as_array().is_none_or(Vec::is_empty), "{session:#}");
    ensure!(point["full_point_id"] == full["id"] && point.to_string().contains(&key), "{point:#}");

    let log = id(&point, "id")?;
    let restore = |name: &str, more: &[&str]| stage.start_restore_into(TARGET, log, (DATABASE, name), more);
    let denied = stage.ended(&restore("denied", &[])?)?;
    ensure!(denied["failure"]["code"] == "sqlserver-key-denied", "{denied:#}");
    stage.cloud.put_role_policy(&option_group_of(TARGET), "native-key", &native_key(&key)?)?;
    // The policy names no key any more: the point remembers its own.
    apply(&stage, "sqlserver: { full_every_days: 7 }")?;
    stage.succeeded(&restore("to the end", &[])?)?;
    assert_pages(&stage, "to the end", &moments[1].0)?;
    stage.succeeded(&restore("moment", &["--until", &moments[0].1.to_string()])?)?;
    assert_pages(&stage, "moment", &moments[0].0)?;

    let (to, exported) = export(&stage, log)?;
    ensure!(exported["databases"][0]["kms_key_arn"] == key.as_str(), "{exported:#}");
    ensure!(exported["remarks"].to_string().contains("rds_restore_log"), "{exported:#}");
    let name = format!("{DATABASE}.{}.trn", taken.sequence);
    let bytes = std::fs::metadata(to.join(&name)).with_context(|| format!("{name} of {exported:#}"))?.len();
    ensure!(exported["databases"][0]["bytes"] == bytes, "{name} has {bytes} bytes of {exported:#}");
    let beside: Value = serde_json::from_slice(&std::fs::read(to.join(format!("{name}.metadata.json")))?)?;
    ensure!(beside.as_object().is_some_and(|metadata| metadata.len() > 1), "{beside:#}");
    stage.assert_nothing_left_since(&before)
}
