//! What the children do: store a stream, prune, or read a point and compare. Each may be killed at any time.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{Context as Hasher, SHA256};
use clap::{Args, Subcommand};
use futures::TryStreamExt as _;
use haulier_repository::prune::PruneOptions;
use haulier_repository::{Domain, DomainConfig, Error, StreamKind};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::content::Content;
use super::plan::{Terms, plan};
use super::store::{Clock, Mortal};
use crate::folder::Folder;
use crate::repository;

/// The point was not published, because a prune has taken what it relied on.
pub(super) const REFUSED: u8 = 3;
/// Another prune came between.
pub(super) const OVERLAPPED: u8 = 4;
/// How long the repository keeps what is marked, in the time of the run.
const GRACE: SignedDuration = SignedDuration::from_mins(30);
/// Memory of a child.
const MEMORY: usize = 48 << 20;

/// What `torture` has its children do.
#[derive(Debug, Args)]
pub(crate) struct Victim {
    /// The repository's folder.
    folder: PathBuf,
    /// When the run began.
    #[arg(long)]
    began: Timestamp,
    /// Kills itself at this call to the store.
    #[arg(long)]
    dies: Option<u64>,
    #[command(flatten)]
    terms: Terms,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Stores a stream and publishes it.
    Write {
        /// Which stream.
        number: usize,
        /// Name of the point.
        name: String,
        /// Name of a point that it may resemble.
        #[arg(long)]
        base: Option<String>,
    },
    /// Deletes what no point needs.
    Prune {
        /// When the oldest session began that runs.
        #[arg(long)]
        oldest: Option<Timestamp>,
        /// Deletes at once what is marked, whatever runs.
        #[arg(long)]
        reckless: bool,
    },
    /// Reads a point and compares it with the stream it should be.
    Read {
        /// Which stream.
        number: usize,
        /// Name of the point.
        name: String,
    },
}

/// Carries it out, and says what came of it as JSON.
pub(crate) fn suffer(victim: &Victim) -> Result<ExitCode> {
    repository::runtime()?.block_on(async {
        let done = match &victim.task {
            Task::Write { number, name, base } => write(victim, *number, name, base.as_deref()).await,
            Task::Prune { oldest, reckless } => prune(victim, *oldest, *reckless).await,
            Task::Read { number, name } => read(victim, *number, name).await,
        };
        match done {
            Ok(said) => {
                super::say(&said.to_string());
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => match error.downcast_ref::<Error>() {
                Some(Error::NotReachable { .. }) => Ok(ExitCode::from(REFUSED)),
                Some(Error::PruneOverlap { .. }) => Ok(ExitCode::from(OVERLAPPED)),
                _ => Err(error),
            },
        }
    })
}

/// The domain, over a store that may be the end of the process.
pub(super) async fn domain(folder: PathBuf, clock: Clock, dies: Option<u64>) -> Result<Domain> {
    let cache = folder.join(".cache");
    let config = DomainConfig { memory: MEMORY, threads: 2, ..DomainConfig::new(cache) };
    repository::open(Arc::new(Mortal::new(Folder(folder), clock, dies)), config).await
}

impl Victim {
    async fn domain(&self) -> Result<Domain> {
        domain(self.folder.clone(), Clock::new(self.began), self.dies).await
    }
}

async fn write(victim: &Victim, number: usize, name: &str, base: Option<&str>) -> Result<serde_json::Value> {
    let domain = victim.domain().await?;
    let base = match base {
        // It may be gone by now.
        Some(base) => domain.base_point(&repository::point_id(base)?).await.ok(),
        None => None,
    };
    let streams = plan(&victim.terms);
    let writer = domain.writer_on(base).await?;
    let kind = [StreamKind::TableRows, StreamKind::Archive, StreamKind::Pages][(streams[number].seed % 3) as usize];
    let mut stream = writer.stream("data", kind)?;
    for block in Content::of(&streams, number) {
        stream.write(block.into()).await?;
    }
    let stream = stream.finish().await?;
    let manifest = repository::describe(&writer, &stream).await?;
    let root = repository::root(name, manifest, writer.finish().await?)?;
    let published = domain.publish_point(&root).await?;
    Ok(json!({ "totals": published.totals }))
}

async fn prune(victim: &Victim, oldest: Option<Timestamp>, reckless: bool) -> Result<serde_json::Value> {
    let now = Clock::new(victim.began).now();
    let domain = victim.domain().await?;
    let options = match reckless {
        true => PruneOptions { now, grace: SignedDuration::ZERO, oldest_session: None, dry_run: false },
        false => PruneOptions { now, grace: GRACE, oldest_session: oldest, dry_run: false },
    };
    let report = domain.prune(&options, |_, _, _| {}).await?;
    serde_json::to_value(report).context("describing the prune")
}

async fn read(victim: &Victim, number: usize, name: &str) -> Result<serde_json::Value> {
    let streams = plan(&victim.terms);
    let making = tokio::task::spawn_blocking(move || {
        let mut hasher = Hasher::new(&SHA256);
        Content::of(&streams, number).for_each(|block| hasher.update(&block));
        hex(hasher)
    });
    let domain = victim.domain().await?;
    let root = domain.read_point(&repository::point_id(name)?).await?;
    let stream = repository::described(&domain, &root).await?;
    let (mut hasher, mut bytes) = (Hasher::new(&SHA256), 0_u64);
    let mut parts = std::pin::pin!(domain.read(&stream));
    while let Some(part) = parts.try_next().await? {
        hasher.update(&part);
        bytes += part.len() as u64;
    }
    let (read, made) = (hex(hasher), making.await.context("making the stream again")?);
    ensure!(read == made, "point {name} has the SHA-256 {read}, and should have {made}");
    Ok(json!({ "bytes": bytes, "sha256": read }))
}

fn hex(hasher: Hasher) -> String {
    hasher.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
