//! Buckets of S3.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint, CreateBucketConfiguration,
    Delete, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, ObjectIdentifier,
    ObjectOwnership, OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration, Tag, Tagging,
};

use super::error::failed;
use crate::buckets::{Bucket, Buckets};
use crate::error::{CloudError, ErrorKind, Outcome, Result};
use crate::object_store::Tags;

/// The Region whose buckets have no location constraint.
const UNCONSTRAINED: &str = "us-east-1";

/// S3's buckets of one account and Region through the SDK.
#[derive(Debug)]
pub(super) struct S3Buckets {
    client: Client,
    region: String,
    account: String,
}

impl S3Buckets {
    pub(super) fn new(config: &SdkConfig, region: &str, account: &str) -> Self {
        Self { client: Client::new(config), region: region.to_owned(), account: account.to_owned() }
    }

    /// The Region that a bucket lies in; `None` where there is no such bucket.
    async fn region_of(&self, name: &str) -> Result<Option<String>> {
        let call = self.client.head_bucket().bucket(name).expected_bucket_owner(&self.account);
        let error = match call.send().await {
            Ok(answer) => return Ok(Some(answer.bucket_region().unwrap_or(&self.region).to_owned())),
            Err(error) => error,
        };
        // The endpoint of another Region says which one it is.
        let elsewhere = error.raw_response().filter(|response| matches!(response.status().as_u16(), 301 | 400));
        let told = elsewhere.and_then(|response| response.headers().get("x-amz-bucket-region")).map(str::to_owned);
        match (told, failed("HeadBucket", name, error)) {
            (Some(region), _) => Ok(Some(region)),
            (None, error) if error.is_not_found() => Ok(None),
            (None, error) => Err(error),
        }
    }

    async fn tags(&self, name: &str) -> Result<Tags> {
        let call = self.client.get_bucket_tagging().bucket(name).expected_bucket_owner(&self.account);
        match call.send().await.map_err(|error| failed("GetBucketTagging", name, error)) {
            Ok(answer) => {
                Ok(answer.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
            }
            Err(error) if error.is_not_found() => Ok(Tags::new()),
            Err(error) => Err(error),
        }
    }

    async fn delete_objects(&self, name: &str, prefix: &str) -> Result<()> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(name)
            .prefix(prefix)
            .expected_bucket_owner(&self.account)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("ListObjectsV2", name, error))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            let keys: Vec<ObjectIdentifier> = keys
                .map(|key| ObjectIdentifier::builder().key(key).build())
                .collect::<Result<_, _>>()
                .map_err(unbuilt)?;
            if keys.is_empty() {
                continue;
            }
            let delete = Delete::builder().set_objects(Some(keys)).quiet(true).build().map_err(unbuilt)?;
            let call = self.client.delete_objects().bucket(name).delete(delete).expected_bucket_owner(&self.account);
            let answer = call.send().await.map_err(|error| failed("DeleteObjects", name, error))?;
            if let Some(kept) = answer.errors().first() {
                return Err(not_deleted(name, kept));
            }
        }
        Ok(())
    }

    async fn abort_uploads(&self, name: &str, prefix: &str) -> Result<()> {
        let list =
            || self.client.list_multipart_uploads().bucket(name).prefix(prefix).expected_bucket_owner(&self.account);
        let mut page = list().send().await.map_err(|error| failed("ListMultipartUploads", name, error))?;
        loop {
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                let call = self
                    .client
                    .abort_multipart_upload()
                    .bucket(name)
                    .key(key)
                    .upload_id(id)
                    .expected_bucket_owner(&self.account);
                match call.send().await.map_err(|error| failed("AbortMultipartUpload", name, error)) {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
            if !page.is_truncated().unwrap_or_default() {
                return Ok(());
            }
            let next = list()
                .set_key_marker(page.next_key_marker().map(str::to_owned))
                .set_upload_id_marker(page.next_upload_id_marker().map(str::to_owned));
            page = next.send().await.map_err(|error| failed("ListMultipartUploads", name, error))?;
        }
    }
}

