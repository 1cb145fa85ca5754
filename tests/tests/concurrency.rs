//! Many at once, and stopped at any time: nothing lost, nothing left, production's security groups as before.

use anyhow::{Context, Result, ensure};
use e2e::stage::{SOURCE, Stage, TARGET};
use e2e::{dataset, wait};
use serde_json::{Value, json};

fn id(session: &Value) -> String {
    session.as_str().unwrap_or_default().to_owned()
}

fn groups_of(stage: &Stage, instance: &str) -> Result<Value> {
    Ok(stage.cloud.control("GET", &format!("/instances/{instance}"), None)?["security_group_ids"].clone())
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
    let stage = Stage::set()?;
    for server in [&stage.source, &stage.target] {
        server.execute("CREATE DATABASE shop")?;
        dataset::fill(&server.sibling("shop"), 30)?;
    }
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{SOURCE}, {TARGET}] }}] }}"))?;
    let started = stage.haulier().json(&["policy", "run", "nightly"])?;
    let sessions: Vec<String> = started["session_ids"].as_array().cloned().unwrap_or_default().iter().map(id).collect();
    assert_eq!(sessions.len(), 2, "{started:#}");
    let both_run = || -> Result<bool> {
        let states = sessions.iter().map(|session| stage.session(session)).collect::<Result<Vec<_>>>()?;
        ensure!(states.iter().all(|session| session["ended_at"].is_null()), "one ended before the other began");
        Ok(states.iter().all(|session| session["state"] == "running"))
    };
    wait::until(e2e::stage::LIMIT, "both sessions to run at once", both_run)?;
    for session in &sessions {
        let point = stage.succeeded(session)?["point_id"].clone();
        let check = ["point", "check", point.as_str().context("no point")?, "--full", "--wait"];
        stage.haulier().json(&check)?;
    }
    stage.assert_nothing_left()
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

/// Steps of a backup before its teardown, each with the calls to AWS that it makes and how its session then ends. Slowed
/// down, they keep it at that step until it is cancelled there. `check-login` makes no call that could be slowed down;
/// that one is struck by the tests of the coordinator.
const STEPS: [(&str, &str, &str, &str); 10] = [
    ("preflight", "rds", "DescribeDBInstances", ""),
    ("open-domain", "s3", "*", "/domains/"),
    ("snapshot", "rds", "CreateDBSnapshot", ""),
    ("plan-worker", "ec2", "DescribeSubnets", ""),
    ("open-groups", "ec2", "CreateSecurityGroup", ""),
    ("launch-worker", "ec2", "RunInstances", ""),
    ("join-instance", "rds", "ModifyDBInstance", ""),
    ("assign", "sts", "AssumeRole", ""),
    ("transfer", "s3", "PutObject", ""),
    ("publish", "s3", "PutObject", "/points/"),
];

/// Slows calls down to so many milliseconds each.
fn slow_down(stage: &Stage, service: &str, operation: &str, text: &str, millis: u32) -> Result<()> {
    let mut rule =
        json!({ "service": service, "operation": operation, "times": 100_000, "effect": { "delay_ms": millis } });
    if !text.is_empty() {
        rule["match"] = json!(text);
    }
    stage.cloud.control("PUT", "/faults", Some(&json!([rule]))).map(drop)
}

/// Cancels a session at a step: it is there when it is asked, and still there when the cancel is written down, or on its
/// way out because of it.
fn cancel_at(stage: &Stage, session: &str, step: &str) -> Result<Value> {
    stage.reached(session, step, |session| session["step"] == step)?;
    let struck = stage.haulier().json(&["session", "cancel", session])?;
    let is_struck = struck["step"] == step || struck["state"] == "tearing-down";
    ensure!(is_struck, "the cancel struck {} in place of {step}", struck["step"]);
    stage.cloud.control("DELETE", "/faults", None)?;
    stage.ended(session)
}

#[test]
fn a_cancel_at_each_step_leaves_nothing_and_changes_no_group() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 60)?;
    stage.apply_policy("snapshot: true")?;
    let groups = groups_of(&stage, SOURCE)?;

    // One session goes undisturbed; then each step is cancelled in a session of its own.
    stage.back_up()?;
    let points = || -> Result<usize> { Ok(stage.haulier().json(&["point", "list"])?.as_array().map_or(0, Vec::len)) };
    let points_before = points()?;
    for (step, service, operation, text) in STEPS {
        slow_down(&stage, service, operation, text, 5000)?;
        let session = stage.run_policy()?;
        let ended = cancel_at(&stage, &session, step).with_context(|| stage.story(&session))?;
        // A point that is on its way into the repository cannot be called back any more.
        let wanted = if step == "publish" { "succeeded" } else { "cancelled" };
        assert_eq!(ended["state"], wanted, "cancelled at {step}: {ended:#}\n{}", stage.story(&session));
        stage.assert_nothing_left().with_context(|| format!("after a cancel at {step}"))?;
        assert_eq!(groups_of(&stage, SOURCE)?, groups, "after a cancel at {step}");
    }
    assert_eq!(points()?, points_before + 1, "a cancelled session makes no point");

    // The turn is waited for while another session holds the instance.
    slow_down(&stage, "rds", "CreateDBSnapshot", "", 20_000)?;
    let (first, second) = (stage.run_policy()?, stage.run_policy()?);
    stage.reached(&first, "snapshot", |session| session["step"] == "snapshot")?;
    assert_eq!(cancel_at(&stage, &second, "wait-for-turn")?["state"], "cancelled");
    stage.succeeded(&first)?;
    stage.assert_nothing_left()
}
