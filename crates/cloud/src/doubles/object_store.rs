//! One bucket in memory.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::errors::{not_found, refused};
use crate::error::{ErrorKind, Result};
use crate::object_store::{ListPage, ObjectMeta, ObjectStore};

const PAGE: usize = 1_000;

/// One bucket in memory.
#[derive(Default)]
pub struct MemoryObjectStore {
    bucket: Mutex<Bucket>,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    writes: u64,
    region: Option<String>,
}

struct Object {
    body: Bytes,
    modified: Timestamp,
    etag: String,
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

    /// Every key, in order.
    pub fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Bytes held.
    pub fn total_bytes(&self) -> u64 {
        self.lock().objects.values().map(|object| object.body.len() as u64).sum()
    }

    /// Puts a body in place whether or not the key is taken: what a fault of the medium, or a hand from outside, does.
    pub fn overwrite(&self, key: &str, body: impl Into<Bytes>) {
        self.lock().put(key, body.into());
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn put(&mut self, key: &str, body: Bytes) {
        self.writes += 1;
        let etag = format!("{:032x}", self.writes);
        self.objects.insert(key.to_owned(), Object { body, modified: Timestamp::now(), etag });
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
        let mut bucket = self.lock();
        if bucket.objects.contains_key(key) {
            let message = "at least one of the pre-conditions did not hold";
            return Err(refused("PutObject", key, ErrorKind::AlreadyExists, "PreconditionFailed", message));
        }
        bucket.put(key, body);
        Ok(())
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
        self.lock().objects.remove(key);
        Ok(())
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
}
