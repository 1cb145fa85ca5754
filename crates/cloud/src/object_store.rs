//! The port to one bucket of an object store.

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{CloudError, ErrorKind, Outcome, Result};
use crate::object_lock::{BucketLock, Destruction, Hidden, Retention};

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

/// What somebody says of an object beside its bytes (`x-amz-meta-…`): values by names in lower case, without that prefix.
/// S3 takes 2 KB of them in US-ASCII.
pub type UserMetadata = BTreeMap<String, String>;

/// One page of a listing in key order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// Objects of this page.
    pub objects: Vec<ObjectMeta>,
    /// Where the next page starts, if there is one: pass it as `start_after`.
    pub next: Option<String>,
}

/// A multipart upload that has begun. Until it is completed there is no object, and what it has stored is kept, and paid
/// for, until it is aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The key of the object to be.
    pub key: String,
    /// The store's id of it.
    pub id: String,
}

/// A part that a multipart upload has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: u32,
    /// The store's entity tag of it.
    pub etag: String,
    /// The checksum that the store has compared it with, where it tells.
    pub checksum: Option<String>,
}

/// Most parts of a multipart upload.
pub const MOST_PARTS: u64 = 10_000;
/// Shortest part of a multipart upload but the last, in bytes.
pub const SHORTEST_PART: u64 = 5 << 20;

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

    /// As [`ObjectStore::put_new`], with metadata.
    ///
    /// # Errors
    /// As [`ObjectStore::put_new`]; [`crate::ErrorKind::Invalid`] where the store keeps no metadata and there is some.
    async fn put_new_with(&self, key: &str, body: Bytes, metadata: &UserMetadata) -> Result<()> {
        if metadata.is_empty() { self.put_new(key, body).await } else { Err(no_metadata("PutObject", key)) }
    }

    /// What was said of the object beside its bytes as it was made, `None` where there is no such key. Nothing was where the
    /// store keeps no metadata.
    async fn metadata(&self, key: &str) -> Result<Option<UserMetadata>> {
        Ok(self.head(key).await?.map(|_| UserMetadata::new()))
    }

    /// Bytes `range` of the object (end exclusive). A range past the end gives what there is, and
    /// [`crate::ErrorKind::Invalid`] where it starts there.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes>;

    /// The same in the pieces that it comes in, in their order: nobody has put them together.
    async fn get_pieces(&self, key: &str, range: Range<u64>) -> Result<Vec<Bytes>> {
        Ok(vec![self.get_range(key, range).await?])
    }

    /// Size, time and tag of the object, `None` where there is no such key.
    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>>;

    /// Up to 1,000 objects whose keys start with `prefix` and come after `start_after`, in key order.
    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<ListPage>;

    /// Removes the object. Succeeds where there is none. In a bucket that keeps versions it is out of sight then, as if it
    /// were gone, and its bytes stay: see [`ObjectStore::destroy`].
    async fn delete(&self, key: &str) -> Result<()>;

    /// Begins an upload in parts of an object that does not exist yet.
    async fn begin_upload(&self, key: &str) -> Result<Upload> {
        self.begin_upload_with(key, &UserMetadata::new()).await
    }

    /// As [`ObjectStore::begin_upload`]; the object will have this metadata.
    async fn begin_upload_with(&self, key: &str, _metadata: &UserMetadata) -> Result<Upload> {
        Err(no_parts("CreateMultipartUpload", key))
    }

    /// Stores a part: number 1 to [`MOST_PARTS`], of [`SHORTEST_PART`] at least unless it is the last one. A number that
    /// is used again replaces what it had; so repeating the call after an indeterminate failure is safe.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] where the upload has ended.
    async fn put_part(&self, upload: &Upload, _number: u32, _body: Bytes) -> Result<UploadedPart> {
        Err(no_parts("UploadPart", &upload.key))
    }

    /// Makes the object of these parts, in ascending order, unless the key is taken (`If-None-Match: *`).
    ///
    /// # Errors
    /// [`crate::ErrorKind::AlreadyExists`] where the key is taken, [`crate::ErrorKind::NotFound`] where the upload has
    /// ended, [`crate::ErrorKind::Invalid`] where the parts do not fit. An indeterminate failure may have made the
    /// object: look for it before doing anything else.
    async fn complete_upload(&self, upload: &Upload, _parts: &[UploadedPart]) -> Result<()> {
        Err(no_parts("CompleteMultipartUpload", &upload.key))
    }

    /// Gives an upload up and what it has stored. Succeeds where it has ended.
    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        Err(no_parts("AbortMultipartUpload", &upload.key))
    }

    /// As [`ObjectStore::put_new`], and the object cannot be destroyed before the retention ends. Needs a bucket with
    /// Object Lock.
    ///
    /// # Errors
    /// As [`ObjectStore::put_new`]; [`crate::ErrorKind::Invalid`] where the bucket has no Object Lock, or the end is past.
    async fn put_new_retained(&self, key: &str, _body: Bytes, _retention: &Retention) -> Result<()> {
        Err(no_lock("PutObject", key))
    }

    /// Keeps an object that is there at least as long and as strictly as asked for. An object that is kept longer already
    /// stays as it is; nothing is ever made shorter.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] where there is no object in sight, [`crate::ErrorKind::Invalid`] where the bucket
    /// has no Object Lock or the end is past, [`crate::ErrorKind::Denied`] where the object is under a retention that is
    /// less strict than asked for: a mode does not change before its period ends.
    async fn retain(&self, key: &str, _retention: &Retention) -> Result<()> {
        Err(no_lock("PutObjectRetention", key))
    }

    /// The retention of an object, over or not; `None` where it was never given one, or the bucket has no Object Lock.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] where there is no object in sight and the bucket has Object Lock.
    async fn retention(&self, _key: &str) -> Result<Option<Retention>> {
        Ok(None)
    }

    /// Removes every version of an object and what hides it, so that its bytes are gone. [`ObjectStore::delete`] does no
    /// more than that where a bucket keeps no versions; where it does, this one needs the permissions to list and to
    /// delete them (`s3:ListBucketVersions`, `s3:DeleteObjectVersion`).
    async fn destroy(&self, key: &str) -> Result<Destruction> {
        self.delete(key).await.map(|()| Destruction::Done)
    }

    /// Up to `limit` objects whose keys start with `prefix` and that a delete has put out of sight, in key order. None where
    /// the bucket keeps no versions; where it does, this needs a permission of its own (`s3:ListBucketVersions`).
    async fn hidden(&self, _prefix: &str, _limit: usize) -> Result<Vec<Hidden>> {
        Ok(Vec::new())
    }

    /// Brings an object back into sight that a delete has put out of it: as it was before. Says whether there was one.
    /// Needs `s3:ListBucketVersions` and `s3:DeleteObjectVersion`.
    async fn reveal(&self, _key: &str) -> Result<bool> {
        Ok(false)
    }

    /// Object Lock of the bucket, `None` where it is off.
    async fn object_lock(&self) -> Result<Option<BucketLock>> {
        Ok(None)
    }

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

/// What a store says that takes objects whole only.
fn no_parts(operation: &'static str, key: &str) -> CloudError {
    CloudError {
        operation,
        target: key.to_owned(),
        kind: ErrorKind::Invalid,
        outcome: Outcome::Determinate,
        code: Some("NotImplemented".to_owned()),
        message: "this store takes no uploads in parts".to_owned(),
        source: None,
    }
}

/// What a store says that keeps no metadata.
fn no_metadata(operation: &'static str, key: &str) -> CloudError {
    CloudError {
        operation,
        target: key.to_owned(),
        kind: ErrorKind::Invalid,
        outcome: Outcome::Determinate,
        code: Some("NotImplemented".to_owned()),
        message: "this store keeps no metadata".to_owned(),
        source: None,
    }
}

/// What a store without Object Lock says of retention, in S3's words.
fn no_lock(operation: &'static str, key: &str) -> CloudError {
    CloudError {
        operation,
        target: key.to_owned(),
        kind: ErrorKind::Invalid,
        outcome: Outcome::Determinate,
        code: Some("InvalidRequest".to_owned()),
        message: "Bucket is missing Object Lock Configuration".to_owned(),
        source: None,
    }
}
