//! Buckets themselves: create, delete, head, list, location.

use jiff::Timestamp;
use s3s::dto::{
    Bucket as ListedBucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput,
    DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput,
    ListBucketsInput, ListBucketsOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use std::sync::Arc;

use super::convert;
use super::defaults::known_ownership;
use super::list::owner;
use crate::s3::store::{DefaultEncryption, ObjectLock, Settings, Store, Versioning};
use crate::s3::transfer::blocking;

/// The Region whose buckets have no location constraint.
const UNCONSTRAINED: &str = "us-east-1";

pub(super) async fn create(
    store: &Arc<Store>,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let signed_for = request.region.as_ref().map_or(UNCONSTRAINED, |region| region.as_str()).to_owned();
    let input = request.input;
    let configuration = input.create_bucket_configuration;
    let constraint = configuration.and_then(|configuration| configuration.location_constraint);
    let region = settle_region(&signed_for, constraint.as_ref().map(BucketLocationConstraint::as_str))?;
    let ownership = input.object_ownership.as_ref().map(known_ownership).transpose()?;
    let locked = input.object_lock_enabled_for_bucket == Some(true);
    let settings = Settings {
        versioning: if locked { Versioning::Enabled } else { Versioning::Never },
        object_lock: locked.then(ObjectLock::default),
        region,
        created: Timestamp::now(),
        policy: None,
        public_access_block: None,
        lifecycle: None,
        ownership: Some(ownership.unwrap_or_else(|| "BucketOwnerEnforced".to_owned())),
        encryption: DefaultEncryption::default(),
        tags: Default::default(),
    };
    let (store, name) = (Arc::clone(store), input.bucket.clone());
    blocking(move || Ok(store.create_bucket(&name, settings)?)).await?;
    Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
}

/// A Region's endpoint makes buckets in that Region, and only the oldest one takes a request that names none. Pure.
fn settle_region(endpoint: &str, constraint: Option<&str>) -> S3Result<String> {
    match constraint.filter(|constraint| !constraint.is_empty()) {
        Some(region) if region == UNCONSTRAINED => {
            Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"))
        }
        Some(region) if region == endpoint || endpoint == UNCONSTRAINED => Ok(region.to_owned()),
        Some(region) => Err(s3_error!(
            IllegalLocationConstraintException,
            "The {} location constraint is incompatible for the region specific endpoint this request was sent to.",
            region
        )),
        None if endpoint == UNCONSTRAINED => Ok(UNCONSTRAINED.to_owned()),
        None => Err(s3_error!(
            IllegalLocationConstraintException,
            "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to."
        )),
    }
}

pub(super) async fn delete(
    store: &Arc<Store>,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let store = Arc::clone(store);
    blocking(move || Ok(store.delete_bucket(&request.input.bucket)?)).await?;
    Ok(S3Response::new(DeleteBucketOutput {}))
}

pub(super) fn head(store: &Store, request: &S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
    let settings = store.bucket(&request.input.bucket)?.settings();
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(settings.region.clone()),
        ..HeadBucketOutput::default()
    }))
}

pub(super) fn location(
    store: &Store,
    request: &S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let region = store.bucket(&request.input.bucket)?.settings().region.clone();
    let location_constraint = (region != UNCONSTRAINED).then(|| BucketLocationConstraint::from(region));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

pub(super) fn list(store: &Store, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
    let input = request.input;
    let most = input.max_buckets.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX).max(1);
    let prefix = input.prefix.clone().unwrap_or_default();
    let mut found = store.buckets();
    found.retain(|bucket| {
        let in_region = input.bucket_region.as_ref().is_none_or(|region| bucket.settings().region == *region);
        let behind = input.continuation_token.as_deref().is_none_or(|after| bucket.name() > after);
        bucket.name().starts_with(&prefix) && in_region && behind
    });
    let truncated = found.len() > most;
    found.truncate(most);
    let buckets = found.iter().map(|bucket| {
        let settings = bucket.settings();
        ListedBucket {
            name: Some(bucket.name().to_owned()),
            creation_date: Some(convert::timestamp(settings.created)),
            bucket_region: Some(settings.region.clone()),
        }
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        continuation_token: found.last().filter(|_| truncated).map(|bucket| bucket.name().to_owned()),
        owner: Some(owner("local")),
        prefix: input.prefix,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_made_where_the_endpoint_is() {
        for (endpoint, constraint, expected) in [
            ("eu-central-1", Some("eu-central-1"), Some("eu-central-1")),
            ("eu-central-1", Some("eu-west-1"), None),
            ("eu-central-1", None, None),
            ("us-east-1", None, Some("us-east-1")),
            ("us-east-1", Some("us-east-1"), None),
            ("us-east-1", Some("eu-west-1"), Some("eu-west-1")),
        ] {
            assert_eq!(settle_region(endpoint, constraint).ok().as_deref(), expected, "{endpoint} {constraint:?}");
        }
    }
}
