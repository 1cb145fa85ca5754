//! What the streams of one writer share: the open pack, the chunks in flight, the first failure.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::TaskTracker;

use super::buffers::{Buffers, Permit};
use super::similarity::Similarity;
use super::stats::Counters;
use crate::base::BasePoint;
use crate::domain::Core;
use crate::error::{Error, Result};
use crate::ids::ChunkId;
use crate::index::load::LoadedIndex;
use crate::index::local::LocalIndex;
use crate::lock::extend::Began;
use crate::pack::builder::{BuiltPack, PackBuilder};
use crate::pack::record::{ChunkKind, ChunkRecord};

/// What the uploader is told.
pub(crate) enum Finished {
    /// A full pack, and the permit for its buffer.
    Pack(BuiltPack, Permit),
    /// No more will come.
    Close,
}

/// A new chunk, encoded, not sealed yet.
pub(super) struct Encoded {
    /// What is known of it before it has a place in a pack.
    pub(super) record: ChunkRecord,
    pub(super) bytes: EncodedBytes,
}

/// Where an encoded chunk's bytes are.
pub(super) enum EncodedBytes {
    /// In this range of the batch's buffer.
    Made(Range<usize>),
    /// They are the chunk's own.
    Own(Bytes),
}

/// The shared part of a writer.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) index: Arc<LocalIndex>,
    /// What `index` was loaded from.
    pub(crate) loaded: Arc<LoadedIndex>,
    pub(crate) stats: Arc<Counters>,
    pub(crate) similarity: Similarity,
    pub(crate) jobs: TaskTracker,
    /// One permit per batch in work.
    pub(super) batches: Arc<Semaphore>,
    /// Whether some chunk of some stream is stored as a delta, by this writer or before it.
    pub(super) needs_deltas: AtomicBool,
    /// Where the repository is immutable: until when everything must be locked.
    pub(crate) began: Option<Began>,
    /// Chunks that this writer has taken on and that are in no index object yet.
    in_flight: Mutex<HashSet<ChunkId>>,
    open: Mutex<Option<(PackBuilder, Permit)>>,
    buffers: Buffers,
    // Unbounded, yet bounded by the permits that travel with the packs.
    finished: UnboundedSender<Finished>,
    failure: OnceLock<Arc<Error>>,
}

impl Shared {
    pub(super) fn new(
        core: Arc<Core>,
        loaded: Arc<LoadedIndex>,
        base: Option<BasePoint>,
    ) -> (Self, UnboundedReceiver<Finished>) {
        let stats = Arc::<Counters>::default();
        let (finished, receiver) = unbounded_channel();
        let buffers = Buffers::new(core.plan.pack_buffers);
        let shared = Self {
            index: Arc::clone(&loaded.index),
            similarity: Similarity::new(&core, &loaded.index, Arc::clone(&stats), base),
            stats,
            jobs: TaskTracker::new(),
            // Some wait for bases while others keep the cores busy.
            batches: Arc::new(Semaphore::new(2 * core.pool.threads() + 2)),
            needs_deltas: AtomicBool::new(false),
            began: core.store.lock().map(|lock| Began {
                needed: lock.terms.needed(lock.clock.now()),
                first_own: loaded.index.pack_count(),
            }),
            in_flight: Mutex::default(),
            open: Mutex::default(),
            buffers,
            finished,
            failure: OnceLock::new(),
            loaded,
            core,
        };
        (shared, receiver)
    }

    /// The failure that stopped the writer, if one did.
    pub(super) fn check(&self) -> Result<()> {
        match self.failure.get() {
            Some(cause) => Err(Error::WriterFailed(Arc::clone(cause))),
            None => Ok(()),
        }
    }

    /// Stops the writer for the given reason, unless it has stopped for another.
    pub(super) fn stop(&self, cause: Error) {
        if self.failure.set(Arc::new(cause)).is_ok() {
            self.buffers.close();
        }
    }

