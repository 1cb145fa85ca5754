//! A restore point is copied into a repository under another key in another bucket, with the documented permissions, and
//! outlives its source there.

mod bucket;
mod documented;

use anyhow::{Context, Result, ensure};
use bucket::Bucket;
use documented::documented;
use e2e::dataset;
use e2e::stage::{SOURCE, Stage};
use serde_json::Value;

const VAULT: &str = "vault";

/// Copies the point and gives the copy's id.
fn copy(stage: &Stage, point: &str) -> Result<String> {
    let answer = stage.haulier().json(&["point", "copy", point, "--to-repository", VAULT, "--wait"])?;
    let session = &answer["session"];
    ensure!(session["kind"] == "replicate" && session["state"] == "succeeded", "{answer:#}");
    ensure!(session["point_id"] == answer["copy_id"], "{answer:#}");
    answer["copy_id"].as_str().map(str::to_owned).context("no copy")
}

fn shown(stage: &Stage, point: &str) -> Result<Value> {
    stage.haulier().json(&["point", "show", point])
}

#[test]
fn a_copy_in_another_repository_outlives_its_source() -> Result<()> {
    let mut stage = Stage::set()?;
    stage.cloud.create_bucket(VAULT)?;
    for role in ["coordinator", "session"] {
        let policy = documented(&stage, role)?;
        let name = format!("haulier-{role}");
        stage.cloud.put_role_policy(&name, "work", &policy)?;
        // The same statements for the other bucket, as the document says.
        stage.cloud.put_role_policy(&name, "copies", &policy.replace("s3:::backups", &format!("s3:::{VAULT}")))?;
    }
    stage.restart_coordinator_as("haulier-coordinator")?;
    let (region, key) = (stage.cloud.facts().region.clone(), stage.cloud.facts().kms_key_arn.clone());
    let place = ["--bucket", VAULT, "--region", &region, "--prefix", "far", "--kms-key-arn", &key];
    stage.haulier().json(&[&["repository", "create", VAULT], &place[..]].concat())?;
    let before = stage.cloud.listing()?;

    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    dataset::fill(&shop, 100)?;
    let first = stage.back_up()?;
    let copied = copy(&stage, &first)?;
    let listed = stage.haulier().json(&["point", "list", "--repository", VAULT])?;
    ensure!(listed.as_array().map(Vec::len) == Some(1) && listed[0]["id"] == *copied, "{listed:#}");
    let (original, point) = (shown(&stage, &first)?, shown(&stage, &copied)?);
    ensure!(point["copy_of"]["point_id"] == *first && point["copy_of"]["repository"] == "main", "{point:#}");
    ensure!(original["copy_of"].is_null() && original["repository"] == "main", "{original:#}");
    for field in ["resource", "account", "region", "engine", "policy", "consistent_at", "databases", "bytes_read"] {
        ensure!(point[field] == original[field], "{field}: {point:#}\n{original:#}");
    }
    let table = stage.haulier().call(&["point", "show", &copied])?.stdout;
    ensure!(table.contains(&format!("{first} in main")), "{table}");

    // Once more: it is there.
    let again = stage.haulier().json(&["point", "copy", &first, "--to-repository", VAULT])?;
    ensure!(
        again["already_copied"] == true && again["copy_id"] == *copied && again["session_id"].is_null(),
        "{again:#}"
    );
    let own = stage.haulier().call(&["point", "copy", &first, "--to-repository", "main"])?;
    ensure!(own.code == 4 && own.stderr.contains("copy-to-its-own-repository"), "{}", own.stderr);

    // The next point is copied as what has changed.
    shop.execute("CREATE TABLE since AS SELECT n, md5(n::text) FROM generate_series(1, 50) AS n")?;
    let second = stage.back_up()?;
    let newer = copy(&stage, &second)?;
    let stored = |point: &str| -> Result<u64> { shown(&stage, point)?["bytes_stored"].as_u64().context("no figure") };
    let (whole, changed) = (stored(&copied)?, stored(&newer)?);
    ensure!(changed * 20 < whole, "{changed} bytes stored after {whole}");

    // The two buckets have no object in common, and none of the copy is readable by what is left of the source.
    let (backups, vault) = (Bucket::open(stage.cloud.facts(), "backups")?, Bucket::open(stage.cloud.facts(), VAULT)?);
    let names = |keys: &[String]| -> Vec<String> {
        let names = keys.iter().filter_map(|key| key.rsplit_once('/').map(|(_, name)| name.to_owned()));
        names.filter(|name| name.len() == 64).collect()
    };
    let ours = backups.keys("rds/domains/")?;
    let theirs = names(&vault.keys("far/domains/")?);
    ensure!(!theirs.is_empty() && !names(&ours).iter().any(|name| theirs.contains(name)), "{theirs:#?}");
    for key in backups.keys("")? {
        backups.delete(&key)?;
    }
    let lost = stage.haulier().json(&["point", "check", &first, "--full"])?;
    let lost = stage.ended(lost["session_id"].as_str().context("no session")?)?;
    ensure!(lost["state"] == "failed", "{lost:#}");

    for (point, name) in [(&copied, "older"), (&newer, "newer")] {
        stage.haulier().json(&["point", "check", point, "--full", "--wait"])?;
        stage.restore(point, "shop", name)?;
    }
    stage.assert_equal("shop", "newer")?;
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename = 'since'";
    ensure!(stage.target.sibling("older").value(tables)? == "0", "the older copy holds what came later");
    let pruned = stage.haulier().json(&["repository", "prune", VAULT, "--wait"])?;
    ensure!(pruned["sessions"][0]["state"] == "succeeded", "{pruned:#}");
    ensure!(pruned["sessions"][0]["report"]["points"] == 2, "{pruned:#}");
    let resources = stage.haulier().json(&["resource", "list"])?;
    let source = resources.as_array().and_then(|all| all.iter().find(|one| one["id"] == SOURCE));
    ensure!(source.context("no source")?["last_point_id"] == *second, "{resources:#}");
    stage.assert_nothing_left_since(&before)
}
