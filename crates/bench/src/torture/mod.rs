//! Random streams through the repository, by several processes at once, while writers and prunes are killed: at its end every
//! point that was published is byte for byte what it should be.
//!
//! The seed decides what the streams are, and what is done to whom; when a process dies depends on the machine too. In the
//! first half prunes are told of the sessions that run, as the coordinator does, and then no publication may be refused. In
//! the second half they are told of none and wait for nothing: a publication may be refused then, and is repeated, and still
//! nothing that was published may be lost.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use nix::sys::statvfs::statvfs;

mod content;
mod counts;
mod job;
mod plan;
mod run;
mod store;
mod victim;

pub(crate) use self::victim::{Victim, suffer};

use self::plan::{Terms, plan};
use self::run::Run;
use crate::repository;

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    terms: Terms,
    /// Processes that write at once.
    #[arg(long, default_value_t = 3)]
    writers: usize,
    /// Where the repository lies meanwhile; it is removed afterwards.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print the results as one JSON object on the last line.
    #[arg(long)]
    json: bool,
}

/// Does it, and fails where anything is not as it should be.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { terms, writers, folder, json } = arguments;
    ensure!(*writers > 0 && terms.largest > 0, "there must be a writer, and something to write");
    let streams = plan(terms);
    let bytes: u64 = streams.iter().map(|stream| stream.bytes).sum();
    tell(&format!("seed {}: {} streams of {} MB together", terms.seed, streams.len(), bytes / 1_000_000));
    let parent = folder.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&parent).with_context(|| format!("creating {}", parent.display()))?;
    let free = statvfs(&parent).with_context(|| format!("looking at the disk of {}", parent.display()))?;
    let free = free.blocks_available().saturating_mul(free.fragment_size());
    // Part of it shrinks and most points are removed on the way; on the other hand killed writers leave what they had stored.
    let needed = bytes + bytes / 2 + (1 << 28);
    ensure!(free > needed, "{} has {} MB free, and {} may be needed", parent.display(), free >> 20, needed >> 20);
    let folder = tempfile::tempdir_in(&parent).with_context(|| format!("making a folder in {}", parent.display()))?;
    repository::create(folder.path())?;
    let runtime = repository::runtime()?;
    let counts = runtime.block_on(async { Run::new(*terms, streams, *writers, folder.path())?.go().await })?;
    tell(&counts.lines());
    if *json {
        say(&counts.json(terms).to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// For whoever watches.
#[expect(clippy::print_stderr, reason = "this is a command's progress")]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// The result.
#[expect(clippy::print_stdout, reason = "this is a command's result")]
fn say(text: &str) {
    println!("{text}");
}
