//! One stream of a writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::batch::{self, Piece, Stored};
use super::following::Following;
use super::shared::Shared;
use crate::chunker::{Chunker, Chunking};
use crate::error::{Error, Result};
use crate::list::build::ListBuilder;
use crate::stream::{StreamKind, StreamRoot};

/// How many bytes are cut between two looks at the rest of the world: well under a millisecond.
const SLICE: usize = 512 << 10;

/// Writes one stream. Dropping it forgets the stream; chunks already stored stay behind, unnamed.
pub struct StreamWriter {
    shared: Arc<Shared>,
    name: String,
    kind: StreamKind,
    chunker: Chunker,
    /// The stream of the base point that this one follows.
    following: Option<Following>,
    batch: Vec<Piece>,
    batch_bytes: usize,
    jobs: FuturesOrdered<JoinHandle<Result<Vec<Stored>>>>,
    list: ListBuilder,
    bytes: u64,
    chunks: u64,
    /// Set while bytes are on their way into the list: if it stays set, some were lost to a failure or a cancellation.
    torn: bool,
    /// Where its root is written when it is finished; the catalogue itself has none.
    catalogue: Option<Arc<Mutex<StreamWriter>>>,
}

impl StreamWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: &str,
        kind: StreamKind,
        chunking: Option<Chunking>,
        catalogue: Option<Arc<Mutex<StreamWriter>>>,
    ) -> Result<Self> {
        let followed = shared.similarity.stream(name).filter(|root| root.kind == kind && kind != StreamKind::Document);
        let seed = shared.core.keys.boundaries();
        // As its predecessor was, so that boundaries come again.
        let chunker = match chunking.or(followed.map(|root| root.chunking)) {
            Some(chunking) => Chunker::new(chunking, seed)?,
            None => Chunker::fitting(kind, seed)?,
        };
        let following = followed.and_then(Following::new);
        if following.is_some() {
            shared.similarity.follows(true);
        }
        Ok(Self {
            following,
            chunker,
            shared,
            name: name.to_owned(),
            kind,
            batch: Vec::new(),
            batch_bytes: 0,
            jobs: FuturesOrdered::new(),
            list: ListBuilder::default(),
            bytes: 0,
            chunks: 0,
            torn: false,
            catalogue,
        })
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes written to it so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes. Waits while the pool, the packs or the store are behind. After it failed or was cancelled
    /// the stream is torn: drop it and begin another.
    ///
    /// # Errors
    /// [`Error::WriterFailed`] where this or another stream of the writer failed, [`Error::Invalid`] on a torn stream.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.write_slice(&bytes).await
    }

    /// The same for bytes that somebody else owns: they are copied anyway.
    ///
    /// # Errors
    /// As for [`StreamWriter::write`].
    pub async fn write_slice(&mut self, bytes: &[u8]) -> Result<()> {
        self.begin()?;
        for mut slice in bytes.chunks(SLICE) {
            self.bytes += slice.len() as u64;
            if self.catalogue.is_some() {
                self.shared.stats.bytes_read.fetch_add(slice.len() as u64, Ordering::Relaxed);
            }
            while !slice.is_empty() {
                self.chunker.feed(&mut slice);
                self.cut(false).await?;
            }
        }
        self.torn = false;
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        if self.torn {
            self.shared.check()?;
            return Err(Error::Invalid(format!("stream {:?} was interrupted while it was written", self.name)));
        }
        self.torn = true;
        Ok(())
    }

    /// Takes on every chunk that is certain by now; with `last`, all that is left.
    async fn cut(&mut self, last: bool) -> Result<()> {
        while let Some(length) = self.shared.watch(self.chunker.next(last))? {
            let parts = match &mut self.following {
                Some(following) => {
                    following.advance(&self.shared).await;
                    following.cut(&self.shared, &self.chunker, length).await?
                }
                None => vec![(length, None)],
            };
            for (length, place) in parts {
                let bytes = self.chunker.take(length);
                self.push(Piece { bytes, place }).await?;
            }
        }
        Ok(())
    }

    async fn push(&mut self, piece: Piece) -> Result<()> {
        self.batch_bytes += piece.bytes.len();
        self.batch.push(piece);
        if self.batch_bytes >= self.shared.core.plan.batch { self.submit().await } else { Ok(()) }
    }

    /// Sends the batch on its way. Two more than there are threads keep them busy; their results are taken in order.
    async fn submit(&mut self) -> Result<()> {
        while self.jobs.len() > self.shared.core.pool.threads() + 1 {
            self.collect().await?;
        }
        self.shared.check()?;
        if let Some(following) = &mut self.following {
            following.read_ahead(&self.shared);
        }
        let (batch, shared, kind) = (std::mem::take(&mut self.batch), Arc::clone(&self.shared), self.kind);
        self.batch_bytes = 0;
        let permit = Arc::clone(&shared.batches).acquire_owned().await;
        let permit = permit.map_err(|error| Error::TaskStopped(error.to_string()))?;
        // A task of its own, so that it goes on while nobody waits for it: others may rely on the chunks it takes on.
        let job = async move {
            let stored = batch::store(Arc::clone(&shared), kind, batch).await;
            drop(permit);
            shared.watch(stored)
        };
        self.jobs.push_back(self.shared.jobs.spawn(job));
        Ok(())
    }

    async fn collect(&mut self) -> Result<()> {
        let Some(result) = self.jobs.next().await else { return Ok(()) };
        let stored = self.shared.watch(result.map_err(|error| Error::TaskStopped(error.to_string())).flatten())?;
        for Stored { chunk, place, fate } in stored {
            self.chunks += 1;
            self.shared.stats.chunks.fetch_add(1, Ordering::Relaxed);
            if let (Some(following), Some(place)) = (&mut self.following, place) {
                following.note(&self.shared, &place, fate).await;
            }
            let pushed = self.list.push(&self.shared, chunk).await;
            self.shared.watch(pushed)?;
        }
        Ok(())
    }

    /// Ends the stream. It can be read once the writer has been finished too.
    ///
    /// # Errors
    /// As for [`StreamWriter::write`].
    pub async fn finish(mut self) -> Result<StreamRoot> {
        self.begin()?;
        self.cut(true).await?;
        if !self.batch.is_empty() {
            self.submit().await?;
        }
        while !self.jobs.is_empty() {
            self.collect().await?;
        }
        let content = std::mem::take(&mut self.list).finish(&self.shared).await;
        let root = StreamRoot {
            name: std::mem::take(&mut self.name),
            kind: self.kind,
            chunking: self.chunker.chunking(),
            bytes: self.bytes,
            chunks: self.chunks,
            content: self.shared.watch(content)?,
        };
        if let Some(catalogue) = self.catalogue.take() {
            enter(&self.shared, &catalogue, &root).await?;
        }
        Ok(root)
    }
}

/// Enters a stream that is finished into the catalogue.
pub(super) async fn enter(shared: &Shared, catalogue: &Mutex<StreamWriter>, root: &StreamRoot) -> Result<()> {
    let mut line = serde_json::to_vec(root)
        .map_err(|error| Error::Invalid(format!("stream {:?} has no description: {error}", root.name)))?;
    line.push(b'\n');
    catalogue.lock().await.write(Bytes::from(line)).await?;
    shared.stats.streams.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if self.following.is_some() {
            self.shared.similarity.follows(false);
        }
    }
}

impl std::fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamWriter").field("name", &self.name).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
