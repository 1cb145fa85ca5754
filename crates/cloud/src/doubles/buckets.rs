//! S3's buckets in memory: what they hold is no more than names.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::errors::{not_found, refused};
use super::world::{MemoryCloud, World};
use crate::buckets::{Bucket, Buckets};
use crate::error::{ErrorKind, Result};
use crate::object_store::Tags;

/// A bucket and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryBucket {
    /// Region.
    pub region: String,
    /// All public access is blocked.
    pub is_closed: bool,
    /// Policy, JSON.
    pub policy: Option<String>,
    /// What others put there belongs to the bucket's account.
    pub prefers_owner: bool,
    /// Days after which what is in it is removed.
    pub expires_after: Option<u32>,
    /// Tags.
    pub tags: Tags,
    /// Keys of objects.
    pub objects: BTreeSet<String>,
    /// Keys of multipart uploads under way.
    pub uploads: BTreeSet<String>,
}

/// S3's buckets of one account and Region, in memory.
#[derive(Debug, Clone)]
pub struct MemoryBuckets {
    cloud: MemoryCloud,
    region: String,
}

impl MemoryBuckets {
    pub(super) fn new(cloud: MemoryCloud, region: &str) -> Self {
        Self { cloud, region: region.to_owned() }
    }

    /// A bucket of the account as it is; `None` where there is none.
    pub fn described(&self, name: &str) -> Option<MemoryBucket> {
        self.cloud.lock().buckets.get(name).cloned()
    }

    /// Adds or replaces a bucket, as somebody else's hand would.
    pub fn add(&self, name: &str, bucket: MemoryBucket) {
        self.cloud.change(|world| world.buckets.insert(name.to_owned(), bucket));
    }

    /// Another account has a bucket of this name.
    pub fn take_elsewhere(&self, name: &str) {
        self.cloud.change(|world| world.buckets_elsewhere.insert(name.to_owned()));
    }

    /// Puts an object into a bucket, and says whether there is such a bucket.
    pub fn put(&self, name: &str, key: &str) -> bool {
        let put = |bucket: &mut MemoryBucket| bucket.objects.insert(key.to_owned());
        self.cloud.change(|world| world.buckets.get_mut(name).map(put)).is_some()
    }

    /// Begins a multipart upload, and says whether there is such a bucket.
    pub fn begin_upload(&self, name: &str, key: &str) -> bool {
        let begin = |bucket: &mut MemoryBucket| bucket.uploads.insert(key.to_owned());
        self.cloud.change(|world| world.buckets.get_mut(name).map(begin)).is_some()
    }

    fn described_as(&self, name: &str, bucket: &MemoryBucket) -> Bucket {
        let tags = if bucket.region == self.region { bucket.tags.clone() } else { Tags::new() };
        Bucket { name: name.to_owned(), region: bucket.region.clone(), tags }
    }

    fn set(&self, operation: &'static str, name: &str, set: impl FnOnce(&mut MemoryBucket)) -> Result<()> {
        self.cloud.change(|world| {
            world.own(operation, name)?;
            let bucket = world.buckets.get_mut(name).ok_or_else(|| not_found(operation, name, "NoSuchBucket"))?;
            set(bucket);
            Ok(())
        })
    }
}

impl World {
    /// Refuses a bucket of another account.
    fn own(&self, operation: &'static str, name: &str) -> Result<()> {
        if !self.buckets_elsewhere.contains(name) {
            return Ok(());
        }
        Err(refused(operation, name, ErrorKind::Denied, "AccessDenied", "the bucket belongs to another account"))
    }
}

