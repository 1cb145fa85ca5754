//! Tags of objects.

use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::convert;
use super::versioning;
use crate::s3::store::{Store, Tags};
use crate::s3::transfer::blocking;

pub(super) async fn put(
    store: &Store,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let input = request.input;
    let tags = convert::tags_of_set(&input.tagging.tag_set, 10)?;
    let version_id = replace(store, &input.bucket, input.key, input.version_id, tags).await?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

pub(super) fn get(
    store: &Store,
    request: &S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = &request.input;
    let bucket = store.bucket(&input.bucket)?;
    let object = bucket.get(&input.key, input.version_id.as_deref())?;
    let version_id = versioning::shown_id(&bucket, &object.record);
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: convert::tag_set(&object.record.tags), version_id }))
}

pub(super) async fn delete(
    store: &Store,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let input = request.input;
    let version_id = replace(store, &input.bucket, input.key, input.version_id, Tags::new()).await?;
    Ok(S3Response::with_status(DeleteObjectTaggingOutput { version_id }, http::StatusCode::NO_CONTENT))
}

async fn replace(
    store: &Store,
    bucket: &str,
    key: String,
    version: Option<String>,
    tags: Tags,
) -> S3Result<Option<String>> {
    let bucket = store.bucket(bucket)?;
    blocking(move || {
        let record = bucket.tag(&key, version.as_deref(), tags)?;
        Ok(versioning::shown_id(&bucket, &record))
    })
    .await
}
