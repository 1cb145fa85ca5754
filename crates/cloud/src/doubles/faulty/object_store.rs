//! [`ObjectStore`] behind a switchboard.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::Faulty;
use crate::error::Result;
use crate::object_lock::{BucketLock, Destruction, Hidden, Retention};
use crate::object_store::{ListPage, ObjectMeta, ObjectStore, Upload, UploadedPart, UserMetadata};

#[async_trait]
impl<P: ObjectStore + ?Sized> ObjectStore for Faulty<P> {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<()> {
        self.call("PutObject", key, self.inner.put_new(key, body)).await
    }

    async fn put_new_with(&self, key: &str, body: Bytes, metadata: &UserMetadata) -> Result<()> {
        self.call("PutObject", key, self.inner.put_new_with(key, body, metadata)).await
    }

    async fn metadata(&self, key: &str) -> Result<Option<UserMetadata>> {
        self.read("HeadObject", key, || None, self.inner.metadata(key)).await
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        self.call("GetObject", key, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.call("GetObject", key, self.inner.get_range(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        self.read("HeadObject", key, || None, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<ListPage> {
        self.read("ListObjectsV2", prefix, ListPage::default, self.inner.list(prefix, start_after)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.call("DeleteObject", key, self.inner.delete(key)).await
    }

    async fn begin_upload_with(&self, key: &str, metadata: &UserMetadata) -> Result<Upload> {
        self.call("CreateMultipartUpload", key, self.inner.begin_upload_with(key, metadata)).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<UploadedPart> {
        self.call("UploadPart", &upload.key, self.inner.put_part(upload, number, body)).await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[UploadedPart]) -> Result<()> {
        self.call("CompleteMultipartUpload", &upload.key, self.inner.complete_upload(upload, parts)).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.call("AbortMultipartUpload", &upload.key, self.inner.abort_upload(upload)).await
    }

    async fn put_new_retained(&self, key: &str, body: Bytes, retention: &Retention) -> Result<()> {
        self.call("PutObject", key, self.inner.put_new_retained(key, body, retention)).await
    }

    async fn retain(&self, key: &str, retention: &Retention) -> Result<()> {
        self.call("PutObjectRetention", key, self.inner.retain(key, retention)).await
    }

    async fn retention(&self, key: &str) -> Result<Option<Retention>> {
        self.call("GetObjectRetention", key, self.inner.retention(key)).await
    }

    async fn destroy(&self, key: &str) -> Result<Destruction> {
        self.call("DeleteObject", key, self.inner.destroy(key)).await
    }

    async fn hidden(&self, prefix: &str, limit: usize) -> Result<Vec<Hidden>> {
        self.read("ListObjectVersions", prefix, Vec::new, self.inner.hidden(prefix, limit)).await
    }

    async fn reveal(&self, key: &str) -> Result<bool> {
        self.call("DeleteObject", key, self.inner.reveal(key)).await
    }

    async fn object_lock(&self) -> Result<Option<BucketLock>> {
        self.call("GetObjectLockConfiguration", "", self.inner.object_lock()).await
    }

    async fn region(&self) -> Result<Option<String>> {
        self.call("HeadBucket", "", self.inner.region()).await
    }
}