    /// Stops the writer if the result is a failure, and passes it on as one that all streams see.
    pub(super) fn watch<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => Ok(value),
            Err(cause @ Error::WriterFailed(_)) => Err(cause),
            Err(cause) => {
                self.stop(cause);
                self.check()?;
                Err(Error::WriterClosed)
            }
        }
    }

    pub(super) fn finished(&self, message: Finished) {
        // The receiver is gone only after a failure, which everybody sees through `check`.
        let _ = self.finished.send(message);
    }

    fn in_flight(&self) -> MutexGuard<'_, HashSet<ChunkId>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller has to store this chunk: it is neither stored nor on its way. Claiming binds: after `true` the
    /// chunk is stored or the writer fails.
    pub(super) fn claim(&self, id: &ChunkId) -> Result<bool> {
        if self.knows(id)? {
            return Ok(false);
        }
        Ok(self.in_flight().insert(*id))
    }

    /// Whether the chunk is stored or on its way.
    pub(super) fn knows(&self, id: &ChunkId) -> Result<bool> {
        if self.in_flight().contains(id) {
            return Ok(true);
        }
        let stored = self.index.stored(id)?;
        if stored == Some(ChunkKind::Delta) {
            self.needs_deltas.store(true, Ordering::Relaxed);
        }
        Ok(stored.is_some())
    }

    /// The chunks are in an index object and in the local index by now.
    pub(super) fn settled<'a>(&self, ids: impl Iterator<Item = &'a ChunkId>) {
        let mut in_flight = self.in_flight();
        for id in ids {
            in_flight.remove(id);
        }
    }

    /// Seals a batch's new chunks into the open pack. Runs on the pool and waits there for a free buffer.
    pub(super) fn pack(&self, chunks: Vec<Encoded>, made: &[u8]) -> Result<()> {
        let mut chunks = chunks.into_iter();
        // A full pack is named while others seal into the next one.
        while let Some((builder, permit)) = self.fill(&mut chunks, made)? {
            self.finished(Finished::Pack(builder.finish()?, permit));
        }
        Ok(())
    }

    /// Seals chunks into the open pack until it is full, or there are no more.
    fn fill(&self, chunks: &mut impl Iterator<Item = Encoded>, made: &[u8]) -> Result<Option<(PackBuilder, Permit)>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for Encoded { record, bytes } in chunks {
            self.check()?;
            let (builder, _) = match &mut *open {
                Some(pack) => pack,
                empty => {
                    let permit = Handle::current()
                        .block_on(self.buffers.permit())
                        .ok_or_else(|| self.check().err().unwrap_or(Error::WriterClosed))?;
                    let builder = PackBuilder::new(&self.core.keys, self.core.plan.pack_target, self.buffers.take())?;
                    empty.insert((builder, permit))
                }
            };
            let (plain, kind) = (u64::from(record.plain), record.kind);
            match bytes {
                EncodedBytes::Made(range) => builder.add(record, &made[range])?,
                EncodedBytes::Own(bytes) => builder.add(record, &bytes)?,
            }
            self.stats.chunks_new.fetch_add(1, Ordering::Relaxed);
            self.stats.bytes_new.fetch_add(plain, Ordering::Relaxed);
            if kind == ChunkKind::Delta {
                self.needs_deltas.store(true, Ordering::Relaxed);
            }
            if builder.is_full() {
                return Ok(open.take());
            }
        }
        Ok(None)
    }

    /// The pack is uploaded: its buffer is for another one.
    pub(super) fn uploaded(&self, body: Bytes, permit: Permit) {
        self.buffers.give_back(body, permit);
    }

    /// Hands over the pack that is still open.
    pub(super) fn close_pack(&self) -> Result<()> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((builder, permit)) = open
            && !builder.is_empty()
        {
            self.finished(Finished::Pack(builder.finish()?, permit));
        }
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("domain", &self.core.domain).field("stats", &self.stats).finish_non_exhaustive()
    }
}
