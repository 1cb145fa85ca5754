//! What the coordinator takes while fifty sessions are its own at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::stage::{MASTER_PASSWORD, POLICY, Stage};
use e2e::wait;

use crate::memory;

/// Sessions at once.
pub(super) const SESSIONS: usize = 50;

/// Instances they are for; those of one instance take turns.
const INSTANCES: usize = 5;

/// Workers at once, a policy's default.
const WORKERS: usize = 4;

const LIMIT: Duration = Duration::from_secs(1200);

/// What it took.
pub(super) struct Crowd {
    /// Seconds from the first start to the last end.
    pub(super) wall: f64,
    /// Bytes the coordinator had resident before.
    pub(super) before: u64,
    /// Bytes it had resident at most.
    pub(super) peak: u64,
}

/// Has all sessions back up databases with nothing in them, and wants all of them to succeed.
pub(super) fn gather(stage: &mut Stage) -> Result<Crowd> {
    // A fresh process: what came before is not to be measured.
    stage.coordinator.stop()?;
    stage.coordinator.resume()?;
    let instances: Vec<String> = (1..=INSTANCES).map(|number| format!("crowd-{number}")).collect();
    for instance in &instances {
        stage.cloud.create_instance(instance, MASTER_PASSWORD)?;
    }
    let ids = instances.join(", ");
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{ids}] }}] }}\nconcurrency: {WORKERS}"))?;
    let coordinator = stage.coordinator.id().context("the coordinator runs")?;
    let before = memory::resident(coordinator).context("the coordinator runs")?;
    let started = Instant::now();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS / INSTANCES {
        let answer = stage.haulier().json(&["policy", "run", POLICY])?;
        let ids = answer["session_ids"].as_array().cloned().unwrap_or_default();
        sessions.extend(ids.iter().filter_map(|id| id.as_str().map(str::to_owned)));
    }
    ensure!(sessions.len() == SESSIONS, "{} sessions were started, not {SESSIONS}", sessions.len());
    wait::until(LIMIT, "all sessions to end", || {
        let listed = stage.haulier().json(&["session", "list", "--limit", "200"])?;
        let listed = listed.as_array().cloned().unwrap_or_default();
        Ok(listed.iter().all(|session| !session["ended_at"].is_null()))
    })?;
    let wall = started.elapsed().as_secs_f64();
    for session in &sessions {
        stage.succeeded(session)?;
    }
    Ok(Crowd { wall, before, peak: memory::peak(coordinator).context("the coordinator runs")? })
}
