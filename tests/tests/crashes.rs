//! Kill a process in the middle of its work, or cut its network: the session succeeds all the same, and the cloud is empty
//! afterwards. Each test proves that its fault struck while data was moving.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::dataset;
use e2e::stage::Stage;
use serde_json::{Value, json};

/// A stage with a database that takes a few seconds to move, however fast the machine: the source is slowed down.
fn stage_with_shop() -> Result<Stage> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 180)?;
    Ok(stage)
}

/// Data moves, and it is not all there yet.
fn moving(session: &Value) -> bool {
    session["state"] == "running" && session["progress"]["bytes_read"].as_u64().is_some_and(|bytes| bytes > 0)
}

/// The workers that a session has had.
fn workers(stage: &Stage, session: &str) -> Result<Vec<Value>> {
    let all = stage.haulier().json(&["worker", "list", "--all"])?;
    Ok(all
        .as_array()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .filter(|worker| worker["session_id"] == session)
        .collect())
}

fn instance_of(stage: &Stage, session: &str) -> Result<String> {
    let workers = workers(stage, session)?;
    let worker = workers.first().context("the session has no worker")?;
    worker["instance_id"].as_str().map(str::to_owned).context("the worker has no instance")
}

/// Holds the data of a session back until the closure has struck, so that the fault cannot come too late.
fn while_moving(stage: &Stage, session: &str, strike: impl FnOnce() -> Result<()>) -> Result<()> {
    stage.reached(session, "the transfer of data", moving)?;
    strike()?;
    let after = stage.session(session);
    // A coordinator that was killed does not answer, and that is the point of killing it.
    if let Ok(after) = after {
        ensure!(after["ended_at"].is_null(), "the fault came too late: {after:#}");
    }
    Ok(())
}

/// Slows every upload to the repository down, so that a transfer lasts.
fn slow_uploads(stage: &Stage) -> Result<()> {
    stage.slow_down("s3", "PutObject", "", 400)
}

fn slow_downloads(stage: &Stage) -> Result<()> {
    stage.slow_down("s3", "GetObject", "", 400)
}

#[test]
fn a_killed_coordinator_goes_on_with_the_same_worker() -> Result<()> {
    let mut stage = stage_with_shop()?;
    slow_uploads(&stage)?;
    let backup = stage.run_policy()?;
    stage.reached(&backup, "the transfer of data", moving)?;
    stage.coordinator.kill()?;
    stage.coordinator.resume()?;
    ensure!(stage.session(&backup)?["ended_at"].is_null(), "the coordinator was killed too late");
    stage.full_speed()?;
    let session = stage.succeeded(&backup)?;
    assert_eq!(workers(&stage, &backup)?.len(), 1, "the worker was kept");

    slow_downloads(&stage)?;
    let point = session["point_id"].as_str().context("no point")?;
    let restore = stage.start_restore(point, "shop", "copy", &[])?;
    stage.reached(&restore, "the transfer of data", moving)?;
    stage.coordinator.kill()?;
    stage.coordinator.resume()?;
    ensure!(stage.session(&restore)?["ended_at"].is_null(), "the coordinator was killed too late");
    stage.full_speed()?;
    stage.succeeded(&restore)?;
    assert_eq!(workers(&stage, &restore)?.len(), 1, "the worker was kept");
    stage.assert_equal("shop", "copy")?;
    stage.assert_nothing_left()
}

#[test]
fn a_killed_worker_is_replaced_and_the_session_succeeds() -> Result<()> {
    let stage = stage_with_shop()?;
    slow_uploads(&stage)?;
    let backup = stage.run_policy()?;
    while_moving(&stage, &backup, || kill_agent(&stage, &backup))?;
    stage.full_speed()?;
    let session = stage.succeeded(&backup)?;
    assert_eq!(workers(&stage, &backup)?.len(), 2, "a second worker took over");
    assert!(session["epoch"].as_u64() > Some(1), "{session:#}");

    slow_downloads(&stage)?;
    let point = session["point_id"].as_str().context("no point")?;
    let restore = stage.start_restore(point, "shop", "copy", &[])?;
    while_moving(&stage, &restore, || kill_agent(&stage, &restore))?;
    stage.full_speed()?;
    stage.succeeded(&restore)?;
    assert_eq!(workers(&stage, &restore)?.len(), 2, "a second worker took over");
    stage.assert_equal("shop", "copy")?;
    assert_eq!(stage.haulier().json(&["point", "list"])?.as_array().map(Vec::len), Some(1), "one point, not two");
    stage.assert_nothing_left()
}

