//! One bucket in memory.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::errors::{not_found, refused};
use super::uploads::Uploads;
use crate::error::{ErrorKind, Result};
use crate::object_lock::{BucketLock, Destruction, Hidden, Retention};
use crate::object_store::{ListPage, ObjectMeta, ObjectStore, Upload, UploadedPart, UserMetadata};

const PAGE: usize = 1_000;

/// One bucket in memory.
#[derive(Default)]
pub struct MemoryObjectStore {
    bucket: Mutex<Bucket>,
}

#[derive(Default)]
pub(super) struct Bucket {
    pub(super) objects: BTreeMap<String, Object>,
    /// Versions that a delete has put out of sight, where there is Object Lock.
    pub(super) hidden: BTreeMap<String, Vec<Object>>,
    pub(super) locked: bool,
    /// How far its clock is ahead of the host's.
    pub(super) ahead: SignedDuration,
    pub(super) uploads: Uploads,
    writes: u64,
    region: Option<String>,
}

pub(super) struct Object {
    pub(super) body: Bytes,
    pub(super) modified: Timestamp,
    etag: String,
    metadata: UserMetadata,
    pub(super) retention: Option<Retention>,
}

impl MemoryObjectStore {
    /// An empty bucket.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty bucket in a Region.
    pub fn in_region(region: &str) -> Self {
        let store = Self::default();
        store.lock().region = Some(region.to_owned());
        store
    }

    /// An empty bucket with Object Lock.
    pub fn with_object_lock() -> Self {
        let store = Self::default();
        store.lock().locked = true;
        store
    }

    /// Moves the clock by which retentions hold or are over ahead of the host's.
    pub fn set_clock_ahead(&self, ahead: SignedDuration) {
        self.lock().set_ahead(ahead);
    }

    /// Every key, in order.
    pub fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// How many uploads in parts have not ended.
    pub fn open_uploads(&self) -> usize {
        self.lock().uploads.count()
    }

    /// Bytes held.
    pub fn total_bytes(&self) -> u64 {
        self.lock().objects.values().map(|object| object.body.len() as u64).sum()
    }

    /// Puts a body in place whether or not the key is taken: what a fault of the medium, or a hand from outside, does.
    pub fn overwrite(&self, key: &str, body: impl Into<Bytes>) {
        self.lock().put(key, body.into(), None);
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn put(&mut self, key: &str, body: Bytes, retention: Option<Retention>) {
        self.writes += 1;
        let etag = format!("{:032x}", self.writes);
        let metadata = UserMetadata::new();
        self.objects.insert(key.to_owned(), Object { body, modified: Timestamp::now(), etag, metadata, retention });
    }

    fn put_new(&mut self, key: &str, body: Bytes, retention: Option<Retention>) -> Result<()> {
        self.check_new("PutObject", key)?;
        self.put(key, body, retention);
        Ok(())
    }

    fn describe(&mut self, key: &str, metadata: UserMetadata) {
        if let Some(object) = self.objects.get_mut(key) {
            object.metadata = metadata;
        }
    }

    fn check_new(&self, operation: &'static str, key: &str) -> Result<()> {
        if self.objects.contains_key(key) {
            let message = "at least one of the pre-conditions did not hold";
            return Err(refused(operation, key, ErrorKind::AlreadyExists, "PreconditionFailed", message));
        }
        Ok(())
    }
}

fn meta(key: &str, object: &Object) -> ObjectMeta {
    ObjectMeta {
        key: key.to_owned(),
        size: object.body.len() as u64,
        modified: object.modified,
        etag: object.etag.clone(),
    }
}

impl std::fmt::Debug for MemoryObjectStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryObjectStore").field("objects", &self.lock().objects.len()).finish()
    }
}

#[async_trait]
impl ObjectStore for MemoryObjectStore {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<()> {
        self.lock().put_new(key, body, None)
    }

    async fn put_new_with(&self, key: &str, body: Bytes, metadata: &UserMetadata) -> Result<()> {
        let mut bucket = self.lock();
        bucket.put_new(key, body, None)?;
        bucket.describe(key, metadata.clone());
        Ok(())
    }

