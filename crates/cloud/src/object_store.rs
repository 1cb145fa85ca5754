//! The port to one bucket of an object store.

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

/// What a listing or a `HEAD` tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The full key within the bucket.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// When the store took it.
    pub modified: jiff::Timestamp,
    /// The store's entity tag, quotes removed.
    pub etag: String,
}

/// One page of a listing in key order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// Objects of this page.
    pub objects: Vec<ObjectMeta>,
    /// Where the next page starts, if there is one: pass it as `start_after`.
    pub next: Option<String>,
}

/// One bucket. Keys are full keys; a caller that works under a prefix prepends it.
///
/// Every write is conditional: [`ObjectStore::put_new`] never replaces an object. Implementations retry transient
/// failures themselves; what comes back as an error has been tried.
#[async_trait]
pub trait ObjectStore: Send + Sync + std::fmt::Debug {
    /// Creates the object unless the key is taken (`If-None-Match: *`).
    ///
    /// # Errors
    /// [`crate::ErrorKind::AlreadyExists`] where the key is taken. An indeterminate failure may have written the object; since
    /// names come from content, repeating the call and taking `AlreadyExists` for success is safe for such names.
    async fn put_new(&self, key: &str, body: Bytes) -> Result<()>;

    /// The whole object.
    async fn get(&self, key: &str) -> Result<Bytes>;

    /// Bytes `range` of the object (end exclusive). A range past the end gives what there is, and
    /// [`crate::ErrorKind::Invalid`] where it starts there.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes>;

    /// Size, time and tag of the object, `None` where there is no such key.
    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>>;

    /// Up to 1,000 objects whose keys start with `prefix` and come after `start_after`, in key order.
    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<ListPage>;

    /// Removes the object. Succeeds where there is none.
    async fn delete(&self, key: &str) -> Result<()>;

    /// The Region that the bucket lies in, `None` where the store does not say.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] where there is no such bucket.
    async fn region(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Metadata or tags of a cloud resource.
pub type Tags = BTreeMap<String, String>;
