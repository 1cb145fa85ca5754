//! A store of streams in memory that can be told to wait or to fail.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use haulier_domain::postgres::manifest::StreamReference;
use haulier_worker_agent::postgres::{StoreError, StreamKind, StreamReader, StreamStore, StreamWriter};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
struct Stream {
    name: String,
    pieces: Vec<Bytes>,
}

/// Where a writer waits until it is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before the stream begins.
    Create,
    /// After its first piece.
    FirstPiece,
}

/// A place at which work stops until the test lets it go.
#[derive(Debug)]
pub(crate) struct Gate {
    kind: StreamKind,
    at: At,
    reached: Notify,
    open: Notify,
}

impl Gate {
    /// Waits until somebody stands before it.
    pub(crate) async fn reached(&self) {
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(60), self.reached.notified());
        waiting.await.expect("somebody comes to the gate");
    }

    /// Lets them go on.
    pub(crate) fn open(&self) {
        self.open.notify_one();
    }

    async fn pass(&self, kind: StreamKind, at: At) {
        if (self.kind, self.at) == (kind, at) {
            self.reached.notify_one();
            self.open.notified().await;
        }
    }
}

/// A place at which whoever reads a stream waits until the test lets all of them go.
#[derive(Debug)]
pub(crate) struct ReadingGate {
    name: String,
    reached: Notify,
    open: CancellationToken,
}

impl ReadingGate {
    /// Waits until somebody stands before it.
    pub(crate) async fn reached(&self) {
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(60), self.reached.notified());
        waiting.await.expect("somebody comes to the gate");
    }

    /// Lets them go on.
    pub(crate) fn open(&self) {
        self.open.cancel();
    }
}

/// The store.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    streams: Arc<Mutex<Vec<Stream>>>,
    gate: Mutex<Option<Arc<Gate>>>,
    reading: Mutex<Option<Arc<ReadingGate>>>,
    damaged: Mutex<Option<(String, usize)>>,
}

impl MemoryStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts up a gate that stops one writer once.
    pub(crate) fn gate(&self, kind: StreamKind, at: At) -> Arc<Gate> {
        let gate = Arc::new(Gate { kind, at, reached: Notify::new(), open: Notify::new() });
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// Puts up a gate before the first piece of every stream with this in its name.
    pub(crate) fn reading_gate(&self, name: &str) -> Arc<ReadingGate> {
        let gate =
            Arc::new(ReadingGate { name: name.to_owned(), reached: Notify::new(), open: CancellationToken::new() });
        *self.reading.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// From now on streams with this in their name cannot be read past so many pieces.
    pub(crate) fn damage(&self, name: &str, after: usize) {
        *self.damaged.lock().unwrap() = Some((name.to_owned(), after));
    }

    /// Whatever was damaged is whole again.
    pub(crate) fn repair(&self) {
        *self.damaged.lock().unwrap() = None;
    }

    /// All bytes of all streams whose name holds this.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let streams = self.streams.lock().unwrap();
        let pieces = streams.iter().filter(|stream| stream.name.contains(name)).flat_map(|stream| &stream.pieces);
        pieces.flat_map(|piece| piece.iter().copied()).collect()
    }

    /// Stores a document, as a test would have it.
    pub(crate) fn put(&self, name: &str, content: Vec<u8>) -> StreamReference {
        let mut streams = self.streams.lock().unwrap();
        streams.push(Stream { name: name.to_owned(), pieces: vec![content.into()] });
        StreamReference((streams.len() - 1).into())
    }
}

fn refused(doing: &str) -> StoreError {
    StoreError { doing: doing.to_owned(), damaged: true, source: "a piece does not match its seal".into() }
}

#[async_trait]
impl StreamStore for MemoryStore {
    async fn create(&self, kind: StreamKind, name: &str) -> Result<Box<dyn StreamWriter>, StoreError> {
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = &gate {
            gate.pass(kind, At::Create).await;
        }
        let index = {
            let mut streams = self.streams.lock().unwrap();
            streams.push(Stream { name: name.to_owned(), pieces: Vec::new() });
            streams.len() - 1
        };
        Ok(Box::new(Writing { kind, index, gate, streams: Arc::clone(&self.streams) }))
    }

    async fn open(&self, reference: &StreamReference) -> Result<Box<dyn StreamReader>, StoreError> {
        let index = reference.0.as_u64().and_then(|index| usize::try_from(index).ok());
        let streams = self.streams.lock().unwrap();
        let stream = index.and_then(|index| streams.get(index)).ok_or_else(|| refused("opening a stream"))?.clone();
        let damaged = self.damaged.lock().unwrap().clone();
        let broken = damaged.filter(|(name, _)| stream.name.contains(name)).map(|(_, after)| after);
        let gate = self.reading.lock().unwrap().clone().filter(|gate| stream.name.contains(&gate.name));
        Ok(Box::new(Reading { next: 0, broken, stream, gate }))
    }
}

struct Writing {
    kind: StreamKind,
    index: usize,
    gate: Option<Arc<Gate>>,
    streams: Arc<Mutex<Vec<Stream>>>,
}

#[async_trait]
impl StreamWriter for Writing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.streams.lock().unwrap()[self.index].pieces.push(bytes);
        if let Some(gate) = self.gate.take() {
            gate.pass(self.kind, At::FirstPiece).await;
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<StreamReference, StoreError> {
        Ok(StreamReference(self.index.into()))
    }
}

struct Reading {
    next: usize,
    broken: Option<usize>,
    stream: Stream,
    gate: Option<Arc<ReadingGate>>,
}

#[async_trait]
impl StreamReader for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if let Some(gate) = self.gate.take() {
            gate.reached.notify_one();
            gate.open.cancelled().await;
        }
        if self.broken.is_some_and(|after| self.next >= after) {
            return Err(refused(&format!("reading stream {}", self.stream.name)));
        }
        self.next += 1;
        Ok(self.stream.pieces.get(self.next - 1).cloned())
    }
}
