//! What the tests of this crate share: an object store in memory that can be tampered with, a repository in it, noise.
#![allow(dead_code, reason = "each test file uses its part of it")]

pub(crate) mod folder;
pub(crate) mod frozen;
pub(crate) mod killing;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore};
use haulier_cloud::{CloudError, ErrorKind, Outcome};
use haulier_domain::id::{DomainId, Epoch};
use haulier_domain::point::PointSummary;
use haulier_domain::secret::SecretString;
use haulier_repository::{
    Domain, DomainConfig, NewKey, PassphraseCost, PointRoot, Repository, Result, StreamKind, StreamRoot, Unlock,
    UnlockedRepository, WriteSummary, Writer,
};

/// A bucket in memory whose objects tests may spoil.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// Writes of keys with this in them fail from now on.
    pub(crate) refuse: Mutex<Option<String>>,
    pub(crate) gets: AtomicU64,
    pub(crate) puts: AtomicU64,
    /// Writes wait while this is set.
    pub(crate) stalled: AtomicBool,
    pub(crate) resume: tokio::sync::Notify,
    /// Reads of keys with this in them never end.
    hanging: Mutex<Option<String>>,
}

impl Bucket {
    pub(crate) fn keys(&self, with: &str) -> Vec<String> {
        self.objects.lock().unwrap().keys().filter(|key| key.contains(with)).cloned().collect()
    }

    pub(crate) fn object(&self, key: &str) -> Bytes {
        self.objects.lock().unwrap()[key].clone()
    }

    pub(crate) fn replace(&self, key: &str, body: impl Into<Bytes>) {
        self.objects.lock().unwrap().insert(key.to_owned(), body.into());
    }

    pub(crate) fn remove(&self, key: &str) {
        assert!(self.objects.lock().unwrap().remove(key).is_some(), "{key}");
    }

    /// Another bucket with the same objects.
    pub(crate) fn copy(&self) -> Arc<Self> {
        let objects = self.objects.lock().unwrap().clone();
        Arc::new(Self { objects: Mutex::new(objects), ..Self::default() })
    }

    pub(crate) fn size(&self) -> u64 {
        self.objects.lock().unwrap().values().map(|body| body.len() as u64).sum()
    }

    pub(crate) fn flip(&self, key: &str, at: usize) {
        let mut body = self.object(key).to_vec();
        body[at] ^= 0x10;
        self.replace(key, body);
    }

    pub(crate) fn truncate(&self, key: &str, length: usize) {
        self.replace(key, self.object(key).slice(..length));
    }

    /// From now on reads of keys with `part` in them never end.
    pub(crate) fn hang(&self, part: &str) {
        *self.hanging.lock().unwrap() = Some(part.to_owned());
    }

    pub(crate) fn resume(&self) {
        self.stalled.store(false, Ordering::SeqCst);
        self.resume.notify_waiters();
    }
}

fn error(operation: &'static str, key: &str, kind: ErrorKind) -> CloudError {
    CloudError {
        operation,
        target: key.to_owned(),
        kind,
        outcome: Outcome::Determinate,
        code: None,
        message: format!("{kind:?}"),
        source: None,
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_new(&self, key: &str, body: Bytes) -> haulier_cloud::Result<()> {
        loop {
            let resumed = self.resume.notified();
            if !self.stalled.load(Ordering::SeqCst) {
                break;
            }
            resumed.await;
        }
        tokio::task::yield_now().await;
        self.puts.fetch_add(1, Ordering::SeqCst);
        if self.refuse.lock().unwrap().as_ref().is_some_and(|part| key.contains(part.as_str())) {
            return Err(error("PutObject", key, ErrorKind::Denied));
        }
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Err(error("PutObject", key, ErrorKind::AlreadyExists));
        }
        objects.insert(key.to_owned(), body);
        Ok(())
    }

    async fn get(&self, key: &str) -> haulier_cloud::Result<Bytes> {
        tokio::task::yield_now().await;
        self.gets.fetch_add(1, Ordering::SeqCst);
        if self.hanging.lock().unwrap().as_ref().is_some_and(|part| key.contains(part.as_str())) {
            std::future::pending::<()>().await;
        }
        let objects = self.objects.lock().unwrap();
        objects.get(key).cloned().ok_or_else(|| error("GetObject", key, ErrorKind::NotFound))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> haulier_cloud::Result<Bytes> {
        let body = self.get(key).await?;
        let length = body.len() as u64;
        if range.start >= length {
            return Err(error("GetObject", key, ErrorKind::Invalid));
        }
        Ok(body.slice(range.start as usize..range.end.min(length) as usize))
    }

    async fn head(&self, key: &str) -> haulier_cloud::Result<Option<ObjectMeta>> {
        Ok(self.objects.lock().unwrap().get(key).map(|body| meta(key, body.len() as u64)))
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> haulier_cloud::Result<ListPage> {
        let objects = self.objects.lock().unwrap();
        let mut found = objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && start_after.is_none_or(|after| key.as_str() > after))
            .map(|(key, body)| meta(key, body.len() as u64));
        // Small pages, so that paging is tested.
        let page: Vec<_> = found.by_ref().take(7).collect();
        let next = found.next().and(page.last().map(|last| last.key.clone()));
        Ok(ListPage { objects: page, next })
    }

    async fn delete(&self, key: &str) -> haulier_cloud::Result<()> {
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }
}

fn meta(key: &str, size: u64) -> ObjectMeta {
    ObjectMeta { key: key.to_owned(), size, modified: jiff::Timestamp::UNIX_EPOCH, etag: String::new() }
}

/// A repository with one domain in a bucket in memory.
pub(crate) struct Fixture {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) repository: UnlockedRepository,
    pub(crate) id: DomainId,
    folder: tempfile::TempDir,
}

