//! One child: what it is to do, whether and how it is killed, and what came of it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;

use super::plan::Terms;
use super::victim::{OVERLAPPED, REFUSED};

/// What a child does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    Write { stream: usize, name: String, base: Option<String>, attempt: u32 },
    Prune { oldest: Option<Timestamp>, reckless: bool },
    Read { stream: usize, name: String, attempt: u32 },
}

/// How it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// Not at all.
    Spared,
    /// At this call to the store.
    AtCall(u64),
    /// After so long.
    After(Duration),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Value),
    Killed,
    Refused,
    Overlapped,
    /// What it said of it.
    Failed(String),
}

/// Runs the child to its end, its own or the one that it is given.
pub(super) async fn run(folder: &Path, terms: Terms, began: Timestamp, job: &Job, death: Death) -> Result<Outcome> {
    let program = std::env::current_exe().context("the path of the running program")?;
    let mut command = Command::new(program);
    command.arg("victim").arg(folder).arg("--began").arg(began.to_string());
    for (name, value) in [
        ("--seed", terms.seed),
        ("--streams", terms.streams as u64),
        ("--largest", terms.largest),
        ("--volume", terms.volume),
    ] {
        command.arg(name).arg(value.to_string());
    }
    if let Death::AtCall(calls) = death {
        command.arg("--dies").arg(calls.to_string());
    }
    match job {
        Job::Write { stream, name, base, .. } => {
            command.arg("write").arg(stream.to_string()).arg(name);
            if let Some(base) = base {
                command.arg("--base").arg(base);
            }
        }
        Job::Prune { oldest, reckless } => {
            command.arg("prune");
            if let Some(oldest) = oldest {
                command.arg("--oldest").arg(oldest.to_string());
            }
            if *reckless {
                command.arg("--reckless");
            }
        }
        Job::Read { stream, name, .. } => {
            command.arg("read").arg(stream.to_string()).arg(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().context("starting a child")?;
    let killed = child.id();
    let mut ending = std::pin::pin!(child.wait_with_output());
    let output = match death {
        Death::After(time) => match tokio::time::timeout(time, &mut ending).await {
            Ok(output) => output,
            Err(_) => {
                kill(killed);
                ending.await
            }
        },
        Death::Spared | Death::AtCall(_) => ending.await,
    };
    let output = output.context("waiting for a child")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.signal() == Some(Signal::SIGKILL as i32) {
        return Ok(Outcome::Killed);
    }
    match output.status.code() {
        Some(0) => Ok(Outcome::Done(serde_json::from_slice(&output.stdout).context("reading what a child said")?)),
        Some(code) if code == i32::from(REFUSED) => Ok(Outcome::Refused),
        Some(code) if code == i32::from(OVERLAPPED) => Ok(Outcome::Overlapped),
        Some(_) => Ok(Outcome::Failed(said)),
        None => bail!("{job:?} ended with {}: {said}", output.status),
    }
}

/// It may have ended this moment; it has not been waited for, so that the number is still its own.
fn kill(child: Option<u32>) {
    if let Some(child) = child.and_then(|id| i32::try_from(id).ok()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), Signal::SIGKILL);
    }
}
