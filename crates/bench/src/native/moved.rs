//! What a worker does with such a file, by its own code: the mover's way into the repository and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use clap::Args;
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::failure::Failure;
use haulier_domain::manifest::StreamReference;
use haulier_domain::sqlserver::manifest::File;
use haulier_repository::{Domain, DomainConfig, StreamRoot};
use haulier_worker_agent::desk::Desk;
use haulier_worker_agent::mover::Instance;
use haulier_worker_agent::mover::login::{Login, LoginProvider};
use haulier_worker_agent::mover::streams::{StreamKind, StreamStore as _};
use haulier_worker_agent::redact::Redactor;
use haulier_worker_agent::runner::RepositoryStreams;
use haulier_worker_agent::sqlserver::tds::TdsServer;
use haulier_worker_agent::sqlserver::{Context, Pace, deliver, fetch};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Object, size_of, store};
use crate::repository::{self, point_id, root};

/// The name of the file, in its stream and in what operators would read.
const FILE: &str = "file.bak";
/// More than its description has.
const DESCRIPTION: u64 = 1 << 20;

/// Moves an object into the repository.
#[derive(Debug, Args)]
pub(crate) struct Fetch {
    #[command(flatten)]
    object: Object,
    /// The repository's bucket.
    #[arg(long)]
    repository: String,
    /// Name of the point.
    #[arg(long)]
    point: String,
    /// Name of the point that this one is likely to resemble.
    #[arg(long)]
    base: Option<String>,
    /// Store what comes as it is.
    #[arg(long)]
    uncompressed: bool,
}

/// Moves the object of a restore point into a bucket.
#[derive(Debug, Args)]
pub(crate) struct Deliver {
    #[command(flatten)]
    object: Object,
    /// The repository's bucket.
    #[arg(long)]
    repository: String,
    /// Name of the point.
    #[arg(long)]
    point: String,
}

/// Moves it, publishes the point, and gives what the writer counted.
pub(super) async fn fetch(fetch: &Fetch) -> Result<Value> {
    let (bucket, key) = (store(&fetch.object.bucket).await?, &fetch.object.key);
    let domain = domain(&fetch.repository, !fetch.uncompressed).await?;
    let base = match &fetch.base {
        Some(name) => Some(domain.base_point(&point_id(name)?).await.context("reading the base point")?),
        None => None,
    };
    let desk = desk();
    let streams =
        RepositoryStreams::writing(domain.clone(), base, None, desk.clone()).await.context("loading the index")?;
    let streams = Arc::new(streams);
    let bytes = size_of(&*bucket, key).await?;
    let fetched = fetch::fetch(&context(streams.clone(), bucket, desk)?, key, bytes, FILE).await?;
    let file = File {
        name: FILE.to_owned(),
        stream: fetched.stream,
        bytes,
        sha256: fetched.sha256,
        metadata: BTreeMap::new(),
        log: None,
    };
    let mut document = streams.create(StreamKind::Document, "manifest").await?;
    document.write(serde_json::to_vec(&file).context("describing the file")?.into()).await?;
    let manifest = stream_root(document.finish().await?)?;
    let written = streams.finish().await.context("finishing the streams")?;
    let totals = serde_json::to_value(written.totals).context("telling what was written")?;
    let root = root(&fetch.point, manifest, written)?;
    domain.publish_point(&root).await.context("publishing the point")?;
    Ok(totals)
}

/// Moves it back. The mover compares its SHA-256 with the one that was taken on the way in.
pub(super) async fn deliver(deliver: &Deliver) -> Result<()> {
    let (bucket, key) = (store(&deliver.object.bucket).await?, &deliver.object.key);
    let domain = domain(&deliver.repository, true).await?;
    let root = domain.read_point(&point_id(&deliver.point)?).await.context("reading the point")?;
    let document = domain.read_to_bytes(&root.manifest, DESCRIPTION).await.context("reading the file's description")?;
    let file: File = serde_json::from_slice(&document).context("reading the file's description")?;
    let desk = desk();
    let streams = Arc::new(RepositoryStreams::reading(domain, desk.clone()));
    Ok(deliver::deliver(&context(streams, bucket, desk)?, &file, key, FILE).await?)
}

async fn domain(bucket: &str, compress: bool) -> Result<Domain> {
    let config = DomainConfig { compress, ..DomainConfig::new(std::env::temp_dir()) };
    repository::open(store(bucket).await?, config).await
}

/// A session's log and counters, as on a worker. Nobody listens.
fn desk() -> Desk {
    Desk::new(Redactor::new())
}

fn context(streams: Arc<RepositoryStreams>, bucket: Arc<dyn ObjectStore>, desk: Desk) -> Result<Context> {
    Ok(Context {
        server: Arc::new(never_reached()?),
        streams,
        bucket,
        progress: Arc::new(desk.clone()),
        log: Arc::new(desk.clone()),
        tasks: Arc::new(desk.clone()),
        parts: Arc::new(desk),
        cancel: CancellationToken::new(),
        pace: Pace::default(),
    })
}

/// An instance that nobody connects to: its part is over when files are moved.
fn never_reached() -> Result<TdsServer> {
    let nowhere = Instance { id: "none".to_owned(), host: "none.invalid".to_owned(), address: None, port: 1433 };
    Ok(TdsServer::new(nowhere, Arc::new(NoLogin), "/dev/null".as_ref(), "bench")?)
}

struct NoLogin;

#[async_trait]
impl LoginProvider for NoLogin {
    async fn login(&self, _refused: bool) -> Result<Login, Failure> {
        let cause = "this benchmark has no instance";
        Err(Failure::new("db-auth-failed", "logging in", cause, "report this"))
    }
}

fn stream_root(reference: StreamReference) -> Result<StreamRoot> {
    serde_json::from_value(reference.0).context("reading the description of a stream")
}
