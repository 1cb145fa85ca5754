//! The mover's view of the repository: write a stream, get a reference; read a stream by its reference. Small enough to
//! be faulty on purpose in tests.

use async_trait::async_trait;
use bytes::Bytes;
use haulier_domain::failure::Failure;
use haulier_domain::manifest::StreamReference;

use crate::cause::chain;

/// What a stream carries; decides how it is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// `pg_dump`'s archive.
    Archive,
    /// Rows of one table.
    TableRows,
    /// A native backup: pages of database files.
    Pages,
    /// A small document.
    Document,
}

/// The repository would not take or give a stream.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct StoreError {
    /// What was being done, to which stream.
    pub doing: String,
    /// Whether the data itself is damaged or missing, so that repeating is in vain.
    pub damaged: bool,
    /// Why not.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The repository would not take or give a stream, as an operator reads it.
pub(crate) fn failure(error: &StoreError) -> Failure {
    if error.damaged {
        return Failure::new(
            "repository-damaged",
            &error.doing,
            chain(error.source.as_ref()),
            "run a check of the restore point; restore from another point where this one is damaged",
        );
    }
    Failure::new(
        "repository-unavailable",
        &error.doing,
        chain(error.source.as_ref()),
        "check that the bucket is reachable from the worker, then run again",
    )
    .retryable()
}

/// Keeps streams.
#[async_trait]
pub trait StreamStore: Send + Sync {
    /// Begins a stream. Several may be written at once.
    async fn create(&self, kind: StreamKind, name: &str) -> Result<Box<dyn StreamWriter>, StoreError>;

    /// Has a stream of an earlier restore point as one of the new point, without a byte of it being moved. Gives what the new
    /// point knows it by; `None` where that cannot be had, and it has to be written.
    async fn take_over(&self, _earlier: &StreamReference) -> Result<Option<StreamReference>, StoreError> {
        Ok(None)
    }

    /// Opens a stream to read it from its start.
    async fn open(&self, reference: &StreamReference) -> Result<Box<dyn StreamReader>, StoreError>;
}

/// A stream being written. Dropping it leaves nothing that a restore point could name.
#[async_trait]
pub trait StreamWriter: Send {
    /// Takes more bytes in; waits where the repository is slower than the source.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;

    /// Ends the stream. When it returns, every byte is safe.
    async fn finish(self: Box<Self>) -> Result<StreamReference, StoreError>;
}

/// A stream being read.
#[async_trait]
pub trait StreamReader: Send {
    /// The next bytes, verified; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError>;
}
