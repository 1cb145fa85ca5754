//! A bucket in memory, so that the disk is not measured.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore};
use haulier_cloud::{CloudError, ErrorKind, Outcome};

/// The bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket(Mutex<BTreeMap<String, Bytes>>);

impl Bucket {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all objects.
    pub(crate) fn size(&self) -> u64 {
        self.objects().values().map(|body| body.len() as u64).sum()
    }
}

fn error(operation: &'static str, key: &str, kind: ErrorKind) -> CloudError {
    CloudError {
        operation,
        target: key.to_owned(),
        kind,
        outcome: Outcome::Determinate,
        code: None,
        message: format!("{kind:?}"),
        source: None,
    }
}

fn meta(key: &str, size: u64) -> ObjectMeta {
    ObjectMeta { key: key.to_owned(), size, modified: jiff::Timestamp::UNIX_EPOCH, etag: String::new() }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_new(&self, key: &str, body: Bytes) -> haulier_cloud::Result<()> {
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Err(error("PutObject", key, ErrorKind::AlreadyExists));
        }
        objects.insert(key.to_owned(), body);
        Ok(())
    }

    async fn get(&self, key: &str) -> haulier_cloud::Result<Bytes> {
        self.objects().get(key).cloned().ok_or_else(|| error("GetObject", key, ErrorKind::NotFound))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> haulier_cloud::Result<Bytes> {
        let body = self.get(key).await?;
        let length = body.len() as u64;
        if range.start >= length {
            return Err(error("GetObject", key, ErrorKind::Invalid));
        }
        // Copied, as what comes over a network is.
        Ok(Bytes::copy_from_slice(&body[range.start as usize..range.end.min(length) as usize]))
    }

    async fn head(&self, key: &str) -> haulier_cloud::Result<Option<ObjectMeta>> {
        Ok(self.objects().get(key).map(|body| meta(key, body.len() as u64)))
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> haulier_cloud::Result<ListPage> {
        let objects = self.objects();
        let after = |key: &&String| start_after.is_none_or(|after| key.as_str() > after);
        let found = objects.iter().filter(|(key, _)| key.starts_with(prefix) && after(key));
        Ok(ListPage { objects: found.map(|(key, body)| meta(key, body.len() as u64)).collect(), next: None })
    }

    async fn delete(&self, key: &str) -> haulier_cloud::Result<()> {
        self.objects().remove(key);
        Ok(())
    }
}
