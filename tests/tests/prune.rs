//! A prune deletes what no restore point needs, through the whole product, with the documented permissions, and nothing else.

mod bucket;
mod documented;

use anyhow::{Context, Result, ensure};
use bucket::Bucket;
use documented::permit_alone;
use e2e::stage::Stage;
use serde_json::Value;

/// Prunes the repository and gives the session's report.
fn prune(stage: &Stage, more: &[&str]) -> Result<Value> {
    let arguments = ["repository", "prune", "main", "--wait"];
    let answer = stage.haulier().json(&[&arguments, more].concat())?;
    let sessions = answer["sessions"].as_array().context("sessions")?;
    ensure!(sessions.len() == 1, "{answer:#}");
    ensure!(sessions[0]["kind"] == "maintenance" && sessions[0]["state"] == "succeeded", "{answer:#}");
    Ok(sessions[0]["report"].clone())
}

fn bytes(bucket: &Bucket, keys: &[String]) -> Result<usize> {
    keys.iter().try_fold(0, |sum, key| Ok(sum + bucket.get(key)?.len()))
}

fn number(report: &Value, figure: &str, field: &str) -> u64 {
    report["figures"][figure][field].as_u64().unwrap_or_default()
}

#[test]
fn what_a_removed_point_alone_needed_is_deleted_and_the_other_point_stays_whole() -> Result<()> {
    let mut stage = Stage::set()?;
    permit_alone(&mut stage, "backups")?;
    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    let fill = "INSERT INTO noise SELECT i, md5(i::text || random()::text) || md5(random()::text) FROM generate_series(1, 100000) i";
    shop.execute("CREATE TABLE noise (id bigint, text text)")?;
    shop.execute(fill)?;
    let first = stage.back_up()?;
    shop.execute("TRUNCATE noise")?;
    shop.execute(fill)?;
    let second = stage.back_up()?;

    let bucket = Bucket::open(stage.cloud.facts(), "backups")?;
    let point = bucket.keys("rds/domains/")?.into_iter().find(|key| key.ends_with(&format!("/points/{first}")));
    bucket.delete(&point.context("the first point's object")?)?;
    let full = bucket.keys("rds/domains/")?;
    let full_bytes = bytes(&bucket, &full)?;

    let dry = prune(&stage, &["--dry-run"])?;
    ensure!(dry["dry_run"] == true && number(&dry, "freed_later", "bytes") > 3_000_000, "{dry:#}");
    ensure!(bucket.keys("rds/domains/")? == full, "a dry run has changed something");

    let marked = prune(&stage, &[])?;
    ensure!(number(&marked, "freed_now", "objects") == 0, "{marked:#}");
    ensure!(number(&marked, "marked", "bytes") == number(&dry, "marked", "bytes"), "{marked:#}\n{dry:#}");
    let swept = prune(&stage, &[])?;
    ensure!(number(&swept, "freed_now", "bytes") == number(&marked, "marked", "bytes"), "{swept:#}\n{marked:#}");
    let left = bytes(&bucket, &bucket.keys("rds/domains/")?)?;
    ensure!(left + 3_000_000 < full_bytes, "{left} bytes of {full_bytes} are left");

    stage.haulier().json(&["point", "check", &second, "--full", "--wait"])?;
    stage.restore(&second, "shop", "copy")?;
    stage.assert_equal("shop", "copy")?;
    // The next backup finds its way in what is left.
    let third = stage.back_up()?;
    stage.haulier().json(&["point", "check", &third, "--full", "--wait"])?;
    stage.assert_nothing_left()
}
