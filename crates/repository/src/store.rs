//! The object store as the repository uses it: failures gain the name of the object, a missing object is an error of its
//! own, and a content-named object that exists already is as good as written.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use haulier_cloud::CloudError;
use haulier_cloud::object_lock::{Destruction, Hidden, Retention};
use haulier_cloud::object_store::{ObjectMeta, ObjectStore};

use crate::error::{Error, ObjectKind, Result};
use crate::lock::Lock;

/// A handle on the bucket. Where the repository is immutable, it locks what it stores.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    bucket: Arc<dyn ObjectStore>,
    lock: Option<Lock>,
}

impl Store {
    pub(crate) fn new(bucket: Arc<dyn ObjectStore>) -> Self {
        Self { bucket, lock: None }
    }

    pub(crate) fn locking(bucket: Arc<dyn ObjectStore>, lock: Option<Lock>) -> Self {
        Self { bucket, lock }
    }

    /// How it locks, if it does.
    pub(crate) fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    pub(crate) async fn get(&self, kind: ObjectKind, key: &str) -> Result<Bytes> {
        match self.bucket.get(key).await {
            Ok(bytes) => Ok(bytes),
            Err(source) => Err(self.reading(kind, key, source).await),
        }
    }

    pub(crate) async fn find(&self, kind: ObjectKind, key: &str) -> Result<Option<Bytes>> {
        match self.get(kind, key).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool> {
        let head = self.bucket.head(key).await.map_err(|source| failed("reading", key, source))?;
        Ok(head.is_some())
    }

    /// A range that must be there in full.
    pub(crate) async fn get_range(&self, kind: ObjectKind, key: &str, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end - range.start;
        let bytes = match self.bucket.get_range(key, range).await {
            Ok(bytes) => bytes,
            Err(source) if source.kind == haulier_cloud::ErrorKind::Invalid => {
                return Err(Error::damaged(kind, key, "it is cut off before what it should hold"));
            }
            Err(source) => return Err(self.reading(kind, key, source).await),
        };
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(Error::damaged(kind, key, "it is cut off within what it should hold"))
        }
    }

    /// Writes an object whose name comes from its content: one that is there already is the same.
    pub(crate) async fn put_content(&self, key: &str, body: Bytes) -> Result<()> {
        self.put_new(key, body).await.map(|_| ())
    }

    /// Writes an object unless the key is taken; says whether it was written. It is locked where the repository is immutable.
    pub(crate) async fn put_new(&self, key: &str, body: Bytes) -> Result<bool> {
        match &self.lock {
            Some(lock) => written(key, self.bucket.put_new_retained(key, body, &lock.of_new(key)).await),
            None => self.put_loose(key, body).await,
        }
    }

    /// As [`Store::put_new`], for what is not locked in any repository, or not yet.
    pub(crate) async fn put_loose(&self, key: &str, body: Bytes) -> Result<bool> {
        written(key, self.bucket.put_new(key, body).await)
    }

    /// Removes an object for good. In an immutable repository it stays where it is as long as it is locked.
    pub(crate) async fn delete(&self, key: &str) -> Result<Destruction> {
        let deleted = match &self.lock {
            Some(_) => self.bucket.destroy(key).await,
            None => self.bucket.delete(key).await.map(|()| Destruction::Done),
        };
        deleted.map_err(|source| failed("deleting", key, source))
    }

    /// Puts an object out of sight, under a delete marker where the bucket keeps versions.
    pub(crate) async fn hide(&self, key: &str) -> Result<()> {
        self.bucket.delete(key).await.map_err(|source| failed("deleting", key, source))
    }

    /// The lock of an object, over or not.
    pub(crate) async fn retention(&self, kind: ObjectKind, key: &str) -> Result<Option<Retention>> {
        match self.bucket.retention(key).await {
            Ok(retention) => Ok(retention),
            Err(source) => Err(self.reading(kind, key, source).await),
        }
    }

    /// Gives an object a lock, or a longer one.
    pub(crate) async fn retain(&self, kind: ObjectKind, key: &str, retention: &Retention) -> Result<()> {
        match self.bucket.retain(key, retention).await {
            Ok(()) => Ok(()),
            Err(source) => Err(self.reading(kind, key, source).await),
        }
    }

    /// Objects that delete markers hide.
    pub(crate) async fn hidden(&self, prefix: &str, limit: usize) -> Result<Vec<Hidden>> {
        self.bucket.hidden(prefix, limit).await.map_err(|source| failed("listing", prefix, source))
    }

    /// Takes the delete marker away that hides an object.
    pub(crate) async fn reveal(&self, key: &str) -> Result<bool> {
        self.bucket.reveal(key).await.map_err(|source| failed("bringing back", key, source))
    }

    /// Whether a delete marker hides this very object, and since when.
    pub(crate) async fn hides(&self, key: &str) -> Result<Option<Hidden>> {
        // Of all keys that begin like this one it is the first.
        let first = self.hidden(key, 1).await?.into_iter().next();
        Ok(first.filter(|hidden| hidden.key == key))
    }

    /// What a failed reading means. An object that is not in sight is missing, or, in an immutable repository, hidden.
    async fn reading(&self, kind: ObjectKind, key: &str, source: CloudError) -> Error {
        let (object, absent) = (key.to_owned(), source.is_not_found());
        // S3 answers so where it is asked to lock a delete marker.
        let marked = source.code.as_deref() == Some("MethodNotAllowed");
        if self.lock.is_some() && (absent || marked) {
            match self.hides(key).await {
                Ok(Some(Hidden { since, .. })) => return Error::Hidden { kind, object, since },
                Ok(None) => {}
                Err(error) => tracing::debug!(key, %error, "whether it is hidden cannot be told"),
            }
        }
        if absent { Error::Missing { kind, object } } else { failed("reading", key, source) }
    }

    /// One page of a listing, and where the next one starts.
    pub(crate) async fn page(&self, prefix: &str, after: Option<&str>) -> Result<(Vec<ObjectMeta>, Option<String>)> {
        let page = self.bucket.list(prefix, after).await.map_err(|source| failed("listing", prefix, source))?;
        Ok((page.objects, page.next))
    }

    /// A whole listing, for prefixes that hold little.
    pub(crate) async fn list_all(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let (objects, next) = self.page(prefix, after.as_deref()).await?;
            all.extend(objects);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

fn written(key: &str, put: haulier_cloud::Result<()>) -> Result<bool> {
    match put {
        Ok(()) => Ok(true),
        Err(error) if error.is_already_exists() => Ok(false),
        Err(source) => Err(failed("writing", key, source)),
    }
}

fn failed(doing: &'static str, key: &str, source: CloudError) -> Error {
    Error::Store { doing, object: key.to_owned(), source: Box::new(source) }
}
