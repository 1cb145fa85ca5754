//! A point is restored into a scratch server on a worker and compared; the proof is kept beside it and shown with it.

mod bucket;

use anyhow::{Context, Result};
use bucket::Bucket;
use e2e::dataset;
use e2e::stage::Stage;
use serde_json::Value;

/// Starts a restore test and gives its session, ended.
fn tested(stage: &Stage, point: &str) -> Result<Value> {
    let answer = stage.haulier().json(&["point", "verify", point, "--restore"])?;
    stage.ended(answer["session_id"].as_str().context("no session")?)
}

#[test]
fn a_restore_test_proves_a_point_and_a_damaged_pack_proves_nothing() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    dataset::fill(&shop, 100)?;
    let point = stage.back_up()?;
    let shown = || stage.haulier().json(&["point", "show", &point]);
    let untested = shown()?;
    assert!(untested["latest_proof"].is_null(), "{untested:#}");

    let session = tested(&stage, &point)?;
    let id = session["id"].as_str().context("no id")?;
    assert_eq!(session["state"], "succeeded", "{session:#}\n{}", stage.story(id));
    let tested_point = shown()?;
    let proof = &tested_point["latest_proof"];
    assert_eq!((&proof["verdict"], &proof["session_id"]), (&"verified".into(), &session["id"]), "{proof:#}");
    let database = proof["databases"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "shop"));
    let database = database.context("the proof lacks the database")?;
    let tables = &tested_point["databases"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "shop"));
    assert_eq!(database["tables"], tables.context("the point lacks the database")?["tables"], "{proof:#}");
    assert_eq!(database["mismatches"], 0);
    assert!(database["rows"].as_u64() > Some(1_000), "{proof:#}");
    // Nothing of the point has changed but that it is proven.
    let without = |mut point: Value| {
        point["latest_proof"] = Value::Null;
        point
    };
    assert_eq!(without(tested_point.clone()), untested);
    let table = stage.haulier().call(&["point", "show", &point])?.stdout;
    assert!(table.contains("verified") && table.contains("RESTORED AND COMPARED"), "{table}");
    stage.assert_nothing_left()?;

    let bucket = Bucket::open(stage.cloud.facts(), "backups")?;
    let domains = bucket.keys("rds/domains/")?;
    let stored = format!("/proofs/{point}/{id}");
    assert_eq!(domains.iter().filter(|key| key.ends_with(&stored)).count(), 1, "{domains:#?}");
    for pack in domains.iter().filter(|key| key.contains("/packs/")) {
        let mut content = bucket.get(pack)?;
        let middle = content.len() / 2;
        content[middle] ^= 0x10;
        bucket.put(pack, content)?;
    }
    let failed = tested(&stage, &point)?;
    assert_eq!(
        (&failed["state"], &failed["failure"]["code"]),
        (&"failed".into(), &"repository-damaged".into()),
        "{failed:#}"
    );
    assert_eq!(bucket.keys("rds/domains/")?.iter().filter(|key| key.contains("/proofs/")).count(), 1);
    assert_eq!(shown()?, tested_point, "a test that failed proves nothing and takes nothing back");
    stage.assert_nothing_left()
}
