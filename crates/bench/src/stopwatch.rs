//! What a command and all its descendants took, as the kernel counts it for those who wait for them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::Serialize;

/// Runs a command and writes what it took to a file.
#[derive(Debug, Args)]
pub(crate) struct Measure {
    /// Where to write it, as JSON.
    #[arg(long)]
    report: PathBuf,
    /// What the command reads as its standard input; nothing without it.
    #[arg(long)]
    stdin: Option<PathBuf>,
    /// The command.
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<String>,
}

/// What it took.
#[derive(Debug, Serialize)]
struct Taken {
    /// Seconds on the clock.
    wall: f64,
    /// Seconds of processor, in user mode and in the kernel.
    processor: f64,
    /// Bytes that the largest of its processes had resident at most.
    peak: u64,
}

/// Runs it. This process has no other children, so that theirs is what is counted.
pub(crate) fn run(measure: &Measure) -> Result<()> {
    let [program, arguments @ ..] = measure.command.as_slice() else { bail!("there is no command") };
    let input = match &measure.stdin {
        Some(path) => File::open(path).with_context(|| format!("opening {}", path.display()))?.into(),
        None => Stdio::null(),
    };
    let started = Instant::now();
    let status =
        Command::new(program).args(arguments).stdin(input).status().with_context(|| format!("starting {program}"))?;
    let wall = started.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("asking what the children took")?;
    let processor = (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6;
    let peak = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    let taken = serde_json::to_vec(&Taken { wall, processor, peak }).context("writing JSON")?;
    std::fs::write(&measure.report, taken).with_context(|| format!("writing {}", measure.report.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_fed_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (report, input) = (folder.path().join("report"), folder.path().join("input"));
        std::fs::write(&input, "x").unwrap();
        let measure = |script: &str| Measure {
            report: report.clone(),
            stdin: Some(input.clone()),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        };
        run(&measure("test \"$(cat)\" = x")).unwrap();
        let taken: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert!(taken["wall"].as_f64().unwrap() > 0.0);
        assert!(taken["peak"].as_u64().unwrap() > 100_000);
        assert!(run(&measure("exit 3")).is_err());
    }
}
