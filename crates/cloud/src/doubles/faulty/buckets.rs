//! [`Buckets`] behind a switchboard.

use async_trait::async_trait;

use super::Faulty;
use crate::buckets::{Bucket, Buckets};
use crate::error::Result;
use crate::object_store::Tags;

#[async_trait]
impl<P: Buckets + ?Sized> Buckets for Faulty<P> {
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        self.read("HeadBucket", name, || None, self.inner.bucket(name)).await
    }

    async fn buckets(&self, prefix: &str) -> Result<Vec<Bucket>> {
        self.read("ListBuckets", prefix, Vec::new, self.inner.buckets(prefix)).await
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.call("CreateBucket", name, self.inner.create(name)).await
    }

    async fn block_public_access(&self, name: &str) -> Result<()> {
        self.call("PutPublicAccessBlock", name, self.inner.block_public_access(name)).await
    }

    async fn set_policy(&self, name: &str, policy: &str) -> Result<()> {
        self.call("PutBucketPolicy", name, self.inner.set_policy(name, policy)).await
    }

    async fn prefer_owner(&self, name: &str) -> Result<()> {
        self.call("PutBucketOwnershipControls", name, self.inner.prefer_owner(name)).await
    }

    async fn expire_after(&self, name: &str, days: u32) -> Result<()> {
        self.call("PutBucketLifecycleConfiguration", name, self.inner.expire_after(name, days)).await
    }

    async fn tag(&self, name: &str, tags: &Tags) -> Result<()> {
        self.call("PutBucketTagging", name, self.inner.tag(name, tags)).await
    }

    async fn empty(&self, name: &str, prefix: &str) -> Result<()> {
        self.call("DeleteObjects", name, self.inner.empty(name, prefix)).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.call("DeleteBucket", name, self.inner.delete(name)).await
    }
}
