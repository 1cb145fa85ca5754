//! The mover's streams, kept in the repository.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use haulier_domain::manifest::StreamReference;
use haulier_repository::{
    BasePoint, Domain, Error, PointRoot, StreamKind, StreamRoot, StreamWriter, WriteStats, WriteSummary, Writer,
};
use tokio::sync::RwLock;

use super::failures::is_damage;
use crate::desk::Desk;
use crate::mover::streams::{self as mover, StoreError, StreamStore};

/// The streams of one domain: new ones through one writer, old ones read.
pub struct RepositoryStreams {
    domain: Domain,
    writer: RwLock<Option<Writer>>,
    meter: Arc<Mutex<Stored>>,
}

/// Tells the desk what the writer has stored since it was told last.
struct Stored {
    desk: Desk,
    told: WriteStats,
}

impl Stored {
    fn tell(&mut self, now: WriteStats) {
        let new = now.bytes_new.saturating_sub(self.told.bytes_new);
        let stored = now.bytes_stored.saturating_sub(self.told.bytes_stored);
        if new > 0 || stored > 0 {
            self.desk.stored(new, stored);
            self.told = now;
        }
    }
}

impl RepositoryStreams {
    /// Streams that are only read.
    pub fn reading(domain: Domain, desk: Desk) -> Self {
        Self::over(domain, None, desk)
    }

    /// Streams that are written, too. They are expected to resemble those of `base`, and are worth nothing without those of
    /// `foundation`.
    ///
    /// # Errors
    /// The domain's index cannot be loaded.
    pub async fn writing(
        domain: Domain,
        base: Option<BasePoint>,
        foundation: Option<&PointRoot>,
        desk: Desk,
    ) -> Result<Self, Error> {
        let writer = domain.writer_on(base).await?;
        let writer = match foundation {
            Some(foundation) => writer.standing_on(foundation),
            None => writer,
        };
        Ok(Self::over(domain, Some(writer), desk))
    }

    fn over(domain: Domain, writer: Option<Writer>, desk: Desk) -> Self {
        let meter = Arc::new(Mutex::new(Stored { desk, told: WriteStats::default() }));
        Self { domain, writer: RwLock::new(writer), meter }
    }

    /// Makes every finished stream durable. Nothing can be written any more.
    ///
    /// # Errors
    /// The repository does not take what is left, or the streams were only read.
    pub async fn finish(&self) -> Result<WriteSummary, Error> {
        let writer = self.writer.write().await.take();
        let writer = writer.ok_or_else(|| Error::Invalid("the streams are finished already".to_owned()))?;
        let summary = writer.finish().await?;
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).tell(summary.totals);
        Ok(summary)
    }
}

fn store_error(doing: String, error: Error) -> StoreError {
    StoreError { doing, damaged: is_damage(&error), source: Box::new(error) }
}

fn only_read() -> Error {
    Error::Invalid("these streams are only read".to_owned())
}

/// The description of a stream, as whoever works with it is told that there is none.
fn described(reference: &StreamReference) -> Result<StreamRoot, StoreError> {
    root_of(reference).map_err(|error| StoreError {
        doing: "reading the description of a stream".to_owned(),
        damaged: true,
        source: Box::new(error),
    })
}

fn kind_of(kind: mover::StreamKind) -> StreamKind {
    match kind {
        mover::StreamKind::Archive => StreamKind::Archive,
        mover::StreamKind::TableRows => StreamKind::TableRows,
        mover::StreamKind::Pages => StreamKind::Pages,
        mover::StreamKind::Document => StreamKind::Document,
    }
}

/// The repository's description of a stream that a manifest names.
///
/// # Errors
/// Where the manifest names something else.
pub(super) fn root_of(reference: &StreamReference) -> Result<StreamRoot, serde_json::Error> {
    serde_json::from_value(reference.0.clone())
}

/// A manifest's name for a stream of the repository.
///
/// # Errors
/// Where it cannot be written as JSON.
pub(super) fn reference_to(root: &StreamRoot) -> Result<StreamReference, serde_json::Error> {
    serde_json::to_value(root).map(StreamReference)
}

#[async_trait]
impl StreamStore for RepositoryStreams {
    async fn create(&self, kind: mover::StreamKind, name: &str) -> Result<Box<dyn mover::StreamWriter>, StoreError> {
        let doing = || format!("beginning stream {name:?}");
        let writer = self.writer.read().await;
        let writer = writer.as_ref().ok_or_else(|| store_error(doing(), only_read()))?;
        let inner = writer.stream(name, kind_of(kind)).map_err(|error| store_error(doing(), error))?;
        let progress = Box::new(writer.progress());
        Ok(Box::new(Writing { name: name.to_owned(), inner, progress, meter: self.meter.clone() }))
    }

    async fn take_over(&self, earlier: &StreamReference) -> Result<Option<StreamReference>, StoreError> {
        let root = described(earlier)?;
        let doing = || format!("taking over stream {:?}", root.name);
        let writer = self.writer.read().await;
        let Some(writer) = writer.as_ref() else { return Err(store_error(doing(), only_read())) };
        let taken = writer.take_over(&root).await.map_err(|error| store_error(doing(), error))?;
        let reference = taken.as_ref().map(reference_to).transpose();
        reference.map_err(|error| StoreError { doing: doing(), damaged: false, source: Box::new(error) })
    }

    async fn open(&self, reference: &StreamReference) -> Result<Box<dyn mover::StreamReader>, StoreError> {
        let root = described(reference)?;
        let parts = Box::pin(self.domain.read(&root));
        Ok(Box::new(Reading { name: root.name, parts }))
    }
}

struct Writing {
    name: String,
    inner: StreamWriter,
    progress: Box<dyn Fn() -> WriteStats + Send + Sync>,
    meter: Arc<Mutex<Stored>>,
}

#[async_trait]
impl mover::StreamWriter for Writing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let written = self.inner.write(bytes).await;
        written.map_err(|error| store_error(format!("writing stream {:?}", self.name), error))?;
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).tell((self.progress)());
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<StreamReference, StoreError> {
        let doing = || format!("ending stream {:?}", self.name);
        let root = self.inner.finish().await.map_err(|error| store_error(doing(), error))?;
        reference_to(&root).map_err(|error| StoreError { doing: doing(), damaged: false, source: Box::new(error) })
    }
}

struct Reading {
    name: String,
    parts: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
}

#[async_trait]
impl mover::StreamReader for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let part = self.parts.next().await.transpose();
        part.map_err(|error| store_error(format!("reading stream {:?}", self.name), error))
    }
}
