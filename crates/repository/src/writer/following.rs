//! A stream that follows one of the base point: drives [`Follower`] with the pages of that stream's list, and has the
//! bases it is about to propose read ahead.

use std::collections::HashMap;
use std::sync::Arc;

use super::shared::Shared;
use crate::chunker::Chunker;
use crate::error::Result;
use crate::ids::ChunkId;
use crate::list::walk::Walker;
use crate::similarity::follow::{Entry, Fate, Follower, Identity, Place, SMALLEST_PART};
use crate::similarity::sketch::Sketch;
use crate::stream::StreamRoot;

/// Bytes of the base stream whose chunks are known before they are reached.
const KNOWN_AHEAD: u64 = 64 << 20;

/// Follows one stream.
pub(super) struct Following {
    follower: Follower,
    walker: Option<Walker>,
    /// Up to where bases have been asked for.
    asked: u64,
    /// By base: the chunk of the base stream that is a delta on it. Made when it is first needed.
    deltas: Option<HashMap<ChunkId, ChunkId>>,
}

impl Following {
    pub(super) fn new(root: &StreamRoot) -> Option<Self> {
        if root.chunks == 0 {
            return None;
        }
        let walker = Walker::new(root, 0..root.bytes).ok()?;
        Some(Self { follower: Follower::new(), walker: Some(walker), asked: 0, deltas: None })
    }

    /// Reads the next pages of the list as far as they are needed. One that cannot be read, or not in time, ends the following
    /// there.
    pub(super) async fn advance(&mut self, shared: &Arc<Shared>) {
        while self.follower.known_ahead() < KNOWN_AHEAD
            && let Some(walker) = &mut self.walker
        {
            match shared.core.in_time(walker.next(&shared.core)).await {
                Ok(Some(run)) => {
                    self.follower.extend(run.start, &run.chunks);
                    self.deltas = None;
                }
                Ok(None) => self.walker = None,
                Err(error) => {
                    shared.similarity.unusable(&error);
                    self.walker = None;
                }
            }
        }
    }

    /// Cuts the next chunk, of that length, into the parts that have bases of their own; one that is stored already stays as it is.
    /// Gives their lengths and places. Where a chunk of the base stream is found to begin within it, it ends there, and the rest is
    /// to be cut anew: from a common boundary on, both streams are cut alike.
    pub(super) async fn cut(
        &mut self,
        shared: &Arc<Shared>,
        chunker: &Chunker,
        length: usize,
    ) -> Result<Vec<(usize, Option<Place>)>> {
        let mut plan = self.follower.plan(length, None);
        if plan.astray
            && let Some((ahead, entry)) = self.recognised(shared, chunker, length).await?
        {
            self.follower.recognise(ahead, &entry);
            plan =
                if ahead == 0 { self.follower.plan(length, None) } else { self.follower.plan_to(ahead, entry.start) };
        }
        if plan.doubtful {
            let id = shared.core.keys.chunk_id(chunker.ahead(length));
            let identity = Identity { id, known: shared.knows(&id)? };
            plan = self.follower.plan(length, Some(identity));
        }
        self.follower.take(&plan);
        Ok(plan.parts.into_iter().map(|part| (part.length, Some(part.place))).collect())
    }

    /// The first place in the next bytes where a chunk of the base stream begins, as far as its beginning is recognised; none
    /// in a chunk that is stored as it is.
    async fn recognised(
        &mut self,
        shared: &Arc<Shared>,
        chunker: &Chunker,
        length: usize,
    ) -> Result<Option<(usize, Entry)>> {
        let next = chunker.ahead(length);
        let cuts = chunker.possible_cuts(length).filter(|at| *at >= SMALLEST_PART as usize);
        for at in std::iter::once(0).chain(cuts) {
            let Some(beginning) = Sketch::beginning(&next[at..]) else { continue };
            for id in shared.index.begin_alike(&beginning)? {
                if let Some(entry) = self.in_base_stream(shared, &id).await {
                    let known = at > 0 && shared.knows(&shared.core.keys.chunk_id(next))?;
                    return Ok((!known).then_some((at, entry)));
                }
            }
        }
        Ok(None)
    }

    /// The chunk of the base stream that is this one, or a delta on it.
    async fn in_base_stream(&mut self, shared: &Arc<Shared>, id: &ChunkId) -> Option<Entry> {
        if let Some(entry) = self.follower.find(id) {
            return Some(entry);
        }
        let delta = self.deltas(shared).await.get(id).copied()?;
        self.follower.find(&delta)
    }

    /// Has bases read that will be proposed soon.
    pub(super) fn read_ahead(&mut self, shared: &Shared) {
        let depth = shared.similarity.depth();
        let at = self.follower.at();
        // In stretches, so that chunks that lie together are read together.
        if self.asked > at + depth / 2 && self.asked <= at + 2 * depth {
            return;
        }
        let from = if self.asked > at + 2 * depth { at } else { self.asked.max(at) };
        let chunks: Vec<(ChunkId, u32)> =
            self.follower.ahead(from, depth).map(|chunk| (chunk.id, chunk.length)).collect();
        if !chunks.is_empty() {
            self.asked = at + depth;
            shared.similarity.read_ahead(chunks);
        }
    }

    /// Learns what became of a chunk.
    pub(super) async fn note(&mut self, shared: &Arc<Shared>, place: &Place, fate: Fate) {
        let whereabouts = match fate {
            Fate::Similar(base) => self.in_base_stream(shared, &base).await.map(|entry| entry.id),
            _ => None,
        };
        self.follower.note(place, fate, whereabouts);
    }

    /// By base: the chunk of the base stream that is a delta on it.
    async fn deltas(&mut self, shared: &Arc<Shared>) -> &HashMap<ChunkId, ChunkId> {
        if self.deltas.is_none() {
            let (index, ids) = (Arc::clone(&shared.index), self.follower.ids().collect::<Vec<_>>());
            let look_up = move || {
                let mut deltas = HashMap::new();
                for id in ids {
                    if let Some(base) = index.find(&id)?.and_then(|located| located.record.base) {
                        deltas.entry(base).or_insert(id);
                    }
                }
                Ok(deltas)
            };
            self.deltas = Some(shared.core.pool.run(look_up).await.unwrap_or_default());
        }
        self.deltas.get_or_insert_default()
    }
}