    async fn metadata(&self, key: &str) -> Result<Option<UserMetadata>> {
        Ok(self.lock().objects.get(key).map(|object| object.metadata.clone()))
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        let bucket = self.lock();
        let object = bucket.objects.get(key).ok_or_else(|| not_found("GetObject", key, "NoSuchKey"))?;
        Ok(object.body.clone())
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let bucket = self.lock();
        let object = bucket.objects.get(key).ok_or_else(|| not_found("GetObject", key, "NoSuchKey"))?;
        let size = object.body.len() as u64;
        if range.start >= size || range.start >= range.end {
            let message = "the requested range is not satisfiable";
            return Err(refused("GetObject", key, ErrorKind::Invalid, "InvalidRange", message));
        }
        // Both ends are at most the length of a body in memory.
        Ok(object.body.slice(range.start as usize..range.end.min(size) as usize))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        Ok(self.lock().objects.get(key).map(|object| meta(key, object)))
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<ListPage> {
        let bucket = self.lock();
        let start = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let mut found = bucket
            .objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| meta(key, object));
        let objects: Vec<_> = found.by_ref().take(PAGE).collect();
        let next = found.next().and(objects.last().map(|last| last.key.clone()));
        Ok(ListPage { objects, next })
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.lock().remove(key);
        Ok(())
    }

    async fn begin_upload_with(&self, key: &str, metadata: &UserMetadata) -> Result<Upload> {
        Ok(self.lock().uploads.begin(key, metadata.clone()))
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<UploadedPart> {
        self.lock().uploads.put(upload, number, body)
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[UploadedPart]) -> Result<()> {
        let mut bucket = self.lock();
        bucket.check_new("CompleteMultipartUpload", &upload.key)?;
        let (body, metadata) = bucket.uploads.complete(upload, parts)?;
        bucket.put(&upload.key, body, None);
        bucket.describe(&upload.key, metadata);
        Ok(())
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.lock().uploads.abort(upload);
        Ok(())
    }

    async fn put_new_retained(&self, key: &str, body: Bytes, retention: &Retention) -> Result<()> {
        let mut bucket = self.lock();
        bucket.check("PutObject", key, retention)?;
        bucket.put_new(key, body, Some(*retention))
    }

    async fn retain(&self, key: &str, retention: &Retention) -> Result<()> {
        self.lock().retain(key, retention)
    }

    async fn retention(&self, key: &str) -> Result<Option<Retention>> {
        let bucket = self.lock();
        if bucket.lock().is_none() {
            return Ok(None);
        }
        let object = bucket.objects.get(key).ok_or_else(|| not_found("GetObjectRetention", key, "NoSuchKey"))?;
        Ok(object.retention)
    }

    async fn destroy(&self, key: &str) -> Result<Destruction> {
        Ok(self.lock().destroy(key))
    }

    async fn hidden(&self, prefix: &str, limit: usize) -> Result<Vec<Hidden>> {
        Ok(self.lock().out_of_sight(prefix, limit))
    }

    async fn reveal(&self, key: &str) -> Result<bool> {
        Ok(self.lock().reveal(key))
    }

    async fn object_lock(&self) -> Result<Option<BucketLock>> {
        Ok(self.lock().lock())
    }

    async fn region(&self) -> Result<Option<String>> {
        Ok(self.lock().region.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::conformance;

    #[tokio::test]
    async fn conforms() {
        conformance::object_store(&MemoryObjectStore::new(), "some/prefix").await;
        conformance::object_store(&MemoryObjectStore::new(), "").await;
    }

    #[tokio::test]
    async fn conforms_with_object_lock() {
        let store = MemoryObjectStore::with_object_lock();
        conformance::object_lock(&store, "some/prefix", async |ahead| store.set_clock_ahead(ahead)).await;
        assert!(store.lock().hidden.is_empty(), "nothing is left out of sight");
    }
}
