//! Writing: many streams at once into shared packs.
//!
//! A stream's bytes are cut as they arrive; batches of about a megabyte of chunks go to the pool, where each chunk gets
//! its id, is looked up, and if new is compressed, by itself or as a delta on what it resembles in an earlier point (see
//! `crate::similarity`). A finished batch is sealed into the open pack as a block, so that a
//! stream's chunks lie together. Full packs go to the uploader, which writes them, and once they are durable the index
//! objects that name them. Backpressure is the number of pack buffers: a new pack is opened only when an older one has
//! been uploaded.
//!
//! Everything is append-only, so a writer that is dropped or killed leaves nothing but objects that nobody names, and
//! packs that are in an index object already serve the next writer.

mod batch;
mod buffers;
mod following;
pub(crate) mod shared;
mod similarity;
mod stats;
mod stream_writer;
mod taking_over;
mod uploader;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

pub use self::stats::WriteStats;
pub use self::stream_writer::StreamWriter;

use self::shared::{Finished, Shared};
use crate::base::BasePoint;
use crate::chunker::Chunking;
use crate::domain::Core;
use crate::error::{Error, Result};
use crate::lock::extend::{extend, extend_foundation};
use crate::point::{DELTAS, PointRoot};
use crate::stream::{StreamKind, StreamRoot};

/// The name of the stream that lists a writer's streams.
const CATALOGUE: &str = "catalogue";

/// What a writer has stored. All its packs, index objects and list pages are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteSummary {
    /// A stream of JSON lines, one [`StreamRoot`] for each stream that was finished. A restore point names it, so that
    /// check and prune find every stream without knowing the manifest.
    pub catalogue: StreamRoot,
    /// What was read and stored in all.
    pub totals: WriteStats,
    /// What a reader of the streams must know: belongs into [`crate::PointRoot::required_features`].
    #[serde(default)]
    pub required_features: Vec<String>,
    /// Until when everything the streams need is locked at least, where the repository is immutable: belongs into
    /// [`crate::PointRoot::locked_until`].
    #[serde(default)]
    pub locked_until: Option<Timestamp>,
}

/// Writes streams into a domain. One per session; several sessions may write one domain at once.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    catalogue: Arc<Mutex<StreamWriter>>,
    uploader: AbortOnDropHandle<Result<()>>,
    stop: StopOnDrop,
    /// The catalogue of the point that the new one stands on.
    foundation: Option<StreamRoot>,
}

impl Writer {
    pub(crate) async fn start(core: Arc<Core>, base: Option<BasePoint>) -> Result<Self> {
        let loaded = core.index().await?;
        loaded.marks()?;
        let (shared, finished) = Shared::new(core, loaded, base);
        let shared = Arc::new(shared);
        let uploader = AbortOnDropHandle::new(tokio::spawn(uploader::run(Arc::clone(&shared), finished)));
        let catalogue = StreamWriter::new(Arc::clone(&shared), CATALOGUE, StreamKind::Document, None, None)?;
        Ok(Self {
            stop: StopOnDrop(Arc::clone(&shared)),
            shared,
            catalogue: Arc::new(Mutex::new(catalogue)),
            uploader,
            foundation: None,
        })
    }

    /// What is written cannot be restored without this point, published in the same domain before the writer began: in an
    /// immutable repository, what it needs is locked as long as what is written. See [`PointRoot::stands_on`].
    #[must_use]
    pub fn standing_on(self, foundation: &PointRoot) -> Self {
        Self { foundation: Some(foundation.catalogue.clone()), ..self }
    }

    /// Begins a stream, cut in the way its predecessor was, or else as its kind and content suggest.
    ///
    /// # Errors
    /// [`Error::WriterFailed`] where the writer has failed already.
    pub fn stream(&self, name: &str, kind: StreamKind) -> Result<StreamWriter> {
        self.begin(name, kind, None)
    }

    /// Begins a stream that is cut in a way of the caller's choice.
    ///
    /// # Errors
    /// [`Error::Invalid`] where that way makes no sense, [`Error::WriterFailed`] where the writer has failed already.
    pub fn stream_cut(&self, name: &str, kind: StreamKind, chunking: Chunking) -> Result<StreamWriter> {
        self.begin(name, kind, Some(chunking))
    }

    fn begin(&self, name: &str, kind: StreamKind, chunking: Option<Chunking>) -> Result<StreamWriter> {
        self.shared.check()?;
        StreamWriter::new(Arc::clone(&self.shared), name, kind, chunking, Some(Arc::clone(&self.catalogue)))
    }

    /// What has been read and stored so far. Cheap: a few atomic loads.
    pub fn stats(&self) -> WriteStats {
        self.shared.stats.snapshot()
    }

    /// A handle that tells the same for as long as it is kept, without keeping the writer from being finished.
    pub fn progress(&self) -> impl Fn() -> WriteStats + Send + Sync + Clone + 'static + use<> {
        let stats = Arc::clone(&self.shared.stats);
        move || stats.snapshot()
    }

    /// Makes everything durable: the catalogue, the last pack, then the last index object. In an immutable repository, extends
    /// the locks of what the streams take over from earlier points, and of the point that they stand on. Every stream must be
    /// finished or dropped before.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a stream is still open; whatever failed in the background before.
    pub async fn finish(self) -> Result<WriteSummary> {
        let Self { shared, catalogue, uploader, stop: _stop, foundation } = self;
        let Ok(catalogue) = Arc::try_unwrap(catalogue) else {
            return Err(Error::Invalid("a stream of the repository writer is still open".to_owned()));
        };
        let catalogue = catalogue.into_inner().finish().await?;
        // Jobs of streams that were dropped may still be running; others may have relied on the chunks they claimed.
        shared.jobs.close();
        shared.jobs.wait().await;
        shared.check()?;
        let closing = Arc::clone(&shared);
        shared.core.pool.run(move || closing.close_pack()).await?;
        shared.finished(Finished::Close);
        uploader.await.map_err(|error| Error::TaskStopped(error.to_string()))??;
        shared.check()?;
        tracing::info!(
            bytes_read = shared.stats.bytes_read.load(Ordering::Relaxed),
            bytes_stored = shared.stats.bytes_stored.load(Ordering::Relaxed),
            "repository writer finished"
        );
        let locked_until = match shared.began {
            Some(began) => {
                let mut extended = extend(&shared.core, &shared.loaded, &catalogue, began).await?;
                if let Some(foundation) = &foundation {
                    extended += extend_foundation(&shared.core, &shared.loaded, foundation, began).await?;
                }
                tracing::info!(extended, until = %began.needed, "everything the streams need is locked");
                Some(began.needed)
            }
            None => None,
        };
        let needs_deltas = shared.needs_deltas.load(Ordering::Relaxed);
        let required_features = needs_deltas.then(|| DELTAS.to_owned()).into_iter().collect();
        Ok(WriteSummary { catalogue, totals: shared.stats.snapshot(), required_features, locked_until })
    }
}

/// Stops whatever the writer still has running, when it is dropped. After `finish` nothing is left to stop.
#[derive(Debug)]
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(Error::WriterClosed);
    }
}
