//! A coordinator that has lost everything finds its restore points again, in the repository alone, and goes on with them: by
//! the commands of docs/recovery.md, with the documented permissions.

mod bucket;
mod documented;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bucket::Bucket;
use documented::{commands, permit_alone};
use e2e::dataset;
use e2e::stage::{POLICY, SOURCE, Stage, TARGET};
use serde_json::Value;

/// Restore points as they are listed, newest first, without what an import cannot know to the second.
fn points(stage: &Stage) -> Result<Vec<Value>> {
    let listed = stage.haulier().json(&["point", "list", "--repository", "main"])?;
    let mut points = listed.as_array().cloned().context("a list")?;
    for point in &mut points {
        point["published_at"] = Value::Null;
    }
    Ok(points)
}

/// The document's commands with this cloud's names in place of the examples, but for the new point.
fn walk_through(stage: &Stage, passphrase: &str, point: &str) -> Result<Vec<Vec<String>>> {
    let region = stage.cloud.facts().region.clone();
    let policy = stage.folder().join("policy.yaml").display().to_string();
    let put_in = |word: String| match word.as_str() {
        "my-backups" => "backups".to_owned(),
        "eu-central-1" => region.clone(),
        "pnt-…" => point.to_owned(),
        "policy.yaml" => policy.clone(),
        arn if arn.starts_with("arn:aws:secretsmanager:") => passphrase.to_owned(),
        _ => word,
    };
    let commands = commands("docs/recovery.md")?;
    Ok(commands.into_iter().map(|words| words.into_iter().map(put_in).collect()).collect())
}

fn stored(stage: &Stage, point: &str) -> Result<u64> {
    stage.haulier().json(&["point", "show", point])?["bytes_stored"].as_u64().context("no bytes_stored")
}

#[test]
fn a_coordinator_that_lost_everything_goes_on_from_the_repository_alone() -> Result<()> {
    let mut stage = Stage::set()?;
    permit_alone(&mut stage, "backups")?;
    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    dataset::fill(&shop, 100)?;
    let first = stage.back_up()?;
    shop.execute("CREATE TABLE since AS SELECT n, md5(n::text) FROM generate_series(1, 50) AS n")?;
    let second = stage.back_up()?;
    let known = points(&stage)?;
    let repositories = stage.haulier().json(&["repository", "list"])?;
    let passphrase = repositories[0]["key_arn"].as_str().context("no key")?.to_owned();
    let bucket = Bucket::open(stage.cloud.facts(), "backups")?;

    let environment = stage.cloud.environment_as("haulier-coordinator")?;
    stage.lose_coordinator(environment)?;
    let before = stage.cloud.listing()?;
    ensure!(stage.haulier().json(&["point", "list"])? == serde_json::json!([]), "it has a past");
    // The commands of the document speak of these names.
    ensure!((SOURCE, TARGET, POLICY) == ("prod", "spare", "nightly"));

    let mut done = BTreeSet::new();
    for words in walk_through(&stage, &passphrase, &second)? {
        let (program, arguments) = words.split_first().context("an empty command")?;
        ensure!(program == "haulier", "{program} is not ours");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let answer = stage.haulier().json(&arguments).with_context(|| words.join(" "))?;
        let about = arguments[..2].join(" ");
        match about.as_str() {
            "repository import" => {
                let added = if done.contains("repository import") { 0 } else { 2 };
                ensure!(answer["points_added"] == added && answer["missed"] == 0, "{answer:#}");
                ensure!(points(&stage)? == known, "{:#?}\n{known:#?}", points(&stage)?);
            }
            "restore database" => stage.assert_equal("shop", "shop_restored")?,
            "policy run" => {
                let third = answer["sessions"][0]["point_id"].as_str().context("no point")?;
                let (now, then) = (stored(&stage, third)?, stored(&stage, &first)?);
                ensure!(now * 20 < then, "{now} bytes stored after {then}: it has not found its base");
            }
            "repository prune" => {
                ensure!(answer["sessions"].as_array().map(Vec::len) == Some(1), "{answer:#}");
                ensure!(answer["sessions"][0]["report"]["points"] == 3, "{answer:#}");
            }
            _ => {}
        }
        done.insert(about);
    }
    ensure!(done.len() == 9, "the document has other commands: {done:?}");

    let keys = bucket.keys("rds/domains/")?;
    let domains: BTreeSet<_> = keys.iter().filter_map(|key| key.split('/').nth(2)).collect();
    ensure!(domains.len() == 1, "one instance has several domains: {domains:?}");
    for point in points(&stage)? {
        stage.haulier().json(&["point", "check", point["id"].as_str().context("no id")?, "--full", "--wait"])?;
    }
    stage.restore(&first, "shop", "older")?;
    stage.assert_nothing_left_since(&before)
}
