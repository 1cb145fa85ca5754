//! A bucket's settings: policy, public access block, lifecycle, tags.

use std::sync::Arc;

use s3s::dto::{
    BucketLifecycleConfiguration, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, DeleteBucketPolicyInput,
    DeleteBucketPolicyOutput, DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeletePublicAccessBlockInput,
    DeletePublicAccessBlockOutput, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketTaggingInput, GetBucketTaggingOutput,
    GetPublicAccessBlockInput, GetPublicAccessBlockOutput, PublicAccessBlockConfiguration,
    PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput, PutBucketPolicyInput,
    PutBucketPolicyOutput, PutBucketTaggingInput, PutBucketTaggingOutput, PutPublicAccessBlockInput,
    PutPublicAccessBlockOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::convert;
use crate::iam::Policy;
use crate::s3::lifecycle;
use crate::s3::store::{Error, PublicAccessBlock, Settings, Store};
use crate::s3::transfer::blocking;

pub(super) async fn change(
    store: &Store,
    bucket: &str,
    change: impl FnOnce(&mut Settings) -> Result<(), Error> + Send + 'static,
) -> S3Result<()> {
    let bucket = store.bucket(bucket)?;
    blocking(move || Ok(bucket.change_settings(change)?)).await
}

/// A change that nothing in the bucket speaks against.
pub(super) async fn set(store: &Store, bucket: &str, set: impl FnOnce(&mut Settings) + Send + 'static) -> S3Result<()> {
    let change_it = |settings: &mut Settings| {
        set(settings);
        Ok(())
    };
    change(store, bucket, change_it).await
}

pub(super) fn settings(store: &Store, bucket: &str) -> S3Result<Arc<Settings>> {
    Ok(store.bucket(bucket)?.settings())
}

pub(super) async fn put_policy(
    store: &Store,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let PutBucketPolicyInput { bucket, policy, .. } = request.input;
    Policy::parse(&policy).map_err(|error| {
        let reason = error.to_string();
        s3_error!(error, MalformedPolicy, "Policy is not one that the local cloud evaluates: {}", reason)
    })?;
    set(store, &bucket, |settings| settings.policy = Some(policy)).await?;
    Ok(S3Response::new(PutBucketPolicyOutput {}))
}

pub(super) fn get_policy(
    store: &Store,
    request: &S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let policy = settings(store, &request.input.bucket)?.policy.clone();
    let policy = policy.ok_or_else(|| s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"))?;
    Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) }))
}

pub(super) async fn delete_policy(
    store: &Store,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
    set(store, &request.input.bucket, |settings| settings.policy = None).await?;
    Ok(S3Response::new(DeleteBucketPolicyOutput {}))
}

pub(super) async fn put_public_access_block(
    store: &Store,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let given = &request.input.public_access_block_configuration;
    let block = PublicAccessBlock {
        block_public_acls: given.block_public_acls.unwrap_or(false),
        ignore_public_acls: given.ignore_public_acls.unwrap_or(false),
        block_public_policy: given.block_public_policy.unwrap_or(false),
        restrict_public_buckets: given.restrict_public_buckets.unwrap_or(false),
    };
    set(store, &request.input.bucket, move |settings| settings.public_access_block = Some(block)).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput {}))
}

pub(super) fn get_public_access_block(
    store: &Store,
    request: &S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let Some(block) = settings(store, &request.input.bucket)?.public_access_block else {
        let code = S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into());
        let mut error = s3s::S3Error::with_message(code, "The public access block configuration was not found");
        error.set_status_code(http::StatusCode::NOT_FOUND);
        return Err(error);
    };
    let configuration = PublicAccessBlockConfiguration {
        block_public_acls: Some(block.block_public_acls),
        ignore_public_acls: Some(block.ignore_public_acls),
        block_public_policy: Some(block.block_public_policy),
        restrict_public_buckets: Some(block.restrict_public_buckets),
    };
    Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(configuration) }))
}

pub(super) async fn delete_public_access_block(
    store: &Store,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    set(store, &request.input.bucket, |settings| settings.public_access_block = None).await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput {}))
}

pub(super) async fn put_lifecycle(
    store: &Store,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let input = request.input;
    let malformed = || {
        s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )
    };
    let configuration: BucketLifecycleConfiguration = input.lifecycle_configuration.ok_or_else(malformed)?;
    if configuration.rules.is_empty() {
        return Err(malformed());
    }
    let text = lifecycle::to_text(&configuration)?;
    set(store, &input.bucket, |settings| settings.lifecycle = Some(text)).await?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
}

pub(super) fn get_lifecycle(
    store: &Store,
    request: &S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let settings = settings(store, &request.input.bucket)?;
    let Some(text) = &settings.lifecycle else {
        return Err(s3_error!(NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist"));
    };
    let rules = Some(lifecycle::from_text(text)?.rules);
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput { rules, ..Default::default() }))
}

pub(super) async fn delete_lifecycle(
    store: &Store,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    set(store, &request.input.bucket, |settings| settings.lifecycle = None).await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput {}))
}

pub(super) async fn put_tagging(
    store: &Store,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let tags = convert::tags_of_set(&request.input.tagging.tag_set, 50)?;
    set(store, &request.input.bucket, |settings| settings.tags = tags).await?;
    Ok(S3Response::new(PutBucketTaggingOutput {}))
}

pub(super) fn get_tagging(
    store: &Store,
    request: &S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let settings = settings(store, &request.input.bucket)?;
    if settings.tags.is_empty() {
        return Err(s3_error!(NoSuchTagSet, "The TagSet does not exist"));
    }
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: convert::tag_set(&settings.tags) }))
}

pub(super) async fn delete_tagging(
    store: &Store,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    set(store, &request.input.bucket, |settings| settings.tags.clear()).await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput {}))
}
