//! A batch of chunks of one stream, from plain bytes to sealed ones, in steps that run on the pool: name the chunks and
//! look them up; where new ones have candidates for bases, wait for those; encode; and once more for those whose place
//! was a bad guess and whose sketch found something.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::shared::{Encoded, EncodedBytes, Shared};
use crate::codec::{self, Codec, Content, DeltaEncoder};
use crate::error::{Error, Result};
use crate::fetch::Found;
use crate::ids::ChunkId;
use crate::pack::record::{ChunkKind, ChunkRecord};
use crate::similarity::follow::{Fate, Place};
use crate::similarity::sketch::Sketch;
use crate::similarity::worth::{Trial, Verdict};
use crate::stream::{ChunkRef, StreamKind};

/// A chunk to be stored.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Its place in the stream that is followed.
    pub(super) place: Option<Place>,
}

/// A chunk that is stored, or was already.
pub(super) struct Stored {
    pub(super) chunk: ChunkRef,
    pub(super) place: Option<Place>,
    pub(super) fate: Fate,
}

/// A new chunk on its way.
struct New {
    /// Its number in the batch.
    number: usize,
    id: ChunkId,
    sketch: Option<Sketch>,
    /// The chunk that may be its base, or be a delta on its base.
    candidate: Option<ChunkId>,
    /// That one came from the sketch.
    by_sketch: bool,
    /// A delta that was made already and is to be kept unless there is a better one: its base, its bytes.
    kept: Option<(ChunkId, Vec<u8>)>,
}

/// Stores a batch. Gives its chunks in stream order.
pub(super) async fn store(shared: Arc<Shared>, kind: StreamKind, pieces: Vec<Piece>) -> Result<Vec<Stored>> {
    let _guard = StopOnPanic(&shared);
    let pieces = Arc::new(pieces);
    let (naming, batch) = (Arc::clone(&shared), Arc::clone(&pieces));
    let (mut stored, mut new) = shared
        .core
        .pool
        .run(move || {
            let _guard = StopOnPanic(&naming);
            let (mut stored, new) = name(&naming, kind, &batch)?;
            if new.iter().any(|chunk| chunk.candidate.is_some()) {
                return Ok((stored, new));
            }
            let none = vec![None; new.len()];
            Encoding::new(&naming, kind, &batch).run(new, &none, &mut stored)?;
            Ok((stored, Vec::new()))
        })
        .await?;
    while !new.is_empty() {
        let length = |chunk: &New| pieces[chunk.number].bytes.len() as u32;
        let wanted: Vec<_> = new.iter().map(|chunk| chunk.candidate.map(|id| (id, length(chunk)))).collect();
        let bases = shared.similarity.get(&wanted).await;
        let (encoding, batch) = (Arc::clone(&shared), Arc::clone(&pieces));
        (stored, new) = shared
            .core
            .pool
            .run(move || {
                let _guard = StopOnPanic(&encoding);
                let again = Encoding::new(&encoding, kind, &batch).run(new, &bases, &mut stored)?;
                Ok((stored, again))
            })
            .await?;
    }
    Ok(stored)
}

/// Names every chunk, takes on the new ones, and finds candidates for their bases.
fn name(shared: &Shared, kind: StreamKind, pieces: &[Piece]) -> Result<(Vec<Stored>, Vec<New>)> {
    let mut stored = Vec::with_capacity(pieces.len());
    let mut new = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let id = shared.core.keys.chunk_id(&piece.bytes);
        let chunk = ChunkRef { id, length: piece.bytes.len() as u32 };
        let taken = shared.claim(&id)?;
        stored.push(Stored { chunk, place: piece.place, fate: if taken { Fate::Alone } else { Fate::Known(id) } });
        if taken {
            let candidate = piece.place.and_then(|place| place.base).filter(|_| shared.core.compress);
            let mut chunk = New { number, id, sketch: None, candidate, by_sketch: false, kept: None };
            if candidate.is_none() {
                chunk.look_around(shared, kind, &piece.bytes)?;
            }
            new.push(chunk);
        }
    }
    Ok((stored, new))
}

impl New {
    /// Makes the sketch, and takes what it finds as candidate.
    fn look_around(&mut self, shared: &Shared, kind: StreamKind, plain: &[u8]) -> Result<()> {
        // Documents are small and read by themselves: they stand alone.
        if kind == StreamKind::Document || !shared.core.compress {
            return Ok(());
        }
        self.sketch = self.sketch.or_else(|| Sketch::of(plain));
        if let Some(sketch) = &self.sketch
            && shared.similarity.try_sketch()
        {
            self.candidate = shared.index.similar(sketch)?;
            self.by_sketch = self.candidate.is_some();
        }
        Ok(())
    }
}

thread_local! {
    /// What the last batch was encoded into: a new one would come from the kernel page by page.
    static ENCODED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encoding of a batch's new chunks.
struct Encoding<'a> {
    shared: &'a Shared,
    kind: StreamKind,
    pieces: &'a [Piece],
    encoded: Vec<u8>,
    done: Vec<Encoded>,
}

impl<'a> Encoding<'a> {
    fn new(shared: &'a Shared, kind: StreamKind, pieces: &'a [Piece]) -> Self {
        Self { shared, kind, pieces, encoded: ENCODED.take(), done: Vec::new() }
    }

