//! The repository as a contestant: one stream in, one stream out, through the same calls that a worker makes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use futures::TryStreamExt as _;
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::id::{DomainId, Epoch, PointId};
use haulier_domain::point::PointSummary;
use haulier_domain::secret::SecretString;
use haulier_repository::{
    Domain, DomainConfig, NewKey, PassphraseCost, PointRoot, Repository, StreamKind, StreamRoot, Unlock, WriteSummary,
    Writer,
};

use crate::folder::Folder;

/// Bytes that are read from standard input at once.
const BLOCK: usize = 1 << 20;
/// More than any stream's description has.
const DESCRIPTION: u64 = 16 << 20;
/// The prefix within the folder.
const PREFIX: &str = "haulier";

/// Stores standard input as a restore point.
#[derive(Debug, Args)]
pub(crate) struct Store {
    /// The repository's folder.
    folder: PathBuf,
    /// Name of the point.
    #[arg(long)]
    name: String,
    /// What the stream carries.
    #[arg(long, value_enum, default_value_t = Kind::Rows)]
    kind: Kind,
    /// zstd level; the repository's own default without it.
    #[arg(long)]
    level: Option<i32>,
    /// Name of the point that this one is likely to resemble.
    #[arg(long)]
    base: Option<String>,
}

/// Writes the stream of a restore point to standard output.
#[derive(Debug, Args)]
pub(crate) struct Read {
    /// The repository's folder.
    folder: PathBuf,
    /// Name of the point.
    #[arg(long)]
    name: String,
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// Rows of tables, as `pg_dump` prints them.
    Rows,
    /// Pages of a database file.
    Pages,
}

impl From<Kind> for StreamKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Rows => Self::TableRows,
            Kind::Pages => Self::Pages,
        }
    }
}

/// Creates a repository with one domain. Its passphrase costs nothing to open: on a worker the coordinator has done that.
pub(crate) fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    runtime()?.block_on(create_in(store_in(folder)))
}

/// The same in any store.
pub(crate) async fn create_in(store: Arc<dyn ObjectStore>) -> Result<()> {
    let cost = PassphraseCost { memory_kib: 64, iterations: 1, lanes: 1 };
    let key = NewKey::Passphrase(passphrase(), cost);
    let repository = Repository::create(store, PREFIX, &key, jiff::Timestamp::now()).await?;
    repository.domain_key(&domain_id()?, true).await?;
    Ok(())
}

/// Stores standard input and publishes it.
pub(crate) fn store(store: &Store) -> Result<()> {
    runtime()?.block_on(async {
        let domain = domain(&store.folder, store.level).await?;
        let base = match &store.base {
            Some(name) => Some(domain.base_point(&point_id(name)?).await.context("reading the base point")?),
            None => None,
        };
        let writer = domain.writer_on(base).await?;
        let stream = write_input(&writer, store.kind).await?;
        let manifest = describe(&writer, &stream).await?;
        let written = writer.finish().await?;
        let root = root(&store.name, manifest, written)?;
        domain.publish_point(&root).await.context("publishing the point").map(|_| ())
    })
}

/// Writes the document that says which stream the point has.
pub(crate) async fn describe(writer: &Writer, stream: &StreamRoot) -> Result<StreamRoot> {
    let mut document = writer.stream("manifest", StreamKind::Document)?;
    document.write(serde_json::to_vec(stream).context("describing the stream")?.into()).await?;
    document.finish().await.context("finishing the description")
}

/// The stream that such a document speaks of.
pub(crate) async fn described(domain: &Domain, root: &PointRoot) -> Result<StreamRoot> {
    let document = domain.read_to_bytes(&root.manifest, DESCRIPTION).await?;
    serde_json::from_slice(&document).context("reading the stream's description")
}

/// The root of a point.
pub(crate) fn root(name: &str, manifest: StreamRoot, written: WriteSummary) -> Result<PointRoot> {
    Ok(PointRoot {
        version: PointRoot::VERSION,
        point: point_id(name)?,
        session: format!("ses-{name}").parse().context("the session's id")?,
        epoch: Epoch(1),
        created: jiff::Timestamp::now(),
        engine: "postgres".to_owned(),
        manifest,
        catalogue: written.catalogue,
        required_features: written.required_features,
        locked_until: written.locked_until,
        stands_on: None,
        totals: written.totals,
        summary: PointSummary::default(),
        labels: BTreeMap::new(),
    })
}

/// Reads only here block this thread; the runtime's own threads go on meanwhile.
async fn write_input(writer: &Writer, kind: Kind) -> Result<StreamRoot> {
    let mut stream = writer.stream("data", kind.into())?;
    let mut input = std::io::stdin().lock();
    let mut buffer = vec![0; BLOCK];
    loop {
        let length = input.read(&mut buffer).context("reading standard input")?;
        if length == 0 {
            return stream.finish().await.context("finishing the stream");
        }
        stream.write_slice(&buffer[..length]).await?;
    }
}

/// Reads a point's stream back.
pub(crate) fn read(read: &Read) -> Result<()> {
    runtime()?.block_on(async {
        let domain = domain(&read.folder, None).await?;
        let root = domain.read_point(&point_id(&read.name)?).await?;
        let stream = described(&domain, &root).await?;
        let mut out = std::io::stdout().lock();
        let mut parts = std::pin::pin!(domain.read(&stream));
        while let Some(part) = parts.try_next().await? {
            out.write_all(&part).context("writing standard output")?;
        }
        out.flush().context("writing standard output")
    })
}

async fn domain(folder: &Path, level: Option<i32>) -> Result<Domain> {
    let mut config = DomainConfig::new(std::env::temp_dir());
    config.level = level.unwrap_or(config.level);
    open(store_in(folder), config).await
}

/// The domain of a repository that [`create`] has made.
pub(crate) async fn open(store: Arc<dyn ObjectStore>, config: DomainConfig) -> Result<Domain> {
    let repository = Repository::open(store, PREFIX).await?;
    let unlocked = repository.unlock(&Unlock::Passphrase(passphrase())).await?;
    Ok(unlocked.domain(&domain_id()?, config).await?)
}

fn store_in(folder: &Path) -> Arc<Folder> {
    Arc::new(Folder(folder.to_owned()))
}

fn domain_id() -> Result<DomainId> {
    "dom-bench".parse().context("the domain's id")
}

pub(crate) fn point_id(name: &str) -> Result<PointId> {
    format!("pnt-{name}").parse().context("the point's id")
}

fn passphrase() -> SecretString {
    SecretString::new("what is stored here is made up")
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")
}
