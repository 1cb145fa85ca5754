//! The temporary bucket as a worker sees it.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::Result;
use haulier_cloud::doubles::{Faults, Faulty, MemoryObjectStore};
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore, Upload, UploadedPart, UserMetadata};

use crate::gate::Gate;

/// A bucket with faults, at whose calls a worker may be killed.
#[derive(Debug)]
pub(crate) struct Bucket {
    inner: Faulty<MemoryObjectStore>,
    gate: Gate,
}

impl Bucket {
    pub(crate) fn new(store: Arc<MemoryObjectStore>, faults: Faults, gate: Gate) -> Self {
        Self { inner: Faulty::new(store, faults), gate }
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<()> {
        self.gate.pass(self.inner.put_new(key, body)).await
    }

    async fn put_new_with(&self, key: &str, body: Bytes, metadata: &UserMetadata) -> Result<()> {
        self.gate.pass(self.inner.put_new_with(key, body, metadata)).await
    }

    async fn metadata(&self, key: &str) -> Result<Option<UserMetadata>> {
        self.gate.pass(self.inner.metadata(key)).await
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        self.gate.pass(self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.gate.pass(self.inner.get_range(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        self.gate.pass(self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<ListPage> {
        self.gate.pass(self.inner.list(prefix, start_after)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.gate.pass(self.inner.delete(key)).await
    }

    async fn begin_upload_with(&self, key: &str, metadata: &UserMetadata) -> Result<Upload> {
        self.gate.pass(self.inner.begin_upload_with(key, metadata)).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<UploadedPart> {
        self.gate.pass(self.inner.put_part(upload, number, body)).await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[UploadedPart]) -> Result<()> {
        self.gate.pass(self.inner.complete_upload(upload, parts)).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.gate.pass(self.inner.abort_upload(upload)).await
    }
}
