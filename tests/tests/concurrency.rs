//! Many at once: nothing lost, nothing left.

mod bucket;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::stage::{SOURCE, Stage, TARGET};
use e2e::{dataset, wait};
use serde_json::Value;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use bucket::Bucket;

fn id(session: &Value) -> String {
    session.as_str().unwrap_or_default().to_owned()
}

#[test]
fn sessions_for_one_instance_take_turns() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 12)?;
    let sessions = (0..3).map(|_| stage.run_policy()).collect::<Result<Vec<_>>>()?;
    let mut spans = Vec::new();
    for session in &sessions {
        let session = stage.succeeded(session)?;
        let at = |name: &str| session[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        spans.push((at("started_at")?, at("ended_at")?));
    }
    // RFC 3339 in UTC sorts as text.
    spans.sort();
    for pair in spans.windows(2) {
        ensure!(pair[0].1 <= pair[1].0, "two sessions held one instance at once: {spans:?}");
    }
    assert_eq!(stage.haulier().json(&["point", "list"])?.as_array().map(Vec::len), Some(3));
    stage.assert_nothing_left()
}

#[test]
fn two_workers_write_one_repository() -> Result<()> {
    let mut stage = Stage::set()?;
    for server in [&stage.source, &stage.target] {
        server.execute("CREATE DATABASE shop")?;
        dataset::fill(&server.sibling("shop"), 30)?;
    }
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{SOURCE}, {TARGET}] }}] }}"))?;
    both_write_at_once(&stage)?;
    assert_eq!(domains(&stage)?.len(), 2);

    // The same in one domain, where both look for what is stored already in what the other has just stored.
    stage.coordinator.stop()?;
    share_domain(&stage.coordinator.folder().join("state/state.db"))?;
    stage.coordinator.resume()?;
    for server in [&stage.source, &stage.target] {
        dataset::change(&server.sibling("shop"))?;
    }
    let points = both_write_at_once(&stage)?;
    let keys = Bucket::open(stage.cloud.facts(), "backups")?.keys("rds/domains/")?;
    let domain_of = |point: &String| {
        let key = keys.iter().find(|key| key.ends_with(&format!("/points/{point}")))?;
        key.split("/points/").next().map(str::to_owned)
    };
    let places: BTreeSet<_> = points.iter().filter_map(domain_of).collect();
    assert_eq!(places.len(), 1, "{points:?} lie in {places:?}");
    stage.restore(&points[0], "shop", "copy")?;
    stage.assert_nothing_left()
}

/// Backs both instances up, and shows that both workers were writing at the same time. Gives the points, each read whole.
fn both_write_at_once(stage: &Stage) -> Result<Vec<String>> {
    stage.slow_down("s3", "PutObject", "/packs/", 6000)?;
    let started = stage.haulier().json(&["policy", "run", "nightly"])?;
    let sessions: Vec<String> = started["session_ids"].as_array().cloned().unwrap_or_default().iter().map(id).collect();
    assert_eq!(sessions.len(), 2, "{started:#}");
    let both_write = || -> Result<bool> {
        let states = sessions.iter().map(|session| stage.session(session)).collect::<Result<Vec<_>>>()?;
        ensure!(states.iter().all(|session| session["state"] != "succeeded"), "one ended before the other wrote");
        let writes = |session: &Value| {
            let progress = &session["progress"];
            let has_new = progress["phase"] == "data" && progress["bytes_new"].as_u64() > Some(0);
            session["step"] == "transfer" && (has_new || progress["phase"] == "store")
        };
        Ok(states.iter().all(writes))
    };
    wait::until(e2e::stage::LIMIT, "both workers to write at once", both_write)?;
    stage.full_speed()?;
    let mut points = Vec::new();
    for session in &sessions {
        points.push(id(&stage.succeeded(session)?["point_id"]));
    }
    for point in &points {
        stage.haulier().json(&["point", "check", point, "--full", "--wait"])?;
    }
    Ok(points)
}

/// The domains of the repository that hold points.
fn domains(stage: &Stage) -> Result<BTreeSet<String>> {
    let keys = Bucket::open(stage.cloud.facts(), "backups")?.keys("rds/domains/")?;
    Ok(keys.iter().filter_map(|key| Some(key.split_once("/points/")?.0.to_owned())).collect())
}

/// Lets the instances of a coordinator that does not run share one domain.
fn share_domain(state: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(state)).await?;
        let shared = "UPDATE domains SET domain = (SELECT min(domain) FROM domains)";
        let rows = sqlx::query(shared).execute(&pool).await?.rows_affected();
        pool.close().await;
        ensure!(rows == 2, "{rows} instances share a domain");
        Ok(())
    })
}

#[test]
fn fifty_sessions_queue_in_one_coordinator_and_all_succeed() -> Result<()> {
    let stage = Stage::set()?;
    let instances: Vec<String> = (1..=5).map(|number| format!("crowd-{number}")).collect();
    for instance in &instances {
        stage.cloud.create_instance(instance, e2e::stage::MASTER_PASSWORD)?;
    }
    let before = stage.cloud.listing()?;
    stage
        .apply_policy(&format!("resources: {{ include: [{{ ids: [{}] }}] }}\nconcurrency: 3", instances.join(", ")))?;
    let mut sessions = Vec::new();
    for _ in 0..10 {
        let started = stage.haulier().json(&["policy", "run", "nightly"])?;
        sessions.extend(started["session_ids"].as_array().cloned().unwrap_or_default().iter().map(id));
    }
    assert_eq!(sessions.len(), 50);
    let mut most = 0;
    wait::until(e2e::stage::LIMIT, "fifty sessions to end", || {
        let listed = stage.haulier().json(&["session", "list", "--limit", "100"])?;
        let listed = listed.as_array().cloned().unwrap_or_default();
        let workers = stage.haulier().json(&["worker", "list"])?;
        most = most.max(workers.as_array().map_or(0, Vec::len));
        Ok(listed.iter().all(|session| !session["ended_at"].is_null()))
    })?;
    for session in &sessions {
        stage.succeeded(session)?;
    }
    ensure!((2..=3).contains(&most), "the policy allows three workers at once, {most} were seen");
    assert_eq!(stage.haulier().json(&["point", "list"])?.as_array().map(Vec::len), Some(50));
    let ledger = stage.haulier().json(&["ledger", "list", "--open"])?;
    let open: Vec<_> =
        ledger.as_array().cloned().unwrap_or_default().into_iter().filter(|row| row["state"] != "kept").collect();
    assert_eq!(open, Vec::<Value>::new());
    stage.assert_nothing_left_since(&before)
}