/// The worker dies in the second database. The first is complete by then, and stays the very one that it is.
#[test]
fn a_worker_lost_in_the_second_database_leaves_the_first_alone() -> Result<()> {
    let stage = stage_with_shop()?;
    stage.source.execute("CREATE DATABASE early")?;
    stage.source.sibling("early").execute(
        "CREATE TABLE numbers AS SELECT n, md5(n::text) AS text FROM generate_series(1, 100000) AS n;
         CREATE INDEX ON numbers (n)",
    )?;
    stage.source.execute("COMMENT ON DATABASE early IS 'restored first'")?;
    let point = stage.back_up()?;

    slow_downloads(&stage)?;
    let restore = stage.start_restore(&point, "early", "one", &["--database", "shop=two"])?;
    let in_second = |session: &Value| {
        let current = session["progress"]["current"].as_str();
        moving(session) && current.is_some_and(|current| current.starts_with("two: "))
    };
    stage.reached(&restore, "the data of the second database", in_second)?;
    let oid = || stage.target.value("SELECT oid FROM pg_database WHERE datname = 'one'");
    let first = oid().context("the first database is complete")?;
    let half = "SELECT count(*) FROM pg_database WHERE datname LIKE 'haulier_restoring_%'";
    ensure!(stage.target.value(half)? == "1", "the second database is not half-restored");
    kill_agent(&stage, &restore)?;
    ensure!(stage.session(&restore)?["ended_at"].is_null(), "the fault came too late");
    stage.full_speed()?;

    let session = stage.succeeded(&restore)?;
    assert_eq!(workers(&stage, &restore)?.len(), 2, "a second worker took over");
    assert_eq!(oid()?, first, "the first database was made again");
    let databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database
        WHERE datname NOT IN ('postgres', 'template0', 'template1', 'rdsadmin')";
    assert_eq!(stage.target.value(databases)?, "one two");
    assert_eq!(stage.target.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'haulier%'")?, "0");
    let restored: Vec<_> = session["databases"].as_array().into_iter().flatten().collect();
    assert_eq!(restored.len(), 2, "{session:#}");
    for (one, name) in restored.iter().zip(["one", "two"]) {
        assert_eq!((&one["target"], &one["restored"]), (&json!(name), &json!(true)), "{session:#}");
    }
    let created = session["report"]["roles-created"].as_array().map_or(0, Vec::len);
    ensure!(created > 0, "the report has forgotten the roles that the first worker created: {session:#}");
    stage.assert_equal("early", "one")?;
    stage.assert_equal("shop", "two")?;
    stage.assert_nothing_left()
}

#[test]
fn a_network_that_is_cut_for_a_minute_is_survived() -> Result<()> {
    let stage = stage_with_shop()?;
    slow_uploads(&stage)?;
    let backup = stage.run_policy()?;
    stage.reached(&backup, "the transfer of data", moving)?;
    let machine = instance_of(&stage, &backup)?;
    let cut = |cut: bool| stage.cloud.control("PUT", &format!("/machines/{machine}/cut"), Some(&json!({ "cut": cut })));
    cut(true)?;
    let before = stage.session(&backup)?["progress"]["bytes_read"].clone();
    // The one wait for a time in these tests: a minute is what the network is to be away.
    thread::sleep(Duration::from_secs(60));
    let during = stage.session(&backup)?;
    ensure!(
        during["ended_at"].is_null() && during["progress"]["bytes_read"] == before,
        "the cut was not felt: {during:#}"
    );
    stage.full_speed()?;
    cut(false)?;
    let session = stage.succeeded(&backup)?;
    assert_eq!(workers(&stage, &backup)?.len(), 1, "the worker was kept");
    let point = session["point_id"].as_str().context("no point")?;
    stage.restore(point, "shop", "copy")?;
    stage.assert_equal("shop", "copy")?;
    stage.assert_nothing_left()
}

/// Kills the agent's process inside its machine, as the kernel would when memory runs out.
fn kill_agent(stage: &Stage, session: &str) -> Result<()> {
    let machine = instance_of(stage, session)?;
    let answer = stage.cloud.control(
        "POST",
        &format!("/computers/{machine}/kill"),
        Some(&json!({ "program": "haulier-worker" })),
    )?;
    ensure!(
        answer["killed"].as_u64() > Some(0) || answer["killed"].as_array().is_some_and(|killed| !killed.is_empty()),
        "nothing was killed: {answer}"
    );
    Ok(())
}