#[async_trait]
impl Buckets for S3Buckets {
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        let Some(region) = self.region_of(name).await? else { return Ok(None) };
        let tags = if region == self.region { self.tags(name).await? } else { Tags::new() };
        Ok(Some(Bucket { name: name.to_owned(), region, tags }))
    }

    async fn buckets(&self, prefix: &str) -> Result<Vec<Bucket>> {
        let call = self.client.list_buckets().prefix(prefix).bucket_region(&self.region).max_buckets(1000);
        let mut pages = call.into_paginator().send();
        let mut buckets = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("ListBuckets", prefix, error))?;
            for name in page.buckets().iter().filter_map(|bucket| bucket.name()) {
                let tags = self.tags(name).await?;
                buckets.push(Bucket { name: name.to_owned(), region: self.region.clone(), tags });
            }
        }
        Ok(buckets)
    }

    async fn create(&self, name: &str) -> Result<()> {
        let place = (self.region != UNCONSTRAINED).then(|| {
            let constraint = BucketLocationConstraint::from(self.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(constraint).build()
        });
        let call = self.client.create_bucket().bucket(name).set_create_bucket_configuration(place);
        match call.send().await.map(drop).map_err(|error| failed("CreateBucket", name, error)) {
            Err(error) if error.is_already_exists() => Ok(()),
            answer => answer,
        }
    }

    async fn block_public_access(&self, name: &str) -> Result<()> {
        let all = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        let call = self.client.put_public_access_block().bucket(name).expected_bucket_owner(&self.account);
        let answer = call.public_access_block_configuration(all).send().await;
        answer.map(drop).map_err(|error| failed("PutPublicAccessBlock", name, error))
    }

    async fn set_policy(&self, name: &str, policy: &str) -> Result<()> {
        let call = self.client.put_bucket_policy().bucket(name).policy(policy).expected_bucket_owner(&self.account);
        call.send().await.map(drop).map_err(|error| failed("PutBucketPolicy", name, error))
    }

    async fn prefer_owner(&self, name: &str) -> Result<()> {
        let rule = OwnershipControlsRule::builder().object_ownership(ObjectOwnership::BucketOwnerPreferred);
        let rule = rule.build().map_err(unbuilt)?;
        let controls = OwnershipControls::builder().rules(rule).build().map_err(unbuilt)?;
        let call = self.client.put_bucket_ownership_controls().bucket(name).ownership_controls(controls);
        let answer = call.expected_bucket_owner(&self.account).send().await;
        answer.map(drop).map_err(|error| failed("PutBucketOwnershipControls", name, error))
    }

    async fn expire_after(&self, name: &str, days: u32) -> Result<()> {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let rule = LifecycleRule::builder()
            .id("last-resort")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .expiration(LifecycleExpiration::builder().days(days).build())
            .abort_incomplete_multipart_upload(
                AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build(),
            )
            .build()
            .map_err(unbuilt)?;
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build().map_err(unbuilt)?;
        let call = self.client.put_bucket_lifecycle_configuration().bucket(name).lifecycle_configuration(rules);
        let answer = call.expected_bucket_owner(&self.account).send().await;
        answer.map(drop).map_err(|error| failed("PutBucketLifecycleConfiguration", name, error))
    }

    async fn tag(&self, name: &str, tags: &Tags) -> Result<()> {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags.collect::<Result<_, _>>().map_err(unbuilt)?;
        let tagging = Tagging::builder().set_tag_set(Some(tags)).build().map_err(unbuilt)?;
        let call = self.client.put_bucket_tagging().bucket(name).tagging(tagging).expected_bucket_owner(&self.account);
        call.send().await.map(drop).map_err(|error| failed("PutBucketTagging", name, error))
    }

    async fn empty(&self, name: &str, prefix: &str) -> Result<()> {
        let emptied = async {
            // Uploads first: one that is completed in between is an object then.
            self.abort_uploads(name, prefix).await?;
            self.delete_objects(name, prefix).await
        };
        gone_is_fine(emptied.await)
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let call = self.client.delete_bucket().bucket(name).expected_bucket_owner(&self.account);
        gone_is_fine(call.send().await.map(drop).map_err(|error| failed("DeleteBucket", name, error)))
    }
}

fn gone_is_fine(answer: Result<()>) -> Result<()> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer,
    }
}

/// A message that lacks what it must have: it was never sent.
fn unbuilt(error: aws_smithy_types::error::operation::BuildError) -> CloudError {
    CloudError {
        operation: "S3",
        target: "a request".to_owned(),
        kind: ErrorKind::Invalid,
        outcome: Outcome::Determinate,
        code: None,
        message: "the request could not be built".to_owned(),
        source: Some(Box::new(error)),
    }
}

/// One of the objects of a `DeleteObjects` is still there.
fn not_deleted(bucket: &str, kept: &aws_sdk_s3::types::Error) -> CloudError {
    let code = kept.code().unwrap_or_default();
    CloudError {
        operation: "DeleteObjects",
        target: format!("s3://{bucket}/{}", kept.key().unwrap_or_default()),
        kind: if code == "AccessDenied" { ErrorKind::Denied } else { ErrorKind::Unavailable },
        outcome: Outcome::Determinate,
        code: Some(code.to_owned()),
        message: kept.message().unwrap_or("no message").to_owned(),
        source: None,
    }
}
