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

/// The steps of a backup before its teardown, in order.
const STEPS: [&str; 12] = [
    "wait-for-turn",
    "preflight",
    "check-login",
    "open-domain",
    "snapshot",
    "plan-worker",
    "open-groups",
    "launch-worker",
    "join-instance",
    "assign",
    "transfer",
    "publish",
];

#[test]
fn a_cancel_at_any_step_leaves_nothing_and_changes_no_group() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 60)?;
    stage.apply_policy("snapshot: true")?;
    let groups = groups_of(&stage, SOURCE)?;

    // One session goes undisturbed; then each step is cancelled in a session of its own.
    stage.back_up()?;
    let slow = json!([{ "service": "s3", "operation": "PutObject", "times": 100_000, "effect": { "delay_ms": 300 } }]);
    stage.cloud.control("PUT", "/faults", Some(&slow))?;
    let points = || -> Result<usize> { Ok(stage.haulier().json(&["point", "list"])?.as_array().map_or(0, Vec::len)) };
    let (points_before, mut succeeded) = (points()?, 0);
    for (place, step) in STEPS.iter().enumerate() {
        let session = stage.run_policy()?;
        // A short step may be over before anybody looks: then the cancel strikes a later one.
        stage.reached(&session, step, |session| {
            let at = STEPS.iter().position(|step| session["step"] == *step);
            at >= Some(place) || !session["ended_at"].is_null() || session["state"] == "tearing-down"
        })?;
        stage.haulier().json(&["session", "cancel", &session])?;
        let ended = stage.ended(&session)?;
        let state = ended["state"].as_str().unwrap_or_default();
        // Once its point is published a session cannot be called back any more.
        assert!(
            ["cancelled", "succeeded"].contains(&state),
            "cancelled at {step}: {ended:#}\n{}",
            stage.story(&session)
        );
        succeeded += usize::from(state == "succeeded");
        stage.assert_nothing_left().with_context(|| format!("after a cancel at {step}"))?;
        assert_eq!(groups_of(&stage, SOURCE)?, groups, "after a cancel at {step}");
    }
    assert_eq!(points()?, points_before + succeeded, "a cancelled session makes no point");
    ensure!(succeeded <= 3, "{succeeded} of {} cancels came too late: that tries too little", STEPS.len());
    Ok(())
}
