//! One session, watched from its first step to its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::bin;
use e2e::stage::Stage;
use serde_json::Value;

use super::memory::{Seen, Watch};

/// What a session took.
#[derive(Debug)]
pub(super) struct Run {
    /// The session as it ended.
    pub(super) session: Value,
    /// Seconds from its beginning to its end, teardown included, by the coordinator's clock.
    pub(super) wall: f64,
    /// Its steps in order, with the seconds until the next.
    pub(super) steps: Vec<(String, f64)>,
    /// What its worker took.
    pub(super) worker: Seen,
}

impl Run {
    /// Seconds in which data moved.
    pub(super) fn transfer(&self) -> f64 {
        self.steps.iter().filter(|(step, _)| step == "transfer").map(|(_, seconds)| seconds).sum()
    }

    /// Seconds of everything else.
    pub(super) fn overhead(&self) -> f64 {
        self.wall - self.transfer()
    }
}

/// Follows a session that has just been started, and wants success.
pub(super) fn follow(stage: &Stage, id: &str) -> Result<Run> {
    let watch = Watch::begin(stage.cloud.id().context("the cloud has a process")?);
    let steps = steps(stage, id);
    let worker = watch.end()?;
    let session = stage.succeeded(id)?;
    let run = Run { wall: seconds_between(&session, "started_at", "ended_at")?, session, steps: steps?, worker };
    ensure!(run.transfer() > 0.0, "session {id} was not seen to transfer anything: {:?}", run.steps);
    ensure!(run.worker.agent > 0, "the worker of session {id} was not seen");
    Ok(run)
}

/// The steps as the coordinator tells them, timed when the news comes.
fn steps(stage: &Stage, id: &str) -> Result<Vec<(String, f64)>> {
    let mut tail = Command::new(bin::path("haulier")?)
        .args(["session", "tail", id, "--output", "json"])
        .envs(stage.haulier().environment().iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting haulier session tail")?;
    let lines = BufReader::new(tail.stdout.take().context("its output")?).lines();
    let mut seen: Vec<(String, Instant)> = Vec::new();
    for line in lines {
        let event: Value =
            serde_json::from_str(&line.context("reading the session's news")?).context("reading the session's news")?;
        let Some(step) = step_of(&event["session"]) else { continue };
        if seen.last().is_none_or(|(last, _)| *last != step) {
            seen.push((step, Instant::now()));
        }
    }
    let end = Instant::now();
    tail.wait().context("waiting for haulier session tail")?;
    let ends: Vec<Instant> = seen.iter().skip(1).map(|(_, begun)| *begun).chain([end]).collect();
    Ok(seen.into_iter().zip(ends).map(|((step, begun), end)| (step, end.duration_since(begun).as_secs_f64())).collect())
}

fn step_of(session: &Value) -> Option<String> {
    match session["state"].as_str()? {
        "running" => session["step"].as_str().map(str::to_owned),
        state @ ("queued" | "tearing-down") => Some(state.to_owned()),
        _ => None,
    }
}

fn seconds_between(session: &Value, start: &str, end: &str) -> Result<f64> {
    let at = |name: &str| -> Result<jiff::Timestamp> {
        session[name].as_str().with_context(|| format!("no {name}"))?.parse().with_context(|| format!("reading {name}"))
    };
    Ok(at(end)?.duration_since(at(start)?).as_secs_f64())
}
