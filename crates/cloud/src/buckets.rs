//! The port to the buckets of one account and Region, as far as Haulier makes and removes some itself: those through which
//! files pass on their way elsewhere.
//!
//! Names of buckets belong to the whole world, so every call but the listing and the making says which account the bucket is
//! expected in: a bucket of that name in another account is refused ([`crate::ErrorKind::Denied`]), never used.

use async_trait::async_trait;

use crate::error::Result;
use crate::object_store::Tags;

/// A bucket as described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Name.
    pub name: String,
    /// Region that it lies in.
    pub region: String,
    /// Tags. Empty where it lies in another Region than the port's: they can be read there only.
    pub tags: Tags,
}

/// S3's buckets of one account and Region. Listings are complete: every page is read. Each call may be repeated: the name is
/// the token.
#[async_trait]
pub trait Buckets: Send + Sync + std::fmt::Debug {
    /// `HeadBucket` and `GetBucketTagging` of one; `None` where there is none.
    ///
    /// # Errors
    /// `Denied` where another account has it.
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>>;

    /// `ListBuckets` in the Region whose names start with `prefix`, with their tags.
    async fn buckets(&self, prefix: &str) -> Result<Vec<Bucket>>;

    /// `CreateBucket` in the Region. Succeeds where the account has it there already.
    ///
    /// # Errors
    /// `Denied` where another account has one of that name; `Conflict` (`OperationAborted`) for a while after one of that
    /// name was deleted.
    async fn create(&self, name: &str) -> Result<()>;

    /// `PutPublicAccessBlock`, all four settings.
    async fn block_public_access(&self, name: &str) -> Result<()>;

    /// `PutBucketPolicy`: replaces the whole policy, JSON.
    async fn set_policy(&self, name: &str, policy: &str) -> Result<()>;

    /// `PutBucketOwnershipControls` with `BucketOwnerPreferred`: what others put there with the ACL
    /// `bucket-owner-full-control` belongs to the bucket's account.
    async fn prefer_owner(&self, name: &str) -> Result<()>;

    /// `PutBucketLifecycleConfiguration` of one rule: objects are deleted, and multipart uploads aborted, so many days (at
    /// least 1) after they were begun. S3 takes a day or so longer.
    async fn expire_after(&self, name: &str, days: u32) -> Result<()>;

    /// `PutBucketTagging`: replaces all tags.
    async fn tag(&self, name: &str, tags: &Tags) -> Result<()>;

    /// `DeleteObjects` of everything in sight whose key starts with `prefix`, and `AbortMultipartUpload` of every upload
    /// whose key does. Succeeds where there is no bucket.
    async fn empty(&self, name: &str, prefix: &str) -> Result<()>;

    /// `DeleteBucket`. Succeeds where it is gone.
    ///
    /// # Errors
    /// `Conflict` (`BucketNotEmpty`) while anything is in it.
    async fn delete(&self, name: &str) -> Result<()>;
}
