//! Live counters of a writer.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What a writer has read and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WriteStats {
    /// Plain bytes written to all streams, the catalogue not counted, nor streams that were taken over.
    pub bytes_read: u64,
    /// Plain bytes of chunks that were not stored before, those of the catalogue included.
    pub bytes_new: u64,
    /// Bytes uploaded: packs, index objects and list pages, seals included.
    pub bytes_stored: u64,
    /// Chunks of all streams, the catalogue and what was taken over included.
    pub chunks: u64,
    /// Chunks that were not stored before.
    pub chunks_new: u64,
    /// Streams finished or taken over, the catalogue not counted.
    pub streams: u64,
    /// Chunks of `chunks_new` that were stored as deltas.
    #[serde(default)]
    pub chunks_delta: u64,
    /// Their plain bytes.
    #[serde(default)]
    pub bytes_delta: u64,
    /// Bases that could not be had: missing, damaged or too slow. The chunks were stored without them.
    #[serde(default)]
    pub bases_unusable: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_new: AtomicU64,
    pub(crate) bytes_stored: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) chunks_new: AtomicU64,
    pub(crate) streams: AtomicU64,
    pub(crate) chunks_delta: AtomicU64,
    pub(crate) bytes_delta: AtomicU64,
    pub(crate) bases_unusable: AtomicU64,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> WriteStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WriteStats {
            bytes_read: load(&self.bytes_read),
            bytes_new: load(&self.bytes_new),
            bytes_stored: load(&self.bytes_stored),
            chunks: load(&self.chunks),
            chunks_new: load(&self.chunks_new),
            streams: load(&self.streams),
            chunks_delta: load(&self.chunks_delta),
            bytes_delta: load(&self.bytes_delta),
            bases_unusable: load(&self.bases_unusable),
        }
    }
}
