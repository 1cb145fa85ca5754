//! The object store as the repository uses it: failures gain the name of the object, a missing object is an error of its
//! own, and a content-named object that exists already is as good as written.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use haulier_cloud::CloudError;
use haulier_cloud::object_store::{ObjectMeta, ObjectStore};

use crate::error::{Error, ObjectKind, Result};

/// A handle on the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Store(Arc<dyn ObjectStore>);

impl Store {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    pub(crate) async fn get(&self, kind: ObjectKind, key: &str) -> Result<Bytes> {
        self.0.get(key).await.map_err(|source| reading(kind, key, source))
    }

    pub(crate) async fn find(&self, kind: ObjectKind, key: &str) -> Result<Option<Bytes>> {
        match self.get(kind, key).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool> {
        let head = self.0.head(key).await.map_err(|source| failed("reading", key, source))?;
        Ok(head.is_some())
    }

    /// A range that must be there in full.
    pub(crate) async fn get_range(&self, kind: ObjectKind, key: &str, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end - range.start;
        let bytes = match self.0.get_range(key, range).await {
            Ok(bytes) => bytes,
            Err(source) if source.kind == haulier_cloud::ErrorKind::Invalid => {
                return Err(Error::damaged(kind, key, "it is cut off before what it should hold"));
            }
            Err(source) => return Err(reading(kind, key, source)),
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

    /// Writes an object unless the key is taken; says whether it was written.
    pub(crate) async fn put_new(&self, key: &str, body: Bytes) -> Result<bool> {
        match self.0.put_new(key, body).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_already_exists() => Ok(false),
            Err(source) => Err(failed("writing", key, source)),
        }
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        self.0.delete(key).await.map_err(|source| failed("deleting", key, source))
    }

    /// One page of a listing, and where the next one starts.
    pub(crate) async fn page(&self, prefix: &str, after: Option<&str>) -> Result<(Vec<ObjectMeta>, Option<String>)> {
        let page = self.0.list(prefix, after).await.map_err(|source| failed("listing", prefix, source))?;
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

fn reading(kind: ObjectKind, key: &str, source: CloudError) -> Error {
    if source.is_not_found() { Error::Missing { kind, object: key.to_owned() } } else { failed("reading", key, source) }
}

fn failed(doing: &'static str, key: &str, source: CloudError) -> Error {
    Error::Store { doing, object: key.to_owned(), source: Box::new(source) }
}