    /// Encodes the chunks against their bases, as far as they have any, and seals them. Gives those that another base
    /// is to be tried for.
    fn run(mut self, new: Vec<New>, bases: &[Option<Found>], stored: &mut [Stored]) -> Result<Vec<New>> {
        let mut again = Vec::new();
        let mut deltas = DeltaEncoder::new(self.shared.core.level);
        for (mut chunk, base) in new.into_iter().zip(bases) {
            let fate = &mut stored[chunk.number].fate;
            let start = self.encoded.len();
            let verdict = match base {
                Some(found) => self.against(&mut deltas, &chunk, found)?,
                None => Verdict::Misfit,
            };
            let base = base.as_ref().map(|found| found.base.id);
            match (verdict, base) {
                (Verdict::Keep | Verdict::Doubtful, Some(base)) if chunk.by_sketch => {
                    let best = chunk.kept.take().filter(|(_, bytes)| bytes.len() <= self.encoded.len() - start);
                    let (base, sketched) = best.map_or((base, true), |(base, bytes)| {
                        self.encoded.truncate(start);
                        self.encoded.extend_from_slice(&bytes);
                        (base, false)
                    });
                    *fate = if sketched { Fate::Similar(base) } else { Fate::Strayed };
                    self.delta(&chunk, base, start);
                    continue;
                }
                (Verdict::Keep, Some(base)) => {
                    *fate = Fate::Followed;
                    self.delta(&chunk, base, start);
                    continue;
                }
                (Verdict::Doubtful, Some(base)) => {
                    chunk.kept = Some((base, self.encoded.split_off(start)));
                    *fate = Fate::Strayed;
                }
                (Verdict::Renew, _) => {
                    self.encoded.truncate(start);
                    *fate = Fate::Followed;
                }
                _ => self.encoded.truncate(start),
            }
            let plain = &self.pieces[chunk.number].bytes;
            if verdict != Verdict::Renew && !chunk.by_sketch && chunk.candidate.take().is_some() {
                chunk.look_around(self.shared, self.kind, plain)?;
                if chunk.candidate.is_some() && chunk.candidate != base {
                    again.push(chunk);
                    continue;
                }
            }
            match chunk.kept.take() {
                Some((base, bytes)) => {
                    self.encoded.extend_from_slice(&bytes);
                    self.delta(&chunk, base, start);
                }
                None => self.whole(chunk, plain)?,
            }
        }
        if !self.done.is_empty() {
            self.shared.pack(self.done, &self.encoded)?;
        }
        self.encoded.clear();
        ENCODED.set(self.encoded);
        Ok(again)
    }

    /// Encodes a delta, and judges it. Its bytes are at the end of what is encoded.
    fn against<'b>(&mut self, deltas: &mut DeltaEncoder<'b>, chunk: &New, found: &'b Found) -> Result<Verdict> {
        let plain = &self.pieces[chunk.number].bytes;
        let start = self.encoded.len();
        deltas.encode(&found.base.plain, plain, &mut self.encoded)?;
        let trial = Trial {
            plain: plain.len() as u64,
            delta: (self.encoded.len() - start) as u64,
            base_plain: found.base.plain.len() as u64,
            base_stored: found.base.stored.into(),
            aging: found.is_delta,
        };
        let verdict = trial.verdict();
        if chunk.by_sketch {
            self.shared.similarity.sketch_tried(matches!(verdict, Verdict::Keep | Verdict::Doubtful));
        }
        Ok(verdict)
    }

    /// Takes what has been encoded since `start` as the chunk's delta on `base`.
    fn delta(&mut self, chunk: &New, base: ChunkId, start: usize) {
        let plain = self.pieces[chunk.number].bytes.len();
        self.shared.stats.chunks_delta.fetch_add(1, Ordering::Relaxed);
        self.shared.stats.bytes_delta.fetch_add(plain as u64, Ordering::Relaxed);
        let bytes = EncodedBytes::Made(start..self.encoded.len());
        self.take(chunk.id, ChunkKind::Delta, Codec::Zstd, plain, (Some(base), None), bytes);
    }

    fn whole(&mut self, mut chunk: New, plain: &Bytes) -> Result<()> {
        let start = self.encoded.len();
        let codec = if self.shared.core.compress {
            if chunk.sketch.is_none() && self.kind != StreamKind::Document {
                chunk.sketch = Sketch::of(plain);
            }
            let content = if self.kind == StreamKind::Pages { Content::Other } else { Content::Rows };
            codec::encode(self.shared.core.level, content, plain, &mut self.encoded)?
        } else {
            Codec::Raw
        };
        let bytes = match codec {
            Codec::Raw => EncodedBytes::Own(plain.clone()),
            Codec::Zstd => EncodedBytes::Made(start..self.encoded.len()),
        };
        let sketch = chunk.sketch.map(Sketch::to_bytes);
        self.take(chunk.id, ChunkKind::Whole, codec, plain.len(), (None, sketch), bytes);
        Ok(())
    }

    fn take(
        &mut self,
        id: ChunkId,
        kind: ChunkKind,
        codec: Codec,
        plain: usize,
        (base, sketch): (Option<ChunkId>, Option<Box<[u8]>>),
        bytes: EncodedBytes,
    ) {
        // Position, offset and length are the pack's to say.
        let (position, offset, stored) = (0, 0, 0);
        let record = ChunkRecord { id, kind, codec, position, offset, stored, plain: plain as u32, base, sketch };
        self.done.push(Encoded { record, bytes });
    }
}

/// A job that dies has claimed chunks which other streams rely on, and perhaps nobody waits for it: the writer must not
/// finish as if nothing had happened.
struct StopOnPanic<'a>(&'a Shared);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(Error::TaskStopped("a job of the repository writer panicked".to_owned()));
        }
    }
}
