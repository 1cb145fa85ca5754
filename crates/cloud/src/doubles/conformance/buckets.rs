//! The suite of [`Buckets`].

use async_trait::async_trait;

use super::wait_for;
use crate::buckets::Buckets;
use crate::error::ErrorKind;
use crate::object_store::Tags;

/// What the port itself cannot do with a bucket's content.
#[async_trait]
pub trait BucketHand: Send + Sync {
    /// Puts an object.
    async fn put(&self, bucket: &str, key: &str);
    /// Begins a multipart upload.
    async fn begin_upload(&self, bucket: &str, key: &str);
    /// Keys of objects, and of multipart uploads under way.
    async fn keys(&self, bucket: &str) -> Vec<String>;
}

/// Runs S3's buckets through their suite, with a name that no bucket has.
pub async fn buckets<B: Buckets + ?Sized, H: BucketHand + ?Sized>(buckets: &B, hand: &H, name: &str) {
    assert_eq!(buckets.bucket(name).await.unwrap(), None);
    for missing in [buckets.block_public_access(name).await, buckets.tag(name, &Tags::new()).await] {
        assert!(missing.unwrap_err().is_not_found());
    }
    buckets.empty(name, "").await.unwrap();
    buckets.delete(name).await.unwrap();

    buckets.create(name).await.unwrap();
    buckets.create(name).await.unwrap();
    let tags = Tags::from([("haulier:conformance".to_owned(), "yes".to_owned()), ("b".to_owned(), String::new())]);
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{name}","arn:aws:s3:::{name}/*"],"Condition":{{"Bool":{{"aws:SecureTransport":"false"}}}}}}]}}"#
    );
    for _ in 0..2 {
        buckets.block_public_access(name).await.unwrap();
        buckets.set_policy(name, &policy).await.unwrap();
        buckets.prefer_owner(name).await.unwrap();
        buckets.expire_after(name, 7).await.unwrap();
        buckets.tag(name, &tags).await.unwrap();
    }
    let found = buckets.bucket(name).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), &found.tags), (name, &tags));
    wait_for("the bucket in the listing", async || {
        Ok(buckets.buckets(&name[..name.len() - 1]).await?.into_iter().find(|listed| *listed == found))
    })
    .await;
    assert_eq!(buckets.buckets(&format!("{name}-and-more")).await.unwrap(), []);

    for key in ["one/a.bak", "one/b.bak", "two/a.bak"] {
        hand.put(name, key).await;
    }
    for key in ["one/c.bak", "two/c.bak"] {
        hand.begin_upload(name, key).await;
    }
    let full = buckets.delete(name).await.unwrap_err();
    assert_eq!((full.kind, full.code.as_deref()), (ErrorKind::Conflict, Some("BucketNotEmpty")));
    buckets.empty(name, "one/").await.unwrap();
    assert_eq!(hand.keys(name).await, ["two/a.bak", "two/c.bak"]);
    buckets.empty(name, "").await.unwrap();
    assert_eq!(hand.keys(name).await, [""; 0]);

    buckets.delete(name).await.unwrap();
    wait_for("deletion of the bucket", async || Ok(buckets.bucket(name).await?.is_none().then_some(()))).await;
    buckets.delete(name).await.unwrap();
}
