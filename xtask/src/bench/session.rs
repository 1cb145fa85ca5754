//! One session, watched from its first step to its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::bin;
use e2e::stage::Stage;
use serde_json::Value;

use crate::memory::{Seen, Watch};

/// What a session took.
#[derive(Debug)]
pub(super) struct Run {
    /// The session as it ended.
    pub(super) session: Value,
    /// Seconds from its beginning to its end, teardown included, by the coordinator's clock.
    pub(super) wall: f64,
    /// Its steps in order, with the seconds until the next.
    pub(super) steps: Vec<(String, f64)>,
    /// The same of its worker's phases, as exact as a worker tells them: four times a second.
    pub(super) phases: Vec<(String, f64)>,
    /// What its worker took.
    pub(super) worker: Seen,
}

impl Run {
    /// Seconds in which data moved: the worker's phases, from its first word of progress to its result. The session's step
    /// of that name begins earlier, while the worker still boots.
    pub(super) fn transfer(&self) -> f64 {
        self.phases.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Seconds of everything else.
    pub(super) fn overhead(&self) -> f64 {
        self.wall - self.transfer()
    }
}

/// Follows a session that has just been started, and wants success.
pub(super) fn follow(stage: &Stage, id: &str) -> Result<Run> {
    let watch = Watch::begin(stage.cloud.id().context("the cloud has a process")?);
    let news = listen(stage, id);
    let worker = watch.end()?;
    let session = stage.succeeded(id)?;
    let News { steps, phases } = news?;
    let wall = seconds_between(&session, "started_at", "ended_at")?;
    let run = Run { session, wall, steps, phases, worker };
    ensure!(run.transfer() > 0.0, "the worker of session {id} was not heard of: {:?}", run.steps);
    ensure!(run.worker.agent > 0, "the worker of session {id} was not seen");
    Ok(run)
}

/// What the coordinator told of a session.
struct News {
    steps: Vec<(String, f64)>,
    phases: Vec<(String, f64)>,
}

/// Steps and phases as the coordinator tells them, timed when the news comes.
fn listen(stage: &Stage, id: &str) -> Result<News> {
    let mut tail = Command::new(bin::path("haulier")?)
        .args(["session", "tail", id, "--output", "json"])
        .envs(stage.haulier().environment().iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting haulier session tail")?;
    let lines = BufReader::new(tail.stdout.take().context("its output")?).lines();
    let (mut steps, mut phases) = (Course::default(), Course::default());
    for line in lines {
        let event: Value =
            serde_json::from_str(&line.context("reading the session's news")?).context("reading the session's news")?;
        if let Some(step) = step_of(&event["session"]) {
            if step != "transfer" {
                phases.end();
            }
            steps.at(&step);
        }
        // The last totals come when the worker has done its part.
        if let Some(phase) = event["progress"]["phase"].as_str()
            && steps.is_at("transfer")
        {
            phases.at(phase);
        }
    }
    steps.end();
    phases.end();
    tail.wait().context("waiting for haulier session tail")?;
    Ok(News { steps: steps.done, phases: phases.done })
}

/// Parts that follow one another.
#[derive(Default)]
struct Course {
    done: Vec<(String, f64)>,
    current: Option<(String, Instant)>,
}

impl Course {
    fn is_at(&self, part: &str) -> bool {
        self.current.as_ref().is_some_and(|(current, _)| current == part)
    }

    /// The part it is at by now.
    fn at(&mut self, part: &str) {
        if !self.is_at(part) {
            self.end();
            self.current = Some((part.to_owned(), Instant::now()));
        }
    }

    fn end(&mut self) {
        if let Some((part, begun)) = self.current.take() {
            self.done.push((part, begun.elapsed().as_secs_f64()));
        }
    }
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
