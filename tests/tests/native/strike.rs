//! Faults that hold a session at one moment, and processes that are killed at it.

use anyhow::{Context, Result, ensure};
use e2e::stage::{LIMIT, Stage};
use e2e::wait;
use serde_json::{Value, json};

use crate::scene::{Scene, TEMPORARY};

/// A moment of a session, by the call or the task that it is at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strike {
    /// What happens at that moment.
    pub(crate) when: &'static str,
    service: &'static str,
    operation: &'static str,
    text: &'static str,
    effect: Effect,
}

#[derive(Debug, Clone, Copy)]
enum Effect {
    /// Holds the call up, each time.
    Delay(u32),
    /// It takes effect once, and nobody is told.
    LoseAnswer,
}

impl Strike {
    /// At calls to S3 whose request contains the text: each takes so many milliseconds longer.
    pub(crate) const fn s3(when: &'static str, operation: &'static str, text: &'static str, millis: u32) -> Self {
        Self { when, service: "s3", operation, text, effect: Effect::Delay(millis) }
    }

    /// At calls to another service.
    pub(crate) const fn aws(when: &'static str, service: &'static str, operation: &'static str) -> Self {
        Self { when, service, operation, text: "", effect: Effect::Delay(4000) }
    }

    /// At calls to S3 for a temporary bucket.
    pub(crate) const fn temporary(when: &'static str, operation: &'static str) -> Self {
        Self::s3(when, operation, TEMPORARY, 4000)
    }

    /// While a task of that type runs.
    pub(crate) const fn task(when: &'static str, kind: &'static str) -> Self {
        Self { when, service: "sqlserver", operation: kind, text: "", effect: Effect::Delay(3000) }
    }

    /// While a procedure is called: whether it comes to it, its caller does not hear.
    pub(crate) const fn call(when: &'static str, procedure: &'static str) -> Self {
        Self::task(when, procedure)
    }

    /// When a procedure has done what it does, and its caller has not heard of it.
    pub(crate) const fn answer(when: &'static str, procedure: &'static str) -> Self {
        Self { when, service: "sqlserver", operation: procedure, text: "", effect: Effect::LoseAnswer }
    }

    /// Orders the fault, and takes back those that were ordered before.
    pub(crate) fn order(&self, stage: &Stage) -> Result<()> {
        let (times, effect) = match self.effect {
            Effect::Delay(millis) => (100_000, json!({ "delay_ms": millis })),
            Effect::LoseAnswer => (1, json!("timeout_after")),
        };
        let Self { service, operation, text, .. } = self;
        let mut rule = json!({ "service": service, "operation": operation, "times": times, "effect": effect });
        if !text.is_empty() {
            rule["match"] = json!(text);
        }
        stage.cloud.control("PUT", "/faults", Some(&json!([rule]))).map(drop)
    }

    /// Waits until the session is at the moment.
    pub(crate) fn reached(&self, stage: &Stage, session: &str) -> Result<()> {
        wait::until(LIMIT, self.when, || {
            let rules = stage.cloud.control("GET", "/faults", None)?;
            if rules[0]["fired"].as_u64() > Some(0) {
                return Ok(true);
            }
            let session = stage.session(session)?;
            ensure!(session["ended_at"].is_null(), "the session ended before {}: {session:#}", self.when);
            Ok(false)
        })
        .with_context(|| stage.story(session))
    }
}

/// Takes every fault back.
pub(crate) fn calm(stage: &Stage) -> Result<()> {
    stage.cloud.control("DELETE", "/faults", None).map(drop)
}

/// Has the coordinator die at each of these moments of one session, and come back. Gives the session, which has succeeded with
/// one worker.
pub(crate) fn coordinator_dies(
    scene: &mut Scene,
    strikes: &[Strike],
    start: impl FnOnce(&Scene) -> Result<String>,
) -> Result<Value> {
    strikes.first().context("no moment to strike at")?.order(&scene.stage)?;
    let session = start(scene)?;
    for (number, strike) in strikes.iter().enumerate() {
        strike.reached(&scene.stage, &session)?;
        ensure!(scene.stage.session(&session)?["ended_at"].is_null(), "too late to strike when {}", strike.when);
        scene.stage.coordinator.kill()?;
        match strikes.get(number + 1) {
            Some(next) => next.order(&scene.stage)?,
            None => calm(&scene.stage)?,
        }
        scene.stage.coordinator.resume()?;
    }
    let ended = scene.stage.succeeded(&session)?;
    assert_eq!(workers(&scene.stage, &session)?.len(), 1, "the worker was kept: {}", scene.stage.story(&session));
    Ok(ended)
}

/// Has the session's worker die at each of these moments. Gives the session, which has succeeded with as many workers more.
pub(crate) fn workers_die(
    scene: &Scene,
    strikes: &[Strike],
    start: impl FnOnce(&Scene) -> Result<String>,
) -> Result<Value> {
    let stage = &scene.stage;
    strikes.first().context("no moment to strike at")?.order(stage)?;
    let session = start(scene)?;
    for (number, strike) in strikes.iter().enumerate() {
        strike.reached(stage, &session)?;
        kill_worker(stage, &session).with_context(|| format!("when {}", strike.when))?;
        match strikes.get(number + 1) {
            Some(next) => next.order(stage)?,
            None => calm(stage)?,
        }
        ensure!(stage.session(&session)?["ended_at"].is_null(), "killed too late, when {}", strike.when);
    }
    let ended = stage.succeeded(&session)?;
    assert_eq!(workers(stage, &session)?.len(), strikes.len() + 1, "{}", stage.story(&session));
    Ok(ended)
}

/// The workers that a session has had.
fn workers(stage: &Stage, session: &str) -> Result<Vec<Value>> {
    let all = stage.haulier().json(&["worker", "list", "--all"])?;
    let of_session = |worker: &Value| worker["session_id"] == session;
    Ok(all.as_array().cloned().unwrap_or_default().into_iter().filter(of_session).collect())
}

/// Kills the agent's process inside the machine of the session's worker, as the kernel would when memory runs out.
fn kill_worker(stage: &Stage, session: &str) -> Result<()> {
    let live = stage.haulier().json(&["worker", "list"])?;
    let mut killed = 0;
    for worker in live.as_array().into_iter().flatten().filter(|worker| worker["session_id"] == session) {
        let machine = worker["instance_id"].as_str().context("the worker has no instance")?;
        let program = json!({ "program": "haulier-worker" });
        let answer = stage.cloud.control("POST", &format!("/computers/{machine}/kill"), Some(&program))?;
        killed += answer["killed"].as_u64().unwrap_or_default();
    }
    ensure!(killed > 0, "nothing was killed: {live:#}");
    Ok(())
}