#[async_trait]
impl Buckets for MemoryBuckets {
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        let world = self.cloud.lock();
        world.own("HeadBucket", name)?;
        Ok(world.buckets.get(name).map(|bucket| self.described_as(name, bucket)))
    }

    async fn buckets(&self, prefix: &str) -> Result<Vec<Bucket>> {
        let world = self.cloud.lock();
        let found =
            world.buckets.iter().filter(|(name, bucket)| name.starts_with(prefix) && bucket.region == self.region);
        Ok(found.map(|(name, bucket)| self.described_as(name, bucket)).collect())
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.cloud.change(|world| {
            let refuse = |code, message| Err(refused("CreateBucket", name, ErrorKind::Denied, code, message));
            if world.buckets_elsewhere.contains(name) {
                return refuse("BucketAlreadyExists", "the requested bucket name is not available");
            }
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
            if !(3..=63).contains(&name.len()) || !name.bytes().all(fits) {
                let (kind, code) = (ErrorKind::Invalid, "InvalidBucketName");
                return Err(refused("CreateBucket", name, kind, code, "the specified bucket is not valid"));
            }
            let new = || MemoryBucket { region: self.region.clone(), ..MemoryBucket::default() };
            world.buckets.entry(name.to_owned()).or_insert_with(new);
            Ok(())
        })
    }

    async fn block_public_access(&self, name: &str) -> Result<()> {
        self.set("PutPublicAccessBlock", name, |bucket| bucket.is_closed = true)
    }

    async fn set_policy(&self, name: &str, policy: &str) -> Result<()> {
        self.set("PutBucketPolicy", name, |bucket| bucket.policy = Some(policy.to_owned()))
    }

    async fn prefer_owner(&self, name: &str) -> Result<()> {
        self.set("PutBucketOwnershipControls", name, |bucket| bucket.prefers_owner = true)
    }

    async fn expire_after(&self, name: &str, days: u32) -> Result<()> {
        self.set("PutBucketLifecycleConfiguration", name, |bucket| bucket.expires_after = Some(days))
    }

    async fn tag(&self, name: &str, tags: &Tags) -> Result<()> {
        self.set("PutBucketTagging", name, |bucket| bucket.tags = tags.clone())
    }

    async fn empty(&self, name: &str, prefix: &str) -> Result<()> {
        self.cloud.change(|world| {
            world.own("DeleteObjects", name)?;
            if let Some(bucket) = world.buckets.get_mut(name) {
                bucket.objects.retain(|key| !key.starts_with(prefix));
                bucket.uploads.retain(|key| !key.starts_with(prefix));
            }
            Ok(())
        })
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.cloud.change(|world| {
            world.own("DeleteBucket", name)?;
            if world.buckets.get(name).is_some_and(|bucket| !bucket.objects.is_empty()) {
                let (kind, code) = (ErrorKind::Conflict, "BucketNotEmpty");
                return Err(refused("DeleteBucket", name, kind, code, "the bucket is not empty"));
            }
            world.buckets.remove(name);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::conformance::{self, BucketHand};

    #[async_trait]
    impl BucketHand for MemoryBuckets {
        async fn put(&self, bucket: &str, key: &str) {
            assert!(MemoryBuckets::put(self, bucket, key));
        }

        async fn begin_upload(&self, bucket: &str, key: &str) {
            assert!(MemoryBuckets::begin_upload(self, bucket, key));
        }

        async fn keys(&self, bucket: &str) -> Vec<String> {
            let bucket = self.described(bucket).unwrap_or_default();
            bucket.objects.into_iter().chain(bucket.uploads).collect()
        }
    }

    #[tokio::test]
    async fn conforms_and_leaves_nothing() {
        let cloud = MemoryCloud::new();
        let before = cloud.listing();
        let buckets = cloud.buckets("eu-central-1");
        conformance::buckets(&*buckets, &*buckets, "conformance-bucket").await;
        assert_eq!(cloud.leftovers(&before), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_bucket_of_another_account_is_refused_and_one_of_another_region_told() {
        let cloud = MemoryCloud::new();
        let (here, there) = (cloud.buckets("eu-central-1"), cloud.buckets("eu-west-1"));
        here.take_elsewhere("theirs");
        for refused in
            [here.create("theirs").await, here.bucket("theirs").await.map(drop), here.empty("theirs", "").await]
        {
            assert_eq!(refused.unwrap_err().kind, ErrorKind::Denied);
        }
        there.create("far-away").await.unwrap();
        assert_eq!(here.bucket("far-away").await.unwrap().unwrap().region, "eu-west-1");
        assert_eq!(here.buckets("").await.unwrap(), []);
    }
}
