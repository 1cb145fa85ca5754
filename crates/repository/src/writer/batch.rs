//! The job of the pool: a batch of chunks of one stream, from plain bytes to sealed ones.

use bytes::Bytes;

use super::shared::{Encoded, Shared};
use crate::codec;
use crate::error::{Error, Result};
use crate::stream::ChunkRef;

/// Names every chunk, encodes the new ones, and seals them into the open pack. Gives the chunks in stream order.
pub(super) fn store(shared: &Shared, chunks: &[Bytes]) -> Result<Vec<ChunkRef>> {
    let _guard = StopOnPanic(shared);
    let mut refs = Vec::with_capacity(chunks.len());
    let mut new = Vec::new();
    let mut encoded = Vec::new();
    for chunk in chunks {
        let id = shared.core.keys.chunk_id(chunk);
        let plain = chunk.len() as u32;
        refs.push(ChunkRef { id, length: plain });
        if shared.claim(&id)? {
            let start = encoded.len();
            let codec = codec::encode(shared.core.level, chunk, &mut encoded)?;
            new.push(Encoded { id, codec, plain, range: start..encoded.len() });
        }
    }
    if !new.is_empty() {
        shared.pack(&new, &encoded)?;
    }
    Ok(refs)
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
