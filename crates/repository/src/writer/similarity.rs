//! How a writer comes by bases: what they cost in time and failures is bounded here. A base that is missing, damaged or
//! slow is done without, and counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::stats::Counters;
use crate::base::BasePoint;
use crate::domain::Core;
use crate::error::Error;
use crate::fetch::{Asked, Bases, Found, Purpose};
use crate::ids::ChunkId;
use crate::index::local::LocalIndex;
use crate::stream::StreamRoot;

/// Waits in vain, one after another, before bases are done without for a while.
const PATIENCE: u32 = 3;
/// How long that is.
const PAUSE: Duration = Duration::from_secs(60);
/// The most that is read ahead for one stream, in plain bytes.
const DEEPEST: u64 = 8 << 20;

/// The bases of one writer.
pub(crate) struct Similarity {
    bases: Bases,
    streams: HashMap<String, StreamRoot>,
    stats: Arc<Counters>,
    deadline: Duration,
    budget: u64,
    /// Streams that read ahead.
    following: AtomicU64,
    waited_in_vain: AtomicU32,
    paused_until: Mutex<Option<Instant>>,
    /// How often a sketch found a chunk, and how often that was a good base.
    tried: AtomicU32,
    won: AtomicU32,
}

impl Similarity {
    pub(super) fn new(
        core: &Arc<Core>,
        index: &Arc<LocalIndex>,
        stats: Arc<Counters>,
        base: Option<BasePoint>,
    ) -> Self {
        Self {
            bases: Bases::new(Arc::clone(core), Arc::clone(index), Purpose::Writing),
            streams: base.map(|base| base.streams).unwrap_or_default(),
            stats,
            deadline: core.base_deadline,
            budget: core.plan.bases as u64,
            following: AtomicU64::new(0),
            waited_in_vain: AtomicU32::new(0),
            paused_until: Mutex::default(),
            tried: AtomicU32::new(0),
            won: AtomicU32::new(0),
        }
    }

    /// The stream of that name in the base point.
    pub(super) fn stream(&self, name: &str) -> Option<&StreamRoot> {
        self.streams.get(name)
    }

    /// A stream begins or ends to read ahead.
    pub(super) fn follows(&self, begins: bool) {
        match begins {
            true => self.following.fetch_add(1, Ordering::Relaxed),
            false => self.following.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// How far ahead a stream may read: all of them together half of what is kept.
    pub(super) fn depth(&self) -> u64 {
        (self.budget / 2 / self.following.load(Ordering::Relaxed).max(1)).min(DEEPEST)
    }

    pub(super) fn read_ahead(&self, chunks: Vec<(ChunkId, u32)>) {
        if !self.paused() {
            self.bases.ask(chunks);
        }
    }

    /// Counts a base, or a page of the base stream's list, that cannot be used.
    pub(super) fn unusable(&self, error: &Error) {
        if self.stats.bases_unusable.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(error = %error, "a base cannot be used; chunks are stored whole, and further ones only counted");
        } else {
            tracing::debug!(error = %error, "a base cannot be used");
        }
    }

    fn paused(&self) -> bool {
        let until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// The bases behind these ids, in their order, as far as they can be had in time.
    pub(super) async fn get(&self, wanted: &[Option<(ChunkId, u32)>]) -> Vec<Option<Found>> {
        let mut found = vec![None; wanted.len()];
        if self.paused() {
            let missed = wanted.iter().flatten().count() as u64;
            self.stats.bases_unusable.fetch_add(missed, Ordering::Relaxed);
            return found;
        }
        let until = Instant::now() + self.deadline;
        let mut asked = self.bases.ask(wanted.iter().flatten().copied()).into_iter();
        for (slot, wanted) in found.iter_mut().zip(wanted) {
            if wanted.is_some()
                && let Some(asked) = asked.next()
            {
                *slot = self.wait(asked, until).await;
            }
        }
        found
    }

    async fn wait(&self, asked: Asked, until: Instant) -> Option<Found> {
        match tokio::time::timeout_at(until, asked.answer()).await {
            Ok(Ok(found)) => {
                self.waited_in_vain.store(0, Ordering::Relaxed);
                Some(found)
            }
            Ok(Err(error)) => {
                self.unusable(&error);
                None
            }
            Err(_) => {
                self.stats.bases_unusable.fetch_add(1, Ordering::Relaxed);
                if self.waited_in_vain.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
                    tracing::warn!(seconds = PAUSE.as_secs(), "bases come too slowly: going on without for a while");
                    self.waited_in_vain.store(0, Ordering::Relaxed);
                    *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
                }
                None
            }
        }
    }

    /// Whether to look for a base by sketch: where eight of nine were no use, only now and then.
    pub(super) fn try_sketch(&self) -> bool {
        let (tried, won) = (self.tried.load(Ordering::Relaxed), self.won.load(Ordering::Relaxed));
        tried < 64 || won * 8 > tried || tried.is_multiple_of(32)
    }

    /// A base that a sketch found was tried.
    pub(super) fn sketch_tried(&self, won: bool) {
        self.tried.fetch_add(1, Ordering::Relaxed);
        self.won.fetch_add(u32::from(won), Ordering::Relaxed);
    }
}