pub(crate) const PREFIX: &str = "haulier/test";

pub(crate) fn passphrase() -> SecretString {
    SecretString::new("correct horse battery staple")
}

pub(crate) fn cheap() -> PassphraseCost {
    PassphraseCost { memory_kib: 64, iterations: 1, lanes: 1 }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let bucket = Arc::new(Bucket::default());
        let key = NewKey::Passphrase(passphrase(), cheap());
        let now = jiff::Timestamp::UNIX_EPOCH;
        let repository = Repository::create(bucket.clone(), PREFIX, &key, now).await.unwrap();
        let id: DomainId = "dom-one".parse().unwrap();
        repository.domain_key(&id, true).await.unwrap();
        Self { bucket, repository, id, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Little memory, so that packs are small and there are several.
    pub(crate) fn config(&self) -> DomainConfig {
        DomainConfig { threads: 2, memory: 16 << 20, ..DomainConfig::new(self.cache()) }
    }

    /// A handle as another process would have it.
    pub(crate) async fn domain(&self) -> Domain {
        self.repository.domain(&self.id, self.config()).await.unwrap()
    }

    /// A handle as another process would have it, on another store with the same objects.
    pub(crate) async fn domain_on(&self, store: Arc<dyn ObjectStore>) -> Domain {
        let repository = Repository::open(store, PREFIX).await.unwrap();
        let repository = repository.unlock(&Unlock::Passphrase(passphrase())).await.unwrap();
        repository.domain(&self.id, self.config()).await.unwrap()
    }

    pub(crate) async fn reopen(&self) -> UnlockedRepository {
        let repository = Repository::open(self.bucket.clone(), PREFIX).await.unwrap();
        repository.unlock(&Unlock::Passphrase(passphrase())).await.unwrap()
    }

    /// A published point with one stream of that content.
    pub(crate) async fn publish(&self, domain: &Domain, name: &str, data: &[u8]) -> (PointRoot, StreamRoot) {
        let writer = domain.writer().await.unwrap();
        let stream = write(&writer, "data", StreamKind::TableRows, data).await.unwrap();
        let manifest = write(&writer, "manifest", StreamKind::Document, b"{}").await.unwrap();
        let summary = writer.finish().await.unwrap();
        let root = point(name, manifest, summary);
        domain.publish_point(&root).await.unwrap();
        (root, stream)
    }
}

pub(crate) fn point(name: &str, manifest: StreamRoot, summary: WriteSummary) -> PointRoot {
    PointRoot {
        version: PointRoot::VERSION,
        point: format!("pnt-{name}").parse().unwrap(),
        session: format!("ses-{name}").parse().unwrap(),
        epoch: Epoch(1),
        created: "2026-11-20T12:00:00Z".parse().unwrap(),
        engine: "postgres".to_owned(),
        manifest,
        catalogue: summary.catalogue,
        required_features: summary.required_features,
        locked_until: summary.locked_until,
        stands_on: None,
        totals: summary.totals,
        summary: PointSummary::default(),
        labels: BTreeMap::new(),
    }
}

pub(crate) async fn write(writer: &Writer, name: &str, kind: StreamKind, data: &[u8]) -> Result<StreamRoot> {
    let mut stream = writer.stream(name, kind)?;
    for part in data.chunks(100_000) {
        stream.write(Bytes::copy_from_slice(part)).await?;
    }
    stream.finish().await
}

pub(crate) async fn read(domain: &Domain, root: &StreamRoot) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut parts = std::pin::pin!(domain.read(root));
    while let Some(part) = parts.try_next().await? {
        all.extend_from_slice(&part);
    }
    Ok(all)
}

/// Bytes that do not compress and do not repeat.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Bytes that look a little like table rows.
pub(crate) fn rows(length: usize, seed: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 100);
    let mut number = seed;
    while out.len() < length {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(format!("{}\tcustomer {}\t2026-11-20\t\\N\n", out.len(), number >> 40).as_bytes());
    }
    out.truncate(length);
    out
}

/// Some bytes in every few kilobytes are others, some more, some fewer.
pub(crate) fn edited(data: &[u8], seed: u64, every: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 50);
    for (number, part) in data.chunks(every).enumerate() {
        let change = noise(40, seed * 1_000_003 + number as u64);
        let (at, take, put) = (usize::from(change[0]), usize::from(change[1] % 32), usize::from(change[2] % 32));
        let at = at.min(part.len());
        out.extend_from_slice(&part[..at]);
        out.extend_from_slice(&change[8..8 + put]);
        out.extend_from_slice(&part[(at + take).min(part.len())..]);
    }
    out
}
