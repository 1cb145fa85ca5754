//! What a stored stream is known by: a small description that ends up in manifests and restore points.

use serde::{Deserialize, Serialize};

use crate::chunker::Chunking;
use crate::ids::{ChunkId, ListId};

/// What a stream carries. It decides how the stream is cut, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamKind {
    /// Rows of a table, as `COPY` or `pg_dump` print them.
    TableRows,
    /// Fixed pages of a database file or a native backup.
    Pages,
    /// A dump archive of many objects.
    Archive,
    /// A small document: a manifest, a script, a log.
    Document,
}

/// A chunk's place in a stream: which one, and how many bytes of the stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(ChunkId, u32)", into = "(ChunkId, u32)")]
pub struct ChunkRef {
    /// The chunk.
    pub id: ChunkId,
    /// Its plain length in bytes.
    pub length: u32,
}

impl From<(ChunkId, u32)> for ChunkRef {
    fn from((id, length): (ChunkId, u32)) -> Self {
        Self { id, length }
    }
}

impl From<ChunkRef> for (ChunkId, u32) {
    fn from(chunk: ChunkRef) -> Self {
        (chunk.id, chunk.length)
    }
}

/// Where the ids of a stream's chunks are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamContent {
    /// A short stream: right here.
    Inline(Vec<ChunkRef>),
    /// A long one: under this page of the list tree.
    Pages(ListId),
}

/// The root of a stored stream. Whoever has it and the domain key can read the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRoot {
    /// What the writer called it; unique within a writer by custom, not by force.
    pub name: String,
    /// What it carries.
    pub kind: StreamKind,
    /// How it was cut.
    pub chunking: Chunking,
    /// Its length in bytes.
    pub bytes: u64,
    /// The number of its chunks.
    pub chunks: u64,
    /// Its chunks, in order.
    pub content: StreamContent,
}
