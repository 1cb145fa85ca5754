//! A repository of streams in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use haulier_domain::manifest::StreamReference;
use haulier_worker_agent::mover::streams::{StoreError, StreamKind, StreamReader, StreamStore, StreamWriter};

type Kept = Arc<Mutex<BTreeMap<String, (StreamKind, Bytes)>>>;

/// Streams by number. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Kept);

impl Streams {
    /// The bytes of a stream, and its kind.
    pub(crate) fn read(&self, reference: &StreamReference) -> (StreamKind, Bytes) {
        self.0.lock().unwrap()[reference.0.as_str().unwrap()].clone()
    }

    /// Loses a stream.
    pub(crate) fn lose(&self, reference: &StreamReference) {
        assert!(self.0.lock().unwrap().remove(reference.0.as_str().unwrap()).is_some());
    }

    /// Changes a byte.
    pub(crate) fn damage(&self, reference: &StreamReference) {
        let mut kept = self.0.lock().unwrap();
        let (_, bytes) = kept.get_mut(reference.0.as_str().unwrap()).unwrap();
        let mut damaged = BytesMut::from(&bytes[..]);
        damaged[0] ^= 1;
        *bytes = damaged.freeze();
    }
}

#[async_trait]
impl StreamStore for Streams {
    async fn create(&self, kind: StreamKind, name: &str) -> Result<Box<dyn StreamWriter>, StoreError> {
        Ok(Box::new(Writer { kept: self.0.clone(), kind, name: name.to_owned(), bytes: BytesMut::new() }))
    }

    async fn take_over(&self, earlier: &StreamReference) -> Result<Option<StreamReference>, StoreError> {
        let has = self.0.lock().unwrap().contains_key(earlier.0.as_str().unwrap());
        Ok(has.then(|| earlier.clone()))
    }

    async fn open(&self, reference: &StreamReference) -> Result<Box<dyn StreamReader>, StoreError> {
        Ok(Box::new(Reader(self.read(reference).1)))
    }
}

struct Writer {
    kept: Kept,
    kind: StreamKind,
    name: String,
    bytes: BytesMut,
}

#[async_trait]
impl StreamWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<StreamReference, StoreError> {
        let mut kept = self.kept.lock().unwrap();
        let id = format!("{}#{}", self.name, kept.len());
        kept.insert(id.clone(), (self.kind, self.bytes.freeze()));
        Ok(StreamReference(serde_json::Value::String(id)))
    }
}

struct Reader(Bytes);

#[async_trait]
impl StreamReader for Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        // Pieces of no round length.
        let length = self.0.len().min(1_000_003);
        Ok((length > 0).then(|| self.0.split_to(length)))
    }
}
